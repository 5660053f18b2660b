package device

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/consent"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Pages are /device and below: where people enter codes and decide. All fields but Now are required.
type Pages struct {
	Sessions  *session.Keeper
	Flows     iam.Flows
	Users     iam.Users
	Elsewhere *consent.Elsewhere
	Key       []byte // of the hash of user codes, as Endpoint has it
	Tries     *Tries
	Network   func(*http.Request) string
	Address   func(*http.Request) netip.Addr                                                                          // the zero address is unknown
	Locked    func(w http.ResponseWriter, r *http.Request, locales []string, wait time.Duration, forgot string) error // answers who must wait
	Pages     func() *page.Pages
	Face      web.Face         // notes wrong codes, which are answered by a page of their own
	Now       func() time.Time // nil: time.Now
}

const purposeEnter = "device"

// cookieCode holds the code that the person typed, so that the page on which they decide can show it once more, to be
// compared with what the device shows. Storage keeps only its hash, and what the cookie says counts for nothing else.
const cookieCode = "garde-usercode"

// Enter is /device: GET asks for the code, POST takes it. A code in the address is only filled in (V08).
func (p *Pages) Enter(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		query, err := web.Query(r)
		if err != nil {
			return err
		}
		return p.show(w, r, http.StatusOK, iam.UserCode(query.Value("user_code")), nil)
	case http.MethodPost:
		return p.take(w, r)
	}
	return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
}

func (p *Pages) show(w http.ResponseWriter, r *http.Request, status int, code string, problems []page.Problem) error {
	return p.Pages().Render(w, r, status, page.EnterCode{
		Common: page.Common{CSRF: p.Sessions.Browser(w, r).FormToken(purposeEnter), Trace: web.Trace(r.Context()), Problems: problems},
		Action: Place, Code: code,
	})
}

func (p *Pages) take(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	if err := p.Sessions.Own(r, purposeEnter, form.Value("csrf")); err != nil {
		return err
	}
	typed := form.Value("user_code")
	if typed == "" {
		return p.wrong(w, r, typed, page.FaultMissing)
	}
	by, err := p.typist(r)
	if err != nil {
		return err
	}
	if ok, shared, wait := p.Tries.allow(by); !ok {
		return p.held(w, r, shared, wait)
	}
	waiting, err := p.Elsewhere.ByCode(r.Context(), iam.HashUserCode(p.Key, typed))
	if oauth.CodeOf(consent.Over(err)) == "expired_request" { // unknown, expired, decided: the same words and the same price
		ok, shared, wait, failed := p.Tries.wrong(r.Context(), by)
		if failed != nil {
			return failed
		}
		if !ok {
			return p.held(w, r, shared, wait)
		}
		p.Face.Note(r, oauth.AccessDenied("a user code was refused").Because(err))
		return p.wrong(w, r, typed, page.FaultUserCode)
	}
	if err != nil {
		return err
	}
	ok, shared, wait, err := p.Tries.stands(r.Context(), by)
	if err != nil {
		return err
	}
	if !ok {
		return p.held(w, r, shared, wait)
	}
	p.Tries.right(by)
	key, err := p.Sessions.Begin(w, r, p.Flows, session.ForDevice(waiting.Asked))
	if err != nil {
		return err
	}
	p.Sessions.Set(w, cookieCode, strings.ReplaceAll(iam.UserCode(typed), "-", ""), Life)
	session.SeeOther(w, confirm(key))
	return nil
}

// held answers who has no try left: where others have used it up, signing in gives more.
func (p *Pages) held(w http.ResponseWriter, r *http.Request, shared bool, wait time.Duration) error {
	if shared {
		return p.signInFirst(w, r)
	}
	return p.Locked(w, r, nil, wait, "")
}

// typist says whose tries are charged.
func (p *Pages) typist(r *http.Request) (typist, error) {
	by := typist{browser: p.Sessions.Known(r).Digest().String(), network: p.Network(r)}
	at, err := p.Sessions.Current(r)
	if errors.Is(err, iam.ErrNotFound) {
		return by, nil
	}
	by.person = at.User
	return by, err
}

// signInFirst is for who shares a network with a guesser: a person who is signed in is charged for their own tries alone.
func (p *Pages) signInFirst(w http.ResponseWriter, r *http.Request) error {
	key, err := p.Sessions.Begin(w, r, p.Flows, session.ForTyping())
	if err != nil {
		return err
	}
	session.SeeOther(w, "/signin?flow="+url.QueryEscape(key))
	return nil
}

func (p *Pages) wrong(w http.ResponseWriter, r *http.Request, typed string, fault page.Fault) error {
	return p.show(w, r, http.StatusUnprocessableEntity, typed[:min(len(typed), 64)], []page.Problem{{Field: page.FieldUserCode, Fault: fault}})
}

func confirm(key string) string { return Place + "/confirm?flow=" + url.QueryEscape(key) }

// Confirm is /device/confirm: GET says who asks, from where and for what; POST takes the decision.
func (p *Pages) Confirm(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return p.ask(w, r)
	case http.MethodPost:
		return p.decide(w, r)
	}
	return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
}

// position is one decision of the person in this browser.
type position struct {
	flow    iam.Flow
	key     string
	code    string // as the person typed it; empty: this browser does not know it any more
	session iam.Session
	waiting consent.Waiting
}

// purpose binds a form to the transaction and to the session: a form that was shown to one person is no answer of the next
// one in the same browser.
func (at position) purpose() string { return purposeEnter + " " + at.key + " " + at.session.ID }

