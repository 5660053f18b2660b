package grant

import (
	"context"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
)

// clientCredentials gives a client tokens for itself, OAuth 2.1 section 4.2.
type clientCredentials struct{ policy func() *assurance.Policy }

func (clientCredentials) Type() oauth.GrantType { return oauth.ClientCredentials }
func (clientCredentials) Params() []string      { return []string{"scope", "resource"} }

func (g clientCredentials) Redeem(_ context.Context, r Request) (token.Order, error) {
	if r.Client.Public() {
		return token.Order{}, oauth.UnauthorizedClient("a client that keeps no secret can't act for itself")
	}
	scope, err := oauth.ParseScope(r.Form.Value("scope"))
	if err != nil {
		return token.Order{}, err
	}
	for _, name := range scope {
		if assurance.IsIdentity(name) {
			return token.Order{}, oauth.InvalidScope("%s is about a person, and here is none", name)
		}
	}
	if !scope.Within(r.Client.Scope) {
		return token.Order{}, oauth.InvalidScope("more than the client may have")
	}
	if len(scope) == 0 { // nothing asked means all that it may have for the one API (OAuth 2.1 section 1.4.1)
		for _, name := range r.Client.Scope {
			if !assurance.IsIdentity(name) {
				scope = append(scope, name)
			}
		}
	}
	if len(scope) == 0 {
		return token.Order{}, oauth.InvalidScope("the client may have no scope of its own")
	}
	target, err := g.policy().Target(scope, r.Form.Values("resource"))
	if err != nil {
		return token.Order{}, err
	}
	return token.Order{
		GrantType: oauth.ClientCredentials, Client: r.Client,
		Audience: target.Audience, Kind: target.Kind, Scope: target.Scope,
	}, nil
}
