package login_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// sent keeps a transaction in which somebody who is signed in was sent to prove more, and gives its key.
func (b *browser) sent(need iam.Need) string {
	b.t.Helper()
	key, flow := iam.NewSecret(iam.PrefixFlow), iam.Flow{Client: "own", Need: &need}
	flow.Hash, flow.Browser = iam.HashFlow(key), iam.Hash(b.cookie("__Host-garde-browser"))
	flow.Created, flow.Expires = b.clock.now(), b.clock.now().Add(time.Hour)
	b.must(b.tenant.AddFlow(b.t.Context(), flow))
	return key
}

// A thief of a password shows it between guesses at the rest: what they can prove must not forgive what they can't.
func TestS08WhatIsProvedDoesNotForgiveGuessesAtTheRest(t *testing.T) {
	h := openWith(t, "password totp email", "password", "password+totp", "email")
	alice := h.person("u-alice", "alice", "alice@bank.example", right)
	h.app(alice)
	b := h.browser()
	b.enter("alice")
	judged := 0
	for range 6 {
		key := b.sent(iam.Need{Sets: []string{"password+totp"}, Since: h.clock.now()})
		for range 5 {
			page := b.get("/signin/next?by=totp&flow=" + key).is(200)
			if got := b.next(page, "totp", "code", "000000"); got.status == http.StatusUnprocessableEntity {
				judged++
			}
		}
		h.clock.pass(2 * time.Second)
		again := b.sent(iam.Need{Sets: []string{"password"}, Fresh: time.Second, Since: h.clock.now()}) // as by max_age=1
		b.next(b.get("/signin/next?by=password&flow="+again).is(200), "password", "password", right)    // locked, once the codes are
		b.signIn(b.get("/authorize?"+strings.TrimPrefix(ask("own", "prompt", "login"), "/authorize?")), "alice", right).to("/authorize")
	}
	if judged > 10 {
		t.Errorf("%d codes were judged", judged)
	}
}

// Who reads somebody's mail signs in by it between guesses at the password.
func TestS08CodesByMailDoNotForgiveGuessesAtAPassword(t *testing.T) {
	h := openWith(t, "password email", "email", "password+email")
	h.person("u-alice", "alice", "alice@bank.example", right)
	b, judged := h.browser(), 0
	for range 4 {
		for range 9 {
			if b.signIn(b.get(ask("own", "prompt", "login")), "alice", "not this one").status == http.StatusUnprocessableEntity {
				judged++
			}
		}
		at := b.follow(b.get(ask("own", "prompt", "login")))
		to := b.post("/signin", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "by", "email", "username", "alice").to("/signin/next")
		code := mailedCode.FindStringSubmatch(about(h.deliver(), "code")[0].Text)[1:]
		b.next(b.get(to.location).is(200), "email", "code", strings.Join(code, ""))
		h.clock.pass(5 * time.Second)
	}
	if judged > 20 {
		t.Errorf("%d passwords were judged", judged)
	}
}

// begins goes with the password to the page that asks other devices, and asks them.
func (b *browser) begins(user string) (at string, asked iam.Approval) {
	b.t.Helper()
	to := b.signIn(b.get(ask("own")), user, right).to("/signin/next")
	to = b.next(b.get(to.location).is(200, "Ask my other devices"), "approval", "deed", "ask").to("/signin/next")
	return to.location, b.waiting("u-" + user)
}

func (h *house) waiting(user string) iam.Approval {
	h.t.Helper()
	list, err := h.tenant.WaitingApprovals(h.t.Context(), user, h.clock.now())
	h.must(err)
	if len(list) != 1 {
		h.t.Fatalf("waiting %+v", list)
	}
	return list[0]
}

