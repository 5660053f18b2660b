package sqlstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

const (
	copyBatch = 500
	// houseTenant holds what belongs to no tenant.
	houseTenant  = ""
	wordBackupAt = "backup_at"
	wordSchemaIs = "backup_of"
	backupFormat = "garde-1"
)

// tables gives every table, in an order in which they can be filled.
func tables() []string {
	return []string{"house", "counters", "clients", "client_secrets", "users", "passwords", "links", "user_groups", "members", "sessions",
		"flows", "consents", "codes", "grants", "refreshes", "accesses", "ended_tokens", "signing_keys", "revisions", "nodes", "leases",
		"outbox", "journal", "journal_personal", "tree_leaves", "tree_hashes", "once", "deliveries"}
}

// truths are the columns that hold true or false; an engine may spell these as numbers.
func truths() []string {
	return []string{"clients.disabled", "clients.removed", "users.email_verified", "users.admin", "users.disabled", "users.removed",
		"nodes.ready", "journal.listed"}
}

// CopyTo copies all rows, as they are at one moment, into an empty engine, and marks it as a backup of that moment.
func (s *Store) CopyTo(ctx context.Context, to Engine) error {
	return s.Engine.Snapshot(ctx, func(from Tx) error {
		// Read after the snapshot was taken would be too late: what is older than the backup has to end at its restore.
		made := micro(s.now())
		for _, table := range tables() {
			if err := copyTable(from, table, 0, func(insert []Statement) error {
				_, err := to.Together(ctx, insert...)
				return err
			}); err != nil {
				return fmt.Errorf("copy %s: %w", table, err)
			}
		}
		_, err := to.Together(ctx,
			stmt(`DELETE FROM house WHERE tenant = $1`, houseTenant),
			stmt(`INSERT INTO house (tenant, name, value) VALUES ($1, $2, $3)`, houseTenant, wordSchemaIs, backupFormat),
			stmt(`INSERT INTO house (tenant, name, value) VALUES ($1, $2, $3)`, houseTenant, wordBackupAt, strconv.FormatInt(made, 10)))
		return err
	})
}

// copyTable reads a table and hands its rows on as inserts, some at a time, each so many eras later.
func copyTable(from Tx, table string, eras int64, put func([]Statement) error) error {
	var batch []Statement
	var query string
	var truth []bool
	era := -1
	err := from.Query("SELECT * FROM "+table, nil, func(row Row) error { // the names are ours
		values, err := row.Values()
		if err != nil {
			return err
		}
		if query == "" {
			query, truth = insertAll(table, row.Columns())
			era = slices.Index(row.Columns(), "era")
		}
		for i := range values {
			n, ok := values[i].(int64)
			switch {
			case ok && truth[i]:
				values[i] = n != 0
			case ok && i == era:
				values[i] = n + eras
			}
		}
		batch = append(batch, Statement{Query: query, Args: values})
		if len(batch) < copyBatch {
			return nil
		}
		err = put(batch)
		batch = nil
		return err
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return put(batch)
}

func insertAll(table string, columns []string) (query string, truth []bool) {
	places := make([]string, len(columns))
	for i, column := range columns {
		places[i] = "$" + strconv.Itoa(i+1)
		truth = append(truth, slices.Contains(truths(), table+"."+column))
	}
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")", truth
}

// Restored says what a restore began with.
type Restored struct {
	BackupAt time.Time
	Epoch    string
}

// ErrNoBackup: the file is not a backup of garde.
var ErrNoBackup = errors.New("the file is not a backup made by garde")

// TakeOver replaces all that the store holds by the rows of a backup, in one deed, and ends what is older than it: since
// then things may have been revoked that the backup does not know of. Sessions, login transactions, links, codes, grants
// and tokens are gone, signing keys are withdrawn, a new epoch begins, and only administrators are to be admitted until
// Confirm. Users, clients, passwords, consents, recipes and the journal stay.
func (s *Store) TakeOver(ctx context.Context, backup Engine) (Restored, error) {
	restored := Restored{Epoch: rand.Text()}
	err := backup.Snapshot(ctx, func(from Tx) error {
		at, err := backupAt(from)
		if err != nil {
			return err
		}
		restored.BackupAt = at
		return s.Engine.Deed(ctx, func(tx Tx) error {
			d := &deed{Tx: tx, tenant: string(iam.DefaultTenant), now: s.now(), life: s.tokenLife(), clock: s.now}
			return d.takeOver(from, restored)
		})
	})
	if err != nil {
		return Restored{}, err
	}
	return restored, nil
}

func backupAt(from Tx) (time.Time, error) {
	var format, made string
	find := `SELECT value FROM house WHERE tenant = $1 AND name = $2`
	if _, err := one(from, find, []any{houseTenant, wordSchemaIs}, &format); err != nil {
		return time.Time{}, err
	}
	if _, err := one(from, find, []any{houseTenant, wordBackupAt}, &made); err != nil {
		return time.Time{}, err
	}
	n, err := strconv.ParseInt(made, 10, 64)
	if err != nil || format != backupFormat {
		return time.Time{}, ErrNoBackup
	}
	return at(n), nil
}

func (d *deed) takeOver(from Tx, restored Restored) error {
	for _, table := range tables() {
		if err := d.Later("DELETE FROM " + table); err != nil { // the names are ours
			return err
		}
		// A new era for everyone as they come: to update them all at once would take as much memory as they do.
		if err := copyTable(from, table, 1, func(rows []Statement) error { return d.do(rows...) }); err != nil {
			return fmt.Errorf("restore %s: %w", table, err)
		}
	}
	for _, table := range []string{"sessions", "flows", "links", "codes", "grants", "refreshes", "accesses", "deliveries", "nodes", "leases", "outbox"} {
		if err := d.Later("DELETE FROM " + table); err != nil { // the names are ours
			return err
		}
	}
	if err := d.do(
		stmt(`DELETE FROM house WHERE tenant = $1`, houseTenant),
		stmt(`UPDATE signing_keys SET retires = $1 WHERE retires = 0 OR retires > $1`, micro(d.now)),
		stmt(`UPDATE signing_keys SET removed = $1 WHERE removed = 0 OR removed > $1`, micro(d.now)),
	); err != nil {
		return err
	}
	if err := d.setWord(wordEpoch, restored.Epoch); err != nil {
		return err
	}
	if err := d.setWord(wordAdminsOnly, "true"); err != nil {
		return err
	}
	if err := d.Query(`SELECT id FROM signing_keys WHERE tenant = $1`, []any{d.tenant}, func(row Row) error {
		var id string
		err := row.Scan(&id)
		d.endKey(id)
		return err
	}); err != nil {
		return err
	}
	event := journal.New(d.now, journal.StoreRestored{BackupAt: restored.BackupAt.Format(time.RFC3339Nano), Epoch: restored.Epoch})
	event.Actor = "system"
	if err := d.journal([]journal.Event{event}); err != nil {
		return err
	}
	return d.publish()
}

// AdminsOnly tells whether the store was restored and nobody has confirmed yet that what was revoked since the backup is
// revoked again: only administrators may sign in.
func (t *Tenant) AdminsOnly(ctx context.Context) (bool, error) {
	value, _, err := t.word(ctx, wordAdminsOnly)
	return value == "true", err
}

// Confirm admits everyone again after a restore.
func (t *Tenant) Confirm(ctx context.Context, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		d.change(iam.ChangedRecipe, "")
		return d.do(stmt(`DELETE FROM house WHERE tenant = $1 AND name = $2`, d.tenant, wordAdminsOnly))
	})
}
