package notary_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/notary"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/store"
)

type book struct {
	*notary.Notary
	tenant interface {
		iam.Tree
		iam.Journal
	}
	store *store.Store
	t     testing.TB
}

func newBook(t testing.TB) *book {
	t.Helper()
	opened, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	tenant := opened.Tenant(iam.DefaultTenant)
	return &book{
		Notary: &notary.Notary{Tree: tenant, Sealer: sealer(t), Tenant: iam.DefaultTenant, Origin: "login.example"},
		tenant: tenant, store: opened, t: t,
	}
}

func sealer(t testing.TB) seal.Sealer {
	t.Helper()
	master, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	return seal.Sealer{Current: master}
}

// write keeps some events, one with a personal part.
func (b *book) write(count int) {
	b.t.Helper()
	for i := range count {
		event := journal.New(time.Now().UTC(), journal.GroupChanged{What: "added", Name: fmt.Sprint("group-", i)})
		event.Actor, event.Personal = "operator:test", map[string]string{"address": "192.0.2.7"}
		if err := b.tenant.Record(b.t.Context(), event); err != nil {
			b.t.Fatal(err)
		}
	}
}

// writeAtOnce keeps many events in one deed.
func (b *book) writeAtOnce(count int) {
	b.t.Helper()
	events := make([]journal.Event, count)
	for i := range events {
		events[i] = journal.New(time.Now(), journal.GroupChanged{What: "added", Name: fmt.Sprint("group-", i)})
		events[i].Personal = map[string]string{"address": "192.0.2.7"}
	}
	if err := b.tenant.Record(b.t.Context(), events...); err != nil {
		b.t.Fatal(err)
	}
}

// event is the id of a leaf, in SQL.
func event(index int) string {
	return fmt.Sprintf("(SELECT substr(events, %d, 36) FROM tree_tiles WHERE level = 0 AND number = %d)", index%256*37+1, index/256)
}

