package conform_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

// step is a module by the suite's name: for which response types (all, if none is named), and what it does.
type step struct {
	name  string
	kinds string // of the types that begin so or contain this; "" is all
	slow  bool   // waits, beside others
	do    func(*module)
}

func (s step) concerns(kind string) bool {
	switch s.kinds {
	case "":
		return true
	case "with code":
		return strings.Contains(kind, "code")
	case "with token":
		return strings.Contains(kind, "code") || strings.HasSuffix(kind, " token")
	case "with id_token":
		return strings.Contains(kind, "id_token")
	}
	return kind == s.kinds
}

// succeeds is a module that sends a parameter which must do no harm.
func succeeds(scope string, more ...string) func(*module) {
	return func(m *module) {
		query := m.asks(scope, more...)
		if claims, _ := m.whole(query); claims == nil && strings.Contains(m.kind, "id_token") {
			m.Error("no ID token")
		}
		if !m.asked("login-submit") {
			m.Error("nobody was asked to sign in")
		}
	}
}

// scoped is a module that asks for scopes, and for each of their claims.
func scoped(scope string) func(*module) {
	return func(m *module) {
		claims, access := m.whole(m.asks("openid " + scope))
		said := claims
		if access != "" {
			said = m.info(access)
		}
		for _, each := range strings.Fields(scope) {
			for _, name := range claimsOf[each] {
				if value := said[name]; value == nil || value == "" {
					m.Errorf("no %s for the scope %s", name, each)
				}
			}
		}
	}
}

// claimsOf are the claims that OpenID Connect Core section 5.4 gives for a scope.
var claimsOf = map[string][]string{
	"profile": {"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"},
	"email":   {"email", "email_verified"}, "address": {"address"}, "phone": {"phone_number", "phone_number_verified"},
}

// twice signs in, waits, and asks again with something that demands a new sign-in.
func twice(more ...string) func(*module) {
	return func(m *module) {
		first, _ := m.whole(m.asks("openid", more...))
		time.Sleep(1100 * time.Millisecond)
		m.seen = nil
		second, _ := m.whole(m.asks("openid", more...))
		if !m.asked("login-submit") {
			m.Error("nobody was asked to sign in again")
		}
		was, _ := first["auth_time"].(float64)
		is, told := second["auth_time"].(float64)
		if !told || is <= was || first["sub"] != second["sub"] {
			m.Errorf("auth_time %v, then %v", first["auth_time"], second["auth_time"])
		}
	}
}

// silently signs in, and asks again with something that must not show a page.
func silently(more func(idToken string) []string) func(*module) {
	return func(m *module) {
		query := m.asks("openid")
		sent := m.authorize(query)
		hint := sent.Get("id_token")
		first := members(nil)
		if hint != "" {
			first = m.opens(hint)
		}
		if sent.Has("code") {
			var said members
			said, first = m.redeems(sent, query)
			hint, _ = said["id_token"].(string)
		}
		time.Sleep(1100 * time.Millisecond)
		for range 2 { // and again: nothing is used up
			m.seen = nil
			second, _ := m.whole(m.asks("openid", more(hint)...))
			if m.asked("login-submit") || m.asked("consent-allow") {
				m.Error("a page was shown")
			}
			if second["sub"] != first["sub"] || second["auth_time"] != first["auth_time"] {
				m.Errorf("%v, then %v", first, second)
			}
		}
	}
}

// shown finds the error page, and an address that nobody is sent to.
func (m *module) shown(query url.Values, code string) {
	m.Helper()
	on := m.goes(query)
	if on.left != "" || on.status != 400 || !on.has("error-page") || on.code() != code {
		m.Errorf("%d %s at %s, left for %q", on.status, on.code(), on.at, on.left)
	}
}

// reused redeems a code twice.
func reused(after time.Duration) func(*module) {
	return func(m *module) {
		query := m.asks("openid")
		sent := m.authorize(query)
		said, _ := m.redeems(sent, query)
		access, _ := said["access_token"].(string)
		m.info(access)
		time.Sleep(after)
		m.refuses(m.posts(m.code(sent, query)), "invalid_grant")
		if after > 0 {
			m.dies(access)
		}
	}
}

