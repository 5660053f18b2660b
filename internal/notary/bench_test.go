package notary_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

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

// BenchmarkCatchUp adds rows as they come under load: 2,000 a turn.
func BenchmarkCatchUp(b *testing.B) {
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
			n := &notary.Notary{Tree: tenant, Sealer: sealer(b), Tenant: iam.DefaultTenant, Origin: "login.example"}
			var used time.Duration
			b.ResetTimer()
			for added := 0; added < b.N; {
				b.StopTimer()
				for range 4 {
					events := make([]journal.Event, 500)
					for i := range events {
						events[i] = journal.New(time.Now(), journal.TokenIssued{GrantType: "client_credentials", Scope: "a.read", Audience: "https://api.example", TokenID: "t"})
						events[i].Client, events[i].Actor, events[i].Trace = "c-svc", "client:c-svc", iam.NewSecret("t")
					}
					if err := tenant.Record(b.Context(), events...); err != nil {
						b.Fatal(err)
					}
					added += len(events)
				}
				before := processor(b)
				b.StartTimer()
				if err := n.CatchUp(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				used += processor(b) - before
				b.StartTimer()
			}
			rows := float64((b.N + 1999) / 2000 * 2000)
			b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
			b.ReportMetric(float64(used.Microseconds())/rows, "cpu-µs/row")
		})
	}
}
