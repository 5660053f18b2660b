package iam

import (
	"context"
	"time"
)

// Debt is the price of one wrong try under a key. It is paid by time alone: once Every has passed.
type Debt struct {
	Key   Digest
	Every time.Duration
	Burst int // how many may be owed at once
}

// MaxDebts is how many keys one try may have.
const MaxDebts = 4

// Tries counts wrong tries where every node sees them. A row goes when it is paid: what is kept is bounded by how many tries
// can be judged in the longest that one is owed.
type Tries interface {
	// Owed gives when all that is owed under each key will be paid, in their order; zero: nothing is. More keys than MaxDebts
	// are a fault.
	Owed(ctx context.Context, keys []Digest, now time.Time) ([]time.Time, error)
	// Owe adds one of each debt, all or none, in one deed. ErrFull if one of them can't be owed any more: of many callers at
	// once, on all nodes, exactly as many come through as each Burst allows.
	Owe(ctx context.Context, debts []Debt, now time.Time) error
	// Forgive forgets what is owed under the keys.
	Forgive(ctx context.Context, keys ...Digest) error
}
