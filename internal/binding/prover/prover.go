// Package prover makes DPoP proofs (RFC 9449 section 4.2), good ones and, on demand, bad ones, for the tests of whoever
// judges them. It is not part of the product.
package prover

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"time"

	"github.com/gardeauth/garde/internal/jose"
)

// Members are the members of a header or of claims. A nil value takes a member away that would be there.
type Members map[string]any

// Key is a client's key.
type Key struct {
	Alg jose.Alg
	JKT string // its thumbprint
	JWK json.RawMessage
	Now func() time.Time // nil: time.Now

	private crypto.Signer
}

// New makes a key.
func New(alg jose.Alg) (*Key, error) {
	private, err := jose.GenerateKey(alg)
	if err != nil {
		return nil, err
	}
	return Of(alg, private)
}

// Of takes a key that is there.
func Of(alg jose.Alg, private crypto.Signer) (*Key, error) {
	jkt, err := jose.Thumbprint(private.Public())
	if err != nil {
		return nil, err
	}
	jwk, err := jose.PublicJWK(jose.PublicKey{Alg: alg, Key: private.Public()})
	return &Key{Alg: alg, JKT: jkt, JWK: jwk, private: private}, err
}

// Proof makes a proof for a request, and for the token that it shows unless that is "". with changes its claims.
func (k *Key) Proof(method, url, token string, with Members) (string, error) {
	return k.Sign(nil, k.Claims(method, url, token, with))
}

// Claims are those of a good proof, changed by with.
func (k *Key) Claims(method, url, token string, with Members) Members {
	now := time.Now
	if k.Now != nil {
		now = k.Now
	}
	claims := Members{"jti": rand.Text(), "htm": method, "htu": url, "iat": now().Unix()}
	if token != "" {
		claims["ath"] = Ath(token)
	}
	return changed(claims, with)
}

// Ath is the hash of a token as a proof names it.
func Ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Sign signs claims under the header of a good proof, changed by header.
func (k *Key) Sign(header, claims Members) (string, error) {
	head, err := json.Marshal(changed(Members{"typ": "dpop+jwt", "alg": k.Alg, "jwk": k.JWK}, header))
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(changed(claims, nil))
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	signature, err := k.signature([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

func changed(members, with Members) Members {
	all := maps.Clone(members)
	maps.Copy(all, with)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	return all
}

func (k *Key) signature(message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	switch private := k.private.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(private, message), nil
	case *rsa.PrivateKey:
		if k.Alg == jose.RS256 {
			return rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, sum[:])
		}
		return rsa.SignPSS(rand.Reader, private, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case *ecdsa.PrivateKey:
		if k.Alg != jose.ES256 {
			break
		}
		der, err := ecdsa.SignASN1(rand.Reader, private, sum[:])
		if err != nil {
			return nil, err
		}
		var pair struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(der, &pair); err != nil {
			return nil, err
		}
		return append(pair.R.FillBytes(make([]byte, 32)), pair.S.FillBytes(make([]byte, 32))...), nil
	}
	return nil, errors.New("prover: this key signs by ES256, PS256, RS256 or EdDSA only")
}
