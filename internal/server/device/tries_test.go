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
		if ok, _ := tries.allow(fmt.Sprint("browser", n), fmt.Sprint("network", n)); ok {
			judged++
		}
	}
	if judged != 50 {
		t.Errorf("V02 a thousand browsers in a thousand networks had %d tries", judged)
	}
	clock = clock.Add(10 * time.Second)
	for range 100 { // who types right pays nothing
		ok, wait := tries.allow("honest", "home")
		if !ok {
			t.Fatalf("an honest person waits %v", wait)
		}
		tries.right("honest", "home")
	}
	for n, want := range []bool{true, true, true, true, true, false} {
		if ok, _ := tries.allow("one", fmt.Sprint(n)); ok != want {
			t.Errorf("V02 try %d of one browser: %v", n+1, ok)
		}
	}
}
