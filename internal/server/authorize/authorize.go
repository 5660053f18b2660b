// Package authorize is /authorize: it reads the request, looks what is still missing (a sign-in, a consent, nothing) and
// sends the person there, or answers the client with a code. The steps of the login never route to one another: each
// proves or refuses and comes back here.
package authorize

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Endpoint is /authorize. All fields but Recalled and Now are required.
type Endpoint struct {
	Issuer   string
	Parser   *request.Parser
	Sessions *session.Keeper
	Flows    iam.Flows
	Codes    iam.Codes
	Consents iam.Consents
	Recalled iam.RecalledConsents // nil: nothing is remembered
	Policy   func() *assurance.Policy
	Pages    func() *page.Pages
	Face     web.Face         // notes errors that go back to the client
	Now      func() time.Time // nil: time.Now
}

func (e *Endpoint) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC()
	}
	return time.Now().UTC()
}

// Authorize answers GET with the next step, and POST by storing the request and sending the browser to a GET of it:
// a body is never re-posted (RFC 9700 section 4.12).
func (e *Endpoint) Authorize(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodPost:
		return e.store(w, r)
	case http.MethodGet:
	default:
		return web.MethodNotAllowed(http.MethodGet, http.MethodPost)
	}
	form, err := web.Query(r)
	if err != nil {
		return err
	}
	at := position{}
	if form.Has("flow") {
		if at, form, err = e.resume(r, form.Value("flow")); err != nil {
			return err
		}
	}
	at.request, err = e.Parser.Parse(r.Context(), request.Authorize, form)
	if err != nil {
		return e.refuse(w, r, err)
	}
	return e.dispatch(w, r, at)
}

// position is how far a request has come.
type position struct {
	request *request.Request
	flow    iam.Flow // zero hash: not kept yet
	key     string   // the flow's value in URLs
	session iam.Session
	signed  bool         // session is set
	given   *iam.Consent // what the person allowed before, if that is why nobody asks now
}

func (e *Endpoint) store(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	asked, err := e.Parser.Parse(r.Context(), request.Authorize, form)
	if err != nil {
		return e.refuse(w, r, err)
	}
	key, err := e.Sessions.Park(r.Context(), e.Flows, asked.Query(), asked.Client.ID)
	if err != nil {
		return err
	}
	session.SeeOther(w, "/authorize?flow="+url.QueryEscape(key))
	return nil
}

// resume finds the request of a key: a transaction of this browser, else one that came by POST a moment ago and begins
// here as if it had come by GET.
func (e *Endpoint) resume(r *http.Request, key string) (position, web.Form, error) {
	at := position{key: key}
	flow, err := e.Sessions.Resume(r, e.Flows, key)
	query := flow.Query
	switch {
	case errors.Is(err, iam.ErrNotFound):
		at.key = ""
		query, err = e.Sessions.Unpark(r.Context(), e.Flows, key)
	default:
		at.flow = flow
	}
	if err != nil {
		return at, web.Form{}, err
	}
	form, err := web.Query(&http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: query}})
	return at, form, err
}

// refuse sends an error back to the client where that is allowed, else leaves it to the page.
func (e *Endpoint) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	var refusal *request.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	return e.answerError(w, r, refusal.Request, refusal.Err)
}

func (e *Endpoint) answerError(w http.ResponseWriter, r *http.Request, to *request.Request, err error) error {
	var told *oauth.Error
	if !errors.As(err, &told) {
		return err
	}
	e.Face.Note(r, err)
	return e.answer(w, r, to, url.Values{"error": {told.Code}, "error_description": {told.Description}})
}

// answer carries parameters back to the client, with state and iss in every case (RFC 9207).
func (e *Endpoint) answer(w http.ResponseWriter, r *http.Request, to *request.Request, params url.Values) error {
	params.Set("iss", e.Issuer)
	if to.State != "" {
		params.Set("state", to.State)
	}
	if to.Mode == oauth.ModeFormPost {
		return e.formPost(w, r, to, params)
	}
	session.SeeOther(w, to.Location(params))
	return nil
}

// issue makes the code and ends the flow, in one deed, and answers the client. ErrRevoked: it has answered nothing, for
// the account, the session, the application or the consent no longer stands.
func (e *Endpoint) issue(w http.ResponseWriter, r *http.Request, at position) error {
	now, lives := e.now(), e.Policy().Lives
	value := iam.NewSecret(iam.PrefixCode)
	grant := iam.Grant{
		ID: uuid.Must(uuid.NewV7()).String(), Client: at.request.Client.ID, User: at.session.User, Session: at.session.ID,
		Scope: at.request.Scope, Resource: at.request.Resource, Nonce: at.request.Nonce, Claims: at.request.Wanted.String(),
		AuthTime: at.session.AuthTime, AMR: at.session.AMR, ACR: at.session.ACR,
		Created: now, Expires: now.Add(lives.Refresh),
	}
	if grant.Scope.Has(oauth.ScopeOffline) {
		grant.Session = "" // it outlives the session: that is what the scope means (OpenID Connect Core section 11)
	}
	code := iam.Code{
		Hash: iam.HashCode(value), RedirectURI: at.request.RedirectURI, Challenge: at.request.Challenge,
		Grant: grant, From: at.session.ID, Allowed: at.given, Created: now, Expires: now.Add(lives.Code),
	}
	event := journal.New(now, journal.TokenIssued{
		GrantType: "authorization_code", Scope: grant.Scope.String(), Gave: []string{"code"},
	})
	event.Actor, event.Client, event.User = "user:"+grant.User, grant.Client, grant.User
	event.Session, event.Grant, event.Trace = at.session.ID, grant.ID, web.Trace(r.Context())
	err := e.Codes.AddCode(r.Context(), code, at.flow.Hash, nil, event)
	switch {
	case errors.Is(err, iam.ErrNotFound): // a second tab was faster: one transaction gives one code
		return session.Expired(err)
	case err != nil:
		return err
	}
	return e.answer(w, r, at.request, url.Values{"code": {value}})
}
