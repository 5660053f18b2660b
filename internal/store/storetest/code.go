package storetest

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

func codes(t *testing.T, open Opener) {
	t.Run("C01 a replay by the right client ends what the code gave", func(t *testing.T) {
		h := newHouse(t, open)
		session := h.session()
		got := h.redeem(session.ID)
		_, err := h.Access(h.ctx, got.access.Hash, h.clock.Now())
		h.must(err)
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(got.code)}), iam.ErrSpent)
		_, err = h.Access(h.ctx, got.access.Hash, h.clock.Now())
		h.want(err, iam.ErrNotFound)
		_, err = h.rotate(got.refresh)
		h.want(err, iam.ErrRevoked)
		events, err := h.Events(h.ctx, iam.JournalQuery{Kind: "replay.seen"})
		h.must(err)
		if len(events) != 1 || events[0].Grant != got.code.Grant.ID {
			t.Fatalf("the journal says %v", events)
		}
	})
	t.Run("C02 of fifty that redeem one code exactly one wins", func(t *testing.T) {
		h := newHouse(t, open)
		code := h.code("")
		wins := h.race(50, func() error {
			return h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Code: proofOf(code), NewRefresh: h.newRefresh(code.Grant.ID)})
		}, iam.ErrSpent)
		if wins != 1 {
			t.Fatalf("%d won", wins)
		}
	})
	t.Run("C04 another client leaves the code", func(t *testing.T) {
		h := newHouse(t, open)
		h.client("c-other")
		code := h.code("")
		wrong := *proofOf(code)
		wrong.Client = "c-other"
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-other", Code: &wrong}), iam.ErrMismatch)
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(code)}))
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-other", Code: &wrong}), iam.ErrMismatch)
		expired := h.code("")
		h.clock.Pass(time.Hour)
		wrong.Hash = expired.Hash
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-other", Code: &wrong}), iam.ErrMismatch)
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(expired)}), iam.ErrExpired)
	})
	t.Run("C22 the fifth wrong verifier kills the code", func(t *testing.T) {
		for _, count := range []int{4, 5} {
			h := newHouse(t, open)
			code := h.code("")
			wrong := *proofOf(code)
			wrong.Challenge = "wrong"
			for i := range count {
				if i%2 == 0 {
					h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: &wrong}), iam.ErrMismatch)
					continue
				}
				_, err := h.Try(h.ctx, wrong, h.clock.Now())
				h.want(err, iam.ErrMismatch)
			}
			want := error(nil)
			if count > iam.MaxCodeTries {
				want = iam.ErrNotFound
			}
			h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(code)}), want)
		}
	})
}

// codesOfSessions: a code is given within a session, also if its grant is to outlive it.
func codesOfSessions(t *testing.T, open Opener) {
	// begun gives a session and a code with offline_access that is about to be given in it.
	begun := func(h *house) (iam.Session, iam.Code) {
		session := h.session()
		code := newCode(h.clock.Now(), "")
		code.From = session.ID
		return session, code
	}
	for name, end := range map[string]func(*house, iam.Session) error{
		"was ended":              func(h *house, s iam.Session) error { return h.EndSession(h.ctx, s.ID) },
		"ended with all":         func(h *house, _ iam.Session) error { return h.EndUserSessions(h.ctx, "u-ada", "") },
		"ended with all but one": func(h *house, _ iam.Session) error { return h.EndUserSessions(h.ctx, "u-ada", h.session().ID) },
		"is over": func(h *house, s iam.Session) error {
			h.clock.Pass(s.Expires.Sub(h.clock.Now()))
			return nil
		},
	} {
		t.Run("none in a session that "+name, func(t *testing.T) {
			h := newHouse(t, open)
			session, code := begun(h)
			h.must(end(h, session))
			code.Created, code.Expires = h.clock.Now(), h.clock.Now().Add(time.Minute)
			for _, consent := range []*iam.Consent{nil, {User: "u-ada", Client: "c-app", Scope: code.Grant.Scope}} {
				h.want(h.AddCode(h.ctx, code, iam.FlowHash{}, consent), iam.ErrRevoked)
			}
			h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(code)}), iam.ErrNotFound)
		})
	}
	t.Run("none in the session of another", func(t *testing.T) {
		h := newHouse(t, open)
		h.user("bob")
		_, code := begun(h)
		code.Grant.User = "u-bob"
		h.want(h.AddCode(h.ctx, code, iam.FlowHash{}, nil), iam.ErrRevoked)
	})
	t.Run("a grant that outlives its session does so from the code on", func(t *testing.T) {
		h := newHouse(t, open)
		session, code := begun(h)
		h.must(h.AddCode(h.ctx, code, iam.FlowHash{}, nil))
		h.must(h.EndSession(h.ctx, session.ID))
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Code: proofOf(code)}))
		grant, err := h.Grant(h.ctx, code.Grant.ID)
		h.must(err)
		h.same(grant.Session, "")
	})
	t.Run("a sign-out everywhere beside it leaves no code that works", func(t *testing.T) {
		h := newHouse(t, open)
		for i := range often(40, 1000) {
			_, code := begun(h)
			keep := ""
			if i%2 == 1 {
				keep = h.session().ID
			}
			h.both(func() error { return h.AddCode(h.ctx, code, iam.FlowHash{}, nil) },
				func() error { return h.EndUserSessions(h.ctx, "u-ada", keep) })
			if err := h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(code)}); err == nil {
				t.Fatal("a code outlived the sign-out")
			}
		}
	})
}

func tries(t *testing.T, open Opener) {
	h := newHouse(t, open)
	code := h.code("")
	got, err := h.Try(h.ctx, *proofOf(code), h.clock.Now())
	h.must(err)
	h.same(got, code)
	h.must(h.SetClientDisabled(h.ctx, "c-app", true))
	_, err = h.Try(h.ctx, *proofOf(code), h.clock.Now())
	h.want(err, iam.ErrRevoked)
	h.must(h.SetClientDisabled(h.ctx, "c-app", false))
	_, err = h.Try(h.ctx, *proofOf(code), h.clock.Now())
	h.want(err, iam.ErrRevoked)
	given := h.redeem("")
	_, err = h.Try(h.ctx, *proofOf(given.code), h.clock.Now())
	h.want(err, iam.ErrSpent)
	_, err = h.rotate(given.refresh)
	h.want(err, iam.ErrRevoked)
	late := h.code("")
	h.clock.Pass(time.Minute)
	_, err = h.Try(h.ctx, *proofOf(late), h.clock.Now())
	h.want(err, iam.ErrExpired)
}

// race runs do n times at once and counts those that won; all others must answer lost.
func (h *house) race(n int, do func() error, lost error) int {
	h.t.Helper()
	var wg sync.WaitGroup
	answers := make(chan error, n)
	start := make(chan struct{})
	for range n {
		wg.Go(func() {
			<-start
			answers <- do()
		})
	}
	close(start)
	wg.Wait()
	close(answers)
	wins := 0
	for err := range answers {
		switch {
		case err == nil:
			wins++
		case lost == nil || !errors.Is(lost, err) && !errors.Is(err, lost):
			h.t.Errorf("a loser hears %v, not %v", err, lost)
		}
	}
	return wins
}
