package assurance_test

import (
	"testing"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
)

// What is left must lead in by what the recipe offers, and not by what somebody once had.
func TestS06TheLastWayInIsOneThatTheRecipeOffers(t *testing.T) {
	const head = "garde: 1\ncompany: {name: Bank}\nscopes: {read: {say: {en: Read}}}\nclients:\n" +
		"  app: {type: native, redirect_uris: [\"com.bank.app:/callback\"], scopes: [openid, read]}\n"
	both := head + "levels:\n  - {name: basic, acr: \"urn:b\", any: [password, passkey]}\n"
	keys := head + "levels:\n  - {name: basic, acr: \"urn:b\", any: [passkey]}\nsignin: {factors: [passkey, totp]}\n"
	unled := head + "levels:\n  - {name: basic, acr: \"urn:b\", any: [passkey, password+totp]}\nsignin: {reset: false, factors: [password, passkey, totp]}\n"
	for name, c := range map[string]struct {
		recipe string
		left   iam.Left
		in     bool
	}{
		"a password": {both, iam.Left{Password: true}, true},
		"a passkey":  {both, iam.Left{Kinds: []iam.FactorKind{iam.FactorPasskey}}, true},
		"an address to which a new password is sent": {both, iam.Left{Mail: true}, true},
		"nothing":                                     {both, iam.Left{}, false},
		"codes alone":                                 {both, iam.Left{Kinds: []iam.FactorKind{iam.FactorTOTP}}, false},
		"a password that is switched off":             {keys, iam.Left{Password: true, Mail: true}, false},
		"a passkey, with passwords switched off":      {keys, iam.Left{Kinds: []iam.FactorKind{iam.FactorPasskey}}, true},
		"a password that no level takes by itself":    {unled, iam.Left{Password: true, Mail: true}, false},
		"a password and codes":                        {unled, iam.Left{Password: true, Kinds: []iam.FactorKind{iam.FactorTOTP}}, true},
		"codes, and an address to which nothing goes": {unled, iam.Left{Mail: true, Kinds: []iam.FactorKind{iam.FactorTOTP}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if in := compiled(t, c.recipe).WayIn(c.left); in != c.in {
				t.Errorf("%v, want %v", in, c.in)
			}
		})
	}
	if (*assurance.Policy)(nil).WayIn(iam.Left{Password: true}) {
		t.Error("in by no recipe")
	}
}
