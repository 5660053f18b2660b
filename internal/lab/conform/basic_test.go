package conform_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

// plain is a request as the basic plan sends it: a nonce, and no PKCE.
func plain(p *party, scope string, more ...string) url.Values {
	return p.ask(scope, append([]string{"code_challenge", "", "code_challenge_method", ""}, more...)...)
}

func (p *party) redeemPlain(t testing.TB, code string, query url.Values) (answer, members) {
	t.Helper()
	form := p.redeeming(code, query)
	form.Del("code_verifier")
	got := p.given(t, p.post(t, "token_endpoint", form))
	return got, p.identity(t, got.IDToken, query)
}

// TestBasic is the plan of an OpenID provider with response_type=code.
func TestBasic(t *testing.T) {
	h := newProvider(t, lab.Options{})
	basic := h.register(t, members{"token_endpoint_auth_method": "client_secret_basic"})
	post := h.register(t, members{"token_endpoint_auth_method": "client_secret_post"})
	for name, p := range map[string]*party{"client_secret_basic": basic, "client_secret_post": post} {
		t.Run(name, func(t *testing.T) {
			query := plain(p, "openid")
			sent := p.signIn(t, h.browser(t), query)
			got, claims := p.redeemPlain(t, sent.Get("code"), query)
			if claims["sub"] != h.alice.ID || claims["name"] != nil || got.Scope != "" && got.Scope != "openid" {
				t.Errorf("%v", claims)
			}
			refused(t, p.post(t, "token_endpoint", p.redeeming(sent.Get("code"), query)), 400, "invalid_grant")
		})
	}
	open := func(b *browser, query url.Values) page {
		return b.open(basic.at("authorization_endpoint") + "?" + query.Encode())
	}
	signed := func(t *testing.T, b *browser, query url.Values) members {
		t.Helper()
		sent := basic.answered(t, basic.pages(t, b, open(b, query)), query)
		_, claims := basic.redeemPlain(t, sent.Get("code"), query)
		return claims
	}
	fails := func(t *testing.T, on page, query url.Values, code string) {
		t.Helper()
		if on.left == "" {
			t.Fatalf("no redirect: %d %s %s", on.status, on.code(), on.at)
		}
		if sent := basic.answered(t, on.left, query); sent.Get("error") != code || sent.Has("code") {
			t.Errorf("%v, want %s", sent, code)
		}
	}
	shown := func(t *testing.T, on page, code string) {
		t.Helper()
		if on.left != "" || on.status != 400 || on.code() != code || !on.has("error-page") {
			t.Errorf("%d %q to %q, want %s on a page", on.status, on.code(), on.left, code)
		}
	}
	t.Run("parameters that change nothing", func(t *testing.T) {
		for name, more := range map[string][]string{
			"an unknown one": {"extra", "foobar"}, "display=page": {"display", "page"}, "display=popup": {"display", "popup"},
			"ui_locales": {"ui_locales", "se"}, "claims_locales": {"claims_locales", "se"}, "acr_values": {"acr_values", "1 2"},
			"a login_hint of nobody": {"login_hint", "buffy@example.com"}, "PKCE although it need not": {"code_challenge", lab.Challenge(lab.Verifier), "code_challenge_method", "S256"},
			"a state of 128": {"state", strings.Repeat("s", 128)}, "no state": {"state", ""}, "no nonce": {"nonce", ""},
			"a nonce of 43": {"nonce", strings.Repeat("n", 43)}, "a nonce of 64": {"nonce", strings.Repeat("n", 64)}, "a nonce of 384": {"nonce", strings.Repeat("n", 384)},
			"max_age=10000": {"max_age", "10000"},
		} {
			t.Run(name, func(t *testing.T) {
				query := plain(basic, "openid", more...)
				sent := basic.signIn(t, h.browser(t), query)
				form := basic.redeeming(sent.Get("code"), query)
				if !query.Has("code_challenge") {
					form.Del("code_verifier")
				}
				got := basic.given(t, basic.post(t, "token_endpoint", form))
				claims := basic.identity(t, got.IDToken, query)
				if claims["acr"] == "" || name == "max_age=10000" && claims["auth_time"] == nil {
					t.Errorf("%v", claims)
				}
			})
		}
	})
	t.Run("by POST", func(t *testing.T) {
		query, b := plain(basic, "openid"), h.browser(t)
		sent := basic.answered(t, basic.pages(t, b, b.post(basic.at("authorization_endpoint"), query)), query)
		basic.redeemPlain(t, sent.Get("code"), query)
	})
	t.Run("neither nonce nor PKCE, by exception", func(t *testing.T) {
		query := plain(basic, "openid", "nonce", "")
		sent := basic.signIn(t, h.browser(t), query)
		basic.redeemPlain(t, sent.Get("code"), query)
	})
	t.Run("response_type is missing", func(t *testing.T) {
		query := plain(basic, "openid", "response_type", "")
		on := open(h.browser(t), query)
		if query.Set("response_type", "code"); on.left == "" {
			shown(t, on, "invalid_request")
		} else {
			fails(t, on, query, "invalid_request")
		}
	})
	t.Run("prompt=none, signed out", func(t *testing.T) {
		query := plain(basic, "openid", "prompt", "none")
		fails(t, open(newBrowser(t, h.House, nil), query), query, "login_required")
	})
	t.Run("prompt=none, signed in and asked before", func(t *testing.T) {
		b := h.browser(t)
		first := signed(t, b, plain(basic, "openid email"))
		query := plain(basic, "openid email", "prompt", "none")
		on := open(b, query)
		second, claims := basic.redeemPlain(t, basic.answered(t, on.left, query).Get("code"), query)
		if claims["sub"] != first["sub"] || claims["auth_time"] != first["auth_time"] {
			t.Errorf("%v, %v", first, claims)
		}
		hinted := plain(basic, "openid", "prompt", "none", "id_token_hint", second.IDToken)
		on = open(b, hinted)
		if sent := basic.answered(t, on.left, hinted); sent.Get("code") == "" {
			t.Errorf("with id_token_hint: %v", sent)
		}
	})
	t.Run("prompt=none, never asked", func(t *testing.T) {
		fresh := h.register(t, members{"token_endpoint_auth_method": "client_secret_basic"})
		query := plain(fresh, "openid", "prompt", "none")
		on := h.browser(t).open(fresh.at("authorization_endpoint") + "?" + query.Encode())
		if sent := fresh.answered(t, on.left, query); sent.Get("error") != "consent_required" {
			t.Errorf("%v", sent)
		}
	})
	again := func(t *testing.T, more ...string) {
		b := h.browser(t)
		first := signed(t, b, plain(basic, "openid"))
		h.Pass(2 * time.Second)
		query := plain(basic, "openid", more...)
		on := open(b, query)
		if !on.has("login-submit") {
			t.Fatalf("no sign-in: %d %s\n%s", on.status, on.at, on.body)
		}
		on = b.press(on, "login-submit", "username", h.alice.Username, "password", secretWord)
		_, second := basic.redeemPlain(t, basic.answered(t, basic.pages(t, b, on), query).Get("code"), query)
		was, _ := first["auth_time"].(float64)
		if is, _ := second["auth_time"].(float64); is <= was || second["sub"] != first["sub"] {
			t.Errorf("auth_time %v, then %v", was, is)
		}
	}
	t.Run("prompt=login", func(t *testing.T) { again(t, "prompt", "login") })
	t.Run("max_age=1", func(t *testing.T) { again(t, "max_age", "1") })
	t.Run("max_age=0", func(t *testing.T) { again(t, "max_age", "0") })
	t.Run("max_age=10000 keeps the session", func(t *testing.T) {
		b := h.browser(t)
		first := signed(t, b, plain(basic, "openid"))
		if second := signed(t, b, plain(basic, "openid", "max_age", "10000")); first["auth_time"] != second["auth_time"] {
			t.Errorf("%v, %v", first, second)
		}
	})
	t.Run("prompt=consent with offline_access", func(t *testing.T) {
		b, query := h.browser(t), plain(basic, "openid offline_access", "prompt", "consent")
		on := open(b, query)
		if !on.has("consent-allow") {
			t.Fatalf("not asked: %d %s", on.status, on.at)
		}
		got, claims := basic.redeemPlain(t, basic.answered(t, basic.pages(t, b, on), query).Get("code"), query)
		h.Pass(2 * time.Second)
		refresh := lab.Form("grant_type", "refresh_token", "refresh_token", got.RefreshToken)
		reply := basic.post(t, "token_endpoint", refresh)
		next := basic.given(t, reply)
		if next.IDToken != "" {
			fresh := basic.read(t, next.IDToken, "")
			if fresh["sub"] != claims["sub"] || fresh["auth_time"] != claims["auth_time"] || fresh["aud"] != claims["aud"] || fresh["iat"].(float64) <= claims["iat"].(float64) || fresh["azp"] != claims["azp"] {
				t.Errorf("%v, then %v", claims, fresh)
			}
		}
		refused(t, post.post(t, "token_endpoint", refresh), 400, "invalid_grant")
	})
	t.Run("the person says no", func(t *testing.T) {
		b, query := h.browser(t), plain(basic, "openid", "prompt", "consent")
		fails(t, b.press(open(b, query), "consent-deny"), query, "access_denied")
	})
	t.Run("R01 redirect URIs", func(t *testing.T) {
		queried := h.register(t, members{"redirect_uris": []string{"https://rp.example/cb?foo=bar"}})
		for name, row := range map[string]struct {
			p   *party
			uri string
		}{
			"unregistered": {basic, "https://rp.example/other"}, "a query added": {basic, "https://rp.example/cb?foo=bar"},
			"a slash more": {basic, "https://rp.example/cb/"}, "missing": {basic, ""},
			"another query": {queried, "https://rp.example/cb?foo=baz"}, "the query left out": {queried, "https://rp.example/cb"},
		} {
			t.Run(name, func(t *testing.T) {
				shown(t, open(h.browser(t), plain(row.p, "openid", "redirect_uri", row.uri)), "invalid_request")
			})
		}
		query := plain(queried, "openid")
		b := h.browser(t)
		left := queried.pages(t, b, open(b, query))
		if !strings.HasPrefix(left, "https://rp.example/cb?foo=bar&") {
			t.Errorf("%s", left)
		}
	})
	t.Run("scopes and their claims", func(t *testing.T) {
		for scope, names := range map[string][]string{
			"profile": {"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"},
			"email":   {"email", "email_verified"}, "address": {"address"}, "phone": {"phone_number", "phone_number_verified"},
		} {
			query := plain(basic, "openid "+scope)
			got, claims := basic.redeemPlain(t, basic.signIn(t, h.browser(t), query).Get("code"), query)
			reply := basic.call(t, "GET", basic.at("userinfo_endpoint"), got.AccessToken)
			said := bodyOf(reply)
			for _, name := range names {
				if said[name] == nil || said[name] == "" {
					t.Errorf("userinfo lacks %s: %s", name, reply.Body)
				}
				if claims[name] != nil {
					t.Errorf("the ID token says %s, which stands in userinfo", name)
				}
			}
			if len(said) != len(names)+1 || said["sub"] != claims["sub"] || reply.Header.Get("Content-Type") != "application/json" {
				t.Errorf("%s: %s", scope, reply.Body)
			}
			for name, value := range said {
				_, object := value.(map[string]any)
				_, truth := value.(bool)
				_, number := value.(float64)
				if object != (name == "address") || truth != strings.HasSuffix(name, "_verified") || number != (name == "updated_at") {
					t.Errorf("%s is %T", name, value)
				}
			}
		}
	})
	t.Run("claims by name", func(t *testing.T) {
		query := plain(basic, "openid", "claims", `{"userinfo":{"name":{"essential":true}},"id_token":{"email":null,"auth_time":{"essential":true}}}`)
		got, claims := basic.redeemPlain(t, basic.signIn(t, h.browser(t), query).Get("code"), query)
		said := bodyOf(basic.call(t, "GET", basic.at("userinfo_endpoint"), got.AccessToken))
		if said["name"] != h.alice.Name || said["email"] != nil || claims["name"] != nil || claims["email"] != h.alice.Email || claims["auth_time"] == nil {
			t.Errorf("%v, %v", said, claims)
		}
	})
	t.Run("userinfo by POST", func(t *testing.T) {
		query := plain(basic, "openid")
		got, _ := basic.redeemPlain(t, basic.signIn(t, h.browser(t), query).Get("code"), query)
		if reply := basic.call(t, "POST", basic.at("userinfo_endpoint"), got.AccessToken); reply.Status != 200 || reply.Text("sub") != h.alice.ID {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
	})
	t.Run("C02 a code used again later kills its tokens", func(t *testing.T) {
		query := plain(basic, "openid")
		code := basic.signIn(t, h.browser(t), query).Get("code")
		got, _ := basic.redeemPlain(t, code, query)
		h.Pass(31 * time.Second)
		form := basic.redeeming(code, query)
		form.Del("code_verifier")
		refused(t, basic.post(t, "token_endpoint", form), 400, "invalid_grant")
		h.Within(time.Second, "the token is dead", func() bool {
			return basic.call(t, "GET", basic.at("userinfo_endpoint"), got.AccessToken).Status == 401
		})
	})
	t.Run("codes and tokens can't be guessed", func(t *testing.T) {
		var seen []string
		for range 5 {
			query := plain(basic, "openid offline_access", "prompt", "consent")
			code := basic.signIn(t, h.browser(t), query).Get("code")
			got, _ := basic.redeemPlain(t, code, query)
			for _, value := range []string{code, got.AccessToken, got.RefreshToken} {
				if len(value) < 40 || slices.Contains(seen, value) {
					t.Errorf("%s", value)
				}
				seen = append(seen, value)
			}
		}
	})
}
