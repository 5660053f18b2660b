package clientauth

import (
	"context"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// secretPost shows the secret in the body (OAuth 2.1 section 2.5.1).
type secretPost struct {
	secrets Secrets
	now     func() time.Time
}

func (secretPost) Name() oauth.AuthMethod { return oauth.AuthPost }

func (secretPost) Read(_ *http.Request, form web.Form) (Shown, bool, error) {
	return Shown{Client: form.Value("client_id"), By: inBody, Proof: form.Value("client_secret")}, form.Has("client_secret"), nil
}

func (m secretPost) Verify(_ context.Context, client iam.Client, shown Shown) error {
	return secretFits(client, shown.Proof, m.secrets, m.now())
}
