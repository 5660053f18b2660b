package grant

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/token"
)

// authorizationCode redeems a code, OAuth 2.1 section 4.1.3.
type authorizationCode struct {
	codes  iam.Codes
	native *Native
	policy func() *assurance.Policy
	now    func() time.Time
}

func (authorizationCode) Type() oauth.GrantType { return oauth.AuthorizationCode }

func (authorizationCode) Params() []string {
	return []string{"code", "redirect_uri", "code_verifier", "resource", "authorization_details"}
}

func (g authorizationCode) Redeem(ctx context.Context, r Request) (token.Order, error) {
	if !r.Form.Has("code") {
		return token.Order{}, oauth.InvalidRequest("code is missing")
	}
	proof := iam.CodeProof{
		Hash: iam.HashCode(r.Form.Value("code")), Client: r.Client.ID,
		RedirectURI: r.Form.Value("redirect_uri"), JKT: r.Proven.JKT,
	}
	if r.Form.Has("code_verifier") { // a code without a challenge, by exception, fits only a proof without a verifier (RFC 9700 section 4.8.2)
		proof.Challenge = challenge(r.Form.Value("code_verifier"))
	}
	code, err := g.codes.Try(ctx, proof, g.now())
	if err != nil {
		return token.Order{}, issue.Spoken(err)
	}
	if !request.Registered(r.Client, code.RedirectURI) { // the recipe took the address away meanwhile (C28)
		return token.Order{}, issue.Refused(iam.ErrRevoked)
	}
	order := token.Order{
		GrantType: oauth.AuthorizationCode, Client: r.Client, Subject: code.Grant.User, Grant: code.Grant, Code: &proof,
		Nonce: code.Grant.Nonce, Claims: code.Grant.Claims, Scope: code.Grant.Scope,
		GiveID:      code.Grant.Scope.Has(oauth.ScopeOpenID),
		GiveRefresh: r.Client.MayUse(oauth.RefreshToken), Details: r.Form.Value("authorization_details"),
	}
	if order, err = g.native.offer(ctx, r, order, true, g.now()); err != nil {
		return order, err
	}
	return aim(order, r.Form.Values("resource"), g.policy())
}

// aim gives an order the one audience that this request names or the grant implies, and the scopes and
// authorization_details that belong to it. An order that names no details is for all that were granted (RFC 9396 section 6).
func aim(order token.Order, resources []string, policy *assurance.Policy) (token.Order, error) {
	for _, resource := range resources {
		if !order.Grant.For(resource) {
			return order, oauth.InvalidTarget("the authorization was not for this resource")
		}
	}
	if len(resources) == 0 && len(order.Grant.Resource) == 1 {
		resources = order.Grant.Resource
	}
	order.Details = cmp.Or(order.Details, order.Grant.Details)
	details, err := token.ReadDetails(order.Details)
	if err != nil {
		return order, oauth.InvalidDetails("they are no list of objects with a type").Because(err)
	}
	target, err := policy.Target(order.Scope, resources, details.Types()...)
	order.Audience, order.Kind, order.Scope = target.Audience, target.Kind, target.Scope
	return order, err
}

// challenge is the S256 challenge of a verifier (RFC 7636 section 4.6). One that breaks the grammar of section 4.1 gives
// a text that equals no challenge.
func challenge(verifier string) string {
	if len(verifier) < 43 || len(verifier) > 128 || strings.Trim(verifier, unreserved) != "" {
		return "malformed verifier"
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
