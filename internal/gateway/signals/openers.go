package signals

import (
	"errors"
	"fmt"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/recipe"
)

// Openers are the private keys of the APIs whose tokens are encrypted. They are read whenever a recipe is adopted: who rotates
// puts the new key beside the old one, and then applies the recipe with the new public key.
type Openers struct {
	Where   map[string]string // for each API a reference
	Resolve func(reference string) ([]byte, error)
}

// Of gives the keys of an API by its name in the recipe. Its errors never show a key.
func (o Openers) Of(api string) (jose.Openers, error) {
	where, named := o.Where[api]
	if !named {
		return jose.Openers{}, fmt.Errorf("write gate.decrypt.%s in node.yaml, a reference to its private keys", api)
	}
	text, err := o.Resolve(where)
	if err != nil {
		return jose.Openers{}, fmt.Errorf("gate.decrypt.%s: %w", api, err)
	}
	keys, err := jose.ParseOpeners(text)
	if err != nil {
		return jose.Openers{}, fmt.Errorf("gate.decrypt.%s: %w", api, err)
	}
	return keys, nil
}

// Fit tells why a recipe can't be obeyed: a Gate without the key to which the Server encrypts would lock everybody out.
// The former recipe stays in force then, and garde apply names this Gate.
func (o Openers) Fit(bundle *recipe.Bundle) error {
	for name, api := range bundle.Recipe.APIs {
		if api.Encryption == "" || api.Upstream == "" {
			continue
		}
		set, err := jose.ParseEncryptionSet(bundle.Files[api.JWKS])
		if err != nil {
			return fmt.Errorf("apis.%s.jwks: %w", name, err)
		}
		own, err := o.Of(name)
		if err != nil {
			return fmt.Errorf("apis.%s: its tokens are encrypted: %w", name, err)
		}
		if public, _ := set.For(jose.KeyAlg(api.Encryption)); !own.Holds(public.Key) {
			return fmt.Errorf("apis.%s: %w", name, errOtherKey)
		}
	}
	return nil
}

var errOtherKey = errors.New("its tokens are encrypted to a key of jwks whose private half gate.decrypt does not hold")
