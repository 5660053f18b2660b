package login_test

import (
	"strings"
	"testing"
)

func TestAPersonSignsInAndConsents(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	b := h.browser()
	page := b.follow(b.get(ask("budget", "login_hint", "alice"))).is(200, "Budget", `value="alice"`, "/signup?flow=", "/forgot?flow=")
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' https://budget.example;") {
		t.Errorf("the sign-in page may not lead to the client: %s", policy)
	}
	in := b.post("/signin", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", "alice", "password", right).to("/authorize?flow=")
	asked := b.follow(in).is(200, "Budget", "See your balances", "alice", "budget.example")
	back := b.decide(asked, "allow").to("/authorize?flow=")
	code := b.follow(back).to("https://budget.example/callback?")
	if code.param("code") == "" || code.param("state") != "st" || code.param("iss") != h.server.URL {
		t.Errorf("the answer is %s", code.location)
	}
	// The second time nothing is asked.
	b.follow(b.get(ask("budget"))).to("https://budget.example/callback?code=")
	b.follow(b.get(ask("budget", "prompt", "none"))).to("https://budget.example/callback?code=")
}
