package authorize

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/session"
)

// dispatch looks what is missing and goes there.
func (e *Endpoint) dispatch(w http.ResponseWriter, r *http.Request, at position) error {
	if done, err := e.guess(w, r, at); done {
		return err
	}
	var err error
	at.session, err = e.Sessions.Current(r)
	at.signed = err == nil
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return err
	}
	if e.needsSignIn(at) {
		if at.request.Prompted("none") || e.otherPerson(at) {
			return e.answerError(w, r, at, oauth.LoginRequired("nobody is signed in who fits the request"))
		}
		if at.request.Prompted("create") {
			return e.leave(w, r, at, "/signup")
		}
		return e.leave(w, r, at, "/signin")
	}
	if session.Did(at.flow, at.session, session.StepDenied) {
		return e.denied(w, r, at)
	}
	if err := e.unmet(at); err != nil {
		return e.answerError(w, r, at, err)
	}
	needed, err := e.needsConsent(r, &at)
	if err != nil {
		return err
	}
	if needed {
		if at.request.Prompted("none") {
			return e.answerError(w, r, at, oauth.ConsentRequired("the person has not allowed this yet"))
		}
		return e.leave(w, r, at, "/consent")
	}
	err = e.give(w, r, at)
	if errors.Is(err, iam.ErrRevoked) {
		return e.answerError(w, r, at, oauth.AccessDenied("the account, the session or the application no longer stands").Because(err))
	}
	return err
}

// denied tells the client that the person said no. The flow ends with it: going back to its address asks nothing more.
func (e *Endpoint) denied(w http.ResponseWriter, r *http.Request, at position) error {
	if err := e.Flows.EndFlow(r.Context(), at.flow.Hash); err != nil {
		return err
	}
	if e.Waiting != nil && at.request.Pushed != (iam.PushedHash{}) {
		if err := e.Waiting.EndPushed(r.Context(), at.request.Pushed); err != nil {
			return err
		}
	}
	return e.answerError(w, r, at, oauth.AccessDenied("the person did not allow it"))
}

// patience is how long a sign-in within the transaction counts as done just now.
const patience = 5 * time.Minute

// needsSignIn tells whether the person must prove who they are. What was proved within this flow is not asked again,
// else prompt=login and max_age=0 would never end; but who then lets the pages wait for long is no longer fresh.
func (e *Endpoint) needsSignIn(at position) bool {
	if !at.signed {
		return true
	}
	asked := at.request
	if e.named(at) {
		return true
	}
	age := e.now().Sub(at.session.AuthTime)
	if session.Did(at.flow, at.session, session.StepSignIn) {
		return asked.MaxAge >= 0 && age > max(asked.MaxAge, patience)
	}
	if asked.Prompted("login") || asked.Prompted("select_account") || asked.Prompted("create") {
		return true
	}
	// max_age=0 means prompt=login (OpenID Connect Core section 3.1.2.1), also within the same second.
	return asked.MaxAge == 0 || asked.MaxAge > 0 && age > asked.MaxAge
}

// otherPerson tells whether someone has signed in for this very request who is not the one it names: to ask again and
// again would be no answer (OpenID Connect Core section 3.1.2.1, id_token_hint).
func (e *Endpoint) otherPerson(at position) bool {
	return e.named(at) && session.Did(at.flow, at.session, session.StepSignIn)
}

// named tells whether the request names somebody else than who is signed in. It names people as its client knows them:
// a pairwise client by another name than all others.
func (e *Endpoint) named(at position) bool {
	name := at.session.User
	if e.Subject != nil {
		name = e.Subject(at.request.Client, name)
	}
	return at.request.Subject != "" && at.request.Subject != name
}

// unmet tells whether an essential acr was asked for that this person's proof does not reach.
func (e *Endpoint) unmet(at position) error {
	if len(at.request.Essential) == 0 {
		return nil
	}
	for _, acr := range at.request.Essential {
		if e.Policy().Ladder.Satisfied(acr, at.session.ACR) {
			return nil
		}
	}
	return oauth.UnmetAuthentication("no way to sign in here reaches what was asked")
}

// due says what decides whether the person is asked for consent.
type due int

const (
	asRecorded due = iota // what they allowed before
	always
	never
)

func consentDue(at position) due {
	switch {
	case session.Did(at.flow, at.session, session.StepConsent):
		return never
	// Each detail is allowed by itself, and what was allowed once says nothing of the next (RFC 9396 section 11.2).
	case at.request.Details != "":
		return always
	// Before what the recipe implies: whoever may be any other application on the device is not waved through (N03).
	case at.request.Prompted("consent"), !session.Remembers(at.request.Client, at.request.RedirectURI):
		return always
	case session.Implied(at.request.Client):
		return never
	}
	return asRecorded
}

// needsConsent tells whether the person must be asked. What they allowed before goes on with at, if that is why not.
func (e *Endpoint) needsConsent(r *http.Request, at *position) (bool, error) {
	if due := consentDue(*at); due != asRecorded {
		return due == always, nil
	}
	given, err := e.Consents.Consent(r.Context(), at.session.User, at.request.Client.ID)
	if errors.Is(err, iam.ErrNotFound) {
		return true, nil
	}
	at.given = &given
	return !at.request.Allowance().Within(given.Scope), err
}

// leave keeps the request and sends the person to a step, which comes back to /authorize?flow=.
func (e *Endpoint) leave(w http.ResponseWriter, r *http.Request, at position, step string) error {
	if at.key == "" {
		at.flow.Client, at.flow.Query = at.request.Client.ID, at.request.Query()
		key, err := e.Sessions.Begin(w, r, e.Flows, &at.flow)
		if err != nil {
			return err
		}
		at.key = key
	}
	session.SeeOther(w, step+"?flow="+url.QueryEscape(at.key))
	return nil
}
