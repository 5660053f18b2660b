package lab_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/lab/browser"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/recipe"
)

// shot is where a picture goes, if anybody asked for pictures.
func shot(name string) string {
	if dir := os.Getenv("GARDE_SHOTS"); dir != "" {
		return filepath.Join(dir, name+".png")
	}
	return ""
}

const lamp = "a lamp beside seven rivers"

// atHome is a house whose pages stand on localhost, where browsers take part in WebAuthn, with a strong level.
func atHome(t *testing.T) (h *lab.House, home string) {
	t.Helper()
	h = lab.New(t, lab.Options{
		Recipe: func(house *recipe.Recipe) {
			house.Company.Name = "Banque de l’Exemple"
			// Who reaches basic may vouch for another sign-in at basic, and for no more.
			house.SignIn.Factors = append(house.SignIn.Offered(), "approval")
			house.Levels[0].Any = append(house.Levels[0].Any, "passkey", "email+approval")
			house.SignIn.Factors = append(house.SignIn.Factors, "email")
			house.Levels = append(house.Levels, recipe.Level{
				Name: "strong", ACR: lab.Strong, Any: []string{"passkey", "password+totp", "password+recovery_code"},
			})
		},
		Settings: func(node *config.Node) { node.Issuer = strings.Replace(node.Issuer, "127.0.0.1", "localhost", 1) },
	})
	return h, strings.Replace(h.Issuer, "127.0.0.1", "localhost", 1)
}

// resident adds somebody with a password.
func resident(t *testing.T, h *lab.House, name, full string) iam.User {
	t.Helper()
	phc, err := password.NewHasher(0, 0).Hash(t.Context(), lamp)
	if err != nil {
		t.Fatal(err)
	}
	user := iam.User{
		ID: uuid.NewString(), Username: name, Name: full, Email: name + "@bank.example", EmailKey: name + "@bank.example", EmailVerified: true,
		Created: h.Clock.Now(), Changed: h.Clock.Now(),
	}
	if err := h.Store().AddUser(t.Context(), user, iam.Password{User: user.ID, PHC: phc, Changed: h.Clock.Now()}); err != nil {
		t.Fatal(err)
	}
	return user
}

func signIn(p *browser.Page, name string) {
	p.Fill("username", name)
	p.Fill("password", lamp)
	p.Click("login-submit")
}

