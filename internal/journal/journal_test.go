package journal_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/journal"
)

// kinds are all details, each with a value in every field.
func kinds() map[journal.Kind]journal.Detail {
	return map[journal.Kind]journal.Detail{
		"token.issued":       journal.TokenIssued{GrantType: "refresh_token", Scope: "openid", Audience: "https://api.example", TokenID: "j", Gave: []string{"access_token"}},
		"token.refused":      journal.TokenRefused{GrantType: "refresh_token", Door: "token", Code: "invalid_grant", Cause: "spent"},
		"replay.seen":        journal.ReplaySeen{What: "code"},
		"access.revoked":     journal.Revoked{What: "grant", ID: "g", Reason: "asked"},
		"user.signed_in":     journal.SignedIn{Methods: []string{"pwd"}, Level: "basic"},
		"user.signin_failed": journal.SignInFailed{Factor: "password", Reason: "wrong"},
		"user.signed_out":    journal.SignedOut{Everywhere: true},
		"consent.given":      journal.Consented{Scope: "openid"},
		"user.changed":       journal.UserChanged{What: "disabled"},
		"client.changed":     journal.ClientChanged{What: "added"},
		"key.changed":        journal.KeyChanged{What: "made", KeyID: "k", Alg: "ES256"},
		"recipe.applied":     journal.RecipeApplied{Revision: 7, Digest: "sha256:0", Weaker: []string{"lifetimes.access"}},
		"store.restored":     journal.StoreRestored{BackupAt: "2026-11-23T12:00:00Z", Epoch: "e"},
		"group.changed":      journal.GroupChanged{What: "added", Name: "staff"},
		"logout.told":        journal.LogoutTold{Status: 204},
		"factor.changed":     journal.FactorChanged{What: "added", Factor: "passkey", ID: "a"},
		"device.forgotten":   journal.DeviceForgotten{Device: "d"},
		"decision.made": journal.Decided{
			Door: "operation", API: "accounts", Operation: "POST /transfers", Verdict: "step_up", Level: "urn:x:strong", Reached: "urn:x:basic",
			Fresh: 300, Score: 25, Signals: []string{"new_device"}, Say: []string{"the device is new"}, Rules: []string{"raise[0]"}, Revision: 7, Times: 3,
		},
	}
}

// TestEachKindIsWrittenDown: what a detail says stands in the event, all of it, under names that stay.
func TestEachKindIsWrittenDown(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	form := regexp.MustCompile(`^[a-z]+\.[a-z_]+$`)
	for kind, detail := range kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			event := journal.New(now, detail)
			if event.Kind != kind || !form.MatchString(string(kind)) || !event.At.Equal(now) {
				t.Errorf("%+v", event)
			}
			if id, err := uuid.Parse(event.ID); err != nil || id.Version() != 7 {
				t.Errorf("the id %s does not sort by time: %v", event.ID, err)
			}
			again := reflect.New(reflect.TypeOf(detail))
			if err := json.Unmarshal(event.Detail, again.Interface()); err != nil || !reflect.DeepEqual(again.Elem().Interface(), detail) {
				t.Errorf("%+v became %s: %v", detail, event.Detail, err)
			}
			var members map[string]any
			if err := json.Unmarshal(event.Detail, &members); err != nil || len(members) != reflect.TypeOf(detail).NumField() {
				t.Errorf("%s: %v", event.Detail, err)
			}
			if columns := []string{event.Actor, event.Client, event.User, event.Session, event.Grant, event.Trace}; strings.Join(columns, "") != "" || event.Personal != nil {
				t.Errorf("it fills what only its caller knows: %+v", event)
			}
		})
	}
}

// TestJ37NoFieldIsForASecret: a detail holds words, numbers and lists of words, and no field is named as if a secret, or
// something of a person that must be erasable, could stand there.
func TestJ37NoFieldIsForASecret(t *testing.T) {
	t.Parallel()
	secret := regexp.MustCompile(`(?i)secret|password|passphrase|verifier|challenge|cookie|assertion|private|hash|otp|(access|refresh|id)_?token$|^token$|^code_|address|email|phone|^ip$`)
	allowed := []string{"string", "[]string", "int64", "bool"}
	for kind, detail := range kinds() {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(detail)) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" || name != strings.ToLower(name) {
				t.Errorf("%s: %s has no name of its own in JSON", kind, field.Name)
			}
			if secret.MatchString(name) || secret.MatchString(field.Name) || !slices.Contains(allowed, field.Type.String()) {
				t.Errorf("%s has a field %s of type %s", kind, name, field.Type)
			}
		}
	}
}

// TestNoKindIsForgotten reads the source: every type with a Kind stands in this file's list.
func TestNoKindIsForgotten(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "kind.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, detail := range kinds() {
		listed[reflect.TypeOf(detail).Name()] = true
	}
	found := 0
	for _, decl := range file.Decls {
		method, ok := decl.(*ast.FuncDecl)
		if !ok || method.Name.Name != "Kind" || method.Recv == nil {
			continue
		}
		found++
		if name, ok := method.Recv.List[0].Type.(*ast.Ident); !ok || !listed[name.Name] {
			t.Errorf("%v is not in the list of this test", method.Recv.List[0].Type)
		}
	}
	if found != len(listed) {
		t.Errorf("%d kinds in the source, %d here", found, len(listed))
	}
}

// odd can't be encoded.
type odd struct{ F func() }

func (odd) Kind() journal.Kind { return "odd.seen" }

// TestADetailThatCannotBeWrittenLosesOnlyItself: the event is still told, with an empty detail, never with half of one.
func TestADetailThatCannotBeWrittenLosesOnlyItself(t *testing.T) {
	t.Parallel()
	if event := journal.New(time.Now(), odd{}); event.Kind != "odd.seen" || string(event.Detail) != "{}" || event.ID == "" {
		t.Errorf("%+v", event)
	}
}

// TestEventsSortAsTheyCame: ids of one moment differ and grow.
func TestEventsSortAsTheyCame(t *testing.T) {
	t.Parallel()
	last := ""
	for range 1000 {
		event := journal.New(time.Now(), journal.SignedOut{})
		if event.ID <= last {
			t.Fatalf("%s after %s", event.ID, last)
		}
		last = event.ID
	}
}
