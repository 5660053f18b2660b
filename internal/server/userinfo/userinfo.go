// Package userinfo tells a client about the person who signed in, as far as the token's scopes reach (OpenID Connect Core
// section 5.3), in plain JSON or as the client registered: signed, and encrypted. It takes any access token of ours with
// the scope openid, whichever API it is for.
package userinfo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

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

// Endpoint is /userinfo. All fields but Salt are required; without a Writer nobody's answers are signed.
type Endpoint struct {
	Issuer  string
	Tokens  Bearer
	Users   iam.Users
	Grants  iam.Grants
	Clients iam.Clients
	Writer  token.Writer
	Salt    func() []byte // of pairwise subjects; nil: there are none
}

// UserInfo answers GET and POST. The token stands in the Authorization header alone: one in a form could be sent by any
// page, and one in a query is written down everywhere (RFC 6750 section 2, X13). Beside that of the header either is
// invalid_request, since nobody may guess which of two is meant.
func (e *Endpoint) UserInfo(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return web.MethodNotAllowed(http.MethodGet, http.MethodPost)
	}
	if err := inForm(r); err != nil {
		return err
	}
	claims, err := e.Tokens.Bearer(r)
	if err != nil {
		return err
	}
	if !claims.Scope.Has(oauth.ScopeOpenID) {
		return web.NeedScope(oauth.InsufficientScope("the token does not hold the scope openid"), oauth.Scope{oauth.ScopeOpenID})
	}
	asked, err := e.behind(r.Context(), claims)
	if err != nil {
		return err
	}
	user, err := e.Users.User(r.Context(), asked.user)
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		return oauth.InvalidToken("the person's account no longer stands").Because(iam.ErrRevoked)
	}
	if err != nil {
		return err
	}
	subject := token.Subject(e.salt(), asked.client, user.ID)
	if subject == "" {
		return errors.New("userinfo: a pairwise subject needs the salt, and there is none")
	}
	return e.answer(w, r, asked.client, token.UserInfoClaims(user, subject, claims.Scope, asked.wanted))
}

// inForm refuses a second token in a form. Without one in the header that in the form is none, and nobody reads it.
func inForm(r *http.Request) error {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if r.Method != http.MethodPost || r.Header.Get("Authorization") == "" || !strings.EqualFold(strings.TrimSpace(kind), web.FormType) {
		return nil
	}
	form, err := web.PostForm(r)
	if err == nil && form.Has("access_token") {
		err = oauth.InvalidRequest("the token is sent in two ways: it belongs into the Authorization header alone")
	}
	return err
}

func (e *Endpoint) salt() []byte {
	if e.Salt == nil {
		return nil
	}
	return e.Salt()
}

// behind is what stands behind a token: its client, whom it is about, and what the authorization asked for by name.
type behind struct {
	client iam.Client
	user   string
	wanted iam.Wanted
}

// behind asks client and grant, that both still stand. The person is found through the grant: the subject of a token may be
// a name that leads back to nobody.
func (e *Endpoint) behind(ctx context.Context, claims verify.Claims) (behind, error) {
	client, err := e.Clients.Client(ctx, claims.ClientID)
	if errors.Is(err, iam.ErrNotFound) {
		return behind{}, oauth.InvalidToken("the application no longer stands").Because(iam.ErrRevoked)
	}
	if err != nil || claims.Grant == "" {
		return behind{client: client, user: claims.Subject}, err
	}
	grant, err := e.Grants.Grant(ctx, claims.Grant)
	if errors.Is(err, iam.ErrNotFound) || err == nil && !grant.Revoked.IsZero() {
		return behind{}, oauth.InvalidToken("the authorization behind the token has ended").Because(iam.ErrRevoked)
	}
	if err != nil {
		return behind{}, err
	}
	wanted, err := iam.ReadWanted(grant.Claims)
	return behind{client, grant.User, wanted.Within(client.Scope)}, err
}

// answer writes JSON, or the JWT that the client registered for (OpenID Connect Core section 5.3.2).
func (e *Endpoint) answer(w http.ResponseWriter, r *http.Request, client iam.Client, claims map[string]any) error {
	form := token.UserInfoForm(client)
	if form.Alg == "" && form.Wrap == "" {
		return web.JSON(w, http.StatusOK, true, claims)
	}
	claims["iss"], claims["aud"] = e.Issuer, client.ID
	text, err := e.text(r.Context(), client, form, claims)
	if err != nil {
		return err
	}
	web.NoStore(w)
	w.Header().Set("Content-Type", "application/jwt")
	_, err = io.WriteString(w, text)
	return err
}

// text is signed if the client asked for a signature; what is only encrypted is not.
func (e *Endpoint) text(ctx context.Context, client iam.Client, form token.Form, claims map[string]any) (string, error) {
	if form.Alg != "" {
		return e.Writer.Write(ctx, client, form, claims)
	}
	plain, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	return e.Writer.Lock(ctx, client, form, "", plain)
}
