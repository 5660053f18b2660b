package keys_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
)

// sealedTo encrypts to the key that a ring publishes for alg, as a stranger would who read the JWKS.
func sealedTo(t *testing.T, published []byte, alg jose.KeyAlg) string {
	t.Helper()
	set, err := jose.ParseEncryptionSet(published)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := set.For(alg)
	if !ok {
		t.Fatalf("nothing is published for %s", alg)
	}
	text, err := key.Encrypt(alg, jose.A256GCM, "oauth-authz-req+jwt", "JWT", []byte("inside"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestKeysForEncryption(t *testing.T) {
	h := open(t)
	ring := h.ring()
	h.must(ring.Ensure(t.Context(), jose.ES256))
	if _, err := jose.ParseEncryptionSet(ring.Published()); err == nil || len(ring.OpenerAlgs()) != 0 {
		t.Fatal("one may encrypt to a key that signs")
	}
	h.must(ring.EnsureOpeners(t.Context(), jose.ECDHES, jose.RSAOAEP256))
	h.must(ring.EnsureOpeners(t.Context(), jose.ECDHES))
	if got := ring.OpenerAlgs(); !slices.Equal(got, []jose.KeyAlg{jose.ECDHES, jose.RSAOAEP256}) || len(h.rows()) != 3 {
		t.Fatalf("%v in %d rows", got, len(h.rows()))
	}
	old := sealedTo(t, ring.Published(), jose.ECDHES)
	for _, alg := range ring.OpenerAlgs() {
		other := h.ring() // of another node
		h.must(other.Load(t.Context()))
		if plain, err := other.Decrypt(sealedTo(t, ring.Published(), alg)); err != nil || string(plain) != "inside" {
			t.Errorf("%s: %q, %v", alg, plain, err)
		}
	}
	if _, err := ring.Signer(jose.Alg(jose.ECDHES)); err == nil {
		t.Error("a key for encryption signs")
	}
	if set, err := jose.ParseSet(ring.Published()); err != nil || set.Len() != 1 {
		t.Errorf("%d keys verify, %v", set.Len(), err)
	}

	rotated, err := ring.Rotate(t.Context(), jose.Alg(jose.ECDHES), false, "test")
	h.must(err)
	h.pass(16 * time.Minute)
	h.must(ring.Load(t.Context()))
	fresh, err := jose.ParseEncrypted(sealedTo(t, ring.Published(), jose.ECDHES))
	h.must(err)
	if fresh.Header.KeyID != rotated.ID {
		t.Error("J35 one still encrypts to the old key")
	}
	if plain, err := ring.Decrypt(old); err != nil || string(plain) != "inside" {
		t.Errorf("J35 what was on its way is lost: %v", err)
	}
	h.pass(25 * time.Hour)
	h.must(ring.Load(t.Context()))
	if _, err := ring.Decrypt(old); !errors.Is(err, jose.ErrDecrypt) {
		t.Errorf("a removed key opens: %v", err)
	}
	if _, err := ring.Decrypt("x"); !errors.Is(err, jose.ErrMalformed) {
		t.Errorf("%v", err)
	}
	if err := ring.EnsureOpeners(t.Context(), "RSA1_5"); err == nil {
		t.Error("a key for an encryption that is not ours")
	}
}

func TestTheSaltNeverChanges(t *testing.T) {
	h := open(t)
	ring := h.ring()
	h.must(ring.Ensure(t.Context(), jose.ES256))
	if ring.Salt() != nil {
		t.Fatal("a salt that nobody made")
	}
	h.must(ring.EnsureSalt(t.Context()))
	salt := bytes.Clone(ring.Salt())
	other := h.ring()
	h.must(other.EnsureSalt(t.Context()))
	if len(salt) != 32 || !bytes.Equal(other.Salt(), salt) {
		t.Fatalf("two nodes hold %x and %x", salt, other.Salt())
	}
	next := master(t)
	next.Previous = append(next.Previous, h.sealer.Current)
	other.Sealer = next
	count, err := h.sealing.Reseal(t.Context(), other.Rewrap)
	h.must(err)
	next.Previous = nil
	last := h.ring()
	last.Sealer = next
	h.must(last.Load(t.Context()))
	if count != 2 || !bytes.Equal(last.Salt(), salt) {
		t.Errorf("another master key gives other subjects, after %d were wrapped again", count)
	}
	var published struct {
		Keys []map[string]any `json:"keys"`
	}
	h.must(json.Unmarshal(ring.Published(), &published))
	if len(published.Keys) != 1 {
		t.Errorf("J33 %v", published.Keys)
	}
	for _, row := range h.rows() {
		if row.Alg == "ES256" {
			continue
		}
		if err := ring.Remove(t.Context(), row.ID, "test"); err == nil {
			t.Error("the salt was removed")
		}
		if row.Public != "" || bytes.Contains([]byte(row.Sealed), salt) {
			t.Error("the salt lies open")
		}
	}
	if _, err := ring.Rotate(t.Context(), "pairwise-salt", true, "test"); err == nil {
		t.Error("the salt was rotated")
	}
}
