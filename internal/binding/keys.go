package binding

import (
	"github.com/gardeauth/garde/internal/jose"
)

// keys reads the keys of proofs.
type keys struct{}

func (k *keys) read(jwk []byte) (proofKey, error) {
	public, err := jose.ParseJWK(jwk)
	if err != nil {
		return proofKey{}, err
	}
	jkt, err := jose.Thumbprint(public.Key)
	return proofKey{public, jkt}, err
}
