// Package sqlite is the engine for one machine: SQLite in a file, under an exclusive lock. One goroutine writes; it takes
// all waiting deeds in one transaction and answers them when their common commit is on disk (group commit). Look-ups run
// beside it on connections of their own. It knows no noun and no query of the house.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/migrate"
)

const (
	queueSize    = 1024 // deeds that may wait; the next is refused at once
	batchSize    = 256  // deeds in one commit
	readers      = 4
	waitAtMost   = 250 * time.Millisecond // for a hint, which may be lost (the outbox is the truth), and for who is looking
	writerCache  = "-8192"                // KiB
	readerCache  = "-2048"
	provenFor    = 2 * time.Second // after a commit the storage counts as sound
	lockSuffix   = ".lock"
	keyedAs      = "WITHOUT ROWID"
	maxStatement = 512 // prepared statements kept by a connection
)

// Engine is SQLite in one file.
type Engine struct {
	path  string
	place place // the writer's
	lock  *os.File
	queue chan *request
	done  chan struct{} // closed when the writer has ended
	pool  chan *conn    // readers; a nil one is opened when it is taken

	closing sync.RWMutex // held for reading while a deed is put in the queue
	closed  bool
	fault   atomic.Pointer[error] // why the last commit failed; nil when it did not
	damage  atomic.Pointer[error] // what SQLite found broken in the file; nothing is kept in it from then on
	proved  atomic.Int64          // when the last commit succeeded
	news    broadcast
}

var _ deeds.Engine = (*Engine)(nil)

// Open opens the file, makes it if there is none, takes its lock and brings its schema up to date. ErrLocked if another
// process has it, migrate.ErrNewer if a newer garde has written it.
func Open(ctx context.Context, path string) (*Engine, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the storage: %w", err)
	}
	lock, err := takeLock(path + lockSuffix)
	if err != nil {
		return nil, err
	}
	e := &Engine{path: path, place: place{path: path}, lock: lock, queue: make(chan *request, queueSize), done: make(chan struct{}), pool: make(chan *conn, readers)}
	writer, err := e.begin(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the storage %s: %w", path, err), lock.Close())
	}
	for range readers {
		e.pool <- nil
	}
	go e.write(writer)
	return e, nil
}

func (e *Engine) begin(ctx context.Context) (*conn, error) {
	// Made here, so that it is nobody else's to read; SQLite gives its side files the same mode.
	file, err := os.OpenFile(e.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	writer, err := openWriter(e.path)
	if err != nil {
		return nil, explain(err)
	}
	if err := upgrade(ctx, e.path); err != nil {
		return nil, errors.Join(explain(err), writer.close())
	}
	return writer, nil
}

func upgrade(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", address(path)+"?_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	if err := migrate.Up(ctx, goose.DialectSQLite3, db, keyedAs); err != nil {
		return err
	}
	return tellPlanner(ctx, db)
}

// address spells a path so that no character of it is read as an option.
func address(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// Read runs look-ups on a connection of their own.
func (e *Engine) Read(ctx context.Context, look func(deeds.Tx) error) error {
	return e.look(ctx, func(c *conn) error { return look(&tx{conn: c}) })
}

// Snapshot runs look-ups that see one state.
func (e *Engine) Snapshot(ctx context.Context, look func(deeds.Tx) error) error {
	return e.look(ctx, func(c *conn) error {
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		err := look(&tx{conn: c})
		_, end := c.exec("ROLLBACK")
		return errors.Join(err, end)
	})
}

func (e *Engine) look(ctx context.Context, with func(*conn) error) error {
	var c *conn
	select {
	case c = <-e.pool:
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
	defer func() { e.pool <- c }()
	if e.isClosed() {
		return unavailable(errClosed)
	}
	if c == nil {
		opened, err := openReader(e.path)
		if err != nil {
			e.noticed(err)
			return unavailable(explain(err))
		}
		c = opened
	}
	err := with(c)
	if fatal(err) {
		e.noticed(err)
		// A fresh connection may find the file mended.
		err = errors.Join(unavailable(explain(err)), c.close())
		c = nil
	}
	return err
}

// Deed runs do in the writer's next transaction.
func (e *Engine) Deed(ctx context.Context, do func(deeds.Tx) error) error {
	r := &request{do: do, answer: make(chan error, 1)}
	if err := e.put(r); err != nil {
		return err
	}
	select {
	case err := <-r.answer:
		return err
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, abandoned) {
			return unavailable(ctx.Err())
		}
		return <-r.answer // begun: it is or is not, and the caller shall know
	}
}

func (e *Engine) put(r *request) error {
	e.closing.RLock()
	defer e.closing.RUnlock()
	if e.closed {
		return unavailable(errClosed)
	}
	if damage := e.damage.Load(); damage != nil {
		return *damage
	}
	select {
	case e.queue <- r:
		return nil
	default:
		return unavailable(errBusy)
	}
}

// Together runs statements as one deed.
func (e *Engine) Together(ctx context.Context, statements ...deeds.Statement) ([]int64, error) {
	var changed []int64
	err := e.Deed(ctx, func(tx deeds.Tx) error {
		changed = changed[:0]
		for _, s := range statements {
			n, err := tx.Exec(s.Query, s.Args...)
			if err != nil {
				return err
			}
			changed = append(changed, n)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// Straight leaves every deed to its steps: each costs a function call.
func (e *Engine) Straight(context.Context, func() ([]deeds.Statement, error)) (bool, error) {
	return false, nil
}

// Wait returns when a deed with a hint was committed, or soon in any case.
func (e *Engine) Wait(ctx context.Context) error { return e.news.wait(ctx, waitAtMost) }

// Ready is nil while deeds can be done. When none was done of late, or the last one failed, it tries one: a storage that
// breaks while nobody asks anything of it is seen to be broken, and one that is mended is ready again by itself. A file that
// SQLite has once found damaged is not, until it is opened again: the page that tells may not be read for a day.
func (e *Engine) Ready(ctx context.Context) error {
	if damage := e.damage.Load(); damage != nil {
		return *damage
	}
	if e.fault.Load() == nil && time.Since(time.Unix(0, e.proved.Load())) < provenFor && !e.isClosed() {
		return nil
	}
	_, err := e.Together(ctx, deeds.Statement{Query: `INSERT INTO house (tenant, name, value) VALUES ('', 'probe', $1)
		ON CONFLICT (tenant, name) DO UPDATE SET value = excluded.value`, Args: []any{time.Now().UTC().Format(time.RFC3339Nano)}})
	return err
}

func (e *Engine) isClosed() bool {
	e.closing.RLock()
	defer e.closing.RUnlock()
	return e.closed
}

// Close answers what is queued, then lets go of file and lock.
func (e *Engine) Close() error {
	e.closing.Lock()
	if e.closed {
		e.closing.Unlock()
		return nil
	}
	e.closed = true
	close(e.queue)
	e.closing.Unlock()
	<-e.done
	var errs []error
	for range readers {
		if c := <-e.pool; c != nil {
			errs = append(errs, c.close())
		}
		// Left in place for those who come too late; they see that it is closed.
	}
	for range readers {
		e.pool <- nil
	}
	return errors.Join(append(errs, e.lock.Close())...)
}
