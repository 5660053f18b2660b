package jose

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Signer signs compact tokens with one key by one algorithm. Key may live elsewhere (KMS, HSM): only crypto.Signer is
// asked of it. A Signer is safe for concurrent use if its Key is. Its zero value signs nothing.
type Signer struct {
	KeyID string
	Alg   Alg
	Key   crypto.Signer
}

// Public is the key that verifies what s signs, fixed to its algorithm.
func (s *Signer) Public() PublicKey {
	if s.Key == nil {
		return PublicKey{}
	}
	return PublicKey{KeyID: s.KeyID, Alg: s.Alg, Key: s.Key.Public()}
}

// Sign encodes claims as JSON and signs them as a compact JWS (RFC 7515 section 7.1) with the header alg, kid, typ.
func (s *Signer) Sign(typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	return s.SignBytes(typ, payload)
}

// SignBytes signs a payload that is already encoded.
func (s *Signer) SignBytes(typ string, payload []byte) (string, error) {
	if s.Key == nil {
		return "", errors.New("sign: there is no key")
	}
	if err := s.Alg.Fits(s.Key.Public()); err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	// Written, not encoded: both values are of an alphabet that JSON leaves as it is. That costs a tenth of a microsecond,
	// so there is nothing to keep between two calls.
	if !plain(s.KeyID) || !plain(typ) {
		return "", errors.New("sign: kid and typ must be plain, non-empty names")
	}
	header := make([]byte, 0, 192)
	header = append(header, `{"alg":"`...)
	header = append(header, s.Alg...)
	header = append(header, `","kid":"`...)
	header = append(header, s.KeyID...)
	header = append(header, `","typ":"`...)
	header = append(header, typ...)
	header = append(header, `"}`...)

	size := base64.RawURLEncoding.EncodedLen(len(header)) + base64.RawURLEncoding.EncodedLen(len(payload)) + 2
	token := make([]byte, 0, size+base64.RawURLEncoding.EncodedLen(s.signatureSize()))
	token = base64.RawURLEncoding.AppendEncode(token, header)
	token = append(token, '.')
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	signature, err := s.signature(token)
	if err != nil {
		return "", fmt.Errorf("sign with %s: %w", s.Alg, err)
	}
	token = append(token, '.')
	return string(base64.RawURLEncoding.AppendEncode(token, signature)), nil
}

// plain tells whether name can stand in a JSON string and in a URL as it is.
func plain(name string) bool {
	for _, c := range []byte(name) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' && c != '+' && c != ':' && c != '/' && c != '~' {
			return false
		}
	}
	return name != "" && len(name) <= MaxKeyID
}

// signatureSize guesses what the signature will need, so that the token is allocated once.
func (s *Signer) signatureSize() int {
	if s.Alg.family() == ecdsaFamily {
		return 2 * coordinate(s.Alg)
	}
	if key, ok := s.Key.Public().(*rsa.PublicKey); ok {
		return key.Size()
	}
	return 64
}

func (s *Signer) signature(message []byte) ([]byte, error) {
	var opts crypto.SignerOpts = s.Alg.hash()
	switch s.Alg.family() {
	case edwardsFamily:
		return s.Key.Sign(rand.Reader, message, crypto.Hash(0))
	case pssFamily:
		// RFC 7518 section 3.5: the salt is as long as the digest.
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.Alg.hash()}
	case ecdsaFamily, pkcs1Family: // the hash alone tells them what to do
	}
	signature, err := s.Key.Sign(rand.Reader, digest(s.Alg, message), opts)
	if err != nil || s.Alg.family() != ecdsaFamily {
		return signature, err
	}
	return fromASN1(signature, coordinate(s.Alg))
}

func digest(a Alg, message []byte) []byte {
	h := a.hash().New()
	h.Write(message)
	return h.Sum(nil)
}

// coordinate is the length of r and of s in bytes (RFC 7518 section 3.4).
func coordinate(a Alg) int { return (a.curve().Params().BitSize + 7) / 8 }

// fromASN1 turns the form that crypto.Signer gives into the fixed-width r||s of RFC 7518 section 3.4.
func fromASN1(der []byte, width int) ([]byte, error) {
	input := cryptobyte.String(der)
	var inner cryptobyte.String
	var r, s []byte
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() ||
		!inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() ||
		len(r) > width || len(s) > width {
		return nil, errors.New("the key gave no ECDSA signature")
	}
	fixed := make([]byte, 2*width)
	copy(fixed[width-len(r):], r)
	copy(fixed[2*width-len(s):], s)
	return fixed, nil
}