func TestS05ASessionApprovesNothingThatItDoesNotReach(t *testing.T) {
	h := openWith(t, "password passkey approval", "passkey", "password")
	h.vouches = func(proofs []iam.Proved) bool {
		return slices.ContainsFunc(proofs, func(one iam.Proved) bool { return one.Factor == "passkey" })
	}
	alice := h.person("u-alice", "alice", "", right)
	key := h.device(alice, iam.FactorPasskey)
	thief := h.browser()
	thief.enter("alice") // by the password alone, in one browser
	weak := h.only("u-alice")
	phone := h.browser()
	phone.key(phone.follow(phone.get("/account")), key, "passkey").to("/account")
	h.sets = []string{"password+approval"}
	b := h.browser() // and in another
	to, asked := b.begins("alice")
	h.must(h.tenant.DecideApproval(t.Context(), asked.ID, alice.ID, weak.ID, true, h.clock.now()))
	if got := b.get(to); got.status == http.StatusSeeOther && strings.HasPrefix(got.location, "/authorize") {
		t.Error("a password approved a password")
	}
	t.Run("nor is it offered to who has no such session", func(t *testing.T) {
		h.must(h.tenant.EndUserSessions(t.Context(), "u-alice", weak.ID))
		b := h.browser()
		b.get(b.signIn(b.get(ask("own")), "alice", right).to("/signin/next").location).is(403, "no way on")
	})
}

func TestS12NoSessionApprovesItself(t *testing.T) {
	h := openWith(t, "password approval", "password")
	h.person("u-alice", "alice", "", right)
	b, phone := h.browser(), h.browser()
	b.enter("alice")
	mine := h.only("u-alice")
	phone.enter("alice")
	key := b.sent(iam.Need{Sets: []string{"password+approval"}, Fresh: 12 * time.Hour, Since: h.clock.now()})
	page := b.get("/signin/next?by=approval&flow=" + key).is(200)
	to := b.next(page, "approval", "deed", "ask").to("/signin/next")
	err := h.tenant.DecideApproval(t.Context(), h.waiting("u-alice").ID, "u-alice", mine.ID, true, h.clock.now())
	got := b.get(to.location)
	if err == nil && got.status == http.StatusSeeOther && strings.HasPrefix(got.location, "/authorize") {
		t.Error("the browser that asked has answered")
	}
}

// A factor that was added in the midst of a transaction was proved by that: the transaction goes on, and not round in circles.
func TestWhatWasAddedWithinATransactionCompletesIt(t *testing.T) {
	h := openWith(t, "password totp", "password", "password+totp")
	alice := h.person("u-alice", "alice", "", right)
	b := h.browser()
	b.enter("alice")
	h.app(alice)
	kept, err := h.tenant.Authenticators(t.Context(), alice.ID)
	h.must(err)
	key := b.sent(iam.Need{ACR: "urn:strong", Sets: []string{"password+totp"}, Since: h.clock.now()})
	flow, err := h.tenant.Flow(t.Context(), iam.HashFlow(key), iam.Hash(b.cookie("__Host-garde-browser")), h.clock.now())
	h.must(err)
	flow.User = alice.ID
	flow.Proofs = []iam.Proved{{Factor: "totp", At: h.clock.now().Truncate(time.Second), Begun: h.clock.now(), Credential: kept[0].ID, Methods: []string{"otp"}}}
	h.must(h.tenant.SetFlow(t.Context(), flow))
	b.get(b.get("/signin?flow=" + key).to("/signin/next").location).to("/authorize")
	if current := h.only(alice.ID); len(current.Proofs) != 2 {
		t.Errorf("the session knows %+v", current.Proofs)
	}
}

// Where passwords are switched off nobody is given one.
func TestPasswordsThatAreSwitchedOffAreNotSet(t *testing.T) {
	h := open(t)
	alice := h.person("u-alice", "alice", "alice@bank.example", right)
	secret := iam.NewSecret(iam.PrefixLink)
	h.must(h.tenant.AddLink(t.Context(), iam.Link{
		Hash: iam.HashLink(secret), Kind: iam.LinkReset, User: alice.ID, Created: h.clock.now(), Expires: h.clock.now().Add(time.Hour),
	}))
	enrol := h.inviteTo(alice.ID)
	before, err := h.tenant.Password(t.Context(), alice.ID)
	h.must(err)
	b := h.browser()
	reset, first := b.get("/link/reset?token="+secret).is(200), b.get(enrol).is(200)
	h.offers.Factors = []string{"passkey"}
	b.get("/link/reset?token=" + secret).is(404)
	for path, at := range map[string]seen{"/link/reset": reset, "/link/enrol": first} {
		b.post(path, "token", at.hidden("token"), "csrf", at.hidden("csrf"), "new_password", "another lamp beside rivers", "new_password_again", "another lamp beside rivers")
	}
	if after, err := h.tenant.Password(t.Context(), alice.ID); err != nil || after.PHC != before.PHC {
		t.Errorf("the password is another, %v", err)
	}
}

