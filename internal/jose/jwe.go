package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"strings"

	gojose "github.com/go-jose/go-jose/v4"
)

// KeyAlg names how the key of encrypted content is agreed on or wrapped (RFC 7518 section 4.1). The zero value encrypts
// and decrypts nothing.
type KeyAlg string

// The ways of the house. There is no RSA1_5 (its padding tells too much), no password-based one, and no key that two
// sides share.
const (
	ECDHES     KeyAlg = "ECDH-ES"
	ECDHESA128 KeyAlg = "ECDH-ES+A128KW"
	ECDHESA256 KeyAlg = "ECDH-ES+A256KW"
	RSAOAEP256 KeyAlg = "RSA-OAEP-256"
)

// KeyAlgs lists them in the order in which discovery names them.
func KeyAlgs() []KeyAlg { return []KeyAlg{ECDHES, ECDHESA128, ECDHESA256, RSAOAEP256} }

// Valid tells whether a is one of the house's, in exact spelling.
func (a KeyAlg) Valid() bool { return a.agrees() || a == RSAOAEP256 }

// agrees tells the Diffie-Hellman kinds.
func (a KeyAlg) agrees() bool { return a == ECDHES || a == ECDHESA128 || a == ECDHESA256 }

// Fits tells why pub can't be used with a. Nil means that it can.
func (a KeyAlg) Fits(pub crypto.PublicKey) error {
	switch key := pub.(type) {
	case *ecdsa.PublicKey:
		if a.agrees() && key != nil && anyFor(key) != "" {
			return nil
		}
	case *rsa.PublicKey:
		if a == RSAOAEP256 && key != nil {
			return strongRSA(key)
		}
	}
	return errors.New("the key is not of the kind that the encryption needs")
}

// ContentAlg names how the content itself is encrypted (RFC 7518 section 5.1).
type ContentAlg string

// The ways of the house; all of them notice a changed byte.
const (
	A128GCM      ContentAlg = "A128GCM"
	A256GCM      ContentAlg = "A256GCM"
	A128CBCHS256 ContentAlg = "A128CBC-HS256"
	A256CBCHS512 ContentAlg = "A256CBC-HS512"
)

// ContentAlgs lists them in the order in which discovery names them.
func ContentAlgs() []ContentAlg { return []ContentAlg{A256GCM, A128GCM, A128CBCHS256, A256CBCHS512} }

// Valid tells whether a is one of the house's, in exact spelling.
func (a ContentAlg) Valid() bool { return a.nonce() > 0 }

// nonce is the length of the initialization vector in bytes.
func (a ContentAlg) nonce() int {
	switch a {
	case A128GCM, A256GCM:
		return 12
	case A128CBCHS256, A256CBCHS512:
		return 16
	}
	return 0
}

// tag is the length of the authentication tag in bytes.
func (a ContentAlg) tag() int {
	if a == A256CBCHS512 {
		return 32
	}
	return 16
}

// MaxEncrypted is what an encrypted token may weigh: the longest signed one, wrapped.
const MaxEncrypted = 32 << 10

// ErrDecrypt is the one answer to whatever can't be decrypted: wrong key, wrong tag, wrong padding (J27).
var ErrDecrypt = errors.New("the token can't be decrypted")

// EncryptedHeader is what of a JWE header may be used before anything is decrypted: to choose the key.
type EncryptedHeader struct {
	Alg     KeyAlg
	Enc     ContentAlg
	KeyID   string
	Typ     string
	Content string // cty; JWT when the plaintext is a token
}

// Encrypted is a compact JWE of the right shape. Only ParseEncrypted makes one that is of use.
type Encrypted struct {
	Header EncryptedHeader
	token  string
}

// wireEncrypted names what is used of a header and what may not stand there.
type wireEncrypted struct {
	Alg  string          `json:"alg"`
	Typ  string          `json:"typ"`
	Kid  string          `json:"kid"`
	Cty  string          `json:"cty"`
	Enc  string          `json:"enc"`
	Epk  json.RawMessage `json:"epk"`
	P2S  json.RawMessage `json:"p2s"`
	P2C  json.RawMessage `json:"p2c"`
	IV   json.RawMessage `json:"iv"`
	Tag  json.RawMessage `json:"tag"`
	Zip  json.RawMessage `json:"zip"`
	Crit json.RawMessage `json:"crit"`
	JWK  json.RawMessage `json:"jwk"`
	JKU  json.RawMessage `json:"jku"`
	X5U  json.RawMessage `json:"x5u"`
	X5C  json.RawMessage `json:"x5c"`
}

// ParseEncrypted reads the compact form of a JWE (RFC 7516 section 7.1) and nothing else: five parts in the only spelling
// that they have, with the lengths that the algorithms give them, and a strictly decoded header. It refuses compression
// (J26), passwords (J25), and header members that bring keys along, before any key is touched. Every error is ErrMalformed.
func ParseEncrypted(token string) (Encrypted, error) {
	if len(token) > MaxEncrypted {
		return Encrypted{}, malformed("it is longer than %d bytes", MaxEncrypted)
	}
	if strings.Count(token, ".") != 4 {
		return Encrypted{}, malformed("it has not five parts")
	}
	parts := strings.Split(token, ".")
	if len(parts[0]) > MaxHeader {
		return Encrypted{}, malformed("its header is longer than %d bytes", MaxHeader)
	}
	raw, err := decodeBase64(parts[0])
	if err != nil {
		return Encrypted{}, malformed("header: %v", err)
	}
	header, err := parseEncryptedHeader(raw)
	if err != nil {
		return Encrypted{}, err
	}
	if err := lengths(header, parts); err != nil {
		return Encrypted{}, err
	}
	return Encrypted{Header: header, token: token}, nil
}

