// Package follow hears the outbox on every node and tells the node's caches what to look at again. The outbox is the
// truth; notification is a hint.
package follow

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Follower reads changes in order and hands each to every listener. Changes is required.
type Follower struct {
	Changes   iam.Changes
	Listeners []func(context.Context, iam.Change)
	Poll      time.Duration    // how long to trust silence (default 250ms)
	Log       *slog.Logger     // nil: slog.Default
	Now       func() time.Time // nil: time.Now

	mu    sync.Mutex // one reading at a time
	seq   atomic.Int64
	heard atomic.Pointer[time.Time] // up to when everything is known
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

func (f *Follower) log() *slog.Logger {
	if f.Log != nil {
		return f.Log
	}
	return slog.Default()
}

// Seq is the last change that was heard.
func (f *Follower) Seq() int64 { return f.seq.Load() }

// Fresh tells whether everything was heard that had happened up to a moment ago. When it was not, because the outbox can't
// be read, a listener is slow, or there is much to catch up with, nobody here knows what was revoked.
func (f *Follower) Fresh() bool {
	heard := f.heard.Load()
	return heard != nil && f.now().Sub(*heard) < stale
}

// Catch reads everything that came since the last reading.
func (f *Follower) Catch(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		// The time before the question: what comes while the answer is on its way, or is being listened to, is not heard.
		asked := f.now()
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
		if len(changes) < batch {
			f.heard.Store(&asked)
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
	silent := false
	for ctx.Err() == nil {
		if err := f.Catch(ctx); err != nil && ctx.Err() == nil {
			if !silent { // once an outage, not at every try
				f.log().Warn("the outbox can't be read: nobody here knows what was revoked", "error", err)
			}
			silent = true
			sleep(ctx, poll)
			continue
		}
		if silent && ctx.Err() == nil {
			f.log().Info("the outbox is read again", "seq", f.Seq())
			silent = false
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
