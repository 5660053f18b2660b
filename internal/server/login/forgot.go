package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

const purposeForgot = "forgot"

// Forgot is /forgot: it takes an address and says the same to everybody, after the same work: the address is put into
// the queue, and whose it is, is looked up later.
func (e *Endpoint) Forgot(w http.ResponseWriter, r *http.Request) error {
	if !e.Offers().Reset {
		return web.NotFound()
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		at, err := e.begin(w, r)
		if err != nil || at.key == "" {
			return err
		}
		return e.showForgot(w, r, at, "", nil)
	case http.MethodPost:
		return e.takeForgot(w, r)
	}
	return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
}

func (e *Endpoint) showForgot(w http.ResponseWriter, r *http.Request, at step, email string, problems []page.Problem) error {
	return e.Pages().Render(w, r, status(problems), page.Forgot{
		Common: e.common(w, r, at, purposeForgot+" "+at.key, problems), Action: "/forgot", Flow: at.key, Email: email,
		SignIn: "/signin?flow=" + url.QueryEscape(at.key),
	})
}

// asking is somebody who says to have forgotten a password.
type asking struct {
	Name   string `json:"name"` // canonical: an address, or a username
	Locale string `json:"locale"`
}

func (e *Endpoint) takeForgot(w http.ResponseWriter, r *http.Request) error {
	form, at, err := e.read(r, purposeForgot)
	if err != nil {
		return err
	}
	typed := form.Value(page.FieldEmail)
	name, err := iam.CanonicalEmail(typed)
	if err != nil {
		return e.showForgot(w, r, at, typed, []page.Problem{{Field: page.FieldEmail, Fault: page.FaultEmail}})
	}
	if ok, wait := e.Mails.Allow(e.Network(r), 1); !ok {
		return e.Locked(w, r, at.wishes.Locales, wait, "")
	}
	locale := localeOf(r)
	if len(at.wishes.Locales) > 0 {
		locale = at.wishes.Locales[0]
	}
	body, err := json.Marshal(asking{name, locale})
	if err != nil {
		return err
	}
	if err := e.Post.Enqueue(r.Context(), KindForgot, body); err != nil {
		return err
	}
	return e.Pages().Render(w, r, http.StatusOK, page.CheckMail{
		Common: page.Common{Locales: at.wishes.Locales, Trace: web.Trace(r.Context())}, Email: typed, Reset: true,
		SignIn: "/signin?flow=" + url.QueryEscape(at.key),
	})
}

// WorkForgot looks up whose address it is, makes a link and writes the mail. For an address that is nobody's, or whose
// account may not sign in, it does nothing. It is called for each KindForgot, perhaps more than once.
func (e *Endpoint) WorkForgot(ctx context.Context, body []byte) error {
	var who asking
	if err := json.Unmarshal(body, &who); err != nil {
		return err
	}
	user, err := e.People.UserByName(ctx, who.Name)
	if errors.Is(err, iam.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if user.Disabled || !user.EmailVerified || user.Email == "" {
		return nil
	}
	if ok, _ := e.Mails.Allow("to "+user.ID, mailPrice); !ok {
		return nil // enough mails to one person: who asks again and again is not the person
	}
	return e.sendReset(ctx, user, who.Locale)
}

// mailPrice makes one person's mails scarcer than one network's: a quarter of them.
const mailPrice = 4

func (e *Endpoint) sendReset(ctx context.Context, user iam.User, locale string) error {
	secret, now := iam.NewSecret(iam.PrefixLink), e.now()
	link := iam.Link{
		Hash: iam.HashLink(secret), Kind: iam.LinkReset, User: user.ID, Created: now, Expires: now.Add(ResetLife),
	}
	err := e.People.AddLink(ctx, link)
	if errors.Is(err, iam.ErrNotFound) { // removed meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	return e.write(ctx, page.MailReset, letter{user: user, to: user.Email, locale: locale}, page.MailData{
		Link: e.LinkURL(iam.LinkReset, secret), Expires: link.Expires,
	})
}

// next is where to send who has just verified an address: to what waits, if it still lives in this browser, else
// to their own page.
func (e *Endpoint) next(r *http.Request, key string) string {
	if key == "" {
		return "/account"
	}
	flow, err := e.Sessions.Resume(r, e.People, key)
	if err != nil {
		return "/account"
	}
	return session.Return(flow, key)
}
