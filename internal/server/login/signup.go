package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

const purposeSignUp = "signup"

// SignUp is /signup: it makes an account that can't sign in until its address is verified. Whether the address is
// somebody's already, only a mail to that address tells.
func (e *Endpoint) SignUp(w http.ResponseWriter, r *http.Request) error {
	if !e.Offers().SignUp {
		return web.NotFound()
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		at, err := e.begin(w, r)
		if err != nil || at.key == "" {
			return err
		}
		return e.showSignUp(w, r, at, page.SignUp{}, nil)
	case http.MethodPost:
		return e.takeSignUp(w, r)
	}
	return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
}

func (e *Endpoint) showSignUp(w http.ResponseWriter, r *http.Request, at step, view page.SignUp, problems []page.Problem) error {
	view.Common = e.common(w, r, at, purposeSignUp+" "+at.key, problems)
	view.Action, view.Flow, view.Client, view.SignIn = "/signup", at.key, at.client, "/signin?flow="+url.QueryEscape(at.key)
	return e.Pages().Render(w, r, status(problems), view)
}

// signingUp is an account that waits for its address to be verified. Its password is not kept beside it: an account
// without a password can't sign in, and if somebody else's address was typed, that person never gets this password.
type signingUp struct {
	User    string `json:"user"`
	PHC     string `json:"phc"`
	Browser string `json:"browser"` // that signed up, as a digest
	Flow    string `json:"flow"`    // that waits there
	Locale  string `json:"locale"`
}

// What a try, and then an account, cost of a network's budget of mails.
const (
	tryPrice  = 1
	lifePrice = 1
)

func (e *Endpoint) takeSignUp(w http.ResponseWriter, r *http.Request) error {
	form, at, err := e.read(r, purposeSignUp)
	if err != nil {
		return err
	}
	// Before the password is judged, which takes a while, and once more before the account is made.
	if ok, wait := e.Mails.Allow(e.Network(r), tryPrice); !ok {
		return e.Locked(w, r, at.wishes.Locales, wait, "")
	}
	view := page.SignUp{Username: form.Value(page.FieldUsername), Email: form.Value(page.FieldEmail)}
	user, problems, err := e.newcomer(form)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return e.showSignUp(w, r, at, view, problems)
	}
	if ok, wait := e.Mails.Allow(e.Network(r), lifePrice); !ok {
		return e.Locked(w, r, at.wishes.Locales, wait, "")
	}
	user.Locale = localeOf(r)
	if len(at.wishes.Locales) > 0 {
		user.Locale = at.wishes.Locales[0]
	}
	err = e.admit(r, user, form.Value("new_password"), at)
	if errors.Is(err, iam.ErrExists) {
		return e.showSignUp(w, r, at, view, []page.Problem{{Field: page.FieldUsername, Fault: page.FaultTaken}})
	}
	if err != nil {
		return err
	}
	return e.Pages().Render(w, r, http.StatusOK, page.CheckMail{
		Common: page.Common{Locales: at.wishes.Locales, Trace: web.Trace(r.Context())}, Email: view.Email,
		SignIn: "/signin?flow=" + url.QueryEscape(at.key),
	})
}

// newcomer reads the account that a form asks for. The form says a name, an address and a password, and nothing else
// that it may hold is looked at.
func (e *Endpoint) newcomer(form web.Form) (iam.User, []page.Problem, error) {
	var problems []page.Problem
	name, err := iam.Canonical(form.Value(page.FieldUsername))
	if err != nil || strings.Contains(name, "@") || utf8.RuneCountInString(name) < 2 || len(name) > 64 {
		// A name with an @ could be somebody's address (CVE-2021-3754).
		problems = append(problems, page.Problem{Field: page.FieldUsername, Fault: page.FaultUsername})
	}
	email, err := iam.CanonicalEmail(form.Value(page.FieldEmail))
	if err != nil || !e.mayJoin(email) {
		problems = append(problems, page.Problem{Field: page.FieldEmail, Fault: page.FaultEmail})
	}
	secret := form.Value("new_password")
	fault, err := e.Judge(secret, name, email)
	switch {
	case err != nil:
		return iam.User{}, nil, err
	case secret == "":
		fault = page.FaultMissing
	}
	if fault != "" {
		problems = append(problems, page.Problem{Field: page.FieldNewPassword, Fault: fault})
	}
	return iam.User{ID: uuid.NewString(), Username: name, Email: email, EmailKey: email}, problems, nil
}

