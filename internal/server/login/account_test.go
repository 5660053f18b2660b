package login_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

func TestTheAccountPageTellsAPersonTheirOwn(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	h.person("u-bob", "bob", "bob@bank.example", right)
	bob := h.browser()
	bob.enter("bob")
	b := h.browser()
	b.header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	b.follow(b.decide(b.asked("alice", "budget"), "allow")).to("https://budget.example/callback?code=")
	page := b.get("/account").is(200, "alice@bank.example", "Dr alice", "Firefox on Linux", "Budget", "See your balances", "Signed in", "Access given to")
	page.lacks("bob", "u-alice")

	b.get("/account?done=password_changed").lacks("Your new password works")
	b.get("/account?done=password_changed&proof=x").lacks("Your new password works")
	b.do("POST", "/account", "").is(405)
}

func TestN11NoSignInLeadsElsewhere(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	for _, path := range []string{"/account?next=//evil.example", "/signin?next=https://evil.example", `/signin?return=/\evil.example`} {
		b := h.browser()
		b.signIn(b.get(path), "alice", right).to("/account")
		if got := b.get("/account"); got.location != "" {
			t.Errorf("to %s", got.location)
		}
	}
}

func TestPasswordsAreChanged(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	other := h.browser()
	other.enter("alice")
	b := h.browser()
	b.enter("alice")
	csrf := b.get("/account").hidden("csrf")
	const fresh = "nine green boats at dawn"
	change := func(current, next, again string) seen {
		return b.post("/account/password", "csrf", csrf, "current_password", current, "new_password", next, "new_password_again", again)
	}
	for what, row := range map[string]struct {
		current, next, again, says string
	}{
		"nothing":        {"", "", "", "Fill in this field"},
		"wrong current":  {"wrong password", fresh, fresh, "current password is not right"},
		"not twice":      {right, fresh, fresh + "x", "not the same"},
		"too short":      {right, "shorty", "shorty", "at least 8"},
		"common":         {right, "password123", "password123", "common"},
		"the old one":    {right, right, right, "must differ"},
		"the own name":   {right, "alice-alice-alice", "alice-alice-alice", "common"},
		"S24 a megabyte": {right, strings.Repeat("x", 5000), strings.Repeat("x", 5000), "at most"},
	} {
		t.Run(what, func(*testing.T) { change(row.current, row.next, row.again).is(422, row.says) })
	}
	change(right, fresh, fresh).to("/account?done=password_changed&proof=")
	if len(h.living("u-alice")) != 1 {
		t.Error("S30 the other session lives")
	}
	other.get("/account").to("/signin")
	b.get("/account").is(200, "Password changed")
	mails := about(h.deliver(), "changed")
	if len(mails) != 1 || mails[0].To != "alice@bank.example" || strings.Contains(mails[0].Text, "http") {
		t.Errorf("mails %v", mails)
	}
	other.signIn(other.get("/account"), "alice", right).is(422)
	other.signIn(other.get("/account"), "alice", fresh).to("/account")
	for range 12 {
		change("wrong password", right, right)
	}
	change(fresh, right, right).is(429, "Too many tries") // S08: the guesses of a stolen session are counted
}

func TestN12EveryDeedNeedsItsForm(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.enter("alice")
	stranger := h.browser()
	stranger.get("/account")
	for _, deed := range []string{"password", "sessions", "consents", "everywhere", "signout"} {
		t.Run(deed, func(*testing.T) {
			b.post("/account/"+deed, "csrf", "").is(403, "csrf")
			b.post("/account/"+deed, "csrf", "x").is(403, "csrf")
			b.get("/account/" + deed).is(405)
			stranger.post("/account/"+deed, "csrf", b.get("/account").hidden("csrf")).is(403, "login_required")
		})
	}
	// A form from before a new sign-in is no form of the new session.
	old := b.get("/account").hidden("csrf")
	b.follow(b.signIn(b.get(ask("own", "prompt", "login")), "alice", right))
	b.post("/account/everywhere", "csrf", old).is(403, "csrf")
}

func TestSessionsAreEnded(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	h.person("u-bob", "bob", "", right)
	bob, other, b := h.browser(), h.browser(), h.browser()
	bob.enter("bob")
	other.enter("alice")
	there := h.living("u-alice")[0].ID
	b.enter("alice")
	csrf := b.get("/account").hidden("csrf")

	b.post("/account/sessions", "csrf", csrf, "session", h.living("u-bob")[0].ID).to("/account")
	bob.get("/account").is(200)
	done := b.post("/account/sessions", "csrf", csrf, "session", there).to("/account?done=session_ended")
	b.follow(done).is(200, "Signed out there")
	other.get("/account").to("/signin")
	b.post("/account/sessions", "csrf", csrf, "session", there).to("/account")

	other.enter("alice")
	b.post("/account/everywhere", "csrf", csrf).to("/logout/done")
	b.get("/logout/done").is(200, `id="signed-out"`)
	other.get("/account").to("/signin")
	if len(h.living("u-alice")) != 0 || len(h.living("u-bob")) != 1 {
		t.Error("not exactly the sessions of one person have ended")
	}
	bob.post("/account/signout", "csrf", bob.get("/account").hidden("csrf")).to("/logout/done")
	if len(h.living("u-bob")) != 0 {
		t.Error("the session lives")
	}
}

func TestN15ConsentIsTakenBack(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.follow(b.decide(b.asked("alice", "budget", "scope", "openid offline_access accounts.read"), "allow")).to("https://budget.example/callback?code=")
	page := b.get("/account").is(200, "Keep this access while you are away")
	b.follow(b.post("/account/consents", "csrf", page.hidden("csrf"), "consent", "budget").to("/account?done=consent_revoked")).is(200, "Access taken back").
		lacks(`value="budget"`)
	if _, err := h.tenant.Consent(t.Context(), "u-alice", "budget"); err != iam.ErrNotFound { //nolint:errorlint // bare by contract
		t.Errorf("still allowed: %v", err)
	}
	b.post("/account/consents", "csrf", page.hidden("csrf"), "consent", "budget").to("/account")
	b.post("/account/consents", "csrf", page.hidden("csrf")).is(400)
	b.follow(b.get(ask("budget"))).is(200, `id="consent-allow"`)
}

func TestS08GuessesAtTheAccountPageAreSeen(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	b := h.browser()
	b.enter("alice")
	b.post("/account/password", "csrf", b.get("/account").hidden("csrf"), "current_password", "a wrong password",
		"new_password", "nine green boats at dawn", "new_password_again", "nine green boats at dawn").is(422)
	for range 100 {
		events, err := h.tenant.Events(t.Context(), iam.JournalQuery{User: "u-alice", Limit: 10})
		h.must(err)
		if slices.ContainsFunc(events, func(e journal.Event) bool { return e.Kind == "user.signin_failed" }) {
			b.get("/account").is(200, "wrong password")
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the person can't see that somebody guesses")
}
