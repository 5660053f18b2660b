package device

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/store"
)

func TestV02GuessersPayForAll(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	tries := NewTries(Budgets{All: limit.Rate{Burst: 50, Every: time.Second}}, nil, func() time.Time { return clock })
	judged := 0
	for n := range 1000 {
		if ok, _, _ := tries.allow(typist{fmt.Sprint("browser", n), fmt.Sprint("network", n), ""}); ok {
			judged++
		}
	}
	if judged != 50 {
		t.Errorf("V02 a thousand browsers in a thousand networks had %d tries", judged)
	}
	if ok, shared, _ := tries.allow(typist{"honest", "home", ""}); ok || !shared {
		t.Errorf("V02 whom others locked out is not asked to sign in: %v %v", ok, shared)
	}
	judged = 0
	for n := range 1000 {
		if ok, _, _ := tries.allow(typist{"browser", "network", fmt.Sprint("person", n)}); ok {
			judged++
		}
	}
	if judged != 50 {
		t.Errorf("V02 a thousand people had %d tries", judged)
	}
	clock = clock.Add(10 * time.Second)
	for range 100 { // who types right pays nothing
		for _, by := range []typist{{"honest", "home", ""}, {"honest", "home", "paula"}} {
			ok, _, wait := tries.allow(by)
			if !ok {
				t.Fatalf("an honest person waits %v", wait)
			}
			tries.right(by)
		}
	}
	for n, want := range []bool{true, true, true, true, true, false} {
		if ok, shared, _ := tries.allow(typist{"one", fmt.Sprint(n), ""}); ok != want || shared {
			t.Errorf("V02 try %d of one browser: %v %v", n+1, ok, shared)
		}
		if ok, shared, _ := tries.allow(typist{fmt.Sprint(n), fmt.Sprint(n), "one"}); ok != want || shared {
			t.Errorf("V02 try %d of one person: %v %v", n+1, ok, shared)
		}
	}
}

// TestV02ANeighbourLocksNobodyOut: behind one address a guesser with browsers without number uses up the network's tries, and
// no more than those; who signs in is asked nothing more.
func TestV02ANeighbourLocksNobodyOut(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	tries := NewTries(Budgets{}, nil, func() time.Time { return clock })
	judged := 0
	for second := range int(Life / time.Second) {
		for n := range 3 {
			if ok, _, _ := tries.allow(typist{fmt.Sprint("guesser", second, n), "office", ""}); ok {
				judged++
			}
		}
		clock = clock.Add(time.Second)
	}
	if judged < 200 || judged > 221 {
		t.Errorf("V02 in the life of a code one network had %d tries", judged)
	}
	for ok := true; ok; ok, _, _ = tries.allow(typist{"guesser", "office", ""}) {
	}
	if ok, shared, _ := tries.allow(typist{"honest", "office", ""}); ok || !shared {
		t.Errorf("V02 an honest neighbour: %v, and may sign in: %v", ok, shared)
	}
	if ok, _, wait := tries.allow(typist{"honest", "office", "paula"}); !ok {
		t.Errorf("V02 an honest neighbour who is signed in waits %v", wait)
	}
	if ok, _, wait := tries.allow(typist{"honest", "elsewhere", ""}); !ok {
		t.Errorf("V02 an honest person elsewhere waits %v", wait)
	}
}

// TestV02MadeUpBrowsersTakeNoRoom: a network that has used up its tries goes on, with a new browser each time, and more of them
// than are counted one by one. An honest browser elsewhere has all its tries.
func TestV02MadeUpBrowsersTakeNoRoom(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	tries := NewTries(Budgets{}, nil, func() time.Time { return clock })
	for n := range 120_000 {
		tries.allow(typist{fmt.Sprint("made up", n), "office", ""})
		clock = clock.Add(100 * time.Microsecond)
	}
	for n := range 64 * 16 * 5 { // what those who are not counted one by one would share
		tries.allow(typist{fmt.Sprint("late", n), "office", ""})
	}
	for n := range 20 {
		for try := range 5 {
			if ok, _, wait := tries.allow(typist{fmt.Sprint("honest", n), fmt.Sprint("home", n), ""}); !ok {
				t.Fatalf("V02 try %d of honest browser %d waits %v", try+1, n, wait)
			}
		}
	}
}

// TestV02ManyNodesAreNoMoreTries: two nodes, each with a memory of its own, on one storage.
func TestV02ManyNodesAreNoMoreTries(t *testing.T) {
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	now := time.Unix(1_800_000_000, 0)
	var nodes [2]*Tries
	for i := range nodes {
		nodes[i] = NewTries(Budgets{Network: limit.Rate{Burst: 12, Every: time.Minute}}, kept.Tenant(iam.DefaultTenant), func() time.Time { return now })
	}
	for name, row := range map[string]struct {
		by     func(i int) typist
		most   int32
		shared bool
	}{
		"one person":                   {func(int) typist { return typist{"b", "office", "paula"} }, 5, false},
		"one browser":                  {func(int) typist { return typist{"one", "cafe", ""} }, 5, false},
		"one network of many browsers": {func(i int) typist { return typist{fmt.Sprint(i), "hotel", ""} }, 12, true},
	} {
		t.Run("V02 "+name, func(t *testing.T) {
			var told atomic.Int32
			var all sync.WaitGroup
			for i := range 40 {
				all.Go(func() {
					if ok, _, _ := nodes[i%2].allow(row.by(i)); !ok {
						return
					}
					ok, _, wait, err := nodes[i%2].wrong(t.Context(), row.by(i))
					if ok {
						told.Add(1)
					}
					if err != nil || !ok && wait <= 0 {
						t.Errorf("waits %v: %v", wait, err)
					}
				})
			}
			all.Wait()
			if told.Load() != row.most {
				t.Errorf("%d guesses were told that they are wrong", told.Load())
			}
			for i, node := range nodes { // nor is anybody told that one is right
				if ok, shared, wait, err := node.stands(t.Context(), row.by(100)); ok || shared != row.shared || wait <= 0 || err != nil {
					t.Errorf("node %d: %v %v %v %v", i, ok, shared, wait, err)
				}
			}
		})
	}
	if ok, _, _, err := nodes[0].stands(t.Context(), typist{"honest", "home", ""}); !ok || err != nil {
		t.Errorf("an honest person elsewhere: %v %v", ok, err)
	}
}

// TestV02HowLikelyAGuessIs counts what all together may try in the life of a code: browsers, networks and accounts without
// number, cookies thrown away. It is what decision 0022 says.
func TestV02HowLikelyAGuessIs(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	tries := NewTries(Budgets{}, nil, func() time.Time { return clock })
	judged := 0
	for second := range int(Life / time.Second) {
		for n := range 5 {
			fresh := fmt.Sprint(second, " ", n)
			for _, by := range []typist{{fresh, fresh, ""}, {fresh, fresh, fresh}} {
				if ok, _, _ := tries.allow(by); ok {
					judged++
				}
			}
		}
		clock = clock.Add(time.Second)
	}
	if most := 2 * (250 + 300); judged > most+2 || float64(judged)*1000/25.6e9 > 1/20_000.0 {
		t.Errorf("V02 %d tries in the life of a code", judged)
	}
}
