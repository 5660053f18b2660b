package storetest_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sealed"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/store/storetest"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

// keeper is a tenant's view together with what it keeps sealed.
type keeper struct {
	*sqlstore.Tenant
	iam.Sealing
}

func openAt(t testing.TB, address string, clock *storetest.Clock) *store.Store {
	t.Helper()
	options := store.Options{}
	if clock != nil {
		options.Now = clock.Now
	}
	s, err := store.Open(context.Background(), address, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openSQLite(t testing.TB, clock *storetest.Clock) *store.Store {
	t.Helper()
	return openAt(t, "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), clock)
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	open := func(t testing.TB, clock *storetest.Clock) storetest.Keeper {
		s := openSQLite(t, clock)
		return keeper{s.Tenant(iam.DefaultTenant), s.Sealing(iam.DefaultTenant)}
	}
	storetest.Run(t, open)
	storetest.RunDoors(t, open)
	storetest.RunFactors(t, open)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	// Each proof has a tenant of its own in one database: whatever of another's it saw would break it.
	engine := openAt(t, pgtest.New(t), nil).Engine
	open := func(_ testing.TB, clock *storetest.Clock) storetest.Keeper {
		s, tenant := sqlstore.Store{Engine: engine, Now: clock.Now}, iam.Tenant(rand.Text())
		return keeper{s.Tenant(tenant), sealed.Values{Engine: engine, Tenant: tenant}}
	}
	storetest.Run(t, open)
	storetest.RunDoors(t, open)
	storetest.RunFactors(t, open)
}
