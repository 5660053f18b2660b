package factor

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/web"
)

// recovery proves by one of the codes that a person has put away. It counts where the recipe names it, and nowhere else.
type recovery struct{ Needs }

func (recovery) Is() Traits                     { return Traits{Name: "recovery_code", Guessable: true} }
func (recovery) Able(held Held) bool            { return held.Recovery > 0 }
func (recovery) Missing(form web.Form) []string { return empty(form, FieldRecovery) }

func (recovery) Ask(ctx context.Context, asking Asking) (Asked, error) {
	return plain{}.Ask(ctx, asking)
}

func (recovery) Spend(state string, now time.Time) (string, error) { return plain{}.Spend(state, now) }

func (c recovery) Prove(ctx context.Context, try Try) (Proof, error) {
	event := journal.New(try.Now, journal.FactorChanged{What: "code used", Factor: "recovery_code"})
	event.Actor, event.User = "user:"+try.User.ID, try.User.ID
	err := c.Authenticators.UseRecovery(ctx, try.User.ID, otp.HashRecovery(try.User.ID, try.Form.Value(FieldRecovery)), event)
	if errors.Is(err, iam.ErrNotFound) {
		return Proof{}, ErrWrong
	}
	return Proof{User: try.User.ID, Proved: iam.Proved{
		Factor: "recovery_code", At: whole(try.Now), Begun: try.Now, Methods: []string{"otp"},
	}}, err
}

// FieldRecovery is the field into which a recovery code is typed.
const FieldRecovery = "recovery_code"
