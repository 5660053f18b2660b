package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// What a token may weigh. Longer ones are refused before anything is split or decoded (J28).
const (
	MaxToken  = 16 << 10
	MaxHeader = 4 << 10
	MaxKeyID  = 256
)

// ErrMalformed says that the text is no compact JWS as the house reads it. ErrSignature says that it is one which the
// key did not sign by its algorithm.
var (
	ErrMalformed = errors.New("the token is malformed")
	ErrSignature = errors.New("the signature is not valid")
)

// Header is what of a JOSE header may be used before the signature is known to be good: to choose the key, no more.
type Header struct {
	Alg   Alg
	Typ   string          // as written; compare exactly
	KeyID string          // a map key, never a path, a query or a URL (J06)
	JWK   json.RawMessage // set only if Parse was told to allow "jwk"
}

// wireHeader names what we use and what changes how a token must be read or trusted. RFC 8725 section 3.10 warns of
// keys that a token brings along; everything else is ignored, as RFC 7515 section 4 demands.
type wireHeader struct {
	Alg  string          `json:"alg"`
	Typ  string          `json:"typ"`
	Kid  string          `json:"kid"`
	JWK  json.RawMessage `json:"jwk"`
	Crit json.RawMessage `json:"crit"`
	B64  json.RawMessage `json:"b64"`
	JKU  json.RawMessage `json:"jku"`
	X5U  json.RawMessage `json:"x5u"`
	X5C  json.RawMessage `json:"x5c"`
	Zip  json.RawMessage `json:"zip"`
	Enc  json.RawMessage `json:"enc"`
}

// refused names the first member that may not stand in a header.
func (h *wireHeader) refused(allowed []string) string {
	for _, member := range []struct {
		name  string
		value json.RawMessage
	}{
		{"crit", h.Crit}, {"b64", h.B64}, {"jwk", h.JWK}, {"jku", h.JKU},
		{"x5u", h.X5U}, {"x5c", h.X5C}, {"zip", h.Zip}, {"enc", h.Enc},
	} {
		if member.value != nil && !slices.Contains(allowed, member.name) {
			return member.name
		}
	}
	return ""
}

// Unverified is a token of the right shape that nobody vouches for yet. Only Parse makes one that is of use.
type Unverified struct {
	Header    Header
	signed    string // header and payload as they travelled
	payload   []byte
	signature []byte
}

// Parse reads the compact form of a JWS (RFC 7515 section 7.1) and nothing else: three non-empty parts, each base64url
// in its only spelling, a strictly decoded header with one of our algorithms. Header members that bring keys along or
// change how the token is read (crit, b64, jwk, jku, x5u, x5c, zip, enc) are refused; "jwk" alone can be allowed by
// naming it, for DPoP proofs (RFC 9449 section 4.2). Every error is ErrMalformed.
func Parse(token string, allowed ...string) (Unverified, error) {
	parsed, alg, err := parse(token, allowed, func(alg string) bool { return Alg(alg).Valid() })
	parsed.Header.Alg = Alg(alg)
	return parsed, err
}

// parse reads the compact form with an algorithm of a kind, which it gives beside the token: a header's Alg is only ever
// set by Parse.
func parse(token string, allowed []string, ours func(alg string) bool) (Unverified, string, error) {
	if len(token) > MaxToken {
		return Unverified{}, "", malformed("it is longer than %d bytes", MaxToken)
	}
	if strings.Count(token, ".") != 2 {
		return Unverified{}, "", malformed("it has not three parts")
	}
	last := strings.LastIndexByte(token, '.')
	signed := token[:last]
	first := strings.IndexByte(signed, '.')
	if first > MaxHeader {
		return Unverified{}, "", malformed("its header is longer than %d bytes", MaxHeader)
	}
	raw, err := decodeBase64(signed[:first])
	if err != nil {
		return Unverified{}, "", malformed("header: %v", err)
	}
	header, alg, err := parseHeader(raw, allowed, ours)
	if err != nil {
		return Unverified{}, "", err
	}
	payload, err := decodeBase64(signed[first+1:])
	if err != nil {
		return Unverified{}, "", malformed("payload: %v", err)
	}
	signature, err := decodeBase64(token[last+1:])
	if err != nil {
		return Unverified{}, "", malformed("signature: %v", err)
	}
	return Unverified{Header: header, signed: signed, payload: payload, signature: signature}, alg, nil
}

func parseHeader(raw []byte, allowed []string, ours func(alg string) bool) (Header, string, error) {
	var wire wireHeader
	if err := DecodeJSON(raw, &wire); err != nil {
		return Header{}, "", malformed("header: %v", err)
	}
	if name := wire.refused(allowed); name != "" {
		return Header{}, "", malformed("its header has %q", name)
	}
	if !ours(wire.Alg) {
		return Header{}, "", malformed("its algorithm is not one of ours")
	}
	if len(wire.Kid) > MaxKeyID {
		return Header{}, "", malformed("its kid is longer than %d bytes", MaxKeyID)
	}
	return Header{Typ: wire.Typ, KeyID: wire.Kid, JWK: wire.JWK}, wire.Alg, nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// strict refuses padding and set bits after the last byte; decodeBase64 refuses the line breaks that it still skips.
var strict = base64.RawURLEncoding.Strict()

// decodeBase64 reads the one spelling that text has (RFC 7515 section 2). Two spellings of one token would be two keys in
// a cache or a deny list (J21, J22).
func decodeBase64(text string) ([]byte, error) {
	if text == "" {
		return nil, errors.New("empty")
	}
	if strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		return nil, errors.New("not base64url")
	}
	decoded, err := strict.DecodeString(text)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return decoded, nil
}

// Peek decodes the payload strictly before anyone vouches for it, so that a caller can find out whose key to ask for
// (the client of an assertion, RFC 7523). Nothing of it may be believed until Verify said yes.
func (u Unverified) Peek(v any) error { return DecodeJSON(u.payload, v) }

// Verify gives the payload if pub signed it by alg. The key's owner fixed alg when the key was registered or published;
// a token whose header names another one is refused whatever its signature (RFC 8725 section 3.1). Every failure is
// ErrSignature or says that key and algorithm don't belong together.
func (u Unverified) Verify(pub crypto.PublicKey, alg Alg) ([]byte, error) {
	if err := alg.Fits(pub); err != nil {
		return nil, err
	}
	if u.Header.Alg != alg || u.signed == "" {
		return nil, ErrSignature
	}
	message := []byte(u.signed)
	good := false
	switch key := pub.(type) {
	case *ecdsa.PublicKey:
		good = verifyECDSA(key, alg, message, u.signature)
	case ed25519.PublicKey:
		good = ed25519.Verify(key, message, u.signature)
	case *rsa.PublicKey:
		good = verifyRSA(key, alg, message, u.signature)
	}
	if !good {
		return nil, ErrSignature
	}
	return u.payload, nil
}

// verifyECDSA takes r||s of the exact width only: never DER, never a shorter or longer spelling (J09).
func verifyECDSA(key *ecdsa.PublicKey, alg Alg, message, signature []byte) bool {
	width := coordinate(alg)
	if len(signature) != 2*width {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:width]), new(big.Int).SetBytes(signature[width:])
	return ecdsa.Verify(key, digest(alg, message), r, s)
}

func verifyRSA(key *rsa.PublicKey, alg Alg, message, signature []byte) bool {
	if alg.family() == pssFamily {
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: alg.hash()}
		return rsa.VerifyPSS(key, alg.hash(), digest(alg, message), signature, options) == nil
	}
	return rsa.VerifyPKCS1v15(key, alg.hash(), digest(alg, message), signature) == nil
}
