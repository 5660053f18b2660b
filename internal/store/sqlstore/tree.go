package sqlstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// leafFormat begins every leaf; another encoding would get another name.
const leafFormat = "15:garde-journal-1,"

// selectLeaf reads events as leaves: leafFormat, then id, time in microseconds, kind, actor, client, user, session, grant,
// trace, detail and commitment, each written as its length in bytes in decimal, a colon, its bytes and a comma. No two
// events have the same encoding. The engine makes it: to read the columns one by one would cost more than all the rest.
const selectLeaf = `SELECT concat('` + leafFormat + `', octet_length(j.id), ':', j.id, ',',
	length(CAST(j.made AS TEXT)), ':', j.made, ',', octet_length(j.kind), ':', j.kind, ',', octet_length(j.actor), ':', j.actor, ',',
	octet_length(j.client), ':', j.client, ',', octet_length(j.user_id), ':', j.user_id, ',', octet_length(j.session), ':', j.session, ',',
	octet_length(j.grant_id), ':', j.grant_id, ',', octet_length(j.trace), ':', j.trace, ',', octet_length(j.detail), ':', j.detail, ',',
	octet_length(j.commitment), ':', j.commitment, ',') FROM journal j WHERE j.tenant = $1`

func (t *Tenant) leaves(ctx context.Context, query string, args []any) ([]iam.Leaf, error) {
	var leaves []iam.Leaf
	err := t.read(ctx, func(tx deeds.Tx) error {
		leaves = nil
		return tx.Query(query, args, func(row deeds.Row) error {
			var data string
			err := row.Scan(&data)
			length, rest, _ := strings.Cut(strings.TrimPrefix(data, leafFormat), ":")
			id, _ := strconv.Atoi(length)
			leaves = append(leaves, iam.Leaf{Event: rest[:min(id, len(rest))], Data: data})
			return err
		})
	})
	return leaves, err
}

// between is the condition for events after, up to and with upto (empty: without end).
func (t *Tenant) between(after, upto string) (condition string, args []any) {
	if upto == "" {
		return ` AND j.id > $2`, []any{t.view.Tenant, after}
	}
	return ` AND j.id > $2 AND j.id <= $3`, []any{t.view.Tenant, after, upto}
}

// LeavesAfter gives events in the order of their ids.
func (t *Tenant) LeavesAfter(ctx context.Context, after, upto string, most int) ([]iam.Leaf, error) {
	condition, args := t.between(after, upto)
	args = append(args, deeds.Limit(most, 1000, 10000))
	return t.leaves(ctx, selectLeaf+condition+` ORDER BY j.id LIMIT $`+strconv.Itoa(len(args)), args)
}

// LeavesOf gives events by their ids, in any order. It is one statement for any number of them.
func (t *Tenant) LeavesOf(ctx context.Context, events []string) ([]iam.Leaf, error) {
	var all []iam.Leaf
	for some := range slices.Chunk(events, iam.TileSize) {
		args := make([]any, iam.TileSize+1)
		args[0] = t.view.Tenant
		places := make([]string, iam.TileSize)
		for i := range places {
			id := "" // no event's: the statement always has the same shape
			if i < len(some) {
				id = some[i]
			}
			places[i], args[i+1] = "$"+strconv.Itoa(i+2), id
		}
		leaves, err := t.leaves(ctx, selectLeaf+` AND j.id IN (`+strings.Join(places, ", ")+`)`, args)
		if err != nil {
			return nil, err
		}
		all = append(all, leaves...)
	}
	return all, nil
}

// Count counts events.
func (t *Tenant) Count(ctx context.Context, after, upto string) (int64, error) {
	var count int64
	condition, args := t.between(after, upto)
	err := t.read(ctx, func(tx deeds.Tx) error {
		_, err := deeds.One(tx, `SELECT count(*) FROM journal j WHERE j.tenant = $1`+condition, args, &count)
		return err
	})
	return count, err
}

