// Package introspect tells an API what a token of its own means (RFC 7662). Anyone else learns that it is not active,
// in the same shape as for a token that never was.
package introspect

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
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

// Endpoint is /introspect. All fields but Salt and Now are required; without a Writer nobody's answers are signed.
type Endpoint struct {
	Issuer  string
	Clients Clients
	Tokens  Tokens
	Policy  func() *assurance.Policy
	Writer  token.Writer
	Salt    func() []byte    // of pairwise subjects; nil: there are none
	Now     func() time.Time // nil: time.Now
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
	shown := form.Value("token")
	claims, err := e.Tokens.Token(r.Context(), shown)
	switch {
	case oauth.CodeOf(err) == "invalid_token":
		return e.answer(w, r, client, answer{})
	case err != nil:
		return err
	case !e.may(client, claims):
		return e.answer(w, r, client, answer{})
	}
	subject, err := e.subject(client, shown, claims)
	if err != nil {
		return err
	}
	return e.answer(w, r, client, tell(claims, subject))
}

// may tells whether a client may know: the one that got the token, the API that it is for, and a Gate.
func (e *Endpoint) may(client iam.Client, claims verify.Claims) bool {
	if claims.ClientID == client.ID || client.Scope.Has(oauth.ScopeGate) {
		return true
	}
	return slices.ContainsFunc(claims.Audience, func(api string) bool { return e.Policy().Owns(client.ID, api) })
}

// subject is the name by which the asking client knows the person. A signed token says the name that its own client knows; a
// row names the person by the id, which is for APIs that need one that stays, and not for a pairwise client that asks about
// its own token.
func (e *Endpoint) subject(client iam.Client, shown string, claims verify.Claims) (string, error) {
	own := claims.ClientID == client.ID && strings.HasPrefix(shown, iam.PrefixAccess)
	if !own || claims.Subject == claims.ClientID {
		return claims.Subject, nil
	}
	var salt []byte
	if e.Salt != nil {
		salt = e.Salt()
	}
	subject := token.Subject(salt, client, claims.Subject)
	if subject == "" {
		return "", errors.New("introspect: a pairwise subject needs the salt, and there is none")
	}
	return subject, nil
}

func (e *Endpoint) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}
