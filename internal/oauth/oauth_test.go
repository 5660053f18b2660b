package oauth_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/oauth"
)

func TestParseScope(t *testing.T) {
	for text, want := range map[string]oauth.Scope{
		"": nil, "   ": nil, "a": {"a"}, " a  b ": {"a", "b"}, "b a b": {"b", "a"}, "a.b:c/d": {"a.b:c/d"}, "!": {"!"}, "~": {"~"},
	} {
		if got, err := oauth.ParseScope(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %q, error %v", text, got, err)
		}
	}
	for _, text := range []string{"a\tb", "a\nb", `a"`, `a\`, "é", "a\x7f", "a\x00", strings.Repeat("a", oauth.MaxScope+1)} {
		if _, err := oauth.ParseScope(text); oauth.CodeOf(err) != "invalid_scope" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestScopesAreNeverChangedByOthers(t *testing.T) {
	long := make(oauth.Scope, 0, 8)
	long = append(long, "a", "b")
	first, second := long.Or(oauth.Scope{"c"}), long.Or(oauth.Scope{"d"})
	if first.String() != "a b c" || second.String() != "a b d" || long.String() != "a b" {
		t.Errorf("%q, %q, %q", first, second, long)
	}
	if long.And(oauth.Scope{"b", "x"}).String() != "b" || !long.Within(oauth.Scope{"b", "a"}) || long.Within(oauth.Scope{"a"}) || !(oauth.Scope)(nil).Within(nil) {
		t.Error("sets")
	}
}

func TestAnErrorKeepsItsCauseToItself(t *testing.T) {
	cause := errors.New("row 7 of the table")
	plain := oauth.InvalidGrant("spent")
	told := plain.Because(cause)
	if strings.Contains(told.Description, "row") || !errors.Is(told, cause) || errors.Is(plain, cause) || oauth.CodeOf(fmt.Errorf("x: %w", told)) != "invalid_grant" {
		t.Errorf("%+v", told)
	}
	if got := oauth.InvalidRequest("a %s", "\"q\\\r\n\té\x00").Description; got != "a 'q'?????"[:len(got)] || strings.ContainsAny(got, "\"\\\r\n") {
		t.Errorf("N08 the description is %q", got)
	}
	if oauth.CodeOf(nil) != "" || oauth.CodeOf(cause) != "" {
		t.Error("a fault of ours has a code")
	}
}

func TestEveryClaimHasOneScope(t *testing.T) {
	seen := map[string]bool{}
	for _, scope := range oauth.ClaimScopes() {
		for _, claim := range oauth.ClaimsOf(scope) {
			if seen[claim] || oauth.ScopeOfClaim(claim) != scope {
				t.Errorf("%s is opened by %s", claim, oauth.ScopeOfClaim(claim))
			}
			seen[claim] = true
		}
	}
	for _, claim := range []string{"", "sub", "acr", "Email", "admin"} {
		if scope := oauth.ScopeOfClaim(claim); scope != "" {
			t.Errorf("%q is opened by %s", claim, scope)
		}
	}
}
