package lab

import (
	"net/http"

	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/jose"
)

// Key is a key of DPoP proofs (RFC 9449), by the clock of the house.
type Key struct {
	*prover.Key
	h *House
}

// NewKey makes one, of ES256.
func (h *House) NewKey() *Key {
	h.t.Helper()
	key, err := prover.New(jose.ES256)
	h.must(err)
	key.Now = h.Clock.Now
	return &Key{key, h}
}

// Show makes a good proof for one request, with the hash of the token that it shows; "" shows none.
func (k *Key) Show(method, url, token string) string {
	k.h.t.Helper()
	return k.With(nil, method, url, token, nil)
}

// With is Show with other members in header and claims; nil takes one away.
func (k *Key) With(header prover.Members, method, url, token string, claims prover.Members) string {
	k.h.t.Helper()
	proof, err := k.Sign(header, k.Claims(method, url, token, claims))
	k.h.must(err)
	return proof
}

// Nonce gives the nonce that an answer brings for the next proof, "" without one.
func (r Reply) Nonce() string { return r.Header.Get("DPoP-Nonce") }

// Retry does a request whose proof may need a nonce: once more, with the nonce of the refusal, where it was refused for that.
func Retry(do func(claims prover.Members) Reply) Reply {
	reply := do(nil)
	if reply.Code() != "use_dpop_nonce" || reply.Status != http.StatusBadRequest && reply.Status != http.StatusUnauthorized {
		return reply
	}
	return do(prover.Members{"nonce": reply.Nonce()})
}
