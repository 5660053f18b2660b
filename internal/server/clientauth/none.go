package clientauth

import (
	"context"
	"net/http"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// none only names the client, as public clients do (OAuth 2.1 section 2.1).
type none struct{}

func (none) Name() oauth.AuthMethod { return oauth.AuthNone }

func (none) Read(r *http.Request, form web.Form) (Shown, bool, error) {
	return Shown{Client: form.Value("client_id")}, onlyNamed(r, form), nil
}

func (none) Verify(context.Context, iam.Client, Shown) error { return nil }

// onlyNamed tells whether a request says who the client is, and shows nothing else in its header or body.
func onlyNamed(r *http.Request, form web.Form) bool {
	proved := len(r.Header.Values("Authorization")) > 0 || form.Has("client_secret") ||
		form.Has("client_assertion") || form.Has("client_assertion_type")
	return form.Has("client_id") && !proved
}
