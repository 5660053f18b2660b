package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"modernc.org/sqlite"

	"github.com/gardeauth/garde/internal/store/deeds"
)

// conn is one connection with its prepared statements. The driver is spoken to directly: the pool of database/sql would
// cost more than the statements. It is used by one goroutine at a time.
type conn struct {
	raw  driver.Conn
	kept map[string]statement
	args []driver.NamedValue
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func openWriter(path string) (*conn, error) {
	return open(path, "PRAGMA busy_timeout = 5000", "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON",
		"PRAGMA cache_size = "+writerCache, "PRAGMA temp_store = MEMORY", "PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON",
		"PRAGMA wal_autocheckpoint = 4000", "PRAGMA journal_size_limit = 67108864")
}

func openReader(path string) (*conn, error) {
	return open(path, "PRAGMA busy_timeout = 5000", "PRAGMA cache_size = "+readerCache, "PRAGMA temp_store = MEMORY",
		"PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON", "PRAGMA query_only = ON")
}

func open(path string, settings ...string) (*conn, error) {
	raw, err := (&sqlite.Driver{}).Open(address(path))
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, kept: map[string]statement{}}
	for _, setting := range settings {
		if err := c.once(setting); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
	}
	return c, nil
}

// once runs a statement that is not kept.
func (c *conn) once(query string) error {
	execer, ok := c.raw.(driver.ExecerContext)
	if !ok {
		return errors.New("the driver can't execute")
	}
	_, err := execer.ExecContext(context.Background(), query, nil)
	return err
}

func (c *conn) prepare(query string) (statement, error) {
	if s, ok := c.kept[query]; ok {
		return s, nil
	}
	if len(c.kept) >= maxStatement {
		if err := c.forget(); err != nil {
			return nil, err
		}
	}
	prepared, err := c.raw.Prepare(query)
	if err != nil {
		return nil, err
	}
	s, ok := prepared.(statement)
	if !ok {
		return nil, errors.New("the driver's statements take no context")
	}
	c.kept[query] = s
	return s, nil
}

func (c *conn) forget() error {
	var errs []error
	for query, s := range c.kept {
		errs = append(errs, s.Close())
		delete(c.kept, query)
	}
	return errors.Join(errs...)
}

func (c *conn) named(values []any) ([]driver.NamedValue, error) {
	c.args = c.args[:0]
	for i, value := range values {
		switch value.(type) {
		case string, int64, bool:
		default:
			return nil, fmt.Errorf("argument %d is a %T", i+1, value)
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: value})
	}
	return c.args, nil
}

// Statements run to their end without a context: they are short, and a watcher for each would cost more than they do.
func (c *conn) exec(query string, values ...any) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	args, err := c.named(values)
	if err != nil {
		return 0, err
	}
	result, err := s.ExecContext(context.Background(), args)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (c *conn) query(query string, values []any, each func(deeds.Row) error) (rows int64, err error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	args, err := c.named(values)
	if err != nil {
		return 0, err
	}
	answer, err := s.QueryContext(context.Background(), args)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, answer.Close()) }()
	columns := answer.Columns()
	current := row{values: make([]driver.Value, len(columns)), columns: columns}
	for {
		switch err := answer.Next(current.values); {
		case errors.Is(err, io.EOF):
			return rows, nil
		case err != nil:
			return rows, err
		}
		rows++
		if err := each(&current); err != nil {
			return rows, err
		}
	}
}

func (c *conn) close() error { return errors.Join(c.forget(), c.raw.Close()) }

// row is one row of an answer.
type row struct {
	values  []driver.Value
	columns []string
}

func (r *row) Scan(dest ...any) error {
	if len(dest) != len(r.values) {
		return fmt.Errorf("%d columns into %d places", len(r.values), len(dest))
	}
	for i, value := range r.values {
		if err := assign(dest[i], value); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

func assign(dest any, value driver.Value) error {
	switch dest := dest.(type) {
	case *string:
		if text, ok := value.(string); ok {
			*dest = text
			return nil
		}
	case *int64:
		if n, ok := value.(int64); ok {
			*dest = n
			return nil
		}
	case *bool:
		switch b := value.(type) {
		case bool:
			*dest = b
			return nil
		case int64:
			*dest = b != 0
			return nil
		}
	}
	return fmt.Errorf("a %T does not fit a %T", value, dest)
}

func (r *row) Columns() []string { return r.columns }

func (r *row) Values() ([]any, error) {
	values := make([]any, len(r.values))
	for i, value := range r.values {
		values[i] = value
	}
	return values, nil
}

// tx is what a deed sees.
type tx struct {
	conn  *conn
	dirty bool // a row was changed
	hint  bool
	fatal error // the transaction can't go on
}

func (t *tx) Exec(query string, args ...any) (int64, error) {
	n, err := t.conn.exec(query, args...)
	t.dirty = t.dirty || n > 0
	return n, t.seen(err)
}

func (t *tx) Query(query string, args []any, each func(deeds.Row) error) error {
	n, err := t.conn.query(query, args, each)
	t.dirty = t.dirty || n > 0 && !strings.HasPrefix(query, "SELECT")
	return t.seen(err)
}

// Later does it at once: there is nothing to be saved by waiting.
func (t *tx) Later(query string, args ...any) error {
	_, err := t.Exec(query, args...)
	return err
}

// Alone: there is one writer.
func (t *tx) Alone() bool { return true }

func (t *tx) Hint() { t.hint = true }

func (t *tx) seen(err error) error {
	if fatal(err) {
		t.fatal = err
	}
	return exists(err)
}
