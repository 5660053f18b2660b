package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
)

func (h *house) ask(kind iam.AskedKind) iam.Asked {
	h.t.Helper()
	asked := h.newAsked(kind)
	h.must(h.Ask(h.ctx, asked))
	return asked
}

// granted is what ada allows c-app.
func (h *house) granted(session string) iam.Grant {
	return newCode(h.clock.Now(), session).Grant
}

func (h *house) approve(asked iam.Asked, session string) iam.Grant {
	h.t.Helper()
	grant := h.granted(session)
	h.must(h.Decide(h.ctx, asked.ID, iam.Verdict{Approved: true, Grant: grant}, h.clock.Now()))
	return grant
}

func proofOfAsked(asked iam.Asked) iam.AskedProof {
	return iam.AskedProof{Hash: asked.Hash, Kind: asked.Kind, Client: asked.Client, JKT: asked.JKT}
}

// collect asks for the tokens of what was approved.
func (h *house) collect(asked iam.Asked, grant iam.Grant) (*iam.Refresh, error) {
	proof, refresh := proofOfAsked(asked), h.newRefresh(grant.ID)
	return refresh, h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Asked: &proof, NewRefresh: refresh,
		Events: []event{h.event()}})
}

func askings(t *testing.T, open Opener) {
	for _, kind := range []iam.AskedKind{iam.AskedDevice, iam.AskedCIBA} {
		t.Run(string(kind)+": what was approved gives its tokens once", func(t *testing.T) {
			h := newHouse(t, open)
			asked := h.newAsked(kind)
			asked.JKT = "key"
			h.must(h.Ask(h.ctx, asked))
			got, err := h.Poll(h.ctx, proofOfAsked(asked), h.clock.Now())
			h.must(err)
			h.same(got, asked)
			h.want(second(h.collect(asked, h.granted(""))), iam.ErrNotFound) // nobody has approved it
			grant := h.approve(asked, h.session().ID)
			got, err = h.Poll(h.ctx, proofOfAsked(asked), h.clock.Now()) // whoever waits no more need not be patient
			h.must(err)
			asked.State, asked.User, asked.Grant = iam.AskedApproved, "u-ada", grant
			h.same(got, asked)
			refresh, err := h.collect(asked, grant)
			h.must(err)
			kept, err := h.Grant(h.ctx, grant.ID)
			h.must(err)
			h.same(kept, grant)
			_, err = h.Poll(h.ctx, proofOfAsked(asked), h.clock.Now())
			h.want(err, iam.ErrSpent)
			_, err = h.rotate(refresh)
			h.must(err)
		})
		t.Run("V10 "+string(kind)+": of fifty that collect exactly one wins, and a replay ends what was given", func(t *testing.T) {
			h := newHouse(t, open)
			asked := h.ask(kind)
			grant := h.approve(asked, "")
			won := make(chan *iam.Refresh, 50)
			h.same(h.race(50, func() error {
				refresh, err := h.collect(asked, grant)
				if err == nil {
					won <- refresh
				}
				return err
			}, iam.ErrSpent), 1)
			_, err := h.rotate(<-won)
			h.want(err, iam.ErrRevoked)
			h.wantChanges(iam.ChangeGrant, grant.ID)
			events, err := h.Events(h.ctx, iam.JournalQuery{Kind: "replay.seen"})
			h.must(err)
			h.same(len(events), 1)
		})
		t.Run("V04 "+string(kind)+": another client, key or kind gets nothing and changes nothing", func(t *testing.T) {
			h := newHouse(t, open)
			h.client("c-other")
			asked := h.newAsked(kind)
			asked.JKT = "key"
			h.must(h.Ask(h.ctx, asked))
			grant := h.approve(asked, "")
			for name, wrong := range map[string]struct {
				make   func(*iam.AskedProof)
				answer error
			}{
				"another client": {func(p *iam.AskedProof) { p.Client = "c-other" }, iam.ErrMismatch},
				"another key":    {func(p *iam.AskedProof) { p.JKT = "other" }, iam.ErrMismatch},
				"no key":         {func(p *iam.AskedProof) { p.JKT = "" }, iam.ErrMismatch},
				"another kind":   {func(p *iam.AskedProof) { p.Kind = "other" }, iam.ErrNotFound},
				"another value":  {func(p *iam.AskedProof) { p.Hash = iam.HashDevice(iam.NewSecret(iam.PrefixDevice)) }, iam.ErrNotFound},
				"no value":       {func(p *iam.AskedProof) { p.Hash = iam.AskedHash{} }, iam.ErrNotFound},
			} {
				t.Log(name)
				proof := proofOfAsked(asked)
				wrong.make(&proof)
				for range 10 { // nobody's guesses kill it
					h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: proof.Client, Asked: &proof, Events: []event{h.event()}}), wrong.answer)
					_, err := h.Poll(h.ctx, proof, h.clock.Now())
					h.want(err, wrong.answer)
				}
			}
			h.must(second(h.collect(asked, grant)))
		})
	}
	t.Run("polls", func(t *testing.T) { polls(t, open) })
	t.Run("decisions", func(t *testing.T) { decisions(t, open) })
	t.Run("what ends an approval", func(t *testing.T) { approvalEnds(t, open) })
}

