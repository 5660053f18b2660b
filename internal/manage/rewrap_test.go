package manage_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/deliver"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/internal/notary"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

// sealing is every part of a node that seals what it keeps, under one sealer.
type sealing struct {
	t      *testing.T
	house  *sqlstore.Tenant
	ring   *keys.Ring
	queue  *deliver.Queue
	notary *notary.Notary
	notes  session.Notes
	sent   []string
}

func newSealing(t *testing.T, house *sqlstore.Tenant, sealer seal.Sealer, now func() time.Time) *sealing {
	s := &sealing{t: t, house: house}
	s.ring = &keys.Ring{Store: house, Sealer: sealer, Tenant: iam.DefaultTenant}
	work := func(_ context.Context, body []byte) error {
		s.sent = append(s.sent, string(body))
		return nil
	}
	s.queue = deliver.New(deliver.Queue{
		Deliveries: house, Journal: house, Sealer: sealer, Tenant: iam.DefaultTenant, Now: now,
		Works: map[string]deliver.Work{"mail": work, "later": work},
	})
	s.notary = &notary.Notary{Tree: house, Sealer: sealer, Tenant: iam.DefaultTenant, Origin: "login.example"}
	s.notes = session.Notes{Sealer: sealer, Tenant: iam.DefaultTenant}
	return s
}

func (s *sealing) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// everySealed gives all sealed values of a storage, wherever they stand.
func everySealed(t *testing.T, opened *store.Store, tables string) []string {
	t.Helper()
	var all []string
	err := opened.Engine.Read(t.Context(), func(tx deeds.Tx) error {
		var names []string
		if err := tx.Query(tables, nil, func(row deeds.Row) error {
			var name string
			err := row.Scan(&name)
			names = append(names, name)
			return err
		}); err != nil {
			return err
		}
		for _, name := range names {
			if strings.HasPrefix(name, "goose") || strings.HasPrefix(name, "sqlite") {
				continue
			}
			if err := tx.Query("SELECT * FROM "+name, nil, func(row deeds.Row) error {
				values, err := row.Values()
				for _, value := range values {
					if text, ok := value.(string); ok {
						all = append(all, seal.Find(text)...)
					}
				}
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAfterARewrapTheOldMasterKeyOpensNothingAndNobodyNeedsIt(t *testing.T) {
	t.Parallel()
	for name, engine := range map[string]struct{ address, tables string }{
		"SQLite":     {"sqlite:" + filepath.Join(t.TempDir(), "garde.db"), `SELECT name FROM sqlite_master WHERE type = 'table'`},
		"PostgreSQL": {pgtest.New(t), `SELECT table_name::text FROM information_schema.tables WHERE table_schema = current_schema()`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opened, err := store.Open(t.Context(), engine.address, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			rewrapped(t, opened, engine.tables)
		})
	}
}

func rewrapped(t *testing.T, opened *store.Store, tables string) {
	ctx, house, now := t.Context(), opened.Tenant(iam.DefaultTenant), time.Now().UTC()
	old, fresh := master(t), master(t)
	before := newSealing(t, house, seal.Sealer{Current: old}, nil)
	before.must(before.ring.Ensure(ctx, jose.ES256, jose.RS256))
	before.must(before.queue.Enqueue(ctx, "mail", []byte("a mail")))
	before.must(before.queue.Later(ctx, "later", []byte("a work of tomorrow"), now.Add(24*time.Hour)))
	before.must(house.AddUser(ctx, iam.User{ID: "u-ada", Username: "ada", Created: now}, iam.Password{}))
	link := iam.Link{Hash: iam.HashLink("a link"), Kind: iam.LinkVerify, User: "u-ada", Created: now, Expires: now.Add(time.Hour)}
	var err error
	link.Flow, err = before.notes.Seal(link.Hash, []byte("a note"))
	before.must(err)
	before.must(house.AddLink(ctx, link))
	before.must(house.Record(ctx, journal.New(now, journal.GroupChanged{What: "added", Name: "g"})))
	before.must(before.notary.CatchUp(ctx))
	const kinds = 6 // two keys, two deliveries, a note, the journal's signer
	if all := everySealed(t, opened, tables); len(all) != kinds {
		t.Fatalf("%d values are sealed, want %d", len(all), kinds)
	}

	both := newSealing(t, house, seal.Sealer{Current: fresh, Previous: []seal.Master{old}}, nil)
	desk := manage.New(manage.Needs{House: house, Sealed: opened.Sealing(iam.DefaultTenant), Ring: both.ring})
	for _, want := range []int{kinds, 0} {
		if count, err := desk.Keys.Rewrap(ctx, "operator:test"); count != want || err != nil {
			t.Fatalf("%d, %v; want %d", count, err, want)
		}
	}
	for _, value := range everySealed(t, opened, tables) {
		if seal.KeyID(value) != fresh.ID() {
			t.Errorf("a value is still under the master key %s", seal.KeyID(value))
		}
	}

	after := newSealing(t, house, seal.Sealer{Current: fresh}, func() time.Time { return now.Add(25 * time.Hour) })
	after.must(after.ring.Load(ctx))
	_, err = after.queue.Turn(ctx)
	after.must(err)
	if len(after.sent) != 2 {
		t.Errorf("delivered were %q", after.sent)
	}
	kept, err := house.Link(ctx, iam.LinkVerify, link.Hash)
	after.must(err)
	if note, err := after.notes.Open(link.Hash, kept.Flow); string(note) != "a note" || err != nil {
		t.Errorf("the note of the link: %q, %v", note, err)
	}
	after.must(after.notary.CatchUp(ctx))
}

func master(t *testing.T) seal.Master {
	t.Helper()
	key, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	return key
}
