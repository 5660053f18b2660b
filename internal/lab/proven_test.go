package lab_test

import (
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestProofsAtTheDoorsOfTheServer: each row at the token endpoint and at userinfo.
func TestProofsAtTheDoorsOfTheServer(t *testing.T) {
	h := lab.New(t, lab.Options{})
	key, thief, alice := h.NewKey(), h.NewKey(), h.NewPerson("alice")
	form := lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
	atToken := func(proofs ...string) lab.Reply {
		headers := h.Prove(lab.Job, form)
		for _, proof := range proofs {
			headers = append(headers, "DPoP", proof)
		}
		return h.Post("/token", form, append(headers, "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https")...)
	}
	code := h.Code(alice, lab.Plant{}).Form()
	reply := h.Post("/token", code, append(h.Prove(lab.WebA, code), "DPoP", key.Show("POST", h.Issuer+"/token", ""))...)
	granted(t, reply)
	access := reply.Text("access_token")
	atUserInfo := func(scheme string, proofs ...string) lab.Reply {
		headers := []string{"Authorization", scheme + " " + access, "X-Forwarded-Host", "evil.example"}
		for _, proof := range proofs {
			headers = append(headers, "DPoP", proof)
		}
		return h.Get("/userinfo", headers...)
	}
	now := h.Clock.Now().Unix()
	for name, c := range map[string]struct{ header, claims prover.Members }{
		"D01 RS256 named, ES256 signed": {header: prover.Members{"alg": "RS256"}},
		"D01 none":                      {header: prover.Members{"alg": "none"}},
		"D02 no typ":                    {header: prover.Members{"typ": nil}},
		"D02 typ JWT":                   {header: prover.Members{"typ": "JWT"}},
		"D03 no jti":                    {claims: prover.Members{"jti": nil}},
		"D03 no htm":                    {claims: prover.Members{"htm": nil}},
		"D03 no htu":                    {claims: prover.Members{"htu": nil}},
		"D03 no iat":                    {claims: prover.Members{"iat": nil}},
		"D05 another path":              {claims: prover.Members{"htu": h.Issuer + "/Token"}},
		"D06 the forwarded host":        {claims: prover.Members{"htu": "https://evil.example/token"}},
		"D07 another method":            {claims: prover.Members{"htm": "post"}},
		"D09 old":                       {claims: prover.Members{"iat": now - 600}},
		"D09 ahead":                     {claims: prover.Members{"iat": now + 600}},
		"D13 no key":                    {header: prover.Members{"jwk": nil}},
		"D13 another key":               {header: prover.Members{"jwk": thief.JWK}},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, atToken(key.With(c.header, "POST", h.Issuer+"/token", "", c.claims)), 400, "invalid_dpop_proof")
			refused(t, atUserInfo("DPoP", key.With(c.header, "GET", h.Issuer+"/userinfo", access, c.claims)), 401, "invalid_dpop_proof")
		})
	}
	t.Run("D04 two proofs", func(t *testing.T) {
		refused(t, atToken(key.Show("POST", h.Issuer+"/token", ""), key.Show("POST", h.Issuer+"/token", "")), 400, "invalid_dpop_proof")
		refused(t, atUserInfo("DPoP", key.Show("GET", h.Issuer+"/userinfo", access), key.Show("GET", h.Issuer+"/userinfo", access)), 401, "invalid_dpop_proof")
	})
	t.Run("D08 the same proof twice", func(t *testing.T) {
		proof := key.Show("POST", h.Issuer+"/token", "")
		granted(t, atToken(proof))
		refused(t, atToken(proof), 400, "invalid_dpop_proof")
		proof = key.Show("GET", h.Issuer+"/userinfo", access)
		granted(t, atUserInfo("dpop", proof))
		refused(t, atUserInfo("DPoP", proof), 401, "invalid_dpop_proof")
	})
	t.Run("D08 a proof of which nothing came is not remembered, and of many callers with one one wins", func(t *testing.T) {
		proof := key.Show("POST", h.Issuer+"/token", "")
		junk := lab.Form("grant_type", "authorization_code", "code", iam.NewSecret(iam.PrefixCode), "code_verifier", lab.Verifier)
		for range 3 {
			refused(t, h.Post("/token", junk, append(h.Prove(lab.WebA, junk), "DPoP", proof)...), 400, "invalid_grant")
		}
		if said := lab.Together(20, func(int) string { return atToken(proof).Says() }); said["ok"] != 1 || said["invalid_dpop_proof"] != 19 {
			t.Errorf("%v", said)
		}
	})
	t.Run("the interaction of a client is echoed, also in a refusal", func(t *testing.T) {
		const id = "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"
		for _, value := range []string{"Bearer x", "DPoP " + access} {
			reply := h.Get("/userinfo", "Authorization", value, "DPoP", key.Show("GET", h.Issuer+"/userinfo", access), "X-Fapi-Interaction-Id", id)
			if reply.Header.Get("X-Fapi-Interaction-Id") != id {
				t.Errorf("%s: %v", value, reply.Header)
			}
		}
	})
	t.Run("D10 D11 D12 at userinfo", func(t *testing.T) {
		place := h.Issuer + "/userinfo"
		refused(t, atUserInfo("DPoP", key.Show("GET", place, "")), 401, "invalid_dpop_proof")
		refused(t, atUserInfo("DPoP", key.Show("GET", place, "another")), 401, "invalid_dpop_proof")
		refused(t, atUserInfo("DPoP", thief.Show("GET", place, access)), 401, "invalid_token")
		refused(t, atUserInfo("DPoP"), 401, "invalid_dpop_proof")
		refused(t, atUserInfo("Bearer"), 401, "invalid_token")
		reply := atUserInfo("bearer", key.Show("GET", place, access))
		refused(t, reply, 401, "invalid_token")
		if challenges := strings.Join(reply.Header.Values("WWW-Authenticate"), "; "); !strings.Contains(challenges, `; DPoP realm="garde", algs="ES256 `) {
			t.Errorf("the challenges: %s", challenges)
		}
	})
}