// objected sends a request by an unsigned object: as nobody advertises none, the suite skips it; here it must be refused, and
// by none of the ways to a wrong address.
func objected(m *module) {
	if list, _ := m.about["request_object_signing_alg_values_supported"].([]any); len(list) == 0 || containsText(list, "none") {
		m.Fatalf("request_object_signing_alg_values_supported is %v", list)
	}
	query := m.asks("openid", "request", "eyJhbGciOiJub25lIn0.e30.")
	on := m.goes(query)
	if on.left == "" {
		if !on.has("error-page") || on.code() != "invalid_request_object" {
			m.Errorf("%d %s", on.status, on.code())
		}
		return
	}
	if sent := m.back(on, query); sent.Get("error") != "invalid_request_object" && sent.Get("error") != "request_not_supported" {
		m.Errorf("%v", sent)
	}
}

func containsText(list []any, text string) bool {
	for _, each := range list {
		if each == text {
			return true
		}
	}
	return false
}

// modulesOfOpenID are those of the plans basic, implicit and hybrid, and of their form_post twins.
var modulesOfOpenID = []step{
	{"oidcc-server", "", false, func(m *module) {
		claims, access := m.whole(m.asks("openid"))
		if access != "" && m.info(access)["sub"] != claims["sub"] {
			m.Error("userinfo is of somebody else")
		}
	}},
	{"oidcc-server-client-secret-post", "with code", false, func(m *module) {
		m.c = &m.Post
		m.c.auth = "client_secret_post"
		m.whole(m.asks("openid"))
	}},
	{"oidcc-response-type-missing", "", false, func(m *module) {
		query := m.asks("openid", "response_type", "", "response_mode", "")
		on := m.goes(query)
		if on.left == "" {
			if !on.has("error-page") || on.code() != "invalid_request" && on.code() != "unsupported_response_type" {
				m.Errorf("%d %s", on.status, on.code())
			}
			return
		}
		if sent := m.back(on, query); sent.Get("error") != "invalid_request" && sent.Get("error") != "unsupported_response_type" {
			m.Errorf("%v", sent)
		}
	}},
	{"oidcc-idtoken-signature", "", false, func(m *module) { m.whole(m.asks("openid")) }},
	{"oidcc-idtoken-unsigned", "code", false, func(m *module) {
		if list, _ := m.about["id_token_signing_alg_values_supported"].([]any); containsText(list, "none") || !containsText(list, "RS256") {
			m.Errorf("%v", list)
		}
	}},
	{"oidcc-userinfo-get", "with token", false, func(m *module) {
		claims, access := m.whole(m.asks("openid"))
		if access != "" && m.info(access)["sub"] != claims["sub"] {
			m.Error("userinfo is of somebody else")
		}
	}},
	{"oidcc-userinfo-post-header", "with token", false, func(m *module) {
		_, access := m.whole(m.asks("openid"))
		m.informed(m.send("POST", m.at("userinfo_endpoint"), "", "Authorization", "Bearer "+access))
	}},
	{"oidcc-userinfo-post-body", "with token", false, func(m *module) {
		// A warning that is meant: a token in a form is none, since any page could send one (X13, RFC 6750 section 2.2).
		_, access := m.whole(m.asks("openid"))
		got := m.send("POST", m.at("userinfo_endpoint"), lab.Form("access_token", access).Encode())
		if got.status != 401 || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
			m.Errorf("%d %v", got.status, got.header)
		}
	}},
	{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", "code", false, func(m *module) { m.whole(m.asks("openid", "nonce", "")) }},
	{"oidcc-ensure-request-without-nonce-fails", "with id_token", false, func(m *module) {
		query := m.asks("openid", "nonce", "")
		if sent := m.back(m.goes(query), query); sent.Get("error") != "invalid_request" {
			m.Errorf("%v", sent)
		}
	}},
	{"oidcc-scope-profile", "", false, scoped("profile")},
	{"oidcc-scope-email", "", false, scoped("email")},
	{"oidcc-scope-address", "", false, scoped("address")},
	{"oidcc-scope-phone", "", false, scoped("phone")},
	{"oidcc-scope-all", "", false, scoped("profile email address phone")},
	{"oidcc-alternate-happy-flow", "", false, func(m *module) {
		if claims, access := m.whole(m.asks("email openid")); access != "" && m.info(access)["email"] == nil || claims == nil {
			m.Error("the order of scopes counts")
		}
	}},
	{"oidcc-ensure-other-scope-order-succeeds", "", false, func(m *module) { m.whole(m.asks("email openid")) }},
	{"oidcc-display-page", "", false, succeeds("openid", "display", "page")},
	{"oidcc-display-popup", "", false, succeeds("openid", "display", "popup")},
	{"oidcc-prompt-login", "", false, twice("prompt", "login")},
	{"oidcc-prompt-none-not-logged-in", "", false, func(m *module) {
		query := m.asks("openid", "prompt", "none")
		if sent := m.back(m.goes(query), query); sent.Get("error") != "login_required" || sent.Has("code") {
			m.Errorf("%v", sent)
		}
	}},
	{"oidcc-prompt-none-logged-in", "", false, silently(func(string) []string { return []string{"prompt", "none"} })},
	{"oidcc-max-age-1", "", false, twice("max_age", "1")},
	{"oidcc-max-age-10000", "", false, func(m *module) {
		first, _ := m.whole(m.asks("openid", "max_age", "10000"))
		time.Sleep(1100 * time.Millisecond)
		m.seen = nil
		second, _ := m.whole(m.asks("openid", "max_age", "10000"))
		if m.asked("login-submit") || first["auth_time"] == nil || first["auth_time"] != second["auth_time"] || first["sub"] != second["sub"] {
			m.Errorf("%v, then %v", first, second)
		}
	}},
	{"oidcc-ensure-request-with-unknown-parameter-succeeds", "", false, succeeds("openid", "extra", "foobar")},
	{"oidcc-id-token-hint", "", false, silently(func(hint string) []string { return []string{"prompt", "none", "id_token_hint", hint} })},
	{"oidcc-login-hint", "", false, func(m *module) {
		issuer, err := url.Parse(m.issuer)
		must(m.T, err)
		succeeds("openid", "login_hint", "buffy@"+issuer.Hostname())(m)
	}},
	{"oidcc-ui-locales", "", false, succeeds("openid", "ui_locales", "se")},
	{"oidcc-claims-locales", "", false, succeeds("openid", "claims_locales", "se")},
	{"oidcc-ensure-request-with-acr-values-succeeds", "", false, func(m *module) {
		list, _ := m.about["acr_values_supported"].([]any)
		if len(list) == 0 {
			m.Fatalf("acr_values_supported is %v", m.about["acr_values_supported"])
		}
		for _, values := range []string{list[0].(string), "1 2"} {
			m.open()
			claims, _ := m.whole(m.asks("openid", "acr_values", values))
			if acr, _ := claims["acr"].(string); acr == "" || values != "1 2" && acr != values {
				m.Errorf("acr %v, for %s", claims["acr"], values)
			}
		}
	}},
	{"oidcc-codereuse", "with code", false, reused(0)},
	{"oidcc-codereuse-30seconds", "with code", true, reused(31 * time.Second)},
	{"oidcc-ensure-registered-redirect-uri", "", false, func(m *module) {
		m.shown(m.asks("openid", "redirect_uri", m.c.uri+"?foo=bar"), "invalid_request")
		m.shown(m.asks("openid", "redirect_uri", m.address+"/not/registered"), "invalid_request")
	}},
	{"oidcc-ensure-redirect-uri-in-authorization-request", "", false, func(m *module) {
		m.shown(m.asks("openid", "redirect_uri", ""), "invalid_request")
	}},
	{"oidcc-ensure-post-request-succeeds", "", false, func(m *module) {
		query := m.asks("openid")
		address := m.at("authorization_endpoint")
		m.ended(m.back(m.drive(address, m.b.post(address, query)), query), query)
	}},
	{"oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported", "", false, func(m *module) {
		address := m.outside.publish("/unsigned", "application/oauth-authz-req+jwt", "eyJhbGciOiJub25lIn0.e30.")
		query := m.asks("openid", "request_uri", address)
		on := m.goes(query)
		code := on.code()
		if on.left != "" {
			code = m.back(on, query).Get("error")
		}
		if wanted := map[bool]string{true: "invalid_request_uri", false: "request_uri_not_supported"}[m.about["request_uri_parameter_supported"] == true]; code != wanted {
			m.Errorf("%d %s, want %s", on.status, code, wanted)
		}
		if m.outside.times("/unsigned") != 0 {
			m.Error("P14 it was fetched")
		}
	}},
	{"oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported", "", false, objected},
	{"oidcc-ensure-request-object-with-redirect-uri", "", false, func(m *module) {
		// Outside stands an address that is none of the client's: whatever becomes of the object, nobody is sent there.
		query := m.asks("openid", "request", "eyJhbGciOiJub25lIn0.e30.", "redirect_uri", m.address+"/evil")
		on := m.goes(query)
		if on.left != "" || !on.has("error-page") {
			m.Errorf("%d %q", on.status, on.left)
		}
	}},
	{"oidcc-claims-essential", "", false, func(m *module) {
		said, access := m.whole(m.asks("openid", "claims", `{"userinfo":{"name":{"essential":true}}}`))
		if access != "" {
			if said["name"] != nil {
				m.Error("the ID token tells the name")
			}
			said = m.info(access)
			if said["name"] == nil {
				m.Errorf("%v", said)
			}
		}
	}},
	{"oidcc-refresh-token", "with code", false, func(m *module) {
		query := m.asks("openid offline_access", "prompt", "consent")
		sent := m.authorize(query)
		said, claims := m.redeems(sent, query)
		m.refreshed(said, claims)
		if refresh, _ := said["refresh_token"].(string); m.Client2.ID != "" {
			other := *m
			other.c = &m.Client2
			m.refuses(other.posts(lab.Form("grant_type", "refresh_token", "refresh_token", refresh)), "invalid_grant")
		}
	}},
	{"oidcc-ensure-request-with-valid-pkce-succeeds", "with code", false, func(m *module) {
		query := m.asks("openid", "code_challenge", lab.Challenge(lab.Verifier), "code_challenge_method", "S256")
		sent := m.authorize(query)
		form := m.code(sent, query)
		form.Set("code_verifier", lab.Verifier)
		m.tokens(m.posts(form))
	}},
	{"a state of 128 and a nonce of 43, 64 and 384 characters", "", false, func(m *module) {
		for _, length := range []int{43, 64, 384} {
			m.whole(m.asks("openid", "state", strings.Repeat("aZ-._~09", 16), "nonce", strings.Repeat("n", length)))
		}
	}},
}

