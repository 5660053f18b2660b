package seal_test

import (
	"bytes"
	"testing"

	"github.com/gardeauth/garde/internal/seal"
)

// TestSubkeysAreSharedAndApart: all who hold a secret derive the same key, and for each purpose another one.
func TestSubkeysAreSharedAndApart(t *testing.T) {
	text := seal.GenerateMaster()
	one, err := seal.ParseMaster(text)
	if err != nil {
		t.Fatal(err)
	}
	two, err := seal.ParseMaster(text)
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	derive := func(from interface {
		Subkey(purpose string) ([]byte, error)
	}, purpose string) []byte {
		key, err := from.Subkey(purpose)
		if err != nil || len(key) != 32 {
			t.Fatalf("%d bytes, %v", len(key), err)
		}
		return key
	}
	same, secret := derive(one, "a"), seal.Secret("a secret that a person has chosen")
	if !bytes.Equal(same, derive(two, "a")) || !bytes.Equal(derive(secret, "a"), derive(secret, "a")) {
		t.Error("two holders of one secret differ")
	}
	for name, key := range map[string][]byte{
		"another purpose": derive(one, "b"), "another master": derive(other, "a"), "a secret": derive(secret, "a"), "a secret for another purpose": derive(secret, "b"),
	} {
		if bytes.Equal(same, key) {
			t.Errorf("%s gives the same key", name)
		}
	}
	if bytes.Equal(derive(secret, "a"), derive(secret, "b")) {
		t.Error("two purposes of a secret share a key")
	}
	if _, err := new(seal.Master).Subkey("a"); err == nil {
		t.Error("nothing derives a key")
	}
	if _, err := seal.Secret("").Subkey("a"); err == nil {
		t.Error("an empty secret derives a key")
	}
}
