package consent_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

// engines are the houses on each storage engine.
func engines(t *testing.T, test func(*testing.T, *house)) {
	t.Run("sqlite", func(t *testing.T) { test(t, openOn(t, "sqlite:"+filepath.Join(t.TempDir(), "garde.db"))) })
	t.Run("postgres", func(t *testing.T) { test(t, openOn(t, pgtest.New(t))) })
}

// statuses counts how many at once answered what.
func statuses(times int, call func() seen) map[int]int {
	var group sync.WaitGroup
	var mu sync.Mutex
	count := map[int]int{}
	for range times {
		group.Go(func() {
			got := call()
			mu.Lock()
			defer mu.Unlock()
			count[got.status]++
		})
	}
	group.Wait()
	return count
}

func TestV10OfManyOneDecidesAndOneGetsTheTokens(t *testing.T) {
	engines(t, func(t *testing.T, h *house) {
		given := h.begins("tv")
		b := h.browser()
		at := b.confirms(given.user, "alice")
		if count := statuses(8, func() seen { return b.decides(at, "allow") }); count[303] != 1 || count[400] != 7 {
			t.Errorf("decided %v", count)
		}
		if count := statuses(12, func() seen { return h.polls("tv", given) }); count[200] != 1 || count[400] != 11 {
			t.Errorf("V10 %v", count)
		}
		id := h.asks("shop")
		at = b.first()
		if count := statuses(8, func() seen { return b.answers(at, "allow") }); count[303] != 1 || count[400] != 7 {
			t.Errorf("decided %v", count)
		}
		if count := statuses(12, func() seen { return h.fetches("shop", id) }); count[200] != 1 || count[400] != 11 {
			t.Errorf("V10 %v", count)
		}
	})
}
