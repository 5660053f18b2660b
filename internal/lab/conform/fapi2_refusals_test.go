package conform_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

const par = "pushed_authorization_request_endpoint"

// fapi is a pair of parties of the security profile, by keys, and the house.
func fapi(t testing.TB, profile recipe.Profile) (h *lab.House, p, other *party) {
	t.Helper()
	p = &party{id: "fapi-one", auth: "private_key_jwt", bound: "dpop", profile: profile}
	other = &party{id: "fapi-two", auth: "private_key_jwt", bound: "dpop", profile: profile}
	return newHouse(t, lab.Options{}, p, other), p, other
}

// TestFAPI2Assertions: which assertions prove a client, and which don't, at the doors that a client begins with.
func TestFAPI2Assertions(t *testing.T) {
	h, p, other := fapi(t, recipe.FAPI2Security)
	now := func() int64 { return h.Clock.Now().Unix() }
	for name, row := range map[string]struct {
		twist func(members)
		good  bool
	}{
		"the issuer as a string":                             {func(members) {}, true},
		"nbf and iat are eight seconds ahead":                {func(c members) { c["nbf"], c["iat"] = now()+8, now()+8 }, true},
		"T18 the token endpoint":                             {func(c members) { c["aud"] = p.at("token_endpoint") }, false},
		"T18 the PAR endpoint":                               {func(c members) { c["aud"] = p.at(par) }, false},
		"T18 a list of the issuer":                           {func(c members) { c["aud"] = []string{h.Issuer} }, false},
		"T18 a list of the issuer and an endpoint":           {func(c members) { c["aud"] = []string{h.Issuer, p.at("token_endpoint")} }, false},
		"T18 another server":                                 {func(c members) { c["aud"] = "https://as.example" }, false},
		"nbf is a minute ahead":                              {func(c members) { c["nbf"] = now() + 60 }, false},
		"iat is a minute ahead":                              {func(c members) { c["iat"] = now() + 60 }, false},
		"exp was five minutes ago":                           {func(c members) { c["exp"] = now() - 300 }, false},
		"exp is missing":                                     {func(c members) { delete(c, "exp") }, false},
		"sub is missing":                                     {func(c members) { delete(c, "sub") }, false},
		"iss is missing":                                     {func(c members) { delete(c, "iss") }, false},
		"aud is missing":                                     {func(c members) { delete(c, "aud") }, false},
		"jti is missing":                                     {func(c members) { delete(c, "jti") }, false},
		"iss is another client":                              {func(c members) { c["iss"] = other.id }, false},
		"T19 iss and sub are another client, signed by this": {func(c members) { c["iss"], c["sub"] = other.id, other.id }, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, door := range []string{par, "token_endpoint"} {
				form := p.pushing(t, p.ask("payments.write"))
				if door == "token_endpoint" {
					form = lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
				}
				p.prove(t, form, row.twist)
				reply := p.send(t, door, form, p.key.Show("POST", p.at(door), ""))
				switch {
				case row.good && reply.Status >= 300:
					t.Errorf("%s: %d %s", door, reply.Status, reply.Body)
				case !row.good:
					refused(t, reply, 401, "invalid_client")
				}
				h.Pass(2 * time.Second)
			}
		})
	}
	for name, alg := range map[string]jose.Alg{"RS256 is none of the profile's": jose.RS256, "another key": jose.ES256} {
		t.Run(name, func(t *testing.T) {
			private, err := jose.GenerateKey(alg)
			must(t, err)
			stolen := *p
			stolen.signer = &jose.Signer{KeyID: p.signer.KeyID, Alg: alg, Key: private}
			refused(t, stolen.post(t, par, stolen.pushing(t, p.ask("payments.write"))), 401, "invalid_client")
		})
	}
	t.Run("T17 once at all doors", func(t *testing.T) {
		form := p.pushing(t, p.ask("payments.write"))
		p.prove(t, form, nil)
		if reply := p.send(t, par, form, p.key.Show("POST", p.at(par), "")); reply.Status != 201 {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
		refused(t, p.send(t, par, form, p.key.Show("POST", p.at(par), "")), 401, "invalid_client")
		again := lab.Form("grant_type", "client_credentials", "client_assertion", form.Get("client_assertion"), "client_assertion_type", lab.AssertionType)
		refused(t, p.send(t, "token_endpoint", again, p.key.Show("POST", p.at("token_endpoint"), "")), 401, "invalid_client")
	})
}

