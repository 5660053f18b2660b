// Package seal keeps secrets unreadable at rest: each value is encrypted under a data key of its own, which is wrapped
// by a master key that never stands in the store. It knows neither tables nor what the values mean.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	keyBytes  = 32 // AES-256
	version   = "s1"
	dataLabel = "garde seal 1 data"
	wrapLabel = "garde seal 1 key"
	idLabel   = "garde seal 1 id"

	subkeyLabel = "garde seal 1 subkey "
)

// ErrSealed says that a value can't be opened: it was altered, belongs to another place, or its master key is not here.
// Which of these is told to nobody but the operator, by the wrapping text.
var ErrSealed = errors.New("the sealed value can't be opened")

var encoding = base64.RawURLEncoding.Strict()

// Master is a master key of 256 bits, made by GenerateMaster.
type Master struct {
	id     string
	key    cipher.AEAD
	subkey func(purpose string) ([]byte, error) // a function, so that no print shows what it derives from
}

// GenerateMaster gives a fresh master key as the text that LoadMaster and ParseMaster read.
func GenerateMaster() Secret {
	var key [keyBytes]byte
	_, _ = rand.Read(key[:]) // never fails since Go 1.24
	return Secret(encoding.EncodeToString(key[:]))
}

// ParseMaster reads the text of a master key. A text that is short, badly encoded, or that no random source would have
// made (all bytes alike, a run, few different bytes) is refused.
func ParseMaster(text Secret) (Master, error) {
	key, err := encoding.DecodeString(text.Reveal())
	if err != nil || len(key) != keyBytes || encoding.EncodeToString(key) != text.Reveal() {
		return Master{}, errors.New("the master key must be 32 random bytes in base64url, as garde makes them")
	}
	if weak(key) {
		return Master{}, errors.New("the master key is not random; let garde make one")
	}
	return Master{id: keyID(key), key: gcm(key), subkey: func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, key, nil, subkeyLabel+purpose, keyBytes)
	}}, nil
}

// Subkey derives a key for one purpose, which all who hold the master key share and which tells nothing of it or of the key
// for another purpose (RFC 5869).
func (m Master) Subkey(purpose string) ([]byte, error) {
	if m.subkey == nil {
		return nil, errors.New("subkey: there is no master key")
	}
	return m.subkey(purpose)
}

// stretching makes each guess at a secret that a person has chosen cost a tenth of a second.
const stretching = 300_000

// Subkey derives a key for one purpose from a secret that several hold, slowly: what is made with it may be seen by
// everybody, and must not let anybody guess the secret.
func (s Secret) Subkey(purpose string) ([]byte, error) {
	if s == "" {
		return nil, errors.New("subkey: the secret is empty")
	}
	return pbkdf2.Key(sha256.New, string(s), []byte(subkeyLabel+purpose), stretching, keyBytes)
}

// LoadMaster resolves a reference (see Resolve) to a master key.
func LoadMaster(ref, baseDir string) (Master, error) {
	text, err := Resolve(ref, baseDir)
	if err != nil {
		return Master{}, fmt.Errorf("master key: %w", err)
	}
	return ParseMaster(text)
}

// ID names the key without telling anything of it; it stands in front of each value that the key wraps.
func (m Master) ID() string { return m.id }

// weak tells keys that a person, not a random source, has made. A random key has fewer than 20 different bytes once in
// 10^9 keys or less.
func weak(key []byte) bool {
	different, steps := map[byte]bool{}, map[byte]bool{}
	for i, c := range key {
		different[c] = true
		if i > 0 {
			steps[c-key[i-1]] = true
		}
	}
	return len(different) < 20 || len(steps) < 16
}

func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte(idLabel), key...))
	return hex.EncodeToString(sum[:8])
}

// AD is the place that a sealed value belongs to; it opens nowhere else.
type AD struct{ Tenant, Table, Row string }

// bytes joins label and place so that no two places read alike: each part bears its length.
func (a AD) bytes(label string) []byte {
	var out []byte
	for _, part := range []string{label, a.Tenant, a.Table, a.Row} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part))) //nolint:gosec // parts are short
		out = append(out, part...)
	}
	return out
}

// Sealer seals under Current and opens what Current or one of Previous has sealed. The zero value does neither.
type Sealer struct {
	Current  Master
	Previous []Master
}

