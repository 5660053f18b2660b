package keys_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
)

// house is one storage with a clock that tests set, and a master key.
type house struct {
	t       *testing.T
	tenant  *sqlstore.Tenant
	sealing iam.Sealing
	sealer  seal.Sealer
	mu      sync.Mutex
	time    time.Time
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.time
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.time = h.time.Add(d)
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func master(t *testing.T) seal.Sealer {
	t.Helper()
	key, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	return seal.Sealer{Current: key}
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, sealer: master(t), time: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{Now: h.now})
	h.must(err)
	t.Cleanup(func() { _ = kept.Close() })
	h.tenant, h.sealing = kept.Tenant(iam.DefaultTenant), kept.Sealing(iam.DefaultTenant)
	return h
}

// ring is one node's.
func (h *house) ring() *keys.Ring {
	return &keys.Ring{Store: h.tenant, Sealer: h.sealer, Tenant: iam.DefaultTenant, Now: h.now}
}

func (h *house) rows() []iam.Key {
	h.t.Helper()
	rows, err := h.tenant.ListKeys(h.t.Context())
	h.must(err)
	return rows
}

// row finds a key by its kid.
func (h *house) row(kid string) iam.Key {
	h.t.Helper()
	rows := h.rows()
	at := slices.IndexFunc(rows, func(row iam.Key) bool { return row.ID == kid })
	if at < 0 {
		h.t.Fatal("no key " + kid)
	}
	return rows[at]
}