func polls(t *testing.T, open Opener) {
	t.Run("who polls too soon has to wait five seconds longer from then on", func(t *testing.T) {
		h := newHouse(t, open)
		asked := h.ask(iam.AskedDevice)
		for _, step := range []struct {
			after, interval time.Duration
			answer          error
		}{
			{0, 5 * time.Second, nil},
			{5 * time.Second, 5 * time.Second, nil},
			{4 * time.Second, 10 * time.Second, iam.ErrRaced},
			{9 * time.Second, 15 * time.Second, iam.ErrRaced},
			{15 * time.Second, 15 * time.Second, nil},
		} {
			h.clock.Pass(step.after)
			got, err := h.Poll(h.ctx, proofOfAsked(asked), h.clock.Now())
			h.want(err, step.answer)
			h.same(got.Interval, step.interval)
		}
	})
	t.Run("of many that poll at once one is in time", func(t *testing.T) {
		h := newHouse(t, open)
		asked := h.ask(iam.AskedCIBA)
		h.same(h.race(20, func() error { return second(h.Poll(h.ctx, proofOfAsked(asked), h.clock.Now())) }, iam.ErrRaced), 1)
		h.clock.Pass(asked.Interval + 19*5*time.Second - time.Second)
		got, err := h.Poll(h.ctx, proofOfAsked(asked), h.clock.Now())
		h.want(err, iam.ErrRaced)
		h.same(got.Interval, asked.Interval+20*5*time.Second)
	})
	t.Run("time ends it, and who polls hears so until it is forgotten", func(t *testing.T) {
		h := newHouse(t, open)
		asked, approved := h.ask(iam.AskedDevice), h.ask(iam.AskedDevice)
		grant := h.approve(approved, "")
		h.clock.Pass(10 * time.Minute)
		_, err := h.AskedByCode(h.ctx, asked.UserCode, h.clock.Now())
		h.want(err, iam.ErrExpired)
		h.want(h.Decide(h.ctx, asked.ID, iam.Verdict{Approved: true, Grant: h.granted("")}, h.clock.Now()), iam.ErrExpired)
		h.want(second(h.Poll(h.ctx, proofOfAsked(asked), h.clock.Now())), iam.ErrExpired)
		h.want(second(h.collect(approved, grant)), iam.ErrExpired)
		h.must(second(h.Sweep(h.ctx, h.clock.Now())))
		h.want(second(h.Poll(h.ctx, proofOfAsked(asked), h.clock.Now())), iam.ErrExpired)
		again := h.newAsked(iam.AskedDevice)
		again.UserCode = asked.UserCode // its code is free again
		h.must(h.Ask(h.ctx, again))
		h.clock.Pass(24 * time.Hour)
		h.must(second(h.Sweep(h.ctx, h.clock.Now())))
		h.want(second(h.Poll(h.ctx, proofOfAsked(again), h.clock.Now())), iam.ErrNotFound)
	})
}

