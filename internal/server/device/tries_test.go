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

// TestV02MadeUpBrowsersTakeNoRoom: a network that has used up its tries goes on, with a new browser each time, and more of them
// than are counted one by one. An honest browser elsewhere has all its tries.
func TestV02MadeUpBrowsersTakeNoRoom(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	tries := NewTries(Budgets{}, func() time.Time { return clock })
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

// TestV02HowLikelyAGuessIs counts what all together may try in the life of a code: browsers, networks and accounts without
// number, cookies thrown away. It is what decision 0022 says of one node.
func TestV02HowLikelyAGuessIs(t *testing.T) {
	clock := time.Unix(1_800_000_000, 0)
	tries := NewTries(Budgets{}, func() time.Time { return clock })
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
