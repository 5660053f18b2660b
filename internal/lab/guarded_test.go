package lab_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// wary is a recipe whose only rule asks for more on a device that nobody knows.
func wary(house *recipe.Recipe) {
	house.Levels = append(house.Levels, recipe.Level{Name: "strong", ACR: lab.Strong, Any: []string{"password+totp"}})
	house.Raise = []recipe.Raise{{When: "risk.new_device", Level: "strong"}}
}

// S09: who has stolen a password adds nothing that would answer what the moment raises, at the door where factors are added
// no less than where they are asked for. Its owner adds one without a question, and reads their mail where the moment is odd.
func TestS09AStolenPasswordAddsNoFactorInAMomentThatIsRaised(t *testing.T) {
	folder := t.TempDir()
	h := lab.New(t, lab.Options{Recipe: wary, Settings: func(node *config.Node) { node.Mail.Folder = folder }})
	node := h.Nodes[0]
	knownElsewhere := func(user iam.User) {
		old := h.Clock.Now().Add(-72 * time.Hour)
		must(t, node.Server.House.KeepDevice(t.Context(), iam.Device{
			ID: "home-" + user.ID, User: user.ID, Name: "Home", Created: old, Seen: old, Expires: h.Clock.Now().Add(100 * 24 * time.Hour),
		}))
	}
	enters := func(name string) *at {
		b := &at{t, map[string]string{}}
		b.follow(node, b.enters(node, b.get(node, "/account/security"), name))
		return b
	}
	has := func(user iam.User) int {
		got, err := node.Server.House.Authenticators(t.Context(), user.ID)
		must(t, err)
		return len(got)
	}
	reset := func(user iam.User) { // a password that came by a mail of a moment ago
		h.Pass(2 * time.Hour)
		kept, err := node.Server.House.Password(t.Context(), user.ID)
		must(t, err)
		kept.Changed = h.Clock.Now()
		must(t, node.Server.House.SetPassword(t.Context(), kept, ""))
	}
	t.Run("a calm moment asks nothing", func(t *testing.T) {
		ada := resident(t, h, "ada", "")
		b := enters("ada")
		page := b.follow(node, b.get(node, "/account/security/totp"))
		if got := b.adds(h, node, linked(page)); !strings.Contains(got.Header.Get("Location"), "done=factor_added") || has(ada) != 1 {
			t.Errorf("%d to %s\n%s", got.Status, got.Header.Get("Location"), got.Body)
		}
	})
	t.Run("the mailbox vouches, and the password alone does not", func(t *testing.T) {
		bea := resident(t, h, "bea", "")
		knownElsewhere(bea)
		b := enters("bea")
		page := b.follow(node, b.get(node, "/account/security/totp"))
		flow := regexp.MustCompile(`name="flow" value="([^"]*)"`).FindSubmatch(page.Body)
		if flow == nil || !strings.Contains(string(page.Body), `value="email"`) || strings.Contains(string(page.Body), `id="totp-secret"`) {
			t.Fatalf("%d\n%s", page.Status, page.Body)
		}
		page = b.follow(node, b.post(node, "/signin/next", page, "by", "email", "deed", "ask"))
		wrong := b.post(node, "/signin/next", page, "by", "email", "code", "00000000")
		if wrong.Status == http.StatusSeeOther || has(bea) != 0 {
			t.Fatalf("%d: a guessed code led on", wrong.Status)
		}
		b.follow(node, b.post(node, "/signin/next", wrong, "by", "email", "code", mailed(h, folder)))
		page = b.follow(node, b.get(node, "/account/security/totp"))
		if b.adds(h, node, linked(page)); has(bea) != 1 {
			t.Errorf("%d\n%s", page.Status, page.Body)
		}
	})
	t.Run("a mailbox that has just reset the password vouches for nothing", func(t *testing.T) {
		eve := resident(t, h, "eve", "")
		knownElsewhere(eve)
		reset(eve)
		b := enters("eve")
		page := b.follow(node, b.get(node, "/account/security/totp"))
		if page.Status == http.StatusOK || !strings.Contains(string(page.Body), oauth.CodeOf(oauth.UnmetAuthentication(""))) || has(eve) != 0 {
			t.Errorf("%d\n%s", page.Status, page.Body)
		}
		for path, fields := range map[string][]string{ // nor is anything else changed that guards the account
			"/account/habits":   {"do", "off"},
			"/account/devices":  {"do", "forget", "id", "home-" + eve.ID},
			"/account/password": {"current_password", lamp, "new_password", lamp + " anew", "new_password_again", lamp + " anew"},
		} {
			form := b.get(node, strings.TrimSuffix(path, "/password"))
			if got := b.post(node, path, form, fields...); got.Status < 400 {
				t.Errorf("%s: %d to %s\n%s", path, got.Status, got.Header.Get("Location"), got.Body)
			}
		}
		must(t, second(node.Server.House.Device(t.Context(), eve.ID, "home-"+eve.ID, h.Clock.Now())))
	})
}

func second[T any](_ T, err error) error { return err }

