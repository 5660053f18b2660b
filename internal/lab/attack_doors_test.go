package lab_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// sealing is a house whose accounts API has its tokens encrypted, and what an attacker has of it: the public key, and here even
// the Server's signature on whatever they want.
type sealing struct {
	*lab.House
	t    *testing.T
	own  *jose.Opener
	good map[string]any // the claims of a good token
}

func newSealing(t *testing.T) *sealing {
	t.Helper()
	options := lab.Options{Gate: true}
	own := sealedTo(t, &options, "accounts")
	h := lab.New(t, options)
	s := &sealing{House: h, t: t, own: own}
	sealed, err := jose.ParseEncrypted(h.Credentials(lab.Job, "scope", "accounts.read").Text("access_token"))
	must(t, err)
	plain, err := own.Open(sealed)
	must(t, err)
	signed, err := jose.Parse(string(plain))
	must(t, err)
	must(t, signed.Peek(&s.good))
	return s
}

// signed is a token by the Server's own key, with changes.
func (s *sealing) signed(typ string, changes map[string]any) string {
	claims := maps.Clone(s.good)
	maps.Copy(claims, changes)
	return s.Forge(typ, claims)
}

// by encrypts as an attacker would, who is bound by no rule of ours.
func (s *sealing) by(alg gojose.KeyAlgorithm, kid string, key any, options *gojose.EncrypterOptions, content string) string {
	s.t.Helper()
	maker, err := gojose.NewEncrypter(gojose.A256GCM, gojose.Recipient{Algorithm: alg, Key: key, KeyID: kid}, options)
	must(s.t, err)
	sealed, err := maker.Encrypt([]byte(content))
	must(s.t, err)
	text, err := sealed.CompactSerialize()
	must(s.t, err)
	return text
}

// headed is a token of five parts with a header of the attacker's.
func headed(header string) string {
	part := base64.RawURLEncoding.EncodeToString
	return strings.Join([]string{part([]byte(header)), part(make([]byte, 40)), part(make([]byte, 12)), part(make([]byte, 64)), part(make([]byte, 16))}, ".")
}

