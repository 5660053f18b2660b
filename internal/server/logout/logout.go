// Package logout signs people out at the wish of an application (OpenID Connect RP-Initiated Logout 1.0). It sends a
// browser somewhere only for a client that shows an ID token of ours, and only to an address that this client registered.
package logout

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
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Hints verifies an ID token of ours, also one that has expired.
type Hints interface {
	ReadHint(ctx context.Context, text string) (request.Hint, error)
}

// Endpoint is /logout and its pages. All fields but Flows, Reads, Accounts, Subject and Now are required.
type Endpoint struct {
	// Flows keeps a request that came by POST until the GET that follows it: browsers send our cookies with no POST from
	// another site, so that only the GET sees who is signed in. Nil: a POST is answered as it comes.
	Flows    iam.Flows
	Hints    Hints
	Sessions *session.Keeper
	Living   iam.Sessions
	Users    iam.Users
	Clients  iam.Clients
	Accounts *session.Accounts // further ones of a browser; nil: it has one alone
	Reads    iam.LogoutReads   // whose pages are loaded in frames; nil: nobody's
	Issuer   string
	Pages    func() *page.Pages
	Face     web.Face                                    // notes hints that are not believed
	Subject  func(client iam.Client, user string) string // what a client calls a person; nil: the user's id
	Now      func() time.Time                            // nil: time.Now
}

// Where the pages of this room are.
const (
	confirmAt = "/logout/confirm"
	doneAt    = "/logout/done"
	chooseAt  = "/choose" // where people with several accounts go on
)

func (e *Endpoint) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC()
	}
	return time.Now().UTC()
}

// wish is a logout request whose hint was believed or is absent.
type wish struct {
	client  iam.Client // zero: no client has proved that it asks
	hint    request.Hint
	locales []string
	target  string // registered by the client, with state; empty: stay here
}

func (a wish) proved() bool { return a.client.ID != "" }

// Logout is /logout, by GET or POST (section 2). With a hint that fits who is signed in, it is done; otherwise the person
// is asked, and stays here afterwards: a link or an image on any page may lead here.
func (e *Endpoint) Logout(w http.ResponseWriter, r *http.Request) error {
	form, err := e.read(r)
	if err != nil {
		return err
	}
	asked, err := e.understand(r, form)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPost && e.Flows != nil {
		return e.again(w, r, asked, form)
	}
	current, err := e.Sessions.Current(r)
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return e.leave(w, asked) // nobody is signed in: there is nothing to ask
	case err != nil:
		return err
	}
	fits, err := e.fits(r.Context(), asked, current)
	if err != nil {
		return err
	}
	if !fits {
		return e.confirm(w, r, asked, current)
	}
	if _, err := e.end(w, r, current, asked.client.ID); err != nil {
		return err
	}
	return e.tell(w, r, current.ID, asked.target)
}

func (e *Endpoint) read(r *http.Request) (web.Form, error) {
	switch r.Method {
	case http.MethodPost:
		return web.PostForm(r)
	case http.MethodGet, http.MethodHead:
	default:
		return web.Form{}, web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
	}
	form, err := web.Query(r)
	if err != nil || !form.Has("flow") || e.Flows == nil {
		return form, err
	}
	kept, err := e.Sessions.Unpark(r.Context(), e.Flows, session.ParkedSignOut, form.Value("flow"))
	if err != nil {
		return web.Form{}, err
	}
	return web.Query(&http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: kept}})
}

// again sends the browser of a POST to a GET of the same, in which it shows our cookies. Only what a client has proved is
// kept for it; the rest would not be obeyed anyway.
func (e *Endpoint) again(w http.ResponseWriter, r *http.Request, asked wish, form web.Form) error {
	if !asked.proved() {
		session.SeeOther(w, "/logout")
		return nil
	}
	key, err := e.Sessions.Park(r.Context(), e.Flows, session.ParkedSignOut, form.Map().Encode(), "")
	if err != nil {
		return err
	}
	session.SeeOther(w, "/logout?flow="+url.QueryEscape(key))
	return nil
}

const maxState = 4096

// understand finds out who asks. A hint that is not believed counts as none: the person is then asked, and nothing that
// the request says is obeyed.
func (e *Endpoint) understand(r *http.Request, form web.Form) (wish, error) {
	locales := strings.Fields(form.Value("ui_locales"))
	asked := wish{locales: locales[:min(len(locales), 10)]}
	if !form.Has("id_token_hint") {
		return asked, nil
	}
	hint, err := e.Hints.ReadHint(r.Context(), form.Value("id_token_hint"))
	if err == nil && form.Has("client_id") && form.Value("client_id") != hint.Client {
		err = oauth.InvalidRequest("client_id is not the audience of id_token_hint")
	}
	if err != nil {
		return asked, e.disbelieve(r, err)
	}
	client, err := e.Clients.Client(r.Context(), hint.Client)
	if errors.Is(err, iam.ErrNotFound) || err == nil && client.Disabled {
		return asked, e.disbelieve(r, oauth.InvalidRequest("the client of id_token_hint is gone"))
	}
	if err != nil {
		return asked, err
	}
	asked.client, asked.hint = client, hint
	uri := form.Value("post_logout_redirect_uri")
	switch {
	case uri == "":
	case !slices.Contains(client.LogoutURIs, uri): // byte for byte
		return asked, e.disbelieve(r, oauth.InvalidRequest("post_logout_redirect_uri is not registered for this client"))
	case len(form.Value("state")) > maxState:
		return asked, oauth.InvalidRequest("state is longer than %d bytes", maxState)
	default:
		asked.target = with(uri, form.Value("state"))
	}
	return asked, nil
}