// TestPushedRequests: what the PAR endpoint takes, and what it says of the rest.
func TestPushedRequests(t *testing.T) {
	h, p, other := fapi(t, recipe.FAPI2Security)
	alice := h.NewPerson("alice")
	for name, row := range map[string]struct {
		form url.Values
		code string // "": taken
	}{
		"honest":                            {p.ask("payments.write", "client_id", ""), ""},
		"with its client_id in the form":    {p.ask("payments.write"), ""},
		"scopes in another order":           {p.ask("payments.write openid"), ""},
		"an unknown parameter":              {p.ask("payments.write", "foo", "bar"), ""},
		"a state of 128":                    {p.ask("payments.write", "state", strings.Repeat("s", 128)), ""},
		"nonces of 43":                      {p.ask("openid payments.write", "nonce", strings.Repeat("n", 43)), ""},
		"nonces of 64":                      {p.ask("openid payments.write", "nonce", strings.Repeat("n", 64)), ""},
		"nonces of 384":                     {p.ask("openid payments.write", "nonce", strings.Repeat("n", 384)), ""},
		"P08 a request_uri":                 {p.ask("payments.write", "request_uri", "urn:ietf:params:oauth:request_uri:x"), "invalid_request"},
		"C07 no PKCE":                       {p.ask("payments.write", "code_challenge", "", "code_challenge_method", ""), "invalid_request"},
		"C08 plain PKCE":                    {p.ask("payments.write", "code_challenge_method", "plain"), "invalid_request"},
		"C08 PKCE without its method":       {p.ask("payments.write", "code_challenge_method", ""), "invalid_request"},
		"P09 a redirect URI of its own":     {p.ask("payments.write", "redirect_uri", "https://evil.example/cb"), "invalid_request"},
		"no redirect URI":                   {p.ask("payments.write", "redirect_uri", ""), "invalid_request"},
		"no response_type":                  {p.ask("payments.write", "response_type", ""), "invalid_request"},
		"C16 response_type token":           {p.ask("payments.write", "response_type", "token"), "unsupported_response_type"},
		"C16 response_type code id_token":   {p.ask("openid payments.write", "response_type", "code id_token"), "unsupported_response_type"},
		"a scope that it may not have":      {p.ask("ledger.read"), "invalid_scope"},
		"D15 dpop_jkt of another key":       {p.ask("payments.write", "dpop_jkt", other.key.JKT), "invalid_dpop_proof"},
		"dpop_jkt of the proof's key":       {p.ask("payments.write", "dpop_jkt", p.key.JKT), ""},
		"P17 a detail of an unknown type":   {p.ask("payments.write", "authorization_details", `[{"type":"gift"}]`), "invalid_authorization_details"},
		"P17 a member too many":             {p.ask("payments.write", "authorization_details", `[{"type":"payment","amount":1,"x":1}]`), "invalid_authorization_details"},
		"P17 a detail against its schema":   {p.ask("payments.write", "authorization_details", `[{"type":"payment","amount":"1"}]`), "invalid_authorization_details"},
		"P17 no list":                       {p.ask("payments.write", "authorization_details", `{"type":"payment"}`), "invalid_authorization_details"},
		"P17 no JSON":                       {p.ask("payments.write", "authorization_details", `[`), "invalid_authorization_details"},
		"prompt=none beside another":        {p.ask("openid payments.write", "prompt", "none login"), "invalid_request"},
		"max_age is no number":              {p.ask("openid payments.write", "max_age", "soon"), "invalid_request"},
		"claims are no JSON":                {p.ask("openid payments.write", "claims", "{"), "invalid_request"},
		"an unknown resource":               {p.ask("payments.write", "resource", "https://evil.example"), "invalid_target"},
		"a registration that nobody reads":  {p.ask("payments.write", "registration", "{}"), "registration_not_supported"},
		"an unknown response_mode":          {p.ask("payments.write", "response_mode", "web_message"), "invalid_request"},
		"id_token_hint that nobody signed":  {p.ask("openid payments.write", "id_token_hint", "x"), "invalid_request"},
		"T07 a secret beside the assertion": {p.ask("payments.write", "client_secret", "x"), "invalid_request"},
		"P10 a request object that is none": {lab.Form("request", "x.y.z"), "invalid_request_object"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := p.send(t, par, proven(t, p, row.form), p.key.Show("POST", p.at(par), ""))
			if row.code == "" {
				p.pushed(t, reply)
			} else {
				refused(t, reply, 400, row.code)
			}
		})
	}
	t.Run("P02 another client's client_id beside the assertion", func(t *testing.T) {
		form := proven(t, p, p.ask("payments.write", "client_id", other.id))
		refused(t, p.send(t, par, form, ""), 401, "invalid_client")
	})
	t.Run("C26 a parameter twice", func(t *testing.T) {
		form := p.ask("payments.write")
		form.Add("state", "another")
		refused(t, p.send(t, par, proven(t, p, form), ""), 400, "invalid_request")
	})
	t.Run("other methods", func(t *testing.T) {
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH"} {
			if reply := p.h.Through(p.web, lab.Request(method, p.at(par), "")); reply.Status != 405 || reply.Header.Get("Allow") == "" {
				t.Errorf("%s: %d %v", method, reply.Status, reply.Header)
			}
		}
	})
	t.Run("P01 nobody", func(t *testing.T) {
		form := p.ask("payments.write")
		refused(t, p.h.Through(p.web, lab.Request("POST", p.at(par), form.Encode(), "Content-Type", lab.FormType)), 401, "invalid_client")
	})
	t.Run("P05 a request_uri can't be guessed", func(t *testing.T) {
		seen := map[string]bool{}
		for range 20 {
			address := p.push(t, p.ask("payments.write"))
			_, uri, _ := strings.Cut(address, "request_uri=")
			if seen[uri] || len(uri) < 60 {
				t.Fatalf("%s", uri)
			}
			seen[uri] = true
		}
	})
	page := func(t *testing.T, address, code string) {
		t.Helper()
		on := newBrowser(t, h, alice).open(address)
		if on.left != "" || on.status != 400 || on.code() != code {
			t.Errorf("%d %s %s", on.status, on.code(), on.left)
		}
	}
	end := p.at("authorization_endpoint") + "?"
	t.Run("P02 another client's", func(t *testing.T) {
		page(t, strings.Replace(p.push(t, p.ask("payments.write")), p.id, other.id, 1), "invalid_request_uri")
	})
	t.Run("P04 an expired one", func(t *testing.T) {
		address := p.push(t, p.ask("payments.write"))
		h.Pass(2 * time.Minute)
		page(t, address, "invalid_request_uri")
	})
	t.Run("P04 once it has arrived, the person has their time", func(t *testing.T) {
		query := p.ask("openid payments.write", "prompt", "consent")
		address := p.push(t, query)
		b := newBrowser(t, h, alice)
		b.open(address)
		h.Pass(5 * time.Minute)
		p.answered(t, p.pages(t, b, b.open(address)), query)
	})
	t.Run("P07 a plain request", func(t *testing.T) { page(t, end+p.ask("payments.write").Encode(), "invalid_request") })
	t.Run("an unknown one", func(t *testing.T) {
		page(t, end+lab.Form("client_id", p.id, "request_uri", "urn:ietf:params:oauth:request_uri:unknown").Encode(), "invalid_request_uri")
	})
	t.Run("P06 what stands beside it does not count", func(t *testing.T) {
		query := p.ask("payments.write")
		address := p.push(t, query) + "&" + lab.Form("redirect_uri", "https://evil.example/cb", "scope", "accounts.read", "state", "evil",
			"code_challenge", lab.Challenge(strings.Repeat("e", 50)), "response_mode", "fragment").Encode()
		b := newBrowser(t, h, alice)
		sent := p.answered(t, p.pages(t, b, b.open(address)), query)
		if got, _ := p.redeem(t, sent.Get("code"), query); got.Scope != "" && got.Scope != "payments.write" {
			t.Errorf("scope %s", got.Scope)
		}
	})
}

