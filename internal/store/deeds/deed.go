package deeds

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// View is one tenant's rows on one engine. All fields are required.
type View struct {
	Engine Engine
	Tenant string
	Now    func() time.Time
	// TokenLife is the longest that any token may live: revocations stay in the feed for so long.
	TokenLife time.Duration
}

// Deed is one deed under way: what it does at once, and the journal and the outbox rows that follow when it succeeds.
type Deed struct {
	Tx
	Tenant  string
	Now     time.Time
	Life    time.Duration
	Clock   func() time.Time
	Events  []journal.Event
	Changes []iam.Change
	Verdict error // the answer although all is kept: a counted try, a replay that ended a grant
}

// Read runs look-ups; see Doors.
func (v View) Read(ctx context.Context, look func(Tx) error) error { return v.Engine.Read(ctx, look) }

// Deed runs do, then keeps its events and tells the feed, as one deed. An error undoes all of it.
func (v View) Deed(ctx context.Context, events []journal.Event, do func(*Deed) error) error {
	var verdict error
	err := v.Engine.Deed(ctx, func(tx Tx) error {
		d := v.Begin(tx, events)
		verdict = nil
		if err := do(d); err != nil {
			return err
		}
		verdict = d.Verdict
		return d.End()
	})
	if err != nil {
		return err
	}
	return verdict
}

// Begin makes a deed of a transaction that has begun. The caller ends it.
func (v View) Begin(tx Tx, events []journal.Event) *Deed {
	return &Deed{Tx: tx, Tenant: v.Tenant, Now: v.Now(), Life: v.TokenLife, Clock: v.Now, Events: events}
}

// End keeps the events of a deed and tells the feed what it has changed.
func (d *Deed) End() error {
	rows, err := JournalRows(nil, d.Tenant, d.Events)
	if err != nil {
		return err
	}
	if err := d.Do(rows...); err != nil {
		return err
	}
	// The outbox comes last: its counter is one row per tenant, locked from here to the commit.
	return d.publish()
}

// Must runs a statement that has to change a row, and answers otherwise if it changes none.
func (d *Deed) Must(otherwise error, query string, args ...any) error {
	n, err := d.Exec(query, args...)
	if err == nil && n == 0 {
		return otherwise
	}
	return err
}

// Hold keeps others from a person's row until the deed ends, and answers otherwise if the person is not as asked.
func (d *Deed) Hold(otherwise error, user, asked string) error {
	if !d.Alone() {
		return d.Must(otherwise, `UPDATE users SET era = era WHERE tenant = $1 AND id = $2`+asked, d.Tenant, user)
	}
	return Only(d, otherwise, `SELECT 1 FROM users WHERE tenant = $1 AND id = $2`+asked, []any{d.Tenant, user}, new(int64))
}

// Do runs statements in order.
func (d *Deed) Do(statements ...Statement) error {
	for _, s := range statements {
		if err := d.Later(s.Query, s.Args...); err != nil {
			return err
		}
	}
	return nil
}

// Step does a statement of a deed, and answers otherwise if it must change a row and changes none.
func (d *Deed) Step(otherwise error, s Statement) error {
	if !s.Must {
		return d.Later(s.Query, s.Args...)
	}
	return d.Must(otherwise, s.Query, s.Args...)
}

// May is a statement that may change rows.
func May(query string, args ...any) Statement { return Statement{Query: query, Args: args} }

// Must is a statement that has to change a row.
func Must(query string, args ...any) Statement {
	return Statement{Query: query, Args: args, Must: true}
}

// One reads a single row; found is false when there is none.
func One(tx Tx, query string, args []any, dest ...any) (found bool, err error) {
	err = tx.Query(query, args, func(row Row) error {
		found = true
		return row.Scan(dest...)
	})
	return found, err
}

// Only reads a single row, and answers otherwise when there is none.
func Only(tx Tx, otherwise error, query string, args []any, dest ...any) error {
	found, err := One(tx, query, args, dest...)
	if err == nil && !found {
		return otherwise
	}
	return err
}
