package notary_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/notary"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

// late keeps an event whose id tells of that time.
func (b *book) late(at time.Time) {
	b.t.Helper()
	event := journal.New(at, journal.GroupChanged{What: "added", Name: "late"})
	event.ID = idAt(at)
	if err := b.tenant.Record(b.t.Context(), event); err != nil {
		b.t.Fatal(err)
	}
}

func (b *book) step() int64 {
	b.t.Helper()
	if err := b.Turn(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	head, err := b.Tree.Head(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return head.Size
}

func bookAt(t *testing.T, address string, clock *notary.Clock) *book {
	t.Helper()
	opened, err := store.Open(t.Context(), address, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { opened.Close() })
	tenant := opened.Tenant(iam.DefaultTenant)
	return &book{
		Notary: &notary.Notary{Tree: tenant, Sealer: sealer(t), Tenant: iam.DefaultTenant, Origin: "login.example", Now: clock.Now},
		tenant: tenant, store: opened, t: t,
	}
}

// A row is seen when its deed commits, which may be after rows with greater ids became leaves.
func TestRowsThatCommitLateBecomeLeaves(t *testing.T) {
	for name, address := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "garde.db"), "postgres": pgtest.New(t)} {
		t.Run(name, func(t *testing.T) {
			start := time.UnixMilli(time.Now().UnixMilli() &^ 15) // where a slot begins
			clock := &notary.Clock{Time: start}
			b := bookAt(t, address, clock)
			want := func(now time.Duration, size int64, why string) {
				t.Helper()
				clock.Time = start.Add(now)
				if got := b.step(); got != size {
					t.Errorf("after %s the tree has %d leaves, want %d: %s", now, got, size, why)
				}
			}
			for i := range 600 {
				b.late(start.Add(time.Duration(i) * 20 * time.Millisecond))
			}
			want(12*time.Second, 596, "those of the last moment wait")
			want(13*time.Second, 600, "all")
			b.late(start.Add(12500 * time.Millisecond))
			b.late(start.Add(11500 * time.Millisecond))
			want(13*time.Second, 601, "the one behind is too far back for a turn, the new one is not")
			b.late(start.Add(12400 * time.Millisecond))
			want(13200*time.Millisecond, 602, "a moment late is seen at once")
			b.late(start)
			want(13400*time.Millisecond, 602, "long late is seen when the window is counted")
			want(13*time.Second+notary.Sweep, 604, "both late rows")
			b.late(start.Add(100 * time.Millisecond))
			b.late(start.Add(time.Hour)) // of a node whose clock is wrong
			b.Notary = &notary.Notary{Tree: b.Tree, Sealer: b.Sealer, Tenant: b.Tenant, Origin: b.Origin, Now: clock.Now}
			want(100*time.Second, 605, "a node that starts looks at the whole window")
			want(61*time.Minute, 606, "the row of the future")
			b.late(start.Add(59*time.Minute + 30*time.Second))
			want(61*time.Minute+notary.Sweep, 607, "behind a row of the future")
			if report := b.verify(""); !report.OK || report.Size != 607 || report.Unlisted != 0 {
				t.Errorf("%+v", report)
			}
			b.late(start.Add(time.Minute))
			want(62*time.Minute, 607, "its time is over")
			if report := b.verify(""); report.OK || len(report.Faults) != 1 {
				t.Errorf("a row put in behind is not told: %+v", report)
			}
		})
	}
}

// A deed of PostgreSQL that has written its journal row and not committed holds nobody up, and its row becomes a leaf.
func TestADeedUnderWayOnPostgreSQL(t *testing.T) {
	clock := &notary.Clock{Time: time.Now()}
	b := bookAt(t, pgtest.New(t), clock)
	slow := journal.New(clock.Time, journal.GroupChanged{What: "added", Name: "slow"})
	written, commit, ended := make(chan bool), make(chan bool), make(chan error, 1)
	go func() {
		ended <- b.store.Engine.Deed(t.Context(), func(tx deeds.Tx) error {
			_, err := tx.Exec(`INSERT INTO journal (tenant, id, made, kind, actor, client, user_id, session, grant_id, trace, detail, commitment)
				VALUES ($1, $2, $3, 'group.changed', '', '', '', '', '', '', '{}', '')`, string(iam.DefaultTenant), slow.ID, slow.At.UnixMicro())
			close(written)
			<-commit
			return err
		})
	}()
	<-written
	time.Sleep(5 * time.Millisecond)
	b.write(5)
	clock.Time = time.Now().Add(time.Second)
	if size := b.step(); size != 5 {
		t.Errorf("%d leaves while a deed is under way, want 5", size)
	}
	close(commit)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	clock.Time = clock.Time.Add(notary.Sweep)
	if size := b.step(); size != 6 {
		t.Errorf("%d leaves after it, want 6", size)
	}
	if report := b.verify(""); !report.OK {
		t.Errorf("%+v", report)
	}
}
