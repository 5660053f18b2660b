package login

import (
	"context"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
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

// Fail notes that somebody could not prove to be user, by which factor and why; client is the application that waited, or "".
func (e *Endpoint) Fail(r *http.Request, user iam.User, client, factor, reason string) {
	event := journal.New(e.now(), journal.SignInFailed{Factor: factor, Reason: reason})
	event.User, event.Client, event.Trace = user.ID, client, web.Trace(r.Context())
	event.Personal = map[string]string{"address": e.Network(r), "agent": session.Agent(r)}
	e.Failures.note(event)
}
