package proxy_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/gateway/proxy"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/recipe"
)

const accountURL = at + "/accounts/42"

func newKey(t testing.TB) *prover.Key {
	t.Helper()
	key, err := prover.New(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func boundTo(key *prover.Key) map[string]any {
	return map[string]any{"cnf": map[string]any{"jkt": key.JKT}}
}

func proof(t testing.TB, key *prover.Key, method, url, token string, with prover.Members) string {
	t.Helper()
	made, err := key.Proof(method, url, token, with)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func shown(scheme, token string, proofs ...string) http.Header {
	return http.Header{"Authorization": {scheme + " " + token}, "Dpop": proofs}
}

// adopt puts the bank's recipe in force with a change.
func (s *set) adopt(t testing.TB, change func(*recipe.Recipe)) {
	t.Helper()
	r := bank(s.upstream.URL)
	change(r)
	if err := s.gate.Adopt(r); err != nil {
		t.Fatal(err)
	}
}

func TestTokensThatAreBoundToADPoPKey(t *testing.T) {
	s := build(t)
	key, thief := newKey(t), newKey(t)
	tied, free := s.token(t, boundTo(key)), s.token(t, nil)
	good := func(with prover.Members) string { return proof(t, key, "GET", accountURL, tied, with) }
	for name, c := range map[string]struct {
		header http.Header
		status int
		code   string
	}{
		"its own key":                               {shown("DPoP", tied, good(nil)), 200, ""},
		"the scheme in small letters":               {shown("dpop", tied, good(nil)), 200, ""},
		"the scheme as the suite writes it":         {shown("dPoP", tied, good(nil)), 200, ""},
		"D05 capitals, the port and a query in htu": {shown("DPoP", tied, good(prover.Members{"htu": "HTTP://API.bank.example:80/accounts/accounts/42?x=1"})), 200, ""},
		"D06 a forwarded host":                      {with(shown("DPoP", tied, good(nil)), "X-Forwarded-Host", "evil.example"), 200, ""},
		"D06 a proof for the forwarded host":        {with(shown("DPoP", tied, good(prover.Members{"htu": "https://evil.example/accounts/accounts/42"})), "X-Forwarded-Host", "evil.example"), 401, "invalid_dpop_proof"},
		"D02 another typ":                           {shown("DPoP", tied, signed(t, key, prover.Members{"typ": "JWT"}, tied)), 401, "invalid_dpop_proof"},
		"D03 no ath":                                {shown("DPoP", tied, good(prover.Members{"ath": nil})), 401, "invalid_dpop_proof"},
		"D04 two proofs":                            {shown("DPoP", tied, good(nil), good(nil)), 401, "invalid_dpop_proof"},
		"D07 another method":                        {shown("DPoP", tied, good(prover.Members{"htm": "PUT"})), 401, "invalid_dpop_proof"},
		"D09 an hour old":                           {shown("DPoP", tied, good(prover.Members{"iat": 1_700_000_000})), 401, "invalid_dpop_proof"},
		"D10 the hash of another token":             {shown("DPoP", tied, good(prover.Members{"ath": prover.Ath(free)})), 401, "invalid_dpop_proof"},
		"D11 another key":                           {shown("DPoP", tied, proof(t, thief, "GET", accountURL, tied, nil)), 401, "invalid_token"},
		"D12 as Bearer":                             {shown("Bearer", tied), 401, "invalid_token"},
		"D12 as Bearer with its proof":              {shown("Bearer", tied, good(nil)), 401, "invalid_token"},
		"D12 without a proof":                       {shown("DPoP", tied), 401, "invalid_dpop_proof"},
		"an unbound token in the scheme DPoP":       {shown("DPoP", free, proof(t, key, "GET", accountURL, free, nil)), 401, "invalid_token"},
		"an unbound token as Bearer":                {shown("Bearer", free), 200, ""},
		"bound to a certificate that nobody shows":  {shown("Bearer", s.token(t, map[string]any{"cnf": map[string]any{"x5t#S256": "x"}})), 401, "invalid_token"},
		"bound in a way that nobody knows":          {shown("DPoP", s.token(t, map[string]any{"cnf": map[string]any{"kid": "x"}}), good(nil)), 401, "invalid_dpop_proof"},
		"two schemes":                               {http.Header{"Authorization": {"Bearer " + tied, "DPoP " + tied}, "Dpop": {good(nil)}}, 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(t, "GET", account, c.header, nil)
			if a.status != c.status || c.code != "" && !strings.Contains(a.body, `"code":"`+c.code+`"`) {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if a.status == 200 && (a.seen.Header["Dpop"] != nil || a.seen.Header["Authorization"] != nil) {
				t.Errorf("the API saw %v", a.seen.Header)
			}
			if a.status == 401 && !slices.ContainsFunc(a.header.Values("WWW-Authenticate"), func(challenge string) bool {
				return strings.HasPrefix(challenge, "DPoP ") && strings.Contains(challenge, `algs="ES256 `)
			}) {
				t.Errorf("no challenge of DPoP in %v", a.header)
			}
		})
	}
}

func with(header http.Header, name, value string) http.Header {
	header.Set(name, value)
	return header
}

func signed(t testing.TB, key *prover.Key, header prover.Members, token string) string {
	t.Helper()
	made, err := key.Sign(header, key.Claims("GET", accountURL, token, nil))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestTheErrorStandsInTheChallengeOfTheSchemeThatWasUsed(t *testing.T) {
	s := build(t)
	for scheme, want := range map[string][]string{
		"":       {`Bearer realm="garde", resource`, `DPoP realm="garde", algs`},
		"Bearer": {`Bearer realm="garde", error="invalid_token"`, `DPoP realm="garde", algs`},
		"DPoP":   {`DPoP realm="garde", error="invalid_dpop_proof"`, `Bearer realm="garde", resource`},
	} {
		header := http.Header{}
		if scheme != "" {
			header.Set("Authorization", scheme+" x.y.z")
		}
		got := s.do(t, "GET", account, header, nil).header.Values("WWW-Authenticate")
		if len(got) != 2 || !strings.HasPrefix(got[0], want[0]) || !strings.HasPrefix(got[1], want[1]) {
			t.Errorf("%q: %q", scheme, got)
		}
	}
}

func TestD08AtTheGateAProofIsGoodOnce(t *testing.T) {
	s := build(t)
	key := newKey(t)
	token := s.token(t, boundTo(key))
	header := shown("DPoP", token, proof(t, key, "GET", accountURL, token, nil))
	var passed, refused atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			switch a := s.do(t, "GET", account, header, nil); a.status {
			case 200:
				passed.Add(1)
			case 401:
				refused.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if passed.Load() != 1 || refused.Load() != 15 {
		t.Errorf("%d passed, %d were refused", passed.Load(), refused.Load())
	}
	// A proof of a request that was refused for its token is not spent: who has none can't fill the memory.
	early := proof(t, key, "GET", accountURL, token, nil)
	s.fresh.Store(false)
	if a := s.do(t, "GET", account, shown("DPoP", token, early), nil); a.status != 503 {
		t.Error(a.status)
	}
	s.fresh.Store(true)
	if a := s.do(t, "GET", account, shown("DPoP", token, early), nil); a.status != 200 {
		t.Error(a.status, a.body)
	}
}

func TestAnAPIMayTakeBoundTokensOnly(t *testing.T) {
	s := build(t)
	key := newKey(t)
	tied, free := s.token(t, boundTo(key)), s.token(t, nil)
	for name, change := range map[string]func(*recipe.API){
		"bound: required":         func(api *recipe.API) { api.Bound = recipe.BoundRequired },
		"profile: fapi2-security": func(api *recipe.API) { api.Profile = recipe.FAPI2Security },
	} {
		t.Run(name, func(t *testing.T) {
			s.adopt(t, func(r *recipe.Recipe) {
				api := r.APIs["accounts"]
				change(&api)
				r.APIs["accounts"] = api
			})
			a := s.get(t, account, free)
			if challenge := a.header.Values("WWW-Authenticate"); a.status != 401 || len(challenge) != 1 ||
				!strings.HasPrefix(challenge[0], `DPoP realm="garde", error="invalid_token"`) {
				t.Errorf("D16 an unbound token: %d %q", a.status, challenge)
			}
			if a := s.do(t, "GET", account, shown("DPoP", tied, proof(t, key, "GET", accountURL, tied, nil)), nil); a.status != 200 {
				t.Errorf("a bound one: %d %s", a.status, a.body)
			}
			a = s.do(t, "GET", "/.well-known/oauth-protected-resource/accounts", nil, nil)
			var about map[string]any
			if err := json.Unmarshal([]byte(a.body), &about); err != nil || about["dpop_bound_access_tokens_required"] != true {
				t.Errorf("the metadata: %s", a.body)
			}
		})
	}
}

func TestOpaqueTokensAreBoundToo(t *testing.T) {
	s := build(t)
	key, thief := newKey(t), newKey(t)
	token, plain := opaqueToken(), opaqueToken()
	known := verify.Claims{
		Issuer: issuer, Subject: "user-1", Audience: []string{"http://api.bank.example/opaque"}, ClientID: "mobile", ID: "t1",
		Scope: oauth.Scope{"accounts.read"}, IssuedAt: 1_700_000_000, Expires: 4_000_000_000, AuthTime: 1_700_000_000, ACR: "urn:basic",
		Confirmation: verify.Confirmed(key.JKT, ""), Details: json.RawMessage(`[{"type":"payment"}]`),
	}
	unbound := known
	unbound.Confirmation, unbound.ID = verify.Confirmation{}, "t2"
	s.issuer.known.Store(&map[string]verify.Claims{token: known, plain: unbound})
	const target, url = "/opaque/accounts/42", "http://api.bank.example/opaque/accounts/42"
	for range 2 { // asked, and remembered
		for name, c := range map[string]struct {
			header http.Header
			status int
		}{
			"its own key":                {shown("DPoP", token, proof(t, key, "GET", url, token, nil)), 200},
			"D11 another key":            {shown("DPoP", token, proof(t, thief, "GET", url, token, nil)), 401},
			"D12 as Bearer":              {shown("Bearer", token), 401},
			"an unbound one as Bearer":   {shown("Bearer", plain), 200},
			"an unbound one as DPoP":     {shown("DPoP", plain, proof(t, key, "GET", url, plain, nil)), 401},
			"D10 a proof of another one": {shown("DPoP", token, proof(t, key, "GET", url, plain, nil)), 401},
		} {
			if a := s.do(t, "GET", target, c.header, nil); a.status != c.status {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
	}
	if asked := s.issuer.asked.Load(); asked > 8 {
		t.Errorf("the issuer was asked %d times", asked)
	}
}

func TestD14NoncesOfTheGate(t *testing.T) {
	nonces, err := binding.NewNonces(bytes.Repeat([]byte("g"), 32))
	if err != nil {
		t.Fatal(err)
	}
	one, two := build(t, func(c *proxy.Config) { c.Nonces = nonces }), build(t, func(c *proxy.Config) { c.Nonces = nonces })
	two.signer = one.signer
	key := newKey(t)
	one.adopt(t, func(r *recipe.Recipe) {
		r.Proofs.Nonce = true
		r.Clients = map[string]recipe.Client{"spa": {Origins: []string{"https://spa.example"}}}
	})
	token := one.token(t, boundTo(key))
	header := shown("DPoP", token, proof(t, key, "GET", accountURL, token, nil))
	header.Set("Origin", "https://spa.example")
	a := one.do(t, "GET", account, header, nil)
	nonce := a.header.Get("DPoP-Nonce")
	if a.status != 401 || nonce == "" || !strings.Contains(a.header.Get("WWW-Authenticate"), `DPoP realm="garde", error="use_dpop_nonce"`) {
		t.Fatalf("%d %v", a.status, a.header)
	}
	if exposed := a.header.Get("Access-Control-Expose-Headers"); a.header.Get("Access-Control-Allow-Origin") != "https://spa.example" ||
		!strings.Contains(exposed, "DPoP-Nonce") || !strings.Contains(exposed, "WWW-Authenticate") {
		t.Errorf("a script can't read it: %v", a.header)
	}
	one.does(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("DPoP-Nonce", "of the API") })
	a = one.do(t, "GET", account, shown("DPoP", token, proof(t, key, "GET", accountURL, token, prover.Members{"nonce": nonce})), nil)
	if a.status != 200 || !slices.Equal(a.header.Values("DPoP-Nonce"), []string{nonce}) {
		t.Errorf("with the nonce: %d %v", a.status, a.header)
	}
	a = one.do(t, "GET", account, shown("DPoP", token, proof(t, key, "GET", accountURL, token, prover.Members{"nonce": "of the Server"})), nil)
	if a.status != 401 || !strings.Contains(a.body, "use_dpop_nonce") {
		t.Errorf("with another's: %d %s", a.status, a.body)
	}
}

func TestScriptsAskFirst(t *testing.T) {
	s := build(t)
	s.adopt(t, func(r *recipe.Recipe) {
		r.Clients = map[string]recipe.Client{"spa": {Origins: []string{"https://spa.example"}}}
	})
	preflight := func(origin, method string) answered {
		return s.do(t, "OPTIONS", account, http.Header{
			"Origin": {origin}, "Access-Control-Request-Method": {method}, "Access-Control-Request-Headers": {"dpop, authorization, x-fapi-interaction-id, b\\d"},
		}, nil)
	}
	a := preflight("https://spa.example", "GET")
	if allowed := a.header.Get("Access-Control-Allow-Headers"); a.status != 204 || !strings.Contains(allowed, "DPoP") ||
		!strings.Contains(allowed, "x-fapi-interaction-id") || strings.Contains(allowed, `\`) || a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	for name, a := range map[string]answered{
		"another origin": preflight("https://evil.example", "GET"), "another method": preflight("https://spa.example", "DELETE"), "null": preflight("null", "GET"),
	} {
		if a.status == 204 || a.header.Get("Access-Control-Allow-Origin") != "" && name != "another method" {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
	}
	header := bearer(s.token(t, nil))
	header.Set("Origin", "https://spa.example")
	for name, theirs := range map[string]string{"the API says nothing": "", "the API says it itself": "https://spa.example"} {
		s.does(func(w http.ResponseWriter, _ *http.Request) {
			if theirs != "" {
				w.Header().Set("Access-Control-Allow-Origin", theirs)
				w.Header().Set("Access-Control-Expose-Headers", "X-Page")
			}
		})
		a := s.do(t, "GET", account, header, nil)
		exposed := a.header.Values("Access-Control-Expose-Headers")
		if !slices.Equal(a.header.Values("Access-Control-Allow-Origin"), []string{"https://spa.example"}) || len(exposed) != 1 ||
			!strings.Contains(exposed[0], "DPoP-Nonce") || strings.Contains(exposed[0], "X-Page") != (theirs != "") {
			t.Errorf("%s: %v", name, a.header)
		}
	}
}

func TestTheInteractionOfAClientIsEchoed(t *testing.T) {
	s := build(t)
	const id = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"
	for name, token := range map[string]string{"answered": s.token(t, nil), "refused": "x"} {
		s.does(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Fapi-Interaction-Id", "another") })
		a := s.do(t, "GET", account, with(bearer(token), "X-Fapi-Interaction-Id", id), nil)
		if !slices.Equal(a.header.Values("X-Fapi-Interaction-Id"), []string{id}) {
			t.Errorf("%s: %v", name, a.header)
		}
	}
	if a := s.do(t, "GET", account, with(bearer("x"), "X-Fapi-Interaction-Id", "a b"), nil); a.header.Get("X-Fapi-Interaction-Id") != "" {
		t.Error("any text is echoed")
	}
}

func TestTheAPIIsToldWhatWasGrantedInDetail(t *testing.T) {
	s := build(t)
	token := s.token(t, map[string]any{"authorization_details": []map[string]any{{"type": "payment", "to": "Zoë 💶"}}})
	header := bearer(token)
	header.Set("Garde-Authorization-Details", "forged")
	header["Garde_Authorization_Details"] = []string{"forged"}
	a := s.do(t, "GET", account, header, nil)
	got := a.seen.Header.Values("Garde-Authorization-Details")
	if len(got) != 1 || got[0] != `[{"to":"Zo\u00eb \ud83d\udcb6","type":"payment"}]` || a.seen.Header["Garde_authorization_details"] != nil {
		t.Errorf("%d %v", a.status, a.seen.Header)
	}
	for name, details := range map[string]any{
		"no list": map[string]any{"type": "x"}, "no type": []map[string]any{{"a": 1}}, "no objects": []int{1}, "too long": []map[string]any{{"type": strings.Repeat("x", 8000)}},
	} {
		if a := s.get(t, account, s.token(t, map[string]any{"authorization_details": details})); a.status != 401 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
}

func TestD21TokensThatAreBoundToACertificate(t *testing.T) {
	s := build(t, func(c *proxy.Config) { c.CertificatesAsked = true })
	s.adopt(t, func(r *recipe.Recipe) {
		api := r.APIs["accounts"]
		api.Bound = recipe.BoundRequired
		r.APIs["accounts"] = api
	})
	server := httptest.NewUnstartedServer(s.gate)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	mine := server.TLS.Certificates[0]
	leaf, err := x509.ParseCertificate(mine.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	token := s.token(t, map[string]any{"cnf": map[string]any{"x5t#S256": binding.Thumbprint(leaf)}})
	stranger := selfSigned(t)
	for name, c := range map[string]struct {
		certificates []tls.Certificate
		header       http.Header
		status       int
	}{
		"its own certificate":                {[]tls.Certificate{mine}, bearer(token), 200},
		"D21 another certificate":            {[]tls.Certificate{stranger}, bearer(token), 401},
		"D21 no certificate":                 {nil, bearer(token), 401},
		"D18 the certificate in a header":    {nil, with(bearer(token), "Client-Cert", "::"), 401},
		"an unbound token, with one":         {[]tls.Certificate{mine}, bearer(s.token(t, nil)), 401},
		"in the scheme DPoP without a proof": {[]tls.Certificate{mine}, shown("DPoP", token), 401},
	} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
				RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, Certificates: c.certificates, MinVersion: tls.VersionTLS12,
				ServerName: "api.bank.example", InsecureSkipVerify: true,
			}}}
			defer client.CloseIdleConnections()
			r, err := http.NewRequest("GET", server.URL+account, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host, r.Header = host, c.header
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != c.status {
				t.Errorf("status %d", response.StatusCode)
			}
		})
	}
}

// TestEveryStepOfProofHoldsSomething takes each step out and sees what comes through.
func TestEveryStepOfProofHoldsSomething(t *testing.T) {
	key := newKey(t)
	for step, broken := range map[string]func(*set) bool{
		"proof": func(s *set) bool { // nobody is asked for the key any more, not even who has it
			token := s.token(t, boundTo(key))
			return s.do(t, "GET", account, shown("DPoP", token, proof(t, key, "GET", accountURL, token, nil)), nil).status != 200
		},
		"bound": func(s *set) bool {
			s.adopt(t, func(r *recipe.Recipe) {
				api := r.APIs["accounts"]
				api.Bound = recipe.BoundRequired
				r.APIs["accounts"] = api
			})
			return s.get(t, account, s.token(t, nil)).status == 200
		},
		"replay": func(s *set) bool {
			token := s.token(t, boundTo(key))
			header := shown("DPoP", token, proof(t, key, "GET", accountURL, token, nil))
			first, second := s.do(t, "GET", account, header, nil), s.do(t, "GET", account, header, nil)
			return first.status == 200 && second.status == 200
		},
	} {
		if broken(build(t)) {
			t.Errorf("%s: broken in the whole house", step)
		}
		if !broken(build(t, func(c *proxy.Config) { c.Steps = proxy.Standard.Without(step) })) {
			t.Errorf("%s: nothing misses it", step)
		}
	}
}
