package factor

import (
	"context"
	"errors"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/passkey"
)

// BeginPasskey asks a browser for a passkey of somebody who has no other way in. ErrNotHere where browsers take no part.
func (n Needs) BeginPasskey(ctx context.Context, user iam.User) (Asked, error) {
	party, here := n.Party()
	if !here {
		return Asked{}, ErrNotHere
	}
	have, err := n.Authenticators.Authenticators(ctx, user.ID)
	if err != nil {
		return Asked{}, err
	}
	asked, err := party.BeginRegistration(user, iam.FactorPasskey, have)
	return Asked{State: asked.State, Options: asked.Options}, err
}

// FinishPasskey verifies it. A fault is the person's to mend; the error beside it says why, for the log.
func (n Needs) FinishPasskey(state, answer, name string) (iam.Authenticator, page.Fault, error) {
	party, _ := n.Party()
	made, err := party.FinishRegistration(state, answer, name)
	switch {
	case errors.Is(err, passkey.ErrStale):
		return made, page.FaultStale, err
	case errors.Is(err, passkey.ErrModel):
		return made, page.FaultKeyKind, err
	case errors.Is(err, passkey.ErrRefused):
		return made, page.FaultKey, err
	}
	return made, "", err
}
