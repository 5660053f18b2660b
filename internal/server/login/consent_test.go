package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/session"
)

// asked brings a browser with a signed-in person to the consent page.
func (b *browser) asked(name, client string, extra ...string) seen {
	b.t.Helper()
	return b.follow(b.signIn(b.get(ask(client, append(extra, "prompt", "login")...)), name, right)).is(200, `id="consent-allow"`)
}

func TestANoReachesTheClient(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	page := b.asked("alice", "budget")
	back := b.decide(page, "deny").to("/authorize?flow=")
	answer := b.follow(back).to("https://budget.example/callback?")
	if answer.param("error") != "access_denied" || answer.param("state") != "st" || answer.param("iss") == "" || answer.param("code") != "" {
		t.Errorf("answered %s", answer.location)
	}
	b.get("/authorize?flow="+page.hidden("flow")).is(400, "expired_flow")
	if _, err := h.tenant.Consent(t.Context(), "u-alice", "budget"); err != iam.ErrNotFound { //nolint:errorlint // bare by contract
		t.Errorf("something was allowed: %v", err)
	}
	// A no is final for its transaction, whatever a second tab says.
	page = b.asked("alice", "budget")
	b.post("/consent", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "decision", "deny").to("/authorize")
	b.post("/consent", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "decision", "allow").to("/authorize")
	if got := b.get("/authorize?flow=" + page.hidden("flow")); got.param("error") != "access_denied" {
		t.Errorf("answered %s", got.location)
	}
}

func TestN02N05OnlyTheButtonOfThePageDecides(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	page := b.asked("alice", "budget", "scope", "openid")
	other := b.follow(b.get(ask("budget")))
	flow, csrf := page.hidden("flow"), page.hidden("csrf")
	for what, fields := range map[string][]string{
		"no token":             {"flow", flow, "decision", "allow"},
		"N06 another's token":  {"flow", flow, "csrf", other.hidden("csrf"), "decision", "allow"},
		"the token of sign-in": {"flow", flow, "csrf", csrf + "A", "decision", "allow"},
	} {
		t.Run(what, func(*testing.T) { b.post("/consent", fields...).is(403, "csrf") })
	}
	b.post("/consent", "flow", flow, "csrf", csrf).is(400)
	b.post("/consent", "flow", flow, "csrf", csrf, "decision", "maybe").is(400)
	b.header.Set("Sec-Fetch-Site", "cross-site")
	b.post("/consent", "flow", flow, "csrf", csrf, "decision", "allow").is(403, "csrf")
	b.header.Del("Sec-Fetch-Site")
	h.browser().post("/consent", "flow", flow, "csrf", csrf, "decision", "allow").is(400, "expired_flow")

	// What else the form says changes nothing.
	b.post("/consent", "flow", flow, "csrf", csrf, "decision", "allow", "scope", "openid accounts.read", "client_id", "own").to("/authorize")
	given, err := h.tenant.Consent(t.Context(), "u-alice", "budget")
	h.must(err)
	if given.Scope.String() != "openid" {
		t.Errorf("allowed %s", given.Scope)
	}
	if _, err := h.tenant.Consent(t.Context(), "u-alice", "own"); err == nil {
		t.Error("another client was allowed something")
	}
	// N04: more than what was allowed is asked.
	b.follow(b.get(ask("budget", "scope", "openid"))).to("https://budget.example/callback?code=")
	b.follow(b.get(ask("budget"))).is(200, "See your balances")
	b.get(ask("budget", "prompt", "none")).to("https://budget.example/callback?error=consent_required")
}

func TestN03WhoCannotProveItselfIsAskedForEachTime(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	page := b.asked("alice", "app").lacks("We will remember")
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' com.bank.app:;") {
		t.Errorf("policy %s", policy)
	}
	b.follow(b.decide(page, "allow")).to("com.bank.app:/callback?code=")
	b.follow(b.get(ask("app"))).is(200, `id="consent-allow"`)
	b.get(ask("app", "prompt", "none")).to("com.bank.app:/callback?error=consent_required")
}

func TestConsentNeedsAPersonAndAnApplication(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	flow := b.get(ask("budget")).to("/signin?flow=").param("flow")
	b.get("/consent?flow=" + url.QueryEscape(flow)).to("/authorize?flow=") // S05
	b.post("/consent", "flow", flow, "csrf", "x", "decision", "allow").to("/authorize?flow=")
	b.get("/consent").is(400, "expired_flow")
	own := b.get("/account").to("/signin?flow=").param("flow")
	b.get("/consent?flow="+url.QueryEscape(own)).is(400, "expired_flow")
	// A consent given before a sign-in that was asked for is no answer after it.
	b.enter("alice")
	key := b.get(ask("budget", "prompt", "login")).to("/signin?flow=").param("flow")
	early := b.get("/consent?flow="+url.QueryEscape(key)).is(200, `id="consent-allow"`)
	b.post("/consent", "flow", key, "csrf", early.hidden("csrf"), "decision", "allow").to("/authorize?flow=")
	b.get("/authorize?flow=" + url.QueryEscape(key)).to("/signin?flow=")
}

func TestN07WhatAClientSaysOfItselfIsEscaped(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	page := b.follow(b.get(ask("budget", "login_hint", `"><script>alert(1)</script>`, "ui_locales", `fr"><b>`))) // N08
	page.is(200).lacks("<script", "<b>")
}

func TestS30DisablingEndsASignInThatIsUnderWay(t *testing.T) {
	h := open(t)
	user := h.person("u-alice", "alice", "", right)
	b := h.browser()
	page := b.asked("alice", "budget")
	user.Disabled = true
	h.must(h.tenant.SetUser(t.Context(), user))
	b.post("/consent", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "decision", "allow").is(400, "expired_flow")
	b.get("/account").to("/signin")
}

func TestNothingIsAllowedToAnApplicationThatWasDisabled(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	page := b.asked("alice", "budget")
	h.must(h.tenant.SetClientDisabled(t.Context(), "budget", true))
	b.post("/consent", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "decision", "allow").is(400)
	if given, err := h.tenant.UserConsents(t.Context(), "u-alice"); err != nil || len(given) > 0 {
		t.Errorf("%v %v", given, err)
	}
}

func TestAnAnswerOfAnotherSessionIsForgotten(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.enter("alice")
	key := b.get(ask("budget", "prompt", "login")).to("/signin?flow=").param("flow")
	address, err := url.Parse(h.server.URL)
	h.must(err)
	r := &http.Request{Header: http.Header{}}
	for _, cookie := range b.client.Jar.Cookies(address) {
		r.AddCookie(cookie)
	}
	flow, err := h.tenant.Flow(t.Context(), iam.HashFlow(key), h.sessions.Known(r).Digest(), h.clock.now())
	h.must(err)
	flow.Session, flow.User, flow.Asked = "another", "u-bob", []string{session.StepSignIn}
	h.must(h.tenant.SetFlow(t.Context(), flow))
	page := b.get("/consent?flow=" + url.QueryEscape(key)).is(200)
	b.post("/consent", "flow", key, "csrf", page.hidden("csrf"), "decision", "allow").to("/authorize?flow=")
	b.get("/authorize?flow=" + url.QueryEscape(key)).to("/signin?flow=")
}
