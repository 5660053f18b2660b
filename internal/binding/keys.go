package binding

import (
	"sync"

	"github.com/maypok86/otter/v2"

	"github.com/gardeauth/garde/internal/jose"
)

// The bounds of what is remembered of keys: some two megabytes.
const (
	keysKept = 4096
	keyBytes = 1 << 10
)

// keys remembers keys by the bytes of their jwk: to read and to name one costs a third of a signature's check, and a client
// shows the same one for hours. Only a key that has signed is remembered. The zero value is ready.
type keys struct {
	once  sync.Once
	known *otter.Cache[string, proofKey] // nil: nothing is remembered
}

func (k *keys) read(jwk []byte) (proofKey, error) {
	k.once.Do(func() {
		// Without a cache every key is read anew.
		k.known, _ = otter.New(&otter.Options[string, proofKey]{MaximumSize: keysKept})
	})
	if k.known != nil {
		if known, ok := k.known.GetIfPresent(string(jwk)); ok {
			return known, nil
		}
	}
	public, err := jose.ParseJWK(jwk)
	if err != nil {
		return proofKey{}, err
	}
	jkt, err := jose.Thumbprint(public.Key)
	return proofKey{public, jkt}, err
}

func (k *keys) keep(jwk []byte, key proofKey) {
	if k.known != nil && len(jwk) <= keyBytes {
		k.known.SetIfAbsent(string(jwk), key)
	}
}
