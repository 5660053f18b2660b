package storetest_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

// Deeds that travel together are refused one by one: whoever brings an id that is taken hears so, and nobody else.
func TestPostgresRefusesOneOfManyThatTravelTogether(t *testing.T) {
	t.Parallel()
	tenant := openAt(t, pgtest.New(t), nil).Tenant(iam.DefaultTenant)
	taken := journal.New(time.Now(), journal.SignedOut{})
	if err := tenant.Record(t.Context(), taken); err != nil {
		t.Fatal(err)
	}
	const many = 300
	var refused, kept atomic.Int64
	var group sync.WaitGroup
	for i := range many {
		group.Go(func() {
			event := journal.New(time.Now(), journal.SignedOut{})
			event.Trace = fmt.Sprintf("t-%d", i)
			wanted := error(nil)
			if i%20 == 0 {
				event.ID, wanted = taken.ID, iam.ErrExists
			}
			switch err := tenant.Record(t.Context(), event); {
			case !errors.Is(err, wanted):
				t.Errorf("%d: %v, want %v", i, err, wanted)
			case err != nil:
				refused.Add(1)
			default:
				kept.Add(1)
			}
		})
	}
	group.Wait()
	events, err := tenant.Events(t.Context(), iam.JournalQuery{Limit: 1000})
	if err != nil || len(events) != many-many/20+1 || refused.Load() != many/20 || kept.Load() != many-many/20 {
		t.Errorf("%d events, %d refused, %d kept, %v", len(events), refused.Load(), kept.Load(), err)
	}
}
