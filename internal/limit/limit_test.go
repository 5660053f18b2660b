package limit_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/limit"
)

// clock is a time that the test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time          { return c.at }
func (c *clock) pass(span time.Duration) { c.at = c.at.Add(span) }

func start() *clock { return &clock{time.Unix(1_800_000_000, 0)} }

func TestBurstAndPace(t *testing.T) {
	clock := start()
	limiter := limit.New(limit.Rate{Burst: 3, Every: 10 * time.Second}, 1000, clock.now)
	for i := range 3 {
		if ok, _ := limiter.Allow("k", 1); !ok {
			t.Fatalf("unit %d of the burst is refused", i+1)
		}
	}
	if ok, wait := limiter.Allow("k", 1); ok || wait != 10*time.Second {
		t.Errorf("%v, wait %v", ok, wait)
	}
	if ok, _ := limiter.Allow("other", 1); !ok {
		t.Error("another key pays")
	}
	clock.pass(10*time.Second - 1)
	if ok, wait := limiter.Allow("k", 1); ok || wait != 1 {
		t.Errorf("too early: %v, wait %v", ok, wait)
	}
	clock.pass(1)
	if ok, _ := limiter.Allow("k", 1); !ok {
		t.Error("the wait that was told was not enough")
	}
	if ok, _ := limiter.Allow("k", 1); ok {
		t.Error("two for the price of one")
	}
	clock.pass(time.Hour)
	if ok, _ := limiter.Allow("k", 3); !ok {
		t.Error("a rest does not restore the burst")
	}
	if ok, _ := limiter.Allow("k", 1); ok {
		t.Error("a long rest gives more than the burst")
	}
}

func TestCosts(t *testing.T) {
	clock := start()
	limiter := limit.New(limit.Rate{Burst: 3, Every: time.Second}, 1000, clock.now)
	if ok, _ := limiter.Allow("k", 4); ok {
		t.Error("more than the burst is allowed")
	}
	if ok, _ := limiter.Allow("k", 2); !ok {
		t.Error("two of three refused")
	}
	if ok, wait := limiter.Allow("k", 2); ok || wait != time.Second {
		t.Errorf("%v %v", ok, wait)
	}
	if ok, _ := limiter.Allow("k", -5); !ok {
		t.Error("the last unit is gone")
	}
	if ok, _ := limiter.Allow("k", 0); ok {
		t.Error("a cost of zero is free")
	}
	limiter.Return("k", 1)
	if ok, _ := limiter.Allow("k", 1); !ok {
		t.Error("what was returned is not there")
	}
	limiter.Clear("k")
	if ok, _ := limiter.Allow("k", 3); !ok {
		t.Error("cleared, and still in debt")
	}
	if ok, _ := limit.New(limit.Rate{}, 10, nil).Allow("k", 1); ok {
		t.Error("the zero rate allows something")
	}
}

func TestS19AFloodCannotWashOutAKey(t *testing.T) {
	clock := start()
	limiter := limit.New(limit.Rate{Burst: 2, Every: time.Minute}, 6400, clock.now)
	for allowed := true; allowed; {
		allowed, _ = limiter.Allow("guesser", 1)
	}
	refused := 0
	for i := range 100_000 {
		if ok, _ := limiter.Allow(fmt.Sprint("flood", i), 1); !ok {
			refused++
		}
	}
	if ok, _ := limiter.Allow("guesser", 1); ok {
		t.Error("the flood bought the guesser a new budget")
	}
	if refused < 80_000 {
		t.Errorf("only %d of the flood were refused", refused)
	}
	clock.pass(10 * time.Minute)
	if ok, _ := limiter.Allow("newcomer", 1); !ok {
		t.Error("after the flood there is no room")
	}
	if ok, _ := limiter.Allow("guesser", 1); !ok {
		t.Error("S18 the lock is for good")
	}
}

func TestLongKeysAreDistinct(t *testing.T) {
	limiter := limit.New(limit.Rate{Burst: 1, Every: time.Hour}, 1000, start().now)
	long := strings.Repeat("x", 1<<20)
	if ok, _ := limiter.Allow(long+"a", 1); !ok {
		t.Error("refused")
	}
	if ok, _ := limiter.Allow(long+"b", 1); !ok {
		t.Error("two long keys are taken for one")
	}
	if ok, _ := limiter.Allow(long+"a", 1); ok {
		t.Error("a long key is not remembered")
	}
}

