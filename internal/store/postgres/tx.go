package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/sqlstore"
)

var errBusy = errors.New("too many deeds wait")

// runner is what a deed has in its hands: a transaction or a connection.
type runner interface {
	Exec(ctx context.Context, query string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

var (
	_ runner = (pgx.Tx)(nil)
	_ runner = (*pgxpool.Conn)(nil)
)

// tx is what a deed sees.
type tx struct {
	ctx  context.Context //nolint:containedctx // it lives as long as the deed, whose context this is
	on   runner
	hint bool
	own  error // the last error of the database
}

func (t *tx) Exec(query string, args ...any) (int64, error) {
	tag, err := t.on.Exec(t.ctx, query, args...)
	return tag.RowsAffected(), t.seen(err)
}

func (t *tx) Query(query string, args []any, each func(sqlstore.Row) error) error {
	rows, err := t.on.Query(t.ctx, query, args...)
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

func (t *tx) Hint() { t.hint = true }

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

// translate gives the errors that sqlstore.Engine promises. What the deed itself said passes.
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
