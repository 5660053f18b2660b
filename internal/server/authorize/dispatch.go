package authorize

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gardeauth/garde/internal/decide"
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
	if at, err = e.switched(w, r, at); err != nil {
		return err
	}
	if chooses, err := e.chooses(r, at); err != nil {
		return err
	} else if chooses {
		return e.leave(w, r, at, "/choose")
	}
	if e.needsSignIn(at) {
		if at.request.Prompted("none") || e.otherPerson(at) {
			refusal, err := e.unfit(r, at)
			if err != nil {
				return err
			}
			return e.answerError(w, r, at, refusal)
		}
		if at.request.Prompted("create") {
			return e.leave(w, r, at, "/signup")
		}
		return e.leave(w, r, at, "/signin")
	}
	if session.Did(at.flow, at.session, session.StepDenied) {
		return e.denied(w, r, at, "the person did not allow it")
	}
	claim, err := e.Assurance.Sure(r.Context(), e.asks(r, at))
	var unsure *decide.Unsure
	switch {
	case errors.As(err, &unsure):
		return e.challenge(w, r, at, unsure)
	case errors.Is(err, iam.ErrRevoked):
		return e.answerError(w, r, at, gone(err))
	case err != nil:
		return err
	}
	at.acr, at.amr, at.authTime = claim.ACR, claim.AMR, claim.AuthTime
	if gone, err := e.enrol(w, r, at); gone || err != nil {
		return err
	}
	return e.settle(w, r, at)
}

// settle asks for consent if that is missing, and gives.
func (e *Endpoint) settle(w http.ResponseWriter, r *http.Request, at position) error {
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
		return e.answerError(w, r, at, gone(err))
	}
	return err
}

func gone(cause error) error {
	return oauth.AccessDenied("the account, the session or the application no longer stands").Because(cause)
}

// denied tells the client that the person or the policy said no, in words that say which. The flow ends with it: going back to its address asks nothing more.
func (e *Endpoint) denied(w http.ResponseWriter, r *http.Request, at position, why string) error {
	if err := e.Flows.EndFlow(r.Context(), at.flow.Hash); err != nil {
		return err
	}
	if e.Waiting != nil && at.request.Pushed != (iam.PushedHash{}) {
		if err := e.Waiting.EndPushed(r.Context(), at.request.Pushed); err != nil {
			return err
		}
	}
	return e.answerError(w, r, at, oauth.AccessDenied("%s", why))
}

// needsSignIn tells whether the person must sign in, by whatever way. What was done within this flow is not asked again,
// else prompt=login would never end. Whether it was enough, and is fresh, is decided after.
func (e *Endpoint) needsSignIn(at position) bool {
	if !at.signed || e.named(at) {
		return true
	}
	asked := at.request
	if session.Did(at.flow, at.session, session.StepSignIn) {
		return false
	}
	// max_age=0 means prompt=login (OpenID Connect Core section 3.1.2.1), also within the same second.
	return asked.MaxAge == 0 || asked.Prompted("login") || asked.Prompted("create")
}

// needsChoice tells whether the person must say as whom to go on. Who has signed in within this flow has said it.
func needsChoice(at position) bool {
	return at.signed && at.request.Prompted("select_account") &&
		!session.Did(at.flow, at.session, session.StepSignIn) && !session.Did(at.flow, at.session, session.StepChoose)
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
	if err := e.begin(w, r, &at); err != nil {
		return err
	}
	session.SeeOther(w, step+"?flow="+url.QueryEscape(at.key))
	return nil
}

// begin keeps the request as a transaction of this browser, unless it is one already.
func (e *Endpoint) begin(w http.ResponseWriter, r *http.Request, at *position) error {
	if at.key != "" {
		return nil
	}
	at.flow.Client, at.flow.Query = at.request.Client.ID, at.request.Query()
	key, err := e.Sessions.Begin(w, r, e.Flows, &at.flow)
	at.key = key
	return err
}
