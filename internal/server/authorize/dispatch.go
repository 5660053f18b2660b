package authorize

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
)

// dispatch looks what is missing and goes there.
func (e *Endpoint) dispatch(w http.ResponseWriter, r *http.Request, at position) error {
	var err error
	at.session, err = e.Sessions.Current(r)
	at.signed = err == nil
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return err
	}
	if e.needsSignIn(at) {
		if at.request.Prompted("none") {
			return e.answerError(w, r, at.request, oauth.LoginRequired("nobody is signed in who fits the request"))
		}
		return e.leave(w, r, at, "/signin")
	}
	if session.Did(at.flow, at.session, session.StepDenied) {
		return e.denied(w, r, at)
	}
	if err := e.unmet(at); err != nil {
		return e.answerError(w, r, at.request, err)
	}
	needed, err := e.needsConsent(r, at)
	if err != nil {
		return err
	}
	if needed {
		if at.request.Prompted("none") {
			return e.answerError(w, r, at.request, oauth.ConsentRequired("the person has not allowed this yet"))
		}
		return e.leave(w, r, at, "/consent")
	}
	return e.issue(w, r, at)
}

// denied tells the client that the person said no. The flow ends with it: going back to its address asks nothing more.
func (e *Endpoint) denied(w http.ResponseWriter, r *http.Request, at position) error {
	if err := e.Flows.EndFlow(r.Context(), at.flow.Hash); err != nil {
		return err
	}
	return e.answerError(w, r, at.request, oauth.AccessDenied("the person did not allow it"))
}

// needsSignIn tells whether the person must prove who they are. What was proved within this flow is not asked again,
// else prompt=login and max_age=0 would never end.
func (e *Endpoint) needsSignIn(at position) bool {
	if !at.signed {
		return true
	}
	asked := at.request
	if asked.Subject != "" && asked.Subject != at.session.User {
		return true
	}
	if session.Did(at.flow, at.session, session.StepSignIn) {
		return false
	}
	if asked.Prompted("login") || asked.Prompted("select_account") {
		return true
	}
	return asked.MaxAge >= 0 && e.now().Sub(at.session.AuthTime) > asked.MaxAge
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

func (e *Endpoint) needsConsent(r *http.Request, at position) (bool, error) {
	if session.Did(at.flow, at.session, session.StepConsent) {
		return false, nil
	}
	if at.request.Prompted("consent") {
		return true, nil
	}
	if session.Implied(at.request.Client) {
		return false, nil
	}
	if !session.Remembers(at.request.Client, at.request.RedirectURI) {
		return true, nil
	}
	given, err := e.Consents.Consent(r.Context(), at.session.User, at.request.Client.ID)
	if errors.Is(err, iam.ErrNotFound) {
		return true, nil
	}
	return !at.request.Scope.Within(given.Scope), err
}

// leave keeps the request and sends the person to a step, which comes back to /authorize?flow=.
func (e *Endpoint) leave(w http.ResponseWriter, r *http.Request, at position, step string) error {
	if at.key == "" {
		at.flow.Client = at.request.Client.ID
		key, err := e.Sessions.Begin(w, r, e.Flows, &at.flow)
		if err != nil {
			return err
		}
		at.key = key
	}
	session.SeeOther(w, step+"?flow="+url.QueryEscape(at.key))
	return nil
}

// formPost answers by a page that posts itself (OAuth 2.0 Form Post Response Mode).
func (e *Endpoint) formPost(w http.ResponseWriter, r *http.Request, to *request.Request, params url.Values) error {
	return e.Pages().Render(w, r, http.StatusOK, page.FormPost{
		Common: page.Common{Locales: to.Locales, FormTarget: to.RedirectURI}, Action: to.RedirectURI, Values: params,
		Client: page.Client{Name: to.Client.Name.In(to.Locales...)},
	})
}
