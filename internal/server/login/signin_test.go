package login_test

import (
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
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
	if got := h.kinds("u-alice"); got["user.signed_in"] != 1 || got["consent.given"] != 1 {
		t.Errorf("the journal knows %v", got)
	}
}

func TestPeopleAreFoundByNameOrAddressInAnySpelling(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	for _, name := range []string{"alice", "ALICE", "  alice ", "Alice@Bank.Example", "ａｌｉｃｅ"} {
		t.Run("S15 "+name, func(t *testing.T) {
			b := h.browser()
			b.signIn(b.get("/account"), name, right).to("/account")
		})
	}
}

// attempt tries to sign in with a fresh browser and gives the answer without what differs by chance.
func attempt(h *house, name, secret string) string {
	b := h.browser()
	answer := b.signIn(b.get("/account"), name, secret)
	text := answer.body
	for _, chance := range []string{answer.hidden("csrf"), answer.hidden("flow"), name} {
		text = strings.ReplaceAll(text, chance, "")
		text = strings.ReplaceAll(text, url.QueryEscape(chance), "")
	}
	nonce := strings.SplitN(answer.header.Get("Content-Security-Policy"), "'nonce-", 2)[1]
	text = strings.ReplaceAll(text, nonce[:strings.IndexByte(nonce, '\'')], "")
	return http.StatusText(answer.status) + text
}