// TestEncryptedTokensUnderAttack: of whatever has five parts and is not a good token for this API, the Gate says the same, at once.
func TestEncryptedTokensUnderAttack(t *testing.T) {
	s := newSealing(t)
	const a256 = gojose.ECDH_ES_A256KW
	public := s.own.Key.Public()
	nested := func() *gojose.EncrypterOptions {
		return (&gojose.EncrypterOptions{}).WithType("at+jwt").WithContentType("JWT")
	}
	zipped := nested()
	zipped.Compression = gojose.DEFLATE
	good := s.signed("at+jwt", nil)
	point, err := json.Marshal(gojose.JSONWebKey{Key: public})
	must(t, err)
	known := sha256.Sum256(point)
	fit := s.by(a256, s.own.KeyID, public, nested(), good)
	const shut, malformed = "the token is not encrypted to this API", "the token is malformed"
	for name, row := range map[string]struct{ token, says string }{
		"what is right":                            {fit, ""},
		"by no kid, to the only key":               {s.by(a256, "", public, nested(), good), ""},
		"a kid that is a path":                     {s.by(a256, "../../accounts.keys.json", public, nested(), good), shut},
		"the kid of the Server's own keys":         {s.by(a256, s.keyID(good), public, nested(), good), shut},
		"J01 agreed on directly":                   {s.by(gojose.ECDH_ES, s.own.KeyID, public, nested(), good), shut},
		"J02 the public key as a secret":           {s.by(gojose.A256KW, s.own.KeyID, known[:], nested(), good), shut},
		"J02 the public key as the content's key":  {s.by(gojose.DIRECT, s.own.KeyID, known[:], nested(), good), shut},
		"J26 zipped":                               {s.by(a256, s.own.KeyID, public, zipped, good), shut},
		"J26 a bomb":                               {s.by(a256, s.own.KeyID, public, zipped, strings.Repeat("A", 8<<20)), shut},
		"J25 a password of many rounds":            {headed(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","kid":"accounts-1","p2c":2147483647,"p2s":"AAAAAAAAAAA"}`), shut},
		"J25 rounds beside a good algorithm":       {headed(`{"alg":"ECDH-ES+A256KW","enc":"A256GCM","epk":` + string(point) + `,"p2c":2147483647,"cty":"JWT"}`), shut},
		"RSA1_5":                                   {headed(`{"alg":"RSA1_5","enc":"A256GCM","kid":"accounts-1","cty":"JWT"}`), shut},
		"crit":                                     {s.by(a256, s.own.KeyID, public, nested().WithHeader("crit", []string{"exp"}), good), shut},
		"a key along":                              {s.by(a256, s.own.KeyID, public, nested().WithHeader("jku", "https://evil.example/k"), good), shut},
		"no cty":                                   {s.by(a256, s.own.KeyID, public, (&gojose.EncrypterOptions{}).WithType("at+jwt"), good), shut},
		"J18 an algorithm twice":                   {headed(`{"alg":"ECDH-ES+A256KW","alg":"dir","enc":"A256GCM","epk":` + string(point) + `,"cty":"JWT"}`), shut},
		"J27 a changed tag":                        {fit[:len(fit)-4] + "AAAA", shut},
		"J28 dots":                                 {strings.Repeat(".", 4), shut},
		"J24 encrypted twice":                      {s.by(a256, s.own.KeyID, public, nested(), fit), malformed},
		"J23 in the JSON form":                     {s.by(a256, s.own.KeyID, public, nested(), `{"payload":"e30","signatures":[]}`), malformed},
		"J28 dots inside":                          {s.by(a256, s.own.KeyID, public, nested(), strings.Repeat(".", 8<<10)), malformed},
		"not encrypted":                            {good, "the tokens of this API are encrypted, and this one was not"},
		"an opaque one":                            {"at_" + strings.Repeat("A", 43), malformed},
		"J17 an ID token, encrypted to the API":    {s.by(a256, "", public, nested(), s.signed("JWT", nil)), "?"},
		"J17 a logout token, encrypted to the API": {s.by(a256, "", public, nested(), s.signed("logout+jwt", nil)), "?"},
		"J17 an introspection answer, as well":     {s.by(a256, "", public, nested(), s.signed("token-introspection+jwt", nil)), "?"},
		"J15 for another API, encrypted to this":   {s.by(a256, "", public, nested(), s.signed("at+jwt", map[string]any{"aud": s.VaultAPI()})), "?"},
		"J15 for both":                             {s.by(a256, "", public, nested(), s.signed("at+jwt", map[string]any{"aud": []any{s.good["aud"], s.VaultAPI()}})), "?"},
		"bound to a key, as Bearer":                {s.by(a256, "", public, nested(), s.signed("at+jwt", map[string]any{"cnf": map[string]string{"jkt": "x"}})), "?"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // a second time from memory, were it remembered
				begun := time.Now()
				reply := s.Call(http.MethodGet, "/accounts/report", row.token)
				switch told := strings.Join(reply.Header.Values("WWW-Authenticate"), " ") + string(reply.Body); {
				case row.says == "" && reply.Status != http.StatusOK,
					row.says != "" && (reply.Status != http.StatusUnauthorized || !strings.Contains(told, "invalid_token")),
					row.says != "?" && !strings.Contains(told, row.says):
					t.Errorf("%d %s", reply.Status, told)
				}
				if took := time.Since(begun); took > 5*time.Second {
					t.Errorf("it took %s", took)
				}
			}
		})
	}
	if reply := s.Call(http.MethodGet, "/accounts/report", strings.Repeat(".", 12<<10)); reply.Status < 400 || reply.Status >= 500 {
		t.Errorf("J28 12 KiB of dots: %d", reply.Status)
	}
	for path, audience := range map[string]string{"/ledger/entries": s.LedgerAPI(), "/vault/secrets": s.VaultAPI()} {
		token := s.by(a256, s.own.KeyID, public, nested(), s.signed("at+jwt", map[string]any{"aud": audience, "scope": "ledger.read vault.read"}))
		if reply := s.Call(http.MethodGet, path, token); reply.Status != http.StatusUnauthorized {
			t.Errorf("J24 encrypted, at an API that asked for none: %d %s", reply.Status, reply.Body)
		}
	}
}

// keyID is the name of the Server's key that signed.
func (s *sealing) keyID(signed string) string {
	token, err := jose.Parse(signed)
	must(s.t, err)
	return token.Header.KeyID
}

