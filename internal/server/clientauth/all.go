package clientauth

import (
	"time"

	"github.com/gardeauth/garde/internal/once"
)

// Needs is what the methods read.
type Needs struct {
	Issuer  string // the only audience of an assertion
	Secrets Secrets
	Keys    *Keys
	Once    once.Checker
	Now     func() time.Time // nil: time.Now
}

// All is the family.
func All(needs Needs) []Method {
	if needs.Now == nil {
		needs.Now = time.Now
	}
	return []Method{
		secretBasic{needs.Secrets, needs.Now},
		secretPost{needs.Secrets, needs.Now},
		privateKeyJWT{needs.Issuer, needs.Keys, needs.Once, needs.Now},
		none{},
	}
}