func TestS20S21NobodyLearnsWhoHasAnAccount(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	h.person("u-bare", "bare", "", "")
	h.person("u-gone", "gone", "", right)
	user, err := h.tenant.User(t.Context(), "u-gone")
	h.must(err)
	user.Disabled = true
	h.must(h.tenant.SetUser(t.Context(), user))

	want := attempt(h, "alice", "wrong password")
	if !strings.Contains(want, "do not match an account") {
		t.Fatal(want)
	}
	for what, try := range map[string][2]string{
		"unknown":           {"nobody", "wrong password"},
		"unknown address":   {"nobody@bank.example", "wrong password"},
		"no password":       {"bare", "wrong password"},
		"disabled":          {"gone", "wrong password"},
		"S38 disabled":      {"gone", right},
		"no possible name":  {"a b", "wrong password"},
		"mixed scripts":     {"аlice", "wrong password"},
		"short":             {"alice", "x"},
		"long":              {"alice", strings.Repeat("x", 2000)},
		"no password typed": {"nobody", "\t"},
	} {
		t.Run(what, func(t *testing.T) {
			if got := attempt(h, try[0], try[1]); got != want {
				t.Errorf("another answer:\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// hashes counts the runs of argon2 by the memory that each takes: time would tell as much about the machine.
func hashes(do func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int((after.TotalAlloc - before.TotalAlloc) / (19 << 20))
}

func TestS21EveryWrongSignInCostsOneHash(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	h.person("u-bare", "bare", "", "")
	for what, try := range map[string][2]string{
		"wrong": {"alice", "wrong password"}, "unknown": {"nobody", "wrong password"}, "no password": {"bare", "wrong password"},
		"impossible name": {"a b", "wrong password"}, "too short": {"alice", "x"},
	} {
		t.Run(what, func(t *testing.T) {
			b := h.browser()
			page := b.follow(b.get("/account"))
			got := hashes(func() {
				b.post("/signin", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", try[0], "password", try[1]).is(422)
			})
			if got != 1 {
				t.Errorf("%d hashes", got)
			}
		})
	}
}

func TestS01TheSessionChangesAtEachSignIn(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.enter("alice")
	first := b.cookie("__Host-garde-session")
	b.follow(b.signIn(b.get(ask("own", "prompt", "login")), "alice", right)).to("https://www.bank.example/callback?code=")
	if second := b.cookie("__Host-garde-session"); first == "" || second == first {
		t.Errorf("the cookie stayed %q", second)
	}
	old := h.browser()
	address, err := url.Parse(h.server.URL)
	h.must(err)
	old.client.Jar.SetCookies(address, []*http.Cookie{{Name: "__Host-garde-session", Value: first, Path: "/", Secure: true}})
	old.get("/account").to("/signin")
	if sessions := h.living("u-alice"); len(sessions) != 1 {
		t.Errorf("%d sessions live", len(sessions))
	}
}

func TestS02ATransactionBelongsToOneBrowser(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	mallory, alice := h.browser(), h.browser()
	planted := mallory.get(ask("own")).to("/signin?flow=")
	page := mallory.follow(planted)
	alice.get("/account") // she has a cookie of her own
	for _, path := range []string{"/signin?flow=", "/authorize?flow=", "/consent?flow=", "/signup?flow=", "/forgot?flow="} {
		t.Run("N06 S03 "+path, func(t *testing.T) {
			alice.get(path+planted.param("flow")).is(400, "expired_flow")
			h.browser().get(path+planted.param("flow")).is(400, "expired_flow")
		})
	}
	alice.post("/signin", "flow", planted.param("flow"), "csrf", page.hidden("csrf"), "username", "alice", "password", right).is(400, "expired_flow")
	mallory.get("/authorize?flow=" + planted.param("flow")).to("/signin?flow=")
	if len(h.living("u-alice")) != 0 {
		t.Error("a session began")
	}
}

func TestN02FormsAreOurs(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	page, other := b.follow(b.get(ask("own"))), b.follow(b.get(ask("own")))
	post := func(flow, csrf string) seen {
		return b.post("/signin", "flow", flow, "csrf", csrf, "username", "alice", "password", right)
	}
	post(page.hidden("flow"), "").is(403, "csrf")
	post(page.hidden("flow"), other.hidden("csrf")).is(403, "csrf")
	post(page.hidden("flow"), "x"+page.hidden("csrf")).is(403, "csrf")
	for _, site := range []string{"cross-site", "same-site"} {
		b.header.Set("Sec-Fetch-Site", site)
		post(page.hidden("flow"), page.hidden("csrf")).is(403, "csrf")
	}
	b.header = http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"null"}} // as browsers do under no-referrer
	post(page.hidden("flow"), page.hidden("csrf")).to("/authorize?flow=")
}

func TestS05S10NothingIsProvedByAnOddForm(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	page := b.follow(b.get(ask("own")))
	flow, csrf := url.QueryEscape(page.hidden("flow")), url.QueryEscape(page.hidden("csrf"))
	start := "flow=" + flow + "&csrf=" + csrf
	for body, status := range map[string]int{
		"":                             400,
		"flow=" + flow:                 403,
		"csrf=" + csrf:                 400,
		start:                          422,
		start + "&username=alice":      422,
		start + "&password=whatever":   422,
		start + "&username=&password=": 422,
		start + "&username=alice&username=alice&password=" + url.QueryEscape(right): 400,
		start + "&username=alice&password=" + url.QueryEscape(right) + "%00":        400,
	} {
		if got := b.do(http.MethodPost, "/signin", body); got.status != status {
			t.Errorf("%q: %d, want %d", body, got.status, status)
		}
	}
	b.do(http.MethodPost, "/signin?flow="+flow, start+"&username=alice&password="+url.QueryEscape(right)).is(400)
	b.do(http.MethodPut, "/signin", "").is(405)
	b.get("/authorize?flow=" + page.hidden("flow")).to("/signin?flow=")
	b.get("/consent?flow=" + page.hidden("flow")).to("/authorize?flow=") // S05: no page of a later step without the first
}

func TestS17S18ThrottleSparesTheOwner(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "alice@bank.example", right)
	owner := h.browser()
	owner.enter("alice")
	stranger := h.browser()
	var last seen
	tries := 0
	for range 15 {
		name := []string{"alice", "ALICE", "alice@bank.example"}[tries%3] // S17: one bucket for all spellings
		page := stranger.follow(stranger.get("/account"))
		last = stranger.post("/signin", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", name, "password", "wrong password")
		if last.status == http.StatusTooManyRequests {
			break
		}
		tries++
	}
	last.is(429, "Too many tries", "minute")
	if tries != 10 || last.header.Get("Retry-After") == "" {
		t.Errorf("S08 %d tries, Retry-After %q", tries, last.header.Get("Retry-After"))
	}
	// The right password does not help the stranger; the owner's browser is known.
	page := stranger.follow(stranger.get("/account"))
	stranger.post("/signin", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", "alice", "password", right).is(429)
	again := owner.follow(owner.get(ask("own", "prompt", "login")))
	owner.post("/signin", "flow", again.hidden("flow"), "csrf", again.hidden("csrf"), "username", "alice", "password", right).to("/authorize")
	// A device cookie is worth nothing for another account, nor when it is altered.
	h.clock.pass(time.Hour)
	stranger.enter("alice")
}

func TestS20TheThrottleTellsNothing(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	for _, name := range []string{"alice", "nobody"} {
		b, tries := h.browser(), 0
		b.header.Set("Test-Network", name)
		for range 15 {
			page := b.follow(b.get("/account"))
			if b.post("/signin", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", name, "password", "wrong password").status == 429 {
				break
			}
			tries++
		}
		if tries != 10 {
			t.Errorf("%s: %d tries", name, tries)
		}
	}
}

func TestFailuresAreJournaledForAccountsAndFew(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	for range 8 {
		attempt(h, "alice", "wrong password")
	}
	attempt(h, "nobody", "wrong password")
	soon(t, "five failures in the journal", func() bool { return h.kinds("u-alice")["user.signin_failed"] == 5 })
	time.Sleep(50 * time.Millisecond)
	if got := h.kinds("u-alice")["user.signin_failed"]; got != 5 {
		t.Errorf("%d failures are kept", got)
	}
}

func TestStaleHashesAreRenewed(t *testing.T) {
	h := open(t)
	h.person("u-old", "old", "", "")
	weak := "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$"
	h.must(h.tenant.SetPassword(t.Context(), iam.Password{User: "u-old", PHC: weak + argonOf(right)}, ""))
	b := h.browser()
	b.enter("old")
	kept, err := h.tenant.Password(t.Context(), "u-old")
	h.must(err)
	if strings.HasPrefix(kept.PHC, weak) || !strings.HasPrefix(kept.PHC, "$argon2id$v=19$m=19456,") {
		t.Errorf("kept as %s", kept.PHC)
	}
	again := h.browser()
	again.enter("old")
	if len(h.living("u-old")) != 2 {
		t.Error("the renewal ended a session")
	}
}

func TestAccountsAreSwitched(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	h.person("u-bob", "bob", "", right)
	b := h.browser()
	b.enter("alice")
	page := b.follow(b.get(ask("budget", "prompt", "login"))).is(200, "You are signed in as <strong><bdi>alice<", "/signin?other=1&flow=")
	b.get("/signin?other=1&flow=" + page.hidden("flow")).is(200).lacks("alice")
	b.follow(b.get(ask("budget", "prompt", "select_account"))).is(200, "alice")

	// Alice answers the consent page; then Bob says "not you?". What Alice allowed is not Bob's answer.
	asked := b.follow(b.signIn(b.get(ask("budget", "prompt", "login consent")), "alice", right)).is(200, "alice")
	stale := asked
	b.decide(asked, "allow").to("/authorize?flow=")
	b.signIn(b.get("/signin?other=1&flow="+asked.hidden("flow")), "bob", right).to("/authorize?flow=")
	b.post("/consent", "flow", stale.hidden("flow"), "csrf", stale.hidden("csrf"), "decision", "allow").is(403, "csrf")
	b.follow(b.get("/authorize?flow="+asked.hidden("flow"))).is(200, `id="consent-allow"`, "bob")
	if len(h.living("u-alice")) != 0 {
		t.Error("S04 the first person's session lives on in the browser of the second")
	}
}

func TestS14TheHintDecidesWho(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	h.person("u-bob", "bob", "", right)
	b := h.browser()
	b.enter("bob")
	hint := h.hint("own", "u-alice", "", nil)
	b.get(ask("own", "prompt", "none", "id_token_hint", hint)).to("https://www.bank.example/callback?error=login_required")
	b.follow(b.signIn(b.get(ask("own", "id_token_hint", hint)), "bob", right)).to("https://www.bank.example/callback?error=login_required")
	b.follow(b.signIn(b.get(ask("own", "id_token_hint", hint)), "alice", right)).to("https://www.bank.example/callback?code=")
}

func TestS12ALoginThatWasAskedForIsALogin(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.enter("alice")
	first := h.living("u-alice")[0]
	h.clock.pass(time.Minute)
	b.follow(b.get(ask("own", "max_age", "10000"))).to("https://www.bank.example/callback?code=")
	b.follow(b.get(ask("own", "max_age", "1"))).is(200, `id="login-submit"`)
	b.follow(b.signIn(b.get(ask("own", "max_age", "0")), "alice", right)).to("https://www.bank.example/callback?code=")
	second := h.living("u-alice")[0]
	if !second.AuthTime.After(first.AuthTime) || second.ACR != "urn:garde:loa:basic" || strings.Join(second.AMR, " ") != "pwd" {
		t.Errorf("auth_time %v after %v, acr %s, amr %v", second.AuthTime, first.AuthTime, second.ACR, second.AMR)
	}
	b.get(ask("own", "prompt", "none login")).to("https://www.bank.example/callback?error=invalid_request") // S13
}

func TestS35Cookies(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	page := b.follow(b.get("/account"))
	in := b.post("/signin", "flow", page.hidden("flow"), "csrf", page.hidden("csrf"), "username", "alice", "password", right)
	lines := in.header.Values("Set-Cookie")
	if len(lines) != 2 {
		t.Fatalf("%d cookies: %v", len(lines), lines)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "__Host-garde-") || len(line) > 4096 {
			t.Errorf("cookie %s", line)
		}
		for _, part := range []string{"; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"} {
			if !strings.Contains(line, part) {
				t.Errorf("%s lacks %s", line, part)
			}
		}
		if strings.Contains(line, "u-alice") {
			t.Errorf("a cookie names a person: %s", line)
		}
	}
}

func TestN01N13HeadersOfPages(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	signin := b.follow(b.get(ask("budget")))
	consent := b.follow(b.signIn(signin, "alice", right))
	for name, page := range map[string]seen{
		"sign-in": signin, "consent": consent, "account": b.get("/account"), "logout": b.get("/logout"),
		"sign-up": b.follow(b.get("/signup")), "forgot": b.follow(b.get("/forgot")), "link": b.get("/link/reset?token=x"), "error": b.get("/signin?flow=x"),
	} {
		for header, want := range map[string]string{
			"Content-Security-Policy": "frame-ancestors 'none'", "X-Frame-Options": "DENY", "Cache-Control": "no-store",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := page.header.Get(header); !strings.Contains(got, want) {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		if strings.Contains(page.body, "<script") {
			t.Errorf("%s has a script", name)
		}
	}
}

func TestPagesSpeakFrench(t *testing.T) {
	h := open(t)
	h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.header.Set("Accept-Language", "fr-CA,fr;q=0.9,en;q=0.5")
	b.follow(b.get(ask("budget"))).is(200, `lang="fr"`, "Mon budget")
	asked := b.follow(b.signIn(b.get(ask("budget")), "alice", right)).is(200, "Voir vos soldes", "Mon budget")
	_ = asked
	english := h.browser()
	english.follow(english.get(ask("budget", "ui_locales", "fr"))).is(200, `lang="fr"`, "Mon budget")
	odd := h.browser()
	odd.header.Set("Accept-Language", strings.Repeat("a-b-c,", 2000))
	odd.follow(odd.get(ask("budget", "ui_locales", strings.Repeat("x ", 200)))).is(200, `lang="en"`) // N16
}
