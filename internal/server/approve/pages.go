package approve

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/consent"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Pages is /account/requests. All fields are required.
type Pages struct {
	Sessions  *session.Keeper
	Flows     iam.Flows
	Users     iam.Users
	Elsewhere *consent.Elsewhere
	Address   func(*http.Request) netip.Addr // the zero address is unknown
	Pages     func() *page.Pages
}

const (
	home     = "/account"
	requests = home + "/requests"
)

// presence is a person who is signed in in this browser.
type presence struct {
	user    iam.User
	session iam.Session
}

func (p *Pages) who(r *http.Request) (presence, error) {
	current, err := p.Sessions.Current(r)
	if err != nil {
		return presence{}, err
	}
	user, err := p.Users.User(r.Context(), current.User)
	return presence{user, current}, err
}

// notice binds what the page says to the session, so that no link can make it say something that did not happen.
func (p presence) notice(note page.Note) string { return "notice " + string(note) + " " + p.session.ID }

// decided are what the page of requests may say was just done.
var decided = []page.Note{page.NoteRequestAllowed, page.NoteRequestDenied}

// Requests is /account/requests: GET lists what applications wait for (OpenID CIBA Core), or shows the one that id names;
// POST takes the decision. Who is not signed in does so first, and comes back to the list.
func (p *Pages) Requests(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodPost:
		return p.decide(w, r)
	case http.MethodGet, http.MethodHead:
	default:
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
	}
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	here, err := p.who(r)
	if errors.Is(err, iam.ErrNotFound) {
		key, err := p.Sessions.Begin(w, r, p.Flows, session.ForRequests())
		if err != nil {
			return err
		}
		session.SeeOther(w, "/signin?flow="+key)
		return nil
	}
	if err != nil {
		return err
	}
	if query.Has("id") {
		return p.showRequest(w, r, here, query.Value("id"))
	}
	view := page.Requests{Common: commonOf(r, here), Action: requests, Account: home}
	if note := page.Note(query.Value("done")); slices.Contains(decided, note) && p.Sessions.Known(r).Made(here.notice(note), query.Value("proof")) {
		view.Notice = note
	}
	waiting, err := p.Elsewhere.Of(r.Context(), here.user.ID)
	if err != nil {
		return err
	}
	for _, one := range waiting {
		shown, err := p.Elsewhere.View(r.Context(), one, session.Languages(r, view.Locales))
		if err != nil {
			return err
		}
		view.Requests = append(view.Requests, shown)
	}
	return p.Pages().Render(w, r, http.StatusOK, view)
}

// commonOf is what both pages share: the person's language above all.
func commonOf(r *http.Request, here presence) page.Common {
	common := page.Common{Trace: web.Trace(r.Context())}
	if here.user.Locale != "" {
		common.Locales = []string{here.user.Locale}
	}
	return common
}

func (p *Pages) showRequest(w http.ResponseWriter, r *http.Request, here presence, id string) error {
	waiting, err := p.Elsewhere.Find(r.Context(), here.user.ID, id)
	if err != nil {
		return consent.Over(err)
	}
	by := p.by(r, here)
	if err := p.Elsewhere.Sure(r.Context(), waiting, by); err != nil {
		return p.Elsewhere.Turn(w, r, p.place(w, r, here, waiting), err)
	}
	common := commonOf(r, here)
	view, err := p.Elsewhere.View(r.Context(), waiting, session.Languages(r, common.Locales))
	if err != nil {
		return err
	}
	// The form decides this one alone: a token that another page of the account was given is none for it.
	common.CSRF = p.Sessions.Browser(w, r).FormToken(here.request(id))
	view.Common, view.Action, view.Username, view.Back = common, requests, here.user.Username, requests
	return p.Pages().Render(w, r, http.StatusOK, view)
}

// by is who decides, as far as this door knows. Who must prove more comes back to the list.
func (p *Pages) by(r *http.Request, here presence) consent.Presence {
	return consent.Presence{Session: here.session, Flow: *session.ForRequests(), Address: p.Address(r), Agent: session.Agent(r)}
}

// place is this door, with the form by which the person refuses what waits.
func (p *Pages) place(w http.ResponseWriter, r *http.Request, here presence, waiting consent.Waiting) consent.Place {
	common := commonOf(r, here)
	common.CSRF = p.Sessions.Browser(w, r).FormToken(here.request(waiting.Asked.ID))
	return consent.Place{Sessions: p.Sessions, Flows: p.Flows, By: p.by(r, here), Refused: page.Refused{
		Common: common, Client: consent.Who(r.Context(), waiting.Client, session.Languages(r, common.Locales), nil),
		Action: requests, ID: waiting.Asked.ID, Back: requests,
	}}
}

func (p presence) request(id string) string { return "request " + id + " " + p.session.ID }

func (p *Pages) decide(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	here, err := p.who(r)
	if errors.Is(err, iam.ErrNotFound) {
		refused := &oauth.Error{Code: "login_required", Status: http.StatusForbidden, Description: "nobody is signed in any more"}
		return refused.Because(err)
	}
	if err != nil {
		return err
	}
	id := form.Value("request")
	if err := p.Sessions.Own(r, here.request(id), form.Value("csrf")); err != nil {
		return err
	}
	note := page.NoteRequestAllowed
	switch form.Value("decision") {
	case "allow":
	case "deny":
		note = page.NoteRequestDenied
	default: // neither button: nothing was decided, so nothing is
		return oauth.InvalidRequest("the decision must be allow or deny")
	}
	waiting, err := p.Elsewhere.Find(r.Context(), here.user.ID, id)
	by := p.by(r, here)
	if err == nil {
		err = p.Elsewhere.Decide(r.Context(), waiting, by, note == page.NoteRequestAllowed)
	}
	if err != nil {
		return p.Elsewhere.Turn(w, r, p.place(w, r, here, waiting), err)
	}
	proof := p.Sessions.Known(r).FormToken(here.notice(note))
	session.SeeOther(w, requests+"?done="+string(note)+"&proof="+proof)
	return nil
}
