package limit_test

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/store"
)

// nodes are two nodes, each with a memory of its own, on one storage.
func nodes(t *testing.T) [2]*limit.Tries {
	t.Helper()
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	var all [2]*limit.Tries
	for i := range all {
		all[i] = &limit.Tries{
			Throttle: limit.NewThrottle(limit.Budgets{}, nil), Further: limit.New(limit.Rate{Burst: 10, Every: 5 * time.Minute}, 100, nil),
			Shared: kept.Tenant(iam.DefaultTenant),
		}
	}
	return all
}

// guess is one try, and whether its guesser was told anything.
func guess(t *testing.T, node *limit.Tries, price limit.Price, right bool) (told bool) {
	t.Helper()
	ctx := context.Background()
	ok, _, err := node.Pay(ctx, &price)
	if err == nil && ok {
		if right {
			if ok, _, err = node.Stands(ctx, &price); ok {
				err = node.Right(ctx, &price, true)
			}
		} else {
			ok, _, err = node.Wrong(ctx, &price)
		}
	}
	if err != nil {
		t.Error(err)
	}
	return ok
}

func TestS08ManyNodesAreNoMoreTries(t *testing.T) {
	for name, c := range map[string]struct {
		price func(i int) limit.Price
		most  int64
	}{
		"one source, a first factor": {func(int) limit.Price { return limit.Price{Attempt: limit.Attempt{Account: "a", Network: "n"}} }, 10},
		"many sources, a second factor": {func(i int) limit.Price {
			return limit.Price{Attempt: limit.Attempt{Account: "a", Network: string(rune('a' + i))}, Further: true}
		}, 10},
		"a known device": {func(int) limit.Price {
			return limit.Price{Attempt: limit.Attempt{Account: "a", Network: "n", Device: "d"}}
		}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			two := nodes(t)
			var told atomic.Int64
			var wg sync.WaitGroup
			for i := range 60 {
				wg.Go(func() {
					if guess(t, two[i%2], c.price(i), false) {
						told.Add(1)
					}
				})
			}
			wg.Wait()
			if told.Load() != c.most {
				t.Errorf("%d guesses were told that they are wrong, want %d", told.Load(), c.most)
			}
			if guess(t, two[0], c.price(99), true) || guess(t, two[1], c.price(99), true) {
				t.Error("the right guess beyond the budget was told that it is right")
			}
		})
	}
}

// Who fills the budget of a source, or of the second factor of who knows the password, keeps no known device out.
func TestS18OthersUseUpNoTriesOfAKnownDevice(t *testing.T) {
	two := nodes(t)
	for range 30 {
		guess(t, two[0], limit.Price{Attempt: limit.Attempt{Account: "a", Network: "n"}, Further: true}, false)
	}
	for _, further := range []bool{false, true} {
		if !guess(t, two[1], limit.Price{Attempt: limit.Attempt{Account: "a", Network: "n", Device: "mine"}, Further: further}, true) {
			t.Errorf("the owner waits (a second factor: %v)", further)
		}
	}
}

// A success forgets what its own person mistyped, on every node, and nothing that was tried at a second factor.
func TestS08ASuccessForgetsNoMoreThanItsOwn(t *testing.T) {
	two := nodes(t)
	price := limit.Price{Attempt: limit.Attempt{Account: "a", Network: "n"}}
	for range 9 {
		guess(t, two[0], price, false)
	}
	if !guess(t, two[1], price, true) || !guess(t, two[1], price, false) || !guess(t, two[1], price, false) {
		t.Error("what was forgotten still counts")
	}
	further := price
	further.Further, further.Account = true, "b"
	for range 9 {
		guess(t, two[0], further, false)
	}
	if !guess(t, two[1], further, true) {
		t.Error("nine are too many")
	}
	if guess(t, two[1], further, false); guess(t, two[1], further, false) {
		t.Error("a success between guesses gave tries back")
	}
}
