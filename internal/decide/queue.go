package decide

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// What may wait to be journaled, and for how long a permit waits for room when there is none. After that it is not given: a
// payment that nobody finds again would be worse than one that is asked for a second time.
const (
	maxQueue  = 4096
	maxBytes  = 8 << 20
	roomAfter = 250 * time.Millisecond
)

var errFull = errors.New("too many permits wait to be journaled")

// queue holds what is to be journaled, in its order, until it is.
type queue struct {
	some chan struct{} // holds one while something may wait

	mu     sync.Mutex
	events []journal.Event
	bytes  int
	room   chan struct{} // closed when something went
}

func newQueue() *queue { return &queue{some: make(chan struct{}, 1), room: make(chan struct{})} }

// put adds an event, as soon as there is room. iam.ErrUnavailable: there was none for too long.
func (q *queue) put(ctx context.Context, event journal.Event) error {
	room, done := q.try(event)
	if done {
		return nil
	}
	timer := time.NewTimer(roomAfter)
	defer timer.Stop()
	for !done {
		select {
		case <-room:
			room, done = q.try(event)
		case <-timer.C:
			return fmt.Errorf("%w: %w", iam.ErrUnavailable, errFull)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", iam.ErrUnavailable, ctx.Err())
		}
	}
	return nil
}

// try adds an event if there is room; if not, room is closed when something went.
func (q *queue) try(event journal.Event) (room <-chan struct{}, done bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full(weight(event)) {
		return q.room, false
	}
	q.add(event)
	return nil, true
}

// owe adds what was counted, however much waits: it is bounded where it is counted. Nothing is taken from there while the
// queue is full.
func (q *queue) owe(counted func() []journal.Event, all bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if all || !q.full(0) {
		q.add(counted()...)
	}
}

// full: what is alone always finds room.
func (q *queue) full(more int) bool {
	return len(q.events) > 0 && (len(q.events) >= maxQueue || q.bytes+more > maxBytes)
}

func (q *queue) add(events ...journal.Event) {
	for _, event := range events {
		q.events = append(q.events, event)
		q.bytes += weight(event)
	}
	if len(q.events) == 0 {
		return
	}
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// first gives what waits longest, and leaves it where it is.
func (q *queue) first(most int) []journal.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]journal.Event(nil), q.events[:min(most, len(q.events))]...)
}

// drop takes out what waited longest, and tells how many still wait.
func (q *queue) drop(count int) (left int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, event := range q.events[:count] {
		q.bytes -= weight(event)
	}
	clear(q.events[:count]) // what is behind them would hold them
	if q.events = q.events[count:]; len(q.events) == 0 {
		q.events = nil
	}
	close(q.room)
	q.room = make(chan struct{})
	return len(q.events)
}

// weight is about how many bytes of memory an event needs.
func weight(event journal.Event) int {
	const itself = 512
	bytes := itself + len(event.Detail)
	for _, text := range event.Personal {
		bytes += len(text)
	}
	return bytes
}
