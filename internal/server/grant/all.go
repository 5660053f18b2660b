package grant

import (
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
)

// Needs is what the members read.
type Needs struct {
	Codes     iam.Codes
	Refreshes iam.Refreshes
	Policy    func() *assurance.Policy
	Now       func() time.Time // nil: time.Now
}

// All is the family.
func All(needs Needs) []Grant {
	if needs.Now == nil {
		needs.Now = time.Now
	}
	return []Grant{
		authorizationCode{needs.Codes, needs.Policy, needs.Now},
		refreshToken{needs.Refreshes, needs.Policy},
		clientCredentials{needs.Policy},
	}
}
