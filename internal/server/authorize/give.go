package authorize

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/web"
)

// give makes what the client asked for and ends the flow and the pushed request, in one deed, and answers. ErrRevoked: it
// has answered nothing, for the account, the session, the application or the consent no longer stands.
func (e *Endpoint) give(w http.ResponseWriter, r *http.Request, at position) error {
	now := e.now()
	if at.request.Type.Front() {
		return e.giveTokens(w, r, at, now)
	}
	value := iam.NewSecret(iam.PrefixCode)
	code := e.code(at, now)
	code.Hash = iam.HashCode(value)
	event := session.GaveCode(now, code.Grant, at.session, web.Trace(r.Context()))
	err := e.Codes.AddCode(r.Context(), code, at.flow.Hash, nil, event)
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return ended(at, err)
	case err != nil:
		return err
	}
	e.learn(r, at)
	return e.answer(w, r, at, url.Values{"code": {value}})
}

// ended: a second tab was faster. One transaction, and one pushed request, gives one answer (P03).
func ended(at position, cause error) error {
	if iam.Digest(at.flow.Hash).Zero() && !iam.Digest(at.request.Pushed).Zero() {
		return oauth.InvalidRequestURI("the request_uri has been used: go back to the application and start again").For(oauth.ReasonPushedSpent).Because(cause)
	}
	return session.Expired(cause)
}

// code is what the request asks for, but for its hash.
func (e *Endpoint) code(at position, now time.Time) iam.Code {
	return iam.Code{
		RedirectURI: at.request.RedirectURI, Challenge: at.request.Challenge, JKT: at.request.JKT, Pushed: at.request.Pushed,
		Grant: e.grant(at, now), From: at.session.ID, Allowed: at.given, Created: now, Expires: now.Add(e.Assurance.Policy().Lives.Code),
	}
}

func (e *Endpoint) grant(at position, now time.Time) iam.Grant {
	asked := at.request
	grant := iam.Grant{
		ID: uuid.Must(uuid.NewV7()).String(), Client: asked.Client.ID, User: at.session.User,
		Session: at.session.ID, Login: at.session.ID,
		Scope: asked.Scope, Resource: asked.Resource, Nonce: asked.Nonce, Claims: asked.Wanted.String(), Details: asked.Details,
		AuthTime: at.authTime, AMR: at.amr, ACR: at.acr,
		Created: now, Expires: now.Add(e.Assurance.Policy().Lives.Refresh),
	}
	if grant.Scope.Has(oauth.ScopeOffline) {
		grant.Session = "" // it outlives the session: that is what the scope means (OpenID Connect Core section 11)
	}
	return grant
}

// giveTokens answers with tokens through the browser (OpenID Connect Core sections 3.2 and 3.3), which only clients with an
// exception may ask for.
func (e *Endpoint) giveTokens(w http.ResponseWriter, r *http.Request, at position, now time.Time) error {
	if e.Desk == nil {
		return e.answerError(w, r, at, oauth.UnsupportedResponseType("nothing but a code is given here"))
	}
	order, err := e.order(at, now)
	if err != nil {
		return e.answerError(w, r, at, err)
	}
	answer, err := e.Desk.Issue(r.Context(), order)
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return ended(at, err)
	case errors.Is(err, iam.ErrRaced), errors.Is(err, iam.ErrExpired), errors.Is(err, iam.ErrSpent), errors.Is(err, iam.ErrMismatch):
		return errors.Join(iam.ErrRevoked, err)
	case errors.Is(err, iam.ErrRevoked):
		return err
	case oauth.CodeOf(err) == "invalid_grant": // a word of the token endpoint, which has no place here
		return errors.Join(iam.ErrRevoked, err)
	case err != nil:
		return e.answerError(w, r, at, err)
	}
	e.learn(r, at)
	return e.answer(w, r, at, paramsOf(answer))
}

func paramsOf(answer token.Answer) url.Values {
	params := url.Values{}
	for name, value := range map[string]string{
		"access_token": answer.AccessToken, "token_type": answer.TokenType, "id_token": answer.IDToken, "code": answer.Code,
		"scope": answer.Scope, "expires_in": strconv.FormatInt(answer.ExpiresIn, 10),
	} {
		if value != "" {
			params.Set(name, value)
		}
	}
	if answer.AccessToken == "" {
		for _, name := range []string{"token_type", "expires_in", "scope"} {
			params.Del(name)
		}
	}
	return params
}

// order is what the front channel asks of issue. Its grant begins here, and the code of a hybrid answer is one of the same
// grant.
func (e *Endpoint) order(at position, now time.Time) (token.Order, error) {
	asked, code := at.request, e.code(at, now)
	order := token.Order{
		GrantType: oauth.Implicit, Client: asked.Client, Subject: at.session.User, Grant: code.Grant, Begins: true,
		Scope: code.Grant.Scope, Details: code.Grant.Details, Flow: at.flow.Hash, Pushed: asked.Pushed,
		GiveID: asked.Type.Gives("id_token"), NoAccess: !asked.Type.Gives("token"),
		Nonce: asked.Nonce, State: asked.State, Claims: code.Grant.Claims,
	}
	if asked.Type.Gives("code") {
		order.GrantType, order.GiveCode = oauth.AuthorizationCode, &code
	}
	if order.NoAccess {
		return order, nil
	}
	resources := asked.Resource
	details, err := token.ReadDetails(order.Details)
	if err != nil {
		return order, err
	}
	target, err := e.Assurance.Policy().Target(order.Scope, resources, details.Types()...)
	order.Audience, order.Kind, order.Scope = target.Audience, target.Kind, target.Scope
	return order, err
}
