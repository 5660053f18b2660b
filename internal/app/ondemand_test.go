package app

import (
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sync/singleflight"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/store"
)

// The first client that is registered for an algorithm finds a key, and many at once make only one.
func TestAKeyIsMadeWhenAClientFirstNeedsIt(t *testing.T) {
	opened, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	master, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	house := opened.Tenant(iam.DefaultTenant)
	ring := &keys.Ring{Store: house, Sealer: seal.Sealer{Current: master}, Tenant: iam.DefaultTenant}
	if err := ring.Ensure(t.Context(), jose.ES256); err != nil {
		t.Fatal(err)
	}
	source := onDemand{ring, &singleflight.Group{}}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if signer, err := source.Signer(jose.EdDSA); err != nil || signer.Alg != jose.EdDSA {
				t.Errorf("%v %v", signer, err)
			}
		})
	}
	group.Wait()
	rows, err := house.ListKeys(t.Context())
	if err != nil || len(rows) != 2 {
		t.Errorf("%d keys, %v", len(rows), err)
	}
	if _, err := source.Signer("none"); err == nil {
		t.Error("none signed")
	}
}
