package binding

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/once"
)

// Memory remembers the proofs that were shown.
type Memory = once.Checker

// Share has the judge ask, after its own memory, one that others fill too, whenever shared says so: what is known here costs
// nobody a question. It is called before the judge is used.
func (j *Judge) Share(all Memory, shared func() bool) {
	j.Once = sharing{j.Once, all, shared}
}

type sharing struct {
	own, all Memory
	shared   func() bool
}

func (s sharing) Seen(ctx context.Context, kind once.Kind, issuer, id string, until time.Time) (bool, error) {
	fresh, err := s.own.Seen(ctx, kind, issuer, id, until)
	if err != nil || !fresh || !s.shared() {
		return fresh, err
	}
	return s.all.Seen(ctx, kind, issuer, id, until)
}
