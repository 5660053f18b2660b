package assurance_test

import (
	"testing"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// rich is a recipe in which two APIs know types of rich authorization request.
func rich() *recipe.Recipe {
	pay, both := recipe.Detail{Say: recipe.Text{"en": "Pay {amount}"}}, recipe.Detail{}
	return &recipe.Recipe{
		Scopes: map[string]recipe.Scope{"accounts.read": {}},
		APIs: map[string]recipe.API{
			"accounts": {
				At: accounts, Bound: recipe.BoundRequired, Profile: recipe.FAPI2Security, Details: map[string]recipe.Detail{"pay": pay, "both": both},
				Operations: map[string]recipe.Operation{"GET /": {Scope: "accounts.read"}},
			},
			"ledger": {At: ledger, Details: map[string]recipe.Detail{"both": both, "post": both}},
		},
	}
}

func TestTypesOfDetailsHaveAnAudienceToo(t *testing.T) {
	p := assurance.Compile(rich(), 1, issuer)
	for name, c := range map[string]struct {
		scope     oauth.Scope
		resources []string
		types     []string
		code      string
		audience  string
	}{
		"a type alone":                    {nil, nil, []string{"pay"}, "", accounts},
		"a type and openid":               {oauth.Scope{"openid"}, nil, []string{"post"}, "", ledger},
		"a type and its API's scope":      {oauth.Scope{"accounts.read"}, nil, []string{"pay"}, "", accounts},
		"a type and another API's scope":  {oauth.Scope{"accounts.read"}, nil, []string{"post"}, "invalid_target", ""},
		"a type of two APIs":              {nil, nil, []string{"both"}, "invalid_target", ""},
		"a type of two APIs, named":       {nil, []string{ledger}, []string{"both"}, "", ledger},
		"types of two APIs, named":        {nil, []string{accounts}, []string{"pay", "post"}, "", accounts},
		"another API's type, named":       {oauth.Scope{"openid"}, []string{ledger}, []string{"pay"}, "invalid_scope", ""},
		"a type that nobody knows":        {nil, nil, []string{"ghost"}, "invalid_scope", ""},
		"a type that nobody knows, named": {nil, []string{ledger}, []string{"ghost"}, "invalid_scope", ""},
		"nothing at all":                  {nil, nil, nil, "invalid_scope", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := p.Target(c.scope, c.resources, c.types...)
			if oauth.CodeOf(err) != c.code || got.Audience != c.audience {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	if detail, known := p.Detail("pay"); !known || detail.Say["en"] == "" {
		t.Errorf("%+v, %v", detail, known)
	}
	if _, known := p.Detail("ghost"); known {
		t.Error("a type that nobody knows")
	}
	if _, known := (*assurance.Policy)(nil).Detail("pay"); known {
		t.Error("no policy knows a type")
	}
}

func TestRulesOfAnAudience(t *testing.T) {
	p := assurance.Compile(rich(), 1, issuer)
	if rules := p.Rules(accounts); rules.Bound != recipe.BoundRequired || !rules.Demands.Bound || len(rules.Details) != 2 {
		t.Errorf("%+v", rules)
	}
	for _, audience := range []string{issuer, "https://evil.example", ""} {
		if rules := p.Rules(audience); rules.Bound != "" || rules.Demands.Bound || rules.Encryption != nil || rules.Details != nil {
			t.Errorf("%s: %+v", audience, rules)
		}
	}
}

func TestKeysOfAPIsAreReadWithTheBundle(t *testing.T) {
	opener, err := jose.GenerateOpener("api", jose.ECDHES)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.EncryptionJWK(opener.Public())
	if err != nil {
		t.Fatal(err)
	}
	good := map[string][]byte{"api.jwks": []byte(`{"keys":[` + string(public) + `]}`)}
	for name, row := range map[string]struct {
		alg   string
		files map[string][]byte
		fits  bool
	}{
		"a key":             {"ECDH-ES", good, true},
		"no such key":       {"RSA-OAEP-256", good, false},
		"no file":           {"ECDH-ES", nil, false},
		"no encryption":     {"", nil, true},
		"J01 an alg of ill": {"RSA1_5", good, false},
	} {
		t.Run(name, func(t *testing.T) {
			said := rich()
			api := said.APIs["ledger"]
			api.JWKS, api.Encryption = "api.jwks", row.alg
			said.APIs["ledger"] = api
			policy, err := assurance.Assemble(&recipe.Bundle{Recipe: said, Files: row.files}, 1, issuer)
			if (err == nil) != row.fits {
				t.Fatalf("%v", err)
			}
			if err != nil {
				return
			}
			lock := policy.Rules(ledger).Encryption
			if (lock != nil) != (row.alg != "") || lock != nil && (lock.Content != jose.A256GCM || lock.Key.KeyID == "") {
				t.Errorf("%+v", lock)
			}
		})
	}
}
