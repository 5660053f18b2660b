package storetest_test

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/storetest"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

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
	storetest.Run(t, func(t testing.TB, clock *storetest.Clock) storetest.Keeper {
		return openSQLite(t, clock).Tenant(iam.DefaultTenant)
	})
}

func TestPostgres(t *testing.T) {
	server := pgtest.Private(t)
	storetest.Run(t, func(t testing.TB, clock *storetest.Clock) storetest.Keeper {
		return openAt(t, database(t, server), clock).Tenant(iam.DefaultTenant)
	})
}

// database makes a database of the test's own on a private server.
func database(t testing.TB, server *pgtest.Server) string {
	t.Helper()
	address, err := server.Create(context.Background(), "t_"+strings.ToLower(rand.Text()))
	if err != nil {
		t.Fatal(err)
	}
	return address
}