// TestD14NoncesOfTheServer: all nodes give and take the same, and none of the Gate's.
func TestD14NoncesOfTheServer(t *testing.T) {
	h := lab.New(t, lab.Options{Engine: lab.Postgres, Nodes: 2, Gate: true, Recipe: func(r *recipe.Recipe) {
		r.Proofs.Nonce, r.Proofs.Shared = true, true
	}})
	key := h.NewKey()
	form := lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
	ask := func(node *lab.Node, claims prover.Members) lab.Reply {
		headers := append(h.Prove(lab.Job, form), "DPoP", key.With(nil, "POST", h.Issuer+"/token", "", claims), "Origin", lab.Origin)
		return node.Post("/token", form, headers...)
	}
	first := ask(h.Nodes[0], nil)
	refused(t, first, 400, "use_dpop_nonce")
	nonce := first.Nonce()
	if nonce == "" || !strings.Contains(first.Header.Get("Access-Control-Expose-Headers"), "DPoP-Nonce") {
		t.Fatalf("no nonce that a script can read: %v", first.Header)
	}
	good := ask(h.Nodes[1], prover.Members{"nonce": nonce})
	granted(t, good)
	refused(t, ask(h.Nodes[0], prover.Members{"nonce": "of somebody else"}), 400, "use_dpop_nonce")
	access := good.Text("access_token")
	refusedByGate := h.Raw(lab.Request("GET", "/accounts/balance", "", "Authorization", "DPoP "+access, "DPoP",
		key.With(nil, "GET", h.GateURL+"/accounts/balance", access, prover.Members{"nonce": nonce})))
	if refusedByGate.Status != 401 || refusedByGate.Code() != "use_dpop_nonce" {
		t.Errorf("D14 at the Gate: %d %s", refusedByGate.Status, refusedByGate.Body)
	}
	if other := refusedByGate.Nonce(); other == "" || other == nonce {
		t.Errorf("the Gate gives %q", other)
	}
	refused(t, ask(h.Nodes[0], prover.Members{"nonce": refusedByGate.Nonce()}), 400, "use_dpop_nonce")
	t.Run("D08 a proof that another node saw", func(t *testing.T) {
		same := prover.Members{"nonce": nonce, "jti": "once for all"}
		granted(t, ask(h.Nodes[0], same))
		refused(t, ask(h.Nodes[1], same), 400, "invalid_dpop_proof")
	})
}

