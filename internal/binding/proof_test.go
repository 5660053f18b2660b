package binding_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
)

// members of a proof's header and claims that a case changes, and what becomes of the proof.
type tried struct {
	header, claims prover.Members
	twist          func(proof string) []string // what is sent instead
	code           string                      // "": accepted
}

func TestAProofIsJudgedByAllPointsOfTheRFC(t *testing.T) {
	key, other := newKey(t, jose.ES256), newKey(t, jose.ES256)
	private := json.RawMessage(strings.Replace(string(key.JWK), `"kty"`, `"d":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8","kty"`, 1))
	hs256 := unsigned(t, key, `"HS256"`)
	now := time.Now().Unix()
	for name, c := range map[string]tried{
		"a good one": {},
		// What the certification suite sends and must see accepted.
		"D05 htu with a query and a fragment":      {claims: prover.Members{"htu": here + "?a=b#c"}},
		"D05 htu with capitals and the port":       {claims: prover.Members{"htu": "HTTPS://API.Bank.EXAMPLE:443/accounts/7/payments"}},
		"D05 htu with needless percent-encoding":   {claims: prover.Members{"htu": "https://api.bank.example/%61ccounts/7/payments"}},
		"iat ten seconds ago":                      {claims: prover.Members{"iat": now - 10}},
		"iat ten seconds ahead":                    {claims: prover.Members{"iat": now + 9}},
		"more members in header and claims":        {header: prover.Members{"kid": "k", "x": 1}, claims: prover.Members{"sub": "s", "x": []int{1}}},
		"a jwk with kid, use and key_ops":          {header: prover.Members{"jwk": with(key, `"kid":"1","key_ops":["verify"],`)}},
		"a nonce that nobody asked for":            {claims: prover.Members{"nonce": "of somebody else"}},
		"an exp that is still to come":             {claims: prover.Members{"exp": now + 60}},
		"D01 no algorithm":                         {twist: func(string) []string { return []string{unsigned(t, key, `"none"`)} }, code: "invalid_dpop_proof"},
		"D01 a symmetric algorithm":                {twist: func(string) []string { return []string{hs256} }, code: "invalid_dpop_proof"},
		"D01 RS256":                                {header: prover.Members{"alg": "RS256"}, code: "invalid_dpop_proof"},
		"D01 no alg":                               {header: prover.Members{"alg": nil}, code: "invalid_dpop_proof"},
		"D02 typ JWT":                              {header: prover.Members{"typ": "JWT"}, code: "invalid_dpop_proof"},
		"D02 typ in capitals":                      {header: prover.Members{"typ": "DPOP+JWT"}, code: "invalid_dpop_proof"},
		"D02 no typ":                               {header: prover.Members{"typ": nil}, code: "invalid_dpop_proof"},
		"D03 no jti":                               {claims: prover.Members{"jti": nil}, code: "invalid_dpop_proof"},
		"D03 an empty jti":                         {claims: prover.Members{"jti": ""}, code: "invalid_dpop_proof"},
		"D03 a jti that is a number":               {claims: prover.Members{"jti": 7}, code: "invalid_dpop_proof"},
		"D03 a jti of a kilobyte":                  {claims: prover.Members{"jti": strings.Repeat("j", 1024)}, code: "invalid_dpop_proof"},
		"D03 no htm":                               {claims: prover.Members{"htm": nil}, code: "invalid_dpop_proof"},
		"D03 no htu":                               {claims: prover.Members{"htu": nil}, code: "invalid_dpop_proof"},
		"D03 no iat":                               {claims: prover.Members{"iat": nil}, code: "invalid_dpop_proof"},
		"D03 no ath":                               {claims: prover.Members{"ath": nil}, code: "invalid_dpop_proof"},
		"D03 iat as a text":                        {claims: prover.Members{"iat": fmt.Sprint(now)}, code: "invalid_dpop_proof"},
		"D04 two headers":                          {twist: func(proof string) []string { return []string{proof, proof} }, code: "invalid_dpop_proof"},
		"D04 two proofs in one header":             {twist: func(proof string) []string { return []string{proof + ", " + proof} }, code: "invalid_dpop_proof"},
		"D04 an empty header":                      {twist: func(string) []string { return []string{""} }, code: "invalid_dpop_proof"},
		"D05 another scheme":                       {claims: prover.Members{"htu": "http://api.bank.example/accounts/7/payments"}, code: "invalid_dpop_proof"},
		"D05 another case of the path":             {claims: prover.Members{"htu": "https://api.bank.example/Accounts/7/payments"}, code: "invalid_dpop_proof"},
		"D05 a slash more":                         {claims: prover.Members{"htu": here + "/"}, code: "invalid_dpop_proof"},
		"D05 another port":                         {claims: prover.Members{"htu": "https://api.bank.example:8443/accounts/7/payments"}, code: "invalid_dpop_proof"},
		"D05 a relative htu":                       {claims: prover.Members{"htu": "/accounts/7/payments"}, code: "invalid_dpop_proof"},
		"D05 user information in htu":              {claims: prover.Members{"htu": "https://x@api.bank.example/accounts/7/payments"}, code: "invalid_dpop_proof"},
		"D07 another method":                       {claims: prover.Members{"htm": "PUT"}, code: "invalid_dpop_proof"},
		"D07 the method in small letters":          {claims: prover.Members{"htm": "get"}, code: "invalid_dpop_proof"},
		"D09 ten minutes old":                      {claims: prover.Members{"iat": now - 600}, code: "invalid_dpop_proof"},
		"D09 ten minutes ahead":                    {claims: prover.Members{"iat": now + 600}, code: "invalid_dpop_proof"},
		"D09 an hour ahead":                        {claims: prover.Members{"iat": now + 3600}, code: "invalid_dpop_proof"},
		"D09 expired by its own word":              {claims: prover.Members{"exp": now - 60}, code: "invalid_dpop_proof"},
		"D09 not valid yet by its own word":        {claims: prover.Members{"nbf": now + 60}, code: "invalid_dpop_proof"},
		"D10 the hash of another token":            {claims: prover.Members{"ath": prover.Ath("another")}, code: "invalid_dpop_proof"},
		"D10 the token itself":                     {claims: prover.Members{"ath": token}, code: "invalid_dpop_proof"},
		"D13 the private key":                      {header: prover.Members{"jwk": private}, code: "invalid_dpop_proof"},
		"D13 a symmetric key":                      {header: prover.Members{"jwk": json.RawMessage(`{"kty":"oct","k":"AAAA"}`)}, code: "invalid_dpop_proof"},
		"D13 another key than the one that signed": {header: prover.Members{"jwk": other.JWK}, code: "invalid_dpop_proof"},
		"D13 no key":                               {header: prover.Members{"jwk": nil}, code: "invalid_dpop_proof"},
		"D13 a key by its address":                 {header: prover.Members{"jku": "https://keys.example"}, code: "invalid_dpop_proof"},
		"D13 a key in a certificate":               {header: prover.Members{"x5c": []string{"AAAA"}}, code: "invalid_dpop_proof"},
		"a header that must be understood":         {header: prover.Members{"crit": []string{"exp"}}, code: "invalid_dpop_proof"},
		"a broken signature":                       {twist: func(proof string) []string { return []string{proof[:len(proof)-8] + "AAAAAAA" + proof[len(proof)-1:]} }, code: "invalid_dpop_proof"},
		"no JWT":                                   {twist: func(string) []string { return []string{"proof"} }, code: "invalid_dpop_proof"},
		"a JWT of twenty kilobytes":                {claims: prover.Members{"x": strings.Repeat("x", 20<<10)}, code: "invalid_dpop_proof"},
	} {
		t.Run(name, func(t *testing.T) {
			proof, err := key.Sign(c.header, key.Claims("GET", here, token, c.claims))
			must(t, err)
			sent := []string{proof}
			if c.twist != nil {
				sent = c.twist(proof)
			}
			got, err := judgeAt(nil).Check(t.Context(), request("GET", token, sent...))
			if refused(err) != c.code || err == nil && got.JKT != key.JKT {
				t.Errorf("%+v %v", got, err)
			}
		})
	}
}

