package assurance_test

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

const issuer = "https://login.bank.example"

const rules = `
garde: 1
levels:
  - {name: basic,  acr: "urn:basic",  any: [password]}
scopes:
  accounts.read: {say: {en: See your balances}}
  ledger.post: {say: {en: Post entries}}
  shared: {say: {en: Both}}
apis:
  accounts:
    at: https://api.bank.example/accounts
    upstream: http://127.0.0.1:7101
    client: svc
    operations:
      GET /balance: {for: [user], scope: accounts.read}
      GET /both: {for: [user], scope: shared}
  ledger:
    at: https://api.bank.example/ledger
    upstream: http://127.0.0.1:7102
    client: svc
    token: opaque
    operations:
      POST /entries: {for: [user], scope: ledger.post}
      GET /both: {for: [user], scope: shared}
clients:
  web:
    type: browser
    redirect_uris: ["https://app.example/cb"]
    scopes: [openid, accounts.read, ledger.post, shared]
  svc: {type: service, auth: client_secret_basic, scopes: [garde.gate]}
`

func policy(t *testing.T) *assurance.Policy {
	t.Helper()
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(rules)}}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return assurance.Compile(bundle.Recipe, 7, issuer)
}

const (
	accounts = "https://api.bank.example/accounts"
	ledger   = "https://api.bank.example/ledger"
)

func TestATokenIsForExactlyOneAudience(t *testing.T) {
	p := policy(t)
	for name, c := range map[string]struct {
		scope     string
		resources []string
		code      string
		audience  string
		kept      string
		kind      recipe.TokenKind
	}{
		"by scope":                       {"openid accounts.read", nil, "", accounts, "openid accounts.read", recipe.TokenJWT},
		"by resource":                    {"openid accounts.read ledger.post", []string{ledger}, "", ledger, "openid ledger.post", recipe.TokenOpaque},
		"a scope of two APIs":            {"shared", nil, "invalid_target", "", "", ""},
		"a scope of two APIs, named":     {"shared", []string{accounts}, "", accounts, "shared", recipe.TokenJWT},
		"scopes of two APIs":             {"accounts.read ledger.post", nil, "invalid_target", "", "", ""},
		"two resources":                  {"accounts.read ledger.post", []string{accounts, ledger}, "invalid_target", "", "", ""},
		"the same resource twice":        {"accounts.read", []string{accounts, accounts}, "invalid_target", "", "", ""},
		"an unknown resource":            {"accounts.read", []string{"https://evil.example"}, "invalid_target", "", "", ""},
		"a resource with a slash more":   {"accounts.read", []string{accounts + "/"}, "invalid_target", "", "", ""},
		"a resource without its scope":   {"ledger.post", []string{accounts}, "invalid_scope", "", "", ""},
		"identity alone to a resource":   {"openid", []string{accounts}, "invalid_scope", "", "", ""},
		"identity alone":                 {"openid profile", nil, "", issuer, "openid profile", recipe.TokenJWT},
		"a Gate":                         {"garde.gate", nil, "", issuer, "garde.gate", recipe.TokenJWT},
		"a Gate's scope beside an API's": {"garde.gate accounts.read", nil, "", accounts, "accounts.read", recipe.TokenJWT},
		"the issuer as a resource":       {"openid", []string{issuer}, "invalid_target", "", "", ""},
		"an unknown scope":               {"openid nothing", nil, "invalid_scope", "", "", ""},
		"nothing":                        {"", nil, "invalid_scope", "", "", ""},
		"nothing of a resource":          {"", []string{accounts}, "invalid_scope", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			scope, err := oauth.ParseScope(c.scope)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Target(scope, c.resources)
			if oauth.CodeOf(err) != c.code || got.Audience != c.audience || got.Scope.String() != c.kept || got.Kind != c.kind {
				t.Errorf("%+v, error %v", got, err)
			}
		})
	}
}

func TestTheZeroPolicyAllowsNothing(t *testing.T) {
	for name, p := range map[string]*assurance.Policy{"zero": {}, "none": nil} {
		if _, err := p.Target(oauth.Scope{"openid"}, nil); oauth.CodeOf(err) != "temporarily_unavailable" {
			t.Errorf("%s: %v", name, err)
		}
		if p.Knows("openid") || p.Reached([]string{"pwd"}) != "" || p.Owns("svc", accounts) {
			t.Errorf("%s allows something", name)
		}
	}
	if (&assurance.Policy{}).Resources([]string{accounts}) == nil {
		t.Error("zero knows an API")
	}
}

func TestWhatThePolicyKnows(t *testing.T) {
	p := policy(t)
	for scope, known := range map[string]bool{"openid": true, "accounts.read": true, "garde.gate": true, "": false, "Accounts.read": false} {
		if p.Knows(scope) != known {
			t.Errorf("%q is known: %v", scope, !known)
		}
	}
	for _, c := range []struct {
		client, api string
		owns        bool
	}{{"svc", accounts, true}, {"svc", ledger, true}, {"web", accounts, false}, {"", accounts, false}, {"svc", issuer, false}, {"svc", "", false}} {
		if p.Owns(c.client, c.api) != c.owns {
			t.Errorf("%q owns %q: %v", c.client, c.api, !c.owns)
		}
	}
	for acr, methods := range map[string][]string{"urn:basic": {"pwd", "x"}} {
		if got := p.Reached(methods); got != acr {
			t.Errorf("%q reach %q", methods, got)
		}
	}
	for _, methods := range [][]string{nil, {}, {"password"}, {""}, {"otp"}} {
		if got := p.Reached(methods); got != "" {
			t.Errorf("%q reach %q", methods, got)
		}
	}
	if p.Scopes().Has(oauth.ScopeGate) || !p.Scopes().Has("shared") {
		t.Errorf("discovery lists %q", p.Scopes())
	}
}
