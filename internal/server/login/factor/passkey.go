package factor

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/passkey"
	"github.com/gardeauth/garde/internal/web"
)

// FieldAnswer carries what the browser's authenticator said.
const FieldAnswer = "answer"

// passkeys proves by a key that signs a challenge: alone, as a passkey that has verified its user, or as a second thing,
// the security key.
type passkeys struct {
	Needs
	kind iam.FactorKind
}

func (p passkeys) Is() Traits {
	return Traits{Name: string(p.kind), First: p.kind == iam.FactorPasskey}
}
func (passkeys) Missing(form web.Form) []string { return empty(form, FieldAnswer) }

func (p passkeys) Able(held Held) bool {
	_, here := p.Party()
	return here && held.has(p.kind)
}

// Ask asks a known person for one of theirs, and anybody else for any passkey, without naming one (S22).
func (p passkeys) Ask(ctx context.Context, asking Asking) (Asked, error) {
	party, here := p.Party()
	if !here {
		return Asked{}, ErrNotHere
	}
	user, list := "", []iam.Authenticator(nil)
	if asking.Known {
		var err error
		if list, err = p.Authenticators.Authenticators(ctx, asking.User.ID); err != nil {
			return Asked{}, err
		}
		user = asking.User.ID
	}
	begun, err := party.BeginLogin(p.kind, user, list)
	if err != nil {
		return Asked{}, ErrNotHere
	}
	return Asked{State: begun.State, Options: begun.Options}, nil
}

// Spend takes the challenge away: it serves once, also for whoever fails.
func (passkeys) Spend(state string, now time.Time) (string, error) {
	if state == "" || now.Sub(passkey.Begun(state)) > passkey.Life {
		return "", ErrStale
	}
	return "", nil
}

func (p passkeys) Prove(ctx context.Context, try Try) (Proof, error) {
	party, here := p.Party()
	if !here {
		return Proof{}, ErrNotHere
	}
	said, err := passkey.ReadAssertion(try.Form.Value(FieldAnswer))
	if err != nil {
		return Proof{Why: "unreadable"}, ErrWrong
	}
	kept, err := p.Authenticators.AuthenticatorOf(ctx, said.Handle())
	if errors.Is(err, iam.ErrNotFound) {
		return Proof{Why: "unknown authenticator"}, ErrWrong
	}
	if err != nil {
		return Proof{}, err
	}
	proof := Proof{User: kept.User}
	if try.User.ID != "" && try.User.ID != kept.User { // the other's try is not this one's
		return Proof{User: try.User.ID, Why: "another person's authenticator"}, ErrWrong
	}
	used, err := party.FinishLogin(try.State, said, kept)
	switch {
	case errors.Is(err, passkey.ErrStale):
		return proof, ErrStale
	case errors.Is(err, passkey.ErrCloned):
		proof.Why = "counter went back"
		return proof, ErrWrong
	case errors.Is(err, passkey.ErrModel):
		proof.Why = "model not admitted"
		return proof, ErrWrong
	case errors.Is(err, passkey.ErrRefused):
		return proof, ErrWrong
	case err != nil:
		return Proof{}, err
	}
	err = p.Authenticators.UseAuthenticator(ctx, kept.ID, used.From, used.To, used.Sealed, try.Now)
	if errors.Is(err, iam.ErrSpent) || errors.Is(err, iam.ErrNotFound) { // another was faster, or it was removed
		return proof, ErrWrong
	}
	proof.Proved = iam.Proved{
		Factor: string(p.kind), At: whole(try.Now), Begun: used.Begun, Credential: kept.ID, Methods: used.Methods,
	}
	return proof, err
}
