package jose

import (
	"crypto"
	"crypto/hmac"
	"errors"
	"strings"
)

// SharedAlg names a signature by a secret that two sides share (RFC 7518 section 3.2). It is a type of its own: no Alg
// spells one, and no public key, however it is written, can take the place of a Secret (J02).
type SharedAlg string

// The shared-secret algorithms. They verify assertions of client_secret_jwt and nothing else.
const (
	HS256 SharedAlg = "HS256"
	HS384 SharedAlg = "HS384"
	HS512 SharedAlg = "HS512"
)

// SharedAlgs lists them in the order in which discovery names them.
func SharedAlgs() []SharedAlg { return []SharedAlg{HS256, HS384, HS512} }

func (a SharedAlg) hash() crypto.Hash {
	switch a {
	case HS256:
		return crypto.SHA256
	case HS384:
		return crypto.SHA384
	case HS512:
		return crypto.SHA512
	}
	return 0
}

// Secret is a secret that two sides share. Only NewSecret makes one; its zero value verifies nothing. It prints as
// [secret].
type Secret struct{ value []byte }

// MinSecret is the least length of a shared secret in bytes.
const MinSecret = 32

// NewSecret takes the secret of a client. One that is too short to sign with, or that is the text of a key and so may be
// known to all, is refused (J02, J11).
func NewSecret(text string) (Secret, error) {
	switch trimmed := strings.TrimSpace(text); {
	case len(text) < MinSecret:
		return Secret{}, errors.New("a shared secret has at least 32 bytes")
	case strings.HasPrefix(trimmed, "-----BEGIN"), strings.HasPrefix(trimmed, "{"):
		return Secret{}, errors.New("a shared secret is not the text of a key")
	}
	return Secret{value: []byte(text)}, nil
}

// String hides the secret.
func (Secret) String() string { return "[secret]" }

// GoString hides it too.
func (Secret) GoString() string { return "[secret]" }

// Shared is a token signed by a shared secret that nobody vouches for yet. Only ParseShared makes one that is of use. It is
// no Unverified, so that whoever asks for a token signed by a key is never given one.
type Shared struct {
	Alg    SharedAlg
	Typ    string
	inside Unverified
}

// ParseShared reads a compact JWS by a shared secret, under the rules of Parse. Every error is ErrMalformed.
func ParseShared(token string) (Shared, error) {
	inside, alg, err := parse(token, nil, func(alg string) bool { return SharedAlg(alg).hash() != 0 })
	if err != nil {
		return Shared{}, err
	}
	return Shared{Alg: SharedAlg(alg), Typ: inside.Header.Typ, inside: inside}, nil
}

// Peek decodes the payload strictly before anyone vouches for it: see Unverified.Peek.
func (s Shared) Peek(v any) error { return s.inside.Peek(v) }

// Verify gives the payload if secret signed it by alg, which the client's registration fixed. The secret must be as long
// as the digest (RFC 7518 section 3.2). Every failure is ErrSignature.
func (s Shared) Verify(secret Secret, alg SharedAlg) ([]byte, error) {
	if alg.hash() == 0 || s.Alg != alg || len(secret.value) < alg.hash().Size() || s.inside.signed == "" {
		return nil, ErrSignature
	}
	mac := hmac.New(alg.hash().New, secret.value)
	mac.Write([]byte(s.inside.signed))
	if !hmac.Equal(mac.Sum(nil), s.inside.signature) {
		return nil, ErrSignature
	}
	return s.inside.payload, nil
}
