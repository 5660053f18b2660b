package app

import (
	"errors"
	"testing"

	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/passkey"
	"github.com/gardeauth/garde/internal/passkey/authenticator"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/recipe"
)

// TestMakersComeWithTheRecipe: a model is believed when the recipe in force says who may prove it, and no longer.
func TestMakersComeWithTheRecipe(t *testing.T) {
	maker, stranger := newMaker(t), newMaker(t)
	const issuer = "https://login.bank.example"
	server := &Server{Force: &enact.Enactor{}, Node: &config.Node{Issuer: issuer}, Seal: sealer(t)}
	adopt := func(rules recipe.Passkeys, files map[string][]byte) error {
		force := &enact.Force{Bundle: &recipe.Bundle{Recipe: &recipe.Recipe{SignIn: recipe.SignIn{Passkeys: rules}}, Files: files}}
		swap, err := server.makersPart(force)
		if err == nil {
			swap()
		}
		return err
	}
	add := func(vouch *authenticator.Maker) error {
		party, here := server.party()
		if !here || party.Name != "login.bank.example" {
			t.Fatalf("a company without a name is not known by its host: %q, %v", party.Name, here)
		}
		party.Rules = recipe.Passkeys{Attestation: recipe.AttestationRequired}
		device := authenticator.New(issuer)
		device.Vouch, device.Model = vouch, [16]byte{0xaa}
		asked, err := party.BeginRegistration(iam.User{ID: "ada", Username: "ada"}, iam.FactorPasskey, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := device.Create(asked.Options)
		if err != nil {
			t.Fatal(err)
		}
		_, err = party.FinishRegistration(asked.State, answer, "Key")
		return err
	}
	proved := recipe.Passkeys{Attestation: recipe.AttestationRequired, Roots: []string{"other.pem", "makers.pem"}}
	if err := adopt(proved, map[string][]byte{"other.pem": newMaker(t).PEM(), "makers.pem": maker.PEM()}); err != nil {
		t.Fatal(err)
	}
	if err := add(maker); err != nil {
		t.Errorf("a model that is proved: %v", err)
	}
	if err := add(stranger); !errors.Is(err, passkey.ErrModel) {
		t.Errorf("a stranger's word: %v", err)
	}
	if err := adopt(proved, map[string][]byte{"other.pem": stranger.PEM(), "makers.pem": []byte("broken")}); err == nil {
		t.Error("a list that is none was adopted")
	}
	if err := add(maker); err != nil {
		t.Errorf("what is broken replaced what is good: %v", err)
	}
	if err := adopt(recipe.Passkeys{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := add(maker); !errors.Is(err, passkey.ErrModel) {
		t.Errorf("a maker that is believed no more: %v", err)
	}
}

func newMaker(t *testing.T) *authenticator.Maker {
	t.Helper()
	maker, err := authenticator.NewMaker()
	if err != nil {
		t.Fatal(err)
	}
	return maker
}

func sealer(t *testing.T) seal.Sealer {
	t.Helper()
	master, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	return seal.Sealer{Current: master}
}