// An application signs out the account that is in use. The further ones of the browser are not left alive where nobody
// finds them again: they are there to choose from, and to sign out of.
func TestS04ASignOutLeavesNoSessionThatNobodyFinds(t *testing.T) {
	for what, out := range map[string]func(b *browser) seen{
		"at an application's wish": func(b *browser) seen {
			return b.get("/logout" + query("id_token_hint", b.hint("budget", "u-bob", b.only("u-bob").ID, nil), "post_logout_redirect_uri", bye)).to(bye)
		},
		"by the person": func(b *browser) seen {
			page := b.get("/logout").is(200, "bob")
			return b.post("/logout/confirm", "decision", "yes", "csrf", page.hidden("csrf")).to("/choose")
		},
	} {
		t.Run(what, func(t *testing.T) {
			h := open(t)
			h.person("u-alice", "alice", "", right)
			h.person("u-bob", "bob", "", right)
			b := h.browser()
			b.enter("alice")
			at := b.get("/choose").is(200)
			b.follow(b.post("/choose", "csrf", at.hidden("csrf"), "other", "yes"))
			b.enter("bob")
			before := b.cookie("__Host-garde-browser")
			out(b)
			if len(h.living("u-bob")) != 0 || b.cookie("__Host-garde-session") != "" || b.cookie("__Host-garde-browser") == before {
				t.Error("bob is not out")
			}
			b.get(ask("own", "prompt", "none")).to("https://www.bank.example/callback?error=login_required")
			at = b.get("/choose").is(200, "alice").lacks("bob")
			b.post("/choose", "csrf", at.hidden("csrf"), "out", "yes").to("/logout/done")
			if len(h.living("u-alice")) != 0 {
				t.Error("alice's session lives on")
			}
		})
	}
}

// meanwhile is the storage of devices, and something that happens elsewhere just then.
type meanwhile struct {
	iam.Devices
	does func()
}

func (m meanwhile) KeepDevice(ctx context.Context, device iam.Device) error {
	m.does()
	return m.Devices.KeepDevice(ctx, device)
}

// What a session knew that was ended while somebody stepped up in it does not go on in the next one.
func TestS30AStepUpSavesNothingOfASessionThatEnds(t *testing.T) {
	for what, end := range map[string]func(h *house, id string) error{
		"signed out everywhere": func(h *house, _ string) error { return h.tenant.EndUserSessions(h.t.Context(), "u-alice", "") },
		"ended elsewhere":       func(h *house, id string) error { return h.tenant.EndSession(h.t.Context(), id) },
	} {
		t.Run(what, func(t *testing.T) {
			h := openWith(t, "password totp", "password", "password+totp")
			secret := h.app(h.person("u-alice", "alice", "", right))
			b := h.browser()
			b.enter("alice")
			old := h.only("u-alice").ID
			key := b.sent(iam.Need{Sets: []string{"password+totp"}, Since: h.clock.now()})
			page := b.get("/signin/next?flow=" + key).is(200)
			h.login.Devices.Kept = meanwhile{h.tenant, func() { h.must(end(h, old)) }}
			if got := b.next(page, "totp", "code", h.code(secret)); got.status == http.StatusSeeOther && strings.HasPrefix(got.location, "/authorize") {
				t.Error("it goes on")
			}
			if living := h.living("u-alice"); len(living) != 0 {
				t.Errorf("there is a session that knows %+v", living[0].Proofs)
			}
			b.get("/account").to("/signin")
		})
	}
}
