package follow_test

import (
	"context"
	"errors"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/follow"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/recipe"
)

func open(t *testing.T) *sqlstore.Tenant {
	t.Helper()
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	return kept.Tenant(iam.DefaultTenant)
}

func revoke(t *testing.T, tenant *sqlstore.Tenant, id string) {
	t.Helper()
	if err := tenant.RevokeToken(t.Context(), id, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
}

// cut is an outbox that can be out of reach.
type cut struct {
	iam.Changes
	broken atomic.Bool
}

func (c *cut) ChangesAfter(ctx context.Context, seq int64, limit int) ([]iam.Change, error) {
	if c.broken.Load() {
		return nil, iam.ErrUnavailable
	}
	return c.Changes.ChangesAfter(ctx, seq, limit)
}

func TestALongOutboxIsHeardWholeAndInOrder(t *testing.T) {
	tenant := open(t)
	const many = 1203
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := w; i < many; i += 4 {
				revoke(t, tenant, strconv.Itoa(i))
			}
		})
	}
	writers.Wait()
	heard, last := map[string]int{}, int64(0)
	f := &follow.Follower{Changes: tenant}
	f.Listeners = append(f.Listeners, func(_ context.Context, change iam.Change) {
		if change.Seq <= last {
			t.Errorf("%d after %d", change.Seq, last)
		}
		if f.Fresh() {
			t.Error("it calls itself fresh before it has caught up")
		}
		last = change.Seq
		heard[change.ID]++
	})
	if f.Fresh() {
		t.Error("it is fresh before it has heard anything")
	}
	if err := f.Catch(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(heard) != many || f.Seq() != last || !f.Fresh() {
		t.Errorf("heard %d, seq %d", len(heard), f.Seq())
	}
	if err := f.Catch(t.Context()); err != nil || len(heard) != many || heard["7"] != 1 {
		t.Errorf("heard twice: %v", err)
	}
}

func TestFresh(t *testing.T) {
	outbox := &cut{Changes: open(t)}
	now := time.Now()
	slow := time.Duration(0)
	f := &follow.Follower{Changes: outbox, Now: func() time.Time { return now }}
	f.Listeners = append(f.Listeners, func(context.Context, iam.Change) { now = now.Add(slow) })
	is := func(want bool, when string) {
		t.Helper()
		if f.Fresh() != want {
			t.Errorf("%s: fresh is %v", when, !want)
		}
	}
	if err := f.Catch(t.Context()); err != nil {
		t.Fatal(err)
	}
	is(true, "just read")
	now = now.Add(9 * time.Second)
	is(true, "after nine seconds")
	outbox.broken.Store(true)
	if err := f.Catch(t.Context()); !errors.Is(err, iam.ErrUnavailable) {
		t.Error(err)
	}
	now = now.Add(time.Second)
	is(false, "after ten seconds without the storage")
	outbox.broken.Store(false)
	slow = 11 * time.Second
	tenant, _ := outbox.Changes.(*sqlstore.Tenant)
	revoke(t, tenant, "x")
	if err := f.Catch(t.Context()); err != nil {
		t.Fatal(err)
	}
	is(false, "after a listener that took eleven seconds: what came meanwhile is not known")
	if err := f.Catch(t.Context()); err != nil {
		t.Fatal(err)
	}
	is(true, "read again")
}

func TestRunHearsWithinASecondAndSurvivesAnOutage(t *testing.T) {
	tenant := open(t)
	outbox := &cut{Changes: tenant}
	heard := make(chan string, 10)
	f := &follow.Follower{Changes: outbox, Poll: 20 * time.Millisecond}
	f.Listeners = append(f.Listeners, func(_ context.Context, change iam.Change) { heard <- change.ID })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	hears := func(id string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != id {
				t.Errorf("heard %s, want %s", got, id)
			}
		case <-time.After(time.Second):
			t.Errorf("%s was not heard within a second", id)
		}
	}
	revoke(t, tenant, "a")
	hears("a")
	outbox.broken.Store(true)
	revoke(t, tenant, "b")
	time.Sleep(60 * time.Millisecond)
	outbox.broken.Store(false)
	hears("b")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func client(name string) iam.Client {
	return iam.Client{
		ID: "c-app", Source: iam.FromAdmin, Kind: recipe.Browser, Auth: oauth.AuthNone, Name: recipe.Text{"en": name},
		Grants: []oauth.GrantType{oauth.AuthorizationCode}, RedirectURIs: []string{"https://app.example/cb"},
	}
}

// held is a store whose answer is held back after it was read.
type held struct {
	iam.Clients
	read, release chan struct{}
}

func (h held) Client(ctx context.Context, id string) (iam.Client, error) {
	found, err := h.Clients.Client(ctx, id)
	h.read <- struct{}{}
	<-h.release
	return found, err
}

func TestClientsAreRememberedUntilTheyChange(t *testing.T) {
	tenant := open(t)
	ctx := t.Context()
	cached, err := follow.NewClients(tenant, 10)
	if err != nil {
		t.Fatal(err)
	}
	f := &follow.Follower{Changes: tenant, Listeners: []func(context.Context, iam.Change){cached.Hear}}
	if _, err := cached.Client(ctx, "c-app"); !errors.Is(err, iam.ErrNotFound) {
		t.Error(err)
	}
	put := func(c iam.Client) {
		t.Helper()
		if err := tenant.PutClient(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	is := func(name string, disabled bool) {
		t.Helper()
		if err := f.Catch(ctx); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := cached.Client(ctx, "c-app")
			if err != nil || got.Name["en"] != name || got.Disabled != disabled {
				t.Errorf("client %q, disabled %v, error %v", got.Name["en"], got.Disabled, err)
			}
		}
	}
	put(client("one")) // that it was unknown is not remembered
	is("one", false)
	put(client("two"))
	is("two", false)
	if err := tenant.SetClientDisabled(ctx, "c-app", true); err != nil {
		t.Fatal(err)
	}
	is("two", true)
	if err := tenant.RemoveClient(ctx, "c-app"); err != nil {
		t.Fatal(err)
	}
	if err := f.Catch(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := cached.Client(ctx, "c-app"); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("a removed client: %v", err)
	}
}

// A reading that began before a change and ends after it must not be remembered.
func TestAStaleReadingIsNotRemembered(t *testing.T) {
	tenant := open(t)
	ctx := t.Context()
	for what, change := range map[string]iam.Change{
		"the client": {Kind: iam.ChangedClient, ID: "c-app"}, "its end": {Kind: iam.ChangeClient, ID: "c-app"}, "the recipe": {Kind: iam.ChangedRecipe, ID: "2"},
	} {
		if err := tenant.PutClient(ctx, client("old")); err != nil {
			t.Fatal(err)
		}
		slow := held{tenant, make(chan struct{}), make(chan struct{})}
		cached, err := follow.NewClients(slow, 10)
		if err != nil {
			t.Fatal(err)
		}
		first := make(chan iam.Client, 1)
		go func() {
			got, _ := cached.Client(ctx, "c-app")
			first <- got
		}()
		<-slow.read
		if err := tenant.PutClient(ctx, client("new")); err != nil {
			t.Fatal(err)
		}
		cached.Hear(ctx, change)
		slow.release <- struct{}{}
		<-first
		go func() { <-slow.read; slow.release <- struct{}{} }()
		if got, err := cached.Client(ctx, "c-app"); err != nil || got.Name["en"] != "new" {
			t.Errorf("%s changed, and %q is remembered (%v)", what, got.Name["en"], err)
		}
	}
}