func decisions(t *testing.T, open Opener) {
	t.Run("of many that decide one wins", func(t *testing.T) {
		h := newHouse(t, open)
		asked := h.ask(iam.AskedDevice)
		turns := make(chan iam.AskedState, 20)
		for i := range 20 {
			turns <- []iam.AskedState{iam.AskedApproved, iam.AskedDenied}[i%2]
		}
		var won iam.AskedState
		h.same(h.race(20, func() error {
			state, grant := <-turns, iam.Grant{}
			if state == iam.AskedApproved {
				grant = h.granted("")
			}
			told := iam.Delivery{ID: uuid.NewString(), Kind: "ciba decided", Sealed: string(state), Next: h.clock.Now(), Made: h.clock.Now()}
			err := h.Decide(h.ctx, asked.ID, iam.Verdict{Approved: state == iam.AskedApproved, Grant: grant, Told: []iam.Delivery{told}}, h.clock.Now(), h.event())
			if err == nil {
				won = state
			}
			return err
		}, iam.ErrSpent), 1)
		got, err := h.Poll(h.ctx, proofOfAsked(asked), h.clock.Now())
		h.must(err)
		h.same(got.State, won)
		due, err := h.Due(h.ctx, h.clock.Now(), h.clock.Now().Add(time.Minute), 100)
		h.must(err)
		h.same(len(due), 1) // what is told is what was decided, and nobody else is told anything
		h.same(due[0].Sealed, string(won))
		events, err := h.Events(h.ctx, iam.JournalQuery{})
		h.must(err)
		h.same(len(events), 1)
	})
	t.Run("a denied one gives nothing", func(t *testing.T) {
		h := newHouse(t, open)
		asked := h.ask(iam.AskedCIBA)
		h.must(h.Decide(h.ctx, asked.ID, iam.Verdict{}, h.clock.Now()))
		h.want(second(h.collect(asked, h.granted(""))), iam.ErrNotFound)
		h.want(h.Decide(h.ctx, asked.ID, iam.Verdict{Approved: true, Grant: h.granted("")}, h.clock.Now()), iam.ErrSpent)
	})
	t.Run("a user code names one that waits, and no two at once", func(t *testing.T) {
		h := newHouse(t, open)
		asked := h.ask(iam.AskedDevice)
		got, err := h.AskedByCode(h.ctx, asked.UserCode, h.clock.Now())
		h.must(err)
		h.same(got, asked)
		other := h.newAsked(iam.AskedDevice)
		other.UserCode = asked.UserCode
		h.want(h.Ask(h.ctx, other), iam.ErrExists)
		h.approve(asked, "")
		for _, code := range []iam.UserHash{asked.UserCode, {}} {
			_, err = h.AskedByCode(h.ctx, code, h.clock.Now())
			h.want(err, iam.ErrNotFound)
		}
		h.must(h.Ask(h.ctx, other))
	})
	t.Run("a person sees what waits for them, and nobody else decides it", func(t *testing.T) {
		h := newHouse(t, open)
		h.user("bob")
		h.client("c-other")
		first := h.ask(iam.AskedCIBA)
		h.clock.Pass(time.Second)
		next := h.ask(iam.AskedCIBA)
		h.ask(iam.AskedDevice)
		waiting, err := h.AskedOf(h.ctx, "u-ada", h.clock.Now())
		h.must(err)
		h.same(waiting, []iam.Asked{next, first})
		for _, user := range []string{"u-bob", ""} {
			waiting, err = h.AskedOf(h.ctx, user, h.clock.Now())
			h.must(err)
			h.same(len(waiting), 0)
		}
		bobs, others := h.granted(""), h.granted("")
		bobs.User, others.Client = "u-bob", "c-other"
		h.want(h.Decide(h.ctx, first.ID, iam.Verdict{Approved: true, Grant: bobs}, h.clock.Now()), iam.ErrNotFound)
		h.want(h.Decide(h.ctx, first.ID, iam.Verdict{Approved: true, Grant: others}, h.clock.Now()), iam.ErrNotFound)
		h.want(h.Decide(h.ctx, "none", iam.Verdict{Approved: true, Grant: h.granted("")}, h.clock.Now()), iam.ErrNotFound)
		h.must(h.Decide(h.ctx, first.ID, iam.Verdict{Approved: true, Grant: h.granted(""), Consent: &iam.Consent{User: "u-ada", Client: "c-app", Scope: oauth.Scope{"a.read"}}}, h.clock.Now()))
		consent, err := h.Consent(h.ctx, "u-ada", "c-app")
		h.must(err)
		h.same(consent.Scope, oauth.Scope{"a.read"})
	})
}

