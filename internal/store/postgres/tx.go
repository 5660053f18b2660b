package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

var (
	errBusy = errors.New("too many deeds wait")
	errShut = errors.New("the storage is closing")
)

// laterAtMost bounds what waits to be sent: a deed may be as long as a restore.
const laterAtMost = 128

// tx is what a deed sees. What it asks for is sent together: BEGIN with the first statement, those that nobody awaits the
// answer of with the next one, the last ones with COMMIT. A deed of few statements is a transaction of two round trips.
type tx struct {
	ctx   context.Context //nolint:containedctx // it lives as long as the deed, whose context this is
	on    *pgxpool.Conn
	begin string // what begins the transaction, until it has begun; empty for look-ups, which have none
	begun bool
	later []deeds.Statement
	hint  bool
	own   error // the last error of the database
}

func (t *tx) Exec(query string, args ...any) (changed int64, err error) {
	err = t.send(deeds.Statement{Query: query, Args: args}, func(answers pgx.BatchResults) error {
		tag, err := answers.Exec()
		changed = tag.RowsAffected()
		return t.seen(err)
	})
	return changed, err
}

func (t *tx) Query(query string, args []any, each func(deeds.Row) error) error {
	if !t.waiting() {
		rows, err := t.on.Query(t.ctx, query, args...)
		return t.read(rows, err, each)
	}
	return t.send(deeds.Statement{Query: query, Args: args}, func(answers pgx.BatchResults) error {
		rows, err := answers.Query()
		return t.read(rows, err, each)
	})
}

func (t *tx) read(rows pgx.Rows, err error, each func(deeds.Row) error) error {
	if err != nil {
		return t.seen(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(row{rows}); err != nil {
			return err
		}
	}
	return t.seen(rows.Err())
}

func (t *tx) Later(query string, args ...any) error {
	if len(t.later) == laterAtMost {
		_, err := t.Exec(query, args...)
		return err
	}
	t.later = append(t.later, deeds.Statement{Query: query, Args: args})
	return nil
}

// Alone: each connection is a writer.
func (t *tx) Alone() bool { return false }

func (t *tx) Hint() { t.hint = true }

// waiting tells whether something has to be sent before the next statement.
func (t *tx) waiting() bool { return t.begin != "" && !t.begun || len(t.later) > 0 }

// send sends what waits and one more statement, and lets answer read what that one says.
func (t *tx) send(last deeds.Statement, answer func(pgx.BatchResults) error) error {
	batch := &pgx.Batch{}
	if t.begin != "" && !t.begun {
		batch.Queue(t.begin)
		t.begun = true
	}
	for _, s := range t.later {
		batch.Queue(s.Query, s.Args...)
	}
	t.later = nil
	before := batch.Len()
	batch.Queue(last.Query, last.Args...)
	answers := t.on.SendBatch(t.ctx, batch)
	for range before {
		if _, err := answers.Exec(); err != nil {
			_ = answers.Close() // it says the same again
			return t.seen(err)
		}
	}
	err := answer(answers)
	if closed := answers.Close(); err == nil {
		return t.seen(closed)
	}
	return err
}

// commit ends the deed. What has not begun yet is a transaction by itself when it is sent at once.
func (t *tx) commit() error {
	if t.hint {
		t.later = append(t.later, deeds.Statement{Query: "SELECT pg_notify($1, '')", Args: []any{channel}})
	}
	if t.begun {
		t.later = append(t.later, deeds.Statement{Query: "COMMIT"})
	}
	if len(t.later) == 0 {
		return nil
	}
	last := t.later[len(t.later)-1]
	t.later, t.begin = t.later[:len(t.later)-1], ""
	err := t.send(last, func(answers pgx.BatchResults) error {
		tag, err := answers.Exec()
		if err == nil && t.begun && tag.String() != "COMMIT" {
			return pgx.ErrTxCommitRollback
		}
		return err
	})
	if err != nil {
		t.rollback()
	}
	return err
}

// rollback gives up the deed. A connection on which it fails is still in a transaction, and the pool throws it away.
func (t *tx) rollback() {
	if t.begun && !t.on.Conn().IsClosed() {
		_, _ = t.on.Exec(t.ctx, "ROLLBACK") // see above
	}
}

// seen remembers an error of the database: a deed may wrap it, or answer something else, but can't commit after it.
func (t *tx) seen(err error) error {
	if err != nil {
		t.own = err
	}
	return err
}

// verdict is what the deed comes to.
func (t *tx) verdict(err error) error {
	if err == nil {
		return t.own
	}
	return err
}

type row struct{ pgx.Rows }

func (r row) Scan(dest ...any) error { return r.Rows.Scan(dest...) }

func (r row) Columns() []string {
	fields := r.FieldDescriptions()
	columns := make([]string, len(fields))
	for i, field := range fields {
		columns[i] = field.Name
	}
	return columns
}

func (r row) Values() ([]any, error) { return r.Rows.Values() }

// Error codes of PostgreSQL, appendix A.
const (
	codeDivision      = "22012"
	codeUnique        = "23505"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
)

func code(err error) string {
	var fault *pgconn.PgError
	if errors.As(err, &fault) {
		return fault.Code
	}
	return ""
}

func aborted(err error) bool {
	c := code(err)
	return c == codeSerialization || c == codeDeadlock
}

// translate gives the errors that deeds.Engine promises. What the deed itself said passes.
func translate(ctx context.Context, err error) error {
	c := code(err)
	var network *pgconn.ConnectError
	switch {
	case c == codeUnique:
		return fmt.Errorf("%w: %w", iam.ErrExists, err)
	case c != "" && !outage(c):
		return err
	case c != "", errors.As(err, &network), ctx.Err() != nil, broken(err):
		return unavailable(explain(err))
	default:
		return err
	}
}

// outage tells codes that speak of the server's state rather than of the statement: connection (08), resources (53),
// intervention (57), system (58), and what is left of aborted transactions (40), read-only ones (25006).
func outage(code string) bool {
	switch code[:2] {
	case "08", "53", "57", "58", "40":
		return true
	}
	return code == "25006"
}

// broken tells errors of the connection. They carry no code of the database; what a deed says itself is one of iam's
// errors, or a fault of ours that is marked so by its own type.
func broken(err error) bool {
	var net interface{ Timeout() bool }
	return errors.As(err, &net) || pgconn.SafeToRetry(err) || errors.Is(err, errEOF) || errors.Is(err, errClosedPipe) ||
		errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, errUnexpectedEOF) || err.Error() == "conn closed" || err.Error() == "closed pool"
}

// explain says in an operator's words what to look at. The driver's texts of connecting name host and user, never the
// password.
func explain(err error) error {
	var network *pgconn.ConnectError
	switch {
	case errors.As(err, &network):
		return fmt.Errorf("the database can't be reached or refuses the connection: %w", err)
	case code(err) == "53100":
		return fmt.Errorf("the database's disk is full: %w", err)
	case code(err) == "25006":
		return fmt.Errorf("the database takes no writes: %w", err)
	default:
		return err
	}
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", iam.ErrUnavailable, err) }