// Seal encrypts plaintext for its place: version.keyid.wrapped.body in text.
func (s Sealer) Seal(ad AD, plaintext []byte) (string, error) {
	if s.Current.key == nil {
		return "", errors.New("seal: there is no master key")
	}
	var key [keyBytes]byte
	_, _ = rand.Read(key[:])
	body := encrypt(gcm(key[:]), plaintext, ad.bytes(dataLabel))
	return s.join(ad, key[:], encoding.EncodeToString(body)), nil
}

// Open gives the plaintext of a value that was sealed for ad; any fault is an ErrSealed.
func (s Sealer) Open(ad AD, sealed string) ([]byte, error) {
	key, body, err := s.unwrap(ad, sealed)
	if err != nil {
		return nil, err
	}
	raw, err := encoding.DecodeString(body)
	if err != nil {
		return nil, fmt.Errorf("%w: the body is malformed", ErrSealed)
	}
	plaintext, err := decrypt(gcm(key), raw, ad.bytes(dataLabel))
	if err != nil {
		return nil, fmt.Errorf("%w: the body was altered or belongs elsewhere", ErrSealed)
	}
	return plaintext, nil
}

// Rewrap wraps the data key of sealed under the current master key and leaves the body as it is. What is under the
// current key already comes back unchanged.
func (s Sealer) Rewrap(ad AD, sealed string) (string, error) {
	if s.Current.key == nil {
		return "", errors.New("rewrap: there is no master key")
	}
	key, body, err := s.unwrap(ad, sealed)
	if err != nil {
		return "", err
	}
	if s.Current.id == KeyID(sealed) {
		return sealed, nil
	}
	return s.join(ad, key, body), nil
}

// KeyID gives the id of the master key that sealed needs, or "" when it is no sealed value.
func KeyID(sealed string) string {
	parts := strings.Split(sealed, ".")
	if len(parts) != 4 || parts[0] != version {
		return ""
	}
	return parts[1]
}

// Find gives the sealed values that stand in a text, each as it is written there.
func Find(text string) []string {
	var found []string
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && r != '-' && r != '_' && r != '.'
	}) {
		if KeyID(word) != "" {
			found = append(found, word)
		}
	}
	return found
}

func (s Sealer) join(ad AD, key []byte, body string) string {
	wrapped := encrypt(s.Current.key, key, ad.bytes(wrapLabel))
	return strings.Join([]string{version, s.Current.id, encoding.EncodeToString(wrapped), body}, ".")
}

func (s Sealer) unwrap(ad AD, sealed string) (key []byte, body string, err error) {
	id := KeyID(sealed)
	if id == "" || strings.ContainsAny(sealed, "\r\n") { // base64 skips line ends; one value has one spelling
		return nil, "", fmt.Errorf("%w: it is malformed", ErrSealed)
	}
	parts := strings.Split(sealed, ".")
	wrapped, err := encoding.DecodeString(parts[2])
	if err != nil {
		return nil, "", fmt.Errorf("%w: the data key is malformed", ErrSealed)
	}
	for _, master := range append([]Master{s.Current}, s.Previous...) {
		if master.id != id || master.key == nil {
			continue
		}
		key, err = decrypt(master.key, wrapped, ad.bytes(wrapLabel))
		if err != nil || len(key) != keyBytes {
			return nil, "", fmt.Errorf("%w: the data key was altered or belongs elsewhere", ErrSealed)
		}
		return key, parts[3], nil
	}
	return nil, "", fmt.Errorf("%w: master key %s is not here", ErrSealed, id)
}

// gcm is AES-256-GCM that puts a fresh random nonce in front. Data keys seal once; a master key may wrap 2^32 of them
// (NIST SP 800-38D section 8.3).
func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("seal: a key has the wrong length") // all callers hold 32 bytes
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal: AES has no GCM")
	}
	return aead
}

func encrypt(key cipher.AEAD, plaintext, ad []byte) []byte {
	return key.Seal(nil, nil, plaintext, ad) //nolint:gosec // the AEAD of gcm makes its own nonce
}

func decrypt(key cipher.AEAD, sealed, ad []byte) ([]byte, error) {
	return key.Open(nil, nil, sealed, ad)
}

// ClientSecret seals a client's secret of that id, for the one method of authentication that can't do with its hash.
func (s Sealer) ClientSecret(tenant, id, secret string) (string, error) {
	return s.Seal(AD{Tenant: tenant, Table: "client_secrets", Row: id}, []byte(secret))
}

// OpenClientSecret gives what ClientSecret sealed.
func (s Sealer) OpenClientSecret(tenant, id, sealed string) (string, error) {
	plain, err := s.Open(AD{Tenant: tenant, Table: "client_secrets", Row: id}, sealed)
	return string(plain), err
}
