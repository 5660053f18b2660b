package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

const (
	gatherers    = 3  // batches under way at once: while one waits for the disk, the next fills
	gatherAtMost = 64 // deeds in one batch
	settleWithin = 10 * time.Second
)

// A single is waiting until a gatherer begins it or its caller gives up, whichever comes first.
const (
	waits int32 = iota
	begun
	given
)

// single is a deed of one statement. Such deeds depend on nothing that another of them does, so those that wait at the same
// moment share one round trip and one commit. Each still stands for itself: if the database refuses one, each is done alone.
type single struct {
	statement deeds.Statement
	state     atomic.Int32
	changed   int64
	err       error
	done      chan struct{}
}

// alone hands a deed of one statement to the gatherers and waits until it is durable.
func (e *Engine) alone(ctx context.Context, statement deeds.Statement) (int64, error) {
	s := &single{statement: statement, done: make(chan struct{})}
	select {
	case e.singles <- s:
	case <-e.alive.Done():
		return 0, unavailable(errShut)
	case <-ctx.Done():
		return 0, unavailable(ctx.Err())
	}
	select {
	case <-s.done:
		return s.changed, s.err
	case <-e.alive.Done():
	case <-ctx.Done():
	}
	if s.state.CompareAndSwap(waits, given) {
		return 0, unavailable(errors.Join(errShut, ctx.Err()))
	}
	<-s.done
	return s.changed, s.err
}

// gather sends what waits until the engine is closed.
func (e *Engine) gather() {
	batch := make([]*single, 0, gatherAtMost)
	for {
		select {
		case <-e.alive.Done():
			return
		case first := <-e.singles:
			batch = e.collect(append(batch[:0], first))
		}
		if len(batch) > 0 {
			e.settle(batch)
		}
	}
}

func (e *Engine) collect(batch []*single) []*single {
	kept := batch[:0]
	for _, s := range batch {
		if s.state.CompareAndSwap(waits, begun) {
			kept = append(kept, s)
		}
	}
	for len(kept) < gatherAtMost {
		select {
		case s := <-e.singles:
			if s.state.CompareAndSwap(waits, begun) {
				kept = append(kept, s)
			}
		default:
			return kept
		}
	}
	return kept
}

// settle does a batch and answers it. Nobody hears of a deed before its commit; where the commit's fate is not known, all
// hear that.
func (e *Engine) settle(batch []*single) {
	ctx, cancel := context.WithTimeout(context.Background(), settleWithin)
	defer cancel()
	err := e.send(ctx, batch)
	for _, s := range batch {
		switch {
		case err == nil:
		case len(batch) == 1 || errors.Is(err, iam.ErrUnavailable):
			s.err = err
		default: // one of them was refused, and all were undone
			s.err = e.send(ctx, []*single{s})
		}
		close(s.done)
	}
}

// send does all or nothing: statements that travel together without BEGIN are one transaction.
func (e *Engine) send(ctx context.Context, batch []*single) error {
	return retry(ctx, func() error {
		if len(batch) == 1 {
			tag, err := e.pool.Exec(ctx, batch[0].statement.Query, batch[0].statement.Args...)
			batch[0].changed = tag.RowsAffected()
			return err
		}
		together := &pgx.Batch{}
		for _, s := range batch {
			together.Queue(s.statement.Query, s.statement.Args...).Exec(func(tag pgconn.CommandTag) error {
				s.changed = tag.RowsAffected()
				return nil
			})
		}
		return e.pool.SendBatch(ctx, together).Close()
	})
}
