// Package login proves who a person is: the sign-in page and its factors, sign-up, the reset of a password and the
// one-time links of mails. Each page proves or refuses and goes back to the dispatcher at /authorize; it knows no
// protocol, issues nothing, and tells nobody which accounts there are.
package login

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Offers are what the recipe in force lets people do on these pages.
type Offers struct {
	SignUp      bool     // people may make their own account
	SignUpHosts []string // at these mail domains only; empty: at any
	Reset       bool     // a forgotten password may be replaced by mail
	Factors     []string // that people may use
	// Judge tells what is wrong with a new password, given the names that others know of its person, or "". An error is a
	// fault of ours.
	Judge func(secret string, names ...string) (page.Fault, error)
}

// People is what the pages need of the storage.
type People interface {
	iam.UserKeeping
	iam.Passwords
	iam.Links
	iam.Flows
}

// Hasher makes of a password what is kept of it.
type Hasher interface {
	Hash(ctx context.Context, secret string) (string, error)
}

// Endpoint is every page of the login. All fields but Help, Confined, Logos and Now are required.
type Endpoint struct {
	Issuer   string // links in mails begin with it, never with a request's Host
	People   People
	Clients  iam.Clients
	Sessions *session.Keeper
	Devices  *session.Devices
	Factors  []factor.Factor // All, or a part of it
	Holds    factor.Needs    // what people have to prove something with
	Sets     func() []string // of factors, as password+totp, each of which reaches a level
	// Missing tells for each set of a need which factors are still to be proved (assurance.Missing).
	Missing  func(need iam.Need, proofs []iam.Proved, now time.Time) [][]string
	Hasher   Hasher
	Tries    *limit.Tries
	Mails    *limit.Limiter // how often one network may make us write mails or accounts
	Failures *Failures
	Post     Post
	Network  func(*http.Request) string // where a request comes from, as limits count it
	Help     func() string              // address of human help; nil: there is none
	Offers   func() Offers
	Confined func() bool // after a restore: only administrators; nil: never
	Pages    func() *page.Pages
	Logos    *page.Logos      // of clients; nil: none are shown
	Face     web.Face         // notes what is refused by a page of its own
	Now      func() time.Time // nil: time.Now
}

func (e *Endpoint) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC()
	}
	return time.Now().UTC()
}

// step is a page of a login transaction that this browser owns.
type step struct {
	flow   iam.Flow
	key    string
	wishes session.Wishes
	client page.Client
}

// stepOf finds the transaction that key names and what its pages tell.
func (e *Endpoint) stepOf(r *http.Request, key string) (step, error) {
	flow, err := e.Sessions.Resume(r, e.People, key)
	if err != nil {
		return step{}, err
	}
	at := step{flow: flow, key: key, wishes: session.WishesOf(flow)}
	if flow.Client == "" {
		return at, nil
	}
	client, err := e.Clients.Client(r.Context(), flow.Client)
	if err != nil {
		return step{}, session.Expired(err) // it was removed meanwhile
	}
	at.client = page.Client{
		Name: client.Name.In(session.Languages(r, at.wishes.Locales)...), Policy: client.PolicyURI, Terms: client.TermsURI,
		Unverified: client.Unverified,
	}
	if !client.Unverified { // a borrowed logo would vouch for what nobody has checked
		at.client.Logo = e.Logos.Of(r.Context(), client.LogoURI)
	}
	if at.client.Name == "" {
		at.client.Name = client.ID
	}
	return at, nil
}

// begin finds the transaction that a GET names. Without one it begins one that leads to the account page, answers by a
// redirect to itself, and gives a step without a key.
func (e *Endpoint) begin(w http.ResponseWriter, r *http.Request) (step, error) {
	query, err := web.Query(r)
	if err != nil {
		return step{}, err
	}
	if query.Has("flow") {
		return e.stepOf(r, query.Value("flow"))
	}
	key, err := e.Sessions.Begin(w, r, e.People, &iam.Flow{})
	if err != nil {
		return step{}, err
	}
	session.SeeOther(w, r.URL.Path+"?flow="+url.QueryEscape(key))
	return step{}, nil
}

// common is what the pages of a transaction share. The answer to a form may lead, over the dispatcher, to the client.
func (e *Endpoint) common(w http.ResponseWriter, r *http.Request, at step, purpose string, problems []page.Problem) page.Common {
	return page.Common{
		Locales: at.wishes.Locales, CSRF: e.Sessions.Browser(w, r).FormToken(purpose), Trace: web.Trace(r.Context()),
		FormTarget: at.wishes.RedirectURI, Problems: problems, MinPassword: factor.MinPassword,
	}
}

// read gives the form of a POST that one of our pages sent, within the transaction that it names.
func (e *Endpoint) read(r *http.Request, purpose string) (web.Form, step, error) {
	form, err := web.PostForm(r)
	if err != nil {
		return web.Form{}, step{}, err
	}
	at, err := e.stepOf(r, form.Value("flow"))
	if err != nil {
		return web.Form{}, step{}, err
	}
	return form, at, e.Sessions.Own(r, purpose+" "+at.key, form.Value("csrf"))
}

// status of a page that shows what was wrong with a form.
func status(problems []page.Problem) int {
	if len(problems) > 0 {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// Locked answers who must wait. It is the same page for every account, known or not.
func (e *Endpoint) Locked(w http.ResponseWriter, r *http.Request, locales []string, wait time.Duration, forgot string) error {
	e.Face.Note(r, oauth.TooManyRequests("too many tries; wait %s", wait.Round(time.Second)))
	web.SetRetryAfter(w, wait)
	return e.Pages().Render(w, r, http.StatusTooManyRequests, page.Locked{
		Common: page.Common{Locales: locales, Trace: web.Trace(r.Context())}, Wait: wait, Forgot: forgot,
	})
}
