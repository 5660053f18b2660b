package lab_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab/browser"
)

func TestAPersonSignsInByAPasskeyThatTheBrowserOffers(t *testing.T) {
	h, home := atHome(t)
	ada := resident(t, h, "ada", "Ada Lovelace")
	p := browser.New(t, browser.Settings{})
	p.Open(home + "/account")
	if !p.Has("#key-submit") || p.Attribute("#username", "autocomplete") != "username webauthn" {
		t.Fatalf("no passkey is offered:\n%s", p.HTML())
	}
	signIn(p, "ada")
	p.Follow(`nav a[href="/account/security"]`)
	p.Follow("#add-passkey")
	p.Hold(browser.Authenticator{Inside: true})
	p.Fill("factor-name", "Ada’s laptop")
	p.Click("key-submit")
	p.Open(home + "/account")
	p.Click("account-signout")

	// The browser offers it in the field of the name, and the person, who is simulated, takes it.
	p.Open(home + "/account")
	deadline := time.Now().Add(15 * time.Second)
	for !strings.HasSuffix(p.Location(), "/account") && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
	}
	if !strings.HasSuffix(p.Location(), "/account") {
		t.Fatalf("it led to %s", p.Location())
	}
	living, err := h.Store().UserSessions(t.Context(), ada.ID)
	if err != nil || len(living) != 1 || strings.Join(living[0].AMR, " ") != "hwk user mfa" || living[0].ACR == "" {
		t.Errorf("sessions %+v, %v", living, err)
	}
	for _, complaint := range p.Complaints() {
		t.Errorf("the browser says: %s", complaint)
	}
}
