// Package introspect tells an API what a token of its own means (RFC 7662). Anyone else learns that it is not active,
// in the same shape as for a token that never was.
package introspect

import (
	"context"
	"net/http"
	"slices"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// Clients proves who calls; a client that shows no proof of its own is refused.
type Clients interface {
	Identify(r *http.Request, form web.Form) (iam.Client, error)
}

// Tokens reads access tokens.
type Tokens interface {
	Token(ctx context.Context, token string) (verify.Claims, error)
}

// Endpoint is /introspect.
type Endpoint struct {
	Clients Clients
	Tokens  Tokens
	Policy  func() *assurance.Policy
}

// answer is the response of RFC 7662 section 2.2; the zero value is that of a token that is not active.
type answer struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Subject   string   `json:"sub,omitempty"`
	Audience  string   `json:"aud,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	GrantID   string   `json:"grant_id,omitempty"`
}

// Introspect answers one question.
func (e *Endpoint) Introspect(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	client, err := e.Clients.Identify(r, form)
	if err != nil {
		return err
	}
	if !form.Has("token") {
		return oauth.InvalidRequest("token is missing")
	}
	claims, err := e.Tokens.Token(r.Context(), form.Value("token"))
	switch {
	case oauth.CodeOf(err) == "invalid_token":
		return web.JSON(w, http.StatusOK, true, answer{})
	case err != nil:
		return err
	case !e.may(client, claims):
		return web.JSON(w, http.StatusOK, true, answer{})
	}
	return web.JSON(w, http.StatusOK, true, tell(claims))
}

// may tells whether a client may know: the one that got the token, the API that it is for, and a Gate.
func (e *Endpoint) may(client iam.Client, claims verify.Claims) bool {
	if claims.ClientID == client.ID || client.Scope.Has(oauth.ScopeGate) {
		return true
	}
	return slices.ContainsFunc(claims.Audience, func(api string) bool { return e.Policy().Owns(client.ID, api) })
}

func tell(claims verify.Claims) answer {
	return answer{
		Active: true, Scope: claims.Scope.String(), ClientID: claims.ClientID, TokenType: "Bearer",
		Expires: int64(claims.Expires), IssuedAt: int64(claims.IssuedAt), Subject: claims.Subject,
		Audience: claims.Audience[0], Issuer: claims.Issuer, ID: claims.ID, AuthTime: int64(claims.AuthTime),
		ACR: claims.ACR, AMR: claims.AMR, SessionID: claims.SessionID, GrantID: claims.Grant,
	}
}
