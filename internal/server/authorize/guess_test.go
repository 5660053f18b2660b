package authorize_test

import (
	"testing"

	"github.com/gardeauth/garde/internal/iam"
)

// The node remembers session and consent, and hears of no change: what ends on another node is refused here at once.
func TestX15WhatEndedOnAnotherNodeGivesNoCodeHere(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*house, iam.Session) error
		then string
	}{
		"the session ended":       {func(h *house, s iam.Session) error { return h.tenant.EndSession(h.t.Context(), s.ID) }, "/signin"},
		"signed out everywhere":   {func(h *house, _ iam.Session) error { return h.tenant.EndUserSessions(h.t.Context(), "u-alice", "") }, "/signin"},
		"the person was disabled": {func(h *house, _ iam.Session) error { return h.disable("u-alice") }, "/signin"},
		"the person was removed":  {func(h *house, _ iam.Session) error { return h.tenant.RemoveUser(h.t.Context(), "u-alice") }, "/signin"},
		"the consent was revoked": {func(h *house, _ iam.Session) error { return h.tenant.RevokeConsent(h.t.Context(), "u-alice", "web") }, "/consent"},
		"another one was ended":   {func(h *house, _ iam.Session) error { return h.tenant.EndUserSessions(h.t.Context(), "u-bob", "") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			b := h.browser().signIn("u-alice")
			h.consent("u-alice", "web", "openid")
			for range 3 {
				b.get("/authorize?"+ask("web")).gives("code", "")
			}
			sessions, err := h.tenant.UserSessions(t.Context(), "u-alice")
			h.must(err)
			h.must(c.end(h, sessions[0]))
			for range 2 {
				got := b.get("/authorize?" + ask("web"))
				if c.then == "" {
					got.gives("code", "")
				} else {
					got.to(c.then)
				}
			}
		})
	}
}

func (h *house) disable(id string) error {
	user, err := h.tenant.User(h.t.Context(), id)
	h.must(err)
	user.Disabled = true
	return h.tenant.SetUser(h.t.Context(), user)
}

// A wider consent that was given elsewhere is used, though a narrower one is remembered.
func TestAConsentThatGrewOnAnotherNodeIsUsed(t *testing.T) {
	h := open(t)
	b := h.browser().signIn("u-alice")
	h.consent("u-alice", "web", "openid")
	b.get("/authorize?"+ask("web")).gives("code", "")
	b.get("/authorize?" + ask("web", "scope", "openid accounts.read")).to("/consent")
	h.consent("u-alice", "web", "accounts.read")
	b.get("/authorize?"+ask("web", "scope", "openid accounts.read")).gives("code", "")
	h.consent("u-alice", "web", "email")
	b.get("/authorize?"+ask("web", "scope", "openid accounts.read")).gives("code", "") // what is remembered is not word for word so
}