func parseEncryptedHeader(raw []byte) (EncryptedHeader, error) {
	var wire wireEncrypted
	if err := DecodeJSON(raw, &wire); err != nil {
		return EncryptedHeader{}, malformed("header: %v", err)
	}
	header := EncryptedHeader{Alg: KeyAlg(wire.Alg), Enc: ContentAlg(wire.Enc), KeyID: wire.Kid, Typ: wire.Typ, Content: wire.Cty}
	switch {
	case wire.Zip != nil:
		return EncryptedHeader{}, malformed("it is compressed")
	case wire.Crit != nil, wire.JWK != nil, wire.JKU != nil, wire.X5U != nil, wire.X5C != nil:
		return EncryptedHeader{}, malformed("its header brings a key along, or demands an extension")
	case wire.P2S != nil, wire.P2C != nil, wire.IV != nil, wire.Tag != nil:
		return EncryptedHeader{}, malformed("its header is that of another algorithm")
	case !header.Alg.Valid(), !header.Enc.Valid():
		return EncryptedHeader{}, malformed("its algorithms are not ours")
	case len(wire.Kid) > MaxKeyID:
		return EncryptedHeader{}, malformed("its kid is longer than %d bytes", MaxKeyID)
	case header.Alg.agrees() != (wire.Epk != nil):
		return EncryptedHeader{}, malformed("epk belongs to ECDH-ES, and to nothing else")
	}
	if wire.Epk == nil {
		return header, nil
	}
	var epk wireJWK
	if err := DecodeJSON(wire.Epk, &epk); err != nil || epk.secret() || epk.Kty != "EC" || !epk.strongCurve() {
		return EncryptedHeader{}, malformed("epk is not a public key on a curve of ours")
	}
	return header, nil
}

// lengths compares each part with what the algorithms make of it, so that nothing odd reaches a cipher (J27).
func lengths(header EncryptedHeader, parts []string) error {
	if header.Alg == ECDHES {
		if parts[1] != "" {
			return malformed("a key agreed on directly is not sent")
		}
	} else if _, err := decodeBase64(parts[1]); err != nil {
		return malformed("encrypted key: %v", err)
	}
	for i, want := range map[int]int{2: header.Enc.nonce(), 4: header.Enc.tag()} {
		if part, err := decodeBase64(parts[i]); err != nil || len(part) != want {
			return malformed("its part %d is not %d bytes", i+1, want)
		}
	}
	if _, err := decodeBase64(parts[3]); err != nil {
		return malformed("ciphertext: %v", err)
	}
	return nil
}

// Opener decrypts with one private key by one algorithm: a *ecdsa.PrivateKey or *rsa.PrivateKey. Its zero value opens
// nothing. It is safe for concurrent use.
type Opener struct {
	KeyID string
	Alg   KeyAlg
	Key   crypto.Signer
}

// Public is the key that others encrypt to.
func (o *Opener) Public() EncryptionKey {
	if o.Key == nil {
		return EncryptionKey{}
	}
	return EncryptionKey{KeyID: o.KeyID, Alg: o.Alg, Key: o.Key.Public()}
}

// Open gives the plaintext. A token by another algorithm than the key's own is refused whatever it holds. Every failure
// is ErrDecrypt.
func (o *Opener) Open(token Encrypted) ([]byte, error) {
	if o.Key == nil || token.token == "" || token.Header.Alg != o.Alg || o.Alg.Fits(o.Key.Public()) != nil {
		return nil, ErrDecrypt
	}
	parsed, err := gojose.ParseEncryptedCompact(token.token,
		[]gojose.KeyAlgorithm{gojose.KeyAlgorithm(o.Alg)}, []gojose.ContentEncryption{gojose.ContentEncryption(token.Header.Enc)})
	if err != nil {
		return nil, ErrDecrypt
	}
	plain, err := parsed.Decrypt(o.Key)
	if err != nil {
		return nil, ErrDecrypt
	}
	return plain, nil
}

// GenerateOpener makes a new private key for alg: P-256, or RSA of 3072 bits, since what is encrypted today is to be
// secret for longer than a signature is believed.
func GenerateOpener(kid string, alg KeyAlg) (*Opener, error) {
	var err error
	opener := &Opener{KeyID: kid, Alg: alg}
	switch {
	case alg.agrees():
		opener.Key, err = GenerateKey(ES256)
	case alg == RSAOAEP256:
		opener.Key, err = rsa.GenerateKey(rand.Reader, encryptionBits)
	default:
		err = errors.New("the encryption is not one of ours")
	}
	return opener, err
}

const encryptionBits = 3072
