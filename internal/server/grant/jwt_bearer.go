package grant

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/assertion"
	"github.com/gardeauth/garde/internal/token"
)

// jwtBearer exchanges the assertion of another issuer for a token (RFC 7523 section 2.1). The recipe says which issuers,
// for which clients, and how much.
type jwtBearer struct {
	assertions *assertion.Reader
	policy     func() *assurance.Policy
	now        func() time.Time
}

func (jwtBearer) Type() oauth.GrantType { return oauth.JWTBearer }
func (jwtBearer) Params() []string      { return []string{"assertion", "scope", "resource"} }

func (g jwtBearer) Redeem(ctx context.Context, r Request) (token.Order, error) {
	if !r.Form.Has("assertion") {
		return token.Order{}, oauth.InvalidRequest("assertion is missing")
	}
	said, err := g.assertions.Read(ctx, r.Client, r.Form.Value("assertion"))
	if err != nil {
		return token.Order{}, told(err)
	}
	scope, err := oauth.ParseScope(r.Form.Value("scope"))
	switch {
	case err != nil:
		return token.Order{}, err
	case !scope.Within(said.Scope):
		return token.Order{}, oauth.InvalidScope("more than an assertion of this issuer may give")
	case len(scope) == 0:
		scope = said.Scope
	}
	target, err := g.policy().Target(scope, r.Form.Values("resource"))
	if err != nil {
		return token.Order{}, err
	}
	order := token.Order{
		GrantType: oauth.JWTBearer, Client: r.Client, Subject: said.User,
		Audience: target.Audience, Kind: target.Kind, Scope: target.Scope,
		Spend: func(ctx context.Context) error { return told(g.assertions.Spend(ctx, said)) },
	}
	if said.User != "" {
		now, lives := g.now().UTC(), g.policy().Lives
		order.Begins = true
		order.Grant = iam.Grant{
			ID: uuid.Must(uuid.NewV7()).String(), Client: r.Client.ID, User: said.User, Scope: target.Scope,
			Resource: r.Form.Values("resource"), AuthTime: said.AuthTime, Created: now, Expires: now.Add(lives.Access),
		}
	}
	return order, nil
}

// told hides why an assertion is not believed behind the words for every proof that can't be used.
func told(err error) error {
	if errors.Is(err, assertion.ErrRefused) {
		return issue.Refused(err)
	}
	return err
}