// TestJ01RS256IsForKeysThatAreMarked: who registered itself is believed by RS256 if its key says so, at every door, and by no
// key that leaves it open.
func TestJ01RS256IsForKeysThatAreMarked(t *testing.T) {
	h := lab.New(t, lab.Options{})
	policy := recipe.Registration{Open: true, Types: []recipe.ClientType{recipe.Web}, Scopes: []string{"openid"}, Grants: []string{"authorization_code"}}
	h.Followed(h.Change(func(r *recipe.Recipe) { r.Registration = map[string]recipe.Registration{"partners": policy} }))
	key, err := jose.GenerateKey(jose.RS256)
	must(t, err)
	for name, row := range map[string]struct {
		marked jose.Alg
		by     jose.Alg
		good   bool
	}{
		"marked":                  {jose.RS256, jose.RS256, true},
		"not marked":              {"", jose.RS256, false},
		"marked for another":      {jose.PS256, jose.RS256, false},
		"not marked, by a better": {"", jose.PS256, true},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := jose.NewSet(jose.PublicKey{KeyID: "k", Alg: row.marked, Key: key.Public()})
			must(t, err)
			body, err := json.Marshal(map[string]any{"redirect_uris": []string{"https://app.example/cb"}, "token_endpoint_auth_method": "private_key_jwt", "jwks": set})
			must(t, err)
			made := h.Do(lab.Request(http.MethodPost, "/register", string(body), "Content-Type", "application/json"))
			if made.Status != http.StatusCreated {
				t.Fatalf("%d %s", made.Status, made.Body)
			}
			id, now := made.Text("client_id"), h.Clock.Now()
			signer := &jose.Signer{KeyID: "k", Alg: row.by, Key: key}
			sign := func(typ string, more map[string]any) string {
				claims := map[string]any{"iss": id, "aud": h.Issuer, "jti": uuid.NewString(), "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Minute).Unix()}
				maps.Copy(claims, more)
				text, err := signer.Sign(typ, claims)
				must(t, err)
				return text
			}
			proof := func() []string {
				return []string{"client_id", id, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", sign("JWT", map[string]any{"sub": id})}
			}
			token := h.Post("/token", lab.Form(append(proof(), "grant_type", "authorization_code", "code", "x", "code_verifier", strings.Repeat("v", 43))...))
			if code := map[bool]string{true: "invalid_grant", false: "invalid_client"}[row.good]; token.Code() != code {
				t.Errorf("its assertion: %s", token.Body)
			}
			ask := lab.Ask(lab.WebA)
			said := map[string]any{"client_id": id, "redirect_uri": "https://app.example/cb", "scope": "openid"}
			for _, name := range []string{"response_type", "state", "code_challenge", "code_challenge_method"} {
				said[name] = ask.Get(name)
			}
			asked := h.Get("/authorize?" + lab.Form("client_id", id, "request", sign("oauth-authz-req+jwt", said)).Encode())
			if refused := strings.Contains(string(asked.Body), "RS256") || strings.Contains(asked.Header.Get("Location"), "error="); asked.Status >= 500 || refused == row.good || row.good && asked.Status != http.StatusSeeOther {
				t.Errorf("its request: %d %v %s", asked.Status, asked.Header["Location"], asked.Body)
			}
		})
	}
}

// TestN08WhatStrangersSendIsText: what a page repeats of a broken request is text, whatever it looks like, and nobody is sent
// anywhere that is not registered.
func TestN08WhatStrangersSendIsText(t *testing.T) {
	h := lab.New(t, lab.Options{})
	const evil = `"><script>alert(1)</script>{{.}}`
	for _, name := range []string{"client_id", "redirect_uri", "response_type", "scope", "prompt", "ui_locales", "request_uri", "request", "code_challenge_method", "response_mode", "claims", "acr_values", "login_hint"} {
		ask := lab.Ask(lab.WebA)
		ask.Set(name, evil)
		reply := h.Get("/authorize?" + ask.Encode())
		to := reply.Header.Get("Location")
		if reply.Status >= 500 || strings.Contains(string(reply.Body), "<script>alert") || strings.Contains(to, "<") ||
			to != "" && !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, ask.Get("redirect_uri")+"?") {
			t.Errorf("N08 %s: %d %s %s", name, reply.Status, to, reply.Body)
		}
	}
	for _, path := range []string{"/device?user_code=", "/device/done?note=device_allowed&proof=", "/signin?flow=", "/consent?flow=", "/account/requests?id="} {
		reply := h.Get(path + "%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
		if reply.Status >= 500 || strings.Contains(string(reply.Body), "<script>alert") {
			t.Errorf("N08 %s: %d %s", path, reply.Status, reply.Body)
		}
	}
}
