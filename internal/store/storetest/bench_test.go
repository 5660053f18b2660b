package storetest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
	"github.com/gardeauth/garde/recipe"
)

// callers is how many ask at once, per processor: 64 on two.
const callers = 32

const people = 256

func benchEngines(b *testing.B, bench func(*testing.B, *sqlstore.Tenant)) {
	for name, address := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "garde.db") },
		"postgres": func(t testing.TB) string { return pgtest.New(t) },
	} {
		b.Run(name, func(b *testing.B) {
			tenant := openAt(b, address(b), nil).Tenant(iam.DefaultTenant)
			client := iam.Client{ID: "c-svc", Kind: recipe.Service, Auth: oauth.AuthBasic, Grants: []oauth.GrantType{oauth.ClientCredentials}}
			if err := tenant.PutClient(context.Background(), client); err != nil {
				b.Fatal(err)
			}
			for i := range people { // deeds of one person come one after the other, those of many do not
				user := iam.User{ID: fmt.Sprint("u-", i), Username: fmt.Sprint("user", i)}
				if err := tenant.AddUser(context.Background(), user, iam.Password{}); err != nil {
					b.Fatal(err)
				}
			}
			b.SetParallelism(callers)
			b.ResetTimer()
			bench(b, tenant)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deeds/s")
		})
	}
}

func benchEvent() []journal.Event {
	event := journal.New(time.Now(), journal.TokenIssued{GrantType: "client_credentials", Scope: "a.read", Audience: "https://api.example", TokenID: "t"})
	event.Client, event.Actor, event.Trace = "c-svc", "client:c-svc", iam.NewSecret("t")
	return []journal.Event{event}
}

func BenchmarkClientCredentials(b *testing.B) {
	benchEngines(b, func(b *testing.B, tenant *sqlstore.Tenant) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := tenant.Issue(context.Background(), iam.Issue{Now: time.Now(), Client: "c-svc", Events: benchEvent()}); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func benchCode(b *testing.B, tenant *sqlstore.Tenant) (iam.Code, *iam.Refresh) {
	now := time.Now()
	user := fmt.Sprint("u-", rand.IntN(people))
	code := iam.Code{Hash: iam.HashCode(iam.NewSecret(iam.PrefixCode)), Challenge: "c", Created: now, Expires: now.Add(time.Minute),
		Grant: iam.Grant{ID: uuid.NewString(), Client: "c-svc", User: user, Created: now, Expires: now.Add(time.Hour)}}
	refresh := &iam.Refresh{Hash: iam.HashRefresh(iam.NewSecret(iam.PrefixRefresh)), Grant: code.Grant.ID, Created: now, Idle: now.Add(time.Hour)}
	if err := tenant.AddCode(context.Background(), code, iam.FlowHash{}, nil, benchEvent()...); err != nil {
		b.Error(err)
	}
	if err := tenant.Issue(context.Background(), iam.Issue{Now: now, Client: "c-svc", User: user, NewRefresh: refresh, Events: benchEvent(),
		Code: &iam.CodeProof{Hash: code.Hash, Client: "c-svc", Challenge: "c"}}); err != nil {
		b.Error(err)
	}
	return code, refresh
}

func BenchmarkCodeFlow(b *testing.B) {
	benchEngines(b, func(b *testing.B, tenant *sqlstore.Tenant) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				benchCode(b, tenant)
			}
		})
	})
}

func BenchmarkRefreshRotation(b *testing.B) {
	benchEngines(b, func(b *testing.B, tenant *sqlstore.Tenant) {
		var families atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			_, refresh := benchCode(b, tenant)
			families.Add(1)
			for pb.Next() {
				now := time.Now()
				next := &iam.Refresh{Hash: iam.HashRefresh(iam.NewSecret(iam.PrefixRefresh)), Grant: refresh.Grant, Created: now, Idle: now.Add(time.Hour)}
				if err := tenant.Issue(context.Background(), iam.Issue{Now: now, Client: "c-svc", Replace: next, Events: benchEvent(),
					Refresh: &iam.RefreshProof{Hash: refresh.Hash, Client: "c-svc"}}); err != nil {
					b.Error(err)
				}
				refresh = next
			}
		})
	})
}

func BenchmarkAccess(b *testing.B) {
	benchEngines(b, func(b *testing.B, tenant *sqlstore.Tenant) {
		now := time.Now()
		access := &iam.Access{Hash: iam.HashAccess(iam.NewSecret(iam.PrefixAccess)), ID: "t", Client: "c-svc", Issued: now, Expires: now.Add(time.Hour)}
		if err := tenant.Issue(context.Background(), iam.Issue{Now: now, Client: "c-svc", NewAccess: access}); err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := tenant.Access(context.Background(), access.Hash, now); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
