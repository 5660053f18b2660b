package factor

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/web"
)

// FieldCode is the field into which codes are typed.
const FieldCode = "code"

// totp proves by the code that an application shows. No code serves twice: the step that was used is kept (S07).
type totp struct{ Needs }

func (totp) Is() Traits                     { return Traits{Name: "totp", Guessable: true} }
func (totp) Able(held Held) bool            { return held.has(iam.FactorTOTP) }
func (totp) Missing(form web.Form) []string { return empty(form, FieldCode) }

func (totp) Ask(ctx context.Context, asking Asking) (Asked, error) { return plain{}.Ask(ctx, asking) }

func (totp) Spend(state string, now time.Time) (string, error) { return plain{}.Spend(state, now) }

func (t totp) Prove(ctx context.Context, try Try) (Proof, error) {
	list, err := t.Authenticators.Authenticators(ctx, try.User.ID)
	if err != nil {
		return Proof{}, err
	}
	for _, kept := range list {
		if kept.Kind != iam.FactorTOTP {
			continue
		}
		secret, err := otp.Open(t.Sealer, t.Tenant, kept)
		if err != nil {
			return Proof{}, err
		}
		next, ok := otp.Verify(secret, try.Form.Value(FieldCode), kept.Mark, try.Now)
		if !ok {
			continue
		}
		err = t.Authenticators.UseAuthenticator(ctx, kept.ID, kept.Mark, next, "", try.Now)
		if errors.Is(err, iam.ErrSpent) || errors.Is(err, iam.ErrNotFound) { // of many at once, one wins
			return Proof{User: try.User.ID, Why: "code came again"}, ErrWrong
		}
		return Proof{User: try.User.ID, Proved: iam.Proved{
			Factor: "totp", At: whole(try.Now), Begun: try.Now, Credential: kept.ID, Methods: []string{"otp"},
		}}, err
	}
	return Proof{}, ErrWrong
}
