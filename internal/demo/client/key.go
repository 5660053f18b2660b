package client

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// assertionLife bounds how long a client assertion can be used; the server remembers its jti that long.
const assertionLife = time.Minute

// Key is a key by which a client proves who it is (private_key_jwt, RFC 7523), or what its tokens are bound to (RFC 9449).
// The private half never leaves its file; no secret stands in the recipe.
type Key struct {
	private *ecdsa.PrivateKey
	ID      string // RFC 7638 thumbprint
	x, y    string
}

// OpenKey reads the key name from dir, or makes it at the first start: name.key.pem for the owner alone, and
// name.jwks.json, which the recipe names. A private key that others may read is refused.
func OpenKey(dir, name string) (*Key, error) {
	key, err := OwnKey(dir, name)
	if err != nil {
		return nil, err
	}
	return key, WritePrivate(filepath.Join(dir, name+".jwks.json"), key.JWKS())
}

// OwnKey is OpenKey for a key that nobody has to be told of.
func OwnKey(dir, name string) (*Key, error) {
	path := filepath.Join(dir, name+".key.pem")
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := makeKey(path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, fmt.Errorf("open the client key: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%s can be read by others: run chmod 600 on it, or remove it and start again", path)
	}
	return readKey(path)
}

func makeKey(path string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the client key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("make the client key: %w", err)
	}
	return WritePrivate(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func readKey(path string) (*Key, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("open the client key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file: remove it and start again", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s is not a P-256 key: remove it and start again", path)
	}
	key, err := keyOf(private)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return key, nil
}

// NewKey makes a key that is kept nowhere.
func NewKey() (*Key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	return keyOf(private)
}

func keyOf(private *ecdsa.PrivateKey) (*Key, error) {
	point, err := private.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	key := &Key{private: private, x: b64(point[1:33]), y: b64(point[33:])}
	// RFC 7638 section 3.2: the required members only, in lexicographic order.
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + key.x + `","y":"` + key.y + `"}`))
	key.ID = b64(sum[:])
	return key, nil
}

// JWKS is the public half as a JWK Set.
func (k *Key) JWKS() []byte {
	return []byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"` + k.x + `","y":"` + k.y + `","kid":"` + k.ID + `","use":"sig","alg":"ES256"}]}` + "\n")
}

// assertion proves the client to the issuer, and to nobody else: the audience is the issuer alone, whatever address the
// token endpoint has, so that a hostile server can't have one made that works elsewhere.
func (k *Key) assertion(client, issuer string, now time.Time) (string, error) {
	text, err := k.sign(map[string]any{"alg": "ES256", "kid": k.ID, "typ": "JWT"}, map[string]any{
		"iss": client, "sub": client, "aud": issuer, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("make a client assertion: %w", err)
	}
	return text, nil
}

// sign writes a JWT, signed by ES256.
func (k *Key) sign(header, claims map[string]any) (string, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	input := b64(head) + "." + b64(body)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, digest[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte // RFC 7518 section 3.4: r and s, each of full width
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + b64(signature[:]), nil
}

func b64(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
