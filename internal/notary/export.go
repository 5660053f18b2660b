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
	kept, err := n.load(ctx)
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
	for ; from < head.N; from += verifyStep {
		rows, leaves, err := n.Tree.LeafData(ctx, from, min(from+verifyStep, head.N))
		if err != nil {
			return err
		}
		for i, leaf := range leaves {
			proof, err := tlog.ProveRecord(head.N, leaf.Index, stored(ctx, n.Tree))
			if err != nil {
				return fmt.Errorf("prove row %d: %w", leaf.Index, err)
			}
			fields, err := Decode(rows[i].Data)
			if err != nil {
				return errors.Join(ErrAltered, fmt.Errorf("row %d: %w", leaf.Index, err))
			}
			if err := encoder.Encode(exportRow{leaf.Index, fields, string(rows[i].Data), proof}); err != nil {
				return err
			}
		}
	}
	return nil
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
