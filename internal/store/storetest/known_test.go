package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
)

func (h *house) device(id string) iam.Device {
	h.t.Helper()
	d := iam.Device{ID: id, User: "u-ada", Name: "Firefox on Linux", Agent: "Firefox on Linux", Address: "192.0.2.1", Created: h.clock.Now(),
		Seen: h.clock.Now(), Expires: h.clock.Now().Add(90 * 24 * time.Hour)}
	h.must(h.KeepDevice(h.ctx, d))
	return d
}

func devices(t *testing.T, open Opener) {
	t.Run("one is known until it expires, and keeps its name and its first day", func(t *testing.T) {
		h := newHouse(t, open)
		h.user("bob")
		d := h.device("d")
		h.must(h.RenameDevice(h.ctx, "u-ada", "d", "Laptop"))
		h.clock.Pass(time.Hour)
		again := d
		again.Name, again.Agent, again.Address, again.Created, again.Seen, again.Expires = "x", "Firefox 200", "192.0.2.9", h.clock.Now(), h.clock.Now(), h.clock.Now().Add(time.Hour)
		h.must(h.KeepDevice(h.ctx, again))
		again.Name, again.Created = "Laptop", d.Created
		got, err := h.Device(h.ctx, "u-ada", "d", h.clock.Now())
		h.must(err)
		h.same(got, again)
		other := h.device("e")
		all, err := h.UserDevices(h.ctx, "u-ada", h.clock.Now())
		h.must(err)
		h.same(all, []iam.Device{again, other})
		h.want(second(h.Device(h.ctx, "u-bob", "d", h.clock.Now())), iam.ErrNotFound)
		h.want(second(h.Device(h.ctx, "u-ada", "d", again.Expires)), iam.ErrNotFound)
		h.want(h.RenameDevice(h.ctx, "u-bob", "d", "x"), iam.ErrNotFound)
		h.want(h.ForgetDevice(h.ctx, "u-bob", "d"), iam.ErrNotFound)
		shared := d
		shared.User = "u-bob"
		h.must(h.KeepDevice(h.ctx, shared))
		h.must(h.ForgetDevice(h.ctx, "u-bob", "d"))
		h.must(second(h.Device(h.ctx, "u-ada", "d", h.clock.Now())))
		h.clock.Pass(2 * time.Hour)
		fresh := h.device("d") // expired, and not swept yet
		got, err = h.Device(h.ctx, "u-ada", "d", h.clock.Now())
		h.must(err)
		h.same(got, fresh)
	})
	t.Run("of too many the one not seen for longest is unknown again", func(t *testing.T) {
		h := newHouse(t, open)
		for i := range iam.MaxDevices + 3 {
			h.device(fmt.Sprint("d-", i))
			h.clock.Pass(time.Second)
		}
		all, err := h.UserDevices(h.ctx, "u-ada", h.clock.Now())
		h.must(err)
		h.same([]any{len(all), all[0].ID, all[len(all)-1].ID}, []any{iam.MaxDevices, fmt.Sprint("d-", iam.MaxDevices+2), "d-3"})
	})
	t.Run("nobody who does not stand has one", func(t *testing.T) {
		h := newHouse(t, open)
		d := h.device("d")
		h.disable("u-ada")
		h.want(h.KeepDevice(h.ctx, d), iam.ErrRevoked)
		d.User = "u-none"
		h.want(h.KeepDevice(h.ctx, d), iam.ErrRevoked)
	})
}

// outliving redeems a code, given in a session, whose grant is to outlive it.
func (h *house) outliving(s iam.Session) issued {
	h.t.Helper()
	code := newCode(h.clock.Now(), "")
	code.From, code.Grant.Login = s.ID, s.ID
	h.must(h.AddCode(h.ctx, code, iam.FlowHash{}, nil))
	got := issued{code, h.newRefresh(code.Grant.ID), h.newAccess(code.Grant)}
	h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Code: proofOf(code), NewRefresh: got.refresh, NewAccess: got.access}))
	return got
}

