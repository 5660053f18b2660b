// Package postgres is the engine for many machines: PostgreSQL, or what speaks its protocol. A deed is a transaction; what
// the database aborts for the sake of others is tried again. It knows no noun and no query of the house.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/migrate"
)

const (
	poolSize     = 32
	readyWithin  = 2 * time.Second
	maxBusy      = 1024 // the next is refused at once
	maxTries     = 10
	firstPause   = 2 * time.Millisecond
	waitAtMost   = 250 * time.Millisecond // a notification may be lost; the outbox is the truth
	channel      = "garde"
	migrateTries = 5

	beginDeed     = "BEGIN"
	beginSnapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	// A statement that changes no row makes its guard divide by zero. The statement itself stays as it is.
	guardBegin = "WITH met AS ("
	guardEnd   = " RETURNING 1) SELECT 1 / COUNT(*) FROM met"
)

// Engine is a pool of connections to one database.
type Engine struct {
	pool *pgxpool.Pool
	news *listener
	stop context.CancelFunc
	gone chan struct{}
	shut atomic.Bool
	busy atomic.Int64 // deeds and look-ups under way or waiting for a connection

	alive   context.Context //nolint:containedctx // the engine's own life, which its gatherers share
	singles chan *single

	gathering sync.WaitGroup
}

var _ deeds.Engine = (*Engine)(nil)

// Open connects and brings the schema up to date. migrate.ErrNewer if a newer garde has been there.
func Open(ctx context.Context, dsn string) (*Engine, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the address of the database can't be read (postgres://USER@HOST/NAME)") // the cause may hold the password
	}
	if config.MaxConns < poolSize {
		config.MaxConns = poolSize
	}
	config.ConnConfig.RuntimeParams["application_name"] = "garde"
	// An answer promises that the deed is on disk, whatever the server's own setting.
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = "30000"
	config.ConnConfig.StatementCacheCapacity = 512
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	if err := upgrade(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", explain(err))
	}
	alive, stop := context.WithCancel(context.Background())
	e := &Engine{
		pool: pool, news: &listener{config: config.ConnConfig.Copy()}, stop: stop, gone: make(chan struct{}),
		alive: alive, singles: make(chan *single, maxBusy),
	}
	for range gatherers {
		e.gathering.Go(e.gather)
	}
	go func() {
		defer close(e.gone)
		e.news.run(alive)
	}()
	return e, nil
}

func upgrade(ctx context.Context, config *pgx.ConnConfig) error {
	db := stdlib.OpenDB(*config)
	defer db.Close() //nolint:errcheck // nothing is under way on it
	locker, err := lock.NewPostgresTableLocker(lock.WithTableLockTimeout(200*time.Millisecond, 600))
	if err != nil {
		return err
	}
	// Two nodes that meet an empty database may both try to make the table of locks; the one that loses comes again.
	for try := 1; ; try++ {
		err = migrate.Up(ctx, goose.DialectPostgres, db, "", goose.WithLocker(locker))
		if err == nil || errors.Is(err, migrate.ErrNewer) || try == migrateTries || ctx.Err() != nil {
			break
		}
		pause(ctx, try)
	}
	if err != nil {
		return fmt.Errorf("open the database: %w", explain(err))
	}
	return nil
}

// Read runs look-ups.
func (e *Engine) Read(ctx context.Context, look func(deeds.Tx) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	// Never tried again: what look has gathered would be there twice.
	err := e.run(ctx, "", look)
	if err != nil {
		return translate(ctx, err)
	}
	return nil
}

// Snapshot runs look-ups that see one state.
func (e *Engine) Snapshot(ctx context.Context, look func(deeds.Tx) error) error {
	return e.transact(ctx, beginSnapshot, look)
}

// Deed runs do in one transaction.
func (e *Engine) Deed(ctx context.Context, do func(deeds.Tx) error) error {
	return e.transact(ctx, beginDeed, do)
}

func (e *Engine) transact(ctx context.Context, begin string, do func(deeds.Tx) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	return retry(ctx, func() error { return e.run(ctx, begin, do) })
}

func (e *Engine) run(ctx context.Context, begin string, do func(deeds.Tx) error) error {
	return e.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		t := &tx{ctx: ctx, on: conn, begin: begin}
		if err := t.verdict(do(t)); err != nil {
			t.rollback()
			return err
		}
		return t.commit()
	})
}

// Together runs statements in one implicit transaction and one round trip.
func (e *Engine) Together(ctx context.Context, statements ...deeds.Statement) ([]int64, error) {
	if err := e.enter(); err != nil {
		return nil, err
	}
	defer e.leave()
	changed := make([]int64, len(statements))
	if len(statements) == 1 && strings.HasPrefix(statements[0].Query, "INSERT ") { // what may wait for a row's lock waits alone
		var err error
		changed[0], err = e.alone(ctx, statements[0])
		return changed, err
	}
	err := retry(ctx, func() error {
		batch := &pgx.Batch{}
		for i, s := range statements {
			batch.Queue(s.Query, s.Args...).Exec(func(tag pgconn.CommandTag) error {
				changed[i] = tag.RowsAffected()
				return nil
			})
		}
		return e.pool.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// Straight sends everything at once, each condition with a guard behind it: one that is not met fails the transaction.
func (e *Engine) Straight(ctx context.Context, plan func() ([]deeds.Statement, error)) (done bool, err error) {
	statements, err := plan()
	if err != nil || len(statements) == 0 {
		return false, err
	}
	if err := e.enter(); err != nil {
		return false, err
	}
	defer e.leave()
	unmet := false
	err = retry(ctx, func() error {
		batch := &pgx.Batch{}
		for _, s := range statements {
			if s.Must {
				batch.Queue(guardBegin+s.Query+guardEnd, s.Args...)
			} else {
				batch.Queue(s.Query, s.Args...)
			}
		}
		err := e.pool.SendBatch(ctx, batch).Close()
		if unmet = code(err) == codeDivision; unmet {
			return nil
		}
		return err
	})
	return err == nil && !unmet, err
}

// enter keeps the queue before the pool bounded.
func (e *Engine) enter() error {
	if e.busy.Add(1) > maxBusy {
		e.leave()
		return unavailable(errBusy)
	}
	return nil
}

func (e *Engine) leave() { e.busy.Add(-1) }

// Wait returns when a deed with a hint was committed on any node, or soon in any case.
func (e *Engine) Wait(ctx context.Context) error { return e.news.wait(ctx, waitAtMost) }

// Ready asks the database whether it takes writes.
func (e *Engine) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	var readOnly string
	err := retry(ctx, func() error { return e.pool.QueryRow(ctx, "SHOW transaction_read_only").Scan(&readOnly) })
	if err != nil {
		return err
	}
	if readOnly == "on" {
		return unavailable(errors.New("the database takes no writes: it is a standby or was set read-only"))
	}
	return nil
}

// Close ends the connections once the deeds that have begun are answered.
func (e *Engine) Close() error {
	if e.shut.Swap(true) {
		return nil
	}
	e.stop()
	<-e.gone
	e.gathering.Wait()
	e.pool.Close()
	return nil
}

// retry tries a deed again that the database aborted for the sake of another (serialization, deadlock), and translates
// what remains.
func retry(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil {
			return nil
		}
		if !aborted(err) || try == maxTries || ctx.Err() != nil {
			return translate(ctx, err)
		}
		pause(ctx, try)
	}
}

// pause waits a little, longer each time and never as long as a rival.
func pause(ctx context.Context, try int) {
	timer := time.NewTimer(time.Duration(try) * firstPause * time.Duration(1+rand.IntN(4))) //nolint:gosec // no secret
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
