package register

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/recipe"
)

const fuzzed = `
garde: 1
levels:
  - {name: basic, acr: "urn:basic", any: [password]}
registration:
  open: {open: true, types: [web, native, browser, service], scopes: [openid, profile, offline_access], grants: [authorization_code, refresh_token, client_credentials]}
  vouched: {software_statements: ["https://vouch.example=vouch.jwks.json"], scopes: [openid]}
`

func fuzzRules(f *testing.F) (*Rules, *jose.Signer) {
	f.Helper()
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		f.Fatal(err)
	}
	set, err := jose.NewSet(jose.PublicKey{KeyID: "v1", Alg: jose.ES256, Key: key.Public()})
	if err != nil {
		f.Fatal(err)
	}
	keys, err := json.Marshal(set)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	files := map[string][]byte{"vouch.jwks.json": keys}
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(fuzzed)}}, files, now)
	if err != nil {
		f.Fatal(err)
	}
	rules := &Rules{Issuer: "https://login.bank.example", Bundle: func() *recipe.Bundle { return bundle }, Now: func() time.Time { return now }}
	return rules, &jose.Signer{Key: key, Alg: jose.ES256, KeyID: "v1"}
}

// FuzzMetadata: whatever is registered obeys the policy, and what is answered, sent again, is what is kept.
func FuzzMetadata(f *testing.F) {
	for _, text := range []string{
		`{"redirect_uris":["https://app.example/cb"]}`, `{"redirect_uris":["com.example.app:/cb"],"application_type":"native"}`, `{"grant_types":["client_credentials"]}`,
		`{"redirect_uris":["https://app.example/cb"],"client_name#fr":"Le budget","client_name":"Budget","scope":"openid"}`,
		`{"redirect_uris":["http://127.0.0.1/cb"],"token_endpoint_auth_method":"none","default_max_age":1}`, `{"jwks":{"keys":[]}}`, `null`, `[]`, `{"client_name#":""}`,
		`{"redirect_uris":["https://app.example/cb"],"response_types":["code id_token"]}`,
	} {
		f.Add([]byte(text))
	}
	rules, _ := fuzzRules(f)
	policy := rules.Bundle().Recipe.Registration["open"]
	f.Fuzz(func(t *testing.T, body []byte) {
		client, said, ok := registered(t, rules, body)
		if !ok {
			return
		}
		for _, scope := range client.Scope {
			if !strings.Contains("openid profile offline_access", scope) {
				t.Errorf("%s gave the scope %q", body, scope)
			}
		}
		if client.Consent != recipe.ConsentAsk || !client.Unverified || len(client.Allowed) > 0 || client.Policy != "open" || len(policy.Scopes) != 3 {
			t.Errorf("%s gave %+v", body, client)
		}
		document, err := kept(client, said)
		if err != nil {
			t.Fatal(err)
		}
		again, _, ok := registered(t, rules, []byte(document))
		if !ok {
			t.Fatalf("%s became %s, which is refused", body, document)
		}
		if a, b := asText(t, client), asText(t, again); a != b {
			t.Errorf("%s became\n%s\nand then\n%s", body, a, b)
		}
	})
}

func asText(t *testing.T, client iam.Client) string {
	t.Helper()
	raw, err := json.Marshal(client)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// registered does what the endpoint does, but for the sector's list.
func registered(t *testing.T, rules *Rules, body []byte) (iam.Client, Metadata, bool) {
	t.Helper()
	sent, err := members(body)
	if err != nil {
		return iam.Client{}, Metadata{}, false
	}
	delete(sent, "sector_identifier_uri")
	said, err := parse(sent)
	if err != nil {
		return iam.Client{}, Metadata{}, false
	}
	wanted, err := said.client(rules.Bundle().Recipe.Registration["open"])
	if err != nil {
		return iam.Client{}, Metadata{}, false
	}
	client, err := rules.judge(t.Context(), "open", said)
	if err != nil {
		return iam.Client{}, Metadata{}, false
	}
	if direct := enact.Registered("", "open", wanted, string(said.JWKS), rules.Bundle().Recipe); asText(t, direct) != asText(t, client) {
		t.Error("two readings differ")
	}
	return client, said, true
}

// FuzzStatement: nobody but the issuer makes a software statement, and altering one by a byte ends it.
func FuzzStatement(f *testing.F) {
	rules, signer := fuzzRules(f)
	good, err := signer.Sign("JWT", map[string]any{"iss": "https://vouch.example", "scope": "openid"})
	if err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for _, text := range []string{good, parts[0] + "." + parts[1] + ".", "eyJhbGciOiJub25lIn0." + parts[1] + ".", "a.b.c", "", good + "."} {
		f.Add(text)
	}
	policy := rules.Bundle().Recipe.Registration["vouched"]
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := rules.verified(text, policy); err == nil && text != good {
			t.Errorf("%q is believed", text)
		}
	})
}

// FuzzDocumentHost: an address that is a client's id has one spelling, and leads nowhere but where it says.
func FuzzDocumentHost(f *testing.F) {
	for _, text := range []string{"https://app.example/client", "https://app.example:8443/c", "https://[::1]/c", "https://a@b/c", "https://a/../b", "https://a/b#", "https://a/b?"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		host, err := documentHost(text)
		if err != nil {
			return
		}
		authority := strings.SplitN(text, "/", 4)[2]
		if !strings.HasPrefix(text, "https://") || strings.ContainsAny(text, "#?\\ ") || authority != host && !strings.HasPrefix(authority, host+":") {
			t.Errorf("%q is a client of %q", text, host)
		}
	})
}
