package storetest

import (
	"errors"
	"os"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/gardeauth/garde/internal/iam"
)

// errAny stands for whatever error.
var errAny = errors.New("any error")

func races(t *testing.T, open Opener) {
	t.Run("F04 fifty refresh at once: one chain at most", func(t *testing.T) {
		h := newHouse(t, open)
		got := h.redeem("")
		var mu sync.Mutex
		var chains []*iam.Refresh
		h.race(50, func() error {
			next, err := h.rotate(got.refresh)
			if err == nil {
				mu.Lock()
				chains = append(chains, next)
				mu.Unlock()
			}
			return err
		}, iam.ErrSpent)
		living := 0
		for _, next := range chains { // each is unused; all but one were replaced
			if _, err := h.rotate(next); err == nil {
				living++
			}
		}
		if len(chains) == 0 || living > 1 {
			t.Fatalf("%d chains, %d live", len(chains), living)
		}
	})
	t.Run("F04 fifty refresh at once beyond the grace: none", func(t *testing.T) {
		h := newHouse(t, open)
		got := h.redeem("")
		_, err := h.rotate(got.refresh)
		h.must(err)
		h.clock.Pass(2 * iam.Grace)
		wins := h.race(50, func() error {
			_, err := h.rotate(got.refresh)
			return err
		}, errSpentOrRevoked)
		h.same(wins, 0)
		h.wantChanges(iam.ChangeGrant, got.code.Grant.ID)
	})
	t.Run("F06 after a revocation nothing works, again and again", func(t *testing.T) {
		h := newHouse(t, open)
		for range often(40, 1000) {
			h.against(func(got issued) error { return h.RevokeGrant(h.ctx, got.code.Grant.ID) })
		}
	})
	t.Run("F06 after the person's disabling nothing works", func(t *testing.T) {
		h := newHouse(t, open)
		user, err := h.User(h.ctx, "u-ada")
		h.must(err)
		for range often(20, 500) {
			h.against(func(issued) error {
				off := user
				off.Disabled = true
				return h.SetUser(h.ctx, off)
			})
			h.must(h.SetUser(h.ctx, user))
		}
	})
}

func racesOfMany(t *testing.T, open Opener) {
	t.Run("what is redeemed while the person is disabled stays dead when the person is enabled", func(t *testing.T) {
		h := newHouse(t, open)
		for range often(20, 500) {
			code := h.code("")
			refresh := h.newRefresh(code.Grant.ID)
			h.whileDisabled(func() error {
				return h.Issue(h.ctx, iam.Issue{Now: h.clock.Now(), Client: "c-app", User: "u-ada", Code: proofOf(code), NewRefresh: refresh})
			})
			if _, err := h.rotate(refresh); err == nil {
				t.Fatal("a refresh token outlived the disabling")
			}
		}
	})
	t.Run("the feed has no gap while many write it", func(t *testing.T) {
		h := newHouse(t, open)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if err := h.RevokeToken(h.ctx, iam.NewSecret("x"), h.clock.Now()); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		var last int64
		for last < 300 {
			changes, err := h.ChangesAfter(h.ctx, last, 50)
			h.must(err)
			for _, change := range changes {
				if change.Seq != last+1 {
					t.Fatalf("after %d comes %d", last, change.Seq)
				}
				last = change.Seq
			}
		}
		close(stop)
		wg.Wait()
	})
}

// often is how many times a race is run: a soak (GARDE_SOAK) has time for more.
func often(usually, soaking int) int {
	if os.Getenv("GARDE_SOAK") != "" {
		return soaking
	}
	return usually
}

var errSpentOrRevoked = errors.Join(iam.ErrSpent, iam.ErrRevoked)

// both runs two deeds at once; the second must succeed.
func (h *house) both(first, second func() error) {
	h.t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() { _ = first() }) // it may win or lose
	var err error
	wg.Go(func() { err = second() })
	wg.Wait()
	h.must(err)
}

// whileDisabled does a deed while ada is disabled, and enables her again.
func (h *house) whileDisabled(deed func() error) {
	h.t.Helper()
	user, err := h.User(h.ctx, "u-ada")
	h.must(err)
	off := user
	off.Disabled = true
	h.both(deed, func() error { return h.SetUser(h.ctx, off) })
	h.must(h.SetUser(h.ctx, user))
}

// against refreshes without pause while end ends the family: once end has returned, nothing may succeed.
func (h *house) against(end func(issued) error) {
	h.t.Helper()
	got := h.redeem("")
	token := got.refresh
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			var over bool
			select {
			case <-ended:
				over = true
			default:
			}
			next, err := h.rotate(token)
			if err != nil {
				if !errors.Is(err, iam.ErrRevoked) {
					h.t.Errorf("refused with %v", err)
				}
				return
			}
			if over {
				h.t.Error("a refresh that began after the end succeeded")
				return
			}
			token = next
		}
	})
	err := end(got)
	close(ended)
	wg.Wait()
	h.must(err)
	if _, err := h.Access(h.ctx, got.access.Hash, h.clock.Now()); err == nil {
		h.t.Fatal("the access token lives")
	}
}

// models drives codes and refresh families at random beside a tiny model of what has to be answered.
func models(t *testing.T, open Opener) {
	h := newHouse(t, open)
	h.client("c-other")
	rapid.Check(t, func(rt *rapid.T) {
		m := &model{h: h, code: h.code("")}
		rt.Repeat(map[string]func(*rapid.T){
			"redeem":       m.redeem,
			"guess":        m.guess,
			"rotate":       m.rotate,
			"wrong client": m.steal,
			"time passes":  func(rt *rapid.T) { h.clock.Pass(iam.Grace / 4 * 3) },
			"revoke":       m.revoke,
		})
	})
}
