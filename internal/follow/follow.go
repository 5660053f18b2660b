// Package follow hears the outbox on every node and tells the node's caches what to look at again. The outbox is the
// truth; notification is a hint.
package follow

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Follower reads changes in order and hands each to every listener. Changes is required.
type Follower struct {
	Changes   iam.Changes
	Listeners []func(context.Context, iam.Change)
	Poll      time.Duration    // how long to trust silence (default 250ms)
	Now       func() time.Time // nil: time.Now

	seq   atomic.Int64
	heard atomic.Int64 // unix microseconds of the last successful reading
}

const (
	batch = 500
	stale = 10 * time.Second
	pause = 250 * time.Millisecond
)

func (f *Follower) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}

// Seq is the last change that was heard.
func (f *Follower) Seq() int64 { return f.seq.Load() }

// Fresh tells whether the outbox could be read lately. When it could not, nobody here knows what was revoked.
func (f *Follower) Fresh() bool {
	return f.now().Sub(time.UnixMicro(f.heard.Load())) < stale
}

// Catch reads everything that came since the last reading.
func (f *Follower) Catch(ctx context.Context) error {
	for {
		changes, err := f.Changes.ChangesAfter(ctx, f.seq.Load(), batch)
		if err != nil {
			return err
		}
		for _, change := range changes {
			for _, listen := range f.Listeners {
				listen(ctx, change)
			}
			f.seq.Store(change.Seq)
		}
		f.heard.Store(f.now().UnixMicro())
		if len(changes) < batch {
			return nil
		}
	}
}

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	poll := f.Poll
	if poll <= 0 {
		poll = pause
	}
	for ctx.Err() == nil {
		if err := f.Catch(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("follow the outbox", "error", err)
			sleep(ctx, poll)
			continue
		}
		hint, cancel := context.WithTimeout(ctx, poll)
		if err := f.Changes.Wait(hint); err != nil && hint.Err() == nil {
			sleep(ctx, poll)
		}
		cancel()
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
