package gate_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gardeauth/garde/gate"
	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/jose"
)

const reading = audience + "/42"

// call sends one request to a handler that tells which details were granted.
func call(g *gate.Gate, change func(*http.Request)) *http.Response {
	r := httptest.NewRequest("GET", "/accounts/42?page=1", nil)
	r.Host = "api.bank.example"
	change(r)
	w := httptest.NewRecorder()
	http.StripPrefix("/accounts", g.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		facts, _ := gate.Token(r.Context())
		_, _ = w.Write(facts.Details)
	}), gate.Scope("accounts.read"))).ServeHTTP(w, r)
	return w.Result()
}

func newKey(t testing.TB) *prover.Key {
	t.Helper()
	key, err := prover.New(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func proof(t testing.TB, key *prover.Key, url, token string, with prover.Members) string {
	t.Helper()
	made, err := key.Proof("GET", url, token, with)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func showing(scheme, token string, proofs ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", scheme+" "+token)
		r.Header["Dpop"] = proofs
	}
}

func TestTokensThatAreBoundToAKey(t *testing.T) {
	i := newIssuer(t)
	g := open(t, gate.Config{Issuer: i.URL})
	key, thief := newKey(t), newKey(t)
	tied := i.token(t, "at+jwt", map[string]any{"cnf": map[string]any{"jkt": key.JKT}, "authorization_details": []any{map[string]any{"type": "payment"}}})
	free := i.token(t, "at+jwt", nil)
	once := proof(t, key, reading, tied, nil)
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		status int
		code   string
	}{
		{"its own key", showing("DPoP", tied, once), 200, ""},
		{"D08 the same proof again", showing("DPoP", tied, once), 401, "invalid_dpop_proof"},
		{"any case of the scheme", showing("dpop", tied, proof(t, key, reading, tied, nil)), 200, ""},
		{"D04 two proofs", showing("DPoP", tied, proof(t, key, reading, tied, nil), proof(t, key, reading, tied, nil)), 401, "invalid_dpop_proof"},
		{"D05 another case of the path", showing("DPoP", tied, proof(t, key, audience[:24]+"/Accounts/42", tied, nil)), 401, "invalid_dpop_proof"},
		{"D06 the address that the caller names", func(r *http.Request) {
			showing("DPoP", tied, proof(t, key, "https://evil.example/accounts/42", tied, nil))(r)
			r.Host = "evil.example"
		}, 401, "invalid_dpop_proof"},
		{"D07 another method", showing("DPoP", tied, proof(t, key, reading, tied, prover.Members{"htm": "POST"})), 401, "invalid_dpop_proof"},
		{"D10 no ath", showing("DPoP", tied, proof(t, key, reading, "", nil)), 401, "invalid_dpop_proof"},
		{"D11 another key", showing("DPoP", tied, proof(t, thief, reading, tied, nil)), 401, "invalid_token"},
		{"D12 as Bearer, with its proof", showing("Bearer", tied, proof(t, key, reading, tied, nil)), 401, "invalid_token"},
		{"D12 without a proof", showing("DPoP", tied), 401, "invalid_dpop_proof"},
		{"an unbound token with a proof", showing("DPoP", free, proof(t, key, reading, free, nil)), 401, "invalid_token"},
		{"an unbound token", showing("Bearer", free), 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := call(g, c.change)
			body, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != c.status || c.code != "" && !strings.Contains(string(body), c.code) {
				t.Fatalf("%d %s", answer.StatusCode, body)
			}
			if c.status == 200 && c.name != "an unbound token" && string(body) != `[{"type":"payment"}]` {
				t.Errorf("the handler was told %s", body)
			}
			if c.status == 401 && !strings.Contains(strings.Join(answer.Header.Values("WWW-Authenticate"), ", "), `algs="ES256`) {
				t.Errorf("no challenge of DPoP: %v", answer.Header)
			}
		})
	}
}

func TestAnAPIMayTakeBoundTokensOnly(t *testing.T) {
	i := newIssuer(t)
	g := open(t, gate.Config{Issuer: i.URL, Bound: true})
	answer := call(g, showing("Bearer", i.token(t, "at+jwt", nil)))
	if challenge := answer.Header.Values("WWW-Authenticate"); answer.StatusCode != 401 || len(challenge) != 1 || !strings.HasPrefix(challenge[0], "DPoP ") {
		t.Errorf("%d %q", answer.StatusCode, challenge)
	}
}

func TestD14ProcessesOfOneAPIShareNonces(t *testing.T) {
	i, shared := newIssuer(t), bytes.Repeat([]byte("k"), 32)
	one := open(t, gate.Config{Issuer: i.URL, Nonce: true, NonceKey: shared})
	two := open(t, gate.Config{Issuer: i.URL, Nonce: true, NonceKey: shared})
	alone := open(t, gate.Config{Issuer: i.URL, Nonce: true})
	key := newKey(t)
	token := i.token(t, "at+jwt", map[string]any{"cnf": map[string]any{"jkt": key.JKT}})
	answer := call(one, showing("DPoP", token, proof(t, key, reading, token, nil)))
	nonce := answer.Header.Get("DPoP-Nonce")
	if answer.StatusCode != 401 || nonce == "" || !strings.Contains(answer.Header.Get("WWW-Authenticate"), "use_dpop_nonce") {
		t.Fatalf("%d %v", answer.StatusCode, answer.Header)
	}
	for name, c := range map[string]struct {
		g      *gate.Gate
		status int
	}{"the same": {one, 200}, "another process": {two, 200}, "another API": {alone, 401}} {
		answer := call(c.g, showing("DPoP", token, proof(t, key, reading, token, prover.Members{"nonce": nonce})))
		if answer.StatusCode != c.status {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
	}
	if _, err := gate.New(gate.Config{Issuer: i.URL, Audience: audience, NonceKey: []byte("short")}); err == nil {
		t.Error("a short key is taken")
	}
}

func TestD21TokensThatAreBoundToACertificate(t *testing.T) {
	i := newIssuer(t)
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	leaf := server.Certificate()
	shown := leaf
	g := open(t, gate.Config{Issuer: i.URL, Certificate: func(*http.Request) *x509.Certificate { return shown }})
	token := i.token(t, "at+jwt", map[string]any{"cnf": map[string]any{"x5t#S256": binding.Thumbprint(leaf)}})
	for _, c := range []struct {
		certificate *x509.Certificate
		status      int
	}{{leaf, 200}, {nil, 401}, {&x509.Certificate{Raw: []byte("another")}, 401}} {
		shown = c.certificate
		if answer := call(g, showing("Bearer", token)); answer.StatusCode != c.status {
			t.Errorf("%v: %d", c.certificate != nil, answer.StatusCode)
		}
	}
	var about map[string]any
	_, document := g.Metadata()
	w := httptest.NewRecorder()
	document.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if err := json.Unmarshal(w.Body.Bytes(), &about); err != nil || about["tls_client_certificate_bound_access_tokens"] != true {
		t.Errorf("%s", w.Body)
	}
}