// with is the key's JWK with more members.
func with(key *prover.Key, members string) json.RawMessage {
	return json.RawMessage(strings.Replace(string(key.JWK), "{", "{"+members, 1))
}

// unsigned is a proof that nobody has signed.
func unsigned(t *testing.T, key *prover.Key, alg string) string {
	t.Helper()
	claims, err := json.Marshal(key.Claims("GET", here, token, nil))
	must(t, err)
	head := fmt.Sprintf(`{"typ":"dpop+jwt","alg":%s,"jwk":%s}`, alg, key.JWK)
	return base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString(claims) + ".AAAA"
}

func TestKeysOfEachKindProve(t *testing.T) {
	for _, alg := range []jose.Alg{jose.ES256, jose.PS256, jose.EdDSA, jose.Ed25519} {
		key := newKey(t, alg)
		got, err := judgeAt(nil).Check(t.Context(), request("GET", token, proofOf(t, key, "GET", here, token, nil)))
		if err != nil || got.JKT != key.JKT {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

func TestD13AnRSAKeyOf1024BitsIsRefused(t *testing.T) {
	t.Setenv("GODEBUG", "rsa1024min=0")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	jwk := fmt.Sprintf(`{"kty":"RSA","e":"AQAB","n":%q}`, base64.RawURLEncoding.EncodeToString(weak.N.Bytes()))
	strong := newKey(t, jose.PS256)
	proof, err := strong.Sign(prover.Members{"jwk": json.RawMessage(jwk)}, strong.Claims("GET", here, token, nil))
	must(t, err)
	_, err = judgeAt(nil).Check(t.Context(), request("GET", token, proof))
	if refused(err) != "invalid_dpop_proof" || !strings.Contains(err.Error(), "strength") {
		t.Error(err)
	}
}

func TestWithoutAHeaderNothingIsProved(t *testing.T) {
	shown := request("GET", token)
	shown.Header = http.Header{}
	if got, err := judgeAt(nil).Check(t.Context(), shown); err != nil || got != (binding.Proof{}) {
		t.Error(got, err)
	}
}

func TestAZeroJudgeRefusesEveryProof(t *testing.T) {
	key := newKey(t, jose.ES256)
	if _, err := new(binding.Judge).Check(t.Context(), request("GET", token, proofOf(t, key, "GET", here, token, nil))); refused(err) != "invalid_dpop_proof" {
		t.Error(err)
	}
}

func TestAtTheTokenEndpointAnAthMeansNothing(t *testing.T) {
	key := newKey(t, jose.ES256)
	if _, err := judgeAt(nil).Check(t.Context(), request("POST", "", proofOf(t, key, "POST", here, "any", nil))); err != nil {
		t.Error(err)
	}
}

func TestD08AProofIsGoodOnce(t *testing.T) {
	now := &clock{time.Now()}
	key, other := newKey(t, jose.ES256), newKey(t, jose.ES256)
	key.Now, other.Now = now.now, now.now
	judge := judgeAt(now.now)
	fixed := prover.Members{"jti": "one"}
	check := func(key *prover.Key, method, url string) string {
		shown := request(method, token, proofOf(t, key, method, url, token, fixed))
		place, err := binding.PlaceOf(url)
		must(t, err)
		shown.Places = []binding.Place{place}
		_, err = judge.Check(t.Context(), shown)
		return refused(err)
	}
	if got := check(key, "GET", here); got != "" {
		t.Fatal(got)
	}
	// Another key, method or place makes another proof of the same jti.
	for name, got := range map[string]string{
		"another key": check(other, "GET", here), "another method": check(key, "POST", here), "another place": check(key, "GET", here+"/8"),
	} {
		if got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, later := range []time.Duration{0, 30 * time.Second, 59 * time.Second} {
		now.at = now.at.Add(later)
		if got := check(key, "GET", strings.ToUpper(here[:24])+here[24:]); got != "invalid_dpop_proof" {
			t.Errorf("after %s: %q", later, got)
		}
		now.at = now.at.Add(-later)
	}
	// The very bytes never come back: not while they are in time, and not after it.
	shown := request("GET", token, proofOf(t, key, "GET", here, token, prover.Members{"jti": "two", "iat": now.at.Unix() + 9}))
	if _, err := judge.Check(t.Context(), shown); err != nil {
		t.Fatal(err)
	}
	for second := range 120 {
		now.at = now.at.Add(time.Second)
		if _, err := judge.Check(t.Context(), shown); refused(err) != "invalid_dpop_proof" {
			t.Fatalf("after %d s: %v", second+1, err)
		}
	}
}

func TestD08OfManyCallersWithOneProofOneIsLetIn(t *testing.T) {
	key, judge := newKey(t, jose.ES256), judgeAt(nil)
	shown := request("GET", token, proofOf(t, key, "GET", here, token, nil))
	var passed atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			if _, err := judge.Check(t.Context(), shown); err == nil {
				passed.Add(1)
			}
		})
	}
	all.Wait()
	if passed.Load() != 1 {
		t.Errorf("%d were let in", passed.Load())
	}
}

func TestD08AFullMemoryRefusesRatherThanForgets(t *testing.T) {
	key := newKey(t, jose.ES256)
	judge := &binding.Judge{Once: once.NewNode(1, nil)}
	first := request("GET", token, proofOf(t, key, "GET", here, token, nil))
	if _, err := judge.Check(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	full := 0
	for range 300 {
		if _, err := judge.Check(t.Context(), request("GET", token, proofOf(t, key, "GET", here, token, nil))); refused(err) == "temporarily_unavailable" {
			full++
		}
	}
	if _, err := judge.Check(t.Context(), first); err == nil || full == 0 {
		t.Errorf("%d refused, and the first again: %v", full, err)
	}
}

func TestAtAnAPIARefusedProofHasItsStatus(t *testing.T) {
	for _, err := range []error{oauth.InvalidProof("x"), oauth.UseNonce()} {
		if told, ok := binding.Unauthorized(err).(*oauth.Error); !ok || told.Status != http.StatusUnauthorized { //nolint:errorlint // the very value
			t.Error(err)
		}
	}
	if err := oauth.InvalidRequest("x"); binding.Unauthorized(err) != error(err) { //nolint:errorlint // the very value
		t.Error("another error was changed")
	}
}

func FuzzProof(f *testing.F) {
	key := newKey(f, jose.ES256)
	good := proofOf(f, key, "GET", here, token, nil)
	for _, seed := range []string{good, "", "a.b.c", good + "." + good, strings.Repeat("a", 9000), unsignedSeed} {
		f.Add(seed)
	}
	judge := judgeAt(nil)
	f.Fuzz(func(t *testing.T, text string) {
		proof, err := judge.Read(request("GET", token, text))
		if (err == nil) != (proof != binding.Proof{}) {
			t.Errorf("%+v %v", proof, err)
		}
		if err == nil && len(proof.JKT) != 43 {
			t.Errorf("the key has the name %q", proof.JKT)
		}
		if err != nil && refused(err) != "invalid_dpop_proof" {
			t.Error(err)
		}
	})
}

const unsignedSeed = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6Im5vbmUifQ.e30.AAAA"
