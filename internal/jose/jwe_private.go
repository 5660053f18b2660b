package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	gojose "github.com/go-jose/go-jose/v4"
)

// MaxOpeners is how many private keys a reader may have: the one in use, the next, and those that are on their way out.
const MaxOpeners = 8

// Openers are the private keys of one reader; they never change. The zero value opens nothing. It is safe for concurrent use.
type Openers struct{ keys []*Opener }

// ParseOpeners reads a JWK Set of our own private keys (RFC 7517 section 5), or one JWK alone. Each key says by "alg" which one
// algorithm of ours it is for, and where there are several each has a kid of its own: nothing that a token says can lead to
// another use of a key, or to the trial of several. Its errors never show the content.
func ParseOpeners(data []byte) (Openers, error) {
	if len(data) > MaxKeySet {
		return Openers{}, fmt.Errorf("the key set is longer than %d bytes", MaxKeySet)
	}
	var wire struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := DecodeJSON(data, &wire); err != nil {
		return Openers{}, errors.New("the keys are not a JWK Set in strict JSON")
	}
	if wire.Keys == nil {
		wire.Keys = []json.RawMessage{bytes.TrimSpace(data)}
	}
	if len(wire.Keys) == 0 || len(wire.Keys) > MaxOpeners {
		return Openers{}, fmt.Errorf("there must be 1 to %d private keys", MaxOpeners)
	}
	var all Openers
	for i, each := range wire.Keys {
		key, err := parseOpener(each)
		if err != nil {
			return Openers{}, fmt.Errorf("key %d: %w", i, err)
		}
		all.keys = append(all.keys, key)
	}
	return all.distinct()
}

// distinct refuses keys that no token could name.
func (o Openers) distinct() (Openers, error) {
	known := map[string]bool{}
	for _, key := range o.keys {
		if len(o.keys) > 1 && (key.KeyID == "" || known[key.KeyID]) {
			return Openers{}, errors.New("where there are several keys, each needs a kid of its own")
		}
		known[key.KeyID] = true
	}
	return o, nil
}

func parseOpener(data []byte) (*Opener, error) {
	var wire wireJWK
	if err := DecodeJSON(data, &wire); err != nil {
		return nil, errors.New("it is not a JWK in strict JSON")
	}
	opener := &Opener{KeyID: wire.Kid, Alg: KeyAlg(wire.Alg)}
	switch {
	case !opener.Alg.Valid():
		return nil, errors.New("its alg is not one of ours for encryption")
	case wire.Use != "" && wire.Use != "enc", len(wire.Kid) > MaxKeyID, wire.Oth != nil:
		return nil, errors.New("it is not meant for encryption")
	case wire.KeyOps != nil && !slices.ContainsFunc(wire.KeyOps, func(does string) bool {
		return slices.Contains([]string{"decrypt", "unwrapKey", "deriveKey", "deriveBits"}, does)
	}):
		return nil, errors.New("its key_ops let it open nothing")
	}
	var jwk gojose.JSONWebKey
	if err := jwk.UnmarshalJSON(data); err != nil {
		return nil, errors.New("its numbers make no private key")
	}
	switch key := jwk.Key.(type) {
	case *ecdsa.PrivateKey:
		opener.Key = key
	case *rsa.PrivateKey:
		opener.Key = key
	default:
		return nil, errors.New("it is no private key of a kind that opens anything")
	}
	return opener, opener.sound()
}

// sound tells whether the halves of the key belong together and fit its algorithm: else every token would fail, and
// nobody would know why.
func (o *Opener) sound() error {
	if err := o.Alg.Fits(o.Key.Public()); err != nil {
		return err
	}
	wrong := errors.New("its private part does not belong to its public one")
	switch key := o.Key.(type) {
	case *ecdsa.PrivateKey:
		raw, err := key.Bytes()
		if err != nil {
			return wrong
		}
		again, err := ecdsa.ParseRawPrivateKey(key.Curve, raw)
		if err != nil || !again.PublicKey.Equal(&key.PublicKey) {
			return wrong
		}
	case *rsa.PrivateKey:
		if key.Validate() != nil {
			return wrong
		}
	}
	return nil
}

// NewOpeners are keys that we made ourselves, under the rules of ParseOpeners.
func NewOpeners(keys ...*Opener) (Openers, error) {
	if len(keys) == 0 || len(keys) > MaxOpeners {
		return Openers{}, fmt.Errorf("there must be 1 to %d private keys", MaxOpeners)
	}
	for _, key := range keys {
		if key == nil || key.Key == nil {
			return Openers{}, errors.New("a private key is missing")
		}
		if err := key.sound(); err != nil {
			return Openers{}, err
		}
	}
	return Openers{keys: slices.Clone(keys)}.distinct()
}

// Len counts the keys.
func (o Openers) Len() int { return len(o.keys) }

// Holds tells whether the private half of a public key is among the keys.
func (o Openers) Holds(public crypto.PublicKey) bool {
	return slices.ContainsFunc(o.keys, func(key *Opener) bool {
		own, ok := key.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
		return ok && own.Equal(public)
	})
}

// Nested opens a token within a token (RFC 7519 section 5.2): what it gives is the signed one, which nobody vouches for yet.
// The key is the one of the header's kid, or the only one there is: exactly one is tried. What can't be opened is ErrDecrypt,
// and what has another form or content is ErrMalformed.
func (o Openers) Nested(token string) (string, error) {
	sealed, err := ParseEncrypted(token)
	if err != nil {
		return "", err
	}
	if sealed.Header.Content != "JWT" {
		return "", malformed("what it holds is not said to be a JWT")
	}
	for _, key := range o.keys {
		if key.KeyID == sealed.Header.KeyID || len(o.keys) == 1 && (key.KeyID == "" || sealed.Header.KeyID == "") {
			plain, err := key.Open(sealed)
			return string(plain), err
		}
	}
	return "", ErrDecrypt
}
