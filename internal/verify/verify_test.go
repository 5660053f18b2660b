package verify_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
)

const (
	issuer   = "https://id.bank.example"
	accounts = "https://api.bank.example/accounts"
)

var noon = time.Unix(1_790_000_000, 0)

// realm is an issuer with one key.
type realm struct {
	issuer string
	signer *jose.Signer
}

func newRealm(t testing.TB, issuer, kid string) realm {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return realm{issuer, &jose.Signer{KeyID: kid, Alg: jose.ES256, Key: key}}
}

func (r realm) keys(t testing.TB) verify.StaticKeys {
	t.Helper()
	set, err := jose.NewSet(r.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return verify.StaticKeys{Set: set}
}

type claims map[string]any

// token signs the claims of a good token, changed: a nil value takes a claim away.
func (r realm) token(t testing.TB, change claims) string { return r.typed(t, "at+jwt", change) }

func (r realm) typed(t testing.TB, typ string, change claims) string {
	t.Helper()
	token, err := r.signer.SignBytes(typ, r.payload(t, change))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (r realm) payload(t testing.TB, change claims) []byte {
	t.Helper()
	all := claims{
		"iss": r.issuer, "sub": "u_1", "aud": accounts, "client_id": "mobile", "scope": "accounts.read transfers.write",
		"jti": "t_1", "iat": noon.Unix(), "exp": noon.Unix() + 300, "auth_time": noon.Unix() - 60, "acr": "urn:strong",
		"amr": []string{"pwd", "otp"}, "sid": "s_1", "grant_id": "g_1",
	}
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// config accepts r's tokens for the accounts API at noon.
func (r realm) config(t testing.TB) verify.Config {
	return verify.Config{Issuer: r.issuer, Keys: r.keys(t), Audiences: []string{accounts}, Now: func() time.Time { return noon }}
}

func verifier(t testing.TB, c verify.Config) *verify.Verifier {
	t.Helper()
	v, err := verify.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func status(err error) int {
	if refusal, ok := errors.AsType[*oauth.Error](err); ok {
		return refusal.Status
	}
	return 0
}

func TestClaimsOfAGoodToken(t *testing.T) {
	bank := newRealm(t, issuer, "k1")
	got, err := verifier(t, bank.config(t)).Verify(t.Context(), bank.token(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	if got.Issuer != issuer || got.Subject != "u_1" || got.Audience[0] != accounts || got.ClientID != "mobile" ||
		got.Scope.String() != "accounts.read transfers.write" || got.ID != "t_1" || int64(got.IssuedAt) != noon.Unix() ||
		int64(got.Expires) != noon.Unix()+300 || int64(got.AuthTime) != noon.Unix()-60 || got.ACR != "urn:strong" ||
		strings.Join(got.AMR, " ") != "pwd otp" || got.SessionID != "s_1" || got.Grant != "g_1" || got.KeyID != "k1" ||
		got.Confirmation.Bound() {
		t.Errorf("%+v", got)
	}
	for name, token := range map[string]string{
		"the long type":              bank.typed(t, "application/at+jwt", nil),
		"an audience in a list":      bank.token(t, claims{"aud": []string{accounts}}),
		"J14 iat 9 s ahead":          bank.token(t, claims{"iat": noon.Unix() + 9}),
		"J14 nbf 9 s ahead":          bank.token(t, claims{"nbf": noon.Unix() + 9}),
		"J13 fractions of a second":  bank.token(t, claims{"exp": float64(noon.Unix()) + 1.5}),
		"a claim that nobody knows":  bank.token(t, claims{"roles": []string{"a"}}),
		"J19 a claim in upper case":  bank.token(t, claims{"SUB": "admin", "ISS": "evil", "ſub": "admin"}),
		"one second before its end":  bank.token(t, claims{"exp": noon.Unix() + 1}),
		"a token for a client alone": bank.token(t, claims{"sub": "mobile", "sid": nil, "auth_time": nil, "acr": nil, "amr": nil}),
	} {
		if got, err := verifier(t, bank.config(t)).Verify(t.Context(), token); err != nil || got.Subject == "admin" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// refusals are tokens that no verifier of the bank may accept, and the one step that keeps each out. Those without a step
// do not even parse.
func refusals(t testing.TB, bank realm) map[string]struct{ step, token string } {
	other := newRealm(t, "https://id.other.example", "k1")
	stranger := newRealm(t, issuer, "k1")
	good := bank.token(t, nil)
	parts := strings.Split(good, ".")
	// edit makes claims that no encoder would write.
	edit := func(old, new string) string {
		token, err := bank.signer.SignBytes("at+jwt", []byte(strings.Replace(string(bank.payload(t, nil)), old, new, 1)))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	exp, iat := `"exp":1790000300`, `"iat":1790000000`
	return map[string]struct{ step, token string }{
		"J17 W07 an ID token":                      {"type", bank.typed(t, "JWT", nil)},
		"J17 a logout token":                       {"type", bank.typed(t, "logout+jwt", nil)},
		"J17 another case of the type":             {"type", bank.typed(t, "AT+JWT", nil)},
		"J17 another long type":                    {"type", bank.typed(t, "application/application/at+jwt", nil)},
		"J16 the same issuer and kid, another key": {"signature", stranger.token(t, nil)},
		"another signature":                        {"signature", parts[0] + "." + parts[1] + "." + strings.Split(stranger.token(t, nil), ".")[2]},
		"J06 a kid that nobody has":                {"signature", realm{issuer, &jose.Signer{KeyID: "../../dev/null", Alg: jose.ES256, Key: bank.signer.Key}}.token(t, nil)},
		"J16 another issuer with our key":          {"issuer", realm{"https://id.other.example", bank.signer}.token(t, nil)},
		"J16 a slash at the end":                   {"issuer", bank.token(t, claims{"iss": issuer + "/"})},
		"J16 http":                                 {"issuer", bank.token(t, claims{"iss": "http://id.bank.example"})},
		"J16 upper case":                           {"issuer", bank.token(t, claims{"iss": "https://ID.bank.example"})},
		"J16 no issuer":                            {"issuer", bank.token(t, claims{"iss": nil})},
		"J16 another issuer with its own key":      {"", other.token(t, nil)},
		"J15 W06 another audience":                 {"audience", bank.token(t, claims{"aud": "https://api.bank.example/ledger"})},
		"J15 evil and me":                          {"audience", bank.token(t, claims{"aud": []string{"https://evil.example", accounts}})},
		"J15 me twice":                             {"audience", bank.token(t, claims{"aud": []string{accounts, accounts}})},
		"J15 a space":                              {"audience", bank.token(t, claims{"aud": accounts + " "})},
		"J15 a prefix":                             {"audience", bank.token(t, claims{"aud": accounts[:len(accounts)-1]})},
		"J15 a longer path":                        {"audience", bank.token(t, claims{"aud": accounts + "/x"})},
		"J15 absent":                               {"audience", bank.token(t, claims{"aud": nil})},
		"J15 an empty list":                        {"", bank.token(t, claims{"aud": []string{}})},
		"J15 an empty text":                        {"", bank.token(t, claims{"aud": ""})},
		"J15 an empty text beside me":              {"", bank.token(t, claims{"aud": []string{accounts, ""}})},
		"J15 nested":                               {"", bank.token(t, claims{"aud": [][]string{{accounts}}})},
		"J15 an object":                            {"", bank.token(t, claims{"aud": claims{accounts: true}})},
		"J15 null":                                 {"", edit(`"aud":"`+accounts+`"`, `"aud":null`)},
		"J12 no exp":                               {"", bank.token(t, claims{"exp": nil})},
		"J12 no iat":                               {"required", bank.token(t, claims{"iat": nil})},
		"J12 no sub":                               {"required", bank.token(t, claims{"sub": nil})},
		"J12 no jti":                               {"required", bank.token(t, claims{"jti": nil})},
		"J12 no client_id":                         {"required", bank.token(t, claims{"client_id": nil})},
		"J12 an empty sub":                         {"required", bank.token(t, claims{"sub": ""})},
		"J13 exp as text":                          {"", bank.token(t, claims{"exp": "9999999999"})},
		"J13 exp 1e300":                            {"", edit(exp, `"exp":1e300`)},
		"J13 exp -1":                               {"", bank.token(t, claims{"exp": -1})},
		"J13 exp 2^53+1":                           {"", edit(exp, `"exp":9007199254740993`)},
		"J13 exp NaN":                              {"", edit(exp, `"exp":NaN`)},
		"J13 exp null":                             {"", edit(exp, `"exp":null`)},
		"J13 iat as text":                          {"", edit(iat, `"iat":"1790000000"`)},
		"J13 nbf as text":                          {"", bank.token(t, claims{"nbf": "0"})},
		"W08 expired this second":                  {"expiry", bank.token(t, claims{"exp": noon.Unix()})},
		"W08 expired long ago":                     {"", bank.token(t, claims{"exp": 1})},
		"J14 iat 11 s ahead":                       {"issued", bank.token(t, claims{"iat": noon.Unix() + 11})},
		"J14 iat 120 s ahead":                      {"issued", bank.token(t, claims{"iat": noon.Unix() + 120})},
		"J14 nbf 120 s ahead":                      {"issued", bank.token(t, claims{"nbf": noon.Unix() + 120})},
		"W08 expires before it was issued":         {"issued", bank.token(t, claims{"iat": noon.Unix() + 5, "exp": noon.Unix() + 4})},
		"bound to a DPoP key":                      {"confirmation", bank.token(t, claims{"cnf": claims{"jkt": "abc"}})},
		"bound to a certificate":                   {"confirmation", bank.token(t, claims{"cnf": claims{"x5t#S256": "abc"}})},
		"bound to both":                            {"confirmation", bank.token(t, claims{"cnf": claims{"jkt": "abc", "x5t#S256": "abc"}})},
		"bound in a way that nobody knows":         {"confirmation", bank.token(t, claims{"cnf": claims{"kid": "abc"}})},
		"bound to nothing":                         {"", bank.token(t, claims{"cnf": claims{}})},
		"bound to null":                            {"", edit(exp, exp+`,"cnf":null`)},
		"bound to a text":                          {"", bank.token(t, claims{"cnf": "abc"})},
		"bound to an empty thumbprint":             {"", bank.token(t, claims{"cnf": claims{"jkt": ""}})},
		"J18 two subjects":                         {"", edit(`"sub":"u_1"`, `"sub":"u_1","sub":"admin"`)},
		"J18 two members in cnf":                   {"", edit(exp, exp+`,"cnf":{"jkt":"a","jkt":"b"}`)},
		"J20 a second document":                    {"", edit(exp+`,`, exp+`}{`)},
		"J21 J22 another spelling":                 {"", good + "="},
		"J21 J22 a line break":                     {"", good + "\n"},
		"J24 five parts":                           {"", good + ".AA.AA"},
		"J01 none":                                 {"", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`)) + "." + parts[1] + "."},
		"a scope with a quote":                     {"", bank.token(t, claims{"scope": `a"b`})},
		"a scope that is a list":                   {"", bank.token(t, claims{"scope": []string{"a"}})},
		"nothing":                                  {"", ""},
		"payload not an object":                    {"", edit(string(bank.payload(t, nil)), `[]`)},
	}
}

func TestRefusals(t *testing.T) {
	bank := newRealm(t, issuer, "k1")
	cache, err := verify.NewCache(0)
	if err != nil {
		t.Fatal(err)
	}
	cached := bank.config(t)
	cached.Cache = cache
	plain, remembering := verifier(t, bank.config(t)), verifier(t, cached)
	for name, row := range refusals(t, bank) {
		t.Run(name, func(t *testing.T) {
			for _, v := range []*verify.Verifier{plain, remembering, remembering} {
				got, err := v.Verify(t.Context(), row.token)
				if status(err) != http.StatusUnauthorized || got.Subject != "" {
					t.Errorf("%v %+v", err, got)
				}
			}
		})
	}
	if cache.Len() != 0 {
		t.Errorf("%d refused tokens were remembered", cache.Len())
	}
}

// Each step is what keeps something out: without it, a token of the table above gets in.
func TestEachStepIsNeeded(t *testing.T) {
	bank := newRealm(t, issuer, "k1")
	table := refusals(t, bank)
	dead := &verify.Revocations{Now: func() time.Time { return noon }}
	if err := dead.Add(verify.Revocation{Kind: verify.TokenRevoked, ID: "t_dead", Until: noon.Unix() + 300}); err != nil {
		t.Fatal(err)
	}
	table["W24 revoked"] = struct{ step, token string }{"revocation", bank.token(t, claims{"jti": "t_dead"})}
	for _, step := range verify.Standard {
		c := bank.config(t)
		c.Revocations = dead
		if step.Name == "encryption" {
			c.Openers, _ = lock(t, jose.ECDHES, "k")
			table["not encrypted"] = struct{ step, token string }{"encryption", bank.token(t, nil)}
		}
		if step.Name == "fresh" {
			c.Fresh = func() bool { return false }
			table["the feed is silent"] = struct{ step, token string }{"fresh", bank.token(t, nil)}
		}
		whole := verifier(t, c)
		c.Steps = verify.Standard.Without(step.Name)
		less := verifier(t, c)
		proved := 0
		for name, row := range table {
			if row.step != step.Name {
				continue
			}
			if _, err := whole.Verify(t.Context(), row.token); err == nil {
				t.Errorf("%s: accepted", name)
			}
			if _, err := less.Verify(t.Context(), row.token); err != nil {
				t.Errorf("%s: refused without %q too: %v", name, step.Name, err)
			}
			proved++
		}
		if proved == 0 {
			t.Errorf("nothing shows that %q is needed", step.Name)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a step that does not exist was taken away")
		}
	}()
	verify.Standard.Without("signatur")
}

func TestJ15ConfigurationThatForgets(t *testing.T) {
	bank := newRealm(t, issuer, "k1")
	for name, spoil := range map[string]func(*verify.Config){
		"no issuer":           func(c *verify.Config) { c.Issuer = "" },
		"no keys":             func(c *verify.Config) { c.Keys = nil },
		"no audience":         func(c *verify.Config) { c.Audiences = nil },
		"an empty audience":   func(c *verify.Config) { c.Audiences = []string{accounts, ""} },
		"two policies":        func(c *verify.Config) { c.AudienceIs = func(string) bool { return true } },
		"a leeway of an hour": func(c *verify.Config) { c.Leeway = time.Hour },
		"a negative leeway":   func(c *verify.Config) { c.Leeway = -1 },
	} {
		c := bank.config(t)
		spoil(&c)
		if _, err := verify.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := new(verify.Verifier).Verify(t.Context(), bank.token(t, nil)); status(err) != http.StatusUnauthorized {
		t.Errorf("the zero verifier: %v", err)
	}
}

func TestAudiencePolicies(t *testing.T) {
	bank := newRealm(t, issuer, "k1")
	both := bank.token(t, claims{"aud": []string{"https://other.example", accounts}})
	several := bank.config(t)
	several.Several = true
	if _, err := verifier(t, several).Verify(t.Context(), both); err != nil {
		t.Errorf("several: %v", err)
	}
	if _, err := verifier(t, several).Verify(t.Context(), bank.token(t, claims{"aud": []string{"a", "b"}})); err == nil {
		t.Error("several, and none is ours: accepted")
	}
	server := bank.config(t)
	server.Audiences, server.AudienceIs = nil, func(name string) bool { return strings.HasPrefix(name, "https://api.bank.example/") }
	if _, err := verifier(t, server).Verify(t.Context(), bank.token(t, nil)); err != nil {
		t.Errorf("by question: %v", err)
	}
	if _, err := verifier(t, server).Verify(t.Context(), bank.token(t, claims{"aud": "https://evil.example"})); err == nil {
		t.Error("by question: accepted another")
	}
}

func TestJ15EmptyAudienceReachesNobody(t *testing.T) {
	bank := newRealm(t, issuer, "k1")
	c := bank.config(t)
	c.Several, c.Audiences, c.AudienceIs = true, nil, func(string) bool { return true }
	for name, aud := range map[string]any{"a text": "", "a list": []string{""}, "in a list": []string{accounts, ""}, "no list": []string{}} {
		if _, err := verifier(t, c).Verify(t.Context(), bank.token(t, claims{"aud": aud})); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBoundTokens(t *testing.T) {
	bank := newRealm(t, issuer, "k1")
	cache, _ := verify.NewCache(0)
	c := bank.config(t)
	c.Cache = cache
	v := verifier(t, c)
	dpop, cert := claims{"jkt": "key"}, claims{"x5t#S256": "cert"}
	for name, row := range map[string]struct {
		cnf   claims
		proof verify.Proof
		want  bool
	}{
		"the DPoP key":                           {dpop, verify.Proof{JKT: "key"}, true},
		"the DPoP key and some certificate":      {dpop, verify.Proof{JKT: "key", X5T: "some"}, true},
		"another DPoP key":                       {dpop, verify.Proof{JKT: "other"}, false},
		"a certificate for a DPoP key":           {dpop, verify.Proof{X5T: "key"}, false},
		"a DPoP token as Bearer":                 {dpop, verify.Proof{}, false},
		"the certificate":                        {cert, verify.Proof{X5T: "cert"}, true},
		"another certificate":                    {cert, verify.Proof{X5T: "other"}, false},
		"a certificate's token as Bearer":        {cert, verify.Proof{}, false},
		"a certificate's token with DPoP":        {cert, verify.Proof{X5T: "cert", JKT: "key"}, false},
		"both":                                   {claims{"jkt": "key", "x5t#S256": "cert"}, verify.Proof{JKT: "key", X5T: "cert"}, true},
		"one of both":                            {claims{"jkt": "key", "x5t#S256": "cert"}, verify.Proof{JKT: "key"}, false},
		"the key, and a way that nobody knows":   {claims{"jkt": "key", "jwk": claims{}}, verify.Proof{JKT: "key"}, false},
		"an unbound token with a proof":          {nil, verify.Proof{JKT: "key"}, false},
		"an unbound token, and some certificate": {nil, verify.Proof{X5T: "some"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			change := claims{"jti": name}
			if row.cnf != nil {
				change["cnf"] = row.cnf
			}
			token := bank.token(t, change)
			for range 2 {
				if _, err := v.VerifyProven(t.Context(), token, row.proof); (err == nil) != row.want {
					t.Errorf("%v", err)
				}
			}
			// A proof is never remembered: the same token without it.
			if _, err := v.Verify(t.Context(), token); (err == nil) != (row.cnf == nil) {
				t.Errorf("as Bearer afterwards: %v", err)
			}
		})
	}
}

func TestRememberedVerdicts(t *testing.T) {
	bank := newRealm(t, issuer, "k1")
	now, fresh := noon, true
	cache, _ := verify.NewCache(100)
	dead := &verify.Revocations{Now: func() time.Time { return now }}
	c := bank.config(t)
	c.Now, c.Cache, c.Revocations, c.Fresh = func() time.Time { return now }, cache, dead, func() bool { return fresh }
	keys := &countedKeys{KeySource: c.Keys}
	c.Keys = keys
	v := verifier(t, c)
	token := bank.token(t, nil)
	for range 3 {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if keys.asked != 1 {
		t.Errorf("the signature was verified %d times", keys.asked)
	}

	ledger := c
	ledger.Audiences = []string{"https://api.bank.example/ledger"}
	if _, err := verifier(t, ledger).Verify(t.Context(), token); err == nil {
		t.Error("W23 a verdict for one API opened another")
	}
	foreign := c
	foreign.Issuer = "https://id.other.example"
	if _, err := verifier(t, foreign).Verify(t.Context(), token); err == nil {
		t.Error("W23 a verdict on one issuer counted for another")
	}

	fresh = false
	if _, err := v.Verify(t.Context(), token); status(err) != http.StatusServiceUnavailable {
		t.Errorf("the feed is silent: %v", err)
	}
	fresh = true
	if err := dead.Add(verify.Revocation{Kind: verify.GrantRevoked, ID: "g_1", Until: now.Unix() + 600}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), token); status(err) != http.StatusUnauthorized {
		t.Errorf("W24 revoked after it was remembered: %v", err)
	}
	if _, err := v.Verify(t.Context(), token+"="); status(err) != http.StatusUnauthorized {
		t.Errorf("J22 revoked, in another spelling: %v", err)
	}

	second := bank.token(t, claims{"grant_id": "g_2"})
	if _, err := v.Verify(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	now = now.Add(300 * time.Second)
	if _, err := v.Verify(t.Context(), second); status(err) != http.StatusUnauthorized {
		t.Errorf("W08 expired after it was remembered: %v", err)
	}
}

type countedKeys struct {
	verify.KeySource
	asked int
}

func (c *countedKeys) Key(ctx context.Context, kid string) (jose.PublicKey, error) {
	c.asked++
	return c.KeySource.Key(ctx, kid)
}

func FuzzVerify(f *testing.F) {
	bank := newRealm(f, issuer, "k1")
	v, err := verify.New(bank.config(f))
	if err != nil {
		f.Fatal(err)
	}
	lax := bank.config(f)
	lax.Steps = verify.Standard.Without("signature")
	unsigned, err := verify.New(lax)
	if err != nil {
		f.Fatal(err)
	}
	for _, row := range refusals(f, bank) {
		if parts := strings.Split(row.token, "."); len(parts) == 3 {
			payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
			f.Add(payload)
		}
	}
	f.Add(bank.payload(f, nil))
	f.Fuzz(func(t *testing.T, payload []byte) {
		token := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"k1"}`)) + "." +
			base64.RawURLEncoding.EncodeToString(payload) + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64))
		if _, err := v.Verify(t.Context(), token); status(err) != http.StatusUnauthorized {
			t.Fatalf("unsigned, and not refused: %v", err)
		}
		got, err := unsigned.Verify(t.Context(), token)
		if err != nil {
			return
		}
		var plain map[string]any
		if err := json.Unmarshal(payload, &plain); err != nil {
			t.Fatal(err)
		}
		if plain["sub"] != got.Subject || plain["iss"] != issuer || plain["jti"] != got.ID || plain["cnf"] != nil ||
			got.Expires <= jose.NumericDate(noon.Unix()) {
			t.Fatalf("%s: %+v", payload, got)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	bank := newRealm(b, issuer, "k1")
	token := bank.token(b, nil)
	dead := &verify.Revocations{Now: func() time.Time { return noon }}
	for _, kind := range []verify.Kind{verify.TokenRevoked, verify.GrantRevoked, verify.SessionRevoked, verify.UserRevoked, verify.ClientRevoked, verify.KeyRevoked} {
		_ = dead.Add(verify.Revocation{Kind: kind, ID: "other", Before: 1, Until: noon.Unix() + 1000})
	}
	c := bank.config(b)
	c.Revocations = dead
	b.Run("new", func(b *testing.B) {
		v := verifier(b, c)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	c.Cache, _ = verify.NewCache(0)
	b.Run("seen", func(b *testing.B) {
		v := verifier(b, c)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("seen, by all", func(b *testing.B) {
		v := verifier(b, c)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := v.Verify(context.Background(), token); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
