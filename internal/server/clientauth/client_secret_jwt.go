package clientauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// Values give secrets themselves, for the one method that can't do with their hashes.
type Values struct {
	Referred func(ref string) (string, error)              // of a reference of the recipe
	Unseal   func(secret iam.ClientSecret) (string, error) // of a generated secret that was sealed
}

// secretJWT shows an assertion under a MAC by the secret that both sides know (OpenID Connect Core section 9). Only an
// exception allows it: the server must keep the secret itself, so whoever reads the server's memory can be the client.
type secretJWT struct {
	assertions
	values Values
}

func (secretJWT) Name() oauth.AuthMethod { return oauth.AuthSecretJWT }

func (secretJWT) Read(_ *http.Request, form web.Form) (Shown, bool, error) {
	return readAssertion(form)
}

func (m secretJWT) Verify(ctx context.Context, client iam.Client, shown Shown) error {
	alg := jose.HS256
	if client.AuthAlg != "" {
		alg = jose.SharedAlg(client.AuthAlg)
	}
	if len(client.Demands().Algs) > 0 {
		return errors.New("the client's profile forbids " + string(alg))
	}
	token, err := jose.ParseShared(shown.Proof)
	if err != nil {
		return err
	}
	secrets, err := m.living(client, m.now())
	if err != nil {
		return err
	}
	for _, secret := range secrets {
		if payload, err := token.Verify(secret, alg); err == nil {
			return m.believe(ctx, client, token.Typ, payload)
		}
	}
	return errors.New("no secret of the client made the assertion")
}

// living gives the secrets that can make an assertion now. One that was kept as a hash only can't.
func (m secretJWT) living(client iam.Client, now time.Time) ([]jose.Secret, error) {
	var all []jose.Secret
	for _, secret := range client.Secrets {
		if secret.Sealed == "" || !secret.Expires.IsZero() && !now.Before(secret.Expires) {
			continue
		}
		value, err := m.values.Unseal(secret)
		if err != nil {
			return nil, fmt.Errorf("open the client's secret: %w", err)
		}
		if all, err = withSecret(all, value); err != nil {
			return nil, err
		}
	}
	for _, ref := range client.SecretRefs {
		value, err := m.values.Referred(ref)
		if err != nil {
			return nil, err
		}
		if all, err = withSecret(all, value); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func withSecret(all []jose.Secret, value string) ([]jose.Secret, error) {
	secret, err := jose.NewSecret(value)
	return append(all, secret), err
}
