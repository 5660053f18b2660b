package login

import (
	"errors"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// opening is a one-time link of an administrator where people sign in without passwords: it adds a passkey.
type opening struct {
	secret string
	link   iam.Link
	user   iam.User
	name   string // of the passkey
}

// locales is the person's language, if it is known.
func (o opening) locales() []string {
	if o.user.Locale == "" {
		return nil
	}
	return []string{o.user.Locale}
}

func (e *Endpoint) keyLink(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodPost:
		return e.useKeyLink(w, r)
	case http.MethodGet, http.MethodHead:
	default:
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
	}
	var at opening
	var err error
	at.secret, at.link, err = e.shownLink(r, iam.LinkEnrol)
	if at.user, err = e.whose(r, at.link, err); errors.Is(err, iam.ErrNotFound) {
		return e.spent(w, r)
	}
	if err != nil {
		return err
	}
	at.name = session.Agent(r)
	return e.showKeyLink(w, r, at)
}

// whose gives the person of a link that was found; one without its person is as spent.
func (e *Endpoint) whose(r *http.Request, link iam.Link, err error) (iam.User, error) {
	if err != nil {
		return iam.User{}, err
	}
	return e.People.User(r.Context(), link.User)
}

// showKeyLink asks for a passkey. What the browser's answer is checked against goes along, sealed for this link alone: the
// link serves once, and so does all that was asked by it.
func (e *Endpoint) showKeyLink(w http.ResponseWriter, r *http.Request, at opening, problems ...page.Problem) error {
	asked, err := factor.Asked{}, factor.ErrNotHere
	if _, ok := e.leads(string(iam.FactorPasskey)); ok {
		asked, err = e.Holds.BeginPasskey(r.Context(), at.user)
	}
	if errors.Is(err, factor.ErrNotHere) {
		return e.withoutKey(w, at.user)
	}
	if err != nil {
		return err
	}
	state, err := e.notes().Seal(at.link.Hash, []byte(asked.State))
	if err != nil {
		return err
	}
	common := page.Common{
		CSRF: e.Sessions.Browser(w, r).FormToken(purposeLink(iam.LinkEnrol, at.secret)), Trace: web.Trace(r.Context()), Problems: problems,
		Locales: at.locales(),
	}
	return e.Pages().Render(w, r, status(problems), page.NewKey{
		Common: common, Action: "/link/enrol", Token: at.secret, State: state, Admin: at.user.Admin, Kind: string(iam.FactorPasskey), Name: at.name,
		Options: asked.Options,
	})
}

// withoutKey: who signs in by a mailed code needs nothing from a link. It is not spent.
func (e *Endpoint) withoutKey(w http.ResponseWriter, user iam.User) error {
	one, ok := e.leads("email")
	if !ok || !one.Able(factor.Held{User: user}) {
		return oauth.UnmetAuthentication("there is nothing that this link could add: ask the company for help")
	}
	session.SeeOther(w, "/account")
	return nil
}

func (e *Endpoint) useKeyLink(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	at := opening{secret: form.Value("token"), name: strings.TrimSpace(form.Value("factor_name"))}
	if err := e.Sessions.Own(r, purposeLink(iam.LinkEnrol, at.secret), form.Value("csrf")); err != nil {
		return err
	}
	at.link, err = e.link(r, iam.LinkEnrol, at.secret)
	if at.user, err = e.whose(r, at.link, err); errors.Is(err, iam.ErrNotFound) {
		return e.spent(w, r)
	}
	if err != nil {
		return err
	}
	if _, ok := e.leads(string(iam.FactorPasskey)); !ok {
		return e.withoutKey(w, at.user)
	}
	if at.name == "" || utf8.RuneCountInString(at.name) > maxKeyName {
		return e.showKeyLink(w, r, at, page.Problem{Field: page.FieldFactorName, Fault: page.FaultName})
	}
	state, err := e.notes().Open(at.link.Hash, form.Value("state"))
	if err != nil {
		e.Face.Note(r, err)
		return e.showKeyLink(w, r, at, page.Problem{Fault: page.FaultStale})
	}
	added, fault, err := e.Holds.FinishPasskey(string(state), form.Value("answer"), at.name)
	if fault != "" {
		e.Face.Note(r, err)
		return e.showKeyLink(w, r, at, page.Problem{Fault: fault})
	}
	if err != nil {
		return err
	}
	return e.opened(w, r, at, added)
}

// maxKeyName is how long the name of a passkey may be, in characters.
const maxKeyName = 64

// opened spends the link and adds the passkey in one deed, which ends every session of the person. Nobody is signed in by it.
func (e *Endpoint) opened(w http.ResponseWriter, r *http.Request, at opening, added iam.Authenticator) error {
	kept := e.changed(r, at.user.ID, "enrolled")
	made := journal.New(e.now(), journal.FactorChanged{What: "added", Factor: string(added.Kind), ID: added.ID})
	made.Actor, made.User, made.Trace, made.Personal = kept.Actor, kept.User, kept.Trace, kept.Personal
	_, err := e.People.UseFactorLink(r.Context(), at.link.Hash, added, kept, made)
	switch {
	case errors.Is(err, iam.ErrNotFound), errors.Is(err, iam.ErrRevoked): // of many at once, one wins
		return e.spent(w, r)
	case errors.Is(err, iam.ErrExists):
		return e.showKeyLink(w, r, at, page.Problem{Fault: page.FaultKeyTaken})
	case errors.Is(err, iam.ErrFull):
		return e.showKeyLink(w, r, at, page.Problem{Fault: page.FaultFull})
	case err != nil:
		return err
	}
	if err := e.tellAdded(r, at.user); err != nil {
		e.Face.Note(r, err) // it is added, whether a mail can tell it or not
	}
	common := page.Common{Trace: web.Trace(r.Context()), Locales: at.locales()}
	return e.Pages().Render(w, r, http.StatusOK, page.Message{Common: common, Note: page.NoteOpened, Next: "/account"})
}

// tellAdded writes to a person that a factor was added, if there is a proved address to write to.
func (e *Endpoint) tellAdded(r *http.Request, user iam.User) error {
	if user.Email == "" || !user.EmailVerified {
		return nil
	}
	return e.write(r.Context(), page.MailFactorAdded, letter{user: user, to: user.Email, locale: localeOf(r)}, page.MailData{
		When: e.now(), Device: session.Agent(r), Place: strings.TrimSuffix(e.Network(r), "/32"),
	})
}