// certified is a house with an address for clients with certificates.
func certified(t *testing.T, change func(*config.Node)) (*lab.House, string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	at := free.Addr().String()
	must(t, free.Close())
	h := lab.New(t, lab.Options{TLS: true, Settings: func(node *config.Node) {
		node.MTLS = config.MTLS{Listen: at, URL: "https://" + at}
		change(node)
	}, Recipe: func(r *recipe.Recipe) {
		client := r.Clients[lab.WebA]
		client.TLSBound = true
		r.Clients[lab.WebA] = client
	}})
	return h, "https://" + at
}

// ask sends a request by a client of its own.
func ask(t *testing.T, client *http.Client, method, place string, form url.Values, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, place, strings.NewReader(form.Encode()))
	must(t, err)
	if form != nil {
		headers = append(headers, "Content-Type", lab.FormType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	answer, err := client.Do(r)
	must(t, err)
	_, _ = io.Copy(io.Discard, answer.Body)
	must(t, answer.Body.Close())
	return answer
}

// TestCertificatesAtTheDoorsOfTheServer: RFC 8705 section 3, on a listener of its own.
func TestCertificatesAtTheDoorsOfTheServer(t *testing.T) {
	h, at := certified(t, func(*config.Node) {})
	own, other := lab.SelfSigned(t, pkix.Name{CommonName: "own"}), lab.SelfSigned(t, pkix.Name{CommonName: "other"})
	alice := h.NewPerson("alice")
	redeem := func(client *http.Client, where string, headers ...string) (string, int) {
		code := h.Code(alice, lab.Plant{}).Form()
		headers = append(headers, h.Prove(lab.WebA, code)...)
		r, err := http.NewRequest("POST", where+"/token", strings.NewReader(code.Encode()))
		must(t, err)
		r.Header.Set("Content-Type", lab.FormType)
		for i := 0; i+1 < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		answer, err := client.Do(r)
		must(t, err)
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		must(t, err)
		var said struct {
			Access string `json:"access_token"`
		}
		must(t, json.Unmarshal(body, &said))
		return said.Access, answer.StatusCode
	}
	access, status := redeem(h.With(&own), at)
	if _, claims := peek(t, access); status != 200 || claims["cnf"].(map[string]any)["x5t#S256"] != binding.Thumbprint(own.Leaf) {
		t.Fatalf("%d %v", status, claims)
	}
	spoof := []string{
		"Client-Cert", ":" + base64.StdEncoding.EncodeToString(own.Leaf.Raw) + ":", "X-Client-Cert", "x", "Ssl-Client-Cert", "x",
		"X-Forwarded-Client-Cert", "Hash=x", "X-Client-Cert", "y",
	}
	for name, c := range map[string]struct {
		certificate *tls.Certificate
		at          string
		headers     []string
		status      int
	}{
		"its own certificate":                    {&own, at, nil, 200},
		"D21 another certificate":                {&other, at, nil, 401},
		"D21 none":                               {nil, at, nil, 401},
		"D21 where nobody asks for certificates": {&own, h.Issuer, nil, 401},
		"D18 the certificate in every header":    {nil, at, spoof, 401},
		"D19 and beside another":                 {&other, at, spoof, 401},
	} {
		t.Run(name, func(t *testing.T) {
			headers := append([]string{"Authorization", "Bearer " + access}, c.headers...)
			if answer := ask(t, h.With(c.certificate), "GET", c.at+"/userinfo", nil, headers...); answer.StatusCode != c.status {
				t.Errorf("%d %v", answer.StatusCode, answer.Header)
			}
		})
	}
	t.Run("a client that is registered for it gets nothing without", func(t *testing.T) {
		if _, status := redeem(h.With(nil), at); status != 400 {
			t.Errorf("%d", status)
		}
		if _, status := redeem(h.With(nil), at, spoof...); status != 400 {
			t.Errorf("D18 %d", status)
		}
	})
	t.Run("D22 each address has its own name", func(t *testing.T) {
		r, err := http.NewRequest("GET", at+"/jwks", nil)
		must(t, err)
		r.Host = strings.TrimPrefix(h.Issuer, "https://")
		answer, err := h.With(nil).Do(r)
		must(t, err)
		must(t, answer.Body.Close())
		if answer.StatusCode != 421 {
			t.Errorf("%d", answer.StatusCode)
		}
	})
	t.Run("no page stands there", func(t *testing.T) {
		for _, path := range []string{"/authorize", "/signin", "/account"} {
			if answer := ask(t, h.With(nil), "GET", at+path, nil); answer.StatusCode != 404 {
				t.Errorf("%s: %d", path, answer.StatusCode)
			}
		}
	})
	t.Run("a proof may name either address", func(t *testing.T) {
		key, form := h.NewKey(), lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
		for where, status := range map[string]int{h.Issuer: 200, at: 200, "https://evil.example": 400} {
			headers := append(h.Prove(lab.Job, form), "DPoP", key.Show("POST", where+"/token", ""))
			if answer := ask(t, h.With(nil), "POST", at+"/token", form, headers...); answer.StatusCode != status {
				t.Errorf("%s: %d", where, answer.StatusCode)
			}
		}
	})
}

// TestForwardedCertificatesAtTheDoorsOfTheServer: behind a proxy that ends TLS.
func TestForwardedCertificatesAtTheDoorsOfTheServer(t *testing.T) {
	h, _ := certified(t, func(node *config.Node) {
		node.MTLS = config.MTLS{URL: "https://mtls.example.com"}
		node.Shown = config.Shown{Header: "Client-Cert", Format: "rfc9440"}
		node.Proxies = []string{"127.0.0.0/8"}
	})
	own := lab.SelfSigned(t, pkix.Name{CommonName: "own"})
	forwarded := ":" + base64.StdEncoding.EncodeToString(own.Leaf.Raw) + ":"
	for name, c := range map[string]struct {
		headers []string
		status  int
	}{
		"forwarded":                {[]string{"Client-Cert", forwarded}, 200},
		"none":                     {nil, 400},
		"D18 doubled":              {[]string{"Client-Cert", forwarded, "Client-Cert", forwarded}, 400},
		"D18 another header":       {[]string{"X-Client-Cert", forwarded}, 400},
		"D18 with an underscore":   {[]string{"Client_Cert", forwarded}, 400},
		"D18 something else there": {[]string{"Client-Cert", "own"}, 400},
	} {
		t.Run(name, func(t *testing.T) {
			for host, want := range map[string]int{"mtls.example.com": c.status, "": 400} { // D19: nowhere else
				code := h.Code(h.NewPerson("alice"), lab.Plant{}).Form()
				headers := append(h.Prove(lab.WebA, code), "Content-Type", lab.FormType)
				r := lab.Request(http.MethodPost, "/token", code.Encode(), append(headers, c.headers...)...)
				r.Host = host
				if reply := h.Do(r); reply.Status != want {
					t.Errorf("at %q: %d %s", host, reply.Status, reply.Body)
				}
			}
		})
	}
}
