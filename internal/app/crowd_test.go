package app

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/web"
)

func TestL05OneNetworkBeginsSoManySignInsAndNoMore(t *testing.T) {
	opened, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	now := time.Now()
	kept := crowd{opened.Tenant(iam.DefaultTenant), limit.New(limit.Rate{Burst: 3, Every: time.Minute}, 100, func() time.Time { return now })}
	begin := func(network, query string) error {
		ctx := context.WithValue(t.Context(), callerKey{}, network)
		return kept.AddFlow(ctx, iam.Flow{
			Hash: iam.HashFlow(iam.NewSecret(iam.PrefixFlow)), Browser: iam.Hash("b"), Query: query, Created: now, Expires: now.Add(time.Minute),
		})
	}
	for range 3 {
		if err := begin("192.0.2.1/32", "client_id=a"); err != nil {
			t.Fatal(err)
		}
	}
	var told *oauth.Error
	err = begin("192.0.2.1/32", "client_id=a")
	if _, header := web.Judge(err); !errors.As(err, &told) || told.Status != http.StatusTooManyRequests || header.Get("Retry-After") != "60" {
		t.Errorf("the fourth: %v", err)
	}
	if err := begin("192.0.2.2/32", "client_id=a"); err != nil {
		t.Errorf("another network: %v", err)
	}
	if err := begin("192.0.2.2/32", strings.Repeat("x", maxFlow+1)); oauth.CodeOf(err) != "invalid_request" {
		t.Errorf("too long: %v", err)
	}
	now = now.Add(time.Minute)
	if err := begin("192.0.2.1/32", "client_id=a"); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}
