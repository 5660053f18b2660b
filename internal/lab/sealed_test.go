package lab_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// sealedTo makes tokens for an API be encrypted, and gives the key by which it opens them.
func sealedTo(t *testing.T, options *lab.Options, api string) *jose.Opener {
	t.Helper()
	own, err := jose.GenerateOpener(api+"-1", jose.ECDHESA256)
	must(t, err)
	public, err := jose.EncryptionJWK(own.Public())
	must(t, err)
	private, err := json.Marshal(gojose.JSONWebKeySet{Keys: []gojose.JSONWebKey{{Key: own.Key, KeyID: own.KeyID, Algorithm: string(own.Alg), Use: "enc"}}})
	must(t, err)
	options.Decrypt = map[string]string{api: "file:" + api + ".keys.json"}
	options.Files = maps.Clone(options.Files)
	if options.Files == nil {
		options.Files = map[string][]byte{}
	}
	options.Files[api+".jwks.json"], options.Files[api+".keys.json"] = []byte(`{"keys":[`+string(public)+`]}`), private
	also := options.Recipe
	options.Recipe = func(r *recipe.Recipe) {
		if also != nil {
			also(r)
		}
		of := r.APIs[api]
		of.JWKS, of.Encryption = api+".jwks.json", string(own.Alg)
		r.APIs[api] = of
	}
	return own
}

// TestEncryptedAccessTokens goes the whole way: the Server encrypts to the API, the client can't read what it carries, the Gate
// opens it, and what is revoked is dead there.
func TestEncryptedAccessTokens(t *testing.T) {
	options := lab.Options{Gate: true}
	own := sealedTo(t, &options, "accounts")
	h := lab.New(t, options)
	access := h.Credentials(lab.Job, "scope", "accounts.read").Text("access_token")
	if strings.Count(access, ".") != 4 {
		t.Fatalf("the Server gave a token of %d parts", strings.Count(access, ".")+1)
	}
	sealed, err := jose.ParseEncrypted(access)
	must(t, err)
	signed, err := own.Open(sealed)
	must(t, err)
	if reply := h.Call(http.MethodGet, "/accounts/report", access); reply.Status != http.StatusOK {
		t.Errorf("the Gate: %d %s", reply.Status, reply.Body)
	}
	if reply := h.Call(http.MethodGet, "/accounts/report", string(signed)); reply.Status != http.StatusUnauthorized {
		t.Errorf("the same token, not encrypted: %d %s", reply.Status, reply.Body)
	}
	key, form := h.NewKey(), lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
	tied := h.Post("/token", form, append(h.Prove(lab.Job, form), "DPoP", key.Show("POST", h.Issuer+"/token", ""))...).Text("access_token")
	show := func(token string) lab.Reply {
		return h.Do(lab.Request(http.MethodGet, h.GateURL+"/accounts/report", "", "Authorization", "DPoP "+tied, "DPoP", key.Show("GET", h.GateURL+"/accounts/report", token)))
	}
	if reply := show(tied); reply.Status != http.StatusOK {
		t.Errorf("bound: %d %s", reply.Status, reply.Body)
	}
	if reply := show(access); reply.Status != http.StatusUnauthorized {
		t.Errorf("bound, with a proof for another token: %d %s", reply.Status, reply.Body)
	}
}
