package login_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/server/login"
)

const chosen = "nine green boats at dawn"

// forgets fills in the page for a forgotten password.
func (b *browser) forgets(email string) seen {
	b.t.Helper()
	page := b.follow(b.get("/forgot"))
	return b.post("/forgot", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "email", email)
}

// choose opens a link and sets a password.
func (b *browser) choose(link, secret string) seen {
	b.t.Helper()
	page := b.get(link).is(200)
	path, _, _ := strings.Cut(link, "?")
	return b.post(path, "csrf", page.hidden("csrf"), "token", page.hidden("token"), "new_password", secret, "new_password_again", secret)
}

func TestAForgottenPasswordIsReplaced(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	elsewhere := h.browser()
	elsewhere.enter("alice")
	b := h.browser()
	b.forgets("ALICE@bank.example").is(200, "If there is an account", "ALICE@bank.example")
	link := h.link(h.deliver())
	page := b.get(link).is(200, "alice", `id="reset-submit"`)
	if page.header.Get("Referrer-Policy") != "no-referrer" || strings.Contains(page.header.Get("Content-Security-Policy"), "http") {
		t.Errorf("headers %v", page.header)
	}
	b.get(link).is(200) // S27: a scanner that looks spends nothing
	csrf, secret := page.hidden("csrf"), page.hidden("token")
	b.post("/link/reset", "token", secret, "new_password", chosen, "new_password_again", chosen).is(403, "csrf")
	b.post("/link/reset", "csrf", csrf, "token", secret).is(422, "Fill in")
	b.post("/link/reset", "csrf", csrf, "token", secret, "new_password", "password1", "new_password_again", "password1").is(422, "common")
	b.post("/link/reset", "csrf", csrf, "token", secret, "new_password", chosen, "new_password_again", "x").is(422, "not the same")
	b.post("/link/reset?token="+secret, "csrf", csrf, "new_password", chosen, "new_password_again", chosen).is(400)
	b.choose(link, chosen).is(200, "Password changed")

	b.get(link).is(410, "no longer works")
	b.post("/link/reset", "csrf", csrf, "token", secret, "new_password", chosen, "new_password_again", chosen).is(410)
	elsewhere.get("/account").to("/signin")
	b.get("/account").to("/signin") // the link signs nobody in
	b.signIn(b.get("/account"), "alice", right).is(422)
	b.signIn(b.get("/account"), "alice", chosen).to("/account")
	b.get("/account").is(200, "Password reset by mail")
	mails := h.deliver()
	if len(about(mails, "changed")) != 1 || len(about(mails, "was this you")) != 1 {
		t.Errorf("mails %v", mails)
	}
}

func TestS20ForgottenPasswordsTellNothing(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	gone := h.person("u-gone", "gone", "gone@bank.example", right)
	gone.Disabled = true
	h.must(h.tenant.SetUser(t.Context(), gone))
	var pages []string
	for _, email := range []string{"alice@bank.example", "nobody@bank.example", "gone@bank.example"} {
		b := h.browser()
		page := b.forgets(email).is(200)
		pages = append(pages, strings.ReplaceAll(page.body[strings.Index(page.body, "<main>"):], email, ""))
		pages[len(pages)-1] = pages[len(pages)-1][:strings.Index(pages[len(pages)-1], "/signin?flow=")]
	}
	if pages[0] != pages[1] || pages[0] != pages[2] {
		t.Errorf("the pages differ: %v", pages)
	}
	// The work that answers wait for is the same: one row in the queue. Mail goes to whom it may.
	if mails := h.deliver(); len(mails) != 1 || mails[0].To != "alice@bank.example" {
		t.Errorf("mails %v", mails)
	}
	for range 10 {
		h.browser().forgets("alice@bank.example")
	}
	if mails := h.deliver(); len(mails) > 5 {
		t.Errorf("%d mails to one person", len(mails))
	}
	b := h.browser()
	b.header.Set("Test-Network", "flood")
	var last seen
	for range 25 {
		if last = b.forgets("nobody@bank.example"); last.status != 200 {
			break
		}
	}
	last.is(429, "Too many")
	b.header.Set("Test-Network", "other")
	b.forgets("not an address").is(422, "email address")
	h.offers.Reset = false
	b.get("/forgot").is(404)
}

func TestS25LinksLeadToTheConfiguredAddress(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	b := h.browser()
	b.header = http.Header{
		"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"http"}, "Forwarded": {"host=evil.example"}, "X-Original-Url": {"https://evil.example/"},
	}
	b.forgets("alice@bank.example").is(200)
	mails := h.deliver()
	if h.link(mails); strings.Contains(mails[0].Text+mails[0].HTML, "evil") {
		t.Error(mails[0].Text)
	}
}