func TestManyAtOnceGetTheBurstAndNoMore(t *testing.T) {
	clock := start()
	limiter := limit.New(limit.Rate{Burst: 50, Every: time.Hour}, 1000, clock.now)
	var allowed atomic.Int32
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 20 {
				if ok, _ := limiter.Allow("k", 1); ok {
					allowed.Add(1)
				}
			}
		})
	}
	group.Wait()
	if allowed.Load() != 50 {
		t.Errorf("%d were allowed", allowed.Load())
	}
}

// tries counts how many attempts pass.
func tries(throttle *limit.Throttle, a limit.Attempt, times int) int {
	passed := 0
	for range times {
		if ok, _ := throttle.Allow(a); ok {
			passed++
		}
	}
	return passed
}

func TestS18StrangersCannotLockAPersonOut(t *testing.T) {
	clock := start()
	throttle := limit.NewThrottle(limit.Budgets{}, clock.now)
	for i := range 5000 {
		tries(throttle, limit.Attempt{Account: "alice", Network: fmt.Sprint("net", i)}, 20)
	}
	if got := tries(throttle, limit.Attempt{Account: "alice", Network: "fresh"}, 20); got > 1 {
		t.Errorf("S08 a spread guesser still has %d tries", got)
	}
	if got := tries(throttle, limit.Attempt{Account: "alice", Network: "home", Device: "phone"}, 20); got != 10 {
		t.Errorf("the known device has %d tries, want 10", got)
	}
	if got := tries(throttle, limit.Attempt{Account: "bob", Network: "home"}, 1); got != 1 {
		t.Error("another account is locked too")
	}
	clock.pass(time.Minute)
	if ok, _ := throttle.Allow(limit.Attempt{Account: "alice", Network: "home"}); !ok {
		t.Error("the lock outlives the attack")
	}
}

func TestS18OneNetworkCannotUseUpAnAccount(t *testing.T) {
	throttle := limit.NewThrottle(limit.Budgets{}, start().now)
	if got := tries(throttle, limit.Attempt{Account: "alice", Network: "evil"}, 1000); got != 10 {
		t.Errorf("one network has %d tries", got)
	}
	if got := tries(throttle, limit.Attempt{Account: "alice", Network: "home"}, 10); got != 10 {
		t.Errorf("alice, on an unknown device at home, has %d tries", got)
	}
}

func TestS23OneNetworkOverManyAccounts(t *testing.T) {
	throttle := limit.NewThrottle(limit.Budgets{}, start().now)
	passed := 0
	for i := range 1000 {
		passed += tries(throttle, limit.Attempt{Account: fmt.Sprint("user", i), Network: "evil"}, 1)
	}
	if passed != 100 {
		t.Errorf("%d accounts could be tried", passed)
	}
}

func TestClearForgivesTheOwnerAndNotTheNetwork(t *testing.T) {
	throttle := limit.NewThrottle(limit.Budgets{}, start().now)
	home := limit.Attempt{Account: "alice", Network: "home"}
	tries(throttle, home, 10)
	throttle.Clear(home)
	if got := tries(throttle, home, 20); got != 10 {
		t.Errorf("after a success there are %d tries", got)
	}
	// A guesser signs in to an account of their own between guesses.
	mine := limit.Attempt{Account: "mallory", Network: "evil"}
	passed := 0
	for i := range 1000 {
		passed += tries(throttle, limit.Attempt{Account: fmt.Sprint("user", i), Network: "evil"}, 1)
		if ok, _ := throttle.Allow(mine); ok {
			throttle.Clear(mine)
		}
	}
	if passed > 100 {
		t.Errorf("S08 %d accounts could be tried between own sign-ins", passed)
	}
	device := limit.Attempt{Account: "alice", Network: "home", Device: "phone"}
	tries(throttle, device, 10)
	throttle.Clear(device)
	if got := tries(throttle, device, 20); got != 10 {
		t.Errorf("the device has %d tries after a success", got)
	}
}

// What succeeded costs nothing, and says nothing of what failed before.
func TestS08AReturnForgetsNoFailure(t *testing.T) {
	for what, attempt := range map[string]limit.Attempt{
		"a known device": {Account: "user 1", Network: "192.0.2.1/32", Device: "d"}, "a stranger": {Account: "user 1", Network: "192.0.2.1/32"},
	} {
		t.Run(what, func(t *testing.T) {
			now := time.Unix(1_000_000, 0)
			throttle := limit.NewThrottle(limit.Budgets{}, func() time.Time { return now })
			failed := 0
			for range 50 {
				if ok, _ := throttle.Allow(attempt); ok {
					failed++
				}
				if ok, _ := throttle.Allow(attempt); ok { // this one was right
					throttle.Return(attempt)
				}
			}
			if failed != 10 {
				t.Errorf("%d failures", failed)
			}
		})
	}
}
