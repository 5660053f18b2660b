package lab_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// TestDoorsThatAreClosedByDefault knocks at the doors that the test recipe does not open, and at those that there are not.
// Where the metadata speaks of a door it stands, and lets in no client that is not registered for it; of any other
// nothing speaks and nothing answers.
func TestDoorsThatAreClosedByDefault(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	var about map[string]any
	h.Get("/.well-known/openid-configuration").Into(&about)
	const urn = "urn:ietf:params:oauth:grant-type:"
	for name, closed := range map[string]struct {
		paths  []string
		member string // of the metadata, which names the one of paths that stands
		grants []string
	}{
		"pushed requests elsewhere": {[]string{"/request", "/as/par", "/pushed"}, "", nil},
		"the device grant": {
			[]string{"/device_authorization", "/device/code"}, "device_authorization_endpoint", []string{urn + "device_code"},
		},
		"G01 dynamic registration": {
			[]string{"/register", "/registration", "/connect/register", "/clients", "/oidc/register"}, "registration_endpoint", nil,
		},
		"SAML": {
			[]string{"/saml", "/saml/acs", "/saml/sso", "/saml/metadata", "/samlidp", "/source/saml"}, "", []string{urn + "saml2-bearer"},
		},
		"X01 X03 token exchange":     {[]string{"/exchange", "/token/exchange"}, "", []string{urn + "token-exchange"}},
		"backchannel authentication": {[]string{"/ciba", "/bc-authorize"}, "backchannel_authentication_endpoint", []string{"urn:openid:params:grant-type:ciba"}},
		"T21 assertions of others":   {nil, "", []string{urn + "jwt-bearer"}},
		"the password grant":         {nil, "", []string{"password"}},
		"the implicit grant":         {nil, "", []string{"implicit"}},
	} {
		t.Run(name, func(t *testing.T) {
			stands, _ := about[closed.member].(string)
			for _, path := range closed.paths {
				for _, reply := range []lab.Reply{
					h.Get(path), h.Post(path, lab.Ask(lab.WebA)), h.As(lab.WebA, path, lab.Ask(lab.WebA)), h.As(lab.Native, path, lab.Ask(lab.Native)),
					h.Do(lab.Request("POST", path, `{"redirect_uris":["https://evil.example/cb"]}`, "Content-Type", "application/json")),
				} {
					if there := stands == h.Issuer+path; there && (reply.Status < 400 || reply.Status >= 500) || !there && reply.Status != 404 {
						t.Errorf("%s answers %d %s", path, reply.Status, reply.Body)
					}
				}
			}
			for _, grant := range closed.grants {
				code := "unsupported_grant_type"
				// The metadata speaks of the assertions of others where the recipe trusts any, and of an exchange where it has a
				// family of apps.
				if slices.Contains(about["grant_types_supported"].([]any), any(grant)) ||
					grant == string(oauth.JWTBearer) || grant == string(oauth.TokenExchange) {
					code = "unauthorized_client"
				}
				for _, client := range h.Clients() {
					refused(t, h.As(client, "/token", lab.Form("grant_type", grant, "device_code", "x", "subject_token", "x", "assertion", "x",
						"auth_req_id", "x", "username", alice.Username, "password", "x")), 400, code)
				}
			}
		})
	}
	if about["require_pushed_authorization_requests"] != false || about["client_id_metadata_document_supported"] != nil {
		t.Errorf("%v", about)
	}
}

