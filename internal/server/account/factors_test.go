package account_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/passkey/authenticator"
)

// adds goes to the page that adds a factor of that kind.
func (b *browser) adds(kind string) seen {
	b.t.Helper()
	at := b.get("/account/security/" + kind).to("/account/security/" + kind + "?flow=")
	return b.get(at.location).is(200)
}

// code is what the application shows for the key that a page tells.
func (b *browser) code(at seen) string {
	b.t.Helper()
	secret := strings.ReplaceAll(at.match(`id="totp-secret">([^<]*)<`), " ", "")
	code, err := otp.Code(secret, b.now())
	b.must(err)
	return code
}

func (b *browser) addTOTP(name string) iam.Authenticator {
	b.t.Helper()
	at := b.adds("totp")
	b.post("/account/security/totp", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "new_code", b.code(at), "factor_name", name).
		to("/account/security?done=factor_added&proof=")
	return b.factor(name)
}

func (b *browser) addKey(kind, name string, with *authenticator.Authenticator) seen {
	b.t.Helper()
	at := b.adds(kind)
	answer, err := with.Create(at.match(`data-options="([^"]*)"`))
	b.must(err)
	return b.post("/account/security/"+kind, "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "answer", answer, "factor_name", name)
}

// factor finds one by its name, whose ever it is.
func (h *house) factor(name string) iam.Authenticator {
	h.t.Helper()
	for _, user := range []string{"alice", "bob"} {
		kept, err := h.tenant.Authenticators(h.t.Context(), user)
		h.must(err)
		if at := slices.IndexFunc(kept, func(one iam.Authenticator) bool { return one.Name == name }); at >= 0 {
			return kept[at]
		}
	}
	h.t.Fatalf("no factor is called %s", name)
	return iam.Authenticator{}
}

func TestAPersonAddsNamesAndRemovesWhatTheySignInWith(t *testing.T) {
	h := open(t)
	h.person("alice")
	b := h.as("alice", "password")
	b.get("/account/security").is(200, "Add a passkey", "Add a security key", "Add an authenticator app", "None yet")
	b.addTOTP("My phone")
	if kept := h.factor("My phone"); kept.Mark == 0 || kept.User != "alice" || strings.Contains(kept.Sealed, "otpauth") {
		t.Errorf("kept as %+v", kept)
	}
	// The password alone is now less than what she can reach.
	b.enter("alice", "password,totp")
	phone := authenticator.New(origin)
	phone.Synced = true
	done := b.addKey("passkey", "Purple <phone>", phone).to("/account/security?done=factor_added")
	b.get(done.location).is(200, "From now on you can sign in with it", "Purple <phone>", "On several devices", "Not used yet").lacks("<phone>&")
	b.addKey("security_key", "Blue key", authenticator.New(origin)).to("/account/security?done=factor_added")

	one := h.factor("Blue key")
	at := b.get("/account/security/factor?id="+one.ID).is(200, "Blue key", "On one device only")
	b.get(b.post("/account/security/factor", "csrf", at.hidden("csrf"), "id", one.ID, "do", "rename", "factor_name", " Green key ").
		to("/account/security?done=factor_renamed").location).is(200, "Green key", "Name saved").lacks("Blue key")
	b.get(b.post("/account/security/factor", "csrf", at.hidden("csrf"), "id", one.ID, "do", "remove").
		to("/account/security?done=factor_removed").location).is(200, "no longer opens").lacks("Green key")
	b.post("/account/security/factor", "csrf", at.hidden("csrf"), "id", one.ID, "do", "remove").is(404)
	for what, times := range map[string]int{"added": 3, "renamed": 1, "removed": 1} {
		if got := h.journaled("alice", "factor.changed", what); got != times {
			t.Errorf("journalled as %s %d times, want %d", what, got, times)
		}
	}
	if want := []page.MailKind{page.MailFactorAdded, page.MailFactorAdded, page.MailFactorAdded, page.MailFactorRemoved}; !slices.Equal(h.mails, want) {
		t.Errorf("mails %v", h.mails)
	}
	b.get("/account").is(200, "A way to sign in was added", "A way to sign in was removed")
}

func TestAWeakerFactorNeitherAddsNorRemovesAStrongerOne(t *testing.T) {
	h := open(t)
	h.person("alice")
	b := h.as("alice", "password")
	totp := b.addTOTP("App")
	weak := func(at seen) {
		t.Helper()
		at.to("/signin?flow=")
		need := b.flow(at).Need
		if need == nil || need.ACR != "strong" || need.Fresh != 10*time.Minute || !slices.Equal(need.Sets, []string{"password+totp"}) {
			t.Errorf("needs %+v", need)
		}
	}
	for what, more := range map[string]string{"by the password alone": "", "long ago": "ago=11m"} {
		t.Run(what, func(t *testing.T) {
			factors := "password"
			if more != "" {
				factors = "password,totp"
			}
			b.enter("alice", factors, more)
			csrf := b.csrf()
			weak(b.get("/account/security/passkey"))
			weak(b.get("/account/security/totp"))
			weak(b.post("/account/security/codes", "csrf", csrf))
			weak(b.post("/account/security/factor", "csrf", csrf, "id", totp.ID, "do", "remove"))
			if kept := h.factor("App"); kept.ID != totp.ID {
				t.Error("it is gone")
			}
		})
	}
	t.Run("what was begun when it was fresh", func(*testing.T) {
		b.enter("alice", "password,totp")
		at := b.adds("totp")
		h.pass(11 * time.Minute)
		weak(b.post("/account/security/totp", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "new_code", b.code(at), "factor_name", "x"))
	})
	t.Run("sign-in comes back to the page", func(t *testing.T) {
		b.enter("alice", "password")
		if flow := b.flow(b.get("/account/security/passkey")); flow.Client != "" || flow.Query != "garde.account=security" {
			t.Errorf("flow %+v", flow)
		}
	})
}

func TestTheLastWayInStays(t *testing.T) {
	h := open(t)
	h.offered = []string{"passkey"}
	h.must(h.tenant.AddUser(t.Context(), iam.User{ID: "alice", Username: "alice"}, iam.Password{User: "alice"}))
	b := h.as("alice", "password") // which she never had, so that the demand is met
	b.addKey("passkey", "Only one", authenticator.New(origin)).to("/account/security?done=factor_added")
	b.enter("alice", "passkey")
	b.post("/account/security/factor", "csrf", b.csrf(), "id", h.factor("Only one").ID, "do", "remove").is(422, "last way you have to sign in")
	b.get("/account").is(200).lacks("Change your password")
	b.get("/account/security").is(200).lacks("Password", "authenticator app", "Recovery codes")
	b.get("/account/security/totp").is(404)
	b.post("/account/security/codes", "csrf", b.csrf()).is(404)
}

func TestS09WhatIsConfirmedIsWhatTheServerMade(t *testing.T) {
	h := open(t)
	h.person("alice")
	h.person("bob")
	alice, bob := h.as("alice", "password"), h.as("bob", "password")
	at := alice.adds("totp")
	flow, csrf, code := at.hidden("flow"), at.hidden("csrf"), alice.code(at)
	post := func(b *browser, fields ...string) seen {
		return b.post("/account/security/totp", append([]string{"factor_name", "Phone"}, fields...)...)
	}
	if strings.Contains(at.body, `name="secret"`) {
		t.Error("the key stands in the form")
	}
	t.Run("a key of the sender's own", func(t *testing.T) {
		mine := otp.NewSecret()
		own, err := otp.Code(mine, h.now())
		if err != nil {
			t.Fatal(err)
		}
		post(alice, "flow", flow, "csrf", csrf, "new_code", own, "secret", mine, "user", "bob").is(422, "not the one that the application shows")
	})
	t.Run("another browser", func(*testing.T) { post(bob, "flow", flow, "csrf", csrf, "new_code", code).is(400, "expired_flow") })
	t.Run("another person in the same browser", func(*testing.T) {
		alice.enter("bob", "password")
		post(alice, "flow", flow, "csrf", csrf, "new_code", code).is(403, "csrf")
		page := alice.get("/account/security/totp?flow=" + flow).is(200)
		if alice.code(page) == code {
			t.Error("bob is shown what alice was shown")
		}
		alice.enter("alice", "password")
	})
	t.Run("it is shown again after a reload, confirmed once", func(t *testing.T) {
		at := alice.adds("totp")
		flow, csrf, code := at.hidden("flow"), at.hidden("csrf"), alice.code(at)
		if again := alice.get("/account/security/totp?flow=" + flow).is(200); alice.code(again) != code {
			t.Error("a reload makes another key")
		}
		var group sync.WaitGroup
		var mu sync.Mutex
		added := 0
		for range 8 {
			group.Go(func() {
				if got := post(alice, "flow", flow, "csrf", csrf, "new_code", code); strings.Contains(got.location, "factor_added") {
					mu.Lock()
					defer mu.Unlock()
					added++
				}
			})
		}
		group.Wait()
		kept, err := h.tenant.Authenticators(t.Context(), "alice")
		if err != nil || added != 1 || len(kept) != 1 {
			t.Errorf("added %d times, %d kept: %v", added, len(kept), err)
		}
		post(alice, "flow", flow, "csrf", csrf, "new_code", code).is(400, "expired_flow")
	})
	t.Run("after many wrong codes the key is another", func(t *testing.T) {
		b := h.as("bob", "password")
		at := b.adds("totp")
		first := b.code(at)
		for range 10 {
			at = post(b, "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "new_code", "000000").is(422)
		}
		if b.code(at) == first {
			t.Error("it can be guessed for ever")
		}
	})
}

func TestAKeyIsAcceptedOnceAndAsItWasAsked(t *testing.T) {
	h := open(t)
	h.person("alice")
	h.person("bob")
	b := h.as("alice", "password")
	post := func(at seen, answer string) seen {
		return b.post("/account/security/passkey", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "answer", answer, "factor_name", "Key")
	}
	options := func(at seen) string { return at.match(`data-options="([^"]*)"`) }
	for what, lie := range map[string]func(*authenticator.Authenticator){
		"another origin":        func(a *authenticator.Authenticator) { a.Origin = "https://evil.example" },
		"another challenge":     func(a *authenticator.Authenticator) { a.Challenge = "AAAA" },
		"no user verification":  func(a *authenticator.Authenticator) { a.NoVerify = true },
		"in a frame of another": func(a *authenticator.Authenticator) { a.CrossOrigin = true },
	} {
		t.Run(what, func(t *testing.T) {
			liar := authenticator.New(origin)
			lie(liar)
			at := b.adds("passkey")
			answer, err := liar.Create(options(at))
			if err != nil {
				t.Fatal(err)
			}
			again := post(at, answer).is(422, "could not be accepted")
			if options(again) == options(at) {
				t.Error("the same challenge is asked again")
			}
		})
	}
	at := b.adds("passkey")
	for _, junk := range []string{"", "{}", "null", strings.Repeat("x", 40_000), `{"id":"AA"}`} {
		at = post(at, junk).is(422)
	}
	phone := authenticator.New(origin)
	answer, err := phone.Create(options(at))
	h.must(err)
	post(at, answer).to("/account/security?done=factor_added")
	post(at, answer).is(400, "expired_flow")
	t.Run("one credential has one owner", func(*testing.T) {
		thief := h.as("bob", "password")
		at := thief.adds("passkey")
		stolen, err := phone.Clone().Create(options(at))
		h.must(err)
		_ = stolen // a clone makes a new credential: the handle differs, so it is bob's own
		thief.post("/account/security/passkey", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "answer", stolen, "factor_name", "Key 2").
			to("/account/security?done=factor_added")
	})
	b.enter("alice", "passkey")
	if !strings.Contains(options(b.adds("security_key")), `"excludeCredentials":[{`) {
		t.Error("what she has is not excluded")
	}
}

func TestRecoveryCodesAreShownOnce(t *testing.T) {
	h := open(t)
	h.person("alice")
	b := h.as("alice", "password")
	at := b.post("/account/security/codes", "csrf", b.csrf()).is(200, "Your recovery codes", "You see them only now")
	code := at.match(`<li><code>([^<]*)</code>`)
	if at.header.Get("Cache-Control") != "no-store" || len(strings.Split(at.body, "<li><code>")) != otp.Recoveries+1 {
		t.Errorf("%v\n%s", at.header, at.body)
	}
	b.get("/account/security").is(200, "10 left").lacks(code)
	h.must(h.tenant.UseRecovery(t.Context(), "alice", otp.HashRecovery("alice", code)))
	b.get("/account/security").is(200, "9 left")
	b.post("/account/security/codes", "csrf", b.csrf()).is(200).lacks(code)
	second := b.post("/account/security/codes", "csrf", b.csrf()).match(`<li><code>([^<]*)</code>`)
	b.post("/account/security/codes", "csrf", b.csrf()).is(200)
	if err := h.tenant.UseRecovery(t.Context(), "alice", otp.HashRecovery("alice", second)); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("a code of before works: %v", err)
	}
	if h.journaled("alice", "factor.changed", "codes made") != 4 || !slices.Contains(h.mails, page.MailCodesMade) {
		t.Error("nobody is told")
	}
	b.get("/account/security/codes").is(405)
}

func TestEnrolmentIsForcedWithinATransaction(t *testing.T) {
	h := open(t)
	h.person("alice")
	b := h.as("alice", "password")
	flow := iam.Flow{Client: "budget", Query: "client_id=budget&redirect_uri=https%3A%2F%2Fbudget.example%2Fcb", Need: &iam.Need{
		ACR: "strong", Sets: []string{"passkey", "password+totp"}, Enrol: true, Since: h.now(),
	}}
	key := b.begin(flow)
	at := b.get("/signin/enrol?flow="+key).is(200, "Add another way to sign in", "Add a passkey", "Add an authenticator app").
		lacks("Add a security key", "Not now")
	if !strings.Contains(at.header.Get("Content-Security-Policy"), "https://budget.example") {
		t.Error("the answer may not lead back to the application")
	}
	b.post("/signin/enrol", "flow", key, "csrf", "x", "later", "yes").is(403)
	page := b.get("/account/security/totp?flow=" + key).is(200)
	b.post("/account/security/totp", "flow", key, "csrf", page.hidden("csrf"), "new_code", b.code(page), "factor_name", "App").
		to("/authorize?flow=" + key)
	proofs := b.flow(seen{location: "/?flow=" + key}).Proofs
	if len(proofs) != 1 || proofs[0].Factor != "totp" || proofs[0].Credential != h.factor("App").ID || !slices.Equal(proofs[0].Methods, []string{"otp"}) {
		t.Errorf("proofs %+v", proofs)
	}

	t.Run("an unproved person proves first, within the transaction", func(t *testing.T) {
		b.enter("alice", "password", "ago=1h")
		key := b.begin(flow)
		b.get("/account/security/passkey?flow=" + key).to("/signin?flow=" + key)
		if need := b.flow(seen{location: "/?flow=" + key}).Need; need == nil || need.Enrol || need.ACR != "strong" {
			t.Errorf("needs %+v", need)
		}
	})
	t.Run("it may be put off until its day", func(t *testing.T) {
		h.due, h.until = []string{"passkey"}, h.now().Add(48*time.Hour)
		key := b.begin(iam.Flow{Client: "budget"})
		at := b.get("/signin/enrol?flow="+key).is(200, "Not now", "You can put it off until")
		b.post("/signin/enrol", "flow", key, "csrf", at.hidden("csrf"), "later", "yes").to("/authorize?flow=" + key)
		if asked := b.flow(seen{location: "/?flow=" + key}).Asked; !slices.Contains(asked, "enrol_later") {
			t.Errorf("asked %v", asked)
		}
		h.until = time.Time{}
		b.post("/signin/enrol", "flow", key, "csrf", at.hidden("csrf"), "later", "yes").is(400, "access_denied")
		h.due = nil
		b.get("/signin/enrol?flow=" + key).to("/authorize?flow=" + key)
	})
	t.Run("nothing that could be added", func(*testing.T) {
		h.offered = []string{"password"}
		b.get("/signin/enrol?flow="+b.begin(flow)).is(400, "unmet_authentication_requirements")
	})
	t.Run("S02 another browser, another person, nobody", func(*testing.T) {
		h.offered = []string{"password", "passkey"}
		h.person("bob")
		key := b.begin(iam.Flow{Client: "budget", User: "alice", Need: flow.Need})
		h.as("bob", "password").get("/signin/enrol?flow="+key).is(400, "expired_flow")
		b.enter("bob", "password")
		b.get("/signin/enrol?flow="+key).is(400, "expired_flow")
		b.get("/account/security/passkey?flow="+key).is(400, "expired_flow")
		b.plant("garde-session", "x")
		b.get("/signin/enrol?flow=" + key).to("/signin?flow=" + key)
		b.get("/signin/enrol").is(http.StatusBadRequest)
	})
}
