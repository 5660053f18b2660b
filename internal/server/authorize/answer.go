package authorize

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
)

// answerError tells the client what went wrong, by redirect. Not one that nobody vouches for, as long as nobody is signed
// in: whoever may register could make of this server a door to any place (R21, R22; RFC 9700 section 4.11.2).
func (e *Endpoint) answerError(w http.ResponseWriter, r *http.Request, at position, err error) error {
	var told *oauth.Error
	if !errors.As(err, &told) {
		return err
	}
	if !at.request.MayHear(e.now()) && !e.present(r, at) {
		return err
	}
	e.Face.Note(r, err)
	return e.answer(w, r, at, url.Values{"error": {told.Code}, "error_description": {told.Description}})
}

// present tells whether somebody is signed in.
func (e *Endpoint) present(r *http.Request, at position) bool {
	if at.signed {
		return true
	}
	_, err := e.Sessions.Current(r)
	return err == nil
}

// answer carries parameters back to the client, with state and iss in every case (RFC 9207).
func (e *Endpoint) answer(w http.ResponseWriter, r *http.Request, at position, params url.Values) error {
	to := at.request
	if to.State != "" {
		params.Set("state", to.State)
	}
	if e.Extra != nil && at.signed {
		for name, value := range e.Extra(w, r, to) {
			params.Set(name, value)
		}
	}
	params, err := e.signed(r, to, params)
	if err != nil {
		return err
	}
	if to.Mode.Plain() == oauth.ModeFormPost {
		return e.formPost(w, r, to, params)
	}
	session.SeeOther(w, to.Location(params))
	return nil
}

// signed adds iss, or makes one signed parameter of all the others, errors too: what is not signed is not believed by
// whoever asked for signatures (JARM section 2, P16).
func (e *Endpoint) signed(r *http.Request, to *request.Request, params url.Values) (url.Values, error) {
	if !to.Mode.Signed() {
		params.Set("iss", e.Issuer)
		return params, nil
	}
	if e.Signer == nil {
		return nil, errors.New("nothing here signs authorization responses")
	}
	plain := make(map[string]string, len(params))
	for name := range params {
		plain[name] = params.Get(name)
	}
	response, err := e.Signer.SignResponse(r.Context(), to.Client, plain)
	return url.Values{"response": {response}}, err
}

// formPost answers by a page that posts itself (OAuth 2.0 Form Post Response Mode).
func (e *Endpoint) formPost(w http.ResponseWriter, r *http.Request, to *request.Request, params url.Values) error {
	return e.Pages().Render(w, r, http.StatusOK, page.FormPost{
		Common: page.Common{Locales: to.Locales, FormTarget: to.RedirectURI}, Action: to.RedirectURI, Values: params,
		Client: page.Client{Name: to.Client.Name.In(to.Locales...)},
	})
}
