package factor

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/web"
)

// passwords proves by what a person knows.
type passwords struct{ Needs }

func (passwords) Is() Traits          { return Traits{Name: "password", First: true, Guessable: true} }
func (passwords) Able(held Held) bool { return held.Password }

func (passwords) Ask(ctx context.Context, asking Asking) (Asked, error) {
	return plain{}.Ask(ctx, asking)
}

func (passwords) Spend(state string, now time.Time) (string, error) { return plain{}.Spend(state, now) }

func (passwords) Missing(form web.Form) []string { return empty(form, page.FieldPassword) }

// empty names the field if it is empty.
func empty(form web.Form, field string) []string {
	if form.Has(field) {
		return nil
	}
	return []string{field}
}

func (p passwords) Prove(ctx context.Context, try Try) (Proof, error) {
	typed := try.Form.Value(page.FieldPassword)
	// Looked up for nobody too: one look-up more would tell who is known.
	kept, err := p.Passwords.Password(ctx, try.User.ID)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return Proof{}, err
	}
	result, err := p.Hasher.Verify(ctx, kept.PHC, typed)
	if err != nil {
		return Proof{}, err
	}
	if !result.OK {
		return Proof{}, ErrWrong
	}
	if result.Stale {
		p.rehash(ctx, kept, typed)
	}
	return Proof{User: try.User.ID, Proved: iam.Proved{
		Factor: "password", At: whole(try.Now), Begun: try.Now, Methods: []string{"pwd"},
	}}, nil
}

// rehash keeps the password by today's recipe while it is known. Where that is not possible (too many hashes under way,
// changed by somebody else, an imported one that our rules refuse), the old hash serves until the next time.
func (p passwords) rehash(ctx context.Context, kept iam.Password, typed string) {
	fresh, err := p.Hasher.Hash(ctx, typed)
	if err != nil {
		return
	}
	_ = p.Passwords.Rehash(ctx, kept.User, kept.PHC, fresh) // see above: nothing is lost
}

// Judge tells what is wrong with a new password under a policy, given the names that others know of its person, or "". An
// error is a fault of ours: nothing was judged.
func Judge(policy password.Policy, secret string, names ...string) (page.Fault, error) {
	err := policy.Check(secret, names...)
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, password.ErrShort):
		return page.FaultShort, nil
	case errors.Is(err, password.ErrLong):
		return page.FaultLong, nil
	case errors.Is(err, password.ErrCommon), errors.Is(err, password.ErrBreached), errors.Is(err, password.ErrPersonal):
		return page.FaultCommon, nil
	case errors.Is(err, password.ErrCharacters):
		return faultOther, nil
	}
	return "", err
}

// faultOther is shown in general words.
const faultOther page.Fault = "other"

// MinPassword is the least length of a new password, in characters.
const MinPassword = password.MinCharacters
