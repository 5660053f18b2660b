package notary

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gardeauth/garde/internal/iam"
)

const (
	tileSize   = iam.TileSize
	tileHeight = 8 // levels of the tree in a level of tiles
)

// place is where a tile stands.
type place struct {
	level  int
	number int64
}

// lies says where a hash of the tree comes from: the root over some hashes of a tile, from one on.
func lies(index int64) (at place, from, width int64) {
	level, n := tlog.SplitStoredHashIndex(index)
	width = 1 << (level % tileHeight)
	first := n * width
	return place{level / tileHeight, first / tileSize}, first % tileSize, width
}

// over is the root over a power of two of hashes.
func over[H ~[32]byte](hashes []H) tlog.Hash {
	if len(hashes) == 1 {
		return tlog.Hash(hashes[0])
	}
	middle := len(hashes) / 2
	return tlog.NodeHash(over(hashes[:middle]), over(hashes[middle:]))
}

// within takes a hash of the tree out of its tile.
func within(tile *iam.Tile, from, width int64) (tlog.Hash, error) {
	if tile == nil || int64(len(tile.Hashes)) < from+width {
		return tlog.Hash{}, fmt.Errorf("the tree's tile is gone or too short: %w", iam.ErrNotFound)
	}
	return over(tile.Hashes[from : from+width]), nil
}

// frontier is the tree as far as it still grows: the last tile of each level, unless that is full.
type frontier struct {
	size int64
	last []*iam.Tile // by level; nil where a tile is about to begin
	done []iam.Tile  // those that became full since
}

func openFrontier(ctx context.Context, tree iam.Tree, size int64) (*frontier, error) {
	f := &frontier{size: size}
	for level, count := 0, size; count > 0; level, count = level+1, count/tileSize {
		var last *iam.Tile
		if count%tileSize != 0 {
			tiles, err := tree.Tiles(ctx, level, count/tileSize, count/tileSize+1)
			if err != nil {
				return nil, err
			}
			if len(tiles) != 1 || int64(len(tiles[0].Hashes)) != count%tileSize || level == 0 && len(tiles[0].Events) != len(tiles[0].Hashes) {
				return nil, ErrAltered
			}
			last = &tiles[0]
		}
		f.last = append(f.last, last)
	}
	return f, nil
}

// add appends a leaf.
func (f *frontier) add(event string, leaf tlog.Hash) {
	hash := leaf
	for level, number := 0, f.size/tileSize; ; level, number = level+1, number/tileSize {
		if level == len(f.last) {
			f.last = append(f.last, nil)
		}
		tile := f.last[level]
		if tile == nil {
			tile = &iam.Tile{Level: level, Number: number, Hashes: make([][32]byte, 0, tileSize)}
			f.last[level] = tile
		}
		tile.Hashes = append(tile.Hashes, hash)
		if level == 0 {
			tile.Events = append(tile.Events, event)
		}
		if len(tile.Hashes) < tileSize {
			break
		}
		f.done, f.last[level] = append(f.done, *tile), nil
		hash = over(tile.Hashes)
	}
	f.size++
}

// changed gives the tiles to be kept.
func (f *frontier) changed() []iam.Tile {
	tiles := f.done
	full := len(f.done) > 0 // only then did a level above the leaves change
	for level, tile := range f.last {
		if tile != nil && (level == 0 || full) {
			tiles = append(tiles, *tile)
		}
	}
	return tiles
}

// ReadHashes gives the hashes that the root is made of: they all lie at the frontier.
func (f *frontier) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		at, from, width := lies(index)
		var tile *iam.Tile
		if at.level < len(f.last) && f.last[at.level] != nil && f.last[at.level].Number == at.number {
			tile = f.last[at.level]
		}
		hash, err := within(tile, from, width)
		if err != nil {
			return nil, err
		}
		hashes[i] = hash
	}
	return hashes, nil
}

// forest reads any hash of the tree from storage. It keeps the tiles that were read last, for proofs share them.
type forest struct {
	ctx   context.Context //nolint:containedctx // it lives as long as the export or verification, whose context this is
	tree  iam.Tree
	tiles map[place]*iam.Tile
}

func newForest(ctx context.Context, tree iam.Tree) *forest {
	return &forest{ctx: ctx, tree: tree, tiles: map[place]*iam.Tile{}}
}

const forestSize = 256

func (f *forest) tile(at place) (*iam.Tile, error) {
	if tile, ok := f.tiles[at]; ok {
		return tile, nil
	}
	read, err := f.tree.Tiles(f.ctx, at.level, at.number, at.number+1)
	if err != nil {
		return nil, err
	}
	if len(f.tiles) >= forestSize {
		clear(f.tiles)
	}
	var tile *iam.Tile
	if len(read) == 1 {
		tile = &read[0]
	}
	f.tiles[at] = tile
	return tile, nil
}

func (f *forest) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		at, from, width := lies(index)
		tile, err := f.tile(at)
		if err != nil {
			return nil, err
		}
		if hashes[i], err = within(tile, from, width); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}
