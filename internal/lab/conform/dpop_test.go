package conform_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// proofs are those that a judge must take, and those that it must refuse, for a request of a method to an address with a
// token, or with none.
type proofs struct {
	t                   *testing.T
	key                 *lab.Key
	method, at, token   string
	secure, host, local string // parts of at
}

func (p proofs) with(header, claims prover.Members) string {
	return p.key.With(header, p.method, p.at, p.token, claims)
}

func (p proofs) good() map[string]string {
	now := p.key.Now().Unix()
	return map[string]string{
		"plain":                        p.with(nil, nil),
		"D05 htu with a query":         p.with(nil, prover.Members{"htu": p.at + "?a=b"}),
		"D05 htu with a fragment":      p.with(nil, prover.Members{"htu": p.at + "#x"}),
		"D05 scheme and host in upper": p.with(nil, prover.Members{"htu": "HTTPS://" + strings.ToUpper(p.host) + p.local}),
		"D09 iat ten seconds ago":      p.with(nil, prover.Members{"iat": now - 10}),
		"D09 iat ten seconds ahead":    p.with(nil, prover.Members{"iat": now + 9}),
		"more members in the header":   p.with(prover.Members{"x": "y"}, nil),
		"more claims":                  p.with(nil, prover.Members{"x": "y", "iss": "me", "nbf": now - 5}),
		"ath where there is no token":  p.with(nil, prover.Members{"ath": prover.Ath(p.token)}),
	}
}

