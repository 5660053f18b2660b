package storetest

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

func refreshes(t *testing.T, open Opener) {
	t.Run("F02 F03 a rotated token that comes again ends its family", func(t *testing.T) {
		h := newHouse(t, open)
		got := h.redeem(h.session().ID)
		second, err := h.rotate(got.refresh)
		h.must(err)
		third, err := h.rotate(second)
		h.must(err)
		_, err = h.rotate(got.refresh)
		h.want(err, iam.ErrSpent)
		_, err = h.rotate(third)
		h.want(err, iam.ErrRevoked)
		_, err = h.Access(h.ctx, got.access.Hash, h.clock.Now())
		h.want(err, iam.ErrNotFound)
		h.wantChanges(iam.ChangeGrant, got.code.Grant.ID)
	})
	t.Run("a lost answer: the predecessor comes again in time and replaces its unused successor", func(t *testing.T) {
		h := newHouse(t, open)
		got := h.redeem("")
		lost, err := h.rotate(got.refresh)
		h.must(err)
		h.clock.Pass(iam.Grace - time.Second)
		second, err := h.rotate(got.refresh)
		h.must(err)
		third, err := h.rotate(second)
		h.must(err)
		_, err = h.rotate(lost)
		h.want(err, iam.ErrSpent) // it was not lost after all: two parties hold the family
		_, err = h.rotate(third)
		h.want(err, iam.ErrRevoked)
	})
	t.Run("F02 after the grace a predecessor is a theft", func(t *testing.T) {
		h := newHouse(t, open)
		got := h.redeem("")
		_, err := h.rotate(got.refresh)
		h.must(err)
		h.clock.Pass(iam.Grace + time.Second)
		_, err = h.rotate(got.refresh)
		h.want(err, iam.ErrSpent)
		events, err := h.Events(h.ctx, iam.JournalQuery{Kind: "replay.seen"})
		h.must(err)
		if len(events) != 1 {
			t.Fatalf("the journal holds %d replays", len(events))
		}
	})
}

func refreshBounds(t *testing.T, open Opener) {
	t.Run("F07 another client is refused and uses nothing up", func(t *testing.T) {
		h := newHouse(t, open)
		h.client("c-other")
		got := h.redeem("")
		err := h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-other", Refresh: &iam.RefreshProof{Hash: got.refresh.Hash, Client: "c-other"},
			Replace: h.newRefresh(got.code.Grant.ID), Events: []journal.Event{h.event()}})
		h.want(err, iam.ErrMismatch)
		_, err = h.rotate(got.refresh)
		h.must(err)
	})
	t.Run("a token that does not rotate lives on until its idle end", func(t *testing.T) {
		h := newHouse(t, open)
		got := h.redeem("")
		use := func() error {
			return h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Idle: h.clock.Now().Add(time.Hour),
				Refresh: &iam.RefreshProof{Hash: got.refresh.Hash, Client: "c-app"}})
		}
		for range 3 {
			h.clock.Pass(50 * time.Minute)
			h.must(use())
		}
		h.clock.Pass(61 * time.Minute)
		h.want(use(), iam.ErrExpired)
	})
	t.Run("a grant ends absolutely", func(t *testing.T) {
		h := newHouse(t, open)
		got := h.redeem("")
		h.clock.Pass(31 * 24 * time.Hour)
		_, err := h.rotate(got.refresh)
		h.want(err, iam.ErrExpired)
	})
	t.Run("C20 a value of another kind is never found", func(t *testing.T) {
		h := newHouse(t, open)
		got := h.redeem("")
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app",
			Code: &iam.CodeProof{Hash: iam.CodeHash(got.refresh.Hash), Client: "c-app", Challenge: "challenge"}}), iam.ErrNotFound)
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app",
			Refresh: &iam.RefreshProof{Hash: iam.RefreshHash(got.code.Hash), Client: "c-app"}}), iam.ErrNotFound)
		_, err := h.Access(h.ctx, iam.AccessHash(got.refresh.Hash), h.clock.Now())
		h.want(err, iam.ErrNotFound)
		_, err = h.Link(h.ctx, iam.LinkReset, iam.LinkHash(got.code.Hash))
		h.want(err, iam.ErrNotFound)
		_, err = h.Session(h.ctx, iam.SessionHash(got.access.Hash), h.clock.Now(), time.Hour)
		h.want(err, iam.ErrNotFound)
	})
	t.Run("what ends a grant", func(t *testing.T) { endings(t, open) })
}

