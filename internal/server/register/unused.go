package register

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Usage remembers when clients that came by themselves were used, and ends those that nobody used for as long as their policy
// says. Store, Rules and Lease are required.
type Usage struct {
	Store interface {
		iam.SelfMade
		UseClient(ctx context.Context, id string, at time.Time) error
	}
	Rules *Rules
	Lease func(ctx context.Context, now, until time.Time) (bool, error) // of the nodes, one sweeps at a time
	Log   *slog.Logger                                                  // nil: slog.Default

	mu      sync.Mutex
	noted   map[string]time.Time
	waiting map[string]time.Time
}

const (
	noteEvery   = 24 * time.Hour   // a use is written down once in that time
	writeEvery  = time.Second      // how long one may wait to be written
	sweepEvery  = 10 * time.Minute // how often the unused are looked for
	sweepAtOnce = 100              // clients that one look ends, per policy
	maxNoted    = 100_000
)

// Used notes that a client proved itself or began a sign-in. It writes nothing and never waits; Run does. A use that is not
// written when the node ends is lost: one of the next day counts as well.
func (u *Usage) Used(_ context.Context, client iam.Client) {
	if client.Source != iam.FromRegistration && client.Source != iam.FromDocument {
		return
	}
	now := u.Rules.now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if now.Sub(u.noted[client.ID]) < noteEvery {
		return
	}
	if u.noted == nil || len(u.noted) >= maxNoted {
		u.noted = map[string]time.Time{}
	}
	if u.waiting == nil {
		u.waiting = map[string]time.Time{}
	}
	if len(u.waiting) < maxNoted {
		u.noted[client.ID], u.waiting[client.ID] = now, now
	}
}

// Run writes uses down and ends unused clients until ctx ends.
func (u *Usage) Run(ctx context.Context) error {
	write, sweep := time.NewTicker(writeEvery), time.NewTicker(sweepEvery)
	defer write.Stop()
	defer sweep.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeEvery)
			defer cancel()
			return u.Write(last)
		case <-write.C:
			err = u.Write(ctx)
		case <-sweep.C:
			err = u.turn(ctx)
		}
		if err != nil && ctx.Err() == nil {
			u.log().Warn("can't keep the use of clients", "error", err)
		}
	}
}

// Write writes what Used has noted.
func (u *Usage) Write(ctx context.Context) error {
	u.mu.Lock()
	waiting := u.waiting
	u.waiting = nil
	u.mu.Unlock()
	var faults []error
	for id, at := range waiting {
		if err := u.Store.UseClient(ctx, id, at); err != nil && !errors.Is(err, iam.ErrNotFound) {
			faults = append(faults, err)
			u.forget(id)
		}
	}
	return errors.Join(faults...)
}

// forget lets the next use be noted again.
func (u *Usage) forget(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.noted, id)
}

func (u *Usage) turn(ctx context.Context) error {
	now := u.Rules.now()
	mine, err := u.Lease(ctx, now, now.Add(sweepEvery))
	if err != nil || !mine {
		return err
	}
	_, err = u.Sweep(ctx)
	return err
}

// Sweep ends clients that nobody used for as long as their policy says, at most a hundred of each policy, and tells how many.
func (u *Usage) Sweep(ctx context.Context) (int, error) {
	bundle := u.Rules.Bundle()
	if bundle == nil {
		return 0, nil
	}
	ended := 0
	for _, name := range slices.Sorted(maps.Keys(bundle.Recipe.Registration)) {
		since := u.Rules.now().Add(-bundle.Recipe.Registration[name].Idle())
		ids, err := u.Store.Unused(ctx, name, since, sweepAtOnce)
		if err != nil {
			return ended, fmt.Errorf("look for unused clients of %s: %w", name, err)
		}
		for _, id := range ids {
			event := changed(u.Rules.now(), iam.Client{ID: id}, "removed: nobody used it", "")
			event.Actor = "system"
			switch err := u.Store.RemoveUnused(ctx, id, since, event); {
			case errors.Is(err, iam.ErrNotFound): // used meanwhile
			case err != nil:
				return ended, fmt.Errorf("end an unused client: %w", err)
			default:
				ended++
			}
		}
	}
	return ended, nil
}

func (u *Usage) log() *slog.Logger {
	if u.Log != nil {
		return u.Log
	}
	return slog.Default()
}
