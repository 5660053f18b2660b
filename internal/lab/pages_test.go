package lab_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// TestN13EveryPageStandsAlone: no page of the Server gives another site a handle on its window, is read by one, framed by
// one, or kept by anybody, whether it shows something, refuses, or leads elsewhere.
func TestN13EveryPageStandsAlone(t *testing.T) {
	h := onLocalhost(t, lab.Options{Partner: true, Recipe: climbing})
	c, nobody := newClimber(t, h, "ada"), &at{t, map[string]string{}}
	first := nobody.follow(h.Node, nobody.get(h.Node, "/authorize?"+lab.Ask(lab.WebA).Encode()))
	pages := map[string]lab.Reply{"the sign-in": first}
	for _, path := range []string{"/signin", "/signup", "/forgot", "/link/reset?token=x", "/link/verify?token=x", "/link/enrol?token=x", "/signin?flow=x",
		"/signin/next?flow=x", "/consent?flow=x", "/choose", "/choose?flow=x", "/signin/enrol?flow=x", "/authorize", "/authorize?client_id=nobody",
		"/logout", "/logout/done", "/logout/confirm", "/device", "/nothing/at/all", "/account"} {
		pages["nobody at "+path] = nobody.get(h.Node, path)
	}
	pages["a wrong password"] = nobody.post(h.Node, "/signin", first, "username", "ada", "password", "no lamp")
	pages["a form of nobody's"] = nobody.post(h.Node, "/signin", lab.Reply{}, "username", "ada")
	in := c.proves(h.Node, c.asks(h.Node, lab.WebA), "password")
	if _, ok := in.Sent(lab.Redirect(lab.WebA)); !ok {
		t.Fatalf("%d %s", in.Status, in.Body)
	}
	pages["the way back to the client"] = in
	pages["a further factor"] = c.asks(h.Node, lab.WebA, "acr_values", lab.Strong)
	pages["the consent"] = c.asks(h.Node, lab.WebA, "prompt", "consent")
	pages["the choice"] = c.asks(h.Node, lab.WebA, "prompt", "select_account")
	pages["a form post"] = c.asks(h.Node, lab.WebA, "prompt", "none", "response_mode", "form_post")
	pages["the first client, by form"] = c.asks(h.Node, lab.WebA, "prompt", "none", "max_age", "0", "response_mode", "form_post")
	for _, path := range []string{"/account", "/account/security", "/account/security/totp", "/account/security/passkey", "/account/devices", "/account/habits",
		"/account/approvals", "/account/requests", "/account/notme", "/account/signout", "/device", "/device/done", "/logout", "/choose"} {
		pages["signed in at "+path] = c.get(h.Node, path)
	}
	shown := 0
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		page := pages[name]
		if page.Status == http.StatusOK {
			shown++
		}
		for header, want := range map[string]string{
			"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
			"Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		} {
			if got := page.Header.Get(header); !strings.Contains(got, want) {
				t.Errorf("%s (%d): %s is %q", name, page.Status, header, got)
			}
		}
		if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("N01 %s (%d): %s", name, page.Status, policy)
		}
		if page.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s may be read from elsewhere", name)
		}
	}
	if shown < 15 {
		t.Errorf("only %d pages were shown", shown)
	}
}

// TestR30NoSignOutLeadsElsewhere: where a sign-out ends is registered, byte by byte, and is the client's of the hint.
func TestR30NoSignOutLeadsElsewhere(t *testing.T) {
	const bye = "https://a.example/bye"
	h := lab.New(t, lab.Options{Recipe: func(r *recipe.Recipe) {
		client := r.Clients[lab.WebA]
		client.LogoutURIs = []string{bye}
		r.Clients[lab.WebA] = client
	}})
	for name, row := range map[string]struct{ hint, to, want string }{
		"R30 registered":                    {lab.WebA, bye, bye},
		"R30 another path":                  {lab.WebA, bye + "/x", ""},
		"R30 a query more":                  {lab.WebA, bye + "?x=1", ""},
		"R30 another scheme":                {lab.WebA, "http://a.example/bye", ""},
		"R30 a user before the host":        {lab.WebA, "https://a.example@evil.example/bye", ""},
		"R30 a backslash":                   {lab.WebA, `https://a.example\@evil.example/bye`, ""},
		"R30 no scheme":                     {lab.WebA, "//evil.example/bye", ""},
		"R30 a script":                      {lab.WebA, "javascript:alert(1)", ""},
		"R30 another client's hint":         {lab.WebB, bye, ""},
		"R30 no hint":                       {"", bye, ""},
		"R30 where codes go, not sign-outs": {lab.WebA, lab.Redirect(lab.WebA), ""},
	} {
		t.Run(name, func(t *testing.T) {
			person := h.NewPerson("alice")
			query := lab.Form("post_logout_redirect_uri", row.to, "state", "s")
			if row.hint != "" {
				query.Set("id_token_hint", h.Tokens(person, lab.Plant{Client: row.hint}).IDToken)
			}
			reply := h.Get("/logout?"+query.Encode(), "Cookie", person.Cookie)
			to := reply.Header.Get("Location")
			if row.want != "" {
				if _, ok := reply.Sent(row.want); !ok {
					t.Errorf("%d to %q", reply.Status, to)
				}
				return
			}
			if at, err := url.Parse(to); err != nil || at.Host != "" || to != "" && !strings.HasPrefix(to, "/logout") {
				t.Errorf("%d to %q", reply.Status, to)
			}
		})
	}
}

