package notary

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gardeauth/garde/internal/iam"
)

// Report says what a verification found.
type Report struct {
	OK         bool     `json:"ok"`
	Size       int64    `json:"size"`                 // rows that the signed head covers
	Unlisted   int      `json:"unlisted"`             // rows that wait to become leaves (at most a page is counted)
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

const (
	maxFaults  = 1000
	verifyStep = 500
)

// Verify proves every row against its leaf, every leaf against the tree, and the tree against its signed head; and the
// tree against an earlier head, where one is given. The error is for what could not be read; what was read and is wrong
// stands in the report.
func (n *Notary) Verify(ctx context.Context, earlier string) (Report, error) {
	report := Report{Faults: []string{}}
	kept, err := n.load(ctx)
	if err != nil && !errors.Is(err, ErrAltered) {
		return report, err
	}
	size, sizeErr := n.Tree.Size(ctx)
	waiting, waitErr := n.Tree.Unlisted(ctx, 10_000)
	if err := errors.Join(sizeErr, waitErr); err != nil {
		return report, err
	}
	report.Size, report.Unlisted = size, len(waiting)
	if err != nil {
		report.fault("the signed head can't be read: %v", err)
		return report, nil
	}
	report.Checkpoint, report.Verifier = kept.Checkpoint, kept.Verifier
	walk := newWalk()
	for from := int64(0); from < size; from += verifyStep {
		if err := n.verifyRows(ctx, walk, from, min(from+verifyStep, size), &report); err != nil {
			return report, err
		}
	}
	if err := verifyHead(kept, walk, size, &report); err != nil {
		return report, err
	}
	if earlier != "" {
		if err := n.verifyEarlier(ctx, kept, earlier, size, &report); err != nil {
			return report, err
		}
	}
	report.OK = len(report.Faults) == 0
	return report, nil
}

func (n *Notary) verifyRows(ctx context.Context, walk *walk, from, to int64, report *Report) error {
	rows, leaves, err := n.Tree.LeafData(ctx, from, to)
	if err != nil {
		return err
	}
	byIndex := make(map[int64]int, len(leaves))
	for i, leaf := range leaves {
		byIndex[leaf.Index] = i
	}
	var indexes []int64
	var computed []tlog.Hash
	for index := from; index < to; index++ {
		i, there := byIndex[index]
		leaf := tlog.Hash{}
		switch {
		case !there:
			report.fault("leaf %d is gone", index)
		case rows[i].Data == nil:
			report.fault("leaf %d: the row of event %s is gone", index, leaves[i].Event)
			leaf = leaves[i].Hash
		default:
			leaf = tlog.RecordHash(rows[i].Data)
			if leaf != tlog.Hash(leaves[i].Hash) {
				report.fault("leaf %d: the row of event %s was altered", index, leaves[i].Event)
				leaf = leaves[i].Hash // go on with what was kept, so that one altered row is one fault
			}
		}
		more, err := walk.add(leaf)
		if err != nil {
			return err
		}
		at := tlog.StoredHashIndex(0, index)
		for j, hash := range more {
			indexes, computed = append(indexes, at+int64(j)), append(computed, hash)
		}
	}
	return n.compare(ctx, indexes, computed, report)
}

// compare holds the tree's kept hashes against those that the rows give.
func (n *Notary) compare(ctx context.Context, indexes []int64, computed []tlog.Hash, report *Report) error {
	kept, err := n.Tree.Hashes(ctx, indexes)
	if errors.Is(err, iam.ErrNotFound) {
		kept = make([][32]byte, len(indexes))
		for i, index := range indexes {
			one, err := n.Tree.Hashes(ctx, []int64{index})
			switch {
			case errors.Is(err, iam.ErrNotFound):
				level, at := tlog.SplitStoredHashIndex(index)
				report.fault("the tree's hash %d at level %d is gone", at, level)
				kept[i] = computed[i]
			case err != nil:
				return err
			default:
				kept[i] = one[0]
			}
		}
	} else if err != nil {
		return err
	}
	for i, hash := range computed {
		if tlog.Hash(kept[i]) != hash {
			level, at := tlog.SplitStoredHashIndex(indexes[i])
			report.fault("the tree's hash %d at level %d is not that of the leaves below it", at, level)
		}
	}
	return nil
}

func verifyHead(kept *state, walk *walk, size int64, report *Report) error {
	if kept.Checkpoint == "" {
		if size > 0 {
			report.fault("%d rows are in the tree, and no head was ever signed", size)
		}
		return nil
	}
	head, err := openHead(kept.Checkpoint, kept.Verifier)
	if err != nil {
		report.fault("%v", err)
		return nil
	}
	if head.N != size {
		report.fault("the signed head covers %d rows, the tree has %d", head.N, size)
		return nil
	}
	root, err := walk.root()
	if err != nil {
		return err
	}
	if root != head.Hash {
		report.fault("the rows and the tree agree, but not with the signed head: they were rewritten together")
	}
	return nil
}

func (n *Notary) verifyEarlier(ctx context.Context, kept *state, earlier string, size int64, report *Report) error {
	consistent := false
	report.Consistent = &consistent
	older, err := openHead(strings.TrimSpace(earlier)+"\n", kept.Verifier) // people copy it by hand
	if err != nil {
		report.fault("the earlier checkpoint: %v", err)
		return nil
	}
	head, err := openHead(kept.Checkpoint, kept.Verifier)
	if err != nil {
		report.fault("%v", err)
		return nil
	}
	if older.N > size {
		report.fault("the earlier checkpoint covers %d rows, the tree has %d: rows were taken away", older.N, size)
		return nil
	}
	if older.N == 0 {
		consistent = true
		return nil
	}
	proof, err := tlog.ProveTree(head.N, older.N, stored(ctx, n.Tree))
	if err == nil {
		err = tlog.CheckTree(proof, head.N, head.Hash, older.N, older.Hash)
	}
	if err != nil {
		report.fault("the journal is not a continuation of the earlier checkpoint: something before row %d was changed", older.N)
		return nil
	}
	consistent = true
	return nil
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
