package login

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Judge tells what is wrong with a new password, given the names that others know of its person, or "". An error is a
// fault of ours: nothing was judged.
func (e *Endpoint) Judge(secret string, names ...string) (page.Fault, error) {
	return e.Offers().Judge(secret, names...)
}

// chosen gives the faults of a new password that was typed twice.
func (e *Endpoint) chosen(form web.Form, names ...string) ([]page.Problem, error) {
	fresh, again := form.Value("new_password"), form.Value("new_password_again")
	if fresh == "" {
		return []page.Problem{{Field: page.FieldNewPassword, Fault: page.FaultMissing}}, nil
	}
	fault, err := e.Judge(fresh, names...)
	switch {
	case err != nil:
		return nil, err
	case fault != "":
		return []page.Problem{{Field: page.FieldNewPassword, Fault: fault}}, nil
	case fresh != again:
		return []page.Problem{{Field: page.FieldNewPasswordAgain, Fault: page.FaultDiffer}}, nil
	}
	return nil, nil
}

// Post takes messages that are sent, or worked on, later. What it took is durable.
type Post interface {
	Enqueue(ctx context.Context, kind string, body []byte) error
	// Later is Enqueue for what is to be done no sooner than at.
	Later(ctx context.Context, kind string, body []byte, at time.Time) error
}

// The kinds of message that this room gives to Post. A mail is ready to be sent; the others are worked on by Work, after
// the answer, so that what an answer says and how long it takes are the same for everybody.
const (
	KindMail   = "mail"
	KindForgot = "forgot"
	KindSignUp = "signup"
	KindLapse  = "lapse"
)

// Letter is a mail that is ready to be sent.
type Letter struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
}

// letter is what a mail needs beside its kind and its data.
type letter struct {
	user   iam.User
	to     string
	locale string
}

// write composes a mail in the person's language and gives it to Post.
func (e *Endpoint) write(ctx context.Context, kind page.MailKind, to letter, data page.MailData) error {
	data.Username = to.user.Username
	locale := to.user.Locale
	if locale == "" {
		locale = to.locale
	}
	subject, text, html, err := e.Pages().Mail(kind, locale, data)
	if err != nil {
		return err
	}
	body, err := json.Marshal(Letter{To: to.to, Subject: subject, Text: text, HTML: html})
	if err != nil {
		return err
	}
	return e.Post.Enqueue(ctx, KindMail, body)
}

// TellChanged writes to a person that the password was changed, if there is a proved address to write to.
func (e *Endpoint) TellChanged(r *http.Request, user iam.User) error {
	if user.Email == "" || !user.EmailVerified {
		return nil
	}
	return e.write(r.Context(), page.MailChanged, letter{user: user, to: user.Email, locale: localeOf(r)}, page.MailData{
		When: e.now(), Device: session.Agent(r), Place: strings.TrimSuffix(e.Network(r), "/32"),
	})
}

// localeOf is the first language that a browser asks for.
func localeOf(r *http.Request) string {
	if wished := session.Languages(r, nil); len(wished) > 0 {
		return wished[0]
	}
	return ""
}

// The lives of links.
const (
	ResetLife  = 15 * time.Minute
	VerifyLife = 24 * time.Hour
	EnrolLife  = 72 * time.Hour // of links that administration makes
)

// LinkURL is the address that carries a link: below the configured public address, whatever a request's Host says.
func (e *Endpoint) LinkURL(kind iam.LinkKind, secret string) string {
	return strings.TrimSuffix(e.Issuer, "/") + "/link/" + string(kind) + "?token=" + secret
}
