package storetest_test

import (
	"context"
	"path/filepath"
	"testing"

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

func openPostgres(t testing.TB, clock *storetest.Clock) *store.Store {
	t.Helper()
	return openAt(t, pgtest.New(t), clock)
}

func TestSQLite(t *testing.T)   { storetest.Run(t, openSQLite) }
func TestPostgres(t *testing.T) { storetest.Run(t, openPostgres) }
