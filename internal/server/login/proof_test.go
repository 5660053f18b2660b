package login_test

import (
	"crypto/rand"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/passkey/authenticator"
)

// options gives what a page asks the browser's authenticators for.
func (s seen) options() string {
	s.t.Helper()
	found := regexp.MustCompile(`data-options="([^"]*)"`).FindStringSubmatch(s.body)
	if found == nil {
		s.t.Fatalf("the page asks for no authenticator:\n%s", s.body)
	}
	return html.UnescapeString(found[1])
}

// device registers an authenticator of a person.
func (h *house) device(user iam.User, kind iam.FactorKind) *authenticator.Authenticator {
	h.t.Helper()
	made := authenticator.New(h.party().Origin)
	asked, err := h.party().BeginRegistration(user, kind, nil)
	h.must(err)
	said, err := made.Create(asked.Options)
	h.must(err)
	added, err := h.party().FinishRegistration(asked.State, said, "one")
	h.must(err)
	h.must(h.tenant.AddAuthenticator(h.t.Context(), added))
	return made
}

// app registers an application for one-time passwords, and gives its secret.
func (h *house) app(user iam.User) string {
	h.t.Helper()
	secret := otp.NewSecret()
	added := iam.Authenticator{ID: rand.Text(), User: user.ID, Kind: iam.FactorTOTP, Name: "app", Created: h.clock.now()}
	var err error
	added.Sealed, err = otp.Seal(h.sealer, iam.DefaultTenant, added.ID, secret)
	h.must(err)
	h.must(h.tenant.AddAuthenticator(h.t.Context(), added))
	return secret
}

func (h *house) code(secret string) string {
	h.t.Helper()
	code, err := otp.Code(secret, h.clock.now())
	h.must(err)
	return code
}