// mayJoin tells whether people of that mail domain may sign up.
func (e *Endpoint) mayJoin(email string) bool {
	hosts := e.Offers().SignUpHosts
	_, host, _ := strings.Cut(email, "@")
	return len(hosts) == 0 || slices.Contains(hosts, host)
}

// admit adds the account, which reserves its name, and leaves the rest to the queue: the same work for every address.
func (e *Endpoint) admit(r *http.Request, user iam.User, secret string, at step) error {
	phc, err := e.Hasher.Hash(r.Context(), secret)
	if err != nil {
		return err
	}
	if err := e.People.AddUser(r.Context(), user, iam.Password{}, e.changed(r, user.ID, "signed up")); err != nil {
		return err
	}
	body, err := json.Marshal(signingUp{
		User: user.ID, PHC: phc, Browser: e.Sessions.Known(r).Digest().String(), Flow: at.key, Locale: user.Locale,
	})
	if err == nil {
		err = e.Post.Enqueue(r.Context(), KindSignUp, body)
	}
	if err == nil {
		// Names that nobody came to claim become free again.
		err = e.Post.Later(r.Context(), KindLapse, []byte(user.ID), e.now().Add(VerifyLife+time.Hour))
	}
	if err != nil {
		return errors.Join(err, e.People.RemoveUser(context.WithoutCancel(r.Context()), user.ID))
	}
	return nil
}

// WorkSignUp writes to the address of a new account: a link to verify it, or, if it is the proved address of somebody
// else already, what that person needs who has forgotten to have an account. It is called for each KindSignUp.
func (e *Endpoint) WorkSignUp(ctx context.Context, body []byte) error {
	var who signingUp
	if err := json.Unmarshal(body, &who); err != nil {
		return err
	}
	user, err := e.People.User(ctx, who.User)
	if errors.Is(err, iam.ErrNotFound) || err == nil && (user.Disabled || user.EmailVerified) {
		return nil
	}
	if err != nil {
		return err
	}
	allowed, _ := e.Mails.Allow("to "+user.EmailKey, mailPrice)
	owner, err := e.People.UserByName(ctx, user.EmailKey)
	switch {
	case errors.Is(err, iam.ErrNotFound) && allowed:
		return e.sendVerify(ctx, user, who)
	case err != nil && !errors.Is(err, iam.ErrNotFound):
		return err
	case err == nil && allowed && e.Offers().Reset && !owner.Disabled && owner.EmailVerified:
		if err := e.sendReset(ctx, owner, who.Locale); err != nil {
			return err
		}
	}
	return notFoundIsFine(e.People.RemoveUser(ctx, user.ID, e.lapsed(user.ID)))
}

// notes seals under the keys of the device cookies.
func (e *Endpoint) notes() session.Notes {
	return session.Notes{Sealer: e.Devices.Sealer, Tenant: e.Devices.Tenant}
}

func (e *Endpoint) sendVerify(ctx context.Context, user iam.User, who signingUp) error {
	note, err := json.Marshal(who)
	if err != nil {
		return err
	}
	secret, now := iam.NewSecret(iam.PrefixLink), e.now()
	link := iam.Link{
		Hash: iam.HashLink(secret), Kind: iam.LinkVerify, User: user.ID, Email: user.Email, Created: now, Expires: now.Add(VerifyLife),
	}
	if link.Flow, err = e.notes().Seal(link.Hash, note); err != nil {
		return err
	}
	if err := e.People.AddLink(ctx, link); err != nil {
		return notFoundIsFine(err)
	}
	return e.write(ctx, page.MailVerify, letter{user: user, to: user.Email, locale: who.Locale}, page.MailData{
		Link: e.LinkURL(iam.LinkVerify, secret), Expires: link.Expires,
	})
}

