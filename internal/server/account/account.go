// Package account is the person's own pages: who Garde thinks they are, where they are signed in, what they sign in with,
// on which devices, which applications have access, what happened lately and what is learned of their ways, and the means
// to change or end any of it. It shows a person nothing of anybody else.
package account

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Keeping is what the page needs of the storage.
type Keeping interface {
	iam.Users
	iam.Passwords
	iam.Flows
	iam.Journal
}

// Access is what a person can end.
type Access interface {
	iam.Sessions
	iam.Consents
	UserGrants(ctx context.Context, user string) ([]iam.Grant, error)
}

// Endpoint is /account and below, and /choose. The fields after Waits may be nil: then there are no such pages. All others
// are required.
type Endpoint struct {
	Keeping  Keeping
	Access   Access
	Clients  iam.Clients
	Sessions *session.Keeper
	Devices  *session.Devices
	Hasher   *password.Hasher
	Tries    *limit.Tries // those of the sign-in page: guesses are counted together
	Network  func(*http.Request) string
	Judge    func(password string, names ...string) (page.Fault, error) // what is wrong with a new password, or ""
	Changed  func(r *http.Request, user iam.User) error                 // tells the person by mail
	Failed   func(r *http.Request, user iam.User, client, factor, reason string)
	Locked   func(w http.ResponseWriter, r *http.Request, locales []string, wait time.Duration, forgot string) error // answers who must wait
	Say      func(scope string) map[string]string
	Pages    func() *page.Pages
	Face     web.Face

	Waits func(ctx context.Context, user string) (bool, error) // whether something waits for the person's decision; nil: nothing can

	Factors   *Factors
	Known     iam.Devices
	Habits    *Habits
	Approvals iam.Approvals
	// Approves is what somebody must prove who allows a sign-in elsewhere: as much as that helps to reach. A nil need: they did.
	Approves func(r *http.Request, user iam.User, here iam.Session) (*iam.Need, error)
	// Wary is what somebody must prove who changes anything else that guards the account, in a moment that may be somebody
	// else's. A nil need: nothing, or they did.
	Wary     func(r *http.Request, user iam.User, here iam.Session) (*iam.Need, error)
	Accounts *session.Accounts
	Now      func() time.Time // nil: time.Now
}

// The addresses of the pages.
const (
	home      = "/account"
	security  = home + "/security"
	devices   = home + "/devices"
	habits    = home + "/habits"
	approvals = home + "/approvals"
	choose    = "/choose"
)

func (e *Endpoint) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC()
	}
	return time.Now().UTC()
}

// Account is /account: GET shows the page. Who is not signed in does so first, in a transaction that leads back here and
// nowhere else.
func (e *Endpoint) Account(w http.ResponseWriter, r *http.Request) error {
	query, here, err := e.visit(w, r, "")
	if err != nil || here.user.ID == "" {
		return err
	}
	return e.show(w, r, here, e.noticed(r, here, query), nil)
}

// notices are what the pages may say was just done.
var notices = []page.Note{
	page.NotePasswordChanged, page.NoteSessionEnded, page.NoteConsentRevoked, page.NoteNotYou,
	page.NoteFactorAdded, page.NoteFactorRenamed, page.NoteFactorRemoved, page.NoteDeviceRenamed, page.NoteDeviceForgotten,
	page.NoteHabitsOff, page.NoteHabitsOn, page.NoteHabitsErased, page.NoteSignInAllowed, page.NoteSignInDenied, page.NoteSignInOver,
}

// noticed is what a page says was just done, if it was.
func (e *Endpoint) noticed(r *http.Request, here presence, query web.Form) page.Note {
	note := query.Value("done")
	if slices.Contains(notices, page.Note(note)) && e.Sessions.Known(r).Made(here.notice(note), query.Value("proof")) {
		return page.Note(note)
	}
	return ""
}

// visit reads the address of a page, and who is there. Who is not signed in does so first, and who must add a factor adds it;
// they come back to that corner of the account: then the answer is given, and here is nobody.
func (e *Endpoint) visit(w http.ResponseWriter, r *http.Request, corner string) (query web.Form, here presence, err error) {
	if query, err = web.Query(r); err != nil {
		return web.Form{}, presence{}, err
	}
	here, err = e.who(r)
	if errors.Is(err, iam.ErrNotFound) {
		return query, presence{}, e.signIn(w, r, session.ForAccount(corner))
	}
	if err != nil || e.Factors == nil {
		return query, here, err
	}
	switch sets, until, err := e.Factors.Due(r.Context(), here.user); {
	case err != nil:
		return query, presence{}, err
	case len(sets) > 0 && until.IsZero(): // it can't be put off any more
		return query, presence{}, e.enrol(w, r, corner)
	}
	return query, here, nil
}

