package conform_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

// leaving signs in, and gives what a sign-out needs.
func (m *module) leaving() (idToken string, claims members, sent url.Values) {
	m.Helper()
	query := m.asks("openid")
	sent = m.authorize(query)
	if sent.Get("session_state") == "" {
		m.Error("no session_state")
	}
	said, claims := m.redeems(sent, query)
	if claims["sid"] == nil {
		m.Error("no sid in the ID token")
	}
	idToken, _ = said["id_token"].(string)
	return idToken, claims, sent
}

// ends sends the browser to the end of the session. Its commands are those of the configuration: they press logout-yes where
// they are asked.
func (m *module) ends(more ...string) page {
	m.Helper()
	m.seen = nil
	address := m.at("end_session_endpoint")
	if query := lab.Form(more...).Encode(); query != "" {
		address += "?" + query
	}
	return m.visit(address)
}

// left holds where the browser is sent after a sign-out, "" for nowhere, and that nobody is signed in any more.
func (m *module) left(on page, address string) {
	m.Helper()
	if on.left != address || address == "" && !m.asked("signed-out") && !m.asked("error-page") {
		m.Errorf("%d at %s, left for %q, want %q", on.status, on.at, on.left, address)
	}
	if address == "" && m.asked("error-page") {
		return // then nothing was ended, and the suite asks no more
	}
	m.signedOut()
}

func (m *module) signedOut() {
	m.Helper()
	query := m.asks("openid", "prompt", "none")
	if sent := m.back(m.goes(query), query); sent.Get("error") != "login_required" {
		m.Errorf("after the sign-out: %v", sent)
	}
}

func (m *module) bye() string { return m.address + "/test/a/garde/post_logout_redirect" }

// unasked holds that a sign-out without a good hint asks the person.
func (m *module) confirmed() {
	m.Helper()
	if !m.asked("logout-yes") && !m.asked("error-page") {
		m.Error("signed out without a word")
	}
}

