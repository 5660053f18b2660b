// Package jose holds the one policy for everything signed: which algorithms exist, which keys fit them, how compact
// tokens are written and read, and how JSON that decides something is decoded (RFC 7515, 7517, 7518, 8725). It refuses
// to know what a token means: issuers, audiences and times belong to verify.
//
// There is no "none", no compression and no password-based encryption here, and no option that brings them. Signatures by a
// shared secret have types of their own, so that no key of another kind can verify them.
package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that Alg.hash names
	_ "crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
)

// Alg names a signature algorithm (RFC 7518 section 3.1, RFC 8037, RFC 9864). The zero value signs and verifies nothing.
type Alg string

// The algorithms of the house; no other is ever accepted.
const (
	ES256 Alg = "ES256"
	ES384 Alg = "ES384"
	ES512 Alg = "ES512"
	PS256 Alg = "PS256"
	PS384 Alg = "PS384"
	PS512 Alg = "PS512"
	RS256 Alg = "RS256" // OpenID Connect Discovery demands it; it signs only for clients that ask

	// EdDSA is the older name and Ed25519 the full one of the same algorithm (RFC 9864 section 2.2). A key that names
	// one of them is good for that name only.
	EdDSA   Alg = "EdDSA"
	Ed25519 Alg = "Ed25519"
)

// Bounds of RSA keys. Less than 2048 bits is weak; more than 8192 bits lets a stranger's key burn our time.
const (
	MinRSABits = 2048
	MaxRSABits = 8192
)

// Algs lists the algorithms in the order in which discovery names them.
func Algs() []Alg { return []Alg{ES256, ES384, ES512, EdDSA, Ed25519, PS256, PS384, PS512, RS256} }

// family is how an algorithm computes; the zero value is none.
type family int

const (
	ecdsaFamily family = iota + 1
	edwardsFamily
	pssFamily
	pkcs1Family
)

func (a Alg) family() family {
	switch a {
	case ES256, ES384, ES512:
		return ecdsaFamily
	case EdDSA, Ed25519:
		return edwardsFamily
	case PS256, PS384, PS512:
		return pssFamily
	case RS256:
		return pkcs1Family
	}
	return 0
}

// hash is the digest that is signed; Ed25519 signs the message itself.
func (a Alg) hash() crypto.Hash {
	switch a {
	case ES256, PS256, RS256:
		return crypto.SHA256
	case ES384, PS384:
		return crypto.SHA384
	case ES512, PS512:
		return crypto.SHA512
	default:
		return 0
	}
}

func (a Alg) curve() elliptic.Curve {
	switch a {
	case ES256:
		return elliptic.P256()
	case ES384:
		return elliptic.P384()
	case ES512:
		return elliptic.P521()
	default:
		return nil
	}
}

// Valid tells whether a is one of the house's algorithms, in exact spelling.
func (a Alg) Valid() bool { return a.family() != 0 }

// Fits tells why pub can't be used with a: wrong kind, wrong curve (RFC 7518 section 3.4), or too weak. Nil means that
// it can.
func (a Alg) Fits(pub crypto.PublicKey) error {
	switch a.family() {
	case ecdsaFamily:
		key, ok := pub.(*ecdsa.PublicKey)
		if !ok || key == nil || key.Curve != a.curve() {
			return fmt.Errorf("%s needs a key on %s", a, a.curve().Params().Name)
		}
		return nil
	case edwardsFamily:
		if key, ok := pub.(ed25519.PublicKey); !ok || len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("%s needs an Ed25519 key", a)
		}
		return nil
	case pssFamily, pkcs1Family:
		key, ok := pub.(*rsa.PublicKey)
		if !ok || key == nil {
			return fmt.Errorf("%s needs an RSA key", a)
		}
		return strongRSA(key)
	}
	return errors.New("the algorithm is not one of ours")
}

// strongRSA refuses moduli that can be factored and exponents that no honest generator picks (NIST SP 800-56B section 6.2).
func strongRSA(key *rsa.PublicKey) error {
	if key.N == nil || key.N.BitLen() < MinRSABits || key.N.BitLen() > MaxRSABits {
		return fmt.Errorf("an RSA key must have %d to %d bits", MinRSABits, MaxRSABits)
	}
	if key.N.Bit(0) == 0 || key.E <= 1<<16 || key.E > 1<<31-1 || key.E%2 == 0 {
		return errors.New("an RSA key must have an odd modulus and an odd exponent above 65536")
	}
	return nil
}

// GenerateKey makes a new private key for a. RSA keys have 2048 bits: every bit more is paid at each signature, and they
// exist for old clients only.
func GenerateKey(a Alg) (crypto.Signer, error) {
	switch a.family() {
	case ecdsaFamily:
		return ecdsa.GenerateKey(a.curve(), rand.Reader)
	case edwardsFamily:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case pssFamily, pkcs1Family:
		return rsa.GenerateKey(rand.Reader, MinRSABits)
	}
	return nil, errors.New("the algorithm is not one of ours")
}

// MarshalPrivate gives the PKCS #8 form of a key that lives in memory (RFC 5958). The result is a secret: seal it before
// it is kept.
func MarshalPrivate(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, errors.New("the private key has no PKCS #8 form")
	}
	return der, nil
}

// ParsePrivate reads what MarshalPrivate wrote. Its errors never show the bytes.
func ParsePrivate(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the bytes are not a PKCS #8 private key")
	}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		return key, strongRSA(&key.PublicKey)
	}
	return nil, errors.New("the private key is of a kind that we do not use")
}