func TestS26S27LinksAreOfOneKindAndTime(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	b := h.browser()
	b.forgets("alice@bank.example")
	first := h.link(h.deliver())
	b.forgets("alice@bank.example")
	link := h.link(h.deliver())
	b.get(first).is(410) // a newer one ends it
	for _, other := range []string{"/link/enrol", "/link/verify"} {
		b.get(strings.Replace(link, "/link/reset", other, 1)).is(410)
	}
	for _, wrong := range []string{"/link/reset", "/link/reset?token=", "/link/reset?token=ln_x", link + "A", link[:len(link)-1] + "!"} {
		b.get(wrong).is(410) // S26: no page without a link
	}
	page := b.get(link).is(200)
	h.clock.pass(login.ResetLife + time.Second)
	b.get(link).is(410)
	b.post("/link/reset", "csrf", page.hidden("csrf"), "token", page.hidden("token"), "new_password", chosen, "new_password_again", chosen).is(410)
	b.signIn(b.get("/account"), "alice", right).to("/account")
}

func TestS27OfManyWhoUseALinkOneWins(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	h.browser().forgets("alice@bank.example")
	link := h.link(h.deliver())
	const many = 6
	pages, browsers := make([]seen, many), make([]*browser, many)
	for i := range many {
		browsers[i] = h.browser()
		pages[i] = browsers[i].get(link).is(200)
	}
	var won sync.Map
	var group sync.WaitGroup
	for i := range many {
		group.Go(func() {
			secret := chosen + " " + string(rune('a'+i))
			answer := browsers[i].post("/link/reset", "csrf", pages[i].hidden("csrf"), "token", pages[i].hidden("token"), "new_password", secret, "new_password_again", secret)
			if answer.status == 200 {
				won.Store(secret, true)
			} else if answer.status != 410 {
				t.Errorf("status %d", answer.status)
			}
		})
	}
	group.Wait()
	count := 0
	won.Range(func(secret, _ any) bool {
		count++
		b := h.browser()
		text, _ := secret.(string)
		b.signIn(b.get("/account"), "alice", text).to("/account")
		return true
	})
	if count != 1 {
		t.Errorf("%d have won", count)
	}
}

func TestEnrolmentSetsTheFirstPassword(t *testing.T) {
	h := open(t)
	h.must(h.tenant.AddUser(t.Context(), iam.User{ID: "u-root", Username: "root", Admin: true, Locale: "fr"}, iam.Password{}))
	secret := iam.NewSecret(iam.PrefixLink)
	h.must(h.tenant.AddLink(t.Context(), iam.Link{
		Hash: iam.HashLink(secret), Kind: iam.LinkEnrol, User: "u-root", Created: h.clock.now(), Expires: h.clock.now().Add(login.EnrolLife),
	}))
	link := strings.TrimPrefix(h.login.LinkURL(iam.LinkEnrol, secret), h.server.URL)
	b := h.browser()
	b.get(link).is(200, "root", `lang="fr"`, "administre")
	b.choose(link, chosen).is(200)
	b.get(link).is(410)
	b.signIn(b.get("/account"), "root", chosen).to("/account")
	if got := h.kinds("u-root"); got["user.changed enrolled"] != 1 {
		t.Errorf("the journal knows %v", got)
	}
}

