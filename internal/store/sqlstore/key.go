package sqlstore

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// ListKeys gives all signing keys, oldest first.
func (t *Tenant) ListKeys(ctx context.Context) ([]iam.Key, error) {
	var keys []iam.Key
	err := t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(`SELECT id, alg, public, sealed, created, activates, retires, removed FROM signing_keys WHERE tenant = $1
			ORDER BY created, id`, []any{t.view.Tenant}, func(row deeds.Row) error {
			var key iam.Key
			var created, activates, retires, removed int64
			err := row.Scan(&key.ID, &key.Alg, &key.Public, &key.Sealed, &created, &activates, &retires, &removed)
			key.Created, key.Activates, key.Retires, key.Removed = deeds.At(created), deeds.At(activates), deeds.At(retires), deeds.At(removed)
			keys = append(keys, key)
			return err
		})
	})
	return keys, err
}

// AddKey adds a signing key.
func (t *Tenant) AddKey(ctx context.Context, key iam.Key, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error { return d.addKey(key) })
}

func (d *deed) addKey(key iam.Key) error {
	d.Change(iam.ChangedKeys, key.ID)
	return d.Later(`INSERT INTO signing_keys (tenant, id, alg, public, sealed, created, activates, retires, removed)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, d.Tenant, key.ID, key.Alg, key.Public, key.Sealed, deeds.Micro(key.Created),
		deeds.Micro(key.Activates), deeds.Micro(key.Retires), deeds.Micro(key.Removed))
}

// SetKey changes the times of a key; its sealed part, which another may have put under a new master key since it was read,
// stays. A key whose removal has come also ends its tokens.
func (t *Tenant) SetKey(ctx context.Context, key iam.Key, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		if !key.Removed.IsZero() && !key.Removed.After(d.Now) {
			d.endKey(key.ID)
		}
		d.Change(iam.ChangedKeys, key.ID)
		return d.Must(iam.ErrNotFound, `UPDATE signing_keys SET activates = $3, retires = $4, removed = $5
			WHERE tenant = $1 AND id = $2`, d.Tenant, key.ID, deeds.Micro(key.Activates), deeds.Micro(key.Retires), deeds.Micro(key.Removed))
	})
}

// endKey tells the feed that every token under the key is dead, also one that a node signs before it hears of it.
func (d *deed) endKey(id string) {
	until := d.Now.Add(d.Life)
	d.Changes = append(d.Changes, iam.Change{Kind: iam.ChangeKey, ID: id, Before: until, Until: until})
}

// AddKeyOnce adds a key unless one of its alg has not retired. Of many nodes that start at once, one makes the key.
func (t *Tenant) AddKeyOnce(ctx context.Context, key iam.Key, events ...journal.Event) (bool, error) {
	var added bool
	err := t.deed(ctx, events, func(d *deed) error {
		added = false
		// One row per alg makes nodes come one after the other.
		if err := d.Later(`INSERT INTO counters (tenant, name, value) VALUES ($1, $2, 1)
			ON CONFLICT (tenant, name) DO UPDATE SET value = counters.value + 1`, d.Tenant, "key:"+key.Alg); err != nil {
			return err
		}
		found, err := deeds.One(d, `SELECT 1 FROM signing_keys WHERE tenant = $1 AND alg = $2 AND (retires = 0 OR retires > $3)
			AND (removed = 0 OR removed > $3) LIMIT 1`, []any{d.Tenant, key.Alg, deeds.Micro(d.Now)}, new(int64))
		if err != nil || found {
			d.Events = nil
			return err
		}
		added = true
		return d.addKey(key)
	})
	return added && err == nil, err
}