func (b *book) catchUp() {
	b.t.Helper()
	if err := b.CatchUp(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

func (b *book) verify(earlier string) notary.Report {
	b.t.Helper()
	report, err := b.Verify(b.t.Context(), earlier)
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}

// alter does what only a forger with the storage in hand could do.
func (b *book) alter(query string, args ...any) {
	b.t.Helper()
	changed, err := b.store.Engine.Together(b.t.Context(), statement(query, args...))
	if err != nil || changed[0] == 0 {
		b.t.Fatalf("altered %v rows: %v", changed, err)
	}
}

func TestTheTreeGrowsAndIsProved(t *testing.T) {
	b := newBook(t)
	if report := b.verify(""); !report.OK || report.Size != 0 {
		t.Errorf("an empty journal: %+v", report)
	}
	var heads []string
	for _, count := range []int{1, 1, 5, 300, 2} {
		b.write(count)
		b.catchUp()
		head, verifier, err := b.Head(t.Context())
		if err != nil || verifier == "" {
			t.Fatal(head, err)
		}
		heads = append(heads, head)
	}
	report := b.verify("")
	if !report.OK || report.Size != 309 || report.Unlisted != 0 {
		t.Errorf("%+v", report)
	}
	for i, head := range heads {
		if report := b.verify(head); !report.OK || report.Consistent == nil || !*report.Consistent {
			t.Errorf("head %d: %+v", i, report)
		}
	}
	// The personal part can go without breaking the proof.
	if erased, err := b.tenant.ErasePersonal(t.Context(), "", time.Now().Add(time.Hour)); err != nil || erased == 0 {
		t.Fatal(erased, err)
	}
	if report := b.verify(heads[0]); !report.OK {
		t.Errorf("after erasing: %+v", report)
	}
}

// A11: whatever is altered in the storage is told, and where.
func TestA11WhatIsAlteredIsTold(t *testing.T) {
	for name, row := range map[string]struct {
		query, says, too string
	}{
		"a row":               {`UPDATE journal SET actor = 'operator:nobody' WHERE id = ` + event(3), "leaf 3: the row of event", "was altered"},
		"a row's time":        {`UPDATE journal SET made = made + 1 WHERE id = ` + event(4), "leaf 4: the row of event", "was altered"},
		"a row is gone":       {`DELETE FROM journal WHERE id = ` + event(2), "leaf 2: the row of event", "is gone"},
		"a row put in":        {`INSERT INTO journal SELECT tenant, '00000000' || substr(id, 9), made, kind, actor, client, user_id, session, grant_id, trace, detail, commitment FROM journal WHERE id = ` + event(3), "the row of event 00000000", "is in no leaf"},
		"a row renamed":       {`UPDATE journal SET id = 'f' || substr(id, 2, 35) WHERE id = ` + event(258), "leaf 258: the row of event", ""},
		"a tile is gone":      {`DELETE FROM tree_tiles WHERE level = 0 AND number = 1`, "leaves 256 to 299 are gone", ""},
		"a leaf is gone":      {`UPDATE tree_tiles SET events = substr(events, 38) WHERE level = 0 AND number = 0`, "leaves 0 to 255: their tile was altered", ""},
		"a leaf's hash":       {`UPDATE tree_tiles SET hashes = 'AAAAAAAA' || substr(hashes, 9) WHERE level = 0 AND number = 1`, "leaf 256: its hash in the tree was altered", ""},
		"a hash of the tree":  {`UPDATE tree_tiles SET hashes = 'AAAAAAAA' || substr(hashes, 9) WHERE level = 1`, "the tree's hash 0 at level 8 is not that of the leaves", ""},
		"a hash is gone":      {`DELETE FROM tree_tiles WHERE level = 1`, "the tree's hash 0 at level 8 is gone", ""},
		"no hashes at all":    {`UPDATE tree_tiles SET hashes = '!' WHERE level = 0 AND number = 1`, "it holds 0 hashes of 44 events", ""},
		"the end is cut off":  {`UPDATE counters SET value = value - 1 WHERE name = 'tree'`, "the signed head covers 300 rows, the tree has 299", ""},
		"the commitment":      {`UPDATE journal SET commitment = '' WHERE id = ` + event(1), "leaf 1: the row of event", "was altered"},
		"the head":            {`UPDATE house SET value = REPLACE(value, 'journal\n300\n', 'journal\n301\n') WHERE name = 'checkpoint'`, "not signed by this journal", ""},
		"another key's head":  {`UPDATE house SET value = REPLACE(value, '"verifier":"', '"verifier":"x') WHERE name = 'checkpoint'`, "the signed head can't be read", ""},
		"two rows exchanged":  {`UPDATE tree_tiles SET events = substr(events, 38, 37) || substr(events, 1, 37) || substr(events, 75) WHERE level = 0 AND number = 0`, "leaf 1: the row of event", "the order was altered"},
		"the head is nothing": {`UPDATE house SET value = '{}' WHERE name = 'checkpoint'`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.writeAtOnce(300)
			b.catchUp()
			b.alter(row.query)
			report, err := b.Verify(t.Context(), "")
			if err != nil {
				if row.says != "" {
					t.Fatal(err)
				}
				return // nothing can be opened: that is told as an error
			}
			if report.OK || !strings.Contains(strings.Join(report.Faults, "\n"), row.says) || !strings.Contains(strings.Join(report.Faults, "\n"), row.too) {
				t.Errorf("%q, want %q, %q", report.Faults, row.says, row.too)
			}
		})
	}
}

// Rows, leaves and tree rewritten together agree with one another, but not with the head that was signed.
func TestAWholeForgeryIsTold(t *testing.T) {
	b := newBook(t)
	b.write(4)
	b.catchUp()
	head, _, _ := b.Head(t.Context())
	forged := newBook(t)
	forged.write(4)
	forged.catchUp()
	if report := forged.verify(head); report.OK {
		t.Errorf("a journal of another key continues this one: %+v", report)
	}
	// A tree that is not the signed one is never signed on top.
	b.alter(`UPDATE tree_tiles SET hashes = 'AAAAAAAA' || substr(hashes, 9)`)
	b.write(1)
	if err := b.CatchUp(t.Context()); err == nil {
		t.Error("a forged tree got a signature")
	}
}

func TestManyNodesWriteOneTree(t *testing.T) {
	b := newBook(t)
	var all sync.WaitGroup
	for range 8 {
		node := &notary.Notary{Tree: b.Tree, Sealer: b.Sealer, Tenant: b.Tenant, Origin: b.Origin}
		all.Go(func() {
			for range 20 {
				if err := node.CatchUp(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	b.write(700)
	all.Wait()
	b.catchUp()
	if report := b.verify(""); !report.OK || report.Size != 700 || report.Unlisted != 0 {
		t.Errorf("%d rows, %q", report.Size, report.Faults)
	}
}

func TestOnlyTheHolderOfTheLeaseWrites(t *testing.T) {
	b := newBook(t)
	b.write(1)
	b.Lease = func(context.Context) (bool, error) { return false, nil }
	b.catchUp()
	if report := b.verify(""); report.Size != 0 || report.Unlisted != 1 {
		t.Errorf("%+v", report)
	}
}

func TestRunAddsWithinASecond(t *testing.T) {
	b := newBook(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.write(3)
	time.Sleep(time.Second)
	if head, err := b.Tree.Head(t.Context()); head.Size != 3 || err != nil {
		t.Errorf("%d rows after a second, %v", head.Size, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The signer comes under a node's current master key whenever the node signs: a rewrap that runs at the same time stays.
func TestWhoeverSignsPutsTheSignerUnderTheCurrentMasterKey(t *testing.T) {
	b := newBook(t)
	b.write(2)
	b.catchUp()
	old := b.Sealer.Current
	b.Sealer = seal.Sealer{Current: sealer(t).Current, Previous: []seal.Master{old}}
	b.write(1)
	b.catchUp()
	b.Sealer.Previous = nil
	b.write(1)
	b.catchUp()
	if report := b.verify(""); !report.OK || report.Size != 4 {
		t.Errorf("%+v", report)
	}
}

func TestExports(t *testing.T) {
	b := newBook(t)
	b.write(12)
	b.catchUp()
	var out bytes.Buffer
	if err := b.Export(t.Context(), 0, &out); err != nil {
		t.Fatal(err)
	}
	_, verifier, _ := b.Head(t.Context())
	if strings.Contains(out.String(), "192.0.2.7") {
		t.Error("a personal field left the house")
	}
	lines := strings.SplitAfter(strings.TrimSuffix(out.String(), "\n"), "\n")
	for name, row := range map[string]struct {
		lines []string
		says  string // empty: proved
	}{
		"as it is":              {lines, ""},
		"a row is altered":      {replaced(lines, 4, "group-3", "group-X"), "row 3"},
		"only what people read": {replaced(lines, 4, `"kind":"group.changed"`, `"kind":"group.changes"`), "not what its leaf says"},
		"a row is missing":      {slices.Delete(slices.Clone(lines), 5, 6), "rows 4 to 4 are missing"},
		"the end is missing":    {lines[:10], "the end is missing"},
		"a row comes twice":     {slices.Insert(slices.Clone(lines), 5, lines[4]), "row 3 comes after row 3"},
		"another head":          {replaced(lines, 0, `journal\n12\n`, `journal\n13\n`), "not signed by this journal"},
		"a line that is none":   {slices.Insert(slices.Clone(lines), 5, "x\n"), "can't be read"},
	} {
		report, err := notary.VerifyExport(strings.NewReader(strings.Join(row.lines, "")), verifier)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if report.OK != (row.says == "") || !strings.Contains(strings.Join(report.Faults, "\n"), row.says) {
			t.Errorf("%s: %+v", name, report)
		}
	}
	if report, _ := notary.VerifyExport(&out, "login.example/journal+00000000+AAAA"); report.OK {
		t.Error("signed by another key, and proved")
	}
}

func replaced(lines []string, at int, old, with string) []string {
	changed := slices.Clone(lines)
	changed[at] = strings.ReplaceAll(changed[at], old, with)
	return changed
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("15:garde-journal-1,1:a,1:1,0:,0:,0:,0:,0:,0:,0:,2:{},0:,"))
	f.Add([]byte("15:garde-journal-1,99999999999999999999:,"))
	f.Add([]byte("-1:,"))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		fields, err := notary.Decode(leaf)
		if err == nil && len(fields) > 11 {
			t.Errorf("%d fields", len(fields))
		}
	})
}

func FuzzVerifyExport(f *testing.F) {
	f.Add([]byte(`{"format":"garde-journal-export-1","checkpoint":"","verifier":""}` + "\n"))
	f.Add([]byte(`{"format":"garde-journal-export-1","checkpoint":"x\n1\nAA=\n\n— x AAAA\n","verifier":"x+00000000+AAAA"}` + "\n" + `{"index":0,"event":{},"leaf":"","proof":[]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		report, err := notary.VerifyExport(bytes.NewReader(raw), "login.example/journal+00000000+AAAA")
		if err == nil && report.OK {
			t.Error("proved by a key that signs nothing")
		}
	})
}