// TestP18ASwappedRequestURIGivesNobodyACode: whoever puts the link of their own request into somebody else's browser, or the
// other way round, gets a code that the client's other half does not fit (RFC 9126 section 7.5).
func TestP18ASwappedRequestURIGivesNobodyACode(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	foreign := lab.Ask(lab.WebA)
	foreign.Set("state", "of-another-browser")
	foreign.Set("nonce", "of-another-browser")
	foreign.Set("code_challenge", lab.Challenge("a-verifier-of-somebody-else-with-forty-three-letters"))
	swapped := h.As(lab.WebA, "/par", foreign).Text("request_uri")
	honest := h.As(lab.WebA, "/par", lab.Ask(lab.WebA)).Text("request_uri")
	redeem := func(uri, verifier string) lab.Reply {
		query := arrival(lab.WebA, uri)
		query.Set("state", "a-state") // what stands beside does not count
		query.Set("code_challenge", lab.Challenge(lab.Verifier))
		back, ok := h.Authorize(alice, query).Sent(lab.Redirect(lab.WebA))
		if !ok || back.Get("code") == "" {
			t.Fatalf("no code: %v", back)
		}
		if uri == swapped && back.Get("state") != "of-another-browser" {
			t.Errorf("P18 the client is not told by state: %v", back)
		}
		return h.As(lab.WebA, "/token", lab.Form("grant_type", "authorization_code", "code", back.Get("code"), "code_verifier", verifier, "redirect_uri", lab.Redirect(lab.WebA)))
	}
	refused(t, redeem(swapped, lab.Verifier), 400, "invalid_grant")
	granted(t, redeem(honest, lab.Verifier))
	t.Run("P18 in the browser of another client", func(t *testing.T) {
		uri := h.As(lab.WebA, "/par", lab.Ask(lab.WebA)).Text("request_uri")
		if reply := h.Authorize(alice, arrival(lab.WebB, uri)); reply.Status != 400 || reply.Header.Get("Location") != "" {
			t.Errorf("%d %s", reply.Status, reply.Header.Get("Location"))
		}
	})
}

// TestD24EachAnswerTellsItsIssuer: a client of two issuers tells their answers apart, and what one gave is worth nothing at
// the other or at its Gate, a key that fits both notwithstanding.
func TestD24EachAnswerTellsItsIssuer(t *testing.T) {
	one, other := lab.New(t, lab.Options{Gate: true}), lab.New(t, lab.Options{Gate: true})
	alice, bob := one.NewPerson("alice"), other.NewPerson("bob")
	for name, pairs := range map[string][]string{"a code": {"prompt", "none"}, "an error": {"prompt", "none", "max_age", "0"}, "an early error": {"scope", "openid nothing"}} {
		query := lab.Ask(lab.WebA)
		query.Set(pairs[0], pairs[1])
		if len(pairs) > 2 {
			query.Set(pairs[2], pairs[3])
		}
		for h, person := range map[*lab.House]*lab.Person{one: alice, other: bob} {
			if back, ok := h.Authorize(person, query).Sent(lab.Redirect(lab.WebA)); !ok || len(back["iss"]) != 1 || back.Get("iss") != h.Issuer {
				t.Errorf("D24 %s of %s says it is of %v", name, h.Issuer, back["iss"])
			}
		}
	}
	if one.Issuer == other.Issuer {
		t.Fatal("there is but one issuer")
	}
	code := one.Code(alice, lab.Plant{})
	refused(t, other.As(lab.WebA, "/token", code.Form()), 400, "invalid_grant")
	granted(t, one.Redeem(code))
	key := newHolder(t, one)
	showing := func(url, value string) string {
		proof, err := key.Proof("GET", url, value, nil)
		must(t, err)
		return proof
	}
	bound := key.post(lab.WebA, "/token", one.Code(alice, lab.Plant{}).Form())
	granted(t, bound)
	plain := one.Tokens(alice, lab.Plant{})
	for what, reply := range map[string]lab.Reply{
		"its Gate":           other.Call("GET", "/accounts/balance", plain.AccessToken),
		"its userinfo":       other.UserInfo(plain.AccessToken),
		"its Gate, by a key": other.Raw(lab.Request("GET", "/accounts/balance", "", "Authorization", "DPoP "+bound.Text("access_token"), "DPoP", showing(other.GateURL+"/accounts/balance", bound.Text("access_token")))),
	} {
		if reply.Status != http.StatusUnauthorized {
			t.Errorf("D24 a token of another issuer at %s: %d %s", what, reply.Status, reply.Body)
		}
	}
}

// TestF19RefreshingWithAnotherKey: a public client's refresh token is its key's. Nobody else's proof serves, none at all
// neither, and the tries cost the owner nothing.
func TestF19RefreshingWithAnotherKey(t *testing.T) {
	h := lab.New(t, lab.Options{})
	alice := h.NewPerson("alice")
	own, thief := newHolder(t, h), newHolder(t, h)
	for _, client := range []string{lab.Native, lab.Browser} {
		reply := own.post(client, "/token", h.Code(alice, lab.Plant{Client: client, Scope: "openid offline_access accounts.read"}).Form())
		granted(t, reply)
		refresh := reply.Text("refresh_token")
		refused(t, thief.post(client, "/token", refreshing(refresh)), 400, "invalid_grant")
		refused(t, h.As(client, "/token", refreshing(refresh)), 400, "invalid_grant")
		proof, err := own.Proof("POST", h.Issuer+"/token", "", nil)
		must(t, err)
		refused(t, h.Post("/token", merged(refreshing(refresh), "client_id", client), "DPoP", proof[:len(proof)-6]+"AAAAAA"), 400, "invalid_dpop_proof")
		granted(t, own.post(client, "/token", refreshing(refresh)))
	}
}

func merged(form url.Values, pairs ...string) url.Values {
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}