// TestNothingIsFetchedForAStranger offers the house addresses wherever a parameter, a name or a header could hold one. It
// asks none of them.
func TestNothingIsFetchedForAStranger(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	bait := h.Upstream.URL()
	t.Run("a request_uri that nobody pushed", func(t *testing.T) {
		ask := lab.Ask(lab.WebA)
		ask.Set("request_uri", iam.RequestURN+"x")
		// What stands beside it does not count (P06), so there is nowhere to send the error to.
		if reply := h.Authorize(alice, ask); reply.Status != 400 || reply.Header.Get("Location") != "" || !strings.Contains(string(reply.Body), "invalid_request_uri") {
			t.Errorf("%d %v %s", reply.Status, reply.Header, reply.Body)
		}
	})
	for name, change := range map[string]struct{ param, value, code string }{
		"P14 an external request_uri":    {"request_uri", bait + "/request", "request_uri_not_supported"},
		"P10 an unsigned request object": {"request", b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(`{"client_id":"web-a"}`)) + ".", "invalid_request_object"},
		"G03 metadata of a registration": {"registration", `{"logo_uri":"` + bait + `/logo"}`, "registration_not_supported"},
	} {
		t.Run(name, func(t *testing.T) {
			ask := lab.Ask(lab.WebA)
			ask.Set(change.param, change.value)
			sent, ok := h.Authorize(alice, ask).Sent(lab.Redirect(lab.WebA))
			if !ok || sent.Get("error") != change.code || sent.Get("code") != "" {
				t.Errorf("it sent %v", sent)
			}
		})
	}
	t.Run("G16 a client id that is an address", func(t *testing.T) {
		for _, id := range []string{bait + "/client.json", "https://127.0.0.1/client.json"} {
			ask := lab.Ask(lab.WebA)
			ask.Set("client_id", id)
			if reply := h.Authorize(alice, ask); reply.Status != 400 || reply.Header.Get("Location") != "" {
				t.Errorf("%s: %d %s", id, reply.Status, reply.Header.Get("Location"))
			}
			refused(t, h.Post("/token", lab.Form("grant_type", "client_credentials", "client_id", id)), 401, "invalid_client")
		}
	})
	t.Run("J04 G17 a token and a header that name places", func(t *testing.T) {
		signed := h.Assertion(lab.JobKey, nil)
		header := b64([]byte(`{"alg":"ES256","kid":"k","jku":"` + bait + `/jwks","x5u":"` + bait + `/cert"}`))
		_, rest, _ := strings.Cut(signed, ".")
		refused(t, h.Post("/token", asserted(header+"."+rest, "grant_type", "client_credentials")), 401, "invalid_client")
		if h.UserInfo(header+"."+rest).Status != 401 {
			t.Error("it was believed")
		}
	})
	t.Run("G21 headers that could steer the sign-in page", func(t *testing.T) {
		host := strings.TrimPrefix(bait, "http://")
		for _, header := range []string{"X-Forwarded-Host", "X-Original-Url", "X-Zitadel-Forward-Host", "X-Custom-Server", "Origin", "Referer"} {
			for _, value := range []string{host, bait} {
				h.Get("/authorize?"+lab.Ask(lab.WebA).Encode(), header, value)
				h.Get("/account", header, value)
			}
		}
	})
	t.Run("G22 a picture of a person", func(t *testing.T) {
		user := alice.User
		user.Claims = map[string]any{"picture": bait + "/me.png"}
		must(t, h.Store().SetUser(t.Context(), user))
		h.Get("/account", "Cookie", alice.Cookie)
		if got := h.UserInfo(h.Tokens(alice, lab.Plant{Scope: "openid profile accounts.read"}).AccessToken); got.Status != 200 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
	if seen := h.Upstream.Seen(); len(seen) != 0 {
		t.Errorf("%d requests went out: %v", len(seen), seen)
	}
}

// TestThePersonsPagesAreLeftAlone tries what a page's reader could tamper with, and what a network could see of it.
func TestThePersonsPagesAreLeftAlone(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	t.Run("L08 nothing with a secret in it is compressed", func(t *testing.T) {
		squeeze := []string{"Accept-Encoding", "gzip, br, zstd, deflate", "Cookie", alice.Cookie}
		for path, reply := range map[string]lab.Reply{
			"/account": h.Get("/account", squeeze...), "/jwks": h.Get("/jwks", squeeze...), "/forgot": h.Get("/forgot", squeeze...),
			"/authorize": h.Get("/authorize?"+lab.Ask(lab.WebA).Encode(), squeeze...),
			"/token":     h.Post("/token", h.Code(alice, lab.Plant{}).Form(), append(squeeze, basic(lab.WebA, h.Secret(lab.WebA))...)...),
		} {
			if got := reply.Header.Get("Content-Encoding"); got != "" || reply.Status >= 400 {
				t.Errorf("%s: %d, Content-Encoding %q", path, reply.Status, got)
			}
		}
	})
	t.Run("W18 a broken cookie is nobody's", func(t *testing.T) {
		for _, cookie := range []string{
			"garde-session=", "garde-session=x", "garde-session", alice.Cookie + "x", alice.Cookie[:len(alice.Cookie)-1], "=;=", "\"garde-session\"=x",
			alice.Cookie + "; " + alice.Cookie, "garde-session=" + strings.Repeat("x", 7000), strings.Replace(alice.Cookie, "=", "=%", 1),
		} {
			if reply := h.Get("/account", "Cookie", cookie); reply.Status == 200 || strings.Contains(string(reply.Body), alice.Email) {
				t.Errorf("%.60q opens the account: %d", cookie, reply.Status)
			}
			ask := lab.Ask(lab.WebA)
			ask.Set("prompt", "none")
			sent, _ := h.Get("/authorize?"+ask.Encode(), "Cookie", cookie).Sent(lab.Redirect(lab.WebA))
			if sent.Get("code") != "" {
				t.Errorf("%.60q gets a code", cookie)
			}
		}
	})
}

// TestCodesOfOthers holds a code against its place: it is worth nothing beside another session's verifier.
func TestCodesOfOthers(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice, mallory := h.NewPerson("alice"), h.NewPerson("mallory")
	t.Run("C23 a victim's code in an attacker's session at the client", func(t *testing.T) {
		begun := func(p *lab.Person, verifier string) lab.Code {
			ask := lab.Ask(lab.WebA)
			ask.Set("code_challenge", lab.Challenge(verifier))
			ask.Set("nonce", "of "+p.Username)
			sent, ok := h.Authorize(p, ask).Sent(lab.Redirect(lab.WebA))
			if !ok {
				t.Fatal("no code")
			}
			return lab.Code{Value: sent.Get("code"), Client: lab.WebA, Redirect: lab.Redirect(lab.WebA), Verifier: verifier}
		}
		victims := begun(alice, strings.Repeat("a", 43))
		attackers := begun(mallory, strings.Repeat("m", 43))
		injected := attackers
		injected.Value = victims.Value
		refused(t, h.Redeem(injected), 400, "invalid_grant")
		reply := h.Redeem(victims) // and the victim is not harmed
		granted(t, reply)
		if _, claims := peek(t, reply.Text("id_token")); claims["nonce"] != "of "+alice.Username || claims["sub"] != alice.ID {
			t.Errorf("%v", claims)
		}
	})
}

// TestEncryptedTokens shows tokens of five parts at every door that takes tokens: we speak no JWE, so none is even tried.
func TestEncryptedTokens(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	part := b64([]byte(strings.Repeat("x", 16)))
	for name, parts := range map[string][]string{
		"whole": {b64([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)), part, part, part, part}, "direct": {b64([]byte(`{"alg":"dir","enc":"A128CBC-HS256"}`)), "", part, part, part},
		"cut ciphertext": {b64([]byte(`{"alg":"dir","enc":"A128CBC-HS256"}`)), "", part, b64([]byte("x")), part}, "no tag": {b64([]byte(`{"alg":"dir","enc":"A256GCM"}`)), "", part, part, ""},
		"no IV": {b64([]byte(`{"alg":"dir","enc":"A256GCM"}`)), "", "", part, part}, "key wrap of nothing": {b64([]byte(`{"alg":"A128KW","enc":"A256GCM"}`)), "", part, part, part},
		"empty": {"", "", "", "", ""},
	} {
		t.Run("J27 "+name, func(t *testing.T) {
			token := strings.Join(parts, ".")
			refused(t, h.Post("/token", asserted(token, "grant_type", "client_credentials")), 401, "invalid_client")
			if reply := h.Introspect(lab.Accounts, token); strings.TrimSpace(string(reply.Body)) != `{"active":false}` {
				t.Errorf("introspection: %d %s", reply.Status, reply.Body)
			}
			for door, reply := range map[string]lab.Reply{"userinfo": h.UserInfo(token), "the Gate": h.Call("GET", "/accounts/balance", token)} {
				if reply.Status != 401 {
					t.Errorf("%s: %d %s", door, reply.Status, reply.Body)
				}
			}
			ask := lab.Ask(lab.WebA)
			ask.Set("id_token_hint", token)
			if sent, _ := h.Authorize(nil, ask).Sent(lab.Redirect(lab.WebA)); sent.Get("error") != "invalid_request" {
				t.Errorf("as a hint: %v", sent)
			}
		})
	}
}

// TestTheGateHasOneOrder tries at the Gate every near miss of a rule: which rules stand beside it changes nothing.
func TestTheGateHasOneOrder(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true})
	token := h.Tokens(h.NewPerson("alice"), lab.Plant{}).AccessToken
	for path, want := range map[string]int{
		"/accounts/balance": 200, "/accounts/rates": 200, "/accounts/report": 403, "/Accounts/balance": 404, "/accounts/Balance": 404, "/accounts/balance.": 404,
		"/accounts/balance/": 0, "/accounts//balance": 0, "/accounts/./balance": 0, "/accounts/rates/../balance": 0, "/accounts/rates/balance": 404,
		"/accounts/rates;/balance": 0, "/accounts/balance%20": 0, "/accounts/balanc": 404, "/accounts": 404,
	} {
		for range 3 {
			reply := h.Raw(lab.Request("GET", path, "", "Authorization", "Bearer "+token))
			if want == 0 && reply.Status >= 400 && reply.Status < 500 || reply.Status == want {
				continue
			}
			t.Errorf("A19 %s: %d %s, want %d", path, reply.Status, reply.Body, want)
		}
	}
}

