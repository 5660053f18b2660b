package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/recipe"
)

// given redeems a code of a client whose ID tokens bear the session's id.
func (h *house) given(client string, session iam.Session, outlives bool) iam.Code {
	h.t.Helper()
	code := newCode(h.clock.Now(), session.ID)
	code.Grant.Client, code.Grant.Login, code.From = client, session.ID, session.ID
	if outlives {
		code.Grant.Session = ""
	}
	h.must(h.AddCode(h.ctx, code, iam.FlowHash{}, nil))
	h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: client, User: "u-ada", Code: proofOf(code)}))
	h.clock.Pass(time.Second)
	return code
}

// renew signs ada in anew, in the place of a session.
func (h *house) renew(old iam.Session) iam.Session {
	h.t.Helper()
	next := old
	next.ID, next.Hash = uuid.NewString(), iam.HashSession(iam.NewSecret(iam.PrefixSession))
	h.must(h.StartSession(h.ctx, next, old.Hash))
	return next
}

func (h *house) wantHearers(session string, want ...iam.Hearer) {
	h.t.Helper()
	user, hearers, err := h.Hearers(h.ctx, session)
	h.must(err)
	h.same(hearers, want)
	if (user == "u-ada") != (len(want) > 0) {
		h.t.Fatalf("the person of %d hearers is %q", len(want), user)
	}
}

func hearings(t *testing.T, open Opener) {
	t.Run("who got grants in a session hears of its end, under the sid that they know", func(t *testing.T) {
		h := newHouse(t, open)
		h.client("c-other")
		first, another := h.session(), h.session()
		h.wantHearers(first.ID)
		h.given("c-app", first, false)
		h.given("c-app", first, true)
		h.given("c-app", another, false)
		last := h.renew(h.renew(first))
		h.given("c-other", last, true)
		h.must(h.RevokeGrant(h.ctx, h.given("c-app", last, false).Grant.ID)) // ended or not
		want := []iam.Hearer{{Client: "c-app", SID: first.ID}, {Client: "c-other", SID: last.ID}, {Client: "c-app", SID: last.ID}}
		h.wantHearers(last.ID, want...)
		h.must(h.EndSession(h.ctx, last.ID))
		h.wantHearers(last.ID, want...)
		h.must(h.EndUserSessions(h.ctx, "u-ada", ""))
		h.wantHearers(last.ID, want...)
		h.wantHearers(another.ID, iam.Hearer{Client: "c-app", SID: another.ID})
		for _, none := range []string{"", "none", "\x00"} {
			h.wantHearers(none)
		}
		h.clock.Pass(3 * 24 * time.Hour)
		h.must(second(h.Sweep(h.ctx, h.clock.Now())))
		h.wantHearers(last.ID)
	})
	t.Run("everyone hears of the end of all", func(t *testing.T) {
		for name, end := range map[string]func(*house) error{
			"sign out everywhere": func(h *house) error { return h.EndUserSessions(h.ctx, "u-ada", "") },
			"a new password":      func(h *house) error { return h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, "") },
			"the removal":         func(h *house) error { return h.RemoveUser(h.ctx, "u-ada") },
		} {
			t.Log(name)
			h := newHouse(t, open)
			session := h.session()
			h.given("c-app", session, true)
			h.must(end(h))
			h.wantChanges(iam.ChangeSession, session.ID)
			h.wantHearers(session.ID, iam.Hearer{Client: "c-app", SID: session.ID})
		}
	})
	t.Run("when all of a person ends, the feed names each grant: tokens of some clients bear another sub", func(t *testing.T) {
		h := newHouse(t, open)
		pairwise := iam.Client{ID: "c-pair", Kind: recipe.Web}
		pairwise.SubjectType = "pairwise"
		h.must(h.PutClient(h.ctx, pairwise))
		grants := []iam.Code{h.given("c-pair", h.session(), true), h.given("c-pair", h.session(), false), h.given("c-app", h.session(), true)}
		user, err := h.User(h.ctx, "u-ada")
		h.must(err)
		user.Disabled = true
		h.must(h.SetUser(h.ctx, user))
		for _, code := range grants {
			h.wantChanges(iam.ChangeGrant, code.Grant.ID)
		}
	})
}

func cursors(t *testing.T, open Opener) {
	delivery := func(h *house, id string) iam.Delivery {
		return iam.Delivery{ID: id, Kind: "logout", Sealed: "s", Next: h.clock.Now(), Made: h.clock.Now()}
	}
	t.Run("of many that come as far one keeps what it has to send", func(t *testing.T) {
		h := newHouse(t, open)
		seq, err := h.Cursor(h.ctx, "logout")
		h.must(err)
		h.same(seq, int64(0))
		ids := make(chan string, 20)
		for i := range 20 {
			ids <- fmt.Sprint("d", i)
		}
		h.same(h.race(20, func() error { return h.SetCursor(h.ctx, "logout", 7, delivery(h, <-ids)) }, iam.ErrRaced), 1)
		h.want(h.SetCursor(h.ctx, "logout", 6, delivery(h, "back")), iam.ErrRaced)
		due, err := h.Due(h.ctx, h.clock.Now(), h.clock.Now().Add(time.Hour), 100)
		h.must(err)
		h.same(len(due), 1)
		h.must(h.SetCursor(h.ctx, "logout", 8))
		seq, err = h.Cursor(h.ctx, "logout")
		h.must(err)
		h.same(seq, int64(8))
	})
	t.Run("what can't be kept moves nobody, and one reader moves no other", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(h.SetCursor(h.ctx, "logout", 3, delivery(h, "d")))
		h.want(h.SetCursor(h.ctx, "logout", 4, delivery(h, "new"), delivery(h, "d")), iam.ErrExists)
		seq, err := h.Cursor(h.ctx, "logout")
		h.must(err)
		h.same(seq, int64(3))
		seq, err = h.Cursor(h.ctx, "other")
		h.must(err)
		h.same(seq, int64(0))
	})
}
