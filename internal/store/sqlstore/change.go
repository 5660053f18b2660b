package sqlstore

import (
	"context"
	"crypto/rand"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// ChangesAfter gives changes in order. Those past their use are swept.
func (t *Tenant) ChangesAfter(ctx context.Context, seq int64, most int) ([]iam.Change, error) {
	var changes []iam.Change
	err := t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(`SELECT seq, kind, id, before, until, made FROM outbox WHERE tenant = $1 AND seq > $2 ORDER BY seq LIMIT $3`,
			[]any{t.view.Tenant, seq, deeds.Limit(most, 100, 10000)}, func(row deeds.Row) error {
				var change iam.Change
				var kind string
				var before, until, made int64
				err := row.Scan(&change.Seq, &kind, &change.ID, &before, &until, &made)
				change.Kind, change.Before, change.Until, change.At = iam.ChangeKind(kind), deeds.At(before), deeds.At(until), deeds.At(made)
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
			d.Tenant, wordEpoch, rand.Text())
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
	err = t.read(ctx, func(tx deeds.Tx) (err error) {
		found, err = deeds.One(tx, `SELECT value FROM house WHERE tenant = $1 AND name = $2`, []any{t.view.Tenant, name}, &value)
		return err
	})
	return value, found, err
}

func (d *deed) setWord(name, value string) error {
	return d.Later(`INSERT INTO house (tenant, name, value) VALUES ($1, $2, $3)
		ON CONFLICT (tenant, name) DO UPDATE SET value = excluded.value`, d.Tenant, name, value)
}

// Wait returns when a change may have come: a hint.
func (t *Tenant) Wait(ctx context.Context) error { return t.view.Engine.Wait(ctx) }
