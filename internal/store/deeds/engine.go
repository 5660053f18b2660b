// Package deeds is what every room that keeps nouns in SQL stands on: the doors of an engine, a deed under way with the
// journal and the outbox that follow it, and how values are spelt in columns. An engine (sqlite, postgres) gives two doors,
// Read and Deed, and no transaction ever leaves an engine. It knows no noun but the journal, the outbox and the person whose
// row a deed holds.
package deeds

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"
)

// Engine runs deeds durably. Its errors: iam.ErrExists for a broken uniqueness, iam.ErrUnavailable (wrapped, with the
// cause) when a deed was not done or is not known to be done; what the deed itself returned passes unchanged.
type Engine interface {
	Doors
	// Wait returns when a deed that called Tx.Hint was committed, on any node, or soon after in any case.
	Wait(ctx context.Context) error
	// Ready is nil while deeds can be done.
	Ready(ctx context.Context) error
	Close() error
}

// Doors are the ways into an engine.
type Doors interface {
	// Read runs look, once. Each statement sees what was committed when it began.
	Read(ctx context.Context, look func(Tx) error) error
	// Snapshot runs look-ups that all see one state.
	Snapshot(ctx context.Context, look func(Tx) error) error
	// Deed runs do in one transaction and returns once it is durable. An error undoes all of it. The engine may run do
	// more than once; only the last run counts, so do sets all that it gives anew.
	Deed(ctx context.Context, do func(Tx) error) error
	// Together runs statements as one deed, in one round trip where there is a network, and gives the rows each changed.
	Together(ctx context.Context, statements ...Statement) ([]int64, error)
	// Straight does the statements that plan gives as one deed and in one round trip, if each that must change a row
	// does. Otherwise nothing is done, and done is false: the deed is to be done step by step, which also finds out why.
	// Done is false, too, for an empty plan, and always where no network lies between a deed and its statements.
	Straight(ctx context.Context, plan func() ([]Statement, error)) (done bool, err error)
}

// Tx is what a deed sees. It is of no use after the deed.
type Tx interface {
	// Exec gives the number of rows changed.
	Exec(query string, args ...any) (int64, error)
	// Later runs a statement whose answer nobody needs, in its turn: before the next that is asked for an answer, or with
	// the commit. What it says may come as the error of those.
	Later(query string, args ...any) error
	// Query calls each for every row; an error of each ends it.
	Query(query string, args []any, each func(Row) error) error
	// Alone tells that no other deed runs beside this one: there is nobody to be kept from a row.
	Alone() bool
	// Hint wakes those who wait, once committed.
	Hint()
}

// Row is one row of an answer.
type Row interface {
	// Scan fills *string, *int64 and *bool.
	Scan(dest ...any) error
	// Values gives string, int64 or bool for each column; truth may come as 0 and 1.
	Values() ([]any, error)
	// Columns gives the columns' names.
	Columns() []string
}

// Statement is one statement of a deed.
type Statement struct {
	Query string
	Args  []any
	// Must makes it a condition of a straight deed that the statement changes a row. It can't return rows then.
	Must bool
}

// ErrLocked: another process has the storage open.
var ErrLocked = errors.New("the storage is in use by another garde: stop it, or use its admin socket")

// Clean makes foreign text storable on every engine: PostgreSQL refuses NUL and broken UTF-8, and one text must not be
// two things on two engines. Both become U+FFFD.
func Clean(text string) string {
	if strings.IndexByte(text, 0) < 0 && utf8.ValidString(text) {
		return text
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}
