package app

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/facts"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/recipe"
)

func TestFailedSignInsAreCountedForTheNextMoments(t *testing.T) {
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	failed := facts.NewFailures(nil)
	journals := counting{kept.Tenant(iam.DefaultTenant), failed}
	for _, detail := range []journal.Detail{journal.SignInFailed{Factor: "password"}, journal.SignInFailed{Factor: "totp"}, journal.SignedIn{}} {
		event := journal.New(time.Now(), detail)
		event.User, event.Personal = "ada", map[string]string{"address": "203.0.113.7/32"}
		if err := journals.Record(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	if n := failed.Account("ada", time.Now()); n != 2 {
		t.Errorf("%d failures against the account", n)
	}
	if n := failed.Accounts(netip.MustParseAddr("203.0.113.7"), time.Now()); n != 1 {
		t.Errorf("%d accounts from the network", n)
	}
}

func TestNetworksWithABadNameComeWithTheRecipe(t *testing.T) {
	server := &Server{}
	server.moments.listed.set(&facts.Networks{})
	adopt := func(list string) error {
		bundle := &recipe.Bundle{Recipe: &recipe.Recipe{Risk: recipe.Risk{Addresses: "bad.txt"}}, Files: map[string][]byte{"bad.txt": []byte(list)}}
		swap, err := server.networksPart(&enact.Force{Bundle: bundle})
		if err == nil {
			swap()
		}
		return err
	}
	bad := netip.MustParseAddr("192.0.2.7")
	if err := adopt("192.0.2.0/24\n"); err != nil {
		t.Fatal(err)
	}
	if err := adopt("what is this"); err == nil {
		t.Error("a list that is none was adopted")
	}
	if found := server.moments.listed.value().Find(bad); found != "192.0.2.0/24" {
		t.Errorf("found %q: what is broken must not replace what is good", found)
	}
	if err := adopt("# nobody\n"); err != nil || server.moments.listed.value().Find(bad) != "" {
		t.Errorf("the old list stays: %v", err)
	}
}
