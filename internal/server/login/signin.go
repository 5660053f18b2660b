package login

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

const purposeSignIn = "signin"

// SignIn is /signin: GET shows the page, POST proves. Without a transaction it goes to the account page, which begins one.
func (e *Endpoint) SignIn(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return e.askSignIn(w, r)
	case http.MethodPost:
		return e.proveSignIn(w, r)
	}
	return web.MethodNotAllowed(http.MethodGet, http.MethodHead, http.MethodPost)
}

func (e *Endpoint) askSignIn(w http.ResponseWriter, r *http.Request) error {
	query, err := web.Query(r)
	if err != nil {
		return err
	}
	if !query.Has("flow") {
		session.SeeOther(w, "/account")
		return nil
	}
	at, err := e.stepOf(r, query.Value("flow"))
	if err != nil {
		return err
	}
	view := page.SignIn{Username: at.wishes.LoginHint}
	if query.Has("other") { // "not you?"
		view.Username = ""
	} else if view.Known, err = e.whoIs(r); err != nil {
		return err
	} else if view.Known != "" {
		view.Username = view.Known
	}
	return e.showSignIn(w, r, at, view, nil)
}

// whoIs gives the username of who is signed in in this browser, or "".
func (e *Endpoint) whoIs(r *http.Request) (string, error) {
	current, err := e.Sessions.Current(r)
	if err != nil {
		return "", notFoundIsFine(err)
	}
	user, err := e.People.User(r.Context(), current.User)
	return user.Username, notFoundIsFine(err)
}

func notFoundIsFine(err error) error {
	if errors.Is(err, iam.ErrNotFound) {
		return nil
	}
	return err
}

func (e *Endpoint) showSignIn(w http.ResponseWriter, r *http.Request, at step, view page.SignIn, problems []page.Problem) error {
	offers, flow := e.Offers(), url.QueryEscape(at.key)
	view.Common = e.common(w, r, at, purposeSignIn+" "+at.key, problems)
	view.Action, view.Flow, view.Client = "/signin", at.key, at.client
	if offers.SignUp {
		view.SignUp = "/signup?flow=" + flow
	}
	if offers.Reset {
		view.Forgot = "/forgot?flow=" + flow
	}
	if view.Known != "" {
		view.Switch = "/signin?other=1&flow=" + flow
	}
	return e.Pages().Render(w, r, status(problems), view)
}

func (e *Endpoint) proveSignIn(w http.ResponseWriter, r *http.Request) error {
	form, at, err := e.read(r, purposeSignIn)
	if err != nil {
		return err
	}
	factor, view := e.Factors[0], page.SignIn{Username: form.Value(page.FieldUsername)}
	if problems := missing(form, factor); len(problems) > 0 {
		return e.showSignIn(w, r, at, view, problems)
	}
	user, account, err := e.find(r, view.Username)
	if err != nil {
		return err
	}
	attempt := limit.Attempt{Account: account, Network: e.Network(r), Device: e.Devices.Known(r, user.ID)}
	if ok, wait := e.Throttle.Allow(attempt); !ok {
		forgot := ""
		if e.Offers().Reset {
			forgot = "/forgot?flow=" + url.QueryEscape(at.key)
		}
		return e.Locked(w, r, at.wishes.Locales, wait, forgot)
	}
	who := user
	if user.Disabled {
		who = iam.User{} // the work and the words are those for a stranger
	}
	proved, err := factor.Prove(r.Context(), who, form)
	if err != nil {
		return err
	}
	if !proved {
		return e.refuse(w, r, at, view, user, factor)
	}
	e.Throttle.Clear(attempt)
	if err := e.admitted(user); err != nil {
		return err
	}
	return e.enter(w, r, at, user, factor)
}

