// Package consent asks a person whether an application may have what it asks for. What is asked stands in the login
// transaction, never in the form; the answer goes back to the dispatcher at /authorize, which alone answers the client.
package consent

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Endpoint is /consent. All fields but Details, Logos and Now are required.
type Endpoint struct {
	Sessions *session.Keeper
	Flows    iam.Flows
	Users    iam.Users
	Clients  iam.Clients
	Consents iam.Consents
	Say      func(scope string) map[string]string // the recipe's words for a scope, by language
	Details  func(details string) []page.Detail   // authorization_details in words; nil: no recipe has any
	Pages    func() *page.Pages
	Logos    *page.Logos      // of clients; nil: none are shown
	Now      func() time.Time // nil: time.Now
}

func (e *Endpoint) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC()
	}
	return time.Now().UTC()
}

// asked is one request for consent, by a client, to a person in this browser.
type asked struct {
	flow    iam.Flow
	key     string
	wishes  session.Wishes
	session iam.Session
	client  iam.Client
}

// purpose binds a form to the transaction and to the session: a form that was shown to one person is no answer of the
// next one in the same browser.
func (a asked) purpose() string { return "consent " + a.key + " " + a.session.ID }

// Consent is /consent: GET asks, POST takes the answer.
func (e *Endpoint) Consent(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return e.ask(w, r)
	case http.MethodPost:
		return e.answer(w, r)
	}
	return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
}

func (e *Endpoint) ask(w http.ResponseWriter, r *http.Request) error {
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	at, err := e.find(r, query.Value("flow"))
	if errors.Is(err, errNobody) {
		session.SeeOther(w, session.Return(at.flow, at.key))
		return nil
	}
	if err != nil {
		return err
	}
	user, err := e.Users.User(r.Context(), at.session.User)
	if err != nil {
		return err
	}
	languages := session.Languages(r, at.wishes.Locales)
	view := page.Consent{
		Common: page.Common{
			Locales: at.wishes.Locales, CSRF: e.Sessions.Browser(w, r).FormToken(at.purpose()), Trace: web.Trace(r.Context()),
			FormTarget: at.wishes.RedirectURI,
		},
		Action: "/consent", Flow: at.key, Username: user.Username, Account: "/account",
		Client: Who(r.Context(), at.client, languages, e.Logos), Remembered: session.Remembers(at.client, at.wishes.RedirectURI),
		Switch: "/signin?other=1&flow=" + url.QueryEscape(at.key),
	}
	view.Client.Host = host(at.wishes.RedirectURI)
	for _, name := range at.wishes.Scope {
		view.Scopes = append(view.Scopes, page.Scope{Name: name, Say: e.Say(name)})
	}
	if view.Details, err = inWords(e.Details, at.wishes.Details); err != nil {
		return err
	}
	if len(view.Details) > 0 {
		view.Remembered = false
	}
	return e.Pages().Render(w, r, http.StatusOK, view)
}

// Who is what a person is told of a client: by its id, where it has no name, and without a logo, where nobody vouches for it.
func Who(ctx context.Context, client iam.Client, languages []string, logos *page.Logos) page.Client {
	who := page.Client{
		Name: client.Name.In(languages...), Policy: client.PolicyURI, Terms: client.TermsURI, Unverified: client.Unverified,
	}
	if who.Name == "" {
		who.Name = client.ID
	}
	if !client.Unverified { // a borrowed logo would vouch for what nobody has checked
		who.Logo = logos.Of(ctx, client.LogoURI)
	}
	return who
}

// inWords puts authorization_details into words. What can't be shown is not asked for: nobody allows what they have not
// seen (RFC 9396 section 11.2).
func inWords(say func(string) []page.Detail, asked string) ([]page.Detail, error) {
	if asked == "" {
		return nil, nil
	}
	var shown []page.Detail
	if say != nil {
		shown = say(asked)
	}
	if len(shown) == 0 {
		return nil, errors.New("the request has authorization_details, and nothing can show them")
	}
	return shown, nil
}

// errNobody says that nobody is signed in any more: the dispatcher asks for that first.
var errNobody = errors.New("nobody is signed in")

func (e *Endpoint) find(r *http.Request, key string) (asked, error) {
	at := asked{key: key}
	var err error
	if at.flow, err = e.Sessions.Resume(r, e.Flows, key); err != nil {
		return at, err
	}
	at.wishes = session.WishesOf(at.flow)
	if at.flow.Client == "" || len(at.wishes.Scope) == 0 { // no application waits behind this transaction
		return at, session.Expired(errors.New("the transaction asks for no consent"))
	}
	at.session, err = e.Sessions.Current(r)
	if errors.Is(err, iam.ErrNotFound) {
		return at, errNobody
	}
	if err != nil {
		return at, err
	}
	at.client, err = e.Clients.Client(r.Context(), at.flow.Client)
	if errors.Is(err, iam.ErrNotFound) || err == nil && at.client.Disabled { // removed or disabled meanwhile
		return at, session.Expired(errors.Join(iam.ErrRevoked, err))
	}
	return at, err
}

func (e *Endpoint) answer(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	at, err := e.find(r, form.Value("flow"))
	if errors.Is(err, errNobody) {
		session.SeeOther(w, session.Return(at.flow, at.key))
		return nil
	}
	if err != nil {
		return err
	}
	if err := e.Sessions.Own(r, at.purpose(), form.Value("csrf")); err != nil {
		return err
	}
	switch form.Value("decision") {
	case "allow":
		err = e.allow(r, at)
	case "deny":
		err = e.mark(r, at, session.StepDenied)
	default: // neither button: nothing was decided, so nothing is
		return oauth.InvalidRequest("the decision must be allow or deny")
	}
	if err != nil {
		return err
	}
	session.SeeOther(w, session.Return(at.flow, at.key))
	return nil
}

// allow keeps the consent to exactly what the transaction asks for.
func (e *Endpoint) allow(r *http.Request, at asked) error {
	now := e.now()
	event := journal.New(now, journal.Consented{Scope: at.wishes.Scope.String()})
	event.Actor, event.User, event.Client = "user:"+at.session.User, at.session.User, at.client.ID
	event.Session, event.Trace = at.session.ID, web.Trace(r.Context())
	err := e.Consents.GiveConsent(r.Context(), iam.Consent{
		User: at.session.User, Client: at.client.ID, Scope: at.wishes.Scope, Given: now,
	}, event)
	if err != nil {
		return err
	}
	return e.mark(r, at, session.StepConsent)
}

// mark keeps what was answered, as this session's answer. What was answered in another session of this browser is
// forgotten: it was another person's, or an earlier sign-in's.
func (e *Endpoint) mark(r *http.Request, at asked, answer string) error {
	if at.flow.Session != at.session.ID {
		at.flow.Asked = nil
	}
	at.flow.User, at.flow.Session = at.session.User, at.session.ID
	if !slices.Contains(at.flow.Asked, answer) {
		at.flow.Asked = append(at.flow.Asked, answer)
	}
	err := e.Flows.SetFlow(r.Context(), at.flow)
	if errors.Is(err, iam.ErrNotFound) {
		return session.Expired(err)
	}
	return err
}

// host tells where the answer will go: a host, or the scheme of a native application.
func host(redirectURI string) string {
	target, err := url.Parse(redirectURI)
	if err != nil {
		return ""
	}
	if target.Host != "" && strings.HasPrefix(target.Scheme, "http") {
		return target.Host
	}
	return target.Scheme
}
