package login

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/web"
)

// Factor is one way to prove who one is.
type Factor interface {
	// Name is the factor's name in the recipe.
	Name() string
	// Method is its name in amr (RFC 8176).
	Method() string
	// Missing names the fields of the form that are empty: nothing is tried then.
	Missing(form web.Form) []string
	// Prove tells whether the form proves that its sender is user. Somebody who can't sign in (unknown, disabled,
	// without this factor) comes as the zero User: the answer is no, after the same work.
	Prove(ctx context.Context, user iam.User, form web.Form) (bool, error)
}

// Needs is what the factors need.
type Needs struct {
	Passwords iam.Passwords
	Hasher    *password.Hasher
}

// All are the factors.
func All(needs Needs) []Factor {
	return []Factor{
		passwords{needs},
	}
}
