package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

func (h *house) newPushed() iam.Pushed {
	return iam.Pushed{Hash: iam.HashPushed(iam.RequestURN + iam.NewSecret(iam.PrefixPushed)), Client: "c-app", Query: "client_id=c-app&state=é",
		Created: h.clock.Now(), Expires: h.clock.Now().Add(time.Minute)}
}

func (h *house) push() iam.Pushed {
	h.t.Helper()
	pushed := h.newPushed()
	h.must(h.Push(h.ctx, pushed, 100))
	return pushed
}

// arrive comes with a pushed request now, and has half an hour for the login.
func (h *house) arrive(pushed iam.Pushed) (iam.Pushed, error) {
	return h.Arrive(h.ctx, pushed.Hash, pushed.Client, h.clock.Now(), h.clock.Now().Add(30*time.Minute))
}

func pushings(t *testing.T, open Opener) {
	t.Run("P03 the first arrival gives time for the login, and a reload changes nothing", func(t *testing.T) {
		h := newHouse(t, open)
		pushed := h.push()
		h.clock.Pass(59 * time.Second)
		want := pushed
		want.Expires = h.clock.Now().Add(30 * time.Minute)
		for range 3 {
			got, err := h.arrive(pushed)
			h.must(err)
			h.same(got, want)
			h.clock.Pass(9 * time.Minute)
		}
		h.clock.Pass(10 * time.Minute)
		h.want(second(h.arrive(pushed)), iam.ErrExpired)
	})
	t.Run("P03 of many that arrive at once all hear the same", func(t *testing.T) {
		h := newHouse(t, open)
		pushed := h.push()
		var ends sync.Map
		var wait atomic.Int64
		h.same(h.race(20, func() error {
			got, err := h.Arrive(h.ctx, pushed.Hash, "c-app", h.clock.Now(), h.clock.Now().Add(time.Hour+time.Duration(wait.Add(1))*time.Second))
			ends.Store(got.Expires, true)
			return err
		}, nil), 20)
		count := 0
		ends.Range(func(any, any) bool { count++; return true })
		h.same(count, 1)
	})
	t.Run("one that nobody came with in time is over", func(t *testing.T) {
		h := newHouse(t, open)
		pushed := h.push()
		h.clock.Pass(time.Minute)
		h.want(second(h.arrive(pushed)), iam.ErrExpired)
		h.clock.Pass(time.Second)
		h.must(second(h.Sweep(h.ctx, h.clock.Now())))
		h.want(second(h.arrive(pushed)), iam.ErrNotFound)
	})
	t.Run("P19 a client has as many waiting as it may, another as many as it wants", func(t *testing.T) {
		h := newHouse(t, open)
		h.client("c-other")
		push := func(client string) error {
			pushed := h.newPushed()
			pushed.Client = client
			return h.Push(h.ctx, pushed, 3)
		}
		for range 3 {
			h.must(push("c-app"))
		}
		for range 3 {
			h.want(push("c-app"), iam.ErrExists)
			h.must(push("c-other"))
		}
		h.clock.Pass(time.Minute)
		h.must(push("c-app"))
		h.want(h.Push(h.ctx, h.newPushed(), 0), iam.ErrExists)
		h.want(push("c-none"), iam.ErrRevoked)
	})
	t.Run("P19 of many that come at once hardly more are kept than may wait", func(t *testing.T) {
		h := newHouse(t, open)
		if kept := h.race(100, func() error { return h.Push(h.ctx, h.newPushed(), 10) }, iam.ErrExists); kept < 10 || kept > 10+maxTogether {
			t.Fatalf("%d were kept", kept)
		}
		h.want(h.Push(h.ctx, h.newPushed(), 10), iam.ErrExists)
	})
	t.Run("ends", func(t *testing.T) { pushedEnds(t, open) })
}

// maxTogether is more than the connections that may push at the very same moment.
const maxTogether = 64

func pushedEnds(t *testing.T, open Opener) {
	t.Run("P03 it gives one code, or what its front channel gives, once", func(t *testing.T) {
		h := newHouse(t, open)
		for name, give := range map[string]func(pushed iam.Pushed) error{
			"a code": func(pushed iam.Pushed) error {
				code := newCode(h.clock.Now(), "")
				code.Pushed = pushed.Hash
				return h.AddCode(h.ctx, code, iam.FlowHash{}, nil)
			},
			"a code with consent": func(pushed iam.Pushed) error {
				code := newCode(h.clock.Now(), "")
				code.Pushed = pushed.Hash
				return h.AddCode(h.ctx, code, iam.FlowHash{}, &iam.Consent{User: "u-ada", Client: "c-app", Scope: code.Grant.Scope})
			},
			"a grant": func(pushed iam.Pushed) error {
				grant := h.granted("")
				return h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Begin: &grant, Pushed: pushed.Hash, Events: []event{h.event()}})
			},
		} {
			t.Log(name)
			pushed := h.push()
			h.must(second(h.arrive(pushed)))
			h.same(h.race(20, func() error { return give(pushed) }, iam.ErrNotFound), 1)
			h.want(second(h.arrive(pushed)), iam.ErrNotFound)
			late := h.push()
			h.clock.Pass(time.Minute)
			h.want(give(late), iam.ErrNotFound)
		}
	})
	t.Run("a code that can't be given leaves it, and another's is left alone", func(t *testing.T) {
		h := newHouse(t, open)
		h.client("c-other")
		pushed := h.push()
		code := newCode(h.clock.Now(), "no-such-session")
		code.Pushed = pushed.Hash
		h.want(h.AddCode(h.ctx, code, iam.FlowHash{}, nil), iam.ErrRevoked)
		code = newCode(h.clock.Now(), "")
		code.Grant.Client, code.Pushed = "c-other", pushed.Hash
		h.want(h.AddCode(h.ctx, code, iam.FlowHash{}, nil), iam.ErrNotFound)
		h.want(second(h.Arrive(h.ctx, pushed.Hash, "c-other", h.clock.Now(), h.clock.Now().Add(time.Hour))), iam.ErrNotFound)
		got, err := h.arrive(pushed)
		h.must(err)
		h.same(got.Expires, h.clock.Now().Add(30*time.Minute)) // nobody else's arrival was the first
		h.must(h.EndPushed(h.ctx, pushed.Hash))
		h.must(h.EndPushed(h.ctx, pushed.Hash))
		h.want(second(h.arrive(pushed)), iam.ErrNotFound)
		h.want(second(h.arrive(iam.Pushed{Client: "c-app"})), iam.ErrNotFound)
	})
	t.Run("C28 a client's disabling ends what it pushed, also when enabled again", func(t *testing.T) {
		h := newHouse(t, open)
		pushed := h.push()
		h.must(h.SetClientDisabled(h.ctx, "c-app", true))
		h.want(h.Push(h.ctx, h.newPushed(), 10), iam.ErrRevoked)
		h.must(h.SetClientDisabled(h.ctx, "c-app", false))
		h.want(second(h.arrive(pushed)), iam.ErrNotFound)
	})
}
