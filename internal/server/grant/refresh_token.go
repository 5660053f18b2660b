package grant

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
)

// refreshToken gives new tokens of a grant, OAuth 2.1 section 4.3.
type refreshToken struct {
	refreshes iam.Refreshes
	native    *Native
	policy    func() *assurance.Policy
	now       func() time.Time
}

func (refreshToken) Type() oauth.GrantType { return oauth.RefreshToken }
func (refreshToken) Params() []string {
	return []string{"refresh_token", "scope", "resource", "authorization_details"}
}

func (g refreshToken) Redeem(ctx context.Context, r Request) (token.Order, error) {
	if !r.Form.Has("refresh_token") {
		return token.Order{}, oauth.InvalidRequest("refresh_token is missing")
	}
	proof := iam.RefreshProof{Hash: iam.HashRefresh(r.Form.Value("refresh_token")), Client: r.Client.ID}
	_, grant, err := g.refreshes.Refresh(ctx, proof.Hash)
	if err != nil {
		return token.Order{}, issue.Spoken(err)
	}
	if grant.Client != r.Client.ID { // before anything is told: a thief learns nothing of the grant, not even its scopes
		return token.Order{}, issue.Refused(iam.ErrMismatch)
	}
	order := token.Order{
		GrantType: oauth.RefreshToken, Client: r.Client, Subject: grant.User, Grant: grant, Refresh: &proof,
		Scope: grant.Scope, Claims: grant.Claims, Details: r.Form.Value("authorization_details"),
	}
	if r.Form.Has("scope") {
		asked, err := oauth.ParseScope(r.Form.Value("scope"))
		if err != nil {
			return token.Order{}, err
		}
		if !asked.Within(grant.Scope) {
			return token.Order{}, oauth.InvalidScope("more than was granted")
		}
		order.Scope = asked // for this token: the grant keeps all of its scope (OAuth 2.1 section 4.3.1)
	}
	order.GiveID = order.Scope.Has(oauth.ScopeOpenID)
	// A new device secret only for who asks for one by name, and in a session: an app that does not know of them would get
	// one more, which nobody keeps, each time.
	fresh := r.Form.Has("scope") && grant.Session != ""
	if order, err = g.native.offer(ctx, r, order, fresh, g.now()); err != nil {
		return order, err
	}
	return aim(order, r.Form.Values("resource"), g.policy())
}
