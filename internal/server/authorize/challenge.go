package authorize

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// asks puts a request in the words of a decision. What the client wishes can only raise.
func (e *Endpoint) asks(r *http.Request, at position) decide.Ask {
	asked := at.request
	ask := decide.Ask{
		Door: decide.DoorAuthorize, Session: at.session, Client: asked.Client, Scope: asked.Scope, Details: asked.Details,
		Bound: asked.JKT != "", Address: e.Address(r), Agent: session.Agent(r),
		Since: decide.Since(at.flow, session.Did(at.flow, at.session, session.StepSignIn)),
	}
	ask.Wish.ACR, ask.Wish.Essential, ask.Wish.MaxAge = asked.ACRValues, asked.Essential, asked.MaxAge
	if need := at.flow.Need; need != nil {
		ask.Told = need.Cause
	}
	return ask
}

// challenge sends the person to prove more or to add a factor, or tells them, or the client, that nothing helps.
func (e *Endpoint) challenge(w http.ResponseWriter, r *http.Request, at position, unsure *decide.Unsure) error {
	silent := at.request.Prompted("none")
	switch {
	case unsure.Denied() && silent:
		return e.answerError(w, r, at, oauth.AccessDenied("the company's policy refuses this").Because(unsure))
	case unsure.Denied():
		return e.refused(w, r, at, unsure)
	case !unsure.Able():
		return e.answerError(w, r, at, oauth.UnmetAuthentication("no way to sign in here reaches what was asked").Because(unsure))
	case silent && unsure.Stale:
		return e.answerError(w, r, at, oauth.LoginRequired("the person signed in too long ago").Because(unsure))
	case silent:
		return e.answerError(w, r, at, oauth.InteractionRequired("the person must prove more than they have").Because(unsure))
	}
	at.flow.Need = unsure.Need(at.flow.Need, e.now())
	step := "/signin"
	if at.flow.Need.Enrol {
		step = "/signin/enrol"
	}
	if at.key != "" { // else leave keeps all of it
		switch err := e.Flows.SetFlow(r.Context(), at.flow); {
		case errors.Is(err, iam.ErrNotFound):
			return session.Expired(err)
		case err != nil:
			return err
		}
	}
	return e.leave(w, r, at, step)
}

// refused tells the person why, and how to go on: to the application, which hears access_denied, or to a human.
func (e *Endpoint) refused(w http.ResponseWriter, r *http.Request, at position, unsure *decide.Unsure) error {
	if err := e.begin(w, r, &at); err != nil {
		return err
	}
	view := page.Refused{
		Common: page.Common{Locales: at.request.Locales, Trace: web.Trace(r.Context())}, Why: unsure.Why(),
		Client: page.Client{Name: at.request.Client.Name.In(session.Languages(r, at.request.Locales)...)},
		Back:   "/authorize?decline=1&flow=" + url.QueryEscape(at.key),
	}
	if view.Client.Name == "" {
		view.Client.Name = at.request.Client.ID
	}
	if e.Help != nil {
		view.Help = e.Help()
	}
	return e.Pages().Render(w, r, http.StatusForbidden, view)
}

// learn takes for usual what was given, if the person has authenticated for it in this very transaction.
func (e *Endpoint) learn(r *http.Request, at position) {
	if session.Did(at.flow, at.session, session.StepSignIn) {
		e.Assurance.Learn(r.Context(), e.asks(r, at))
	}
}