// TestAnIDTokenIsForOneClient looks at the audience that every ID token has: one, so that nobody has to ask whose azp it is.
func TestAnIDTokenIsForOneClient(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	for _, client := range []string{lab.WebA, lab.WebB, lab.WebKey, lab.Native, lab.Browser} {
		t.Run("J31 "+client, func(t *testing.T) {
			first := h.Tokens(alice, lab.Plant{Client: client})
			for _, value := range []string{first.IDToken, h.Refresh(client, first.RefreshToken).Text("id_token")} {
				if _, claims := peek(t, value); claims["aud"] != client || claims["azp"] != nil {
					t.Errorf("aud %v, azp %v", claims["aud"], claims["azp"])
				}
			}
		})
	}
}

// TestAnRSAKeySignsByPSSOnly takes a client whose key is an RSA one: the same key under RS256 is no proof (FAPI 2.0 section
// 5.4.1).
func TestAnRSAKeySignsByPSSOnly(t *testing.T) {
	h := lab.New(t, lab.Options{})
	private, err := jose.GenerateKey(jose.PS256)
	must(t, err)
	signer := jose.Signer{KeyID: "rsa-1", Alg: jose.PS256, Key: private}
	public := signer.Public()
	public.Alg = "" // the set says nothing of the algorithm, so that only the rule can
	set, err := jose.NewSet(public)
	must(t, err)
	raw, err := set.MarshalJSON()
	must(t, err)
	must(t, h.Store().PutClient(t.Context(), iam.Client{
		ID: "c-rsa", Kind: recipe.Service, Auth: oauth.AuthPrivateKey, JWKS: string(raw), Scope: oauth.Scope{"ledger.post"},
		Grants: []oauth.GrantType{oauth.ClientCredentials},
	}))
	for alg, good := range map[jose.Alg]bool{jose.PS256: true, jose.PS512: true, jose.RS256: false} {
		t.Run("J34 "+string(alg), func(t *testing.T) {
			by := signer
			by.Alg = alg
			assertion, err := by.Sign("JWT", claimsOf(h, "c-rsa"))
			must(t, err)
			reply := h.Post("/token", asserted(assertion, "grant_type", "client_credentials", "scope", "ledger.post"))
			if good {
				granted(t, reply)
			} else {
				refused(t, reply, 401, "invalid_client")
			}
		})
	}
}