func (p proofs) bad() map[string]string {
	now := p.key.Now().Unix()
	private, err := jose.GenerateKey(jose.ES256)
	must(p.t, err)
	parts := strings.Split(p.with(nil, nil), ".")
	other := strings.Split(p.key.With(nil, p.method, p.at, p.token, prover.Members{"jti": "another"}), ".")
	var jwk map[string]any
	must(p.t, json.Unmarshal(p.key.JWK, &jwk))
	jwk["d"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	weak, err := prover.Of(jose.ES256, private)
	must(p.t, err)
	symmetric := prover.Members{"alg": "HS256", "jwk": map[string]any{"kty": "oct", "k": "c2VjcmV0"}}
	bad := map[string]string{
		"not a JWT":                "hello",
		"an empty one":             "",
		"D02 no typ":               p.with(prover.Members{"typ": nil}, nil),
		"D02 typ JWT":              p.with(prover.Members{"typ": "JWT"}, nil),
		"D01 no alg":               p.with(prover.Members{"alg": nil}, nil),
		"D01 alg none":             p.with(prover.Members{"alg": "none"}, nil),
		"D01 HS256":                p.with(symmetric, nil),
		"RS256":                    p.with(prover.Members{"alg": "RS256"}, nil),
		"no jwk":                   p.with(prover.Members{"jwk": nil}, nil),
		"D13 a private key in jwk": p.with(prover.Members{"jwk": jwk}, nil),
		"a key that did not sign":  p.with(prover.Members{"jwk": weak.JWK}, nil),
		"a bad signature":          parts[0] + "." + parts[1] + "." + other[2],
		"D03 no jti":               p.with(nil, prover.Members{"jti": nil}),
		"D03 no htm":               p.with(nil, prover.Members{"htm": nil}),
		"D03 no htu":               p.with(nil, prover.Members{"htu": nil}),
		"D03 no iat":               p.with(nil, prover.Members{"iat": nil}),
		"D07 htm PUT":              p.with(nil, prover.Members{"htm": "PUT"}),
		"D07 htm in lower case":    p.with(nil, prover.Members{"htm": strings.ToLower(p.method)}),
		"D05 htu of another path":  p.with(nil, prover.Members{"htu": p.at + "x"}),
		"D05 htu in another case":  p.with(nil, prover.Members{"htu": p.secure + p.host + strings.ToUpper(p.local)}),
		"D05 htu of another host":  p.with(nil, prover.Members{"htu": p.secure + "evil.example" + p.local}),
		"D05 htu in clear":         p.with(nil, prover.Members{"htu": "http://" + p.host + p.local}),
		"D09 iat an hour ago":      p.with(nil, prover.Members{"iat": now - 3600}),
		"D09 iat an hour ahead":    p.with(nil, prover.Members{"iat": now + 3600}),
		"exp that has passed":      p.with(nil, prover.Members{"iat": now - 50, "exp": now - 40}),
		"a crit that nobody knows": p.with(prover.Members{"crit": []string{"x"}, "x": "y"}, nil),
	}
	if p.token != "" {
		bad["D10 no ath"] = p.with(nil, prover.Members{"ath": nil})
		bad["D10 ath of another token"] = p.with(nil, prover.Members{"ath": prover.Ath("another")})
	}
	return bad
}

func newProofs(t *testing.T, key *lab.Key, method, at, token string) proofs {
	host, path, _ := strings.Cut(strings.TrimPrefix(at, "https://"), "/")
	return proofs{t, key, method, at, token, "https://", host, "/" + path}
}

// TestDPoPAtTheServer judges proofs at the doors that give tokens (RFC 9449 sections 4.3 and 5).
func TestDPoPAtTheServer(t *testing.T) {
	h, p, _ := fapi(t, recipe.FAPI2Security)
	for door, form := range map[string]func() map[string][]string{
		par: func() map[string][]string { return p.ask("payments.write") },
		"token_endpoint": func() map[string][]string {
			return lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
		},
	} {
		all := newProofs(t, p.key, "POST", p.at(door), "")
		status := map[bool]int{true: http.StatusCreated, false: http.StatusOK}[door == par]
		for name, proof := range all.good() {
			t.Run(door+": "+name, func(t *testing.T) {
				if reply := p.send(t, door, proven(t, p, form()), proof); reply.Status != status {
					t.Errorf("%d %s", reply.Status, reply.Body)
				}
			})
		}
		for name, proof := range all.bad() {
			t.Run(door+": "+name, func(t *testing.T) {
				headers := []string{"Content-Type", lab.FormType, "DPoP", proof}
				refused(t, h.Through(p.web, lab.Request("POST", p.at(door), proven(t, p, form()).Encode(), headers...)), 400, "invalid_dpop_proof")
			})
		}
		t.Run(door+": D04 two headers", func(t *testing.T) {
			reply := h.Through(p.web, lab.Request("POST", p.at(door), proven(t, p, form()).Encode(), "Content-Type", lab.FormType,
				"DPoP", all.with(nil, nil), "DPoP", all.with(nil, nil)))
			refused(t, reply, 400, "invalid_dpop_proof")
		})
		t.Run(door+": D08 the same one twice", func(t *testing.T) {
			proof := all.with(nil, nil)
			if reply := p.send(t, door, proven(t, p, form()), proof); reply.Status != status {
				t.Fatalf("%d %s", reply.Status, reply.Body)
			}
			refused(t, p.send(t, door, proven(t, p, form()), proof), 400, "invalid_dpop_proof")
		})
	}
}

// TestDPoPAtResources judges proofs where tokens are shown: at userinfo, and at the Gate (RFC 9449 section 7).
func TestDPoPAtResources(t *testing.T) {
	h, p, other := fapi(t, recipe.FAPI2Security)
	alice := h.NewPerson("alice")
	query := p.ask("openid payments.write")
	got, _ := p.redeem(t, p.signIn(t, newBrowser(t, h, alice), query).Get("code"), query)
	user := p.ask("openid profile")
	mine, _ := p.redeem(t, p.signIn(t, newBrowser(t, h, alice), user).Get("code"), user)
	for door, row := range map[string]struct{ at, token string }{
		"Gate": {h.GateURL + "/payments/it", got.AccessToken}, "userinfo": {p.at("userinfo_endpoint"), mine.AccessToken},
	} {
		all := newProofs(t, p.key, "GET", row.at, row.token)
		show := func(scheme, token string, proofs ...string) lab.Reply {
			headers := []string{"Authorization", scheme + " " + token}
			for _, proof := range proofs {
				headers = append(headers, "DPoP", proof)
			}
			return h.Through(p.web, lab.Request("GET", row.at, "", headers...))
		}
		told := func(t *testing.T, reply lab.Reply, code string) {
			t.Helper()
			challenge := strings.Join(reply.Header.Values("WWW-Authenticate"), ", ")
			if reply.Status != 401 || reply.Code() != code || !strings.Contains(challenge, "DPoP") || !strings.Contains(challenge, `error="`+code+`"`) ||
				!strings.Contains(challenge, "algs=") {
				t.Errorf("%d %s, WWW-Authenticate %s, want %s", reply.Status, reply.Body, challenge, code)
			}
		}
		for name, proof := range all.good() {
			t.Run(door+": "+name, func(t *testing.T) {
				if reply := show("DPoP", row.token, proof); reply.Status != 200 {
					t.Errorf("%d %s", reply.Status, reply.Body)
				}
			})
		}
		for _, scheme := range []string{"dpop", "DPOP", "dPoP"} {
			t.Run(door+": the scheme written "+scheme, func(t *testing.T) {
				if reply := show(scheme, row.token, all.with(nil, nil)); reply.Status != 200 {
					t.Errorf("%d %s", reply.Status, reply.Body)
				}
			})
		}
		for name, proof := range all.bad() {
			t.Run(door+": "+name, func(t *testing.T) { told(t, show("DPoP", row.token, proof), "invalid_dpop_proof") })
		}
		t.Run(door+": no proof", func(t *testing.T) { told(t, show("DPoP", row.token), "invalid_dpop_proof") })
		t.Run(door+": D04 two proofs", func(t *testing.T) {
			told(t, show("DPoP", row.token, all.with(nil, nil), all.with(nil, nil)), "invalid_dpop_proof")
		})
		t.Run(door+": D11 another's key", func(t *testing.T) {
			told(t, show("DPoP", row.token, other.key.Show("GET", row.at, row.token)), "invalid_token")
		})
		t.Run(door+": D12 as Bearer with its proof", func(t *testing.T) {
			if reply := show("Bearer", row.token, all.with(nil, nil)); reply.Status != 401 || reply.Code() != "invalid_token" {
				t.Errorf("%d %s", reply.Status, reply.Body)
			}
		})
		t.Run(door+": D08 the same proof twice", func(t *testing.T) {
			proof := all.with(nil, nil)
			if reply := show("DPoP", row.token, proof); reply.Status != 200 {
				t.Fatalf("%d %s", reply.Status, reply.Body)
			}
			told(t, show("DPoP", row.token, proof), "invalid_dpop_proof")
		})
		t.Run(door+": headers of FAPI do no harm", func(t *testing.T) {
			reply := h.Through(p.web, lab.Request("GET", row.at, "", "Authorization", "DPoP "+row.token, "DPoP", all.with(nil, nil),
				"X-Fapi-Interaction-Id", "c770aef3-6784-41f7-8e0e-ff5f97bddb3a", "X-Fapi-Auth-Date", "Sun, 10 Sep 2017 19:43:31 UTC",
				"X-Fapi-Customer-Ip-Address", "198.51.100.119", "Accept", "application/json;charset=utf-8"))
			if reply.Status != 200 {
				t.Errorf("%d %s", reply.Status, reply.Body)
			}
		})
	}
}

// TestDPoPNonces (D14, RFC 9449 sections 8 and 9): a fresh one with each refusal, one try more, and none of another house.
func TestDPoPNonces(t *testing.T) {
	p := &party{id: "fapi-one", auth: "private_key_jwt", bound: "dpop", profile: recipe.FAPI2Security}
	h := newHouse(t, lab.Options{Recipe: func(r *recipe.Recipe) { r.Proofs.Nonce = true }}, p)
	alice := h.NewPerson("alice")
	query := p.ask("openid payments.write")
	got, _ := p.redeem(t, p.signIn(t, newBrowser(t, h, alice), query).Get("code"), query) // by one retry each
	form := func() map[string][]string {
		return lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
	}
	token, it := p.at("token_endpoint"), h.GateURL+"/payments/it"
	first := p.send(t, "token_endpoint", proven(t, p, form()), p.key.Show("POST", token, ""))
	refused(t, first, 400, "use_dpop_nonce")
	if first.Nonce() == "" {
		t.Fatal("the refusal brings no nonce")
	}
	at := func(value string) lab.Reply {
		return p.send(t, "token_endpoint", proven(t, p, form()), p.key.With(nil, "POST", token, "", prover.Members{"nonce": value}))
	}
	call := func(value string) lab.Reply {
		return h.Through(p.web, lab.Request("GET", it, "", "Authorization", "DPoP "+got.AccessToken,
			"DPoP", p.key.With(nil, "GET", it, got.AccessToken, prover.Members{"nonce": value})))
	}
	said := call("x")
	if said.Status != 401 || said.Code() != "use_dpop_nonce" || said.Nonce() == "" || said.Nonce() == first.Nonce() {
		t.Fatalf("the Gate says %d %s, nonce %q", said.Status, said.Body, said.Nonce())
	}
	for name, row := range map[string]struct {
		reply  lab.Reply
		status int
	}{
		"a nonce of the server at the server":           {at(first.Nonce()), 200},
		"a nonce of the Gate at the Gate":               {call(said.Nonce()), 200},
		"a nonce serves for more than one proof":        {at(first.Nonce()), 200},
		"D14 a nonce of the server at the Gate":         {call(first.Nonce()), 401},
		"D14 a nonce of the Gate at the server":         {at(said.Nonce()), 400},
		"D14 one of nobody":                             {at("AAAA"), 400},
		"D14 a nonce of the server, with a letter more": {at(first.Nonce() + "A"), 400},
	} {
		if row.reply.Status != row.status || row.status != 200 && row.reply.Code() != "use_dpop_nonce" {
			t.Errorf("%s: %d %s", name, row.reply.Status, row.reply.Body)
		}
	}
	h.Pass(20 * time.Minute)
	refused(t, at(first.Nonce()), 400, "use_dpop_nonce")
	t.Run("scripts of clients may read it", func(t *testing.T) {
		reply := h.Do(lab.Request("POST", "/token", lab.Form("grant_type", "authorization_code", "client_id", lab.Browser, "code", "x").Encode(),
			"Content-Type", lab.FormType, "Origin", lab.Origin, "DPoP", p.key.Show("POST", h.Issuer+"/token", "")))
		if reply.Nonce() == "" || !strings.Contains(strings.ToLower(reply.Header.Get("Access-Control-Expose-Headers")), "dpop-nonce") {
			t.Errorf("%d %v", reply.Status, reply.Header)
		}
		for _, address := range []string{"/token", "/userinfo"} {
			reply := h.Do(lab.Request("OPTIONS", address, "", "Origin", lab.Origin, "Access-Control-Request-Method", "POST",
				"Access-Control-Request-Headers", "dpop,authorization"))
			if !strings.Contains(strings.ToLower(reply.Header.Get("Access-Control-Allow-Headers")), "dpop") {
				t.Errorf("%s: %d %v", address, reply.Status, reply.Header)
			}
		}
	})
}