// appCode is what an application shows for the key on the page, a step further on.
func appCode(t *testing.T, h *lab.House, secret string) string {
	t.Helper()
	code, err := otp.Code(strings.ReplaceAll(secret, " ", ""), h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestAPersonKeepsTheirFactorsInABrowser(t *testing.T) {
	for name, settings := range map[string]browser.Settings{
		"desk": {}, "desk-dark": {Dark: true}, "phone-french": {Phone: true, Locale: "fr"}, "phone-dark": {Phone: true, Dark: true},
	} {
		t.Run(name, func(t *testing.T) {
			h, home := atHome(t)
			ada := resident(t, h, "ada", "Ada Lovelace")
			p := browser.New(t, settings)
			french := settings.Locale == "fr"
			p.Open(home + "/account")
			p.Screenshot(shot(name + "-00-signin"))
			signIn(p, "ada")
			p.Screenshot(shot(name + "-01-account"))
			p.Follow(`nav a[href="/account/security"]`)
			p.Screenshot(shot(name + "-02-security-empty"))

			p.Follow("#add-totp")
			p.Screenshot(shot(name + "-03-newtotp"))
			secret := p.Text("#totp-secret")
			p.Fill("new-code", "000000")
			p.Fill("factor-name", "Application sur mon téléphone")
			p.Click("totp-submit")
			p.Screenshot(shot(name + "-04-newtotp-wrong"))
			if got := p.Text("#totp-secret"); got != secret {
				t.Error("the key is another after a wrong code")
			}
			p.Fill("new-code", appCode(t, h, secret))
			p.Fill("factor-name", "Application sur mon téléphone")
			p.Click("totp-submit")
			p.Screenshot(shot(name + "-05-security-totp"))

			// The password alone is now less than what she can reach: the code is asked for, and nothing else.
			h.Clock.Skip(31 * time.Second)
			p.Follow("#add-passkey")
			p.Screenshot(shot(name + "-06-prove"))
			p.Fill("code", appCode(t, h, secret))
			p.Click("prove-submit")
			p.Follow("#add-passkey")
			remove := p.Hold(browser.Authenticator{Inside: true, Synced: true})
			p.Screenshot(shot(name + "-07-newkey"))
			p.Fill("factor-name", "Ada’s phone")
			p.Click("key-submit")
			p.Screenshot(shot(name + "-08-security-passkey"))
			if got := p.Text("#factors"); !strings.Contains(got, "Ada’s phone") {
				t.Errorf("the list reads %q", got)
			}
			p.Click("codes-make")
			p.Screenshot(shot(name + "-09-codes"))
			p.Follow("#codes-done")

			kept, err := h.Server.House.Authenticators(t.Context(), ada.ID)
			if err != nil || len(kept) != 2 || !kept[1].Synced || kept[1].Kind != iam.FactorPasskey {
				t.Fatalf("kept %+v, %v", kept, err)
			}
			p.Open(home + "/account/security/factor?id=" + kept[0].ID)
			p.Screenshot(shot(name + "-10-factor"))
			p.Click("factor-remove")
			p.Screenshot(shot(name + "-11-removed"))
			title := map[bool]string{false: "Security", true: "Sécurité"}[french]
			if got := p.Text("h1"); got != title {
				t.Errorf("the page is called %q", got)
			}

			p.Follow(`nav a[href="/account/devices"]`)
			p.Screenshot(shot(name + "-12-devices"))
			p.Follow(".rows a")
			p.Screenshot(shot(name + "-13-device"))
			p.Open(home + "/account/habits")
			p.Screenshot(shot(name + "-14-habits"))
			p.Click("habits-switch")
			p.Screenshot(shot(name + "-15-habits-off"))

			asked := waits(t, h, ada)
			p.Open(home + "/account")
			p.Screenshot(shot(name + "-16-account-full"))
			p.Follow("#account-approvals")
			p.Screenshot(shot(name + "-17-approvals"))
			p.Follow(`button[value="` + asked.Number + `"]`)
			p.Screenshot(shot(name + "-18-approved"))
			if got, err := h.Server.House.TakeApproval(t.Context(), asked.Flow, h.Clock.Now()); err != nil || !got.Allowed {
				t.Errorf("not allowed: %+v, %v", got, err)
			}

			remove() // else it offers ada's passkey to the sign-in page
			resident(t, h, "bob", "")
			p.Open(home + "/choose")
			p.Click("choose-other")
			signIn(p, "bob")
			p.Open(home + "/choose")
			p.Screenshot(shot(name + "-19-choose"))
			p.Click("choose-out")
			for _, complaint := range p.Complaints() {
				if !strings.Contains(complaint, "status of 422") { // the wrong code
					t.Errorf("the browser says: %s", complaint)
				}
			}
		})
	}
}

// waits is a sign-in that waits for a person's word.
func waits(t *testing.T, h *lab.House, user iam.User) iam.Approval {
	t.Helper()
	key, now := iam.NewSecret(iam.PrefixFlow), h.Clock.Now()
	flow := iam.Flow{Hash: iam.HashFlow(key), Browser: iam.Hash(key), User: user.ID, Created: now, Expires: now.Add(time.Hour)}
	asked := iam.Approval{
		ID: uuid.NewString(), User: user.ID, Flow: flow.Hash, Number: "42", Agent: "Chrome on Windows", Address: "198.51.100.7/32",
		Created: now, Expires: now.Add(5 * time.Minute),
	}
	if err := h.Store().AddFlow(t.Context(), flow); err != nil {
		t.Fatal(err)
	}
	if err := h.Server.House.AskApproval(t.Context(), asked); err != nil {
		t.Fatal(err)
	}
	return asked
}
