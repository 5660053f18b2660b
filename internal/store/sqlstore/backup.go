package sqlstore

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// Restored says what a restore began with.
type Restored struct {
	BackupAt time.Time
	Epoch    string
}

// TakeOver replaces all that the store holds by what fill puts in, the rows of a backup, in one deed, and ends what is
// older than it: since then things may have been revoked that the backup does not know of. Sessions, login transactions,
// links, codes, requests that wait, grants and tokens are gone, those that let clients register, too, recovery codes,
// which serve once and may have, known devices, which may have been lost, signing keys are withdrawn, a new epoch begins, and only administrators are to
// be admitted until Confirm. Users, clients, passwords, authenticators, habits, consents, recipes and the
// journal stay. fill puts users and clients
// into their next era.
func (s *Store) TakeOver(ctx context.Context, backupAt time.Time, fill func(deeds.Tx) error) (Restored, error) {
	restored := Restored{BackupAt: backupAt, Epoch: rand.Text()}
	err := s.Engine.Deed(ctx, func(tx deeds.Tx) error {
		if err := fill(tx); err != nil {
			return err
		}
		d := &deed{s.view(iam.DefaultTenant).Begin(tx, nil)}
		return d.takeOver(restored)
	})
	if err != nil {
		return Restored{}, err
	}
	return restored, nil
}

func (d *deed) takeOver(restored Restored) error {
	for _, table := range []string{"sessions", "flows", "links", "codes", "pushed", "asked", "initials", "past_sessions", "grants", "refreshes", "accesses", "deliveries", "nodes", "leases", "outbox",
		"recovery_codes", "devices", "approvals", "uses", "device_secrets", "tries"} {
		if err := d.Later("DELETE FROM " + table); err != nil { // the names are ours
			return err
		}
	}
	if err := d.Do(
		deeds.May(`UPDATE signing_keys SET retires = $1 WHERE retires = 0 OR retires > $1`, deeds.Micro(d.Now)),
		deeds.May(`UPDATE signing_keys SET removed = $1 WHERE removed = 0 OR removed > $1`, deeds.Micro(d.Now)),
	); err != nil {
		return err
	}
	if err := d.setWord(wordEpoch, restored.Epoch); err != nil {
		return err
	}
	if err := d.setWord(wordAdminsOnly, "true"); err != nil {
		return err
	}
	if err := d.Query(`SELECT id FROM signing_keys WHERE tenant = $1`, []any{d.Tenant}, func(row deeds.Row) error {
		var id string
		err := row.Scan(&id)
		d.endKey(id)
		return err
	}); err != nil {
		return err
	}
	event := journal.New(d.Now, journal.StoreRestored{BackupAt: restored.BackupAt.Format(time.RFC3339Nano), Epoch: restored.Epoch})
	event.Actor = "system"
	d.Events = []journal.Event{event}
	return d.End()
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
		d.Change(iam.ChangedRecipe, "")
		return d.Do(deeds.May(`DELETE FROM house WHERE tenant = $1 AND name = $2`, d.Tenant, wordAdminsOnly))
	})
}