// proven adds the party's proof.
func proven(t testing.TB, p *party, form url.Values) url.Values {
	t.Helper()
	p.prove(t, form, nil)
	return form
}

// TestFAPI2Codes: what a code is good for, and for how long.
func TestFAPI2Codes(t *testing.T) {
	h, p, other := fapi(t, recipe.FAPI2Security)
	alice := h.NewPerson("alice")
	const token = "token_endpoint"
	fresh := func(t *testing.T, more ...string) url.Values {
		t.Helper()
		query := p.ask("openid payments.write", more...)
		return p.redeeming(p.signIn(t, newBrowser(t, h, alice), query).Get("code"), query)
	}
	with := func(form url.Values, name, value string) url.Values {
		if form.Del(name); value != "" {
			form.Set(name, value)
		}
		return form
	}
	t.Run("C09 no verifier", func(t *testing.T) {
		refused(t, p.post(t, token, with(fresh(t), "code_verifier", "")), 400, "invalid_grant")
	})
	t.Run("C10 another verifier", func(t *testing.T) {
		refused(t, p.post(t, token, with(fresh(t), "code_verifier", strings.Repeat("w", 50))), 400, "invalid_grant")
	})
	t.Run("C04 another client", func(t *testing.T) { refused(t, other.post(t, token, fresh(t)), 400, "invalid_grant") })
	t.Run("C06 another redirect URI", func(t *testing.T) {
		refused(t, p.post(t, token, with(fresh(t), "redirect_uri", "https://evil.example/")), 400, "invalid_grant")
	})
	t.Run("no proof of a key", func(t *testing.T) { refused(t, p.send(t, token, fresh(t), ""), 400, "invalid_grant") })
	t.Run("D15 a proof of another key than the request's", func(t *testing.T) {
		refused(t, p.send(t, token, fresh(t), h.NewKey().Show("POST", p.at(token), "")), 400, "invalid_grant")
	})
	t.Run("a minute later", func(t *testing.T) {
		form := fresh(t)
		h.Pass(61 * time.Second)
		refused(t, p.post(t, token, form), 400, "invalid_grant")
	})
	t.Run("C02 a second use half a minute later kills what it gave", func(t *testing.T) {
		form := fresh(t)
		got := p.given(t, p.post(t, token, form))
		h.Pass(31 * time.Second)
		refused(t, p.post(t, token, form), 400, "invalid_grant")
		h.Within(time.Second, "the access token is dead", func() bool {
			return p.call(t, "GET", h.GateURL+"/payments/it", got.AccessToken).Status == http.StatusUnauthorized
		})
		refused(t, p.post(t, token, lab.Form("grant_type", "refresh_token", "refresh_token", got.RefreshToken)), 400, "invalid_grant")
	})
	t.Run("the refresh token: its client alone, with a new key, again and again", func(t *testing.T) {
		got := p.given(t, p.post(t, token, fresh(t)))
		form := lab.Form("grant_type", "refresh_token", "refresh_token", got.RefreshToken)
		refused(t, other.post(t, token, form), 400, "invalid_grant")
		form.Set("client_id", p.id)
		refused(t, p.h.Through(p.web, lab.Request("POST", p.at(token), form.Encode(), "Content-Type", lab.FormType)), 401, "invalid_client")
		form.Del("client_id")
		changed := *p
		changed.key = h.NewKey()
		for range 2 {
			h.Pass(31 * time.Second)
			changed.given(t, changed.post(t, token, form))
		}
		refused(t, p.send(t, token, form, ""), 400, "invalid_dpop_proof")
	})
	t.Run("D16 a client's own token without a proof", func(t *testing.T) {
		refused(t, p.send(t, token, lab.Form("grant_type", "client_credentials", "scope", "accounts.read"), ""), 400, "invalid_dpop_proof")
	})
}