// TestR21R22ErrorsBeforeSignIn: before anybody has signed in, an error goes to the address that the recipe or an
// administrator wrote down for that client, letter by letter, or it is shown here.
func TestR21R22ErrorsBeforeSignIn(t *testing.T) {
	h := lab.New(t, lab.Options{})
	for name, change := range map[string][2]string{
		"R21 a bad scope": {"scope", "nothing"}, "R21 a bad response_type": {"response_type", "token"}, "R22 prompt=none": {"prompt", "none"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, client := range []string{lab.WebA, lab.WebKey, lab.Browser} {
				ask := lab.Ask(client)
				ask.Set(change[0], change[1])
				reply := h.Authorize(nil, ask)
				sent, ok := reply.Sent(lab.Redirect(client))
				if change[1] == "token" { // errors come back where the answer would have: in the fragment
					sent, ok = reply.Fragment(lab.Redirect(client))
				}
				if !ok || sent.Get("error") == "" || sent.Get("iss") != h.Issuer {
					t.Errorf("%s: it sent %v", client, sent)
				}
				for _, evil := range []string{"https://evil.example/cb", lab.Redirect(client) + ".evil.example", lab.Redirect(client) + "/", lab.Redirect(lab.WebB), ""} {
					ask.Set("redirect_uri", evil)
					if reply := h.Authorize(nil, ask); reply.Status != 400 || reply.Header.Get("Location") != "" {
						t.Errorf("%s: %d to %q for %q", client, reply.Status, reply.Header.Get("Location"), evil)
					}
				}
			}
		})
	}
}
