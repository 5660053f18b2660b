package lab_test

import (
	"errors"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
)

// TestWhatIsForgottenAtOneNodeIsForgottenAtTheOther: learning that is switched off, and what is erased, is so for sign-ins at
// the other node within a second, though that one has learned, and remembers, a moment ago.
func TestWhatIsForgottenAtOneNodeIsForgottenAtTheOther(t *testing.T) {
	h := onLocalhost(t, lab.Options{Engine: lab.Postgres, Nodes: 2, Recipe: climbing})
	one, two := h.Nodes[0], h.Nodes[1]
	learned := func(c *climber) bool {
		kept, err := h.Server.House.Habits(t.Context(), c.user.ID)
		if err != nil && !errors.Is(err, iam.ErrNotFound) {
			t.Fatal(err)
		}
		return kept.Sealed != ""
	}
	signsIn := func(c *climber) {
		t.Helper()
		h.Pass(11 * time.Minute) // the same device and network count once in ten
		if _, ok := c.tokens(two, lab.WebA, c.proves(two, c.asks(two, lab.WebA, "prompt", "login"), "password")); !ok {
			t.Fatal("no code")
		}
	}
	for name, row := range map[string]struct {
		do    func(*climber) error
		again bool // it may learn anew
	}{
		"switched off": {func(c *climber) error { return one.Server.House.SwitchHabits(t.Context(), c.user.ID, false) }, false},
		"erased":       {func(c *climber) error { return one.Server.House.EraseHabits(t.Context(), c.user.ID) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClimber(t, h, "ada-"+name[:6])
			signsIn(c)
			h.Within(5*time.Second, "the second node has learned", func() bool { return learned(c) })
			must(t, row.do(c))
			if learned(c) {
				t.Fatal("it is still there")
			}
			time.Sleep(time.Second)
			if learned(c) {
				t.Error("what a node remembered is written back")
			}
			signsIn(c)
			if row.again {
				h.Within(5*time.Second, "it learns anew", func() bool { return learned(c) })
				return
			}
			time.Sleep(time.Second)
			if learned(c) {
				t.Error("the other node has learned of who switched it off")
			}
		})
	}
}