// TestFAPI2TLS (FAPI 2.0 Security Profile section 5.2): 1.2 with four suites at least, better 1.3, at every listener.
func TestFAPI2TLS(t *testing.T) {
	h, _, _ := fapi(t, recipe.FAPI2Security)
	for name, address := range map[string]string{"Server": h.Issuer, "mTLS": h.MTLSURL, "Gate": h.GateURL} {
		at := strings.TrimPrefix(address, "https://")
		dial := func(settings *tls.Config) (tls.ConnectionState, error) {
			settings.RootCAs = h.Authority.Pool()
			conn, err := tls.Dial("tcp", at, settings)
			if err != nil {
				return tls.ConnectionState{}, err
			}
			defer func() { _ = conn.Close() }()
			return conn.ConnectionState(), nil
		}
		t.Run(name, func(t *testing.T) {
			if state, err := dial(&tls.Config{MinVersion: tls.VersionTLS12}); err != nil || state.Version != tls.VersionTLS13 {
				t.Errorf("1.3 is not preferred: %x %v", state.Version, err)
			}
			for _, old := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
				if _, err := dial(&tls.Config{MinVersion: old, MaxVersion: old}); err == nil {
					t.Errorf("version %x is spoken", old)
				}
			}
			for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
				if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
					continue
				}
				good := strings.HasPrefix(suite.Name, "TLS_ECDHE_") && (strings.Contains(suite.Name, "_GCM_") || strings.Contains(suite.Name, "CHACHA20"))
				_, err := dial(&tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
				if err == nil && !good || err != nil && good && strings.Contains(suite.Name, "ECDSA") {
					t.Errorf("%s: %v", suite.Name, err)
				}
			}
		})
	}
}