// enrol leaves to add the factor that everybody like the person must have, and comes back to that corner.
func (e *Endpoint) enrol(w http.ResponseWriter, r *http.Request, corner string) error {
	key, err := e.Sessions.Begin(w, r, e.Keeping, session.ForAccount(corner))
	if err != nil {
		return err
	}
	session.SeeOther(w, session.EnrolAt(key))
	return nil
}

// signIn leaves to the sign-in page for a transaction that leads back here.
func (e *Endpoint) signIn(w http.ResponseWriter, r *http.Request, flow *iam.Flow) error {
	key, err := e.Sessions.Begin(w, r, e.Keeping, flow)
	if err != nil {
		return err
	}
	session.SeeOther(w, "/signin?flow="+key)
	return nil
}

// either chooses by the method of a request for a page with a form.
func either(w http.ResponseWriter, r *http.Request, show, act func(http.ResponseWriter, *http.Request) error) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return show(w, r)
	case http.MethodPost:
		return act(w, r)
	}
	return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
}

// common is what the pages share; the token is good for every form of the account in this session.
func (e *Endpoint) common(w http.ResponseWriter, r *http.Request, here presence, problems ...page.Problem) page.Common {
	common := page.Common{
		CSRF: e.Sessions.Browser(w, r).FormToken(here.purpose()), Trace: web.Trace(r.Context()), Problems: problems,
		MinPassword: password.MinCharacters,
	}
	if here.user.Locale != "" {
		common.Locales = []string{here.user.Locale}
	}
	return common
}

