package notary

import (
	"context"
	"time"
)

// Turn is a turn of Run.
func (n *Notary) Turn(ctx context.Context) error { return n.catchUp(ctx, n.now().Add(-settle)) }

// What tests have to wait for, or to pass.
const (
	Window = window
	Sweep  = sweepPace
	Pace   = pace
)

// Clock makes time a test's own.
type Clock struct{ Time time.Time }

// Now is the time.
func (c *Clock) Now() time.Time { return c.Time }
