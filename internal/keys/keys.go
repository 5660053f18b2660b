// Package keys keeps the server's keys, those that sign and those to which others encrypt, and the salt of pairwise subjects: it makes them at first start, publishes each a while before it signs,
// rotates them with overlap, and retires them. Private parts are sealed at rest and never leave this room but as a
// crypto.Signer, which may as well be a KMS or an HSM.
package keys

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/seal"
)

// Ring holds the keys in memory. All fields but Vault, Schedule, Log and Now are required. What is published and found is as of the
// last Load; Run loads every minute, because times pass.
type Ring struct {
	Store    iam.Keys
	Sealer   seal.Sealer
	Tenant   iam.Tenant
	Vault    Vault // nil: private keys are sealed by Sealer into their rows
	Schedule Schedule
	Log      *slog.Logger     // nil: slog.Default
	Now      func() time.Time // nil: time.Now

	held atomic.Pointer[held]
}

// Schedule says how long keys live. Zero values take the defaults.
type Schedule struct {
	Publish time.Duration // in the JWKS before it signs: one cache lifetime of those who read it (default 15m)
	Sign    time.Duration // signs for so long (default 90 days)
	Overlap time.Duration // stays in the JWKS after that, until its last token has died (default 24h)
}

func (s Schedule) filled() Schedule {
	or := func(value, fallback time.Duration) time.Duration {
		if value > 0 {
			return value
		}
		return fallback
	}
	return Schedule{
		Publish: or(s.Publish, 15*time.Minute), Sign: or(s.Sign, 90*24*time.Hour), Overlap: or(s.Overlap, 24*time.Hour),
	}
}

// held is one reading of the keys; it never changes.
type held struct {
	signers   map[jose.Alg][]dated // by alg, newest activation first
	openers   []datedOpener        // oldest first
	salt      []byte               // of pairwise subjects
	public    []jose.PublicKey
	set       jose.Set
	published []byte
}

type dated struct {
	iam.Key
	signer *jose.Signer
}

func (r *Ring) log() *slog.Logger {
	if r.Log != nil {
		return r.Log
	}
	return slog.Default()
}

func (r *Ring) now() time.Time {
	if r.Now != nil {
		return r.Now().UTC()
	}
	return time.Now().UTC()
}

// Load reads the keys from storage and opens them. What was held before stays when it fails.
func (r *Ring) Load(ctx context.Context) error {
	rows, err := r.Store.ListKeys(ctx)
	if err != nil {
		return err
	}
	now := r.now()
	next := &held{signers: map[jose.Alg][]dated{}}
	for _, row := range rows {
		if !before(now, row.Removed) {
			continue
		}
		if err := r.take(next, row); err != nil {
			return fmt.Errorf("open key %s: %w", row.ID, err)
		}
	}
	for _, keys := range next.signers {
		slices.SortFunc(keys, func(a, b dated) int { return b.Activates.Compare(a.Activates) })
	}
	if next.set, err = jose.NewSet(next.public...); err != nil {
		return err
	}
	if next.published, err = next.publish(func(key iam.Key) bool { return before(now, key.Retires) }); err != nil {
		return err
	}
	r.held.Store(next)
	return nil
}

// take opens a row and holds it in its place.
func (r *Ring) take(next *held, row iam.Key) error {
	switch {
	case row.Alg == saltAlg:
		salt, err := r.Sealer.Open(rows{r.Sealer, r.Tenant}.place(row.ID), row.Sealed)
		if next.salt == nil { // the oldest: there is never another
			next.salt = salt
		}
		return err
	case jose.KeyAlg(row.Alg).Valid():
		opener, err := r.openOpener(row)
		next.openers = append(next.openers, opener)
		return err
	}
	signer, err := r.open(row)
	if err != nil {
		return err
	}
	next.signers[signer.Alg] = append(next.signers[signer.Alg], dated{row, signer})
	next.public = append(next.public, signer.Public())
	return nil
}

func (r *Ring) open(row iam.Key) (*jose.Signer, error) {
	if known := r.held.Load(); known != nil { // opening an RSA key checks its primes: not at every reload
		for _, key := range known.signers[jose.Alg(row.Alg)] {
			if key.ID == row.ID {
				return key.signer, nil
			}
		}
	}
	private, err := r.vault().Open(row.ID, jose.Alg(row.Alg), row.Sealed)
	if err != nil {
		return nil, err
	}
	return &jose.Signer{KeyID: row.ID, Alg: jose.Alg(row.Alg), Key: private}, nil
}

// Signer gives the key that signs now by alg. An error means that there is none: the answer is 503, never another alg.
func (r *Ring) Signer(alg jose.Alg) (*jose.Signer, error) {
	holding := r.held.Load()
	if holding == nil {
		return nil, iam.ErrUnavailable
	}
	now := r.now()
	for _, key := range holding.signers[alg] {
		if !key.Activates.After(now) && before(now, key.Retires) {
			return key.signer, nil
		}
	}
	return nil, fmt.Errorf("no key signs by %s now: %w", alg, iam.ErrUnavailable)
}

// Algs lists the algorithms that have a key that signs now, in the order of jose.Algs.
func (r *Ring) Algs() []jose.Alg {
	var algs []jose.Alg
	for _, alg := range jose.Algs() {
		if _, err := r.Signer(alg); err == nil {
			algs = append(algs, alg)
		}
	}
	return algs
}

// Published is the JWK Set as /jwks serves it (RFC 7517 section 5).
func (r *Ring) Published() []byte {
	if holding := r.held.Load(); holding != nil {
		return holding.published
	}
	return []byte(`{"keys":[]}`)
}

// Find gives a published key by its kid, so that the server can verify what it signed.
func (r *Ring) Find(kid string) (jose.PublicKey, bool) {
	holding := r.held.Load()
	if holding == nil {
		return jose.PublicKey{}, false
	}
	return holding.set.Key(kid)
}

// make seals a new key of alg that is in use from then on.
func (r *Ring) make(alg jose.Alg, activates time.Time) (iam.Key, error) {
	key, err := r.newRow(alg)
	key.Activates = activates
	return key, err
}

func (r *Ring) makeSigner(kid string, alg jose.Alg) (sealed, public string, err error) {
	private, sealed, err := r.vault().Make(kid, alg)
	if err != nil {
		return "", "", err
	}
	signer := jose.Signer{KeyID: kid, Alg: alg, Key: private}
	set, err := jose.NewSet(signer.Public())
	if err != nil {
		return "", "", err
	}
	document, err := json.Marshal(set)
	return sealed, string(document), err
}

func (r *Ring) event(what string, key iam.Key) journal.Event {
	event := journal.New(r.now(), journal.KeyChanged{What: what, KeyID: key.ID, Alg: key.Alg})
	event.Actor = "system"
	return event
}
