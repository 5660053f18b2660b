package grant

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
)

// asked redeems what a person decides on another device: the device grant (RFC 8628 section 3.4) and CIBA (section 10.1).
// The two differ in the words of the request and in nothing that is checked.
type asked struct {
	kind      iam.AskedKind
	grantType oauth.GrantType
	param     string
	hash      func(string) iam.AskedHash
	asking    iam.Asking
	users     iam.Users
	policy    func() *assurance.Policy
	now       func() time.Time
}

func (g asked) Type() oauth.GrantType { return g.grantType }
func (g asked) Params() []string      { return []string{g.param, "resource"} }

func (g asked) Redeem(ctx context.Context, r Request) (token.Order, error) {
	if !r.Form.Has(g.param) {
		return token.Order{}, oauth.InvalidRequest("%s is missing", g.param)
	}
	if g.kind == iam.AskedCIBA && r.Client.CIBADelivery == "push" {
		return token.Order{}, oauth.UnauthorizedClient("the tokens of this client are pushed to it")
	}
	return g.order(ctx, r.Client, r.Form.Value(g.param), r.Proven, r.Form.Values("resource"))
}

func (g asked) order(ctx context.Context, client iam.Client, value string, proven iam.Binding, resources []string) (token.Order, error) {
	proof := iam.AskedProof{Hash: g.hash(value), Kind: g.kind, Client: client.ID, JKT: proven.JKT}
	found, err := g.asking.Poll(ctx, proof, g.now().UTC())
	switch {
	case errors.Is(err, iam.ErrRaced):
		return token.Order{}, oauth.SlowDown()
	case errors.Is(err, iam.ErrExpired):
		return token.Order{}, oauth.ExpiredToken()
	case err != nil:
		return token.Order{}, issue.Spoken(err)
	case found.State == iam.AskedDenied:
		return token.Order{}, oauth.AccessDenied("the person said no")
	case found.State != iam.AskedApproved:
		return token.Order{}, oauth.AuthorizationPending()
	}
	if err := g.stands(ctx, found.Grant.User); err != nil {
		return token.Order{}, err
	}
	order := token.Order{
		GrantType: g.grantType, Client: client, Subject: found.Grant.User, Grant: found.Grant, Asked: &proof,
		Scope: found.Grant.Scope, Details: found.Grant.Details, Claims: found.Grant.Claims,
		GiveID:      found.Grant.Scope.Has(oauth.ScopeOpenID),
		GiveRefresh: client.MayUse(oauth.RefreshToken),
	}
	return aim(order, resources, g.policy())
}

// stands tells a client whose person can't sign in any more that the answer is no, rather than that its code is wrong (V07).
func (g asked) stands(ctx context.Context, id string) error {
	user, err := g.users.User(ctx, id)
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		return oauth.AccessDenied("the person's account no longer stands").Because(iam.ErrRevoked)
	}
	return err
}

// Decided gives the orders of backchannel requests for clients to which tokens are pushed, which may not ask at the token
// endpoint: by the same rules.
type Decided struct{ Needs }

// Redeem says what an approved request of that id gives to the client that asked with the key proven. Its errors are those
// of the token endpoint.
func (d Decided) Redeem(ctx context.Context, client iam.Client, id string, proven iam.Binding) (token.Order, error) {
	now := d.Now
	if now == nil {
		now = time.Now
	}
	return backchannel(d.Needs, now).order(ctx, client, id, proven, nil)
}

func backchannel(needs Needs, now func() time.Time) asked {
	return asked{iam.AskedCIBA, oauth.CIBA, "auth_req_id", iam.HashCIBA, needs.Asking, needs.Users, needs.Policy, now}
}

func device(needs Needs, now func() time.Time) asked {
	return asked{iam.AskedDevice, oauth.DeviceCode, "device_code", iam.HashDevice, needs.Asking, needs.Users, needs.Policy, now}
}