// errNobody says that nobody is signed in.
var errNobody = errors.New("nobody is signed in")

func (p *Pages) find(r *http.Request, key string) (position, error) {
	at := position{key: key}
	var err error
	if at.flow, err = p.Sessions.Resume(r, p.Flows, key); err != nil {
		return at, err
	}
	hash := session.DeviceOf(at.flow)
	if iam.Digest(hash).Zero() {
		return at, session.Expired(errors.New("the transaction is about no device"))
	}
	if at.waiting, err = p.Elsewhere.ByCode(r.Context(), hash); err != nil {
		return at, consent.Over(err)
	}
	at.code = p.typed(r, hash)
	at.session, err = p.Sessions.Current(r)
	if errors.Is(err, iam.ErrNotFound) {
		return at, errNobody
	}
	return at, err
}

// typed gives the code of this transaction if the browser still has it: a cookie that says another code says nothing.
func (p *Pages) typed(r *http.Request, hash iam.UserHash) string {
	for _, cookie := range r.Cookies() {
		if cookie.Name == p.Sessions.Cookie(cookieCode) && iam.Digest(hash).Equal(iam.Digest(iam.HashUserCode(p.Key, cookie.Value))) {
			return iam.UserCode(cookie.Value)
		}
	}
	return ""
}

func (p *Pages) ask(w http.ResponseWriter, r *http.Request) error {
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	at, err := p.find(r, query.Value("flow"))
	switch {
	case errors.Is(err, errNobody):
		session.SeeOther(w, "/signin?flow="+url.QueryEscape(at.key))
		return nil
	case err != nil:
		return err
	case at.code == "": // without it there is nothing to compare
		session.SeeOther(w, Place)
		return nil
	}
	by := p.presence(r, at)
	if err := p.Elsewhere.Sure(r.Context(), at.waiting, by); err != nil {
		return p.Elsewhere.Turn(w, r, p.place(w, r, at, by), err)
	}
	user, err := p.Users.User(r.Context(), at.session.User)
	if err != nil {
		return err
	}
	view, err := p.Elsewhere.View(r.Context(), at.waiting, session.Languages(r, nil))
	if err != nil {
		return err
	}
	view.Common = page.Common{CSRF: p.Sessions.Browser(w, r).FormToken(at.purpose()), Trace: web.Trace(r.Context())}
	view.Action, view.Flow, view.ID, view.Username, view.Code = Place+"/confirm", at.key, "", user.Username, at.code
	view.Place, view.Far = shown(at.waiting.Asked.Address), at.waiting.Asked.Address != p.Network(r)
	view.Back = Place
	view.Switch = "/signin?other=1&flow=" + url.QueryEscape(at.key)
	return p.Pages().Render(w, r, http.StatusOK, view)
}

// presence is who decides, as far as this door knows.
func (p *Pages) presence(r *http.Request, at position) consent.Presence {
	return consent.Presence{Session: at.session, Flow: at.flow, Key: at.key, Address: p.Address(r), Agent: session.Agent(r)}
}

// place is this door, with the form by which the person tells the device no.
func (p *Pages) place(w http.ResponseWriter, r *http.Request, at position, by consent.Presence) consent.Place {
	return consent.Place{Sessions: p.Sessions, Flows: p.Flows, By: by, Refused: page.Refused{
		Common: page.Common{CSRF: p.Sessions.Browser(w, r).FormToken(at.purpose())},
		Client: consent.Who(r.Context(), at.waiting.Client, session.Languages(r, nil), nil),
		Action: Place + "/confirm", Flow: at.key, Back: Place,
	}}
}

// shown is a network as the address that people know: a single one without its prefix length.
func shown(network string) string { return strings.TrimSuffix(network, "/32") }

func (p *Pages) decide(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	at, err := p.find(r, form.Value("flow"))
	if errors.Is(err, errNobody) {
		session.SeeOther(w, "/signin?flow="+url.QueryEscape(at.key))
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.Sessions.Own(r, at.purpose(), form.Value("csrf")); err != nil {
		return err
	}
	note := page.NoteDeviceAllowed
	switch form.Value("decision") {
	case "allow":
	case "deny":
		note = page.NoteDeviceDenied
	default: // neither button: nothing was decided, so nothing is
		return oauth.InvalidRequest("the decision must be allow or deny")
	}
	by := p.presence(r, at)
	if err := p.Elsewhere.Decide(r.Context(), at.waiting, by, note == page.NoteDeviceAllowed); err != nil {
		return p.Elsewhere.Turn(w, r, p.place(w, r, at, by), err)
	}
	if err := p.Flows.EndFlow(r.Context(), at.flow.Hash); err != nil {
		return err
	}
	p.Sessions.Set(w, cookieCode, "", -time.Second)
	proof := p.Sessions.Known(r).FormToken(told(note))
	session.SeeOther(w, Place+"/done?note="+string(note)+"&proof="+proof)
	return nil
}

// told binds a notice to the browser, so that no link can make the page say something that did not happen.
func told(note page.Note) string { return "device done " + string(note) }

// Done is /device/done: it says what was decided.
func (p *Pages) Done(w http.ResponseWriter, r *http.Request) error {
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	for _, note := range []page.Note{page.NoteDeviceAllowed, page.NoteDeviceDenied} {
		if query.Value("note") == string(note) && p.Sessions.Known(r).Made(told(note), query.Value("proof")) {
			return p.Pages().Render(w, r, http.StatusOK, page.Message{Common: page.Common{Trace: web.Trace(r.Context())}, Note: note})
		}
	}
	session.SeeOther(w, Place)
	return nil
}