// linked is the page of a factor as if it were the page that leads to it.
func linked(page lab.Reply) lab.Reply {
	flow := regexp.MustCompile(`name="flow" value="([^"]*)"`).FindSubmatch(page.Body)
	if flow != nil {
		page.Body = append(page.Body, ("<a href=/account/security/totp?flow=" + string(flow[1]) + ">")...)
	}
	return page
}

// Who must add a factor is asked wherever they sign in, and comes back to what waits.
func TestS06WhoMustAddAFactorIsAskedAtEveryDoor(t *testing.T) {
	for door, back := range map[string]string{"/account": "/account", "/account/devices": "/account/devices", "/account/approvals": "/account/approvals", "/device": "/device/confirm?flow="} {
		t.Run(door, func(t *testing.T) {
			h := lab.New(t, lab.Options{Recipe: func(house *recipe.Recipe) {
				house.Levels = append(house.Levels, recipe.Level{Name: "strong", ACR: lab.Strong, Any: []string{"password+totp"}})
				house.SignIn.Enrol = []recipe.Enrol{{Level: "strong"}}
				client := house.Clients[lab.WebA]
				client.Grants = append(slices.Clone(client.Grants), string(oauth.DeviceCode))
				house.Clients[lab.WebA] = client
			}})
			node, b := h.Nodes[0], &at{t, map[string]string{}}
			ada := resident(t, h, "ada", "")
			begun := b.get(node, door)
			if door == "/device" {
				asked := h.As(lab.WebA, "/device_authorization", lab.Form("scope", "accounts.read"))
				granted(t, asked)
				begun = b.post(node, "/device", begun, "user_code", asked.Text("user_code"))
			}
			page := b.follow(node, b.enters(node, begun, "ada"))
			if again := b.follow(node, b.get(node, door)); door != "/device" && !strings.Contains(string(again.Body), "/account/security/totp?flow=") {
				t.Errorf("another look leads around it: %d\n%s", again.Status, again.Body)
			}
			got := b.adds(h, node, page)
			if to := got.Header.Get("Location"); !strings.HasPrefix(to, back) {
				t.Fatalf("%d to %q\n%s", got.Status, to, got.Body)
			}
			if got = b.follow(node, got); got.Status != http.StatusOK || strings.Contains(string(got.Body), "/account/security/totp?flow=") {
				t.Errorf("%d\n%s", got.Status, got.Body)
			}
			if kept, err := node.Server.House.Authenticators(t.Context(), ada.ID); err != nil || len(kept) != 1 {
				t.Errorf("%v, %v", kept, err)
			}
		})
	}
}

// Who must add a factor sees what waits for them, and decides nothing before they have added it.
func TestS06WhoMustAddAFactorDecidesNothingElsewhere(t *testing.T) {
	h := lab.New(t, lab.Options{Recipe: func(house *recipe.Recipe) {
		house.Levels = append(house.Levels, recipe.Level{Name: "strong", ACR: lab.Strong, Any: []string{"password+totp"}})
		house.SignIn.Enrol = []recipe.Enrol{{Level: "strong"}}
		client := house.Clients[lab.WebA]
		client.Grants, client.CIBADelivery = append(slices.Clone(client.Grants), string(oauth.CIBA)), "poll"
		house.Clients[lab.WebA] = client
	}})
	node, b := h.Nodes[0], &at{t, map[string]string{}}
	resident(t, h, "ada", "")
	waiting := h.As(lab.WebA, "/bc-authorize", lab.Form("scope", "openid accounts.read", "login_hint", "ada", "binding_message", "at the till"))
	granted(t, waiting)
	polls := func() lab.Reply {
		h.Pass(time.Minute)
		return h.As(lab.WebA, "/token", lab.Form("grant_type", string(oauth.CIBA), "auth_req_id", waiting.Text("auth_req_id")))
	}
	list := b.follow(node, b.enters(node, b.get(node, "/account/requests"), "ada"))
	link := regexp.MustCompile(`/account/requests\?id=([\w-]+)`).FindSubmatch(list.Body)
	if link == nil {
		t.Fatalf("nothing waits: %d\n%s", list.Status, list.Body)
	}
	page := b.follow(node, b.get(node, string(link[0])))
	for _, decision := range []string{"allow", "deny"} { // the form of any page holds what proves the browser
		if got := b.follow(node, b.post(node, "/account/requests", page, "request", string(link[1]), "decision", decision)); got.Status == http.StatusOK && !strings.Contains(string(got.Body), "/account/security/totp?flow=") {
			t.Errorf("%s: %d\n%s", decision, got.Status, got.Body)
		}
	}
	if reply := polls(); reply.Text("error") != "authorization_pending" {
		t.Fatalf("it was decided: %d %s", reply.Status, reply.Body)
	}
	back := b.adds(h, node, page)
	if to := back.Header.Get("Location"); !strings.HasPrefix(to, "/account/requests") {
		t.Fatalf("%d to %q\n%s", back.Status, to, back.Body)
	}
	b.post(node, "/account/requests", b.follow(node, b.get(node, string(link[0]))), "decision", "allow")
	if reply := polls(); reply.Status != http.StatusOK {
		t.Errorf("allowed, and yet %d %s", reply.Status, reply.Body)
	}
}
