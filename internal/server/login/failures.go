package login

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/limit"
)

// Failures journals wrong proofs against accounts that exist: a few per account and hour, and after the answer, so that
// the time of an answer tells nothing. Make it with NewFailures.
type Failures struct {
	journal iam.Journal
	few     *limit.Limiter
	queue   chan journal.Event
}

// NewFailures remembers at most five failures of an account at once, and one more each ten minutes. A nil now means
// time.Now.
func NewFailures(keep iam.Journal, now func() time.Time) *Failures {
	return &Failures{keep, limit.New(limit.Rate{Burst: 5, Every: 10 * time.Minute}, 10_000, now), make(chan journal.Event, 256)}
}

// Run writes what was noted until ctx ends.
func (f *Failures) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-f.queue:
			_ = f.journal.Record(ctx, event) // the refusal itself was logged; storage says elsewhere that it is down
		}
	}
}

// note takes a failure. A full queue drops it: whoever floods must not be able to stop sign-ins.
func (f *Failures) note(event journal.Event) {
	if ok, _ := f.few.Allow(event.User, 1); !ok {
		return
	}
	select {
	case f.queue <- event:
	default:
	}
}

// retryAfter sets the header of RFC 9110 section 10.2.3, of at least one second.
func retryAfter(w http.ResponseWriter, wait time.Duration) {
	seconds := max(1, int64((wait+time.Second-1)/time.Second))
	w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
}
