package notary_test

import (
	"encoding/binary"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/notary"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

// processor is the time that this process has had, in both modes.
func processor(t testing.TB) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

const perTurn = 2000

// idAt is the id of an event made then.
func idAt(at time.Time) string {
	id := uuid.Must(uuid.NewV7())
	binary.BigEndian.PutUint16(id[:2], uint16(at.UnixMilli()>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(at.UnixMilli()))
	return id.String()
}

// BenchmarkTurn adds rows as they come under load: 5,000 a second.
func BenchmarkTurn(b *testing.B) {
	for name, address := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "garde.db") },
		"postgres": func(t testing.TB) string { return pgtest.New(t) },
	} {
		b.Run(name, func(b *testing.B) {
			opened, err := store.Open(b.Context(), address(b), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer opened.Close()
			tenant := opened.Tenant(iam.DefaultTenant)
			clock := &notary.Clock{Time: time.Now()}
			n := &notary.Notary{Tree: tenant, Sealer: sealer(b), Tenant: iam.DefaultTenant, Origin: "login.example", Now: clock.Now}
			var used time.Duration
			b.ResetTimer()
			b.StopTimer()
			for added := 0; added < b.N; added += perTurn {
				for range 4 {
					events := make([]journal.Event, perTurn/4)
					for i := range events {
						clock.Time = clock.Time.Add(notary.Pace / perTurn)
						events[i] = journal.New(clock.Time, journal.TokenIssued{GrantType: "client_credentials", Scope: "a.read", Audience: "https://api.example", TokenID: "t"})
						events[i].ID = idAt(clock.Time)
						events[i].Client, events[i].Actor, events[i].Trace = "c-svc", "client:c-svc", iam.NewSecret("t")
					}
					if err := tenant.Record(b.Context(), events...); err != nil {
						b.Fatal(err)
					}
				}
				before := processor(b)
				b.StartTimer()
				if err := n.Turn(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				used += processor(b) - before
			}
			rows := float64((b.N + perTurn - 1) / perTurn * perTurn)
			b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(used.Microseconds())/rows, "cpu-µs/row")
		})
	}
}
