package account_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/passkey/authenticator"
)

// Who came in by a stolen password must not make the company forget what is usual: nothing would be strange any more.
func TestS12AWeakerFactorErasesNoHabits(t *testing.T) {
	h := open(t)
	h.person("alice")
	b := h.as("alice", "password")
	b.addTOTP("App")
	for _, do := range []string{"off", "erase", "export"} {
		t.Run(do, func(t *testing.T) {
			b.enter("alice", "password")
			to := b.post("/account/habits", "csrf", b.csrf(), "do", do).to("/signin?flow=")
			if flow := b.flow(to); flow.Need == nil || flow.Need.ACR != "strong" || !strings.HasSuffix(flow.Query, "=habits") {
				t.Errorf("flow %+v", flow)
			}
			b.enter("alice", "password,totp")
			if got := b.post("/account/habits", "csrf", b.csrf(), "do", do); strings.HasPrefix(got.location, "/signin") {
				t.Errorf("to %s", got.location)
			}
		})
	}
	b.enter("alice", "password")
	b.post("/account/habits", "csrf", b.csrf(), "do", "on").to("/account/habits?done=")
}

func TestPasswordsThatAreSwitchedOffAreNotChanged(t *testing.T) {
	h := open(t)
	h.person("alice")
	h.offered = []string{"passkey"}
	b := h.as("alice", "password")
	b.get("/account").is(200).lacks("Change your password")
	b.post("/account/password", "csrf", b.csrf(), "current_password", "x", "new_password", "a lamp beside seven rivers", "new_password_again", "a lamp beside seven rivers").is(404)
}

// The session that removed a factor knows it no longer, in the very moment.
func TestS30WhatWasRemovedProvesNothingMore(t *testing.T) {
	h := open(t)
	h.person("alice")
	b := h.as("alice", "password")
	b.addKey("passkey", "Key", authenticator.New(origin)).to("/account/security?done=factor_added")
	one := h.factor("Key")
	remove := func(b *browser) seen {
		t.Helper()
		return b.post("/account/security/factor", "csrf", b.csrf(), "id", one.ID, "do", "remove")
	}
	t.Run("it stays if it is the last", func(t *testing.T) {
		before := h.own.Factors.WayIn
		h.own.Factors.WayIn = func(iam.Left) bool { return false }
		defer func() { h.own.Factors.WayIn = before }()
		b.enter("alice", "password,passkey", "credential="+one.ID)
		remove(b).is(422, "last way you have to sign in")
		if current := h.session(b); len(current.Proofs) != 2 {
			t.Errorf("it knows %+v", current.Proofs)
		}
	})
	t.Run("with something else beside it", func(t *testing.T) {
		b.enter("alice", "password,passkey", "credential="+one.ID)
		before, cookie := h.session(b), b.cookie("garde-session")
		at := remove(b).to("/account/security?done=factor_removed")
		b.get(at.location).is(200, "no longer opens")
		current := h.session(b)
		if len(current.Proofs) != 1 || current.Proofs[0].Factor != "password" || slices.Contains(current.AMR, "mfa") || current.Expires.After(before.Expires) {
			t.Errorf("it knows %+v, until %v", current, current.Expires)
		}
		if b.cookie("garde-session") == cookie {
			t.Error("S01 the cookie stayed")
		}
	})
	t.Run("with nothing else the person signs in anew", func(t *testing.T) {
		b.addKey("passkey", "Other", authenticator.New(origin)).to("/account/security?done=factor_added")
		one = h.factor("Other")
		b.enter("alice", "passkey", "credential="+one.ID)
		remove(b).to("/")
		b.get("/account").to("/signin")
	})
}

// session is the one that a browser is in.
func (h *house) session(b *browser) iam.Session {
	h.t.Helper()
	current, err := h.tenant.Session(h.t.Context(), iam.HashSession(b.cookie("garde-session")), h.now(), 1<<50)
	h.must(err)
	return current
}

// A session approves no sign-in to a level that it does not reach itself.
func TestS05AWeakerSessionApprovesNothing(t *testing.T) {
	h := open(t)
	h.person("alice")
	h.own.Approves = h.demand
	b := h.as("alice", "password")
	b.addTOTP("App")
	b.enter("alice", "password")
	asked := h.waits("alice")
	to := b.post("/account/approvals", "csrf", b.csrf(), "id", asked.ID, "number", asked.Number).to("/signin?flow=")
	if flow := b.flow(to); flow.Need == nil || flow.Need.ACR != "strong" || !strings.HasSuffix(flow.Query, "=approvals") {
		t.Errorf("flow %+v", flow)
	}
	b.get("/account/approvals").is(200, "Chrome on Windows")
	b.enter("alice", "password,totp")
	b.post("/account/approvals", "csrf", b.csrf(), "id", asked.ID, "number", asked.Number).to("/account/approvals?done=signin_allowed")
	other := h.waits("alice")
	b.enter("alice", "password") // a no is anybody's who is signed in
	b.post("/account/approvals", "csrf", b.csrf(), "id", other.ID, "decision", "deny").to("/account/approvals?done=signin_denied")
}

// Who ends the session of this very browser is out, and their further accounts are there to choose from.
func TestS04ToEndThisSessionIsToSignOut(t *testing.T) {
	h := open(t)
	h.person("alice")
	h.person("bob")
	b := h.as("alice", "password")
	at := b.get("/choose").is(200)
	b.post("/choose", "csrf", at.hidden("csrf"), "other", "yes").to("/signin?flow=")
	b.enter("bob", "password")
	before := b.cookie("garde-browser")
	b.post("/account/sessions", "csrf", b.csrf(), "session", h.session(b).ID).to("/choose")
	if b.cookie("garde-session") != "" || b.cookie("garde-browser") == before {
		t.Error("the cookies stay")
	}
	b.get("/choose").is(200, "Dr alice").lacks("Dr bob")
}

// The same moment, in another house: the session is ended between the look at it and its going on.
func TestS30ARemovalSavesNoSessionThatEnded(t *testing.T) {
	h := open(t)
	h.person("alice")
	b := h.as("alice", "password")
	b.addKey("passkey", "Key", authenticator.New(origin)).to("/account/security?done=factor_added")
	one := h.factor("Key")
	b.enter("alice", "password,passkey", "credential="+one.ID)
	csrf := b.csrf()
	h.own.Factors.Demand = func(r *http.Request, _ iam.User, _ iam.Session) (*iam.Need, error) {
		return nil, h.tenant.EndUserSessions(r.Context(), "alice", "")
	}
	b.post("/account/security/factor", "csrf", csrf, "id", one.ID, "do", "remove").is(403, "login_required")
	if living, err := h.tenant.UserSessions(t.Context(), "alice"); err != nil || len(living) != 0 {
		t.Errorf("%d sessions live, %v", len(living), err)
	}
}
