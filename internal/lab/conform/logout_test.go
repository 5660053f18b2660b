package conform_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

const bye = "https://rp.example/bye"

// parting registers a party that hears of sign-outs, and signs alice in there.
func parting(t *testing.T, h *provider, b *browser, more members) (p *party, got answer, claims members, sent url.Values) {
	t.Helper()
	p = h.register(t, members{"post_logout_redirect_uris": []string{bye, bye + "?foo=bar"}})
	if more != nil {
		said := members{"post_logout_redirect_uris": []string{bye, bye + "?foo=bar"}}
		for name, value := range more {
			said[name] = value
		}
		p = h.register(t, said)
	}
	query := plain(p, "openid")
	sent = p.signIn(t, b, query)
	got, claims = p.redeemPlain(t, sent.Get("code"), query)
	return p, got, claims, sent
}

// gone tells whether nobody is signed in any more in a browser.
func gone(t *testing.T, p *party, b *browser) bool {
	t.Helper()
	query := plain(p, "openid", "prompt", "none")
	on := b.open(p.at("authorization_endpoint") + "?" + query.Encode())
	return p.answered(t, on.left, query).Get("error") == "login_required"
}

// TestRPInitiatedLogout is the plan of OpenID Connect RP-Initiated Logout 1.0.
func TestRPInitiatedLogout(t *testing.T) {
	h := newProvider(t, lab.Options{})
	end := func(p *party, query url.Values) string { return p.at("end_session_endpoint") + "?" + query.Encode() }
	for name, row := range map[string]struct {
		query func(answer) url.Values
		left  string
	}{
		"with state": {func(a answer) url.Values {
			return lab.Form("id_token_hint", a.IDToken, "post_logout_redirect_uri", bye, "state", "s1")
		}, bye + "?state=s1"},
		"without state": {func(a answer) url.Values {
			return lab.Form("id_token_hint", a.IDToken, "post_logout_redirect_uri", bye)
		}, bye},
		"with a query": {func(a answer) url.Values {
			return lab.Form("id_token_hint", a.IDToken, "post_logout_redirect_uri", bye+"?foo=bar", "state", "s")
		}, bye + "?foo=bar&state=s"},
		"the hint alone": {func(a answer) url.Values { return lab.Form("id_token_hint", a.IDToken) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser(t)
			p, got, _, _ := parting(t, h, b, nil)
			on := b.open(end(p, row.query(got)))
			if on.left != row.left || row.left == "" && (on.status != 200 || !on.has("signed-out")) {
				t.Errorf("%d %q at %s", on.status, on.left, on.at)
			}
			if !gone(t, p, b) {
				t.Error("still signed in")
			}
		})
	}
	t.Run("by POST", func(t *testing.T) {
		b := h.browser(t)
		p, got, _, _ := parting(t, h, b, nil)
		on := b.post(p.at("end_session_endpoint"), lab.Form("id_token_hint", got.IDToken, "post_logout_redirect_uri", bye, "state", "s2"))
		if on.left != bye+"?state=s2" || !gone(t, p, b) {
			t.Errorf("%d %q", on.status, on.left)
		}
	})
	t.Run("a hint that has expired", func(t *testing.T) {
		b := h.browser(t)
		p, got, _, _ := parting(t, h, b, nil)
		h.Pass(time.Hour)
		if on := b.open(end(p, lab.Form("id_token_hint", got.IDToken, "post_logout_redirect_uri", bye))); on.left != bye || !gone(t, p, b) {
			t.Errorf("%d %q", on.status, on.left)
		}
	})
	for name, query := range map[string]func(answer) url.Values{
		"no hint":          func(answer) url.Values { return lab.Form("post_logout_redirect_uri", bye) },
		"nothing":          func(answer) url.Values { return url.Values{} },
		"a hint of nobody": func(answer) url.Values { return lab.Form("id_token_hint", "x", "post_logout_redirect_uri", bye) },
		"a hint by none": func(a answer) url.Values {
			return lab.Form("id_token_hint", unsigned(a.IDToken), "post_logout_redirect_uri", bye)
		},
		"a hint that was changed": func(a answer) url.Values {
			return lab.Form("id_token_hint", a.IDToken[:len(a.IDToken)-6]+"AAAAAA", "post_logout_redirect_uri", bye)
		},
		"client_id in place of the hint": func(answer) url.Values {
			return lab.Form("client_id", "x", "post_logout_redirect_uri", bye)
		},
	} {
		t.Run(name+": the person is asked and stays here", func(t *testing.T) {
			b := h.browser(t)
			p, got, _, _ := parting(t, h, b, nil)
			on := b.open(end(p, query(got)))
			if on.left != "" || !on.has("logout-yes") {
				t.Fatalf("%d %q %s", on.status, on.left, on.body)
			}
			if gone(t, p, b) {
				t.Error("signed out without a word")
			}
			if on = b.press(on, "logout-yes"); on.left != "" || !gone(t, p, b) {
				t.Errorf("%d %q", on.status, on.left)
			}
		})
	}
	for name, uri := range map[string]string{"an unregistered address": "https://evil.example/", "a query more": bye + "?x=y", "a slash more": bye + "/"} {
		t.Run(name+": nobody is sent there", func(t *testing.T) {
			b := h.browser(t)
			p, got, _, _ := parting(t, h, b, nil)
			if on := b.open(end(p, lab.Form("id_token_hint", got.IDToken, "post_logout_redirect_uri", uri))); on.left != "" {
				t.Errorf("sent to %q", on.left)
			}
		})
	}
}

