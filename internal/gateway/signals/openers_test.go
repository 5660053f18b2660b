package signals_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/gardeauth/garde/internal/gateway/signals"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/recipe"
)

// TestARecipeThatWouldLockEverybodyOutIsNotAdopted: the Server encrypts to the public key, so the Gate must hold its other half.
func TestARecipeThatWouldLockEverybodyOutIsNotAdopted(t *testing.T) {
	old, next := newOpener(t, "old"), newOpener(t, "next")
	published := func(keys ...*jose.Opener) []byte {
		var all []string
		for _, key := range keys {
			raw, err := jose.EncryptionJWK(key.Public())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(raw))
		}
		return []byte(`{"keys":[` + strings.Join(all, ",") + `]}`)
	}
	for name, row := range map[string]struct {
		kept   string
		public []byte
		api    recipe.API
		want   string // "": adopted
	}{
		"the key":                          {held(t, old), published(old), recipe.API{Upstream: "http://127.0.0.1:1", Encryption: "ECDH-ES"}, ""},
		"the new one beside it":            {held(t, next, old), published(old), recipe.API{Upstream: "http://127.0.0.1:1", Encryption: "ECDH-ES"}, ""},
		"the Server has the new one":       {held(t, next, old), published(next, old), recipe.API{Upstream: "http://127.0.0.1:1", Encryption: "ECDH-ES"}, ""},
		"the Gate has not the new one yet": {held(t, old), published(next, old), recipe.API{Upstream: "http://127.0.0.1:1", Encryption: "ECDH-ES"}, "does not hold"},
		"a key of no use":                  {`{}`, published(old), recipe.API{Upstream: "http://127.0.0.1:1", Encryption: "ECDH-ES"}, "gate.decrypt.accounts: key 0"},
		"no file":                          {"", published(old), recipe.API{Upstream: "http://127.0.0.1:1", Encryption: "ECDH-ES"}, "gate.decrypt.accounts: no such file"},
		"not before this Gate":             {"", published(old), recipe.API{Encryption: "ECDH-ES"}, ""},
		"not encrypted":                    {"", nil, recipe.API{Upstream: "http://127.0.0.1:1"}, ""},
		"for a way that no key is for":     {held(t, old), published(old), recipe.API{Upstream: "http://127.0.0.1:1", Encryption: "RSA-OAEP-256"}, "does not hold"},
	} {
		t.Run(name, func(t *testing.T) {
			openers := signals.Openers{Where: map[string]string{"accounts": "file:keys"}, Resolve: func(string) ([]byte, error) {
				if row.kept == "" {
					return nil, errors.New("no such file")
				}
				return []byte(row.kept), nil
			}}
			row.api.JWKS = "jwks"
			err := openers.Fit(&recipe.Bundle{Recipe: &recipe.Recipe{APIs: map[string]recipe.API{"accounts": row.api}}, Files: map[string][]byte{"jwks": row.public}})
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v", err)
			}
		})
	}
	if _, err := (signals.Openers{}).Of("accounts"); err == nil || !strings.Contains(err.Error(), "write gate.decrypt.accounts") {
		t.Errorf("%v", err)
	}
}

func newOpener(t *testing.T, kid string) *jose.Opener {
	t.Helper()
	key, err := jose.GenerateOpener(kid, jose.ECDHES)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func held(t *testing.T, keys ...*jose.Opener) string {
	t.Helper()
	var all []gojose.JSONWebKey
	for _, key := range keys {
		all = append(all, gojose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: string(key.Alg), Use: "enc"})
	}
	raw, err := json.Marshal(gojose.JSONWebKeySet{Keys: all})
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
