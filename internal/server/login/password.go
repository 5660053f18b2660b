package login

import (
	"context"
	"errors"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/web"
)

// passwords proves by what a person knows.
type passwords struct{ Needs }

func (passwords) Name() string   { return "password" }
func (passwords) Method() string { return "pwd" }

func (passwords) Missing(form web.Form) []string {
	if form.Has(page.FieldPassword) {
		return nil
	}
	return []string{page.FieldPassword}
}

func (p passwords) Prove(ctx context.Context, user iam.User, form web.Form) (bool, error) {
	typed := form.Value(page.FieldPassword)
	// Looked up for nobody too: one look-up more would tell who is known.
	kept, err := p.Passwords.Password(ctx, user.ID)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return false, err
	}
	result, err := p.Hasher.Verify(ctx, kept.PHC, typed)
	if err != nil || !result.OK {
		return false, err
	}
	if result.Stale {
		p.rehash(ctx, kept, typed)
	}
	return true, nil
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
