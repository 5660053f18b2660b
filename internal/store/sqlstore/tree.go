package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/gardeauth/garde/internal/iam"
)

const leafColumns = `j.id, j.made, j.kind, j.actor, j.client, j.user_id, j.session, j.grant_id, j.trace, j.detail, j.commitment`

func scanLeaf(row Row, more ...any) (iam.Unlisted, error) {
	var fields [11]string
	var made int64
	dest := []any{&fields[0], &made}
	for i := 2; i < len(fields); i++ {
		dest = append(dest, &fields[i])
	}
	err := row.Scan(append(dest, more...)...)
	fields[1] = strconv.FormatInt(made, 10)
	return iam.Unlisted{Event: fields[0], Data: leafBytes(fields[:]...)}, err
}

// Unlisted gives committed events that are not yet leaves, in the order of their ids.
func (t *Tenant) Unlisted(ctx context.Context, most int) ([]iam.Unlisted, error) {
	var events []iam.Unlisted
	err := t.read(ctx, func(tx Tx) error {
		return tx.Query(`SELECT `+leafColumns+` FROM journal j WHERE j.tenant = $1 AND NOT j.listed ORDER BY j.id LIMIT $2`,
			[]any{t.id, limit(most, 1000, 10000)}, func(row Row) error {
				event, err := scanLeaf(row)
				events = append(events, event)
				return err
			})
	})
	return events, err
}

// Append adds leaves and tree hashes if size is the tree's size, else ErrRaced. An event becomes a leaf once.
func (t *Tenant) Append(ctx context.Context, size int64, leaves []iam.Leaf, hashes map[int64][32]byte, checkpoint string) error {
	return t.deed(ctx, nil, func(d *deed) error {
		if err := d.grow(size, int64(len(leaves))); err != nil {
			return err
		}
		for i, leaf := range leaves {
			if leaf.Index != size+int64(i) {
				return fmt.Errorf("leaf %d at the place of %d", leaf.Index, size+int64(i))
			}
			if err := d.must(iam.ErrRaced, `UPDATE journal SET listed = TRUE WHERE tenant = $1 AND id = $2 AND NOT listed`, d.tenant, leaf.Event); err != nil {
				return err
			}
			if err := d.Later(`INSERT INTO tree_leaves (tenant, place, event, hash) VALUES ($1, $2, $3, $4)`,
				d.tenant, leaf.Index, leaf.Event, encode(leaf.Hash[:])); err != nil {
				return err
			}
		}
		for _, place := range slices.Sorted(maps.Keys(hashes)) {
			sum := hashes[place]
			if err := d.Later(`INSERT INTO tree_hashes (tenant, place, hash) VALUES ($1, $2, $3)`, d.tenant, place, encode(sum[:])); err != nil {
				return err
			}
		}
		return d.setWord(wordCheckpoint, checkpoint)
	})
}

// grow changes the tree's size, if it is what the caller thinks.
func (d *deed) grow(size, by int64) error {
	if size == 0 {
		if err := d.Later(`INSERT INTO counters (tenant, name, value) VALUES ($1, 'tree', 0) ON CONFLICT (tenant, name) DO NOTHING`, d.tenant); err != nil {
			return err
		}
	}
	return d.must(iam.ErrRaced, `UPDATE counters SET value = value + $3 WHERE tenant = $1 AND name = 'tree' AND value = $2`, d.tenant, size, by)
}

// Size is the number of leaves.
func (t *Tenant) Size(ctx context.Context) (int64, error) {
	var size int64
	err := t.read(ctx, func(tx Tx) error {
		_, err := one(tx, `SELECT value FROM counters WHERE tenant = $1 AND name = 'tree'`, []any{t.id}, &size)
		return err
	})
	return size, err
}

// Hashes gives the tree hashes at indexes, in their order. ErrNotFound if one is missing.
func (t *Tenant) Hashes(ctx context.Context, indexes []int64) ([][32]byte, error) {
	hashes := make([][32]byte, len(indexes))
	err := t.read(ctx, func(tx Tx) error {
		for i, index := range indexes {
			var text string
			found, err := one(tx, `SELECT hash FROM tree_hashes WHERE tenant = $1 AND place = $2`, []any{t.id, index}, &text)
			if err != nil {
				return err
			}
			if !found {
				return iam.ErrNotFound
			}
			sum, err := digest(text)
			if err != nil {
				return err
			}
			hashes[i] = sum
		}
		return nil
	})
	return hashes, err
}

// Checkpoint is the last one that was kept; empty before the first.
func (t *Tenant) Checkpoint(ctx context.Context) (string, error) {
	checkpoint, _, err := t.word(ctx, wordCheckpoint)
	return checkpoint, err
}

// LeafData gives the leaf bytes at [from, to), recomputed from the rows, beside the leaves as they were kept. A leaf whose
// event is gone has no bytes.
func (t *Tenant) LeafData(ctx context.Context, from, to int64) ([]iam.Unlisted, []iam.Leaf, error) {
	var data []iam.Unlisted
	var leaves []iam.Leaf
	err := t.store.Engine.Snapshot(ctx, func(tx Tx) error {
		data, leaves = nil, nil
		if err := tx.Query(`SELECT place, event, hash FROM tree_leaves WHERE tenant = $1 AND place >= $2 AND place < $3 ORDER BY place`,
			[]any{t.id, from, to}, func(row Row) error {
				var leaf iam.Leaf
				var text string
				if err := row.Scan(&leaf.Index, &leaf.Event, &text); err != nil {
					return err
				}
				sum, err := digest(text)
				leaf.Hash = sum
				leaves = append(leaves, leaf)
				return err
			}); err != nil {
			return err
		}
		rows := make(map[string]iam.Unlisted, len(leaves))
		err := tx.Query(`SELECT `+leafColumns+` FROM tree_leaves l JOIN journal j ON j.tenant = l.tenant AND j.id = l.event
			WHERE l.tenant = $1 AND l.place >= $2 AND l.place < $3`, []any{t.id, from, to}, func(row Row) error {
			event, err := scanLeaf(row)
			rows[event.Event] = event
			return err
		})
		for _, leaf := range leaves {
			data = append(data, iam.Unlisted{Event: leaf.Event, Data: rows[leaf.Event].Data})
		}
		return err
	})
	return data, leaves, err
}