// joins fills in the sign-up page that at leads to.
func (b *browser) joins(at seen, name, email, secret string) seen {
	b.t.Helper()
	page := b.follow(at).is(200, `id="signup-submit"`)
	return b.post("/signup", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", name, "email", email, "new_password", secret)
}

// presses opens the link of a verification mail and presses its button.
func (b *browser) presses(link string) seen {
	b.t.Helper()
	page := b.get(link).is(200, `id="verify-submit"`)
	return b.post("/link/verify", "csrf", page.hidden("csrf"), "token", page.hidden("token"))
}

func TestSignUpGoesOnWhereItBegan(t *testing.T) {
	h := open(t)
	b := h.browser()
	flow := b.get(ask("own")).to("/signin").param("flow")
	b.joins(b.get("/signup?flow="+flow), "Carol", "Carol@bank.example", chosen).is(200, "Check your mail")
	b.signIn(b.get("/signin?flow="+flow), "carol", chosen).is(422, "do not match") // not before the address is verified
	mails := h.deliver()
	link := h.link(mails)
	if mails[0].To != "carol@bank.example" {
		t.Errorf("to %s", mails[0].To)
	}
	b.get(link).is(200) // looking spends nothing
	b.presses(link).is(200, "Address confirmed", "/authorize?flow="+flow)
	b.get(link).is(410)
	b.follow(b.signIn(b.get("/authorize?flow="+flow), "carol", chosen)).to("https://www.bank.example/callback?code=")
	user, err := h.tenant.UserByName(t.Context(), "carol")
	h.must(err)
	if !user.EmailVerified || user.Admin || len(user.Groups) > 0 {
		t.Errorf("%+v", user)
	}
	h.clock.pass(30 * time.Hour)
	h.deliver()
	if _, err := h.tenant.User(t.Context(), user.ID); err != nil {
		t.Errorf("a verified account lapsed: %v", err)
	}
}

func TestS29AStrangersPasswordNeverOpensMyAccount(t *testing.T) {
	h := open(t)
	mallory, victim := h.browser(), h.browser()
	mallory.joins(mallory.get("/signup"), "victim", "victim@bank.example", chosen).is(200)
	link := h.link(h.deliver())
	next := victim.presses(link).to("/link/reset?token=")
	mallory.signIn(mallory.get("/account"), "victim", chosen).is(422)
	victim.choose(next.location, right).is(200)
	mallory.signIn(mallory.get("/account"), "victim", chosen).is(422)
	victim.signIn(victim.get("/account"), "victim@bank.example", right).to("/account")
}

func TestS20SignUpTellsNothingOfAddresses(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	b := h.browser()
	var pages []string
	for name, email := range map[string]string{"fresh": "fresh@bank.example", "other": "alice@bank.example"} {
		cost := hashes(func() {
			page := b.joins(b.get("/signup"), name, email, chosen).is(200, "Check your mail")
			text := strings.ReplaceAll(page.body[strings.Index(page.body, "<main>"):], email, "")
			pages = append(pages, text[:strings.Index(text, "/signin?flow=")])
		})
		if cost != 1 {
			t.Errorf("%s costs %d hashes", email, cost)
		}
	}
	if pages[0] != pages[1] {
		t.Errorf("the pages differ: %v", pages)
	}
	for _, mail := range h.deliver() {
		switch {
		case mail.To == "alice@bank.example" && strings.Contains(mail.Text, "/link/reset"): // who owns it has an account already
		case mail.To == "fresh@bank.example" && strings.Contains(mail.Text, "/link/verify"):
		default:
			t.Errorf("mail to %s: %s", mail.To, mail.Text)
		}
	}
	if _, err := h.tenant.UserByName(t.Context(), "other"); err == nil {
		t.Error("the second account of one address stays")
	}
	b.signIn(b.get("/account"), "alice", right).to("/account")
}

func TestSignUpRefuses(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	b := h.browser()
	for what, row := range map[string]struct{ name, email, secret, says string }{
		"nothing":                   {"", "", "", "Fill in this field"},
		"a name that is taken":      {"ALICE", "new@bank.example", chosen, "Choose another one"},
		"S16 an address as a name":  {"alice@bank.example", "new@bank.example", chosen, "Use letters"},
		"S15 mixed scripts":         {"аlice", "new@bank.example", chosen, "Use letters"},
		"another company's address": {"bob", "bob@evil.example", chosen, "email address"},
		"two @":                     {"bob", "bob@evil.example@bank.example", chosen, "email address"},
		"a line break":              {"bob", "bob@bank.example\r\nBcc: x@evil.example", chosen, "email address"},
		"no address":                {"bob", "bob", chosen, "email address"},
		"a common password":         {"bob", "bob@bank.example", "password", "common"},
		"the name as password":      {"bobbybobby", "bob@bank.example", "bobbybobby1", "common"},
	} {
		t.Run(what, func(*testing.T) { b.joins(b.get("/signup"), row.name, row.email, row.secret).is(422, row.says) })
	}
	// S28: what else the form says is not looked at.
	page := b.follow(b.get("/signup"))
	b.post("/signup", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", "dave", "email", "dave@bank.example", "new_password", chosen,
		"email_verified", "true", "admin", "true", "groups", "staff", "id", "u-alice").is(200)
	user, err := h.tenant.UserByName(t.Context(), "dave")
	h.must(err)
	if user.Admin || user.EmailVerified || user.ID == "u-alice" || len(user.Groups) > 0 {
		t.Errorf("%+v", user)
	}
	h.deliver()
	h.clock.pass(login.VerifyLife + 2*time.Hour)
	h.deliver()
	if _, err := h.tenant.UserByName(t.Context(), "dave"); err == nil {
		t.Error("a name that nobody came to claim stays taken")
	}
	h.offers.SignUp = false
	b.get("/signup").is(404)
	if page := b.follow(b.get("/account")); strings.Contains(page.body, "/signup") {
		t.Error("it is still offered")
	}
}
