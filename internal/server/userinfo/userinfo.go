// Package userinfo tells a client about the person who signed in, as far as the token's scopes reach (OpenID Connect Core
// section 5.3). It takes any access token of ours with the scope openid, whichever API it is for.
package userinfo

import (
	"errors"
	"net/http"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// Bearer reads the token of a request.
type Bearer interface {
	Bearer(r *http.Request) (verify.Claims, error)
}

// Endpoint is /userinfo.
type Endpoint struct {
	Tokens  Bearer
	Users   iam.Users
	Grants  iam.Grants
	Clients iam.Clients
}

// UserInfo answers GET and POST. The token stands in the Authorization header alone.
func (e *Endpoint) UserInfo(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return web.MethodNotAllowed(http.MethodGet, http.MethodPost)
	}
	claims, err := e.Tokens.Bearer(r)
	if err != nil {
		return err
	}
	if !claims.Scope.Has(oauth.ScopeOpenID) {
		return web.NeedScope(oauth.InsufficientScope("the token does not hold the scope openid"), oauth.Scope{oauth.ScopeOpenID})
	}
	user, err := e.Users.User(r.Context(), claims.Subject)
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		return oauth.InvalidToken("the person's account no longer stands").Because(iam.ErrRevoked)
	}
	if err != nil {
		return err
	}
	wanted, err := e.wanted(r, claims)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, true, token.UserInfoClaims(user, claims.Scope, wanted))
}

// wanted finds what the authorization request asked for by name (the claims parameter), as far as the client's present
// scopes reach, and that the grant still stands.
func (e *Endpoint) wanted(r *http.Request, claims verify.Claims) (iam.Wanted, error) {
	if claims.Grant == "" {
		return iam.Wanted{}, nil
	}
	grant, err := e.Grants.Grant(r.Context(), claims.Grant)
	if errors.Is(err, iam.ErrNotFound) || err == nil && !grant.Revoked.IsZero() {
		return iam.Wanted{}, oauth.InvalidToken("the authorization behind the token has ended").Because(iam.ErrRevoked)
	}
	if err != nil || grant.Claims == "" {
		return iam.Wanted{}, err
	}
	client, err := e.Clients.Client(r.Context(), claims.ClientID)
	if errors.Is(err, iam.ErrNotFound) {
		return iam.Wanted{}, oauth.InvalidToken("the application no longer stands").Because(iam.ErrRevoked)
	}
	if err != nil {
		return iam.Wanted{}, err
	}
	wanted, err := iam.ReadWanted(grant.Claims)
	return wanted.Within(client.Scope), err
}
