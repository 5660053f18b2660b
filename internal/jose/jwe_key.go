package jose

import (
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	gojose "github.com/go-jose/go-jose/v4"
)

// EncryptionKey is somebody's public key for what only they shall read. An empty Alg means that its owner named none.
type EncryptionKey struct {
	KeyID string
	Alg   KeyAlg
	Key   crypto.PublicKey
}

// Allows tells whether content may be encrypted to k by alg.
func (k EncryptionKey) Allows(alg KeyAlg) bool {
	return alg.Valid() && (k.Alg == alg || k.Alg == "") && alg.Fits(k.Key) == nil
}

// Encrypt makes a compact JWE for the holder of k. typ and content are the header's typ and cty; content is JWT for a
// nested token (RFC 7519 section 5.2), empty for plain JSON. Nothing is compressed: the length would tell of the content.
func (k EncryptionKey) Encrypt(alg KeyAlg, enc ContentAlg, typ, content string, plain []byte) (string, error) {
	if !k.Allows(alg) || !enc.Valid() {
		return "", errors.New("encrypt: the key or the algorithms don't belong together")
	}
	options := (&gojose.EncrypterOptions{}).WithType(gojose.ContentType(typ))
	if content != "" {
		options = options.WithContentType(gojose.ContentType(content))
	}
	encrypter, err := gojose.NewEncrypter(gojose.ContentEncryption(enc),
		gojose.Recipient{Algorithm: gojose.KeyAlgorithm(alg), Key: k.Key, KeyID: k.KeyID}, options)
	if err != nil {
		return "", fmt.Errorf("encrypt: %w", err)
	}
	sealed, err := encrypter.Encrypt(plain)
	if err != nil {
		return "", fmt.Errorf("encrypt: %w", err)
	}
	return sealed.CompactSerialize()
}

// EncryptionJWK is k as a JWK (RFC 7517 section 4), for publishing.
func EncryptionJWK(k EncryptionKey) (json.RawMessage, error) {
	if !isPublic(k.Key) || !k.Allows(k.Alg) {
		return nil, errors.New("only a public key for encryption is published")
	}
	return (&gojose.JSONWebKey{Key: k.Key, KeyID: k.KeyID, Algorithm: string(k.Alg), Use: "enc"}).MarshalJSON()
}

// EncryptionSet are the keys of a stranger's JWK Set that one may encrypt to; it never changes. Its zero value has none.
type EncryptionSet struct{ keys []EncryptionKey }

// ParseEncryptionSet reads a stranger's JWK Set (RFC 7517 section 5) under the bounds of ParseSet. Keys for signatures, of
// unknown kinds or on unknown curves are passed over; private and symmetric members, weak keys and doubled kids are
// refused, and so is a set in which no key is left.
func ParseEncryptionSet(data []byte) (EncryptionSet, error) {
	wires, err := wireKeys(data)
	if err != nil {
		return EncryptionSet{}, err
	}
	var meant, loose []EncryptionKey // one that is said to be for encryption goes before one that may be for anything
	known := map[string]bool{}
	for i := range wires {
		each := &wires[i]
		if !each.secret() && !each.weakCurve() && !each.forEncryption() {
			continue
		}
		key, err := each.encryptionKey()
		if err != nil {
			return EncryptionSet{}, fmt.Errorf("key %d: %w", i, err)
		}
		if key.KeyID != "" && known[key.KeyID] {
			return EncryptionSet{}, errors.New("the key set has the same kid twice")
		}
		known[key.KeyID] = true
		if each.Use == "enc" {
			meant = append(meant, key)
		} else {
			loose = append(loose, key)
		}
	}
	set := EncryptionSet{keys: slices.Concat(meant, loose)}
	if len(set.keys) == 0 {
		return EncryptionSet{}, errors.New("the key set has no key for encryption")
	}
	return set, nil
}

// For gives the first key to which one may encrypt by alg: one that names alg before one that names none.
func (s EncryptionSet) For(alg KeyAlg) (EncryptionKey, bool) {
	for _, named := range []KeyAlg{alg, ""} {
		for _, key := range s.keys {
			if key.Alg == named && key.Allows(alg) {
				return key, true
			}
		}
	}
	return EncryptionKey{}, false
}

// forEncryption tells whether the key is meant for encryption in a way of ours, on a curve that we know.
func (w *wireJWK) forEncryption() bool {
	if w.Use != "" && w.Use != "enc" || w.Alg != "" && !KeyAlg(w.Alg).Valid() {
		return false
	}
	if w.KeyOps != nil && !slices.ContainsFunc(w.KeyOps, func(does string) bool {
		return slices.Contains([]string{"encrypt", "wrapKey", "deriveKey", "deriveBits"}, does)
	}) {
		return false
	}
	return w.Kty == "RSA" || w.Kty == "EC" && w.strongCurve()
}

func (w *wireJWK) encryptionKey() (EncryptionKey, error) {
	public, err := w.public(w.forEncryption())
	if err != nil {
		return EncryptionKey{}, err
	}
	key := EncryptionKey{KeyID: w.Kid, Alg: KeyAlg(w.Alg), Key: public}
	if err := key.fits(); err != nil {
		return EncryptionKey{}, err
	}
	return key, nil
}

// fits judges kind and strength, also of a key that names no algorithm.
func (k EncryptionKey) fits() error {
	alg := k.Alg
	if _, isRSA := k.Key.(*rsa.PublicKey); alg == "" && isRSA {
		alg = RSAOAEP256
	} else if alg == "" {
		alg = ECDHES
	}
	return alg.Fits(k.Key)
}

// Len counts the keys.
func (s EncryptionSet) Len() int { return len(s.keys) }