// key answers a page by an authenticator.
func (b *browser) key(at seen, with *authenticator.Authenticator, by string) seen {
	b.t.Helper()
	said, err := with.Get(at.options())
	b.must(err)
	path := "/signin"
	if strings.Contains(at.body, `action="/signin/next"`) {
		path = "/signin/next"
	}
	return b.post(path, "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "by", by, "answer", said)
}

// next answers a page of a further factor.
func (b *browser) next(at seen, by string, fields ...string) seen {
	b.t.Helper()
	return b.post("/signin/next", append([]string{"flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "by", by}, fields...)...)
}

// open is the house where people sign in by any of these sets of factors.
func openWith(t testing.TB, offered string, sets ...string) *house {
	t.Helper()
	h := open(t)
	h.sets, h.offers.Factors = sets, strings.Fields(offered)
	return h
}

func (h *house) only(user string) iam.Session {
	h.t.Helper()
	living := h.living(user)
	if len(living) != 1 {
		h.t.Fatalf("%d sessions of %s", len(living), user)
	}
	return living[0]
}

func TestAPasskeySignsIn(t *testing.T) {
	h := openWith(t, "password passkey", "password", "passkey")
	device := h.device(h.person("u-alice", "alice", "alice@bank.example", ""), iam.FactorPasskey)
	b := h.browser()
	at := b.follow(b.get(ask("own"))).is(200, `id="key-submit"`, `autocomplete="username webauthn"`)
	if policy := at.header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'nonce-") {
		t.Errorf("the policy is %s", policy)
	}
	b.key(at, device, "passkey").to("/authorize?flow=")
	current := h.only("u-alice")
	if strings.Join(current.AMR, " ") != "hwk user mfa" || len(current.Proofs) != 1 || current.Proofs[0].Credential == "" || current.Device == "" {
		t.Errorf("the session is %+v", current)
	}
	// S22: the answer and its challenge are spent, in this flow and in any other.
	b.key(at, device, "passkey").is(422)
	other := h.browser()
	fresh := other.follow(other.get("/account"))
	said, err := device.Get(at.options())
	h.must(err)
	other.post("/signin", "flow", fresh.hidden("flow"), "csrf", fresh.hidden("csrf"), "by", "passkey", "answer", said).is(422)
	if len(h.living("u-alice")) != 1 {
		t.Error("an answer served twice")
	}
}

func TestS22WhatAPasskeyPageRefuses(t *testing.T) {
	h := openWith(t, "password passkey security_key", "password", "passkey", "password+security_key")
	alice := h.person("u-alice", "alice", "alice@bank.example", right)
	device, key := h.device(alice, iam.FactorPasskey), h.device(alice, iam.FactorSecurityKey)
	gone := h.device(h.person("u-gone", "gone", "", ""), iam.FactorPasskey)
	user, err := h.tenant.User(t.Context(), "u-gone")
	h.must(err)
	user.Disabled = true
	h.must(h.tenant.SetUser(t.Context(), user))
	stranger := authenticator.New(h.party().Origin)
	asked, err := h.party().BeginRegistration(alice, iam.FactorPasskey, nil)
	h.must(err)
	_, err = stranger.Create(asked.Options) // never finished
	h.must(err)
	for name, test := range map[string]struct {
		with *authenticator.Authenticator
		lie  func(*authenticator.Authenticator)
	}{
		"another origin":           {device, func(a *authenticator.Authenticator) { a.Origin = "https://evil.example" }},
		"another relying party":    {device, func(a *authenticator.Authenticator) { a.RPID = "evil.example" }},
		"no user verified":         {device, func(a *authenticator.Authenticator) { a.NoVerify = true }},
		"another challenge":        {device, func(a *authenticator.Authenticator) { a.Challenge = strings.Repeat("B", 43) }},
		"a second factor alone":    {key, func(*authenticator.Authenticator) {}},
		"a disabled person":        {gone, func(*authenticator.Authenticator) {}},
		"an unknown authenticator": {stranger, func(*authenticator.Authenticator) {}},
	} {
		t.Run("S22 "+name, func(t *testing.T) {
			b, liar := h.browser(), test.with.Clone()
			test.lie(liar)
			at := b.follow(b.get("/account"))
			if strings.Contains(at.options(), `"id"`) {
				t.Errorf("the page names credentials: %s", at.options())
			}
			b.key(at, liar, "passkey").is(422).lacks("alice", "unknown")
			b.get("/account").to("/signin")
		})
	}
	b := h.browser()
	at := b.follow(b.get("/account"))
	for _, answer := range []string{"", "{}", "null", "[1]", strings.Repeat("x", 40_000)} { // S10
		b.post("/signin", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "by", "passkey", "answer", answer).is(422)
	}
	if len(h.living("u-alice")) != 0 {
		t.Error("somebody came in")
	}
}

func TestHalfASignInIsWorthNothing(t *testing.T) {
	h := openWith(t, "password totp", "password+totp")
	alice := h.person("u-alice", "alice", "alice@bank.example", right)
	secret := h.app(alice)
	b := h.browser()
	at := b.signIn(b.get(ask("own")), "alice", right).to("/signin/next?flow=")
	page := b.get(at.location).is(200, "Signing in as", "alice", `id="code"`)
	key := page.hidden("flow")
	t.Run("S05 no door takes it", func(t *testing.T) {
		b.get(ask("own", "prompt", "none")).to("https://www.bank.example/callback?error=login_required")
		b.get("/authorize?flow=" + key).to("/signin?flow=")
		b.get("/account").to("/signin")
		b.get("/consent?flow=" + key)
		if len(h.living("u-alice")) != 0 {
			t.Error("there is a session")
		}
	})
	t.Run("S10 empty and odd posts stay", func(*testing.T) {
		for _, fields := range [][]string{
			{"by", ""}, {"by", "totp"}, {"by", "totp", "code", ""}, {"by", "totp", "code", "abcdef"}, {"by", "password", "password", right},
			{"by", "recovery_code", "recovery_code", "x"}, {"by", "nothing"}, {"by", "passkey", "answer", "{}"}, {"by", "email", "code", "12345678"},
			{"by", "approval"}, {"deed", "ask", "by", "totp"},
		} {
			got := b.post("/signin/next", append([]string{"flow", key, "csrf", page.hidden("csrf")}, fields...)...)
			if got.status != http.StatusUnprocessableEntity && !strings.HasPrefix(got.location, "/signin/next?flow=") {
				t.Errorf("%v gets %d %s", fields, got.status, got.location)
			}
		}
		b.post("/signin/next", "flow", key).is(403)
		b.do(http.MethodPost, "/signin/next", "").is(400)
	})
	t.Run("S02 another browser can't go on", func(*testing.T) {
		other := h.browser()
		other.get("/signin/next?flow=" + key).is(400)
		other.follow(other.get("/account"))
		other.post("/signin/next", "flow", key, "csrf", page.hidden("csrf"), "by", "totp", "code", h.code(secret)).is(400)
	})
	before := b.cookie("__Host-garde-session")
	done := b.next(page, "totp", "code", h.code(secret)).to("/authorize?flow=")
	b.follow(done).to("https://www.bank.example/callback?code=")
	if current := h.only("u-alice"); strings.Join(current.AMR, " ") != "pwd otp mfa" || len(current.Proofs) != 2 {
		t.Errorf("the session is %+v", current)
	}
	if after := b.cookie("__Host-garde-session"); after == "" || after == before {
		t.Error("S01 the cookie stayed")
	}
}

func TestS07ACodeServesOnce(t *testing.T) {
	for by, field := range map[string]string{"totp": "code", "recovery_code": "recovery_code"} {
		t.Run("S07 "+by, func(t *testing.T) {
			h := openWith(t, "password totp recovery_code", "password+"+by)
			alice := h.person("u-alice", "alice", "", right)
			code := h.code(h.app(alice))
			if by == "recovery_code" {
				code = otp.NewRecovery()[3]
				h.must(h.tenant.SetRecovery(t.Context(), alice.ID, []iam.Digest{otp.HashRecovery(alice.ID, code), iam.Hash("another")}))
			}
			var pages []seen
			var browsers []*browser
			for range 5 {
				b := h.browser()
				at := b.signIn(b.get("/account"), "alice", right).to("/signin/next?flow=")
				pages, browsers = append(pages, b.get(at.location).is(200)), append(browsers, b)
			}
			var won atomic.Int64
			var all sync.WaitGroup
			for i, b := range browsers[1:] {
				all.Go(func() {
					if got := b.next(pages[i+1], by, field, code); got.status == http.StatusSeeOther {
						won.Add(1)
					}
				})
			}
			all.Wait()
			if won.Load() != 1 {
				t.Errorf("%d of four with one code came in", won.Load())
			}
			browsers[0].next(pages[0], by, field, code).is(422)
		})
	}
}

func TestS08GuessingTheSecondFactorIsSlow(t *testing.T) {
	h := openWith(t, "password totp recovery_code", "password", "password+totp", "password+recovery_code")
	h.sets = []string{"password+totp", "password+recovery_code"}
	alice := h.person("u-alice", "alice", "", right)
	h.app(alice)
	h.must(h.tenant.SetRecovery(t.Context(), alice.ID, []iam.Digest{iam.Hash("x")}))
	tries := 0
	for round := range 8 { // a new browser, another network, the right password each time, factors by turns
		b := h.browser()
		b.header.Set("Test-Network", strings.Repeat("10.", 3)+string(rune('1'+round))+"/32")
		at := b.signIn(b.get("/account"), "alice", right).to("/signin/next")
		for i, by := range []string{"totp", "recovery_code", "totp"} {
			page := b.get(at.location + "&by=" + by).is(200)
			field := map[string]string{"totp": "code", "recovery_code": "recovery_code"}[by]
			if got := b.next(page, by, field, "00000"+string(rune('0'+i))); got.status == http.StatusUnprocessableEntity {
				tries++
			} else if got.status != http.StatusTooManyRequests {
				t.Fatalf("status %d", got.status)
			}
		}
	}
	if tries != 10 {
		t.Errorf("%d tries were judged", tries)
	}
	time.Sleep(50 * time.Millisecond)
	if got := h.kinds("u-alice")["user.signin_failed"]; got == 0 {
		t.Error("no failure is in the journal")
	}
}

var mailedCode = regexp.MustCompile(`(?m)^(\d{4}) (\d{4})$`)

func TestS02S20S21CodesByMail(t *testing.T) {
	h := openWith(t, "email", "email")
	h.person("u-alice", "alice", "alice@bank.example", "")
	begin := func(name string) (*browser, seen) {
		b := h.browser()
		at := b.follow(b.get("/account")).is(200, `id="mail-submit"`).lacks(`id="password"`, "/forgot", "/signup")
		to := b.post("/signin", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "by", "email", "username", name).to("/signin/next?flow=")
		return b, b.get(to.location).is(200, "a code is on its way", `id="code"`)
	}
	b, page := begin("alice")
	mails := h.deliver()
	if len(mails) != 1 {
		t.Fatalf("mails %v", mails)
	}
	code := strings.Join(mailedCode.FindStringSubmatch(mails[0].Text)[1:], "")
	link := regexp.MustCompile(`https?://\S+/signin/next\S+`).FindString(mails[0].Text)
	link = link[strings.Index(link, "/signin/next"):]
	t.Run("S02 elsewhere the link shows the code and proves nothing", func(t *testing.T) {
		other := h.browser()
		other.get(link).is(200, code[:4]+" "+code[4:], "where you began").lacks("<form", "alice")
		other.get("/account").to("/signin")
		other.get("/signin/next?flow=x&by=email&code=%3Cb%3E").is(400)
		if len(h.living("u-alice")) != 0 {
			t.Error("the link signed somebody in")
		}
	})
	t.Run("S20 nobody is told who exists", func(t *testing.T) {
		nobody, same := begin("nobody")
		if len(h.deliver()) != 0 {
			t.Error("a stranger got a mail")
		}
		clean := func(s seen, name string) string {
			body := regexp.MustCompile(`(fl_[A-Za-z0-9_-]+|value="[^"]*"|nonce="[^"]*")`).ReplaceAllString(s.body, "")
			return strings.ReplaceAll(body, name, "NAME")
		}
		if clean(page, "alice") != clean(same, "nobody") {
			t.Error("the pages differ")
		}
		for range 5 {
			same = nobody.next(same, "email", "code", "12345678").is(422)
		}
		nobody.follow(nobody.next(same, "email", "code", "12345678")).is(200, `id="mail-submit"`)
	})
	b.next(page, "email", "code", "00000000").is(422)
	b.get(link).is(200, code) // in the same browser it fills the code in, and a button proves
	b.next(page, "email", "code", code).to("/account")
	if strings.Join(h.only("u-alice").AMR, " ") != "otp" {
		t.Error("amr")
	}
	t.Run("S08 five tries a code", func(t *testing.T) {
		b, page := begin("alice")
		code := strings.Join(mailedCode.FindStringSubmatch(about(h.deliver(), "code")[0].Text)[1:], "")
		for range 5 {
			page = b.next(page, "email", "code", "00000001").is(422)
		}
		if got := b.next(page, "email", "code", code); got.status == http.StatusSeeOther && got.location == "/account" {
			t.Error("the sixth try came in")
		}
	})
	t.Run("a code ends with its time", func(t *testing.T) {
		b, page := begin("alice")
		code := strings.Join(mailedCode.FindStringSubmatch(about(h.deliver(), "code")[0].Text)[1:], "")
		h.clock.pass(11 * time.Minute)
		b.next(page, "email", "code", code).to("/signin?flow=")
	})
}

func TestAnotherDeviceApproves(t *testing.T) {
	h := openWith(t, "password approval", "password+approval", "password")
	alice := h.person("u-alice", "alice", "", right)
	phone := h.browser()
	phone.enter("alice")
	here := h.only("u-alice")
	h.sets = []string{"password+approval"}
	for name, allowed := range map[string]bool{"allowed": true, "denied": false} {
		t.Run(name, func(t *testing.T) {
			b := h.browser()
			at := b.signIn(b.get(ask("own")), "alice", right).to("/signin/next")
			page := b.get(at.location).is(200, "Ask my other devices").lacks("http-equiv")
			to := b.next(page, "approval", "deed", "ask").to("/signin/next")
			waits := b.get(to.location).is(200, `http-equiv="refresh"`, `id="number"`)
			list, err := h.tenant.WaitingApprovals(t.Context(), alice.ID, h.clock.now())
			h.must(err)
			if len(list) != 1 || !strings.Contains(waits.body, ">"+list[0].Number+"<") {
				t.Fatalf("waiting %+v", list)
			}
			b.get(to.location).is(200, list[0].Number)
			h.must(h.tenant.DecideApproval(t.Context(), list[0].ID, alice.ID, here.ID, allowed, h.clock.now()))
			got := b.get(to.location)
			if allowed {
				got.to("/authorize?flow=")
				b.follow(got).to("https://www.bank.example/callback?code=")
			} else {
				got.is(422, "said no")
			}
			b.get(to.location) // once
		})
	}
}

func TestS06S26AResetSignsNobodyIn(t *testing.T) {
	h := openWith(t, "password totp", "password+totp")
	alice := h.person("u-alice", "alice", "alice@bank.example", right)
	secret := h.app(alice)
	b := h.browser()
	at := b.follow(b.get("/forgot"))
	b.post("/forgot", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "email", "alice@bank.example").is(200)
	b.choose(h.link(h.deliver()), "another lamp beside rivers").is(200)
	b.get("/account").to("/signin")
	to := b.signIn(b.get("/account"), "alice", "another lamp beside rivers").to("/signin/next")
	b.next(b.get(to.location).is(200), "totp", "code", h.code(secret)).to("/account")
}

func TestWhoCanGoNoFurtherIsTold(t *testing.T) {
	h := openWith(t, "password totp", "password+totp")
	h.person("u-alice", "alice", "", right)
	h.login.Help = func() string { return "https://bank.example/help" }
	b := h.browser()
	to := b.signIn(b.get("/account"), "alice", right).to("/signin/next")
	b.get(to.location).is(403, "no way on", "https://bank.example/help", "Start over")
}

func TestAStepUpAsksForWhatIsMissing(t *testing.T) {
	h := openWith(t, "password totp passkey", "password", "passkey", "password+totp")
	alice := h.person("u-alice", "alice", "", right)
	secret := h.app(alice)
	other := h.device(h.person("u-bob", "bob", "", ""), iam.FactorPasskey)
	b := h.browser()
	b.enter("alice")
	first := h.only("u-alice")
	need := &iam.Need{ACR: "urn:garde:loa:strong", Sets: []string{"passkey", "password+totp"}, Since: h.clock.now(), Cause: iam.Hash("new device")}
	key, flow := iam.NewSecret(iam.PrefixFlow), iam.Flow{Client: "own", User: "u-alice", Session: first.ID, Need: need}
	flow.Hash, flow.Browser = iam.HashFlow(key), iam.Hash(b.cookie("__Host-garde-browser"))
	flow.Created, flow.Expires = h.clock.now(), h.clock.now().Add(time.Hour)
	h.must(h.tenant.AddFlow(t.Context(), flow))
	to := b.get("/signin?flow=" + key).to("/signin/next?flow=")
	page := b.get(to.location).is(200, "You are signed in as", `id="code"`)
	b.get(to.location + "&by=passkey").to("/signin/next") // she has none
	said, err := other.Get(`{"challenge":"AAAA","rpId":"id.bank.example","allowCredentials":[]}`)
	h.must(err)
	b.next(page, "passkey", "answer", said).to("/signin/next")
	b.next(page, "totp", "code", "000000").is(422)
	b.next(page, "totp", "code", h.code(secret)).to("/authorize?flow=")
	second := h.only("u-alice")
	if second.ID == first.ID || len(second.Proofs) != 2 || len(second.Answered) != 1 || second.Answered[0].Cause != need.Cause || second.Answered[0].ACR != need.ACR {
		t.Errorf("S12 the session is %+v", second)
	}
	if !slices.ContainsFunc(second.Proofs, func(one iam.Proved) bool { return one.Factor == "password" && one.At.Equal(first.Proofs[0].At) }) {
		t.Error("S12 the old proof looks newer than it is")
	}
	b.get("/signin/next?flow=" + key).to("/authorize?flow=") // nothing is missing
}

// What somebody proved within a transaction is never counted for another person who goes on with it: neither after "not
// you?", nor from a page that stood open in another tab.
func TestS05AnotherPersonsProofsCountForNobody(t *testing.T) {
	password := func(b *browser, at seen, name string, _ *authenticator.Authenticator) seen {
		return b.signIn(at, name, right)
	}
	key := func(b *browser, at seen, _ string, with *authenticator.Authenticator) seen {
		return b.key(at, with, "passkey")
	}
	notYou := func(b *browser, _ seen, key string) seen { return b.get("/signin?other=1&flow=" + key) }
	leftOpen := func(_ *browser, first seen, _ string) seen { return first }
	for name, test := range map[string]struct {
		turn  func(b *browser, first seen, key string) seen
		alice func(b *browser, at seen, name string, with *authenticator.Authenticator) seen
		bob   func(b *browser, at seen, name string, with *authenticator.Authenticator) seen
		kept  string // what the transaction keeps then: bob's alone
		asked string
	}{
		"a key, not you, a password":               {notYou, key, password, "password", `id="key-submit"`},
		"a password, not you, a key":               {notYou, password, key, "passkey", `id="password"`},
		"a key, and a password in a tab left open": {leftOpen, key, password, "password", `id="key-submit"`},
	} {
		t.Run(name, func(t *testing.T) {
			h := openWith(t, "password passkey totp", "password+passkey")
			hers := h.device(h.person("u-alice", "alice", "", right), iam.FactorPasskey)
			his := h.device(h.person("u-bob", "bob", "", right), iam.FactorPasskey)
			b := h.browser()
			first := b.follow(b.get(ask("own")))
			half := test.alice(b, first, "alice", hers).to("/signin/next?flow=")
			at := test.turn(b, first, half.param("flow")).is(200)
			to := test.bob(b, at, "bob", his).to("/signin/next?flow=")
			b.get(to.location).is(200, "Signing in as", "bob", test.asked).lacks("alice")
			if len(h.living("u-alice")) != 0 || len(h.living("u-bob")) != 0 {
				t.Error("somebody came in with what two people proved")
			}
			flow, err := h.tenant.Flow(t.Context(), iam.HashFlow(half.param("flow")), iam.Hash(b.cookie("__Host-garde-browser")), h.clock.now())
			h.must(err)
			if flow.User != "u-bob" || len(flow.Proofs) != 1 || flow.Proofs[0].Factor != test.kept {
				t.Errorf("the transaction keeps %s %+v", flow.User, flow.Proofs)
			}
		})
	}
}
