package notary

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"

	"golang.org/x/mod/sumdb/tlog"
)

const exportFormat = "garde-journal-export-1"

// exportHead is the first line of an export.
type exportHead struct {
	Format     string `json:"format"`
	Checkpoint string `json:"checkpoint"`
	Verifier   string `json:"verifier"`
}

// exportRow is every further line: a leaf with the proof that it is in the tree.
type exportRow struct {
	Index int64             `json:"index"`
	Event map[string]string `json:"event"` // the leaf, readable
	Leaf  string            `json:"leaf"`  // the bytes that the tree commits to
	Proof []tlog.Hash       `json:"proof"`
}

// Export writes the journal from a row on as JSON lines: the signed head, then each leaf with its proof of inclusion.
// Personal fields are not in it: leaves only commit to them.
func (n *Notary) Export(ctx context.Context, from int64, out io.Writer) error {
	tree, err := n.Tree.Head(ctx)
	if err != nil {
		return err
	}
	kept, err := n.load(tree.Checkpoint)
	if err != nil {
		return err
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(exportHead{exportFormat, kept.Checkpoint, kept.Verifier}); err != nil || kept.Checkpoint == "" {
		return err
	}
	head, err := openHead(kept.Checkpoint, kept.Verifier)
	if err != nil {
		return errors.Join(ErrAltered, err)
	}
	hashes := newForest(ctx, n.Tree)
	for ; from < head.N; from = (from/tileSize + 1) * tileSize {
		if err := n.exportTile(ctx, hashes, head, from, encoder); err != nil {
			return err
		}
	}
	return nil
}

// exportTile writes the rest of a tile, from a row on.
func (n *Notary) exportTile(ctx context.Context, hashes *forest, head tlog.Tree, from int64, encoder *json.Encoder) error {
	tile, err := hashes.tile(place{0, from / tileSize})
	if err != nil {
		return err
	}
	end := min(head.N, (from/tileSize+1)*tileSize)
	if tile == nil || int64(len(tile.Events)) < end-tile.Number*tileSize {
		return errors.Join(ErrAltered, fmt.Errorf("rows %d to %d: their tile is gone or too short", from, end-1))
	}
	events := tile.Events[from%tileSize : end-tile.Number*tileSize]
	rows, err := n.rows(ctx, events)
	if err != nil {
		return err
	}
	for i, event := range events {
		index := from + int64(i)
		proof, err := tlog.ProveRecord(head.N, index, hashes)
		if err != nil {
			return fmt.Errorf("prove row %d: %w", index, err)
		}
		fields, err := Decode([]byte(rows[event]))
		if err != nil {
			return errors.Join(ErrAltered, fmt.Errorf("row %d: %w", index, err))
		}
		if err := encoder.Encode(exportRow{index, fields, rows[event], proof}); err != nil {
			return err
		}
	}
	return nil
}

// rows gives the bytes of events.
func (n *Notary) rows(ctx context.Context, events []string) (map[string]string, error) {
	leaves, err := n.Tree.LeavesOf(ctx, events)
	rows := make(map[string]string, len(leaves))
	for _, leaf := range leaves {
		rows[leaf.Event] = leaf.Data
	}
	return rows, err
}

// maxLine bounds a line of an export.
const maxLine = 1 << 20

// VerifyExport proves an export without any storage. A verifier key that was noted elsewhere should be given: without it
// the export vouches for itself, and whoever forged it whole would go unnoticed.
func VerifyExport(in io.Reader, verifier string) (Report, error) {
	report := Report{Faults: []string{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	var head exportHead
	if !lines.Scan() || strict(lines.Bytes(), &head) != nil || head.Format != exportFormat {
		return report, errors.Join(errors.New("this is no export of a journal"), lines.Err())
	}
	report.Checkpoint, report.Verifier = head.Checkpoint, head.Verifier
	if verifier != "" && verifier != head.Verifier {
		report.fault("the export was signed by another key: %q", head.Verifier)
		return report, nil
	}
	tree, err := openHead(head.Checkpoint, head.Verifier)
	if err != nil && head.Checkpoint != "" {
		report.fault("%v", err)
		return report, nil
	}
	last := int64(-1)
	for lines.Scan() {
		var row exportRow
		if err := strict(lines.Bytes(), &row); err != nil {
			report.fault("after row %d: a line can't be read: %v", last, err)
			return report, nil
		}
		report.verifyRow(tree, row, &last)
	}
	if lines.Err() == nil && last+1 != tree.N {
		report.fault("the export ends with row %d, the signed head covers %d rows: the end is missing", last, tree.N)
	}
	report.OK = len(report.Faults) == 0
	return report, lines.Err()
}

func (r *Report) verifyRow(tree tlog.Tree, row exportRow, last *int64) {
	switch {
	case row.Index <= *last:
		r.fault("row %d comes after row %d", row.Index, *last)
		return
	case *last >= 0 && row.Index != *last+1:
		r.fault("rows %d to %d are missing", *last+1, row.Index-1)
	}
	*last = row.Index
	if row.Index >= tree.N || tlog.CheckRecord(row.Proof, tree.N, tree.Hash, row.Index, tlog.RecordHash([]byte(row.Leaf))) != nil {
		r.fault("row %d (event %q) is not in the signed tree: it was altered", row.Index, row.Event["id"])
		return
	}
	fields, err := Decode([]byte(row.Leaf))
	if err != nil || !maps.Equal(fields, row.Event) {
		r.fault("row %d: the readable event is not what its leaf says", row.Index)
	}
	r.Size++
}

func strict(line []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("something follows the value")
	}
	return nil
}
