package storetest_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

// TestTwoNodes: two stores on one PostgreSQL act as one.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	address := pgtest.New(t)
	var nodes []*store.Store
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 2 { // both meet the empty database at once
		wg.Go(func() {
			s, err := store.Open(context.Background(), address, store.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			nodes = append(nodes, s)
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	one, two := nodes[0].Tenant(iam.DefaultTenant), nodes[1].Tenant(iam.DefaultTenant)
	t.Cleanup(func() {
		for _, node := range nodes {
			if err := node.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	if err := furnish(one); err != nil {
		t.Fatal(err)
	}
	t.Run("C03 of fifty on two nodes exactly one redeems", func(t *testing.T) {
		for range soaking(8, 100) {
			value := iam.NewSecret(iam.PrefixCode)
			if err := one.AddCode(context.Background(), childCode(value), iam.FlowHash{}, nil); err != nil {
				t.Fatal(err)
			}
			var wins atomic.Int64
			var wg sync.WaitGroup
			for i := range 50 {
				wg.Go(func() {
					tenant := one
					if i%2 == 0 {
						tenant = two
					}
					switch err := redeemChild(tenant, value); {
					case err == nil:
						wins.Add(1)
					case !errors.Is(err, iam.ErrSpent):
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if wins.Load() != 1 {
				t.Fatalf("%d won", wins.Load())
			}
		}
	})
	t.Run("a change wakes the other node at once", func(t *testing.T) {
		time.Sleep(100 * time.Millisecond) // until it listens
		begun := time.Now()
		woken := make(chan time.Duration, 1)
		go func() {
			_ = two.Wait(context.Background()) // the context does not end
			woken <- time.Since(begun)
		}()
		time.Sleep(20 * time.Millisecond)
		if err := one.RevokeToken(context.Background(), "t", time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if after := <-woken; after > 200*time.Millisecond {
			t.Fatalf("it woke after %v", after)
		}
	})
}

// TestF05Restart: what was spent or rotated before a restart is so after it.
func TestF05Restart(t *testing.T) {
	t.Parallel()
	address := "sqlite:" + filepath.Join(t.TempDir(), "garde.db")
	s := openAt(t, address, nil)
	tenant := s.Tenant(iam.DefaultTenant)
	if err := furnish(tenant); err != nil {
		t.Fatal(err)
	}
	value := iam.NewSecret(iam.PrefixCode)
	if err := tenant.AddCode(context.Background(), childCode(value), iam.FlowHash{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := redeemChild(tenant, value); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := redeemChild(tenant, value); !errors.Is(err, iam.ErrUnavailable) {
		t.Fatalf("a closed store answers %v", err)
	}
	if err := redeemChild(openAt(t, address, nil).Tenant(iam.DefaultTenant), value); !errors.Is(err, iam.ErrSpent) {
		t.Fatalf("after the restart: %v", err)
	}
}

// TestA12Restore: a backup taken while running is restored into either engine, and revives nothing.
func TestA12Restore(t *testing.T) {
	t.Parallel()
	for name, addresses := range map[string][2]string{
		"sqlite into postgres": {"sqlite:" + filepath.Join(t.TempDir(), "garde.db"), pgtest.New(t)},
		"postgres into sqlite": {pgtest.New(t), "sqlite:" + filepath.Join(t.TempDir(), "garde.db")},
	} {
		t.Run(name, func(t *testing.T) { backUpAndRestore(t, addresses[0], addresses[1]) })
	}
}

func backUpAndRestore(t *testing.T, from, into string) {
	ctx := context.Background()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	source := openAt(t, from, nil)
	old := source.Tenant(iam.DefaultTenant)
	check(furnish(old))
	check(old.SetPassword(ctx, iam.Password{User: "u-ada", PHC: "phc"}, ""))
	check(old.AddKey(ctx, iam.Key{ID: "k", Alg: "ES256", Created: time.Now()}))
	check(old.GiveConsent(ctx, iam.Consent{User: "u-ada", Client: "c-app", Scope: []string{"a"}}))
	check(old.Record(ctx, benchEvent()...))
	session := iam.Session{ID: "s", Hash: iam.HashSession(iam.NewSecret(iam.PrefixSession)), User: "u-ada", Seen: time.Now(), Expires: time.Now().Add(time.Hour)}
	check(old.StartSession(ctx, session, iam.SessionHash{}))
	waiting := iam.NewSecret(iam.PrefixCode)
	check(old.AddCode(ctx, childCode(waiting), iam.FlowHash{}, nil))
	came := comers(t, old)
	epoch, err := old.Epoch(ctx)
	check(err)
	backup := filepath.Join(t.TempDir(), "backup")
	check(source.Backup(ctx, backup))
	if source.Backup(ctx, backup) == nil {
		t.Fatal("a backup replaced a file")
	}

	target := openAt(t, into, nil)
	restored, err := target.Restore(ctx, backup)
	check(err)
	tenant := target.Tenant(iam.DefaultTenant)
	if restored.Epoch == epoch || restored.BackupAt.IsZero() || time.Since(restored.BackupAt) > time.Minute {
		t.Fatalf("%+v", restored)
	}
	now, err := tenant.Epoch(ctx)
	check(err)
	if now != restored.Epoch {
		t.Fatalf("the epoch is %s", now)
	}
	before, err := old.User(ctx, "u-ada")
	check(err)
	after, err := tenant.User(ctx, "u-ada")
	check(err)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Fatal(diff)
	}
	if was, is := eraOf(t, source, "u-ada"), eraOf(t, target, "u-ada"); is != was+1 {
		t.Fatalf("the era was %d and is %d", was, is)
	}
	_, err = tenant.Password(ctx, "u-ada")
	check(err)
	_, err = tenant.Consent(ctx, "u-ada", "c-app")
	check(err)
	events, err := tenant.Events(ctx, iam.JournalQuery{})
	check(err)
	if len(events) != 2 || events[0].Kind != "store.restored" {
		t.Fatalf("%v", events)
	}
	if _, err := tenant.Session(ctx, session.Hash, time.Now(), time.Hour); !errors.Is(err, iam.ErrNotFound) {
		t.Fatalf("a session came back: %v", err)
	}
	if err := redeemChild(tenant, waiting); !errors.Is(err, iam.ErrNotFound) {
		t.Fatalf("a code came back: %v", err)
	}
	came(tenant)
	keys, err := tenant.ListKeys(ctx)
	check(err)
	if len(keys) != 1 || keys[0].Removed.IsZero() || keys[0].Removed.After(time.Now()) {
		t.Fatalf("a signing key came back: %v", keys)
	}
	closed, err := tenant.AdminsOnly(ctx)
	check(err)
	if !closed {
		t.Fatal("everyone is admitted")
	}
	check(tenant.Confirm(ctx))
	if closed, err = tenant.AdminsOnly(ctx); err != nil || closed {
		t.Fatalf("confirmed: %v, %v", closed, err)
	}
	if _, err := target.Restore(ctx, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Fatal("nothing was restored from nothing")
	}
}

// comers keeps one of each thing that clients who come bring along, and gives what has to be so of them after a restore: the
// clients are there, and nothing that waits or lets anybody in.
func comers(t *testing.T, old *sqlstore.Tenant) func(*sqlstore.Tenant) {
	ctx, now := t.Context(), time.Now()
	end := now.Add(time.Hour)
	pushed := iam.Pushed{Hash: iam.HashPushed(iam.RequestURN + iam.NewSecret(iam.PrefixPushed)), Client: "c-app", Created: now, Expires: end}
	asked := iam.Asked{Hash: iam.HashCIBA(iam.NewSecret(iam.PrefixCIBA)), Kind: iam.AskedCIBA, ID: "a", Client: "c-app", User: "u-ada", Created: now, Expires: end}
	initial := iam.Initial{ID: "i", Hash: iam.HashInitial(iam.NewSecret(iam.PrefixInitial)), Policy: "p", Left: 2, Created: now, Expires: end}
	registered := iam.Registered{Client: iam.Client{ID: "r-1", Policy: "p", Secrets: []iam.ClientSecret{{ID: "s", Hash: iam.Hash("s"), Sealed: "sealed"}}},
		Keeper: iam.HashKeeper(iam.NewSecret(iam.PrefixKeeper)), Document: "{}"}
	if err := old.AddInitial(ctx, initial); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"push": old.Push(ctx, pushed, 1), "ask": old.Ask(ctx, asked), "register": old.Register(ctx, registered, initial.Hash, 1),
		"cursor": old.SetCursor(ctx, "logout", 3),
	} {
		if err != nil {
			t.Fatal(name, err)
		}
	}
	want, err := old.Registered(ctx, "r-1", registered.Keeper)
	if err != nil {
		t.Fatal(err)
	}
	return func(tenant *sqlstore.Tenant) {
		got, err := tenant.Registered(ctx, "r-1", registered.Keeper)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
		_, push := tenant.Arrive(ctx, pushed.Hash, "c-app", now, end)
		_, poll := tenant.Poll(ctx, iam.AskedProof{Hash: asked.Hash, Kind: asked.Kind, Client: "c-app"}, now)
		_, first := tenant.Initial(ctx, initial.Hash, now)
		for name, err := range map[string]error{"a pushed request": push, "what waited": poll, "an initial token": first} {
			if !errors.Is(err, iam.ErrNotFound) {
				t.Fatalf("%s came back: %v", name, err)
			}
		}
		registered.ID = "r-2"
		if err := tenant.Register(ctx, registered, iam.InitialHash{}, 1); !errors.Is(err, iam.ErrExists) {
			t.Fatalf("the policy has forgotten its client: %v", err)
		}
		if seq, err := tenant.Cursor(ctx, "logout"); err != nil || seq != 3 {
			t.Fatalf("the cursor is %d, %v", seq, err)
		}
	}
}

func eraOf(t *testing.T, s *store.Store, user string) (era int64) {
	t.Helper()
	err := s.Engine.Read(context.Background(), func(tx deeds.Tx) error {
		return tx.Query("SELECT era FROM users WHERE id = $1", []any{user}, func(row deeds.Row) error { return row.Scan(&era) })
	})
	if err != nil {
		t.Fatal(err)
	}
	return era
}
