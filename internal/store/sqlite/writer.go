package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/store/deeds"
)

// A request is waiting until the writer begins it or its caller abandons it, whichever comes first.
const (
	waiting int32 = iota
	begun
	abandoned
)

type request struct {
	do     func(deeds.Tx) error
	state  atomic.Int32
	answer chan error
}

// write is the one writer. It ends when the queue is closed and empty.
func (e *Engine) write(c *conn) {
	defer close(e.done)
	batch := make([]*request, 0, batchSize)
	for first := range e.queue {
		batch = e.gather(append(batch[:0], first))
		if len(batch) == 0 {
			continue
		}
		c = e.settle(c, batch)
	}
	if c != nil {
		_ = c.close() // everything that was promised is in the log already; a later open finds it
	}
}

// gather begins first and whatever else waits.
func (e *Engine) gather(batch []*request) []*request {
	first := batch[0]
	batch = batch[:0]
	if first.state.CompareAndSwap(waiting, begun) {
		batch = append(batch, first)
	}
	e.linger()
	for len(batch) < batchSize {
		select {
		case r, open := <-e.queue:
			if !open {
				return batch
			}
			if r.state.CompareAndSwap(waiting, begun) {
				batch = append(batch, r)
			}
		default:
			return batch
		}
	}
	return batch
}

// linger lets those run who are about to ask, as long as more come: one commit for all of them writes and syncs less than
// one for each. When nobody else has anything to do it returns at once.
func (e *Engine) linger() {
	for before := -1; len(e.queue) > before && before < batchSize; {
		before = len(e.queue)
		runtime.Gosched()
	}
}

// settle commits a batch and then answers it: nobody hears of a deed before it is on disk. It returns the connection to go
// on with, nil when a new one is needed.
func (e *Engine) settle(c *conn, batch []*request) *conn {
	answers := make([]error, len(batch))
	hint, err := false, error(nil)
	if c == nil {
		c, err = e.reopen()
	}
	if err == nil {
		hint, err = attempt(c, batch, answers, false)
		if errors.Is(err, errUndo) {
			hint, err = attempt(c, batch, answers, true)
		}
	}
	if err == nil {
		err = e.stands()
	}
	if err == nil {
		e.fault.Store(nil)
		e.proved.Store(time.Now().UnixNano())
		if hint {
			e.news.tell()
		}
	} else {
		e.noticed(err)
		err = unavailable(explain(err))
		e.fault.Store(&err)
		for i := range answers {
			answers[i] = err
		}
		if c != nil {
			_ = c.close() // it has failed already; the next batch opens a fresh one
			c = nil
		}
	}
	for i, r := range batch {
		r.answer <- answers[i]
	}
	return c
}

// reopen gives a connection that can write, after one has failed. All connections of a process to one file share its index,
// and whoever opened it while nobody might write it opened it for all: a node that goes on looking would never write again.
// So when the file may be written, and yet is not, all let go of it first.
func (e *Engine) reopen() (*conn, error) {
	if err := e.place.holds(); err != nil { // no new connection to another file
		return nil, err
	}
	e.place.log = nil
	c, err := openAble(e.path)
	if code(err)&0xff != codeReadOnly || !writable(e.path) {
		return c, err
	}
	defer e.stopLooking()()
	return openAble(e.path)
}

// openAble opens a writer and sees whether it can write: a file that can only be read opens as well.
func openAble(path string) (*conn, error) {
	c, err := openWriter(path)
	if err != nil {
		return nil, err
	}
	for _, query := range []string{"BEGIN IMMEDIATE", "ROLLBACK"} {
		if _, err := c.exec(query); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

// stopLooking closes the connections of those who look, and gives what lets others look again. For who is looking it waits a
// moment only: a backup may take long, and the next deed tries again.
func (e *Engine) stopLooking() (goOn func()) {
	taken, timer := 0, time.NewTimer(waitAtMost)
	defer timer.Stop()
	for waiting := true; waiting && taken < readers; {
		select {
		case c := <-e.pool:
			taken++
			if c != nil {
				_ = c.close() // it only looked
			}
		case <-timer.C:
			waiting = false
		}
	}
	return func() {
		for range taken {
			e.pool <- nil
		}
	}
}

// errUndo: a deed failed after it had changed something.
var errUndo = errors.New("a deed has to be undone")

// attempt runs a batch in one transaction. Most deeds that fail do so before they change anything, so the first attempt
// sets no savepoints. When one has to be undone after all, everything is rolled back and run again, each deed within a
// savepoint.
func attempt(c *conn, batch []*request, answers []error, savepoints bool) (hint bool, err error) {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return false, err
	}
	for i, r := range batch {
		if savepoints {
			if _, err := c.exec("SAVEPOINT deed"); err != nil {
				return false, rollback(c, err)
			}
		}
		t := &tx{conn: c}
		answers[i] = run(r, t)
		switch {
		case t.fatal != nil:
			return false, rollback(c, t.fatal)
		case answers[i] == nil:
			hint = hint || t.hint
		case savepoints:
			if _, err := c.exec("ROLLBACK TO deed"); err != nil {
				return false, rollback(c, err)
			}
		case t.dirty:
			return false, rollback(c, errUndo)
		}
		if savepoints {
			if _, err := c.exec("RELEASE deed"); err != nil {
				return false, rollback(c, err)
			}
		}
	}
	if _, err := c.exec("COMMIT"); err != nil {
		return false, rollback(c, err)
	}
	return hint, nil
}

// run runs a deed. A panic is that deed's failure, not everyone's end.
func run(r *request, t *tx) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			t.dirty = true
			err = fmt.Errorf("a deed panicked: %v", cause)
		}
	}()
	return r.do(t)
}

// rollback gives up a transaction because of err. Some faults have rolled it back already.
func rollback(c *conn, err error) error {
	_, _ = c.exec("ROLLBACK") // see above; a connection that can't roll back is closed by its caller
	return err
}

// broadcast wakes all who wait.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func (b *broadcast) channel() chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

func (b *broadcast) wait(ctx context.Context, atMost time.Duration) error {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-b.channel():
		return nil
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
