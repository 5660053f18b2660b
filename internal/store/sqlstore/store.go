package sqlstore

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// Store keeps everything on one engine.
type Store struct {
	Engine Engine
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// TokenLife is the longest that any token may live: revocations stay in the feed for so long. Zero is an hour.
	TokenLife time.Duration
}

// Tenant is a tenant's view of the store. It keeps every contract of iam.
type Tenant struct {
	store *Store
	id    string
}

// The contracts.
var (
	_ iam.ClientKeeping  = (*Tenant)(nil)
	_ iam.UserKeeping    = (*Tenant)(nil)
	_ iam.Passwords      = (*Tenant)(nil)
	_ iam.Links          = (*Tenant)(nil)
	_ iam.Groups         = (*Tenant)(nil)
	_ iam.Sessions       = (*Tenant)(nil)
	_ iam.SessionListing = (*Tenant)(nil)
	_ iam.Flows          = (*Tenant)(nil)
	_ iam.Consents       = (*Tenant)(nil)
	_ iam.Codes          = (*Tenant)(nil)
	_ iam.Refreshes      = (*Tenant)(nil)
	_ iam.Accesses       = (*Tenant)(nil)
	_ iam.Issuing        = (*Tenant)(nil)
	_ iam.Grants         = (*Tenant)(nil)
	_ iam.Keys           = (*Tenant)(nil)
	_ iam.Revisions      = (*Tenant)(nil)
	_ iam.Nodes          = (*Tenant)(nil)
	_ iam.Changes        = (*Tenant)(nil)
	_ iam.Journal        = (*Tenant)(nil)
	_ iam.Tree           = (*Tenant)(nil)
	_ iam.Once           = (*Tenant)(nil)
	_ iam.Deliveries     = (*Tenant)(nil)
)

// Tenant gives the view of one tenant.
func (s *Store) Tenant(id iam.Tenant) *Tenant { return &Tenant{store: s, id: string(id)} }

// Ready is nil while deeds can be done; else it says why not, in words for the operator.
func (s *Store) Ready(ctx context.Context) error { return s.Engine.Ready(ctx) }

// Close ends the engine once the deeds that have begun are answered.
func (s *Store) Close() error { return s.Engine.Close() }

func (s *Store) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

func (s *Store) tokenLife() time.Duration {
	if s.TokenLife > 0 {
		return s.TokenLife
	}
	return time.Hour
}

// deed is one deed under way: what it does at once, and the journal and the outbox rows that follow when it succeeds.
type deed struct {
	Tx
	tenant  string
	now     time.Time
	life    time.Duration
	clock   func() time.Time
	events  []journal.Event
	changes []iam.Change
	verdict error // the answer although all is kept: a counted try, a replay that ended a grant
}

func (t *Tenant) read(ctx context.Context, look func(Tx) error) error {
	return t.store.Engine.Read(ctx, look)
}

func (t *Tenant) deed(ctx context.Context, events []journal.Event, do func(*deed) error) error {
	var verdict error
	err := t.store.Engine.Deed(ctx, func(tx Tx) error {
		d := &deed{Tx: tx, tenant: t.id, now: t.store.now(), life: t.store.tokenLife(), clock: t.store.now, events: events}
		verdict = nil
		if err := do(d); err != nil {
			return err
		}
		if err := d.journal(d.events); err != nil {
			return err
		}
		verdict = d.verdict
		// The outbox comes last: its counter is one row per tenant, locked from here to the commit.
		return d.publish()
	})
	if err != nil {
		return err
	}
	return verdict
}

// must runs a statement that has to change a row, and answers otherwise if it changes none.
func (d *deed) must(otherwise error, query string, args ...any) error {
	n, err := d.Exec(query, args...)
	if err == nil && n == 0 {
		return otherwise
	}
	return err
}

// hold keeps others from a person's row until the deed ends, and answers otherwise if the person is not as asked.
func (d *deed) hold(otherwise error, user, asked string) error {
	if !d.Alone() {
		return d.must(otherwise, `UPDATE users SET era = era WHERE tenant = $1 AND id = $2`+asked, d.tenant, user)
	}
	return only(d, otherwise, `SELECT 1 FROM users WHERE tenant = $1 AND id = $2`+asked, []any{d.tenant, user}, new(int64))
}

// do runs statements in order.
func (d *deed) do(statements ...Statement) error {
	for _, s := range statements {
		if err := d.Later(s.Query, s.Args...); err != nil {
			return err
		}
	}
	return nil
}

func stmt(query string, args ...any) Statement { return Statement{Query: query, Args: args} }

// step does a statement of a deed, and answers otherwise if it must change a row and changes none.
func (d *deed) step(otherwise error, s Statement) error {
	if !s.Must {
		return d.Later(s.Query, s.Args...)
	}
	return d.must(otherwise, s.Query, s.Args...)
}

// must is a statement that has to change a row.
func must(query string, args ...any) Statement {
	return Statement{Query: query, Args: args, Must: true}
}

// one reads a single row; found is false when there is none.
func one(tx Tx, query string, args []any, dest ...any) (found bool, err error) {
	err = tx.Query(query, args, func(row Row) error {
		found = true
		return row.Scan(dest...)
	})
	return found, err
}

// only reads a single row, and answers otherwise when there is none.
func only(tx Tx, otherwise error, query string, args []any, dest ...any) error {
	found, err := one(tx, query, args, dest...)
	if err == nil && !found {
		return otherwise
	}
	return err
}
