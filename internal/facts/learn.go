package facts

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// The bounds of what waits to be learned, and how it is written.
const (
	maxWaiting   = 4096                  // asks
	maxPerPerson = 32                    // of them for one person
	gather       = 25 * time.Millisecond // one write serves what comes meanwhile
	writers      = 16                    // people at once: the storage commits them together
	parting      = 2 * time.Second       // for the last writes when the node stops
)

// Learn takes in a completed authentication, or what a permitted operation paid (Ask.Paid), at the level that it needed;
// nothing else may be learned, or an attacker could teach. It never waits: what does not fit is dropped.
func (d *Desk) Learn(ask Ask) {
	if ask.User == "" {
		return
	}
	if ask.At.IsZero() {
		ask.At = d.now()
	}
	d.queue.add(ask)
}

// Dropped counts what was not learned because too much waited.
func (d *Desk) Dropped() int64 { return d.queue.dropped.Load() }

// Run writes what was learned until ctx ends, and then what still waits.
func (d *Desk) Run(ctx context.Context) error {
	wake := d.queue.signal()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), parting)
			defer cancel()
			d.write(last, d.queue.take())
			return nil
		case <-wake:
		}
		select { // what comes meanwhile is written with it
		case <-ctx.Done():
		case <-time.After(gather):
			d.write(ctx, d.queue.take())
		}
	}
}

func (d *Desk) write(ctx context.Context, waiting map[string][]Ask) {
	var group errgroup.Group
	group.SetLimit(writers)
	for user, asks := range waiting {
		group.Go(func() error {
			err := d.teach(ctx, user, asks)
			if errors.Is(err, iam.ErrRaced) {
				err = d.teach(ctx, user, asks)
			}
			d.queue.written(user)
			if err != nil && !errors.Is(err, iam.ErrRevoked) && ctx.Err() == nil {
				d.log().WarnContext(ctx, "can't learn habits", "user", user, "error", err)
			}
			return nil
		})
	}
	_ = group.Wait() // nobody gives one
}

// teach puts what was learned on top of what is kept. Learning that is switched off is no error.
func (d *Desk) teach(ctx context.Context, user string, asks []Ask) error {
	kept, off, version, err := d.readHabits(ctx, user, forget(d.Risk()))
	if err != nil || off {
		return err
	}
	learned := false
	for _, ask := range asks {
		place, _ := d.place(ask.Address) // an unknown place teaches nothing of places
		if kept.learn(ask, place) {
			learned = true
		}
	}
	if !learned {
		return nil
	}
	plain, err := kept.encode()
	if err != nil {
		return err
	}
	sealed, err := d.Sealer.Seal(d.sealed(user), plain)
	if err != nil {
		return err
	}
	defer d.memory.forget(user)
	return d.Habits.LearnHabits(ctx, iam.Habits{User: user, Sealed: sealed, Version: version + 1, Changed: d.now().UTC()}, version)
}

// Switch switches learning on or off for a person. Off erases what was learned, here at once. Whoever may ask for it
// should have proved as much as for removing a factor: without habits, fewer signals can warn.
func (d *Desk) Switch(ctx context.Context, user string, on bool, events ...journal.Event) error {
	d.queue.forget(user)
	defer d.memory.forget(user)
	return d.Habits.SwitchHabits(ctx, user, on, events...)
}

// Erase forgets what was learned of a person, here at once. See Switch for who may ask.
func (d *Desk) Erase(ctx context.Context, user string, events ...journal.Event) error {
	d.queue.forget(user)
	defer d.memory.forget(user)
	return d.Habits.EraseHabits(ctx, user, events...)
}

// Hear forgets who changed. It is a listener of follow.Follower.
func (d *Desk) Hear(_ context.Context, change iam.Change) {
	switch change.Kind {
	case iam.ChangeUser, iam.ChangedUser:
		d.memory.forget(change.ID)
	case iam.ChangeToken, iam.ChangeGrant, iam.ChangeSession, iam.ChangeClient, iam.ChangeKey, iam.ChangedClient, iam.ChangedRecipe, iam.ChangedKeys:
	}
}

// queue is what waits to be learned, by person. Its zero value is ready.
type queue struct {
	mu      sync.Mutex
	waiting map[string][]Ask
	writing map[string][]Ask // taken, and not in the storage yet
	count   int
	wake    chan struct{}
	dropped atomic.Int64
}

func (q *queue) signal() chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.woken()
}

func (q *queue) woken() chan struct{} {
	if q.wake == nil {
		q.wake = make(chan struct{}, 1)
	}
	return q.wake
}

func (q *queue) add(ask Ask) {
	q.mu.Lock()
	defer q.mu.Unlock()
	waiting := q.waiting[ask.User]
	if ask.Transaction == (signal.Transaction{}) && slices.ContainsFunc(waiting, func(other Ask) bool { return sameVisit(ask, other) }) {
		return
	}
	if q.count >= maxWaiting || len(waiting) >= maxPerPerson {
		q.dropped.Add(1)
		return
	}
	if q.waiting == nil {
		q.waiting = map[string][]Ask{}
	}
	ask.Proofs = nil // nothing of them is learned
	q.waiting[ask.User] = append(waiting, ask)
	q.count++
	select {
	case q.woken() <- struct{}{}:
	default:
	}
}

// sameVisit tells whether one ask would teach nothing beyond another.
func sameVisit(a, b Ask) bool {
	return a.Device == b.Device && a.Agent == b.Agent && a.Address == b.Address && a.Client == b.Client
}

func (q *queue) take() map[string][]Ask {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.waiting
	q.writing, q.waiting, q.count = maps.Clone(taken), nil, 0
	return taken
}

// written tells that what was taken of a person is in the storage, or will never be.
func (q *queue) written(user string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.writing, user)
}

// of gives what is still to be written of a person, oldest first.
func (q *queue) of(user string) []Ask {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.writing[user])+len(q.waiting[user]) == 0 {
		return nil
	}
	return slices.Concat(q.writing[user], q.waiting[user])
}

func (q *queue) forget(user string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count -= len(q.waiting[user])
	delete(q.waiting, user)
	delete(q.writing, user)
}
