// Package authorize is /authorize: it reads the request, looks what is still missing (a sign-in, a consent, nothing) and
// sends the person there, or answers the client with a code. The steps of the login never route to one another: each
// proves or refuses and comes back here.
package authorize

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/web"
)

// Issuer makes the tokens of the front channel.
type Issuer interface {
	Issue(ctx context.Context, order token.Order) (token.Answer, error)
}

// Signer makes one JWT of an authorization response (JARM section 2.1): it adds iss, aud and exp, signs as the client
// registered, and encrypts where it registered that.
type Signer interface {
	SignResponse(ctx context.Context, client iam.Client, params map[string]string) (string, error)
}

// Endpoint is /authorize. The fields up to Address are required.
type Endpoint struct {
	Issuer   string
	Parser   *request.Parser
	Sessions *session.Keeper
	Accounts *session.Accounts // further ones of a browser; nil: there are none
	Flows    iam.Flows
	Codes    iam.Codes
	Consents iam.Consents
	Pages    func() *page.Pages
	Face     web.Face // notes errors that go back to the client

	Assurance *decide.Desk                   // decides whether somebody is sure enough to be who they say
	Address   func(*http.Request) netip.Addr // where a request comes from; the zero address is unknown

	Recalled iam.RecalledConsents                        // nil: nothing is remembered
	Desk     Issuer                                      // nil: nothing but codes
	Signer   Signer                                      // nil: no signed answers
	Waiting  iam.PushedRequests                          // nil: nothing was pushed
	Subject  func(client iam.Client, user string) string // what a client calls a person; nil: the user's id
	Help     func() string                               // address of human help, for who is refused; nil: there is none
	// Due tells whether a person must add a factor before anything is given, iam.ErrRevoked if they no longer stand. It is
	// asked only where the recipe makes people add any; nil: nobody must.
	Due func(ctx context.Context, user string) (Duty, error)
	// Extra gives further parameters of an answer that ends in a session, such as session_state; nil: none.
	Extra func(w http.ResponseWriter, r *http.Request, to *request.Request) map[string]string
	Now   func() time.Time // nil: time.Now
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
		at, err = e.resume(r, form.Value("flow"))
	} else {
		at.request, err = e.Parser.Parse(r.Context(), request.Authorize, form)
	}
	if err != nil {
		return e.refuse(w, r, err)
	}
	if form.Has("decline") && at.key != "" { // the page of a refusal leads here: it was not the person who said no
		return e.denied(w, r, at, "the company's policy refuses this")
	}
	return e.dispatch(w, r, at)
}

// position is how far a request has come.
type position struct {
	request  *request.Request
	flow     iam.Flow // zero hash: not kept yet
	key      string   // the flow's value in URLs
	session  iam.Session
	signed   bool   // session is set
	acr      string // what may truthfully be told of the person: these three belong together
	amr      []string
	authTime time.Time
	given    *iam.Consent // what the person allowed before, if that is why nobody asks now
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
	key, err := e.Sessions.Park(r.Context(), e.Flows, session.ParkedRequest, asked.Query(), asked.Client.ID)
	if err != nil {
		return err
	}
	session.SeeOther(w, "/authorize?flow="+url.QueryEscape(key))
	return nil
}

// resume finds the request of a key: a transaction of this browser, else one that came by POST a moment ago and begins
// here as if it had come by GET.
func (e *Endpoint) resume(r *http.Request, key string) (position, error) {
	at := position{key: key}
	flow, err := e.Sessions.Resume(r, e.Flows, key)
	query := flow.Query
	switch {
	case errors.Is(err, iam.ErrNotFound):
		at.key = ""
		query, err = e.Sessions.Unpark(r.Context(), e.Flows, session.ParkedRequest, key)
	default:
		at.flow = flow
	}
	if err != nil {
		return at, err
	}
	at.request, err = e.Parser.Again(r.Context(), query)
	return at, err
}

// refuse sends an error back to the client where that is allowed, else leaves it to the page.
func (e *Endpoint) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	var refusal *request.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	return e.answerError(w, r, position{request: refusal.Request}, refusal.Err)
}