// TestMutualTLS (RFC 8705): whose certificate proves a client, and whose does not.
func TestMutualTLS(t *testing.T) {
	named := &party{id: "mtls-named", auth: "tls_client_auth", bound: "mtls", profile: recipe.FAPI2Security}
	second := &party{id: "mtls-second", auth: "tls_client_auth", bound: "mtls", profile: recipe.FAPI2Security}
	own := &party{id: "mtls-own", auth: "self_signed_tls_client_auth", bound: "mtls", profile: recipe.FAPI2Security}
	h := newHouse(t, lab.Options{}, named, second, own)
	form := func() url.Values { return lab.Form("grant_type", "client_credentials", "scope", "accounts.read") }
	show := func(p *party, cert *tls.Certificate, endpoint string) lab.Reply {
		with := form()
		with.Set("client_id", p.id)
		return h.Through(h.With(cert), lab.Request("POST", endpoint, with.Encode(), "Content-Type", lab.FormType))
	}
	foreign := lab.NewAuthority(t, "another authority").Client(pkix.Name{CommonName: named.id}, nil)
	expired := h.Callers.Client(pkix.Name{CommonName: named.id}, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	})
	longer := h.Callers.Client(pkix.Name{CommonName: named.id, Organization: []string{"Evil"}}, nil)
	asServer := h.Authority.Client(pkix.Name{CommonName: named.id}, nil)
	forged := lab.SelfSigned(t, pkix.Name{CommonName: own.id})
	for name, row := range map[string]struct {
		p    *party
		cert *tls.Certificate
		good bool
	}{
		"the client's own":              {named, named.cert, true},
		"the client's own, self-signed": {own, own.cert, true},
		"none":                          {named, nil, false},
		"none, self-signed":             {own, nil, false},
		"another client's":              {named, second.cert, false},
		"D20 of another authority, under the same name":    {named, &foreign, false},
		"D20 of the server's own authority":                {named, &asServer, false},
		"D20 self-signed under the same name":              {own, &forged, false},
		"expired":                                          {named, &expired, false},
		"with more in its name":                            {named, &longer, false},
		"the self-signed one of a client with another way": {named, own.cert, false},
	} {
		t.Run(name, func(t *testing.T) {
			reply := show(row.p, row.cert, row.p.at("token_endpoint"))
			if row.good {
				row.p.given(t, reply)
			} else {
				refused(t, reply, 401, "invalid_client")
			}
			h.Pass(2 * time.Second)
		})
	}
	t.Run("at the address without certificates nobody is believed", func(t *testing.T) {
		refused(t, show(named, named.cert, h.Issuer+"/token"), 401, "invalid_client")
	})
	t.Run("D18 D19 headers that speak of a certificate", func(t *testing.T) {
		with := form()
		with.Set("client_id", named.id)
		for _, header := range []string{"Client-Cert", "X-Client-Cert", "X-SSL-Cert", "Ssl-Client-Cert", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert"} {
			for _, at := range []string{h.Issuer + "/token", named.at("token_endpoint")} {
				refused(t, h.Through(h.With(nil), lab.Request("POST", at, with.Encode(), "Content-Type", lab.FormType,
					header, ":"+fmt.Sprintf("%x", named.cert.Certificate[0])+":")), 401, "invalid_client")
			}
		}
	})
	t.Run("D21 a token and another's certificate", func(t *testing.T) {
		alice := h.NewPerson("alice")
		query := named.ask("openid payments.write")
		got, _ := named.redeem(t, named.signIn(t, newBrowser(t, h, alice), query).Get("code"), query)
		for _, address := range []string{h.GateURL + "/payments/it", named.at("userinfo_endpoint")} {
			if reply := named.call(t, "GET", address, got.AccessToken); reply.Status != 200 && !strings.Contains(address, "userinfo") {
				t.Errorf("%s: %d %s", address, reply.Status, reply.Body)
			}
			if reply := second.call(t, "GET", address, got.AccessToken); reply.Status != 401 || reply.Code() != "invalid_token" {
				t.Errorf("%s: %d %s", address, reply.Status, reply.Body)
			}
		}
		refused(t, second.post(t, "token_endpoint", lab.Form("grant_type", "refresh_token", "refresh_token", got.RefreshToken)), 400, "invalid_grant")
	})
	t.Run("no page stands at the address for certificates", func(t *testing.T) {
		for _, path := range []string{"/authorize", "/signin", "/account", "/logout", "/consent"} {
			if reply := h.Through(h.With(named.cert), lab.Request("GET", h.MTLSURL+path, "")); reply.Status != 404 {
				t.Errorf("%s: %d", path, reply.Status)
			}
		}
	})
}
