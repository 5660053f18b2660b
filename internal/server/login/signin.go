package login

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/login/factor"
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
		return e.showSignIn(w, r, at, view, nil)
	}
	if gone, err := e.further(w, r, at); gone || err != nil {
		return err
	}
	if view.Known, err = e.whoIs(r); err != nil {
		return err
	}
	if view.Known != "" {
		view.Username = view.Known
	}
	return e.showSignIn(w, r, at, view, nil)
}

// further sends who has proved something already to what is missing; true: it did. A password that is asked of who is
// signed in is asked here.
func (e *Endpoint) further(w http.ResponseWriter, r *http.Request, at step) (bool, error) {
	if need := at.flow.Need; need != nil && need.Enrol {
		session.SeeOther(w, "/signin/enrol?flow="+url.QueryEscape(at.key))
		return true, nil
	}
	who, err := e.personOf(r, at)
	if err != nil || !who.known() {
		return false, err
	}
	if len(at.flow.Proofs) == 0 {
		ways, err := e.choices(r, at, who)
		if err != nil || len(ways) > 0 && ways[0] == "password" {
			return false, err
		}
	}
	session.SeeOther(w, "/signin/next?flow="+url.QueryEscape(at.key))
	return true, nil
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

// showSignIn shows what a sign-in may begin with. Nothing on it depends on who exists (S20, S22).
func (e *Endpoint) showSignIn(w http.ResponseWriter, r *http.Request, at step, view page.SignIn, problems []page.Problem) error {
	offers, flow := e.Offers(), url.QueryEscape(at.key)
	view.Common = e.common(w, r, at, purposeSignIn+" "+at.key, problems)
	view.Action, view.Flow, view.Client = "/signin", at.key, at.client
	_, view.Password = e.leads("password")
	_, view.Mail = e.leads("email")
	if _, ok := e.leads("passkey"); ok {
		var err error
		if view.Passkey, err = e.challenge(r, at); err != nil {
			return err
		}
	}
	if offers.SignUp && view.Password {
		view.SignUp = "/signup?flow=" + flow
	}
	view.Forgot = e.forgot(at)
	if view.Known != "" {
		view.Switch = "/signin?other=1&flow=" + flow
	} else if at.flow.Need != nil {
		view.Others = "/signin/next?flow=" + flow
	}
	return e.Pages().Render(w, r, status(problems), view)
}

// challenge begins to wait for any passkey, and gives what the browser is asked for. It takes the place of what another
// page of this transaction waited for: an answer to that comes too late.
func (e *Endpoint) challenge(r *http.Request, at step) (string, error) {
	one, _ := factor.Named(e.Factors, "passkey")
	asked, err := one.Ask(r.Context(), factor.Asking{Flow: at.flow.Hash, Now: e.now()})
	if errors.Is(err, factor.ErrNotHere) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	err = e.swap(r, &at.flow, one.Is().Name, asked.State)
	if errors.Is(err, iam.ErrRaced) { // another tab was faster: this one does without
		return "", nil
	}
	return asked.Options, err
}

func (e *Endpoint) proveSignIn(w http.ResponseWriter, r *http.Request) error {
	form, at, err := e.read(r, purposeSignIn)
	if err != nil {
		return err
	}
	view := page.SignIn{Username: form.Value(page.FieldUsername)}
	again := func(fault page.Fault) error {
		if at, err = e.stepOf(r, at.key); err != nil { // as it stands now
			return err
		}
		return e.showSignIn(w, r, at, view, []page.Problem{{Fault: fault}})
	}
	by := form.Value("by")
	if by == "" {
		by = "password"
	}
	one, ok := e.leads(by)
	if !ok {
		return again(page.FaultProof)
	}
	t := try{step: at, factor: one, form: form, again: again}
	if by == "passkey" {
		if len(one.Missing(form)) > 0 {
			return again(page.FaultProof)
		}
		t.count = "name \x00"
		return e.prove(w, r, t)
	}
	problems := missingIn(form, one)
	if len(problems) > 0 {
		return e.showSignIn(w, r, at, view, problems)
	}
	if t.user, t.count, err = e.find(r, view.Username); err != nil {
		return err
	}
	if by == "email" {
		return e.send(w, r, at, asked{user: t.user, name: view.Username, count: t.count})
	}
	if who, err := e.personOf(r, at); err != nil {
		return err
	} else if who.known() && who.user.ID == t.user.ID {
		t.known = len(at.flow.Proofs) > 0
	}
	if t.user.Disabled {
		t.user = iam.User{} // the work and the words are those for a stranger
	}
	return e.prove(w, r, t)
}

// admitted refuses everybody but administrators while a restore waits to be confirmed: an account that was disabled, or a
// password that was changed because a stranger knew it, is as it was when the backup was made.
func (e *Endpoint) admitted(user iam.User) error {
	if e.Confined == nil || !e.Confined() || user.Admin {
		return nil
	}
	return oauth.Unavailable("the storage was restored, and an administrator has not confirmed it yet")
}

// missingIn tells which fields of the first page are empty, before anything is looked up.
func missingIn(form web.Form, by factor.Factor) []page.Problem {
	var problems []page.Problem
	if !form.Has(page.FieldUsername) {
		problems = append(problems, page.Problem{Field: page.FieldUsername, Fault: page.FaultMissing})
	}
	if by.Is().Name == "email" { // its code comes later
		return problems
	}
	for _, field := range by.Missing(form) {
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