// refreshed refreshes, and holds what comes against what came at first.
func (m *module) refreshed(said, claims members) members {
	m.Helper()
	refresh, _ := said["refresh_token"].(string)
	if refresh == "" {
		m.Fatal("no refresh token: the suite skips, and warns")
	}
	time.Sleep(1100 * time.Millisecond)
	next := m.tokens(m.posts(lab.Form("grant_type", "refresh_token", "refresh_token", refresh, "scope", "openid offline_access")))
	if next["access_token"] == said["access_token"] {
		m.Error("the same access token")
	}
	m.info(next["access_token"].(string))
	if text, _ := next["id_token"].(string); text != "" {
		fresh := m.opens(text)
		for _, name := range []string{"iss", "sub", "aud", "azp", "auth_time"} {
			if fresh[name] != claims[name] {
				m.Errorf("%s was %v, is %v", name, claims[name], fresh[name])
			}
		}
		if fresh["iat"].(float64) <= claims["iat"].(float64) {
			m.Error("iat is not newer")
		}
	}
	return next
}

// TestSuiteOpenID are the plans basic, implicit and hybrid, by redirect and by form_post.
func TestSuiteOpenID(t *testing.T) {
	s := newSuite(t)
	for _, folder := range []string{"basic", "implicit", "hybrid"} {
		kinds := map[string][]string{"basic": {"code"}, "implicit": {"id_token", "id_token token"}, "hybrid": {"code id_token", "code token", "code id_token token"}}[folder]
		t.Run(folder, func(t *testing.T) {
			s.serve(t, folder)
			for _, mode := range []string{"default", "form_post"} {
				plan := "oidcc-" + map[string]string{"default": "", "form_post": "formpost-"}[mode] + folder + "-certification-test-plan"
				r := s.paste(t, folder, plan)
				for _, kind := range kinds {
					for _, each := range modulesOfOpenID {
						if !each.concerns(kind) || each.slow && (kind != "code" || mode != "default") {
							continue // what waits is waited for once
						}
						t.Run(plan+"/"+kind+"/"+each.name, func(t *testing.T) {
							if each.slow {
								t.Parallel()
							}
							own := *r
							each.do(own.module(t, &own.Client, kind, mode))
						})
					}
				}
			}
		})
	}
}
