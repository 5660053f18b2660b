package device

import (
	"fmt"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/limit"
)

func TestV02GuessersPayForAll(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	tries := NewTries(Budgets{All: limit.Rate{Burst: 50, Every: time.Second}}, func() time.Time { return clock })
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
	tries := NewTries(Budgets{}, func() time.Time { return clock })
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