// WorkLapse removes an account whose address was not verified in time. It is called for each KindLapse.
func (e *Endpoint) WorkLapse(ctx context.Context, body []byte) error {
	user, err := e.People.User(ctx, string(body))
	if err != nil {
		return notFoundIsFine(err)
	}
	if user.EmailVerified {
		return nil
	}
	// An administrator may have given it a password since: then somebody wants it.
	if _, err := e.People.Password(ctx, user.ID); !errors.Is(err, iam.ErrNotFound) {
		return err
	}
	return notFoundIsFine(e.People.RemoveUser(ctx, user.ID, e.lapsed(user.ID)))
}

func (e *Endpoint) lapsed(user string) journal.Event {
	event := journal.New(e.now(), journal.UserChanged{What: "lapsed"})
	event.Actor, event.User = "system", user
	return event
}

// Verify is /link/verify: a button proves the address, since scanners of mail open links too.
func (e *Endpoint) Verify(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodPost:
		return e.useVerify(w, r)
	case http.MethodGet, http.MethodHead:
	default:
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
	}
	secret, link, err := e.shownLink(r, iam.LinkVerify)
	if errors.Is(err, iam.ErrNotFound) {
		return e.spent(w, r)
	}
	if err != nil {
		return err
	}
	return e.Pages().Render(w, r, http.StatusOK, page.VerifyMail{
		Common: page.Common{
			CSRF:  e.Sessions.Browser(w, r).FormToken(purposeLink(iam.LinkVerify, secret)),
			Trace: web.Trace(r.Context()), MinPassword: factor.MinPassword,
		},
		Action: "/link/verify", Token: secret, Email: link.Email,
	})
}

func (e *Endpoint) useVerify(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	secret := form.Value("token")
	if err := e.Sessions.Own(r, purposeLink(iam.LinkVerify, secret), form.Value("csrf")); err != nil {
		return err
	}
	link, err := e.link(r, iam.LinkVerify, secret)
	if errors.Is(err, iam.ErrNotFound) {
		return e.spent(w, r)
	}
	if err != nil {
		return err
	}
	var who signingUp
	if link.Flow != "" {
		note, err := e.notes().Open(link.Hash, link.Flow)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(note, &who); err != nil {
			return err
		}
	}
	user, err := e.People.VerifyEmail(r.Context(), link.Hash, e.changed(r, link.User, "verified"))
	if errors.Is(err, iam.ErrNotFound) || errors.Is(err, iam.ErrExists) { // of many at once, and of many accounts, one wins
		return e.spent(w, r)
	}
	if err != nil {
		return err
	}
	return e.open(w, r, user, who)
}

// open gives a verified account its password. Only in the browser that signed up: elsewhere, whoever opened the mail may
// never have seen that form (its password would be a stranger's: S29), and chooses one now.
func (e *Endpoint) open(w http.ResponseWriter, r *http.Request, user iam.User, who signingUp) error {
	if who.PHC == "" {
		return e.verified(w, r, who)
	}
	if who.Browser != e.Sessions.Known(r).Digest().String() {
		secret, now := iam.NewSecret(iam.PrefixLink), e.now()
		err := e.People.AddLink(r.Context(), iam.Link{
			Hash: iam.HashLink(secret), Kind: iam.LinkReset, User: user.ID, Created: now, Expires: now.Add(ResetLife),
		})
		if err != nil {
			return err
		}
		session.SeeOther(w, "/link/reset?token="+url.QueryEscape(secret))
		return nil
	}
	err := e.People.SetPassword(r.Context(), iam.Password{User: user.ID, PHC: who.PHC, Changed: e.now()}, "", e.changed(r, user.ID, "enrolled"))
	if err != nil {
		return err
	}
	return e.verified(w, r, who)
}

func (e *Endpoint) verified(w http.ResponseWriter, r *http.Request, who signingUp) error {
	return e.Pages().Render(w, r, http.StatusOK, page.Message{
		Common: page.Common{Trace: web.Trace(r.Context())}, Note: page.NoteMailVerified, Next: e.next(r, who.Flow),
	})
}
