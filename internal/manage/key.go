package manage

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/keys"
)

// Keys are the deeds about signing keys and the master key. All but Now are required.
type Keys struct {
	Store   iam.Keys
	Sealed  iam.Sealing
	Journal iam.Journal
	Ring    *keys.Ring
	Now     func() time.Time // nil: time.Now
}

// Find finds a key by its id, also one that has left the set.
func (k *Keys) Find(ctx context.Context, kid string) (iam.Key, error) {
	rows, err := k.Store.ListKeys(ctx)
	if err != nil {
		return iam.Key{}, err
	}
	at := slices.IndexFunc(rows, func(key iam.Key) bool { return key.ID == kid })
	if at < 0 {
		return iam.Key{}, missing(iam.ErrNotFound, "key", kid)
	}
	return rows[at], nil
}

// State says in one word what a key does at a time: waits, signs, verifies or removed.
func State(key iam.Key, now time.Time) string {
	switch {
	case !key.Removed.IsZero() && !now.Before(key.Removed):
		return "removed"
	case !jose.Alg(key.Alg).Valid() && !jose.KeyAlg(key.Alg).Valid():
		return "kept" // the salt of pairwise subjects: it neither signs nor opens, and never goes
	case !key.Retires.IsZero() && !now.Before(key.Retires):
		if jose.KeyAlg(key.Alg).Valid() {
			return "opens old"
		}
		return "verifies"
	case now.Before(key.Activates):
		return "waits"
	case jose.KeyAlg(key.Alg).Valid():
		return "opens"
	}
	return "signs"
}

// Rotate makes a new key of alg, which signs after one cache lifetime, or at once.
func (k *Keys) Rotate(ctx context.Context, by, alg string, atOnce bool) (iam.Key, error) {
	if !jose.Alg(alg).Valid() && !jose.KeyAlg(alg).Valid() {
		names := []string{}
		for _, known := range jose.Algs() {
			names = append(names, string(known))
		}
		for _, known := range jose.KeyAlgs() {
			names = append(names, string(known))
		}
		return iam.Key{}, refuse(Invalid, "alg", "the algorithms are "+strings.Join(names, ", "), "there is no algorithm %s", show(alg))
	}
	return k.Ring.Rotate(ctx, jose.Alg(alg), atOnce, by)
}

// Remove takes a key out of the set: all that it signed dies within a second.
func (k *Keys) Remove(ctx context.Context, by, kid string) error {
	key, err := k.Find(ctx, kid)
	if err != nil {
		return err
	}
	now := clock(k.Now)
	if State(key, now) == "removed" {
		return refuse(Conflict, "", "", "the key has left the set already")
	}
	err = k.Ring.Remove(ctx, kid, by)
	if err != nil && k.onlyOne(ctx, key, now) {
		return refuse(Conflict, "", "garde key rotate --now --alg "+key.Alg+" first", "it is the only key that signs by %s", key.Alg)
	}
	return missing(err, "key", kid)
}

func (k *Keys) onlyOne(ctx context.Context, key iam.Key, now time.Time) bool {
	rows, err := k.Store.ListKeys(ctx)
	return err == nil && !slices.ContainsFunc(rows, func(other iam.Key) bool {
		return other.ID != key.ID && other.Alg == key.Alg && State(other, now) == "signs"
	})
}

// Rewrap puts every sealed value under the current master key, and tells how many were not.
func (k *Keys) Rewrap(ctx context.Context, by string) (int, error) {
	count, err := k.Sealed.Reseal(ctx, k.Ring.Rewrap)
	now := clock(k.Now)
	if count == 0 {
		return 0, err
	}
	return count, errors.Join(err, k.Journal.Record(ctx, event(now, by, journal.KeyChanged{What: "rewrapped under the current master key", KeyID: "all"})))
}
