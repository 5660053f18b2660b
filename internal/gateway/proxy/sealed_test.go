package proxy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/gateway/proxy"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/recipe"
)

// TestEncryptedTokensAtTheGate (RFC 9068 section 4): an API whose tokens are encrypted takes nothing else, and no other API takes
// what is encrypted. A proof of possession is of what was sent.
func TestEncryptedTokensAtTheGate(t *testing.T) {
	own, err := jose.GenerateOpener("k", jose.ECDHES)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := jose.NewOpeners(own)
	if err != nil {
		t.Fatal(err)
	}
	s := build(t, func(c *proxy.Config) {
		c.Openers = func(api string) (verify.Openers, error) {
			if api != "sealed" {
				return verify.Openers{}, errors.New("this API has none")
			}
			return keys, nil
		}
	})
	const audience, target = "http://api.bank.example/sealed", "/sealed/accounts/42"
	change := func(edit func(*recipe.API)) *recipe.Recipe {
		r := bank(s.upstream.URL)
		api := r.APIs["accounts"]
		api.At, api.Encryption = audience, "ECDH-ES"
		edit(&api)
		r.APIs["sealed"] = api
		return r
	}
	// The API existed before, and a token of then is remembered.
	if err := s.gate.Adopt(change(func(api *recipe.API) { api.Encryption = "" })); err != nil {
		t.Fatal(err)
	}
	former := s.token(t, map[string]any{"aud": audience})
	if a := s.get(t, target, former); a.status != 200 {
		t.Fatal(a.status, a.body)
	}
	if err := s.gate.Adopt(change(func(*recipe.API) {})); err != nil {
		t.Fatal(err)
	}
	seal := func(signed string) string {
		text, err := own.Public().Encrypt(jose.ECDHES, jose.A256GCM, "at+jwt", "JWT", []byte(signed))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	key := newKey(t)
	good := seal(s.token(t, map[string]any{"aud": audience}))
	tied := s.token(t, map[string]any{"aud": audience, "cnf": boundTo(key)["cnf"]})
	revoked := seal(s.token(t, map[string]any{"aud": audience, "jti": "t-dead"}))
	if err := s.revocations.Add(verify.Revocation{Kind: verify.TokenRevoked, ID: "t-dead", Until: 4_000_000_000}); err != nil {
		t.Fatal(err)
	}
	outer := seal(tied)
	over := func(token string) string { return proof(t, key, "GET", audience+"/accounts/42", token, nil) }
	for name, row := range map[string]struct {
		target        string
		scheme, token string
		proof         []string
		status        int
	}{
		"encrypted":                               {target, "Bearer", good, nil, 200},
		"not encrypted":                           {target, "Bearer", s.token(t, map[string]any{"aud": audience}), nil, 401},
		"not encrypted, and remembered":           {target, "Bearer", former, nil, 401},
		"encrypted, at an API that did not ask":   {account, "Bearer", seal(s.token(t, nil)), nil, 401},
		"J15 of another API, encrypted to this":   {target, "Bearer", seal(s.token(t, nil)), nil, 401},
		"J27 changed":                             {target, "Bearer", good[:len(good)-6] + "AAAAAA", nil, 401},
		"W24 revoked":                             {target, "Bearer", revoked, nil, 401},
		"D10 bound, with a proof of what is sent": {target, "DPoP", outer, []string{over(outer)}, 200},
		"D10 bound, with a proof of the inside":   {target, "DPoP", outer, []string{over(tied)}, 401},
		"D12 bound, as Bearer":                    {target, "Bearer", outer, nil, 401},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				a := s.do(t, "GET", row.target, shown(row.scheme, row.token, row.proof...), nil)
				if a.status != row.status || a.status == 401 && !strings.Contains(strings.Join(a.header.Values("WWW-Authenticate"), " "), `error="`) {
					t.Errorf("%d %v %s", a.status, a.header, a.body)
				}
				if row.proof != nil { // good once
					return
				}
			}
		})
	}
	t.Run("a Gate without the keys keeps the recipe that it had", func(t *testing.T) {
		r := change(func(*recipe.API) {})
		api := r.APIs["sealed"]
		api.At = "http://api.bank.example/more"
		r.APIs["more"] = api
		if err := s.gate.Adopt(r); err == nil || !strings.Contains(err.Error(), "apis.more: its tokens are encrypted") {
			t.Errorf("%v", err)
		}
		if a := s.get(t, target, good); a.status != 200 {
			t.Error(a.status, a.body)
		}
	})
}
