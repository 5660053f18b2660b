package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the thumbprint's hash
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	gojose "github.com/go-jose/go-jose/v4"
)

// Bounds of a foreign key set.
const (
	MaxKeys   = 100
	MaxKeySet = 256 << 10 // bytes
)

// PublicKey is a key that verifies signatures. An empty Alg means that its owner named none: then every algorithm that
// fits its kind is good, and no other.
type PublicKey struct {
	KeyID string
	Alg   Alg
	Key   crypto.PublicKey
}

// Allows tells whether a token whose header names alg may be verified with k.
func (k PublicKey) Allows(alg Alg) bool {
	return (k.Alg == alg || k.Alg == "") && alg.Fits(k.Key) == nil
}

// Verify gives the token's payload if k signed it by an algorithm that k allows.
func (k PublicKey) Verify(token Unverified) ([]byte, error) {
	if !k.Allows(token.Header.Alg) {
		return nil, ErrSignature
	}
	return token.Verify(k.Key, token.Header.Alg)
}

// Thumbprint is the RFC 7638 name of a public key: SHA-256 over its required members, base64url.
func Thumbprint(pub crypto.PublicKey) (string, error) {
	if !isPublic(pub) {
		return "", errors.New("a thumbprint is made of a public EC, Ed25519 or RSA key")
	}
	sum, err := (&gojose.JSONWebKey{Key: pub}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", errors.New("the key has no thumbprint")
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// PublicJWK is k as a JWK for signatures (RFC 7517 section 4). It refuses everything but public keys that fit their
// algorithm, so that a private member can't be published by mistake (J33).
func PublicJWK(k PublicKey) (json.RawMessage, error) {
	if !isPublic(k.Key) {
		return nil, errors.New("only a public key is published")
	}
	if err := k.fits(); err != nil {
		return nil, err
	}
	jwk := gojose.JSONWebKey{Key: k.Key, KeyID: k.KeyID, Algorithm: string(k.Alg), Use: "sig"}
	return jwk.MarshalJSON()
}

func isPublic(key crypto.PublicKey) bool {
	switch key.(type) {
	case *ecdsa.PublicKey, ed25519.PublicKey, *rsa.PublicKey:
		return true
	}
	return false
}

// wireJWK is a key as strangers publish it: what we use, and what must not be there.
type wireJWK struct {
	Kty    string   `json:"kty"`
	Kid    string   `json:"kid"`
	Use    string   `json:"use"`
	Alg    string   `json:"alg"`
	KeyOps []string `json:"key_ops"`
	Crv    string   `json:"crv"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	N      string   `json:"n"`
	E      string   `json:"e"`

	D   json.RawMessage `json:"d"`
	P   json.RawMessage `json:"p"`
	Q   json.RawMessage `json:"q"`
	DP  json.RawMessage `json:"dp"`
	DQ  json.RawMessage `json:"dq"`
	QI  json.RawMessage `json:"qi"`
	Oth json.RawMessage `json:"oth"`
	K   json.RawMessage `json:"k"`
	// RFC 9964 keeps the private seed of AKP keys here.
	Priv json.RawMessage `json:"priv"`
}

func (w *wireJWK) secret() bool {
	return w.Kty == "oct" || w.D != nil || w.P != nil || w.Q != nil || w.DP != nil || w.DQ != nil || w.QI != nil ||
		w.Oth != nil || w.K != nil || w.Priv != nil
}

// forSignatures tells whether the key is meant to verify signatures by an algorithm of ours, on a curve that we know.
// RFC 7517 section 5 lets sets hold other keys; they are passed over.
func (w *wireJWK) forSignatures() bool {
	if w.Use != "" && w.Use != "sig" || w.Alg != "" && !Alg(w.Alg).Valid() {
		return false
	}
	if w.KeyOps != nil && !slices.Contains(w.KeyOps, "verify") {
		return false
	}
	switch w.Kty {
	case "RSA":
		return true
	case "EC":
		return w.strongCurve()
	case "OKP":
		return w.Crv == "Ed25519"
	}
	return false
}

func (w *wireJWK) strongCurve() bool { return w.Crv == "P-256" || w.Crv == "P-384" || w.Crv == "P-521" }

// weakCurve tells NIST curves that are too short for JOSE: whoever publishes one is told, not passed over (T22).
func (w *wireJWK) weakCurve() bool { return w.Kty == "EC" && (w.Crv == "P-192" || w.Crv == "P-224") }

// ParseJWK reads one public key of a stranger (RFC 7517), such as a DPoP header carries. Private and symmetric members,
// weak keys, keys of other kinds and keys that don't fit their "alg" are refused.
func ParseJWK(data []byte) (PublicKey, error) {
	var wire wireJWK
	if err := DecodeJSON(data, &wire); err != nil {
		return PublicKey{}, err
	}
	return wire.key()
}

func (w *wireJWK) key() (PublicKey, error) {
	public, err := w.public(w.forSignatures())
	if err != nil {
		return PublicKey{}, err
	}
	key := PublicKey{KeyID: w.Kid, Alg: Alg(w.Alg), Key: public}
	if err := key.fits(); err != nil {
		return PublicKey{}, err
	}
	return key, nil
}

// public makes the key of its numbers, if it is meant for what it is to be used for.
func (w *wireJWK) public(meant bool) (crypto.PublicKey, error) {
	if w.secret() {
		return nil, errors.New("the key has a private or symmetric member")
	}
	if w.weakCurve() {
		return nil, fmt.Errorf("the curve %s is too weak", w.Crv)
	}
	if !meant {
		return nil, errors.New("the key is not for this use by an algorithm of ours")
	}
	if len(w.Kid) > MaxKeyID {
		return nil, fmt.Errorf("a kid is longer than %d bytes", MaxKeyID)
	}
	// Only what makes the key is handed on: certificates and their URLs are not ours to read.
	bare, err := json.Marshal(map[string]string{"kty": w.Kty, "crv": w.Crv, "x": w.X, "y": w.Y, "n": w.N, "e": w.E})
	if err != nil {
		return nil, err
	}
	var jwk gojose.JSONWebKey
	if err := jwk.UnmarshalJSON(bare); err != nil || !isPublic(jwk.Key) {
		return nil, errors.New("the key's numbers make no key")
	}
	return jwk.Key, nil
}

// fits judges kind and strength, also of a key that names no algorithm.
func (k PublicKey) fits() error {
	if k.Alg == "" {
		return anyFor(k.Key).Fits(k.Key)
	}
	return k.Alg.Fits(k.Key)
}

// anyFor names an algorithm by which to judge a key that names none.
func anyFor(pub crypto.PublicKey) Alg {
	switch key := pub.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return ES256
		case elliptic.P384():
			return ES384
		case elliptic.P521():
			return ES512
		}
	case ed25519.PublicKey:
		return Ed25519
	case *rsa.PublicKey:
		return PS256
	}
	return ""
}

// Set is a JWK Set that was read and judged whole; it never changes. Its zero value has no key.
type Set struct {
	keys []PublicKey
	byID map[string]int
}

// ParseSet reads a stranger's JWK Set (RFC 7517 section 5). Keys for other purposes, of unknown kinds or on unknown
// curves are passed over. The whole set is refused if it is longer than MaxKeySet, has more than MaxKeys keys, holds a
// private or symmetric member, a weak or broken key, or the same kid twice, or if no key is left.
func ParseSet(data []byte) (Set, error) {
	wires, err := wireKeys(data)
	if err != nil {
		return Set{}, err
	}
	var keys []PublicKey
	for i := range wires {
		each := &wires[i]
		if !each.secret() && !each.weakCurve() && !each.forSignatures() {
			continue
		}
		key, err := each.key()
		if err != nil {
			return Set{}, fmt.Errorf("key %d: %w", i, err)
		}
		keys = append(keys, key)
	}
	return NewSet(keys...)
}

// wireKeys reads the bounded form of a stranger's set, and judges none of its keys.
func wireKeys(data []byte) ([]wireJWK, error) {
	if len(data) > MaxKeySet {
		return nil, fmt.Errorf("the key set is longer than %d bytes", MaxKeySet)
	}
	var wire struct {
		Keys []wireJWK `json:"keys"`
	}
	if err := DecodeJSON(data, &wire); err != nil {
		return nil, err
	}
	if len(wire.Keys) > MaxKeys {
		return nil, fmt.Errorf("the key set has more than %d keys", MaxKeys)
	}
	return wire.Keys, nil
}

// NewSet makes a set of keys that we hold ourselves, under the same rules as ParseSet.
func NewSet(keys ...PublicKey) (Set, error) {
	if len(keys) == 0 {
		return Set{}, errors.New("the key set has no key for signatures")
	}
	set := Set{keys: slices.Clone(keys), byID: make(map[string]int, len(keys))}
	for i, key := range keys {
		if err := key.fits(); err != nil {
			return Set{}, err
		}
		if key.KeyID == "" {
			continue
		}
		if _, twice := set.byID[key.KeyID]; twice {
			return Set{}, errors.New("the key set has the same kid twice")
		}
		set.byID[key.KeyID] = i
	}
	return set, nil
}

// Len counts the keys.
func (s Set) Len() int { return len(s.keys) }

// Key finds a key by its kid, an opaque text that must not be empty.
func (s Set) Key(kid string) (PublicKey, bool) {
	i, ok := s.byID[kid]
	if !ok {
		return PublicKey{}, false
	}
	return s.keys[i], true
}

// For finds the key that a header means: the one with its kid; or, when it names none, the only key of the set that
// allows its algorithm. There is no trying of several keys.
func (s Set) For(header Header) (PublicKey, bool) {
	if header.KeyID != "" {
		return s.Key(header.KeyID)
	}
	var found PublicKey
	count := 0
	for _, key := range s.keys {
		if key.Allows(header.Alg) {
			found, count = key, count+1
		}
	}
	return found, count == 1
}

// MarshalJSON writes the set as a JWK Set of public keys.
func (s Set) MarshalJSON() ([]byte, error) {
	list := make([]json.RawMessage, 0, len(s.keys))
	for _, key := range s.keys {
		jwk, err := PublicJWK(key)
		if err != nil {
			return nil, err
		}
		list = append(list, jwk)
	}
	return json.Marshal(map[string]any{"keys": list})
}
