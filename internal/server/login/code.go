package login

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// KindCode is a message with a code to sign in, to whoever it may be.
const KindCode = "code"

// asked is whom a code is mailed to.
type asked struct {
	user  iam.User // zero: nobody
	name  string
	count string
	known bool // has proved something else
}

// sending is a code on its way. For nobody it is on its way too: an answer, and the time it takes, tell nothing (S20, S21).
type sending struct {
	User   string `json:"user"`
	Flow   string `json:"flow"`
	Code   string `json:"code"`
	Locale string `json:"locale"`
}

// send mails a code and goes to the page that takes it. Each code ends the one before.
func (e *Endpoint) send(w http.ResponseWriter, r *http.Request, at step, to asked) error {
	if ok, wait := e.Mails.Allow(e.Network(r), 1); !ok {
		return e.Locked(w, r, at.wishes.Locales, wait, "")
	}
	one, _ := factor.Named(e.Factors, "email")
	begun, err := one.Ask(r.Context(), factor.Asking{
		User: to.user, Name: to.name, Count: to.count, Known: to.known, Flow: at.flow.Hash, Now: e.now(),
	})
	if err != nil {
		return err
	}
	err = e.swap(r, &at.flow, one.Is().Name, begun.State)
	if errors.Is(err, iam.ErrRaced) {
		session.SeeOther(w, "/signin/next?flow="+url.QueryEscape(at.key)+"&by=email")
		return nil
	}
	if err != nil {
		return err
	}
	locale := localeOf(r)
	if len(at.wishes.Locales) > 0 {
		locale = at.wishes.Locales[0]
	}
	body, err := json.Marshal(sending{to.user.ID, at.key, begun.Code, locale})
	if err != nil {
		return err
	}
	if err := e.Post.Enqueue(r.Context(), KindCode, body); err != nil {
		return err
	}
	session.SeeOther(w, "/signin/next?flow="+url.QueryEscape(at.key)+"&by=email")
	return nil
}

// WorkCode writes the mail with a code. For nobody, or whose account may not sign in, it does nothing. It is called for
// each KindCode, perhaps more than once.
func (e *Endpoint) WorkCode(ctx context.Context, body []byte) error {
	var what sending
	if err := json.Unmarshal(body, &what); err != nil {
		return err
	}
	user, err := e.People.User(ctx, what.User)
	if err != nil {
		return notFoundIsFine(err)
	}
	if user.Disabled || !user.EmailVerified || user.Email == "" {
		return nil
	}
	if ok, _ := e.Mails.Allow("to "+user.ID, mailPrice); !ok {
		return nil // see WorkForgot
	}
	link := strings.TrimSuffix(e.Issuer, "/") + "/signin/next?by=email&flow=" + url.QueryEscape(what.Flow) +
		"&code=" + strings.ReplaceAll(what.Code, " ", "")
	return e.write(ctx, page.MailCode, letter{user: user, to: user.Email, locale: what.Locale}, page.MailData{
		Link: link, Code: what.Code, Expires: e.now().Add(factor.CodeLife),
	})
}

// showElsewhere shows a code to who opens the link of a mail in another browser than the one that asked. It proves nothing
// there: whoever sent the mail's link on would else be signed in by its reader, or the reader in their place (S02).
func (e *Endpoint) showElsewhere(w http.ResponseWriter, r *http.Request, code string, cause error) error {
	if len(code) != 8 || strings.Trim(code, "0123456789") != "" {
		return cause
	}
	return e.Pages().Render(w, r, http.StatusOK, page.CodeElsewhere{
		Common: page.Common{Trace: web.Trace(r.Context())}, Code: code[:4] + " " + code[4:],
	})
}

// tellNew writes to a person that somebody signed in from a device that was not seen before.
func (e *Endpoint) tellNew(r *http.Request, user iam.User) error {
	if user.Email == "" || !user.EmailVerified {
		return nil
	}
	return e.write(r.Context(), page.MailNewDevice, letter{user: user, to: user.Email, locale: localeOf(r)}, page.MailData{
		When: e.now(), Device: session.Agent(r), Place: strings.TrimSuffix(e.Network(r), "/32"),
	})
}
