// Package revoke lets a client give its own tokens back (RFC 7009). A refresh token takes its whole grant along; an
// access token that belongs to a grant does too, so that neither outlives the other.
package revoke

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// Clients proves who calls.
type Clients interface {
	Authenticate(r *http.Request, form web.Form) (iam.Client, error)
}

// Tokens reads access tokens.
type Tokens interface {
	Token(ctx context.Context, token string) (verify.Claims, error)
}

// Endpoint is /revoke.
type Endpoint struct {
	Clients   Clients
	Tokens    Tokens
	Refreshes iam.Refreshes
	Grants    iam.Grants
	Settle    func(context.Context) error // lets this node hear what it just ended, so that its next answer knows; may be nil
	Now       func() time.Time

	// Of families of apps; nil: there are none.
	Secrets  iam.DeviceSecrets
	Sessions Sessions
}

// Revoke answers 200 for a token that is unknown, spent or somebody else's, without touching it (RFC 7009 section 2.2).
// It answers 200 for the client's own only when its end is durable.
func (e *Endpoint) Revoke(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	client, err := e.Clients.Authenticate(r, form)
	if err != nil {
		return err
	}
	value := form.Value("token")
	if value == "" {
		return oauth.InvalidRequest("token is missing")
	}
	switch {
	case strings.HasPrefix(value, iam.PrefixRefresh):
		err = e.refresh(r.Context(), client, value)
	case strings.HasPrefix(value, iam.PrefixNative):
		err = e.device(r.Context(), client, value)
	case strings.Count(value, ".") == encryptedDots:
		err = unsupported()
	default:
		err = e.access(r.Context(), client, value)
	}
	if err != nil {
		return err
	}
	if e.Settle != nil {
		_ = e.Settle(r.Context()) // the end is durable; a node that can't hear says so by itself
	}
	web.NoStore(w)
	w.WriteHeader(http.StatusOK)
	return nil
}

// encryptedDots are in every encrypted token. Only its API can read it: to say that it has been revoked would be untrue.
const encryptedDots = 4

// unsupported is the refusal of RFC 7009 section 2.2.1.
func unsupported() error {
	return &oauth.Error{
		Code: "unsupported_token_type", Status: http.StatusBadRequest,
		Description: "only the API can read this token: revoke the refresh token of its grant",
	}
}

func (e *Endpoint) refresh(ctx context.Context, client iam.Client, value string) error {
	_, grant, err := e.Refreshes.Refresh(ctx, iam.HashRefresh(value))
	if errors.Is(err, iam.ErrNotFound) {
		return nil
	}
	if err != nil || grant.Client != client.ID {
		return err
	}
	return e.end(ctx, client, grant.ID, grant.User)
}

func (e *Endpoint) access(ctx context.Context, client iam.Client, value string) error {
	claims, err := e.Tokens.Token(ctx, value)
	if oauth.CodeOf(err) == "invalid_token" {
		return nil
	}
	if err != nil || claims.ClientID != client.ID {
		return err
	}
	if claims.Grant != "" {
		return e.grant(ctx, client, claims.Grant)
	}
	return e.Grants.RevokeToken(ctx, claims.ID, time.Unix(int64(claims.Expires), 0), e.event(ctx, client, "token", claims.ID))
}

// grant ends the grant of an access token. Whom it is of is read from the grant: the token may call the person otherwise.
func (e *Endpoint) grant(ctx context.Context, client iam.Client, id string) error {
	grant, err := e.Grants.Grant(ctx, id)
	if errors.Is(err, iam.ErrNotFound) { // swept, so ended already
		return nil
	}
	if err != nil {
		return err
	}
	return e.end(ctx, client, grant.ID, grant.User)
}

func (e *Endpoint) end(ctx context.Context, client iam.Client, grant, user string) error {
	event := e.event(ctx, client, "grant", grant)
	event.Grant, event.User = grant, user
	err := e.Grants.RevokeGrant(ctx, grant, event)
	if errors.Is(err, iam.ErrNotFound) { // ended already
		return nil
	}
	return err
}

func (e *Endpoint) event(ctx context.Context, client iam.Client, what, id string) journal.Event {
	event := journal.New(e.Now(), journal.Revoked{What: what, ID: id, Reason: "the client gave it back"})
	event.Actor, event.Client, event.Trace = "client:"+client.ID, client.ID, web.Trace(ctx)
	return event
}
