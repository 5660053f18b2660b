package verify

import (
	"context"
	"errors"

	"github.com/gardeauth/garde/internal/jose"
)

// ErrUnknownKey says that the issuer has no such key. Any other error of a KeySource means that it could not be found out.
var ErrUnknownKey = errors.New("the issuer has no such key")

// KeySource finds a key of one issuer by its kid, which is chosen by a stranger and is nothing but a map key.
type KeySource interface {
	Key(ctx context.Context, kid string) (jose.PublicKey, error)
}

// StaticKeys is a key source that never changes. Its zero value has no key.
type StaticKeys struct {
	Set jose.Set
}

// Key finds a key in the set.
func (s StaticKeys) Key(_ context.Context, kid string) (jose.PublicKey, error) {
	key, ok := s.Set.Key(kid)
	if !ok {
		return jose.PublicKey{}, ErrUnknownKey
	}
	return key, nil
}
