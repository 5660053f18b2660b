package notary

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gardeauth/garde/internal/iam"
)

// Report says what a verification found.
type Report struct {
	OK         bool     `json:"ok"`
	Size       int64    `json:"size"`                 // rows that the signed head covers
	Unlisted   int      `json:"unlisted"`             // rows that wait to become leaves
	Checkpoint string   `json:"checkpoint"`           // the signed head
	Verifier   string   `json:"verifier"`             // the key that verifies it
	Consistent *bool    `json:"consistent,omitempty"` // with the earlier checkpoint that was shown
	Faults     []string `json:"faults"`
}

func (r *Report) fault(format string, args ...any) {
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
	}
}

const maxFaults = 1000

// Verify proves every row against its leaf, every leaf against the tree, and the tree against its signed head; and the
// tree against an earlier head, where one is given. The error is for what could not be read; what was read and is wrong
// stands in the report.
func (n *Notary) Verify(ctx context.Context, earlier string) (Report, error) {
	report := Report{Faults: []string{}}
	tree, err := n.Tree.Head(ctx)
	if err != nil {
		return report, err
	}
	report.Size = tree.Size
	kept, err := n.load(tree.Checkpoint)
	if errors.Is(err, ErrAltered) {
		report.fault("the signed head can't be read: %v", err)
		return report, nil
	}
	if err != nil {
		return report, err
	}
	report.Checkpoint, report.Verifier = kept.Checkpoint, kept.Verifier
	v := &verification{Notary: n, ctx: ctx, report: &report, tree: tree, kept: kept, hashes: newForest(ctx, n.Tree), tiles: newWalk(), rows: newWalk()}
	for number := int64(0); number*tileSize < tree.Size; number++ {
		if err := v.tile(number); err != nil {
			return report, err
		}
	}
	if err := v.head(); err != nil {
		return report, err
	}
	if err := v.strays(); err != nil {
		return report, err
	}
	if earlier != "" {
		v.earlier(earlier)
	}
	report.OK = len(report.Faults) == 0
	return report, nil
}

// verification is one look at all rows. It builds the tree twice, of the hashes that its tiles keep and of those that the
// rows have: the signed head says which of two that differ was altered.
type verification struct {
	*Notary
	ctx    context.Context //nolint:containedctx // it lives as long as the verification, whose context this is
	report *Report
	tree   iam.TreeHead
	kept   *state
	hashes *forest
	tiles  *walk
	rows   *walk
	differ []difference
	broken bool // a tile can't be read: no root can be right
	// rows that are there: those that all have to be leaves by now, and newer ones
	settled, fresh int64
}

type difference struct {
	index int64
	event string
	moved bool // the row has the hash of another leaf
}

// tile holds the leaves of a tile against their rows.
func (v *verification) tile(number int64) error {
	first := number * tileSize
	width := min(tileSize, v.tree.Size-first)
	tile, err := v.hashes.tile(place{0, number})
	switch {
	case err != nil:
		return err
	case tile == nil:
		v.report.fault("leaves %d to %d are gone", first, first+width-1)
		tile = &iam.Tile{}
	case int64(len(tile.Hashes)) < width || int64(len(tile.Events)) < width:
		v.report.fault("leaves %d to %d: their tile was altered, it holds %d hashes of %d events", first, first+width-1, len(tile.Hashes), len(tile.Events))
		tile = &iam.Tile{}
	}
	if len(tile.Hashes) == 0 {
		v.broken = true
		tile.Hashes, tile.Events = make([][32]byte, width), make([]string, width)
	}
	rows, err := v.Notary.rows(v.ctx, tile.Events[:width])
	if err != nil {
		return err
	}
	for i, event := range tile.Events[:width] {
		if err := v.leaf(tile, int64(i), first+int64(i), event, rows[event]); err != nil {
			return err
		}
	}
	return nil
}

func (v *verification) leaf(tile *iam.Tile, i, index int64, event string, row string) error {
	kept := tlog.Hash(tile.Hashes[i])
	hash := kept
	switch {
	case event == "": // told with its tile
	case row == "":
		v.report.fault("leaf %d: the row of event %s is gone", index, event)
	default:
		if hash = tlog.RecordHash([]byte(row)); hash != kept && len(v.differ) < maxFaults {
			v.differ = append(v.differ, difference{index, event, slices.Contains(tile.Hashes, [32]byte(hash))})
		}
		if event <= begin(v.kept.Whole) {
			v.settled++
		} else {
			v.fresh++
		}
	}
	if _, err := v.rows.add(hash); err != nil {
		return err
	}
	roots, err := v.tiles.add(kept)
	if err != nil {
		return err
	}
	for level := tileHeight; level < len(roots); level += tileHeight {
		if err := v.root(level, index>>level, roots[level]); err != nil {
			return err
		}
	}
	return nil
}