func lostDevices(t *testing.T, open Opener) {
	t.Run("a lost device is cut off from all that was given on it, and nothing else is", func(t *testing.T) {
		h := newHouse(t, open)
		h.device("lost")
		h.device("mine")
		first := h.sessionOf("lost")
		old := h.outliving(first)
		next := h.newSession()
		next.Device = "lost"
		h.must(h.StartSession(h.ctx, next, first.Hash))
		bound, long := h.redeem(next.ID), h.outliving(next)
		waiting := newCode(h.clock.Now(), "")
		waiting.From = next.ID
		h.must(h.AddCode(h.ctx, waiting, iam.FlowHash{}, nil))
		ended := h.sessionOf("lost")
		after := h.outliving(ended)
		h.must(h.EndSession(h.ctx, ended.ID)) // its grant lives on
		front := iam.Grant{ID: uuid.NewString(), Client: "c-app", User: "u-ada", Login: next.ID, Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Hour)}
		h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Session: next.ID, Begin: &front}))
		mine := h.sessionOf("mine")
		kept := h.outliving(mine)

		h.must(h.ForgetDevice(h.ctx, "u-ada", "lost", h.event()))
		h.want(h.lives(next), iam.ErrNotFound)
		h.wantChanges(iam.ChangeSession, next.ID)
		for name, got := range map[string]issued{"before a step-up": old, "of the session": bound, "that outlives it": long, "of an ended session": after} {
			t.Log(name)
			h.want(second(h.rotate(got.refresh)), iam.ErrRevoked)
			h.wantChanges(iam.ChangeGrant, got.code.Grant.ID)
			h.want(second(h.Access(h.ctx, got.access.Hash, h.clock.Now())), iam.ErrNotFound)
		}
		h.wantChanges(iam.ChangeGrant, front.ID)
		h.want(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Code: proofOf(waiting)}), iam.ErrNotFound)
		h.must(h.lives(mine))
		h.must(second(h.rotate(kept.refresh)))
		h.want(h.ForgetDevice(h.ctx, "u-ada", "lost"), iam.ErrNotFound)
	})
	t.Run("a grant of a session that came to a device later ends with it", func(t *testing.T) {
		h := newHouse(t, open)
		h.device("lost")
		first := h.session()
		got := h.redeem(first.ID)
		next := h.newSession()
		next.Device = "lost"
		h.must(h.StartSession(h.ctx, next, first.Hash))
		grant, err := h.Grant(h.ctx, got.code.Grant.ID)
		h.must(err)
		h.same(grant.Session, next.ID)
		last := h.newSession() // the device is not known any more: what it was given is
		h.must(h.StartSession(h.ctx, last, next.Hash))
		h.must(h.ForgetDevice(h.ctx, "u-ada", "lost"))
		h.want(second(h.rotate(got.refresh)), iam.ErrRevoked)
		h.must(h.lives(last))
	})
	t.Run("what a device approved elsewhere ends with it", func(t *testing.T) {
		h := newHouse(t, open)
		h.device("lost")
		s := h.sessionOf("lost")
		approve := func() iam.Asked {
			asked := h.newAsked(iam.AskedDevice)
			h.must(h.Ask(h.ctx, asked))
			grant := newCode(h.clock.Now(), "").Grant
			grant.Login = s.ID
			h.must(h.Decide(h.ctx, asked.ID, iam.Verdict{Approved: true, Grant: grant}, h.clock.Now()))
			asked.Grant = grant
			return asked
		}
		spend := func(asked iam.Asked) error {
			return h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", Asked: &iam.AskedProof{Hash: asked.Hash, Kind: asked.Kind, Client: "c-app"}})
		}
		spent, waiting := approve(), approve()
		h.must(spend(spent))
		h.must(h.ForgetDevice(h.ctx, "u-ada", "lost"))
		h.wantChanges(iam.ChangeGrant, spent.Grant.ID)
		h.want(spend(waiting), iam.ErrNotFound)
	})
	t.Run("what was forgotten stays so, whatever was under way", func(t *testing.T) {
		h := newHouse(t, open)
		for i := range often(20, 500) {
			d := h.device(fmt.Sprint("d-", i))
			s := h.newSession()
			s.Device = d.ID
			h.both(func() error { return h.StartSession(h.ctx, s, iam.SessionHash{}) }, func() error { return h.ForgetDevice(h.ctx, "u-ada", d.ID) })
			h.want(h.lives(s), iam.ErrNotFound)
			h.want(h.KeepDevice(h.ctx, d), iam.ErrRevoked)
			h.want(second(h.Device(h.ctx, "u-ada", d.ID, h.clock.Now())), iam.ErrNotFound)
			h.want(h.StartSession(h.ctx, s, iam.SessionHash{}), iam.ErrRevoked)
		}
	})
	t.Run("a code that is given or redeemed meanwhile gives nothing that lives", func(t *testing.T) {
		h := newHouse(t, open)
		for i := range often(30, 500) {
			d := h.device(fmt.Sprint("d-", i))
			s := h.sessionOf(d.ID)
			code := newCode(h.clock.Now(), "")
			code.From, code.Grant.Login = s.ID, s.ID
			given := h.code("") // any, so that both ways are tried
			redeem := func() error {
				return h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Code: proofOf(code)})
			}
			if i%2 == 0 {
				h.must(h.AddCode(h.ctx, code, iam.FlowHash{}, nil))
				h.both(redeem, func() error { return h.ForgetDevice(h.ctx, "u-ada", d.ID) })
			} else {
				h.both(func() error { return h.AddCode(h.ctx, code, iam.FlowHash{}, nil) }, func() error { return h.ForgetDevice(h.ctx, "u-ada", d.ID) })
			}
			_ = redeem()
			if grant, err := h.Grant(h.ctx, code.Grant.ID); err == nil && grant.Revoked.IsZero() {
				t.Fatal("a grant outlived its device")
			}
			h.must(h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Code: proofOf(given)}))
		}
	})
}

