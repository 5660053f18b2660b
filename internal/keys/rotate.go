package keys

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/seal"
)

// Defaults are the algorithms that have a key from the first start: ES256 signs, RS256 is there because OpenID Connect
// Discovery section 3 demands it, and signs only for clients that ask.
var Defaults = []jose.Alg{jose.ES256, jose.RS256}

// Ensure makes the keys of algs that are missing and loads all. Of many nodes that start at once, one makes each. A
// first key signs at once: nobody can have cached a set without it.
func (r *Ring) Ensure(ctx context.Context, algs ...jose.Alg) error {
	for _, alg := range algs {
		if !alg.Valid() {
			return fmt.Errorf("no such algorithm: %q", alg)
		}
		if err := r.ensure(ctx, alg); err != nil {
			return err
		}
	}
	return r.Load(ctx)
}

// ensure makes one key, of whatever kind, if there is none that lives.
func (r *Ring) ensure(ctx context.Context, alg jose.Alg) error {
	rows, err := r.Store.ListKeys(ctx)
	if err != nil || living(rows, alg, r.now()) {
		return err
	}
	// A minute ago, so that a node whose clock is behind can sign by it too.
	key, err := r.make(alg, r.now().Add(-skew))
	if err != nil {
		return err
	}
	_, err = r.Store.AddKeyOnce(ctx, key, r.event("made", key))
	return err
}

// skew is how far the clocks of nodes may stand apart.
const skew = time.Minute

func living(rows []iam.Key, alg jose.Alg, now time.Time) bool {
	for _, row := range rows {
		if jose.Alg(row.Alg) == alg && before(now, row.Retires) && before(now, row.Removed) {
			return true
		}
	}
	return false
}

// Rotate makes a new key of alg. It is published at once and signs after one cache lifetime, when the old one retires;
// with at once set it signs now, which is for a key that must be feared: verifiers that cache see it late. alg may also
// spell a way of encryption to us, whose old key opens until it leaves the ring; the salt of subjects never changes.
func (r *Ring) Rotate(ctx context.Context, alg jose.Alg, atOnce bool, actor string) (iam.Key, error) {
	if !alg.Valid() && !jose.KeyAlg(alg).Valid() {
		return iam.Key{}, fmt.Errorf("no such algorithm: %q", alg)
	}
	schedule := r.Schedule.filled()
	activates := r.now().Add(schedule.Publish)
	if atOnce {
		activates = r.now()
	}
	rows, err := r.Store.ListKeys(ctx)
	if err != nil {
		return iam.Key{}, err
	}
	key, err := r.make(alg, activates)
	if err != nil {
		return iam.Key{}, err
	}
	made := r.event("made", key)
	made.Actor = actor
	if err := r.Store.AddKey(ctx, key, made); err != nil {
		return iam.Key{}, err
	}
	for _, old := range rows {
		if jose.Alg(old.Alg) != alg || !old.Retires.IsZero() {
			continue
		}
		old.Retires, old.Removed = activates, activates.Add(schedule.Overlap)
		retires := r.event("retires", old)
		retires.Actor = actor
		if err := r.Store.SetKey(ctx, old, retires); err != nil {
			return iam.Key{}, err
		}
	}
	return key, r.Load(ctx)
}

// Remove takes a key out of the set at once: whatever it signed is dead within a second. A key without which its algorithm
// would sign no more, now or when others retire, can't be removed; rotate at once first.
func (r *Ring) Remove(ctx context.Context, kid, actor string) error {
	rows, err := r.Store.ListKeys(ctx)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(rows, func(row iam.Key) bool { return row.ID == kid })
	if at < 0 {
		return iam.ErrNotFound
	}
	row, now := rows[at], r.now()
	if needed(row, slices.Delete(rows, at, at+1), now) {
		return errors.New("no other key would sign by " + row.Alg + ": rotate at once first")
	}
	row.Removed = now
	if before(now, row.Retires) {
		row.Retires = now
	}
	removed := r.event("removed", row)
	removed.Actor = actor
	if err := r.Store.SetKey(ctx, row, removed); err != nil {
		return err
	}
	return r.Load(ctx)
}

// needed tells whether others would leave a time without a key that signs, where with row there is none.
func needed(row iam.Key, others []iam.Key, now time.Time) bool {
	if !before(now, row.Retires) || !before(now, row.Removed) {
		return false // it signs no more anyway
	}
	signs, stays := false, false
	for _, other := range others {
		if other.Alg != row.Alg || !before(now, other.Retires) || !before(now, other.Removed) {
			continue
		}
		signs = signs || !other.Activates.After(now)
		stays = stays || other.Retires.IsZero()
	}
	return !signs && !row.Activates.After(now) || !stays && row.Retires.IsZero()
}

// before tells whether now is before end; the zero end never comes.
func before(now, end time.Time) bool { return end.IsZero() || now.Before(end) }

// Rewrap puts a sealed value of this tenant, of whatever kind, under the current master key.
func (r *Ring) Rewrap(kept iam.Sealed) (string, error) {
	return r.Sealer.Rewrap(seal.AD{Tenant: string(r.Tenant), Table: kept.Table, Row: kept.Row}, kept.Value)
}

// Run rotates on schedule and drops what has left the set, until ctx ends. Call it on every node: a lease decides who
// rotates.
func (r *Ring) Run(ctx context.Context, lease func(context.Context) (bool, error)) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.Turn(ctx, lease); err != nil && ctx.Err() == nil {
			r.log().Error("rotate signing keys", "error", err)
		}
	}
}

func (r *Ring) Turn(ctx context.Context, lease func(context.Context) (bool, error)) error {
	if err := r.Load(ctx); err != nil { // times pass: what is published depends on them
		return err
	}
	mine, err := lease(ctx)
	if err != nil || !mine {
		return err
	}
	for _, alg := range r.due() {
		if _, err := r.Rotate(ctx, alg, false, "system"); err != nil {
			return err
		}
	}
	return nil
}

// due lists the algorithms whose newest key has signed long enough.
func (r *Ring) due() []jose.Alg {
	schedule, now := r.Schedule.filled(), r.now()
	var algs []jose.Alg
	holding := r.held.Load()
	if holding == nil {
		return nil
	}
	for alg, keys := range holding.signers {
		if newest := keys[0]; now.Sub(newest.Activates) > schedule.Sign {
			algs = append(algs, alg)
		}
	}
	newest := map[jose.KeyAlg]time.Time{}
	for _, key := range holding.openers { // oldest first
		newest[key.opener.Alg] = key.Activates
	}
	for alg, active := range newest {
		if now.Sub(active) > schedule.Sign {
			algs = append(algs, jose.Alg(alg))
		}
	}
	return algs
}
