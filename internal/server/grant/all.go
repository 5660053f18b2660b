package grant

import (
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/server/assertion"
)

// Needs is what the members read.
type Needs struct {
	Codes     iam.Codes
	Refreshes iam.Refreshes
	Policy    func() *assurance.Policy

	Asking iam.Asking // what people decide elsewhere; nil: there are no such grants
	Users  iam.Users  // with Asking

	Native *Native // of families of apps; nil: no token is exchanged

	Assertions *assertion.Reader // of other issuers; nil: nobody's are believed

	Now func() time.Time // nil: time.Now
}

// All is the family.
func All(needs Needs) []Grant {
	if needs.Now == nil {
		needs.Now = time.Now
	}
	family := []Grant{
		authorizationCode{needs.Codes, needs.Native, needs.Policy, needs.Now},
		refreshToken{needs.Refreshes, needs.Native, needs.Policy, needs.Now},
		clientCredentials{needs.Policy},
	}
	if needs.Asking != nil {
		family = append(family, device(needs, needs.Now), backchannel(needs, needs.Now))
	}
	if needs.Assertions != nil {
		family = append(family, jwtBearer{needs.Assertions, needs.Policy, needs.Now})
	}
	if needs.Native != nil {
		family = append(family, tokenExchange{needs.Native, needs.Policy, needs.Now})
	}
	return family
}