func signs(t *testing.T, ring *keys.Ring) string {
	t.Helper()
	signer, err := ring.Signer(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	if _, published := ring.Find(signer.KeyID); !published {
		t.Fatal("it signs by a key that is not published")
	}
	return signer.KeyID
}

func TestOfManyNodesOneMakesEachKey(t *testing.T) {
	h := open(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			ring := h.ring()
			if err := ring.Ensure(t.Context(), jose.ES256, jose.EdDSA); err != nil {
				t.Error(err)
			}
			if _, err := ring.Signer(jose.ES256); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if rows := h.rows(); len(rows) != 2 {
		t.Errorf("%d keys", len(rows))
	}
	h.pass(-30 * time.Second) // a node whose clock is behind
	late := h.ring()
	h.must(late.Ensure(t.Context(), jose.ES256))
	signs(t, late)
	if err := late.Ensure(t.Context(), "none"); err == nil {
		t.Error("a key of an algorithm that there is not")
	}
}

func TestBeforeTheFirstLoadNothingSigns(t *testing.T) {
	h := open(t)
	ring := h.ring()
	if _, err := ring.Signer(jose.ES256); !errors.Is(err, iam.ErrUnavailable) {
		t.Error(err)
	}
	if string(ring.Published()) != `{"keys":[]}` || len(ring.Algs()) != 0 {
		t.Errorf("published %s", ring.Published())
	}
	h.must(ring.Ensure(t.Context(), jose.ES256))
	if _, err := ring.Signer(jose.RS256); !errors.Is(err, iam.ErrUnavailable) {
		t.Errorf("another algorithm signs instead: %v", err)
	}
	if !slices.Equal(ring.Algs(), []jose.Alg{jose.ES256}) {
		t.Errorf("algorithms %v", ring.Algs())
	}
}

// A year of nodes that look every few hours: there is always a key that signs, verifiers have seen it for a while
// before, and what it signed can be verified for a day after.
func TestAYearOfRotations(t *testing.T) {
	h := open(t)
	ring, other := h.ring(), h.ring()
	h.must(ring.Ensure(t.Context(), jose.ES256))
	ctx, firstSeen, lastSigned := t.Context(), map[string]time.Time{}, map[string]time.Time{}
	start, used := h.now(), map[string]bool{}
	for h.now().Sub(start) < 365*24*time.Hour {
		h.must(ring.Turn(ctx, func(context.Context) (bool, error) { return true, nil }))
		h.must(other.Turn(ctx, func(context.Context) (bool, error) { return false, nil }))
		var set struct {
			Keys []map[string]any `json:"keys"`
		}
		h.must(json.Unmarshal(other.Published(), &set))
		published := map[string]bool{}
		for _, key := range set.Keys {
			kid, _ := key["kid"].(string)
			published[kid] = true
			if _, seen := firstSeen[kid]; !seen {
				firstSeen[kid] = h.now()
			}
			if _, private := key["d"]; private {
				t.Fatal("a private key is published")
			}
		}
		kid := signs(t, ring)
		if kid != signs(t, other) {
			t.Fatal("two nodes sign by two keys")
		}
		if len(used) > 0 && !used[kid] && h.now().Sub(firstSeen[kid]) < 15*time.Minute {
			t.Errorf("%s signs %v after it was published", kid, h.now().Sub(firstSeen[kid]))
		}
		used[kid], lastSigned[kid] = true, h.now()
		for old, when := range lastSigned {
			if h.now().Sub(when) < 23*time.Hour && !published[old] {
				t.Errorf("%s left the set %v after it signed", old, h.now().Sub(when))
			}
			if h.now().Sub(when) > 26*time.Hour && published[old] {
				t.Errorf("%s stays in the set", old)
			}
		}
		step := 3 * time.Hour
		if len(published) > len(used) || h.now().Sub(start)%(90*24*time.Hour) < 6*time.Hour {
			step = 5 * time.Minute
		}
		h.pass(step)
	}
	if len(used) < 4 || len(used) > 6 {
		t.Errorf("%d keys signed in a year", len(used))
	}
}

func TestRotateAtOnce(t *testing.T) {
	h := open(t)
	ring, ctx := h.ring(), t.Context()
	h.must(ring.Ensure(ctx, jose.ES256))
	first := signs(t, ring)
	pending, err := ring.Rotate(ctx, jose.ES256, false, "operator:ada")
	h.must(err)
	if signs(t, ring) != first {
		t.Error("the new key signs before verifiers can know it")
	}
	urgent, err := ring.Rotate(ctx, jose.ES256, true, "operator:ada")
	h.must(err)
	for range 3 {
		if got := signs(t, ring); got != urgent.ID {
			t.Errorf("%s signs", got)
		}
		h.pass(10 * time.Minute)
	}
	if row := h.row(pending.ID); row.Retires.IsZero() {
		t.Error("the key that was to come never retires")
	}
	events, err := h.tenant.Events(ctx, iam.JournalQuery{Kind: string(journal.KeyChanged{}.Kind())})
	h.must(err)
	for _, event := range events {
		if !strings.Contains(string(event.Detail), first) && event.Actor != "operator:ada" {
			t.Errorf("%s by %s", event.Detail, event.Actor)
		}
	}
}

func TestAKeyThatMustStillSignStays(t *testing.T) {
	h := open(t)
	ring, ctx := h.ring(), t.Context()
	h.must(ring.Ensure(ctx, jose.ES256))
	only := signs(t, ring)
	refused := func(kid, why string) {
		t.Helper()
		if err := ring.Remove(ctx, kid, "operator:ada"); err == nil || !strings.Contains(err.Error(), "rotate at once first") {
			t.Errorf("%s was removed: %v", why, err)
		}
		signs(t, ring)
	}
	refused(only, "the only key")
	next, err := ring.Rotate(ctx, jose.ES256, false, "operator:ada")
	h.must(err)
	refused(only, "the key that signs until the next one does")
	refused(next.ID, "the key that is to sign next")
	if err := ring.Remove(ctx, "unknown", "operator:ada"); !errors.Is(err, iam.ErrNotFound) {
		t.Error(err)
	}
	urgent, err := ring.Rotate(ctx, jose.ES256, true, "operator:ada")
	h.must(err)
	h.must(ring.Remove(ctx, next.ID, "operator:ada"))
	h.must(ring.Remove(ctx, only, "operator:ada"))
	if _, found := ring.Find(only); found || signs(t, ring) != urgent.ID {
		t.Error("a removed key still verifies")
	}
	changes, err := h.tenant.ChangesAfter(ctx, 0, 100)
	h.must(err)
	for _, kid := range []string{next.ID, only} {
		if !slices.ContainsFunc(changes, func(c iam.Change) bool { return c.Kind == iam.ChangeKey && c.ID == kid }) {
			t.Errorf("the Gates don't hear that %s is gone", kid)
		}
	}
}

func TestKeysAreSealed(t *testing.T) {
	h := open(t)
	ring, ctx := h.ring(), t.Context()
	h.must(ring.Ensure(ctx, jose.ES256, jose.EdDSA))
	for _, row := range h.rows() {
		if strings.Contains(row.Public, `"d"`) || row.Sealed == "" {
			t.Errorf("%s is kept in the open", row.ID)
		}
	}
	thief := h.ring()
	thief.Sealer = master(t)
	if err := thief.Load(ctx); err == nil {
		t.Error("another master key opens them")
	}
	rows := h.rows()
	swap := func(kept iam.Sealed) (string, error) {
		if kept.Row == rows[0].ID {
			return rows[1].Sealed, nil
		}
		return rows[0].Sealed, nil
	}
	_, err := h.sealing.Reseal(ctx, swap)
	h.must(err)
	if err := h.ring().Load(ctx); err == nil {
		t.Error("one key's seal opens in another's row")
	}
	rows = h.rows()
	_, err = h.sealing.Reseal(ctx, swap)
	h.must(err)

	renewed := master(t)
	renewed.Previous = append(renewed.Previous, h.sealer.Current)
	ring.Sealer = renewed
	_, err = h.sealing.Reseal(ctx, ring.Rewrap)
	h.must(err)
	alone := h.ring()
	alone.Sealer = seal.Sealer{Current: renewed.Current}
	h.must(alone.Load(ctx))
	if err := h.ring().Load(ctx); err == nil {
		t.Error("the old master key still opens them")
	}
	if before := signs(t, ring); ring.Load(ctx) != nil || signs(t, ring) != before {
		t.Error("a reload changes who signs")
	}
}