func habits(t *testing.T, open Opener) {
	learn := func(h *house, sealed string, from int64) error {
		return h.LearnHabits(h.ctx, iam.Habits{User: "u-ada", Sealed: sealed, Changed: h.clock.Now()}, from)
	}
	t.Run("of many that learn on one version one wins", func(t *testing.T) {
		h := newHouse(t, open)
		h.want(second(h.Habits(h.ctx, "u-ada")), iam.ErrNotFound)
		for from := range int64(5) {
			h.same(h.race(20, func() error { return learn(h, fmt.Sprint("of ", from), from) }, iam.ErrRaced), 1)
			got, err := h.Habits(h.ctx, "u-ada")
			h.must(err)
			h.same(got, iam.Habits{User: "u-ada", Sealed: fmt.Sprint("of ", from), Version: from + 1, Changed: h.clock.Now()})
		}
		h.want(learn(h, "late", 0), iam.ErrRaced)
		h.want(learn(h, "early", 9), iam.ErrRaced)
		h.want(learn(h, strings.Repeat("x", iam.MaxHabits+1), 5), iam.ErrFull)
	})
	t.Run("what was erased or switched off is not written back", func(t *testing.T) {
		h := newHouse(t, open)
		h.must(learn(h, "one", 0))
		h.must(h.EraseHabits(h.ctx, "u-ada", h.event()))
		got, err := h.Habits(h.ctx, "u-ada")
		h.must(err)
		h.same([]any{got.Sealed, got.Version}, []any{"", int64(2)})
		for _, from := range []int64{0, 1} {
			h.want(learn(h, "back", from), iam.ErrRaced)
		}
		h.must(learn(h, "new", got.Version))
		h.must(h.SwitchHabits(h.ctx, "u-ada", false, h.event()))
		got, err = h.Habits(h.ctx, "u-ada")
		h.must(err)
		h.same([]any{got.Sealed, got.Off}, []any{"", true})
		for _, from := range []int64{0, 3, got.Version} {
			h.want(learn(h, "back", from), iam.ErrRevoked)
		}
		h.must(h.SwitchHabits(h.ctx, "u-ada", true))
		h.want(learn(h, "back", got.Version), iam.ErrRaced)
		h.must(learn(h, "new", got.Version+1))
	})
	t.Run("who never learned can switch it off, and who does not stand teaches nothing", func(t *testing.T) {
		h := newHouse(t, open)
		h.user("bob")
		h.must(h.EraseHabits(h.ctx, "u-bob"))
		h.must(h.SwitchHabits(h.ctx, "u-bob", true))
		h.want(second(h.Habits(h.ctx, "u-bob")), iam.ErrNotFound)
		h.must(h.SwitchHabits(h.ctx, "u-ada", false))
		h.want(learn(h, "x", 0), iam.ErrRevoked)
		h.want(h.SwitchHabits(h.ctx, "u-none", false), iam.ErrNotFound)
		h.disable("u-bob")
		h.want(h.LearnHabits(h.ctx, iam.Habits{User: "u-bob"}, 0), iam.ErrRevoked)
	})
}

func uses(t *testing.T, open Opener) {
	h := newHouse(t, open)
	use := iam.Use{Key: iam.Hash("grant and detail"), Grant: "g", Expires: h.clock.Now().Add(time.Minute)}
	reserve := func() (firsts int) {
		won := make(chan bool, 30)
		h.race(30, func() error {
			first, err := h.ReserveUse(h.ctx, use)
			won <- first
			return err
		}, nil)
		for range 30 {
			if <-won {
				firsts++
			}
		}
		return firsts
	}
	h.same(reserve(), 1)
	h.clock.Pass(time.Hour)
	h.same(reserve(), 0) // past its end, and not swept
	h.must(h.ReleaseUse(h.ctx, use.Key))
	h.must(h.ReleaseUse(h.ctx, use.Key))
	h.same(reserve(), 1)
}