// endings is the table of everything that has to make refresh and access tokens of a grant useless at once.
func endings(t *testing.T, open Opener) {
	for name, end := range map[string]func(*house, issued, iam.Session) error{
		"its revocation":    func(h *house, got issued, _ iam.Session) error { return h.RevokeGrant(h.ctx, got.code.Grant.ID) },
		"the session's end": func(h *house, _ issued, s iam.Session) error { return h.EndSession(h.ctx, s.ID) },
		"sign out everywhere": func(h *house, _ issued, _ iam.Session) error {
			return h.EndUserSessions(h.ctx, "u-ada", "")
		},
		"sign out everywhere else, too": func(h *house, _ issued, s iam.Session) error {
			return h.EndUserSessions(h.ctx, "u-ada", s.ID)
		},
		"a new password": func(h *house, _ issued, _ iam.Session) error {
			return h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, "")
		},
		"the person's disabling": func(h *house, _ issued, _ iam.Session) error {
			user, err := h.User(h.ctx, "u-ada")
			user.Disabled = true
			h.must(err)
			return h.SetUser(h.ctx, user)
		},
		"the person's disabling, also when enabled again": func(h *house, _ issued, _ iam.Session) error {
			user, err := h.User(h.ctx, "u-ada")
			h.must(err)
			user.Disabled = true
			h.must(h.SetUser(h.ctx, user))
			user.Disabled = false
			return h.SetUser(h.ctx, user)
		},
		"the person's removal": func(h *house, _ issued, _ iam.Session) error { return h.RemoveUser(h.ctx, "u-ada") },
		"the client's removal": func(h *house, _ issued, _ iam.Session) error { return h.RemoveClient(h.ctx, "c-app") },
		"the consent's end":    func(h *house, _ issued, _ iam.Session) error { return h.RevokeConsent(h.ctx, "u-ada", "c-app") },
		"the client's disabling": func(h *house, _ issued, _ iam.Session) error {
			return h.SetClientDisabled(h.ctx, "c-app", true)
		},
		"the client's disabling, also when enabled again": func(h *house, _ issued, _ iam.Session) error {
			h.must(h.SetClientDisabled(h.ctx, "c-app", true))
			return h.SetClientDisabled(h.ctx, "c-app", false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, open)
			session := h.session()
			got := h.redeem(session.ID)
			waiting := h.code(session.ID)
			h.must(end(h, got, session))
			_, err := h.rotate(got.refresh)
			h.want(err, iam.ErrRevoked)
			_, err = h.Access(h.ctx, got.access.Hash, h.clock.Now())
			h.want(err, iam.ErrNotFound)
			if grants, err := h.UserGrants(h.ctx, "u-ada"); err != nil || len(grants) != 0 {
				t.Fatalf("grants that stand: %v, %v", grants, err)
			}
			if changes, err := h.ChangesAfter(h.ctx, 0, 100); err != nil || len(changes) == 0 {
				t.Fatalf("the feed says nothing: %v", err)
			}
			if name == "its revocation" {
				return // the waiting code is another grant's
			}
			if err := h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Session: session.ID, Code: proofOf(waiting)}); err == nil {
				t.Fatal("a code that waited was redeemed")
			}
		})
	}
}

func survivals(t *testing.T, open Opener) {
	t.Run("a session's end leaves what was to outlive it", func(t *testing.T) {
		h := newHouse(t, open)
		session := h.session()
		got := h.redeem("")
		h.must(h.EndSession(h.ctx, session.ID))
		_, err := h.rotate(got.refresh)
		h.must(err)
	})
	t.Run("a new password keeps the session named, and what was born of it", func(t *testing.T) {
		h := newHouse(t, open)
		keep, other := h.session(), h.session()
		kept, ended := h.redeem(keep.ID), h.redeem(other.ID)
		h.must(h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, keep.ID))
		_, err := h.rotate(kept.refresh)
		h.must(err)
		_, err = h.Access(h.ctx, kept.access.Hash, h.clock.Now())
		h.must(err)
		_, err = h.rotate(ended.refresh)
		h.want(err, iam.ErrRevoked)
		_, err = h.Session(h.ctx, keep.Hash, h.clock.Now(), time.Hour)
		h.must(err)
		_, err = h.Session(h.ctx, other.Hash, h.clock.Now(), time.Hour)
		h.want(err, iam.ErrNotFound)
	})
	t.Run("one token ends by its id", func(t *testing.T) {
		h := newHouse(t, open)
		got := h.redeem("")
		h.must(h.RevokeToken(h.ctx, got.access.ID, got.access.Expires))
		_, err := h.Access(h.ctx, got.access.Hash, h.clock.Now())
		h.want(err, iam.ErrNotFound)
		_, err = h.rotate(got.refresh)
		h.must(err)
		h.wantChanges(iam.ChangeToken, got.access.ID)
	})
}

// wantChanges fails unless the feed holds that change exactly once.
func (h *house) wantChanges(kind iam.ChangeKind, id string) {
	h.t.Helper()
	changes, err := h.ChangesAfter(h.ctx, 0, 1000)
	h.must(err)
	count := 0
	for i, change := range changes {
		if i > 0 && change.Seq != changes[i-1].Seq+1 {
			h.t.Fatalf("the feed jumps from %d to %d", changes[i-1].Seq, change.Seq)
		}
		if change.Kind == kind && change.ID == id {
			count++
		}
	}
	if count != 1 {
		h.t.Fatalf("the feed says %d times that %s %s has changed", count, kind, id)
	}
}