// root holds the root over full tiles against what the level above keeps of it.
func (v *verification) root(level int, number int64, computed tlog.Hash) error {
	tile, err := v.hashes.tile(place{level / tileHeight, number / tileSize})
	if err != nil {
		return err
	}
	switch kept, err := within(tile, number%tileSize, 1); {
	case err != nil:
		v.report.fault("the tree's hash %d at level %d is gone", number, level)
	case kept != computed && !v.broken:
		v.report.fault("the tree's hash %d at level %d is not that of the leaves below it", number, level)
	}
	return nil
}

// head holds the tree against its signed head, and says of each leaf that differs from its row which one was altered.
func (v *verification) head() error {
	ofTiles, err := v.tiles.root()
	if err != nil {
		return err
	}
	ofRows, err := v.rows.root()
	if err != nil {
		return err
	}
	signed := tlog.Tree{}
	if v.kept.Checkpoint != "" {
		if signed, err = openHead(v.kept.Checkpoint, v.kept.Verifier); err != nil {
			v.report.fault("%v", err)
		}
	}
	matches := err == nil && signed.N == v.tree.Size
	for _, d := range v.differ {
		switch {
		case d.moved:
			v.report.fault("leaf %d: the row of event %s is that of another leaf: the order was altered", d.index, d.event)
		case matches && ofTiles == signed.Hash:
			v.report.fault("leaf %d: the row of event %s was altered", d.index, d.event)
		case matches && ofRows == signed.Hash:
			v.report.fault("leaf %d: its hash in the tree was altered; the row of event %s is what was signed", d.index, d.event)
		default:
			v.report.fault("leaf %d: the row of event %s, or its hash in the tree, was altered", d.index, d.event)
		}
	}
	switch {
	case err != nil:
	case v.kept.Checkpoint == "" && v.tree.Size > 0:
		v.report.fault("%d rows are in the tree, and no head was ever signed", v.tree.Size)
	case signed.N != v.tree.Size:
		v.report.fault("the signed head covers %d rows, the tree has %d", signed.N, v.tree.Size)
	case v.tree.Size > 0 && !v.broken && len(v.differ) == 0 && ofTiles != signed.Hash:
		v.report.fault("the rows and the tree agree, but not with the signed head: they were rewritten together")
	}
	return nil
}

// strays counts the rows that wait to become leaves, and tells those that should be and are not.
func (v *verification) strays() error {
	whole := begin(v.kept.Whole)
	waiting, err := v.Tree.Count(v.ctx, whole, "")
	if err != nil {
		return err
	}
	v.report.Unlisted = int(max(waiting-v.fresh, 0))
	settled, err := v.Tree.Count(v.ctx, "", whole)
	if err != nil || settled == v.settled {
		return err
	}
	return strays(v.ctx, v.Tree, "", whole, func(row iam.Leaf) bool {
		v.report.fault("the row of event %s is in no leaf: it was put in when its time was over", row.Event)
		return len(v.report.Faults) < maxFaults
	})
}

// earlier holds the tree against an earlier head.
func (v *verification) earlier(text string) {
	consistent := false
	v.report.Consistent = &consistent
	older, err := openHead(strings.TrimSpace(text)+"\n", v.kept.Verifier) // people copy it by hand
	if err != nil {
		v.report.fault("the earlier checkpoint: %v", err)
		return
	}
	head, err := openHead(v.kept.Checkpoint, v.kept.Verifier)
	if err != nil {
		v.report.fault("%v", err)
		return
	}
	if older.N > v.tree.Size {
		v.report.fault("the earlier checkpoint covers %d rows, the tree has %d: rows were taken away", older.N, v.tree.Size)
		return
	}
	if older.N > 0 {
		proof, err := tlog.ProveTree(head.N, older.N, v.hashes)
		if err == nil {
			err = tlog.CheckTree(proof, head.N, head.Hash, older.N, older.Hash)
		}
		if err != nil {
			v.report.fault("the journal is not a continuation of the earlier checkpoint: something before row %d was changed", older.N)
			return
		}
	}
	consistent = true
}

// walk builds a tree leaf by leaf and keeps only the hashes that are still needed, so that a journal of any length is
// verified in little memory.
type walk struct {
	size int64
	open map[int64]tlog.Hash
}

func newWalk() *walk { return &walk{open: map[int64]tlog.Hash{}} }

// ReadHashes gives hashes that add and root need.
func (w *walk) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hash, ok := w.open[index]
		if !ok {
			return nil, fmt.Errorf("hash %d is not at hand", index)
		}
		hashes[i] = hash
	}
	return hashes, nil
}

// add appends a leaf and gives the hashes that the tree keeps for it.
func (w *walk) add(leaf tlog.Hash) ([]tlog.Hash, error) {
	var used []int64
	more, err := tlog.StoredHashesForRecordHash(w.size, leaf, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		used = append(used, indexes...)
		return w.ReadHashes(indexes)
	}))
	if err != nil {
		return nil, err
	}
	for _, index := range used { // they are below a hash that is complete now
		delete(w.open, index)
	}
	top := len(more) - 1
	w.open[tlog.StoredHashIndex(0, w.size)+int64(top)] = more[top]
	w.size++
	return more, nil
}

func (w *walk) root() (tlog.Hash, error) { return tlog.TreeHash(w.size, w) }