// Head says how far the tree has come.
func (t *Tenant) Head(ctx context.Context) (iam.TreeHead, error) {
	var head iam.TreeHead
	err := t.read(ctx, func(tx deeds.Tx) error {
		_, err := deeds.One(tx, `SELECT COALESCE((SELECT value FROM counters WHERE tenant = $1 AND name = 'tree'), 0),
			COALESCE((SELECT value FROM house WHERE tenant = $1 AND name = $2), ''),
			COALESCE((SELECT high FROM tree_tiles WHERE tenant = $1 ORDER BY high DESC LIMIT 1), '')`,
			[]any{t.view.Tenant, wordCheckpoint}, &head.Size, &head.Checkpoint, &head.Newest)
		return err
	})
	return head, err
}

// Append keeps tiles and makes the tree larger, if size is its size, else ErrRaced.
func (t *Tenant) Append(ctx context.Context, size, more int64, tiles []iam.Tile, checkpoint string) error {
	return t.deed(ctx, nil, func(d *deed) error {
		if err := errors.Join(
			d.Later(`INSERT INTO counters (tenant, name, value) VALUES ($1, 'tree', 0) ON CONFLICT (tenant, name) DO NOTHING`, d.Tenant),
			d.Must(iam.ErrRaced, `UPDATE counters SET value = value + $3 WHERE tenant = $1 AND name = 'tree' AND value = $2`, d.Tenant, size, more),
		); err != nil {
			return err
		}
		for _, tile := range tiles {
			if err := d.keep(tile); err != nil {
				return err
			}
		}
		return d.setWord(wordCheckpoint, checkpoint)
	})
}

func (d *deed) keep(tile iam.Tile) error {
	packed := make([]byte, 0, len(tile.Hashes)*len(iam.Digest{}))
	for _, hash := range tile.Hashes {
		packed = append(packed, hash[:]...)
	}
	var low, high string
	if len(tile.Events) > 0 {
		low, high = slices.Min(tile.Events), slices.Max(tile.Events)
	}
	return d.Later(`INSERT INTO tree_tiles (tenant, level, number, low, high, hashes, events) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (tenant, level, number) DO UPDATE SET low = excluded.low, high = excluded.high, hashes = excluded.hashes, events = excluded.events`,
		d.Tenant, int64(tile.Level), tile.Number, low, high, deeds.Encode(packed), deeds.Join(tile.Events))
}

// Tiles gives the tiles of a level with numbers in [from, to).
func (t *Tenant) Tiles(ctx context.Context, level int, from, to int64) ([]iam.Tile, error) {
	var tiles []iam.Tile
	err := t.read(ctx, func(tx deeds.Tx) error {
		tiles = nil
		return tx.Query(`SELECT number, hashes, events FROM tree_tiles WHERE tenant = $1 AND level = $2 AND number >= $3 AND number < $4 ORDER BY number`,
			[]any{t.view.Tenant, int64(level), from, to}, func(row deeds.Row) error {
				tile := iam.Tile{Level: level}
				var hashes, events string
				if err := row.Scan(&tile.Number, &hashes, &events); err != nil {
					return err
				}
				packed, err := deeds.Decode(hashes)
				if err != nil || len(packed)%len(iam.Digest{}) != 0 {
					packed = nil // a tile that can't be read has no hashes: the notary says so
				}
				for ; len(packed) >= len(iam.Digest{}); packed = packed[len(iam.Digest{}):] {
					tile.Hashes = append(tile.Hashes, [32]byte(packed[:32]))
				}
				tile.Events = deeds.Split(events)
				tiles = append(tiles, tile)
				return nil
			})
	})
	return tiles, err
}

// Listed calls each for every event after, up to and with upto, that is a leaf; in no order.
func (t *Tenant) Listed(ctx context.Context, after, upto string, each func(event string)) error {
	return t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(`SELECT events FROM tree_tiles WHERE tenant = $1 AND high > $2 AND low <= $3`, []any{t.view.Tenant, after, upto}, func(row deeds.Row) error {
			var events string
			err := row.Scan(&events)
			for event := range strings.SplitSeq(events, " ") {
				if event > after && event <= upto {
					each(event)
				}
			}
			return err
		})
	})
}
