package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/store/deeds"
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
		"flows", "consents", "codes", "pushed", "asked", "registrations", "initials", "past_sessions", "grants", "refreshes", "accesses", "ended_tokens", "signing_keys", "revisions", "nodes", "leases",
		"outbox", "journal", "journal_personal", "tree_tiles", "once", "deliveries", "authenticators", "recovery_codes", "devices", "approvals",
		"habits", "uses", "device_secrets", "tries"}
}

// truths are the columns that hold true or false; an engine may spell these as numbers.
func truths() []string {
	return []string{"clients.disabled", "clients.removed", "users.email_verified", "users.admin", "users.disabled", "users.removed",
		"nodes.ready", "authenticators.synced", "approvals.allowed", "habits.off"}
}

// copyTo copies all rows, as they are at one moment, into an empty engine, and marks it as a backup of that moment.
func (s *Store) copyTo(ctx context.Context, to deeds.Engine) error {
	return s.Engine.Snapshot(ctx, func(from deeds.Tx) error {
		// Read after the snapshot was taken would be too late: what is older than the backup has to end at its restore.
		made := time.Now()
		if s.Now != nil {
			made = s.Now()
		}
		for _, table := range tables() {
			if err := copyTable(from, table, 0, func(insert []deeds.Statement) error {
				_, err := to.Together(ctx, insert...)
				return err
			}); err != nil {
				return fmt.Errorf("copy %s: %w", table, err)
			}
		}
		_, err := to.Together(ctx,
			deeds.Statement{Query: `DELETE FROM house WHERE tenant = $1`, Args: []any{houseTenant}},
			word(wordSchemaIs, backupFormat),
			word(wordBackupAt, strconv.FormatInt(made.UnixMicro(), 10)))
		return err
	})
}

// copyTable reads a table and hands its rows on as inserts, some at a time, each so many eras later.
func copyTable(from deeds.Tx, table string, eras int64, put func([]deeds.Statement) error) error {
	var batch []deeds.Statement
	var query string
	var truth []bool
	era := -1
	err := from.Query("SELECT * FROM "+table, nil, func(row deeds.Row) error { // the names are ours
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
		batch = append(batch, deeds.Statement{Query: query, Args: values})
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

// ErrNoBackup: the file is not a backup of garde.
var ErrNoBackup = errors.New("the file is not a backup made by garde")

func word(name, value string) deeds.Statement {
	return deeds.Statement{Query: `INSERT INTO house (tenant, name, value) VALUES ($1, $2, $3)`, Args: []any{houseTenant, name, value}}
}

func backupAt(from deeds.Tx) (time.Time, error) {
	words := map[string]string{}
	err := from.Query(`SELECT name, value FROM house WHERE tenant = $1`, []any{houseTenant}, func(row deeds.Row) error {
		var name, value string
		err := row.Scan(&name, &value)
		words[name] = value
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	n, err := strconv.ParseInt(words[wordBackupAt], 10, 64)
	if err != nil || words[wordSchemaIs] != backupFormat {
		return time.Time{}, ErrNoBackup
	}
	return time.UnixMicro(n).UTC(), nil
}

// refill puts all rows of a backup in the place of what is there, users and clients in their next era: to update them all
// at once afterwards would take as much memory as they do.
func refill(from, into deeds.Tx) error {
	for _, table := range tables() {
		if err := into.Later("DELETE FROM " + table); err != nil {
			return err
		}
		if err := copyTable(from, table, 1, func(rows []deeds.Statement) error {
			for _, row := range rows {
				if err := into.Later(row.Query, row.Args...); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return fmt.Errorf("restore %s: %w", table, err)
		}
	}
	return into.Later(`DELETE FROM house WHERE tenant = $1`, houseTenant)
}