// status of a page that shows what was wrong with a form.
func status(problems []page.Problem) int {
	if len(problems) > 0 {
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

// bar lists the pages that there are.
func (e *Endpoint) bar(here string) []page.Corner {
	bar := []page.Corner{{Name: "account", At: home, Here: here == home}}
	add := func(is bool, name, at string) {
		if is {
			bar = append(bar, page.Corner{Name: name, At: at, Here: here == at})
		}
	}
	add(e.Factors != nil, "security", security)
	add(e.Known != nil, "devices", devices)
	add(e.Habits != nil, "habits", habits)
	if len(bar) == 1 {
		return nil
	}
	return bar
}

// presence is a person who is signed in in this browser.
type presence struct {
	user    iam.User
	session iam.Session
}

func (p presence) purpose() string { return "account " + p.session.ID }

// notice binds a notice to the session, so that no link can make the page say something that did not happen.
func (p presence) notice(note string) string { return "notice " + note + " " + p.session.ID }

func (e *Endpoint) who(r *http.Request) (presence, error) {
	current, err := e.Sessions.Current(r)
	if err != nil {
		return presence{}, err
	}
	user, err := e.Keeping.User(r.Context(), current.User)
	return presence{user, current}, err
}

func (e *Endpoint) show(w http.ResponseWriter, r *http.Request, here presence, notice page.Note, problems []page.Problem) error {
	view := page.Account{
		Common: e.common(w, r, here, problems...), Bar: e.bar(home),
		Action: home, Username: here.user.Username, Name: here.user.Name, Email: here.user.Email,
		EmailVerified: here.user.EmailVerified, Notice: notice, NotYou: true,
	}
	if e.Accounts != nil {
		view.Switch = choose
	}
	var err error
	if view.Sessions, err = e.sessions(r.Context(), here); err != nil {
		return err
	}
	languages := session.Languages(r, view.Locales)
	if view.Consents, err = e.permissions(r.Context(), here, languages); err != nil {
		return err
	}
	if view.Activity, err = e.activity(r.Context(), here, languages); err != nil {
		return err
	}
	if err := e.awaited(r.Context(), here, &view); err != nil {
		return err
	}
	return e.Pages().Render(w, r, status(problems), view)
}

// awaited tells what waits for the person, and whether there is a password to change.
func (e *Endpoint) awaited(ctx context.Context, here presence, view *page.Account) (err error) {
	if e.Waits != nil {
		if view.Waiting, err = e.Waits(ctx, here.user.ID); err != nil {
			return err
		}
	}
	if e.Approvals != nil {
		waiting, err := e.Approvals.WaitingApprovals(ctx, here.user.ID, e.now())
		if err != nil {
			return err
		}
		view.Asked = len(waiting) > 0
	}
	set, err := e.hasPassword(ctx, here.user.ID)
	view.Passwordless = !set || !e.offersPassword()
	return err
}

// offersPassword tells whether the recipe lets people sign in by a password.
func (e *Endpoint) offersPassword() bool {
	return e.Factors == nil || slices.Contains(e.Factors.Offered(), factorPassword)
}

func (e *Endpoint) hasPassword(ctx context.Context, user string) (bool, error) {
	kept, err := e.Keeping.Password(ctx, user)
	if errors.Is(err, iam.ErrNotFound) {
		return false, nil
	}
	return kept.PHC != "", err
}

func (e *Endpoint) sessions(ctx context.Context, here presence) ([]page.Session, error) {
	living, err := e.Access.UserSessions(ctx, here.user.ID)
	if err != nil {
		return nil, err
	}
	names, err := e.deviceNames(ctx, here.user.ID)
	var list []page.Session
	for _, one := range living {
		list = append(list, page.Session{
			ID: one.ID, Device: cmp.Or(names[one.Device], one.Agent), Place: place(one.Address), Since: one.Created, Seen: one.Seen,
			Factors: factorsOf(one.Proofs), Current: one.ID == here.session.ID,
		})
	}
	return list, err
}

// factorsOf names what was proved.
func factorsOf(proofs []iam.Proved) []string {
	var names []string
	for _, one := range proofs {
		names = append(names, one.Factor)
	}
	return names
}

// place shows a network as the address that people know: a single one without its prefix length.
func place(network string) string {
	return strings.TrimSuffix(network, "/32")
}

// permissions are the consents that were given, and the company's own applications that hold access without being asked.
func (e *Endpoint) permissions(ctx context.Context, here presence, languages []string) ([]page.Permission, error) {
	given, err := e.Access.UserConsents(ctx, here.user.ID)
	if err != nil {
		return nil, err
	}
	grants, err := e.Access.UserGrants(ctx, here.user.ID)
	if err != nil {
		return nil, err
	}
	for _, grant := range grants {
		if !grant.Revoked.IsZero() || e.now().After(grant.Expires) {
			continue
		}
		at := slices.IndexFunc(given, func(consent iam.Consent) bool { return consent.Client == grant.Client })
		if at < 0 {
			given = append(given, iam.Consent{Client: grant.Client, Scope: grant.Scope, Given: grant.Created})
			continue
		}
		given[at].Scope = given[at].Scope.Or(grant.Scope)
	}
	var list []page.Permission
	for _, consent := range given {
		permission := page.Permission{
			ID: consent.Client, Since: consent.Given, Client: page.Client{Name: e.nameOf(ctx, consent.Client, languages)},
		}
		for _, scope := range consent.Scope {
			permission.Scopes = append(permission.Scopes, page.Scope{Name: scope, Say: e.Say(scope)})
		}
		list = append(list, permission)
	}
	return list, nil
}

// nameOf gives what people call a client; one that is gone keeps its id.
func (e *Endpoint) nameOf(ctx context.Context, id string, languages []string) string {
	client, err := e.Clients.Client(ctx, id)
	if name := client.Name.In(languages...); err == nil && name != "" {
		return name
	}
	return id
}

// done goes back to the page at, which then says what was done.
func (e *Endpoint) done(w http.ResponseWriter, r *http.Request, here presence, at string, note page.Note) error {
	at, fragment, _ := strings.Cut(at, "#")
	if fragment != "" {
		fragment = "#" + fragment
	}
	proof := e.Sessions.Known(r).FormToken(here.notice(string(note)))
	session.SeeOther(w, at+"?done="+string(note)+"&proof="+proof+fragment)
	return nil
}

// deed reads a form that the page sent, and who sent it.
func (e *Endpoint) deed(r *http.Request) (web.Form, presence, error) {
	form, err := web.PostForm(r)
	if err != nil {
		return web.Form{}, presence{}, err
	}
	here, err := e.who(r)
	if errors.Is(err, iam.ErrNotFound) {
		return web.Form{}, presence{}, gone(err)
	}
	if err != nil {
		return web.Form{}, presence{}, err
	}
	return form, here, e.Sessions.Own(r, here.purpose(), form.Value("csrf"))
}

// wary sends who must prove more in such a moment to do so, and back to that corner; it tells whether it did.
func (e *Endpoint) wary(w http.ResponseWriter, r *http.Request, here presence, corner string) (bool, error) {
	if e.Wary == nil {
		return false, nil
	}
	need, err := e.Wary(r, here.user, here.session)
	if err != nil || need == nil {
		return false, err
	}
	return true, e.prove(w, r, need, corner, nil)
}

func gone(cause error) error {
	refused := &oauth.Error{Code: "login_required", Status: http.StatusForbidden, Description: "nobody is signed in any more"}
	return refused.Because(cause)
}
