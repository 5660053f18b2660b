package conform_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
)

// TestDynamic is the plan of clients that register themselves.
func TestDynamic(t *testing.T) {
	h := newProvider(t, lab.Options{})
	works := func(t *testing.T, p *party, more ...string) members {
		t.Helper()
		query := plain(p, "openid", more...)
		_, claims := p.redeemPlain(t, p.signIn(t, h.browser(t), query).Get("code"), query)
		return claims
	}
	t.Run("the same metadata again and again", func(t *testing.T) {
		a, b := h.register(t, nil), h.register(t, nil)
		if a.id == b.id || a.secret == b.secret {
			t.Error("they are one client")
		}
		works(t, a)
		works(t, b)
	})
	t.Run("private_key_jwt with jwks", func(t *testing.T) {
		works(t, h.register(t, members{"token_endpoint_auth_method": "private_key_jwt", "jwks": "own"}))
	})
	t.Run("by exception an assertion names the token endpoint", func(t *testing.T) {
		p := h.register(t, members{"token_endpoint_auth_method": "private_key_jwt", "jwks": "own"})
		for _, aud := range []any{h.Issuer, p.at("token_endpoint"), []string{p.at("token_endpoint")}} {
			form := lab.Form("grant_type", "refresh_token", "refresh_token", "x")
			p.prove(t, form, func(c members) { c["aud"] = aud })
			refused(t, p.send(t, "token_endpoint", form, ""), 400, "invalid_grant") // it is believed
		}
	})
	t.Run("jwks_uri, and a new key in it", func(t *testing.T) {
		private, err := jose.GenerateKey(jose.ES256)
		must(t, err)
		publish := func(signers ...*jose.Signer) {
			var keys []jose.PublicKey
			for _, each := range signers {
				keys = append(keys, each.Public())
			}
			set, err := jose.NewSet(keys...)
			must(t, err)
			raw, err := set.MarshalJSON()
			must(t, err)
			h.outside.publish("/rotated.json", "application/json", string(raw))
		}
		first := &jose.Signer{KeyID: "first", Alg: jose.ES256, Key: private}
		publish(first)
		p := h.register(t, members{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": h.outside.at("/rotated.json")})
		p.signer = first
		works(t, p)
		next, err := jose.GenerateKey(jose.ES256)
		must(t, err)
		second := &jose.Signer{KeyID: "second", Alg: jose.ES256, Key: next}
		publish(first, second)
		p.signer = second
		h.Pass(time.Minute)
		works(t, p)
	})
	t.Run("P14 request_uri and request, unsigned ones refused", func(t *testing.T) {
		p := h.register(t, members{"jwks": "own", "request_uris": []string{h.outside.at("/object#1")}})
		query := plain(p, "openid")
		h.outside.publish("/object", "application/oauth-authz-req+jwt", p.object(t, query, func(c members) { delete(c, "nbf") }))
		carried := lab.Form("client_id", p.id, "response_type", "code", "scope", "openid", "request_uri", h.outside.at("/object#1"))
		b := h.browser(t)
		sent := p.answered(t, p.pages(t, b, b.open(p.at("authorization_endpoint")+"?"+carried.Encode())), query)
		p.redeemPlain(t, sent.Get("code"), query)
		carried.Set("request_uri", h.outside.at("/other"))
		before := h.outside.times("/other")
		if on := b.open(p.at("authorization_endpoint") + "?" + carried.Encode()); on.left != "" || on.code() != "invalid_request_uri" || h.outside.times("/other") != before {
			t.Errorf("%d %s %s", on.status, on.code(), on.left)
		}
		query = plain(p, "openid")
		carried = lab.Form("client_id", p.id, "response_type", "code", "scope", "openid", "request", p.object(t, query, nil))
		sent = p.answered(t, p.pages(t, b, b.open(p.at("authorization_endpoint")+"?"+carried.Encode())), query)
		p.redeemPlain(t, sent.Get("code"), query)
		carried.Set("request", "eyJhbGciOiJub25lIn0.e30.")
		if on := b.open(p.at("authorization_endpoint") + "?" + carried.Encode()); on.left != "" || on.code() != "invalid_request_object" {
			t.Errorf("%d %s %s", on.status, on.code(), on.left)
		}
	})
	t.Run("userinfo signed by RS256", func(t *testing.T) {
		p := h.register(t, members{"userinfo_signed_response_alg": "RS256"})
		query := plain(p, "openid email")
		got, _ := p.redeemPlain(t, p.signIn(t, h.browser(t), query).Get("code"), query)
		reply := h.UserInfo(got.AccessToken)
		claims := p.read(t, string(reply.Body), "")
		if reply.Header.Get("Content-Type") != "application/jwt" || claims["aud"] != p.id || claims["sub"] != h.alice.ID || claims["nonce"] != nil {
			t.Errorf("%v", claims)
		}
	})
	t.Run("X14 pairwise subjects differ by sector", func(t *testing.T) {
		a := h.register(t, members{"subject_type": "pairwise"})
		same := h.register(t, members{"subject_type": "pairwise", "redirect_uris": []string{"https://rp.example/cb2"}})
		other := h.register(t, members{"subject_type": "pairwise", "redirect_uris": []string{"https://other.example/cb"}})
		one, two, three := works(t, a)["sub"], works(t, same)["sub"], works(t, other)["sub"]
		if one == h.alice.ID || one != two || one == three {
			t.Errorf("%v, %v, %v", one, two, three)
		}
	})
	t.Run("sector_identifier_uri", func(t *testing.T) {
		uris := []string{"https://one.example/cb", "https://two.example/cb"}
		raw, err := json.Marshal(uris)
		must(t, err)
		sector := h.outside.publish("/sector.json", "application/json", string(raw))
		works(t, h.register(t, members{"subject_type": "pairwise", "redirect_uris": uris, "sector_identifier_uri": sector}))
		refused(t, h.registers(t, members{
			"redirect_uris": []string{"https://three.example/cb"}, "subject_type": "pairwise", "sector_identifier_uri": sector,
		}), 400, "invalid_client_metadata")
	})
	t.Run("what registers, is read, changed and removed", func(t *testing.T) {
		p := h.register(t, members{
			"contacts": []string{"a@rp.example"}, "logo_uri": "https://rp.example/logo.png", "policy_uri": "https://rp.example/policy",
			"tos_uri": "https://rp.example/terms", "initiate_login_uri": "https://rp.example/start",
		})
		manage := func(method, body, keeper string) lab.Reply {
			return h.Through(h.With(nil), lab.Request(method, p.manage, body, "Authorization", "Bearer "+keeper, "Content-Type", "application/json"))
		}
		if !strings.HasPrefix(p.manage, "https://") {
			t.Errorf("registration_client_uri %s", p.manage)
		}
		read := manage("GET", "", p.keeper)
		if read.Status != 200 || read.Text("initiate_login_uri") != "https://rp.example/start" || read.Text("client_id") != p.id {
			t.Errorf("%d %s", read.Status, read.Body)
		}
		b := h.browser(t)
		on := newBrowser(t, h.House, nil).open(p.at("authorization_endpoint") + "?" + plain(p, "openid").Encode())
		asked := b.open(p.at("authorization_endpoint") + "?" + plain(p, "openid").Encode())
		for _, address := range []string{"https://rp.example/policy", "https://rp.example/terms"} {
			if !strings.Contains(on.body, address) && !strings.Contains(asked.body, address) {
				t.Errorf("no page shows %s", address)
			}
		}
		other := h.register(t, nil)
		for name, reply := range map[string]lab.Reply{
			"G10 another client's token": manage("GET", "", other.keeper), "G10 no token": h.Through(h.With(nil), lab.Request("GET", p.manage, "")),
			"G10 an access token": manage("GET", "", "at_x"), "G10 another's to remove": manage("DELETE", "", other.keeper),
		} {
			if reply.Status != 401 {
				t.Errorf("%s: %d %s", name, reply.Status, reply.Body)
			}
		}
		change := func(with members) lab.Reply {
			said := bodyOf(read)
			for _, name := range []string{"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"} {
				delete(said, name)
			}
			maps.Copy(said, with)
			raw, err := json.Marshal(said)
			must(t, err)
			return manage("PUT", string(raw), p.keeper)
		}
		evil := change(members{"redirect_uris": []string{"https://evil.example/cb#x"}})
		refused(t, evil, 400, "invalid_redirect_uri")
		if reply := change(members{"client_name": "Another name"}); reply.Status != 200 || reply.Text("client_name") != "Another name" {
			t.Errorf("%d %s", reply.Status, reply.Body)
		} else if next := reply.Text("registration_access_token"); next != "" {
			p.keeper = next
		}
		if reply := manage("DELETE", "", p.keeper); reply.Status != http.StatusNoContent || len(reply.Body) != 0 {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
		if reply := manage("GET", "", p.keeper); reply.Status != 401 {
			t.Errorf("G10 after removal: %d %s", reply.Status, reply.Body)
		}
		h.Within(time.Second, "nobody asks for it any more", func() bool {
			on := h.browser(t).open(p.at("authorization_endpoint") + "?" + plain(p, "openid").Encode())
			return on.left == "" && on.status == 400
		})
	})
	t.Run("what is refused", func(t *testing.T) {
		for name, row := range map[string]struct {
			metadata members
			code     string
		}{
			"a fragment in a redirect URI":        {members{"redirect_uris": []string{"https://rp.example/cb#x"}}, "invalid_redirect_uri"},
			"no redirect URIs":                    {members{}, "invalid_redirect_uri"},
			"in clear":                            {members{"redirect_uris": []string{"http://rp.example/cb"}}, "invalid_redirect_uri"},
			"a script as redirect URI":            {members{"redirect_uris": []string{"javascript:alert(1)"}}, "invalid_redirect_uri"},
			"initiate_login_uri in clear":         {members{"initiate_login_uri": "http://rp.example/start"}, "invalid_client_metadata"},
			"an unknown way to prove itself":      {members{"token_endpoint_auth_method": "none_such"}, "invalid_client_metadata"},
			"jwks and jwks_uri":                   {members{"jwks": members{"keys": []any{}}, "jwks_uri": "https://rp.example/jwks"}, "invalid_client_metadata"},
			"G01 scopes beyond the policy":        {members{"scope": "openid payments.write"}, "invalid_client_metadata"},
			"G01 a grant beyond the policy":       {members{"grant_types": []string{"urn:ietf:params:oauth:grant-type:device_code"}}, "invalid_client_metadata"},
			"G03 a logout address in the house":   {members{"backchannel_logout_uri": "https://127.0.0.1:1/x"}, ""},
			"G12 a software statement of nobody":  {members{"software_statement": "eyJhbGciOiJub25lIn0.e30."}, "invalid_software_statement"},
			"id tokens by none":                   {members{"id_token_signed_response_alg": "none"}, "invalid_client_metadata"},
			"an unknown response type":            {members{"response_types": []string{"token"}}, "invalid_client_metadata"},
			"the implicit grant without its type": {members{"grant_types": []string{"implicit"}, "response_types": []string{"code"}}, "invalid_client_metadata"},
		} {
			t.Run(name, func(t *testing.T) {
				said := members{"redirect_uris": []string{"https://rp.example/cb"}}
				if maps.Copy(said, row.metadata); name == "no redirect URIs" {
					delete(said, "redirect_uris")
				}
				if reply := h.registers(t, said); row.code != "" {
					refused(t, reply, 400, row.code)
				} else if reply.Status != 201 {
					t.Errorf("%d %s", reply.Status, reply.Body)
				}
			})
		}
		for name, reply := range map[string]lab.Reply{
			"no JSON":        h.Do(lab.Request("POST", "/register", "{", "Content-Type", "application/json")),
			"a form":         h.Post("/register", url.Values{"redirect_uris": {"https://rp.example/cb"}}),
			"a member twice": h.Do(lab.Request("POST", "/register", `{"redirect_uris":["https://rp.example/cb"],"redirect_uris":["https://evil.example/cb"]}`, "Content-Type", "application/json")),
		} {
			if reply.Status != 400 || reply.Text("error") != "invalid_client_metadata" {
				t.Errorf("%s: %d %s", name, reply.Status, reply.Body)
			}
		}
	})
}

// TestThirdPartyLogin: initiate_login_uri is kept and told, and is https.
func TestThirdPartyLogin(t *testing.T) {
	h := newProvider(t, lab.Options{})
	p := h.register(t, members{"initiate_login_uri": "https://rp.example/start?x=" + uuid.NewString()})
	// The party is asked to begin, with iss and login_hint; what it sends then is a request like any other.
	query := plain(p, "openid", "login_hint", h.alice.Username)
	p.redeemPlain(t, p.signIn(t, h.browser(t), query).Get("code"), query)
	on := newBrowser(t, h.House, nil).open(p.at("authorization_endpoint") + "?" + query.Encode())
	if !on.has("login-submit") || !strings.Contains(on.body, `value="`+h.alice.Username+`"`) {
		t.Errorf("the hint is not shown: %s", on.body)
	}
}
