package sqlstore

import (
	"context"
	"crypto/rand"

	"github.com/gardeauth/garde/internal/iam"
)

// publish writes the changes of a deed. The tenant's counter is held until the commit, so the order of seq is the order of
// commits and no gap fills later.
func (d *deed) publish() error {
	if len(d.changes) == 0 {
		return nil
	}
	if err := d.Later(`INSERT INTO counters (tenant, name, value) VALUES ($1, 'outbox', $2)
		ON CONFLICT (tenant, name) DO UPDATE SET value = counters.value + excluded.value`, d.tenant, int64(len(d.changes))); err != nil {
		return err
	}
	for i, change := range d.changes {
		if err := d.Later(`INSERT INTO outbox (tenant, seq, kind, id, before, until, made)
			SELECT tenant, value - CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BIGINT), CAST($6 AS BIGINT), CAST($7 AS BIGINT)
			FROM counters WHERE tenant = $1 AND name = 'outbox'`, d.tenant, int64(len(d.changes)-1-i), string(change.Kind),
			Clean(change.ID), micro(change.Before), micro(change.Until), micro(d.now)); err != nil {
			return err
		}
	}
	d.Hint()
	return nil
}

// ChangesAfter gives changes in order. Those past their use are swept.
func (t *Tenant) ChangesAfter(ctx context.Context, seq int64, most int) ([]iam.Change, error) {
	var changes []iam.Change
	err := t.read(ctx, func(tx Tx) error {
		return tx.Query(`SELECT seq, kind, id, before, until, made FROM outbox WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3`,
			[]any{t.id, seq, limit(most, 100, 10000)}, func(row Row) error {
				var change iam.Change
				var kind string
				var before, until, made int64
				err := row.Scan(&change.Seq, &kind, &change.ID, &before, &until, &made)
				change.Kind, change.Before, change.Until, change.At = iam.ChangeKind(kind), at(before), at(until), at(made)
				changes = append(changes, change)
				return err
			})
	})
	return changes, err
}

// Epoch names this storage's history. The first caller makes it.
func (t *Tenant) Epoch(ctx context.Context) (string, error) {
	epoch, found, err := t.word(ctx, wordEpoch)
	if err != nil || found {
		return epoch, err
	}
	err = t.deed(ctx, nil, func(d *deed) error {
		return d.Later(`INSERT INTO house (tenant, name, value) VALUES ($1, $2, $3) ON CONFLICT (tenant, name) DO NOTHING`,
			d.tenant, wordEpoch, rand.Text())
	})
	if err != nil {
		return "", err
	}
	epoch, _, err = t.word(ctx, wordEpoch)
	return epoch, err
}

// The words that the house keeps about itself.
const (
	wordEpoch      = "epoch"
	wordAdminsOnly = "admins_only"
	wordCheckpoint = "checkpoint"
)

func (t *Tenant) word(ctx context.Context, name string) (value string, found bool, err error) {
	err = t.read(ctx, func(tx Tx) (err error) {
		found, err = one(tx, `SELECT value FROM house WHERE tenant = $1 AND name = $2`, []any{t.id, name}, &value)
		return err
	})
	return value, found, err
}

func (d *deed) setWord(name, value string) error {
	return d.Later(`INSERT INTO house (tenant, name, value) VALUES ($1, $2, $3)
		ON CONFLICT (tenant, name) DO UPDATE SET value = excluded.value`, d.tenant, name, value)
}

// Wait returns when a change may have come: a hint.
func (t *Tenant) Wait(ctx context.Context) error { return t.store.Engine.Wait(ctx) }
