package login_test

import (
	"net/http"
	"strings"
	"testing"
)

// What a flow asks for stands with the server: nothing that a browser sends along with the flow changes it.
func TestC17AFlowIsNotChangedOnItsWay(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	const evil = "&redirect_uri=https%3A%2F%2Fevil.example%2Fcb&client_id=budget&response_type=token&scope=openid+accounts.read&state=evil" +
		"&code_challenge=&code_challenge_method=plain&client_data=e30&prompt=none&response_mode=fragment"
	b := h.browser()
	at := b.get(ask("own")).to("/signin?flow=")
	page := b.get(at.location).is(200)
	for _, path := range []string{"/signin?flow=", "/authorize?flow="} {
		b.get(path + at.param("flow") + evil).lacks("evil.example")
	}
	b.post("/signin", "flow", at.param("flow"), "csrf", page.hidden("csrf"), "username", "alice", "password", right,
		"redirect_uri", "https://evil.example/cb", "client_id", "budget", "response_type", "token", "state", "evil").to("/authorize?flow=")
	end := b.get("/authorize?flow=" + at.param("flow") + evil)
	if end.status == http.StatusBadRequest { // to refuse what stands beside a flow is as good, if the flow goes on
		end = b.get("/authorize?flow=" + at.param("flow"))
	}
	end.to("https://www.bank.example/callback?")
	if end.param("code") == "" || end.param("state") != "st" || strings.Contains(end.location, "evil") {
		t.Errorf("it sends to %s", end.location)
	}
}

// A form sets what it is for, and nothing else of a person.
func TestS28NobodySetsMoreThanTheFormIsFor(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	user, err := h.tenant.User(t.Context(), "u-alice")
	h.must(err)
	user.EmailVerified = false
	h.must(h.tenant.SetUser(t.Context(), user))
	b := h.browser()
	b.enter("alice")
	more := []string{"email_verified", "true", "email", "root@bank.example", "admin", "true", "disabled", "false", "tenant", "other", "groups", "admins",
		"user", "u-bob", "id", "u-bob", "roles", "admin", "claims", `{"email_verified":true}`}
	csrf := b.get("/account").hidden("csrf")
	const fresh = "nine green boats at dawn"
	b.post("/account/password", append([]string{"csrf", csrf, "current_password", right, "new_password", fresh, "new_password_again", fresh}, more...)...)
	after, err := h.tenant.User(t.Context(), "u-alice")
	h.must(err)
	if after.EmailVerified || after.Admin || len(after.Groups) > 0 || after.Email != user.Email || after.Username != user.Username || len(after.Claims) > 0 {
		t.Errorf("it became %+v", after)
	}
}

// Nothing of an address gets into a page as script, because the pages have none.
func TestN10NoPageRunsWhatItsAddressSays(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	b := h.browser()
	const payload = "%3Cscript%3Ealert(1)%3C%2Fscript%3E"
	at := b.get(ask("own", "state", "<script>alert(1)</script>", "login_hint", `"><script>alert(1)</script>`))
	pages := []string{
		at.location + "&returnUrl=javascript:alert(1)&x=" + payload, "/signup?x=" + payload, "/forgot?email=" + payload, "/link/reset?token=" + payload,
		"/authorize?client_id=" + payload, "/account?" + payload, "/signin?flow=" + payload,
	}
	for _, path := range pages {
		got := b.follow(b.get(path)).lacks("<script", "javascript:")
		if got.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: no policy", path)
		}
	}
	b.enter("alice")
	b.get("/account#" + payload).lacks("<script")
}
