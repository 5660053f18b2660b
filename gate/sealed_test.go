package gate_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/gardeauth/garde/gate"
	"github.com/gardeauth/garde/internal/jose"
)

// kept is a set of private keys as an API keeps it.
func kept(t testing.TB, keys ...*jose.Opener) []byte {
	t.Helper()
	var all []gojose.JSONWebKey
	for _, key := range keys {
		all = append(all, gojose.JSONWebKey{Key: key.Key, KeyID: key.KeyID, Algorithm: string(key.Alg), Use: "enc"})
	}
	raw, err := json.Marshal(gojose.JSONWebKeySet{Keys: all})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestEncryptedTokensAreReadByTheirAPIAlone (RFC 9068 section 4), while its keys change.
func TestEncryptedTokensAreReadByTheirAPIAlone(t *testing.T) {
	i := newIssuer(t)
	old, next := opener(t, "old"), opener(t, "next")
	stranger := opener(t, "old")
	signed := i.token(t, "at+jwt", nil)
	for name, row := range map[string]struct {
		keys   []byte // nil: this API asks for no encryption
		token  string
		status int
	}{
		"the key":                          {kept(t, old), sealed(t, old, signed), http.StatusOK},
		"the new key beside the old":       {kept(t, next, old), sealed(t, old, signed), http.StatusOK},
		"the new key":                      {kept(t, next, old), sealed(t, next, signed), http.StatusOK},
		"a key that is gone":               {kept(t, next), sealed(t, old, signed), http.StatusUnauthorized},
		"J27 the key of another API":       {kept(t, old), sealed(t, stranger, signed), http.StatusUnauthorized},
		"not encrypted":                    {kept(t, old), signed, http.StatusUnauthorized},
		"encrypted, and nobody asked":      {nil, sealed(t, old, signed), http.StatusUnauthorized},
		"J16 signed by nobody":             {kept(t, old), sealed(t, old, "e30.e30.e30"), http.StatusUnauthorized},
		"J15 for another API, yet to us":   {kept(t, old), sealed(t, old, i.token(t, "at+jwt", map[string]any{"aud": audience + "/x"})), http.StatusUnauthorized},
		"J17 an ID token, encrypted to us": {kept(t, old), sealed(t, old, i.token(t, "JWT", nil)), http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := gate.New(gate.Config{Issuer: i.URL, Audience: audience, Decrypt: row.keys})
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodGet, audience+"/1", nil)
			r.Header.Set("Authorization", "Bearer "+row.token)
			w := httptest.NewRecorder()
			g.Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }), gate.Scope("accounts.read")).ServeHTTP(w, r)
			if w.Code != row.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	for _, broken := range []string{"", "{}", "secret", `{"keys":[]}`} {
		if _, err := gate.New(gate.Config{Issuer: i.URL, Audience: audience, Decrypt: []byte(broken)}); err == nil {
			t.Errorf("%q are keys", broken)
		}
	}
}

func opener(t testing.TB, kid string) *jose.Opener {
	t.Helper()
	key, err := jose.GenerateOpener(kid, jose.ECDHESA256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sealed(t testing.TB, key *jose.Opener, signed string) string {
	t.Helper()
	text, err := key.Public().Encrypt(key.Alg, jose.A256GCM, "at+jwt", "JWT", []byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
