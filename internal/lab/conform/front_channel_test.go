package conform_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/lab"
)

// fronts are the response types of the implicit and hybrid plans, with what each answer holds.
var fronts = map[string][]string{
	"implicit: id_token":          {"id_token"},
	"implicit: id_token token":    {"id_token", "access_token"},
	"hybrid: code id_token":       {"code", "id_token"},
	"hybrid: code token":          {"code", "access_token"},
	"hybrid: code id_token token": {"code", "id_token", "access_token"},
}

// fronted registers a party for every response type.
func fronted(t *testing.T, h *provider) *party {
	t.Helper()
	return h.register(t, members{
		"token_endpoint_auth_method": "client_secret_basic", "grant_types": []string{"authorization_code", "refresh_token", "implicit"},
		"response_types": []string{"code", "id_token", "id_token token", "code id_token", "code token", "code id_token token"},
	})
}

// TestImplicitHybridFormPost are the plans implicit, hybrid and form_post: the same requests, answered in the fragment and by
// a form.
func TestImplicitHybridFormPost(t *testing.T) {
	h := newProvider(t, lab.Options{})
	p := fronted(t, h)
	ask := func(name string, more ...string) url.Values {
		_, kind, _ := strings.Cut(name, ": ")
		return plain(p, "openid email", append([]string{"response_type", kind}, more...)...)
	}
	open := func(b *browser, query url.Values) page {
		return b.open(p.at("authorization_endpoint") + "?" + query.Encode())
	}
	// back is what comes back, by whichever way was asked for.
	back := func(t *testing.T, b *browser, query url.Values) url.Values {
		t.Helper()
		on := open(b, query)
		if on.has("consent-allow") {
			on = b.press(on, "consent-allow")
		}
		if query.Get("response_mode") != "form_post" {
			return p.answered(t, on.left, query)
		}
		posted, ok := formOf(t, on.body, "hand-over")
		if !ok || on.left != "" || posted.action != p.redirect() {
			t.Fatalf("%d %s\n%s", on.status, on.left, on.body)
		}
		return p.judged(t, posted.fields, query)
	}
	for name, holds := range fronts {
		for _, mode := range []string{"", "form_post"} {
			t.Run(strings.TrimSuffix(name+" "+mode, " "), func(t *testing.T) {
				query := ask(name, "response_mode", mode)
				sent := back(t, h.browser(t), query)
				for _, each := range []string{"code", "id_token", "access_token"} {
					wanted := strings.Contains(" "+strings.Join(holds, " ")+" ", " "+each+" ")
					if sent.Has(each) != wanted {
						t.Errorf("%s: %v", each, sent)
					}
				}
				if sent.Has("access_token") != (sent.Get("token_type") == "Bearer") || sent.Has("access_token") != sent.Has("expires_in") || sent.Has("refresh_token") {
					t.Errorf("%v", sent)
				}
				var front members
				if sent.Has("id_token") {
					front = p.identity(t, sent.Get("id_token"), query)
					hash := func(claim, param string) {
						if got, _ := front[claim].(string); sent.Has(param) != (got != "") || got != "" && got != half(sent.Get(param)) {
							t.Errorf("%s is %q", claim, got)
						}
					}
					hash("at_hash", "access_token")
					hash("c_hash", "code")
					// Claims of scopes stand in the ID token where there is no access token to fetch them with.
					if alone := query.Get("response_type") == "id_token"; alone != (front["email"] != nil) {
						t.Errorf("email in the ID token: %v", front["email"])
					}
				}
				if sent.Has("access_token") {
					if reply := h.UserInfo(sent.Get("access_token")); reply.Status != 200 || reply.Text("sub") != h.alice.ID || reply.Text("email") == "" {
						t.Errorf("userinfo: %d %s", reply.Status, reply.Body)
					}
				}
				if sent.Has("code") {
					got, claims := p.redeemPlain(t, sent.Get("code"), query)
					if front != nil && (front["sub"] != claims["sub"] || front["iss"] != claims["iss"]) || h.UserInfo(got.AccessToken).Status != 200 {
						t.Errorf("%v, %v", front, claims)
					}
				}
			})
		}
		t.Run(name+" errors come the same way", func(t *testing.T) {
			for _, mode := range []string{"", "form_post"} {
				query := ask(name, "prompt", "none", "response_mode", mode)
				if sent := back(t, newBrowser(t, h.House, nil), query); sent.Get("error") != "login_required" || sent.Has("code") {
					t.Errorf("%v", sent)
				}
			}
		})
		t.Run(name+" without a nonce", func(t *testing.T) {
			query := ask(name, "nonce", "")
			if strings.Contains(name, "id_token") {
				if sent := back(t, h.browser(t), query); sent.Get("error") != "invalid_request" {
					t.Errorf("%v", sent)
				}
				return
			}
			if sent := back(t, h.browser(t), query); !sent.Has("code") {
				t.Errorf("%v", sent)
			}
		})
		t.Run(name+" never in the query", func(t *testing.T) {
			query := ask(name, "response_mode", "query")
			on := open(h.browser(t), query)
			if to, err := url.Parse(on.left); err != nil || to.RawQuery != "" || strings.Contains(to.Fragment, "token=") || strings.Contains(to.Fragment, "code=") {
				t.Errorf("%s", on.left)
			}
		})
	}
	t.Run("form_post: code", func(t *testing.T) {
		query := plain(p, "openid", "response_mode", "form_post")
		p.redeemPlain(t, back(t, h.browser(t), query).Get("code"), query)
	})
	t.Run("C16 a client that registered none of it", func(t *testing.T) {
		code := h.register(t, nil)
		for name := range fronts {
			_, kind, _ := strings.Cut(name, ": ")
			query := plain(code, "openid", "response_type", kind)
			on := h.browser(t).open(code.at("authorization_endpoint") + "?" + query.Encode())
			if sent := code.answered(t, on.left, query); sent.Get("error") != "unauthorized_client" && sent.Get("error") != "unsupported_response_type" || len(sent["access_token"]) > 0 {
				t.Errorf("%s: %v", kind, sent)
			}
		}
	})
	t.Run("C16 token alone is never given", func(t *testing.T) {
		query := plain(p, "openid", "response_type", "token")
		on := open(h.browser(t), query)
		if sent := p.answered(t, on.left, query); sent.Get("error") != "unsupported_response_type" {
			t.Errorf("%v", sent)
		}
	})
}