// admitted refuses everybody but administrators while a restore waits to be confirmed: an account that was disabled, or a
// password that was changed because a stranger knew it, is as it was when the backup was made.
func (e *Endpoint) admitted(user iam.User) error {
	if e.Confined == nil || !e.Confined() || user.Admin {
		return nil
	}
	return oauth.Unavailable("the storage was restored, and an administrator has not confirmed it yet")
}

// missing tells which fields are empty, before anything is looked up.
func missing(form web.Form, factor Factor) []page.Problem {
	var problems []page.Problem
	if !form.Has(page.FieldUsername) {
		problems = append(problems, page.Problem{Field: page.FieldUsername, Fault: page.FaultMissing})
	}
	for _, field := range factor.Missing(form) {
		problems = append(problems, page.Problem{Field: field, Fault: page.FaultMissing})
	}
	return problems
}

// find gives the person that a typed name means, or the zero User, and the name under which tries are counted: one for
// all spellings, and for name and address of one account (CVE-2025-24806).
func (e *Endpoint) find(r *http.Request, typed string) (iam.User, string, error) {
	name, err := iam.Canonical(typed)
	if err != nil {
		// Nobody has such a name. It is looked up all the same: the time of an answer tells nothing.
		name = "\x00"
	}
	user, err := e.People.UserByName(r.Context(), name)
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return iam.User{}, "name " + name, nil
	case err != nil:
		return iam.User{}, "", err
	}
	return user, "user " + user.ID, nil
}

// refuse says the one sentence that every wrong sign-in gets.
func (e *Endpoint) refuse(w http.ResponseWriter, r *http.Request, at step, view page.SignIn, user iam.User, factor Factor) error {
	reason := "wrong"
	if user.Disabled {
		reason = "disabled"
	}
	if user.ID == "" {
		reason = "unknown"
	} else {
		e.Fail(r, user, at.flow.Client, factor.Name(), reason)
	}
	e.Face.Note(r, oauth.AccessDenied("the sign-in was refused").Because(errors.New(factor.Name()+" "+reason)))
	return e.showSignIn(w, r, at, view, []page.Problem{{Fault: page.FaultCredentials}})
}

// enter begins the session of who has proved it, and goes back to the dispatcher.
func (e *Endpoint) enter(w http.ResponseWriter, r *http.Request, at step, user iam.User, factor Factor) error {
	if at.flow.Session != "" {
		// The flow leaves the session that it knew: what somebody answered there is not this person's answer, and the
		// flow must not end with that session.
		at.flow.User, at.flow.Session, at.flow.Asked = "", "", nil
		if err := e.setFlow(r, at.flow); err != nil {
			return err
		}
	}
	seen, err := e.Devices.Remember(w, r, user.ID, e.Network(r))
	if err != nil {
		return err
	}
	proved := iam.Proved{Factor: factor.Name(), At: e.now().Truncate(time.Second), Begun: at.flow.Created, Methods: []string{factor.Method()}}
	current, err := e.Sessions.Start(w, r, session.Proof{
		User: user.ID, Proofs: []iam.Proved{proved}, Device: seen.ID, Agent: session.Agent(r), Address: e.Network(r),
	}, web.Trace(r.Context()))
	if errors.Is(err, iam.ErrRevoked) { // disabled or removed since it was looked up
		return e.refuse(w, r, at, page.SignIn{Username: user.Username}, user, factor)
	}
	if err != nil {
		return err
	}
	if at.flow.Client == "" {
		err = e.People.EndFlow(r.Context(), at.flow.Hash)
	} else {
		at.flow.User, at.flow.Session, at.flow.Asked = user.ID, current.ID, []string{session.StepSignIn}
		err = e.setFlow(r, at.flow)
	}
	if err != nil {
		return err
	}
	session.SeeOther(w, session.Return(at.flow, at.key))
	return nil
}

func (e *Endpoint) setFlow(r *http.Request, flow iam.Flow) error {
	err := e.People.SetFlow(r.Context(), flow)
	if errors.Is(err, iam.ErrNotFound) {
		return session.Expired(err)
	}
	return err
}