var modulesOfLogout = map[string][]step{
	"oidcc-rp-initiated-logout-certification-test-plan": {
		{"oidcc-rp-initiated-logout-discovery-endpoint-verification", "", false, func(m *module) { m.announces() }},
		{"oidcc-rp-initiated-logout", "", false, func(m *module) {
			hint, _, _ := m.leaving()
			m.left(m.ends("id_token_hint", hint, "post_logout_redirect_uri", m.bye(), "state", strings.Repeat("s", 128)), m.bye()+"?state="+strings.Repeat("s", 128))
		}},
		{"oidcc-rp-initiated-logout-bad-post-logout-redirect-uri", "", false, func(m *module) {
			hint, _, _ := m.leaving()
			m.left(m.ends("id_token_hint", hint, "post_logout_redirect_uri", m.address+"/foo", "state", "s"), "")
		}},
		{"oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri", "", false, func(m *module) {
			hint, _, _ := m.leaving()
			m.left(m.ends("id_token_hint", hint, "post_logout_redirect_uri", m.bye()+"?foo=bar", "state", "s"), "")
		}},
		{"oidcc-rp-initiated-logout-modified-id-token-hint", "", false, func(m *module) {
			hint, _, _ := m.leaving()
			m.left(m.ends("id_token_hint", hint[:len(hint)-8]+"AAAAAAAA", "post_logout_redirect_uri", m.bye(), "state", "s"), "")
			m.confirmed()
		}},
		{"oidcc-rp-initiated-logout-bad-id-token-hint", "", false, func(m *module) {
			hint, _, _ := m.leaving()
			m.left(m.ends("id_token_hint", unsigned(hint), "post_logout_redirect_uri", m.bye(), "state", "s"), "")
		}},
		{"oidcc-rp-initiated-logout-no-id-token-hint", "", false, func(m *module) {
			m.leaving()
			m.left(m.ends("post_logout_redirect_uri", m.bye(), "state", "s"), "")
		}},
		{"oidcc-rp-initiated-logout-no-params", "", false, func(m *module) {
			m.leaving()
			m.left(m.ends(), "")
		}},
		{"oidcc-rp-initiated-logout-no-post-logout-redirect-uri", "", false, func(m *module) {
			hint, _, _ := m.leaving()
			m.left(m.ends("id_token_hint", hint, "state", "s"), "")
		}},
		{"oidcc-rp-initiated-logout-no-state", "", false, func(m *module) {
			hint, _, _ := m.leaving()
			m.left(m.ends("id_token_hint", hint, "post_logout_redirect_uri", m.bye()), m.bye())
		}},
		{"oidcc-rp-initiated-logout-only-state", "", false, func(m *module) {
			m.leaving()
			m.left(m.ends("state", "s"), "")
		}},
	},
	"oidcc-session-management-certification-test-plan": {
		{"oidcc-session-management-discovery-endpoint-verification", "", false, func(m *module) {
			m.announces()
			if m.at("check_session_iframe") == "" {
				m.Error("no check_session_iframe")
			}
		}},
		{"oidcc-session-management-rp-initiated-logout", "", false, func(m *module) {
			hint, _, sent := m.leaving()
			frame := m.b.open(m.at("check_session_iframe"))
			if policy := frame.header.Get("Content-Security-Policy"); frame.status != 200 || frame.header.Get("X-Frame-Options") != "" || !strings.Contains(policy, "frame-ancestors *") {
				m.Errorf("the frame: %d %v", frame.status, frame.header)
			}
			if !m.unchanged(sent.Get("session_state")) {
				m.Error("session_state has changed, though nothing has")
			}
			m.left(m.ends("id_token_hint", hint, "post_logout_redirect_uri", m.bye(), "state", "s"), m.bye()+"?state=s")
			if m.unchanged(sent.Get("session_state")) {
				m.Error("session_state has not changed")
			}
		}},
	},
	"oidcc-frontchannel-rp-initiated-logout-certification-test-plan": {
		{"oidcc-frontchannel-logout-discovery-endpoint-verification", "", false, func(m *module) { m.announces("frontchannel_logout_supported", "frontchannel_logout_session_supported") }},
		{"oidcc-frontchannel-rp-initiated-logout", "", false, func(m *module) {
			hint, claims, _ := m.leaving()
			on := m.ends("id_token_hint", hint, "post_logout_redirect_uri", m.bye(), "state", "s")
			found := regexp.MustCompile(`<iframe[^>]* src="([^"]*)"`).FindStringSubmatch(on.body)
			if on.left != "" || found == nil {
				m.Fatalf("%q at %s\n%s", on.left, on.at, on.body)
			}
			to, err := url.Parse(html.UnescapeString(found[1]))
			must(m.T, err)
			if !strings.HasPrefix(to.String(), m.address+"/test/a/garde/frontchannel_logout?") || to.Query().Get("iss") != m.issuer || to.Query().Get("sid") != claims["sid"] || len(to.Query()) != 2 {
				m.Errorf("%s, sid %v", to, claims["sid"])
			}
			if next := on.header.Get("Refresh") + html.UnescapeString(on.body); !strings.Contains(next, m.bye()+"?state=s") {
				m.Errorf("it does not go on: %s", next)
			}
			m.signedOut()
		}},
	},
	"oidcc-backchannel-rp-initiated-logout-certification-test-plan": {
		{"oidcc-backchannel-logout-discovery-endpoint-verification", "", false, func(m *module) { m.announces("backchannel_logout_supported", "backchannel_logout_session_supported") }},
		{"oidcc-backchannel-rp-initiated-logout", "", false, func(m *module) {
			hint, claims, _ := m.leaving()
			m.left(m.ends("id_token_hint", hint, "post_logout_redirect_uri", m.bye(), "state", "s"), m.bye()+"?state=s")
			var forms []url.Values
			var types []string
			for until := time.Now().Add(10 * time.Second); len(forms) == 0 && time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
				forms, types = m.outside.told()
			}
			if len(forms) != 1 || len(forms[0]) != 1 || !strings.HasPrefix(types[0], lab.FormType) || m.outside.times("/test/a/garde/backchannel_logout") != 1 {
				m.Fatalf("%v %v", forms, types)
			}
			token := m.opens(forms[0].Get("logout_token"))
			events, err := json.Marshal(token["events"])
			must(m.T, err)
			jti, _ := token["jti"].(string)
			if string(events) != `{"http://schemas.openid.net/event/backchannel-logout":{}}` || token["nonce"] != nil || jti == "" || token["iat"] == nil || token["iss"] != m.issuer || token["aud"] != m.c.ID ||
				token["sub"] != claims["sub"] || token["sid"] != claims["sid"] {
				m.Errorf("%v, and the ID token said %v", token, claims)
			}
		}},
	},
}

// announces holds the members of metadata that a plan of signing out begins with.
func (m *module) announces(flags ...string) {
	m.Helper()
	if !strings.HasPrefix(m.at("end_session_endpoint"), "https://") {
		m.Errorf("end_session_endpoint is %v", m.about["end_session_endpoint"])
	}
	for _, name := range flags {
		if m.about[name] != true {
			m.Errorf("%s is %v", name, m.about[name])
		}
	}
}

// unchanged computes session_state anew from the cookies that stand (OpenID Connect Session Management section 3).
func (m *module) unchanged(said string) bool {
	hash, salt, _ := strings.Cut(said, ".")
	for _, cookie := range m.b.client.Jar.Cookies(m.b.issuer) {
		sum := sha256.Sum256([]byte(m.c.ID + " " + m.address + " " + cookie.Value + " " + salt))
		if base64.RawURLEncoding.EncodeToString(sum[:]) == hash {
			return true
		}
	}
	return false
}

// TestSuiteLogout are the four plans of signing out.
func TestSuiteLogout(t *testing.T) {
	s := newSuite(t)
	s.serve(t, "logout")
	for plan, modules := range modulesOfLogout {
		r := s.paste(t, "logout", plan)
		for _, each := range modules {
			t.Run(plan+"/"+each.name, func(t *testing.T) { each.do(r.module(t, &r.Client, "code", "default")) })
		}
	}
}
