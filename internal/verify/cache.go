package verify

import (
	"crypto/sha256"
	"errors"

	"github.com/maypok86/otter/v2"
)

// DefaultCacheSize is how many verdicts a cache keeps if nothing else is asked: some ten megabytes.
const DefaultCacheSize = 16_384

// Cache remembers what good tokens say: claims only, never a scope decision, a level or a proof. A verdict is admitted
// only when the token has passed every step, and each use runs again all steps that can change their mind (issuer,
// audience, expiry, binding, revocation). Verifiers may share one if they share their Keys.
type Cache struct {
	verdicts *otter.Cache[digest, *Claims]
}

// digest is what a token is known by: its SHA-256, so that the cache holds nothing that could be presented.
type digest [sha256.Size]byte

// NewCache makes a cache for so many verdicts; 0: DefaultCacheSize.
func NewCache(size int) (*Cache, error) {
	if size < 0 {
		return nil, errors.New("verify: a cache can't have a negative size")
	}
	if size == 0 {
		size = DefaultCacheSize
	}
	verdicts, err := otter.New(&otter.Options[digest, *Claims]{MaximumSize: size})
	if err != nil {
		return nil, err
	}
	return &Cache{verdicts: verdicts}, nil
}

// Len says how many verdicts are kept, about.
func (c *Cache) Len() int { return c.verdicts.EstimatedSize() }

func (c *Cache) find(id digest) (*Claims, bool) { return c.verdicts.GetIfPresent(id) }

func (c *Cache) admit(id digest, claims *Claims) { c.verdicts.Set(id, claims) }

func (c *Cache) drop(id digest) { c.verdicts.Invalidate(id) }

// digestOf copies the token to where it costs nothing: a token is seldom longer than this room.
func digestOf(token string) digest {
	var room [1024]byte
	return sha256.Sum256(append(room[:0], token...))
}
