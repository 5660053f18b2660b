package login_test

import (
	"strings"
	"testing"
)

const bye = "https://budget.example/bye"

func TestLogoutWithAHintOfThisSession(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	for what, row := range map[string]struct {
		method string
		params []string
		to     string
	}{
		"S33 expired":          {"GET", []string{"post_logout_redirect_uri", bye, "state", "s t&"}, bye + "?state=s+t%26"},
		"by POST":              {"POST", []string{"post_logout_redirect_uri", bye, "state", "x"}, bye + "?state=x"},
		"no state":             {"GET", []string{"post_logout_redirect_uri", bye}, bye},
		"an address and query": {"GET", []string{"post_logout_redirect_uri", bye + "?from=garde", "state", "x"}, bye + "?from=garde&state=x"},
		"no address":           {"GET", []string{"state", "x"}, "/logout/done"},
		"client_id too":        {"GET", []string{"client_id", "budget", "post_logout_redirect_uri", bye}, bye},

		"S31 not registered":     {"GET", []string{"post_logout_redirect_uri", "https://evil.example/"}, "/logout/done"},
		"S31 another case":       {"GET", []string{"post_logout_redirect_uri", "https://Budget.example/bye"}, "/logout/done"},
		"S31 longer":             {"GET", []string{"post_logout_redirect_uri", bye + "/"}, "/logout/done"},
		"S31 another client's":   {"GET", []string{"post_logout_redirect_uri", "https://www.bank.example/bye"}, "/logout/done"},
		"S31 a redirect address": {"GET", []string{"post_logout_redirect_uri", "https://budget.example/callback"}, "/logout/done"},
	} {
		t.Run(what, func(t *testing.T) {
			b := h.browser()
			b.enter("alice")
			sid := h.living("u-alice")[0].ID
			params := append([]string{"id_token_hint", h.hint("budget", "u-alice", sid, nil)}, row.params...)
			got := seen{}
			if row.method == "POST" {
				got = b.post("/logout", params...).to("/logout?flow=fl_") // the hint stays out of addresses
				got = b.get(got.location)
			} else {
				got = b.get("/logout" + query(params...))
			}
			if got.status != 303 || got.location != row.to {
				t.Errorf("%d to %q, want %q\n%s", got.status, got.location, row.to, got.body)
			}
			if len(h.living("u-alice")) != 0 || b.cookie("__Host-garde-session") != "" {
				t.Error("the session lives")
			}
			b.get(ask("own", "prompt", "none")).to("https://www.bank.example/callback?error=login_required")
		})
	}
}

func TestS32S33WithoutAGoodHintThePersonIsAsked(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	h.person("u-bob", "bob", "", right)
	elsewhere := h.browser()
	elsewhere.enter("alice")
	other := h.living("u-alice")[0].ID
	b := h.browser()
	b.enter("alice")
	good := h.hint("budget", "u-alice", "", nil)
	none := "eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + "."
	for what, params := range map[string][]string{
		"nothing":               {},
		"only an address":       {"post_logout_redirect_uri", bye},
		"a client and address":  {"client_id", "budget", "post_logout_redirect_uri", bye},
		"alg none":              {"id_token_hint", none, "post_logout_redirect_uri", bye},
		"a changed signature":   {"id_token_hint", good[:len(good)-4] + "AAAA", "post_logout_redirect_uri", bye},
		"rubbish":               {"id_token_hint", "rubbish", "post_logout_redirect_uri", bye},
		"another issuer":        {"id_token_hint", h.hint("budget", "u-alice", "", map[string]any{"iss": "https://evil.example"}), "post_logout_redirect_uri", bye},
		"another client_id":     {"id_token_hint", good, "client_id", "own", "post_logout_redirect_uri", bye},
		"a client that is gone": {"id_token_hint", h.hint("gone", "u-alice", "", nil), "post_logout_redirect_uri", bye},
		"another person":        {"id_token_hint", h.hint("budget", "u-bob", "", nil), "post_logout_redirect_uri", bye},
		"another session":       {"id_token_hint", h.hint("budget", "u-alice", other, nil), "post_logout_redirect_uri", bye},
	} {
		t.Run(what, func(t *testing.T) {
			b.get("/logout"+query(params...)).is(200, `id="logout-yes"`, `id="logout-no"`, "alice")
			b.follow(b.post("/logout", params...)).is(200, `id="logout-yes"`)
			if len(h.living("u-alice")) != 2 {
				t.Fatal("a session ended")
			}
		})
	}
	page := b.get("/logout" + query("post_logout_redirect_uri", bye))
	b.post("/logout/confirm", "decision", "yes").is(403, "csrf")
	b.post("/logout/confirm", "decision", "yes", "csrf", b.get("/account").hidden("csrf")).is(403, "csrf")
	b.post("/logout/confirm", "csrf", page.hidden("csrf")).is(400)
	b.post("/logout/confirm", "decision", "no", "csrf", page.hidden("csrf")).is(200, "still signed in")
	b.get("/logout/done").to("/account")
	b.post("/logout/confirm", "decision", "yes", "csrf", page.hidden("csrf")).to("/logout/done")
	b.get("/logout/done").is(200, `id="signed-out"`)
	if len(h.living("u-alice")) != 1 {
		t.Error("the session lives, or another ended")
	}
	b.do("PUT", "/logout", "").is(405)
	b.get("/logout?id_token_hint=a&id_token_hint=b").is(400)
}

func TestLogoutWhenNobodyIsSignedIn(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.get("/logout").to("/logout/done")
	b.get("/logout" + query("post_logout_redirect_uri", bye)).to("/logout/done")
	b.get("/logout" + query("id_token_hint", h.hint("budget", "u-alice", "gone", nil), "post_logout_redirect_uri", bye, "state", "x")).to(bye + "?state=x")
}

func TestLogoutAfterANewSignInInTheSameBrowser(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.enter("alice")
	first := h.living("u-alice")[0].ID
	b.follow(b.signIn(b.get(ask("own", "prompt", "login")), "alice", right))
	b.get("/logout" + query("id_token_hint", h.hint("budget", "u-alice", first, nil), "post_logout_redirect_uri", bye)).to(bye)
	if len(h.living("u-alice")) != 0 {
		t.Error("the session lives")
	}
}

func TestALogoutByPOSTFromAnotherSite(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.enter("alice")
	sid := h.living("u-alice")[0].ID
	form := []string{"id_token_hint", h.hint("budget", "u-alice", sid, nil), "post_logout_redirect_uri", bye, "state", "x"}
	next := h.browser().post("/logout", form...).to("/logout?flow=") // as a browser that holds its cookies back
	if len(h.living("u-alice")) != 1 {
		t.Fatal("who has no cookie has ended a session")
	}
	b.get(next.location).to(bye + "?state=x")
	if len(h.living("u-alice")) != 0 {
		t.Error("the session lives")
	}
	b.get(next.location).is(400, "expired_flow")
	b.get("/authorize?flow=" + next.param("flow")).is(400)
}
