package authorize

import (
	"net/http"
	"slices"

	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/session"
)

// switched goes on as the person whom the request names, if this browser is signed in to their account too, and another one's
// is before it: nobody is asked for a password that they have just given, and the other account never answers. Without a page
// (prompt=none) no client makes that choice for the person.
func (e *Endpoint) switched(w http.ResponseWriter, r *http.Request, at position) (position, error) {
	if e.Accounts == nil || at.request.Subject == "" || at.request.Prompted("none") || !e.named(at) {
		return at, nil
	}
	others, err := e.Accounts.Others(r)
	if err != nil {
		return at, err
	}
	is := func(one session.Account) bool {
		as := at
		as.session = one.Session
		return !e.named(as)
	}
	found := slices.IndexFunc(others, is)
	if found < 0 {
		return at, nil
	}
	at.session, err = e.Accounts.Choose(w, r, others[found].ID)
	at.signed = err == nil
	return at, err
}

// chooses tells whether the person must say as whom to go on. It is asked of a browser whose accounts are all set aside, too.
func (e *Endpoint) chooses(r *http.Request, at position) (bool, error) {
	if at.signed || e.Accounts == nil || !at.request.Prompted("select_account") {
		return needsChoice(at), nil
	}
	others, err := e.Accounts.Others(r)
	return len(others) > 0, err
}

// unfit says why nobody can be answered for. A browser whose accounts are all set aside holds people who are signed in and of
// whom none was chosen (OpenID Connect Core section 3.1.2.6). Where somebody is at the front, whether others are there, too, is
// not told to who asks in silence; nor is whom the request names.
func (e *Endpoint) unfit(r *http.Request, at position) (refusal, err error) {
	if !at.signed && e.Accounts != nil {
		others, err := e.Accounts.Others(r)
		if err != nil {
			return nil, err
		}
		if len(others) > 0 {
			return oauth.AccountSelectionRequired("the person has to choose one of their accounts first"), nil
		}
	}
	return oauth.LoginRequired("nobody is signed in who fits the request"), nil
}
