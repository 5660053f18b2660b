package consent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	chromium "github.com/gardeauth/garde/internal/lab/browser"
)

// shot is where a picture goes, if anybody asked for pictures.
func shot(name string) string {
	if dir := os.Getenv("GARDE_SHOTS"); dir != "" {
		return filepath.Join(dir, name+".png")
	}
	return ""
}

func TestAPersonConnectsADeviceAndAnswersARequest(t *testing.T) {
	for name, settings := range map[string]chromium.Settings{
		"desk": {}, "desk-dark": {Dark: true}, "phone-french": {Phone: true, NoScript: true, Locale: "fr"}, "phone-dark": {Phone: true, Dark: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			settings.AnyCertificate = true
			p := chromium.New(t, settings)
			given := h.begins("tv", "scope", "openid accounts.read offline_access")
			p.Open(h.server.URL + "/device")
			p.Screenshot(shot(name + "-1-enter"))
			p.Fill("user-code", "bbbb-bbbb")
			p.Click("user-code-submit")
			p.Screenshot(shot(name + "-2-wrong"))
			p.Fill("user-code", given.user)
			p.Click("user-code-submit")
			p.Screenshot(shot(name + "-3-signin"))
			p.Fill("username", "alice")
			p.Fill("password", right)
			p.Click("login-submit")
			if got := p.Text("#asked-code"); got != given.user {
				t.Errorf("the code to compare reads %q", got)
			}
			p.Screenshot(shot(name + "-4-confirm"))
			p.Click("asked-allow")
			p.Screenshot(shot(name + "-5-done"))
			h.polls("tv", given).json(200)

			strange := h.begins("stranger", "scope", "openid")
			p.Open(h.server.URL + "/device?user_code=" + strange.user)
			p.Screenshot(shot(name + "-6-link"))
			p.Click("user-code-submit")
			p.Screenshot(shot(name + "-7-stranger"))
			p.Click("asked-deny")
			p.Screenshot(shot(name + "-8-denied"))

			id := h.asks("shop", "binding_message", "Till 7: 12.50 EUR")
			p.Open(h.server.URL + "/account")
			p.Screenshot(shot(name + "-9-account"))
			p.Follow("#account-requests")
			p.Screenshot(shot(name + "-10-requests"))
			p.Follow("#requests a")
			if got := p.Text("#asked-message"); got != "Till 7: 12.50 EUR" {
				t.Errorf("the message reads %q", got)
			}
			p.Screenshot(shot(name + "-11-request"))
			p.Click("asked-allow")
			p.Screenshot(shot(name + "-12-answered"))
			h.fetches("shop", id).json(200)
			for _, complaint := range p.Complaints() {
				if !strings.Contains(complaint, "status of 422") { // the wrong code
					t.Errorf("the browser says: %s", complaint)
				}
			}
		})
	}
}
