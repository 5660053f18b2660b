package keys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
)

// module is a device that keeps keys and lets nobody see them: it gives signers that tell no private part.
type module struct{ inside map[string]*ecdsa.PrivateKey }

type handle struct{ key *ecdsa.PrivateKey }

func (h handle) Public() crypto.PublicKey { return &h.key.PublicKey }
func (h handle) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return h.key.Sign(random, digest, opts)
}

func (m module) Make(kid string, alg jose.Alg) (crypto.Signer, string, error) {
	if alg != jose.ES256 {
		return nil, "", errors.New("the device makes P-256 keys only")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m.inside["slot:"+kid] = key
	return handle{key}, "slot:" + kid, err
}

func (m module) Open(_ string, _ jose.Alg, kept string) (crypto.Signer, error) {
	key, ok := m.inside[kept]
	if !ok {
		return nil, errors.New("no such slot")
	}
	return handle{key}, nil
}

func TestAKeyMayLiveInADevice(t *testing.T) {
	h := open(t)
	device := module{map[string]*ecdsa.PrivateKey{}}
	ring := h.ring()
	ring.Vault = device
	if err := ring.Ensure(t.Context(), jose.ES256); err != nil {
		t.Fatal(err)
	}
	again := h.ring() // another start of the node
	again.Vault = device
	if err := again.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	signer, err := again.Signer(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signer.Sign("JWT", map[string]any{"sub": "ada"})
	if err != nil {
		t.Fatal(err)
	}
	unverified, err := jose.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	public, ok := ring.Find(signer.KeyID)
	if !ok {
		t.Fatal("the device's key is not published")
	}
	if _, err := public.Verify(unverified); err != nil {
		t.Error(err)
	}
	rows, err := h.tenant.ListKeys(t.Context())
	if err != nil || len(rows) != 1 || !strings.HasPrefix(rows[0].Sealed, "slot:") {
		t.Errorf("kept %+v, %v", rows, err)
	}
	if err := ring.Ensure(t.Context(), jose.ES384); err == nil {
		t.Error("what the device can't do went unnoticed")
	}
	var _ keys.Vault = device
}
