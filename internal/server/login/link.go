package login

import (
	"errors"
	"net/http"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Reset is /link/reset: the link of a mail chooses a new password.
func (e *Endpoint) Reset(w http.ResponseWriter, r *http.Request) error {
	if !e.Offers().Reset && !e.Offers().SignUp { // sign-up ends here when the mail is opened in another browser
		return web.NotFound()
	}
	return e.passwordLink(w, r, iam.LinkReset)
}

// Enrol is /link/enrol: the link of an administrator sets the first password of an account, or adds a passkey to it where
// the recipe offers no passwords.
func (e *Endpoint) Enrol(w http.ResponseWriter, r *http.Request) error {
	if !slices.Contains(e.Offers().Factors, "password") {
		return e.keyLink(w, r)
	}
	return e.passwordLink(w, r, iam.LinkEnrol)
}

func (e *Endpoint) passwordLink(w http.ResponseWriter, r *http.Request, kind iam.LinkKind) error {
	if !slices.Contains(e.Offers().Factors, "password") { // nobody could use it
		return web.NotFound()
	}
	switch r.Method {
	case http.MethodPost:
		return e.useLink(w, r, kind)
	case http.MethodGet, http.MethodHead:
	default:
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
	}
	secret, link, err := e.shownLink(r, kind)
	if errors.Is(err, iam.ErrNotFound) {
		return e.spent(w, r)
	}
	if err != nil {
		return err
	}
	user, err := e.People.User(r.Context(), link.User)
	if err != nil {
		return err
	}
	return e.showLink(w, r, kind, secret, user, nil)
}

// shownLink finds the link that a GET shows. Nothing is spent by it: scanners of mail open links too.
func (e *Endpoint) shownLink(r *http.Request, kind iam.LinkKind) (string, iam.Link, error) {
	query, err := web.Query(r)
	if err != nil {
		return "", iam.Link{}, err
	}
	secret := query.Value("token")
	link, err := e.link(r, kind, secret)
	return secret, link, err
}

func (e *Endpoint) link(r *http.Request, kind iam.LinkKind, secret string) (iam.Link, error) {
	hash := iam.HashLink(secret)
	if iam.Digest(hash).Zero() {
		return iam.Link{}, iam.ErrNotFound
	}
	return e.People.Link(r.Context(), kind, hash)
}

// spent says that a link no longer works, in the same words for unknown, expired and used ones.
func (e *Endpoint) spent(w http.ResponseWriter, r *http.Request) error {
	return e.Pages().Render(w, r, http.StatusGone, page.Message{
		Common: page.Common{Trace: web.Trace(r.Context())}, Note: page.NoteLinkSpent, Next: "/account",
	})
}

func purposeLink(kind iam.LinkKind, secret string) string {
	return "link " + string(kind) + " " + secret
}

func (e *Endpoint) showLink(w http.ResponseWriter, r *http.Request, kind iam.LinkKind, secret string, user iam.User, problems []page.Problem) error {
	common := page.Common{
		CSRF:  e.Sessions.Browser(w, r).FormToken(purposeLink(kind, secret)),
		Trace: web.Trace(r.Context()), Problems: problems, MinPassword: factor.MinPassword,
	}
	if user.Locale != "" {
		common.Locales = []string{user.Locale}
	}
	if kind == iam.LinkEnrol {
		return e.Pages().Render(w, r, status(problems), page.Enrol{
			Common: common, Action: "/link/enrol", Token: secret, Username: user.Username, Admin: user.Admin,
		})
	}
	return e.Pages().Render(w, r, status(problems), page.Reset{
		Common: common, Action: "/link/reset", Token: secret, Username: user.Username,
	})
}

// useLink spends a link and sets the password in one deed, which ends every session of the person. Nobody is signed in by
// it: the new password has to be shown, with whatever else the sign-in asks for.
func (e *Endpoint) useLink(w http.ResponseWriter, r *http.Request, kind iam.LinkKind) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	secret := form.Value("token")
	if err := e.Sessions.Own(r, purposeLink(kind, secret), form.Value("csrf")); err != nil {
		return err
	}
	link, err := e.link(r, kind, secret)
	if errors.Is(err, iam.ErrNotFound) {
		return e.spent(w, r)
	}
	if err != nil {
		return err
	}
	user, err := e.People.User(r.Context(), link.User)
	if err != nil {
		return err
	}
	problems, err := e.chosen(form, user.Username, user.Email, user.Name)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return e.showLink(w, r, kind, secret, user, problems)
	}
	phc, err := e.Hasher.Hash(r.Context(), form.Value("new_password"))
	if err != nil {
		return err
	}
	what, note := "password reset", page.NotePasswordChanged
	if kind == iam.LinkEnrol {
		what, note = "enrolled", page.NoteEnrolled
	}
	user, err = e.People.UsePasswordLink(r.Context(), kind, link.Hash, phc, e.changed(r, user.ID, what))
	if errors.Is(err, iam.ErrNotFound) { // of many at once, one wins
		return e.spent(w, r)
	}
	if err != nil {
		return err
	}
	if kind == iam.LinkReset {
		if err := e.TellChanged(r, user); err != nil {
			e.Face.Note(r, err) // the password is changed, whether a mail can tell it or not
		}
	}
	return e.Pages().Render(w, r, http.StatusOK, page.Message{
		Common: page.Common{Trace: web.Trace(r.Context())}, Note: note, Next: "/account",
	})
}

// changed is the journal's word for what a person did with a link.
func (e *Endpoint) changed(r *http.Request, user, what string) journal.Event {
	event := journal.New(e.now(), journal.UserChanged{What: what})
	event.Actor, event.User, event.Trace = "user:"+user, user, web.Trace(r.Context())
	event.Personal = map[string]string{"address": e.Network(r), "agent": session.Agent(r)}
	return event
}
