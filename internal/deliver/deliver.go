// Package deliver is the queue of what is sent or done later: mails, and work that must not delay an answer or tell by
// its time what was found. What was enqueued is durable and sealed; it is tried again until it works or is given up. It
// knows no page and no person.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/seal"
)

// Work does what a body asks for. It may be called more than once for one body: a node can die after the deed and before
// it is noted.
type Work func(ctx context.Context, body []byte) error

// Never wraps an error that no further try can mend: the delivery is given up at once.
func Never(err error) error { return never{err} }

type never struct{ error }

func (n never) Unwrap() error { return n.error }

// Queue keeps deliveries until they are done. All fields but Log and Now are required.
type Queue struct {
	Deliveries iam.Deliveries
	Journal    iam.Journal
	Sealer     seal.Sealer
	Tenant     iam.Tenant
	Works      map[string]Work  // by kind
	Log        *slog.Logger     // nil: slog.Default
	Now        func() time.Time // nil: time.Now

	wake chan struct{}
}

// The limits of a delivery: MaxTries over about four hours, each of at most TryTime.
const (
	MaxTries = 10
	TryTime  = 30 * time.Second
	MaxBody  = 256 << 10
)

const (
	batch = 10
	hold  = 6 * time.Minute // longer than a batch may take: another node takes over what a dead one held
	look  = 2 * time.Second // how long a delivery that another node enqueued may wait
)

// New gives a queue that Enqueue wakes at once.
func New(queue Queue) *Queue {
	queue.wake = make(chan struct{}, 1)
	return &queue
}

func (q *Queue) now() time.Time {
	if q.Now != nil {
		return q.Now().UTC()
	}
	return time.Now().UTC()
}

func (q *Queue) log() *slog.Logger {
	if q.Log != nil {
		return q.Log
	}
	return slog.Default()
}

func (q *Queue) place(kind, id string) seal.AD {
	return seal.AD{Tenant: string(q.Tenant), Table: "deliveries " + kind, Row: id}
}

// Enqueue keeps a delivery; when it returns nil, it will be tried even if this node dies.
func (q *Queue) Enqueue(ctx context.Context, kind string, body []byte) error {
	return q.Later(ctx, kind, body, q.now())
}

// Later is Enqueue for what is to be done no sooner than at.
func (q *Queue) Later(ctx context.Context, kind string, body []byte, at time.Time) error {
	delivery, err := q.Prepare(kind, body, at)
	if err != nil {
		return err
	}
	if err := q.Deliveries.Enqueue(ctx, delivery); err != nil {
		return err
	}
	q.Wake()
	return nil
}

// Prepare seals a delivery for a deed that keeps it together with what it is about. Wake follows that deed.
func (q *Queue) Prepare(kind string, body []byte, at time.Time) (iam.Delivery, error) {
	if q.Works[kind] == nil {
		return iam.Delivery{}, fmt.Errorf("deliver: nobody does the work %q", kind)
	}
	if len(body) > MaxBody {
		return iam.Delivery{}, fmt.Errorf("deliver: a %s of %d bytes is too large", kind, len(body))
	}
	id := uuid.NewString()
	sealed, err := q.Sealer.Seal(q.place(kind, id), body)
	return iam.Delivery{ID: id, Kind: kind, Sealed: sealed, Next: at.UTC(), Made: q.now()}, err
}

// Wake has what was kept looked at now.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default: // it is awake
	}
}

// Run does what is due until ctx ends.
func (q *Queue) Run(ctx context.Context) error {
	timer := time.NewTicker(look)
	defer timer.Stop()
	for {
		done, err := q.Turn(ctx)
		if err != nil && ctx.Err() == nil {
			q.log().WarnContext(ctx, "can't read the queue of deliveries", "error", err)
		}
		if err == nil && done > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-q.wake:
		}
	}
}

// Turn does what is due now, at most a batch, and tells how many there were.
func (q *Queue) Turn(ctx context.Context) (int, error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	now := q.now()
	due, err := q.Deliveries.Due(ctx, now, now.Add(hold), batch)
	if err != nil {
		return 0, err
	}
	for _, delivery := range due {
		if err := q.settle(ctx, delivery, q.try(ctx, delivery)); err != nil {
			return 0, err
		}
	}
	return len(due), nil
}

func (q *Queue) try(ctx context.Context, delivery iam.Delivery) (err error) {
	defer func() {
		if value := recover(); value != nil { // one bad message must not stop the others
			err = Never(fmt.Errorf("panic: %v", value))
		}
	}()
	work := q.Works[delivery.Kind]
	if work == nil { // a newer node enqueued it: an older one leaves it alone
		return fmt.Errorf("nobody here does the work %q", delivery.Kind)
	}
	body, err := q.Sealer.Open(q.place(delivery.Kind, delivery.ID), delivery.Sealed)
	if err != nil {
		return err // the master key may come back
	}
	ctx, cancel := context.WithTimeout(ctx, TryTime)
	defer cancel()
	return work(ctx, body)
}

// settle notes how a try went. Due has counted it already.
func (q *Queue) settle(ctx context.Context, delivery iam.Delivery, failed error) error {
	if ctx.Err() != nil && failed != nil { // shutting down is no failure: the hold ends by itself
		return ctx.Err()
	}
	ctx = context.WithoutCancel(ctx)
	switch {
	case failed == nil:
		return q.Deliveries.Delivered(ctx, delivery.ID)
	case errors.As(failed, new(never)), delivery.Tries >= MaxTries:
		return q.giveUp(ctx, delivery, failed)
	}
	wait := backoff(delivery.Tries)
	q.log().WarnContext(ctx, "a delivery failed and will be tried again",
		"delivery", delivery.ID, "kind", delivery.Kind, "tries", delivery.Tries, "again_in", wait.String(), "error", short(failed))
	return q.Deliveries.Postpone(ctx, delivery.ID, q.now().Add(wait), short(failed))
}

// backoff doubles from ten seconds to at most an hour.
func backoff(tries int) time.Duration {
	wait := 10 * time.Second
	for range min(max(tries-1, 0), 10) {
		wait *= 2
	}
	return min(wait, time.Hour)
}

// GivenUp is the journal's word for a delivery that will not be tried again.
type GivenUp struct {
	What  string `json:"what"` // kind of the delivery
	ID    string `json:"id"`
	Tries int    `json:"tries"`
	Why   string `json:"why"`
}

// Kind is delivery.given_up.
func (GivenUp) Kind() journal.Kind { return "delivery.given_up" }

func (q *Queue) giveUp(ctx context.Context, delivery iam.Delivery, failed error) error {
	q.log().ErrorContext(ctx, "a delivery was given up",
		"delivery", delivery.ID, "kind", delivery.Kind, "tries", delivery.Tries, "error", short(failed))
	event := journal.New(q.now(), GivenUp{delivery.Kind, delivery.ID, delivery.Tries, short(failed)})
	event.Actor = "system"
	if err := q.Journal.Record(ctx, event); err != nil {
		return err
	}
	return q.Deliveries.Delivered(ctx, delivery.ID)
}

const maxWhy = 300

// short keeps a reason readable on one line. A server's refusal may repeat the address, never the mail.
func short(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxWhy {
		text = text[:maxWhy] + "..."
	}
	return strings.ToValidUTF8(text, "?")
}