// disbelieve notes what is not believed, for garde explain. A fault of ours is returned.
func (e *Endpoint) disbelieve(r *http.Request, err error) error {
	if oauth.CodeOf(err) == "" {
		return err
	}
	e.Face.Note(r, err)
	return nil
}

// with adds state, and nothing else, to a registered address.
func with(uri, state string) string {
	if state == "" {
		return uri
	}
	separator := "?"
	if strings.Contains(uri, "?") {
		separator = "&"
	}
	return uri + separator + "state=" + url.QueryEscape(state)
}

// fits tells whether the hint is about the session in this browser: its sid, or, where the session has changed its id
// since at a new sign-in, its person. A hint about another session that lives elsewhere does not fit.
func (e *Endpoint) fits(ctx context.Context, asked wish, current iam.Session) (bool, error) {
	name := current.User
	if e.Subject != nil {
		name = e.Subject(asked.client, name)
	}
	if !asked.proved() || name == "" || asked.hint.Subject != name {
		return false, nil
	}
	if asked.hint.Session == current.ID || asked.hint.Session == "" {
		return true, nil
	}
	living, err := e.Living.UserSessions(ctx, current.User)
	elsewhere := slices.ContainsFunc(living, func(other iam.Session) bool { return other.ID == asked.hint.Session })
	return !elsewhere, err
}

// end ends the session that is in use, and tells whether the browser has further accounts: they stay, to be chosen from.
func (e *Endpoint) end(w http.ResponseWriter, r *http.Request, current iam.Session, client string) (bool, error) {
	event := journal.New(e.now(), journal.SignedOut{})
	event.Actor, event.User, event.Session = "user:"+current.User, current.User, current.ID
	event.Client, event.Trace = client, web.Trace(r.Context())
	if e.Accounts == nil {
		return false, e.Sessions.End(r.Context(), w, current.ID, event)
	}
	return e.Accounts.Out(w, r, current.ID, event)
}

func (e *Endpoint) leave(w http.ResponseWriter, asked wish) error {
	if asked.target != "" {
		session.SeeOther(w, asked.target)
		return nil
	}
	session.SeeOther(w, doneAt)
	return nil
}

func purpose(current iam.Session) string { return "logout " + current.ID }

func (e *Endpoint) confirm(w http.ResponseWriter, r *http.Request, asked wish, current iam.Session) error {
	user, err := e.Users.User(r.Context(), current.User)
	if err != nil {
		return err
	}
	view := page.LogoutConfirm{
		Common: page.Common{
			Locales: asked.locales, CSRF: e.Sessions.Browser(w, r).FormToken(purpose(current)), Trace: web.Trace(r.Context()),
		},
		Action: confirmAt, Username: user.Username,
	}
	if asked.proved() {
		view.Client.Name = asked.client.Name.In(session.Languages(r, asked.locales)...)
		if view.Client.Name == "" {
			view.Client.Name = asked.client.ID
		}
	}
	return e.Pages().Render(w, r, http.StatusOK, view)
}

// Confirm is /logout/confirm: the person's answer. It leads nowhere else.
func (e *Endpoint) Confirm(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	current, err := e.Sessions.Current(r)
	if errors.Is(err, iam.ErrNotFound) {
		session.SeeOther(w, doneAt)
		return nil
	}
	if err != nil {
		return err
	}
	if err := e.Sessions.Own(r, purpose(current), form.Value("csrf")); err != nil {
		return err
	}
	switch form.Value("decision") {
	case "yes":
		others, err := e.end(w, r, current, "")
		if err != nil {
			return err
		}
		target := ""
		if others {
			target = chooseAt
		}
		return e.tell(w, r, current.ID, target)
	case "no":
		return e.Pages().Render(w, r, http.StatusOK, page.Message{
			Common: page.Common{Trace: web.Trace(r.Context())}, Note: page.NoteStillSignedIn,
		})
	}
	return oauth.InvalidRequest("the decision must be yes or no")
}

// Done is /logout/done: it says that nobody is signed in here, when that is so, and has other applications told.
func (e *Endpoint) Done(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	form, err := web.Query(r)
	if err != nil {
		return err
	}
	view := page.SignedOut{Common: page.Common{Trace: web.Trace(r.Context())}, SignIn: "/account"}
	if form.Has("told") {
		if view, err = e.telling(r, view, form.Value("told")); err != nil {
			return err
		}
		if view.Next != "" {
			w.Header().Set("Refresh", patience+";url="+view.Next)
		}
		return e.Pages().Render(w, r, http.StatusOK, view)
	}
	_, err = e.Sessions.Current(r)
	switch {
	case err == nil:
		session.SeeOther(w, "/account")
		return nil
	case !errors.Is(err, iam.ErrNotFound):
		return err
	}
	return e.Pages().Render(w, r, http.StatusOK, view)
}