func unsigned(token string) string {
	parts := strings.Split(token, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
}

// TestSessionManagement is the plan of OpenID Connect Session Management 1.0.
func TestSessionManagement(t *testing.T) {
	h := newProvider(t, lab.Options{})
	b := h.browser(t)
	p, got, _, sent := parting(t, h, b, nil)
	state := func() (name, value string) {
		for _, cookie := range b.client.Jar.Cookies(b.issuer) {
			if strings.Contains(cookie.Name, "state") {
				name, value = cookie.Name, cookie.Value
			}
		}
		return name, value
	}
	name, value := state()
	said := sent.Get("session_state")
	hash, salt, ok := strings.Cut(said, ".")
	sum := sha256.Sum256([]byte(p.id + " https://rp.example " + value + " " + salt))
	if !ok || hash != base64.RawURLEncoding.EncodeToString(sum[:]) || strings.ContainsAny(said, " ") {
		t.Errorf("session_state %q is not of the cookie %s=%s", said, name, value)
	}
	for _, cookie := range b.client.Jar.Cookies(b.issuer) {
		if cookie.Name != name && (strings.Contains(cookie.Value, value) || strings.Contains(value, cookie.Value)) {
			t.Errorf("the state holds what %s holds", cookie.Name)
		}
	}
	frame, _ := p.about["check_session_iframe"].(string)
	on := b.open(frame)
	policy := on.header.Get("Content-Security-Policy")
	if on.status != 200 || on.header.Get("X-Frame-Options") != "" || strings.Contains(policy, "frame-ancestors 'none'") || !strings.Contains(on.body, name) {
		t.Errorf("the frame: %d %v", on.status, on.header)
	}
	b.open(p.at("end_session_endpoint") + "?" + lab.Form("id_token_hint", got.IDToken, "post_logout_redirect_uri", bye).Encode())
	if _, now := state(); now == value {
		t.Error("the state is the same after the sign-out")
	}
}

// TestFrontChannelLogout is the plan of OpenID Connect Front-Channel Logout 1.0.
func TestFrontChannelLogout(t *testing.T) {
	h := newProvider(t, lab.Options{})
	b := h.browser(t)
	p, got, claims, _ := parting(t, h, b, members{"frontchannel_logout_uri": "https://rp.example/front?a=b", "frontchannel_logout_session_required": true})
	on := b.open(p.at("end_session_endpoint") + "?" + lab.Form("id_token_hint", got.IDToken, "post_logout_redirect_uri", bye, "state", "s3").Encode())
	if on.left != "" || on.status != 200 {
		t.Fatalf("%d %q: it does not wait for the frames", on.status, on.left)
	}
	found := regexp.MustCompile(`<iframe[^>]* src="([^"]*)"`).FindStringSubmatch(on.body)
	if found == nil {
		t.Fatalf("no frame: %s", on.body)
	}
	to, err := url.Parse(html.UnescapeString(found[1]))
	must(t, err)
	if query := to.Query(); to.Host != "rp.example" || to.Path != "/front" || query.Get("a") != "b" || query.Get("iss") != h.Issuer || query.Get("sid") != claims["sid"] || claims["sid"] == nil {
		t.Errorf("%s, sid %v", to, claims["sid"])
	}
	if policy := on.header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-src https://rp.example") {
		t.Errorf("%s", policy)
	}
	if next := on.header.Get("Refresh") + on.body; !strings.Contains(html.UnescapeString(next), bye+"?state=s3") {
		t.Errorf("it does not go on to the party: %s", on.body)
	}
	if !gone(t, p, b) {
		t.Error("still signed in")
	}
}

// TestBackChannelLogout is the plan of OpenID Connect Back-Channel Logout 1.0.
func TestBackChannelLogout(t *testing.T) {
	h := newProvider(t, lab.Options{})
	b := h.browser(t)
	p, got, claims, _ := parting(t, h, b, members{"backchannel_logout_uri": h.outside.at("/back"), "backchannel_logout_session_required": true})
	silent, _, _, _ := parting(t, h, b, members{"backchannel_logout_uri": h.outside.at("/other")})
	b.open(p.at("end_session_endpoint") + "?" + lab.Form("id_token_hint", got.IDToken, "post_logout_redirect_uri", bye).Encode())
	h.Within(10*time.Second, "both parties are told", func() bool { heard, _ := h.outside.told(); return len(heard) == 2 })
	heard, types := h.outside.told()
	seen := map[string]bool{}
	for i, form := range heard {
		if len(form) != 1 || len(form["logout_token"]) != 1 || !strings.HasPrefix(types[i], lab.FormType) {
			t.Fatalf("%v as %s", form, types[i])
		}
		token := p.read(t, form.Get("logout_token"), "logout+jwt")
		events, err := json.Marshal(token["events"])
		must(t, err)
		if string(events) != `{"http://schemas.openid.net/event/backchannel-logout":{}}` || token["nonce"] != nil || token["jti"] == nil || token["iat"] == nil ||
			token["sub"] != claims["sub"] && token["sid"] != claims["sid"] {
			t.Errorf("%v, and the ID token said %v", token, claims)
		}
		aud, _ := token["aud"].(string)
		seen[aud] = true
	}
	if !seen[p.id] || !seen[silent.id] {
		t.Errorf("told: %v", seen)
	}
	time.Sleep(300 * time.Millisecond)
	if heard, _ := h.outside.told(); len(heard) != 2 {
		t.Errorf("told %d times", len(heard))
	}
	t.Run("S34 a logout token is no access token and no hint", func(t *testing.T) {
		text := heard[0].Get("logout_token")
		if h.UserInfo(text).Status != http.StatusUnauthorized {
			t.Error("userinfo takes it")
		}
		query := plain(p, "openid", "id_token_hint", text)
		on := h.browser(t).open(p.at("authorization_endpoint") + "?" + query.Encode())
		if sent := p.answered(t, on.left, query); sent.Get("error") != "invalid_request" {
			t.Errorf("%v", sent)
		}
	})
}