// approvalEnds is the table of what has to make an approval useless before the client has collected its tokens, and what
// waits for one undecidable.
func approvalEnds(t *testing.T, open Opener) {
	for name, end := range map[string]func(*house, iam.Session) error{
		"C28 the person's disabling, also when enabled again": func(h *house, _ iam.Session) error {
			user, err := h.User(h.ctx, "u-ada")
			h.must(err)
			user.Disabled = true
			h.must(h.SetUser(h.ctx, user))
			user.Disabled = false
			return h.SetUser(h.ctx, user)
		},
		"C28 the client's disabling, also when enabled again": func(h *house, _ iam.Session) error {
			h.must(h.SetClientDisabled(h.ctx, "c-app", true))
			return h.SetClientDisabled(h.ctx, "c-app", false)
		},
		"the person's removal":          func(h *house, _ iam.Session) error { return h.RemoveUser(h.ctx, "u-ada") },
		"the client's removal":          func(h *house, _ iam.Session) error { return h.RemoveClient(h.ctx, "c-app") },
		"sign out everywhere":           func(h *house, _ iam.Session) error { return h.EndUserSessions(h.ctx, "u-ada", "") },
		"sign out everywhere else, too": func(h *house, s iam.Session) error { return h.EndUserSessions(h.ctx, "u-ada", s.ID) },
		"a new password": func(h *house, s iam.Session) error {
			return h.SetPassword(h.ctx, iam.Password{User: "u-ada", PHC: "x"}, s.ID)
		},
		"the session's end": func(h *house, s iam.Session) error { return h.EndSession(h.ctx, s.ID) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, open)
			session := h.session()
			approved, asked, device := h.ask(iam.AskedDevice), h.ask(iam.AskedCIBA), h.ask(iam.AskedDevice)
			grant := h.approve(approved, session.ID)
			outliving := h.ask(iam.AskedCIBA)
			free := h.approve(outliving, "")
			late := h.granted(session.ID)
			h.must(end(h, session))
			h.want(second(h.collect(approved, grant)), iam.ErrRevoked)
			if name == "the session's end" {
				h.want(h.Decide(h.ctx, asked.ID, iam.Verdict{Approved: true, Grant: late}, h.clock.Now()), iam.ErrRevoked)
				h.approve(asked, h.session().ID) // in another it goes on
				h.must(second(h.collect(outliving, free)))
				return
			}
			h.want(second(h.collect(outliving, free)), iam.ErrRevoked)
			if !strings.Contains(name, "client") {
				h.want(second(h.Poll(h.ctx, proofOfAsked(asked), h.clock.Now())), iam.ErrNotFound)
			}
			if err := h.Decide(h.ctx, asked.ID, iam.Verdict{Approved: true, Grant: h.granted("")}, h.clock.Now()); err == nil {
				t.Fatal("what waited was approved")
			}
			if waiting, err := h.AskedOf(h.ctx, "u-ada", h.clock.Now()); err != nil || len(waiting) != 0 {
				t.Fatalf("%v waits, %v", waiting, err)
			}
			if err := h.Decide(h.ctx, device.ID, iam.Verdict{Approved: true, Grant: late}, h.clock.Now()); err == nil &&
				name != "sign out everywhere else, too" && name != "a new password" { // its person is signed in
				t.Fatal("what waited for nobody in particular was approved")
			}
		})
	}
	t.Run("who does not stand asks for nothing, and is asked for nothing", func(t *testing.T) {
		h := newHouse(t, open)
		none := h.newAsked(iam.AskedCIBA)
		none.User = "u-none"
		h.want(h.Ask(h.ctx, none), iam.ErrRevoked)
		h.must(h.SetClientDisabled(h.ctx, "c-app", true))
		h.want(h.Ask(h.ctx, h.newAsked(iam.AskedDevice)), iam.ErrRevoked)
	})
	t.Run("a session that goes on under another id takes an approval along", func(t *testing.T) {
		h := newHouse(t, open)
		old := h.session()
		asked := h.ask(iam.AskedDevice)
		grant := h.approve(asked, old.ID)
		next := old
		next.ID, next.Hash = uuid.NewString(), iam.HashSession(iam.NewSecret(iam.PrefixSession))
		h.must(h.StartSession(h.ctx, next, old.Hash))
		h.must(second(h.collect(asked, grant)))
	})
	t.Run("what is collected while the person is disabled stays dead when the person is enabled", func(t *testing.T) {
		h := newHouse(t, open)
		for range often(20, 500) {
			asked := h.ask(iam.AskedDevice)
			grant := h.approve(asked, "")
			var refresh *iam.Refresh
			h.whileDisabled(func() (err error) {
				refresh, err = h.collect(asked, grant)
				return err
			})
			if _, err := h.rotate(refresh); err == nil {
				t.Fatal("a refresh token outlived the disabling")
			}
		}
	})
}
