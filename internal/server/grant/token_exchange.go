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
	"github.com/gardeauth/garde/internal/token"
)

// tokenExchange is RFC 8693 for what the recipe opens, which is one thing: an app gets tokens for the person who has signed
// in to another app of its family on the same device (OpenID Native SSO section 4). What a subject token is, its claims
// say; that the request calls it something else is a reason to refuse, and never one to believe it.
type tokenExchange struct {
	native *Native
	policy func() *assurance.Policy
	now    func() time.Time
}

func (tokenExchange) Type() oauth.GrantType { return oauth.TokenExchange }

func (tokenExchange) Params() []string {
	return []string{"subject_token", "actor_token", "audience", "requested_token_type", "scope", "resource"}
}

func (g tokenExchange) Redeem(ctx context.Context, r Request) (token.Order, error) {
	if !r.Form.Has("subject_token") {
		return token.Order{}, oauth.InvalidRequest("subject_token is missing")
	}
	hint, err := g.native.Hints.ReadHint(ctx, r.Form.Value("subject_token"))
	if oauth.CodeOf(err) != "" {
		return token.Order{}, oauth.InvalidRequest("subject_token is not an ID token of this server, and nothing else is exchanged").Because(err)
	}
	if err != nil {
		return token.Order{}, err
	}
	if err := g.formed(r); err != nil {
		return token.Order{}, err
	}
	now, policy := g.now().UTC(), g.policy()
	with, err := g.native.pair(ctx, r, hint, now, policy.Lives.SessionIdle)
	if err != nil {
		return token.Order{}, err
	}
	scope, err := g.native.scope(ctx, r, with.secret.User)
	if err != nil {
		return token.Order{}, err
	}
	order, err := aim(g.order(r, with, scope, now), r.Form.Values("resource"), policy)
	if err != nil {
		return order, err
	}
	// A secret that whoever copied it could use is no way to tokens that must be bound, whatever key comes along.
	if with.secret.JKT == "" && policy.Rules(order.Audience).MustBind(r.Client) {
		return order, oauth.InteractionRequired("the token must be bound to a key, and the device secret is bound to none: sign in by the browser with a DPoP proof")
	}
	return g.sure(ctx, r, with.session, order)
}

// sure asks the policy, as a request in the browser would. What more it asks for, only the browser can ask.
func (g tokenExchange) sure(ctx context.Context, r Request, session iam.Session, order token.Order) (token.Order, error) {
	decision, err := g.native.Decide(ctx, Moment{
		Session: session, Client: r.Client, Scope: order.Grant.Scope, Bound: r.Proven.Bound(), Address: r.Address, Agent: r.Agent,
	})
	switch {
	case errors.Is(err, iam.ErrRevoked):
		return order, issue.Refused(err)
	case err != nil:
		return order, err
	case decision.Verdict == assurance.StepUp:
		return order, oauth.InteractionRequired("more is to be proved than this sign-in has: ask for it in the browser")
	case decision.Verdict != assurance.Permit:
		return order, oauth.AccessDenied("the policy does not allow it")
	}
	order.Grant.ACR, order.Grant.AMR, order.Grant.AuthTime = decision.Claim.ACR, decision.Claim.AMR, decision.Claim.AuthTime
	return order, nil
}

// formed checks what the request says of itself (OpenID Native SSO section 4.1).
func (g tokenExchange) formed(r Request) error {
	wanted := r.Form.Value("requested_token_type")
	switch {
	case r.Form.Value("subject_token_type") != oauth.TokenTypeID:
		return oauth.InvalidRequest("subject_token is an ID token, and subject_token_type does not say so")
	case !r.Form.Has("actor_token"):
		return oauth.InvalidRequest("actor_token is missing: nobody gets tokens of a person by an ID token alone")
	case r.Form.Value("actor_token_type") != oauth.TokenTypeDevice:
		return oauth.InvalidRequest("an ID token is exchanged with a device secret, and actor_token_type does not name one")
	case wanted != "" && wanted != oauth.TokenTypeAccess:
		return oauth.InvalidRequest("requested_token_type names what is not given here")
	case !r.Form.Has("audience"):
		return oauth.InvalidRequest("audience is missing")
	case r.Form.Value("audience") != g.native.Issuer:
		return oauth.InvalidTarget("the audience of this exchange is the issuer; name an API as resource")
	}
	return nil
}

// order begins a grant of the session: it ends with it, and not later.
func (g tokenExchange) order(r Request, with shared, scope oauth.Scope, now time.Time) token.Order {
	ends := now.Add(g.policy().Lives.Refresh)
	if with.session.Expires.Before(ends) {
		ends = with.session.Expires
	}
	grant := iam.Grant{
		ID: uuid.Must(uuid.NewV7()).String(), Client: r.Client.ID, User: with.secret.User,
		Session: with.session.ID, Login: with.session.ID, Scope: scope, Resource: r.Form.Values("resource"),
		Created: now, Expires: ends,
	}
	return token.Order{
		GrantType: oauth.TokenExchange, Client: r.Client, Subject: grant.User, Grant: grant, Begins: true, Scope: scope,
		GiveID: true, GiveRefresh: r.Client.MayUse(oauth.RefreshToken), Device: r.Form.Value("actor_token"),
		IssuedType: oauth.TokenTypeAccess,
	}
}
