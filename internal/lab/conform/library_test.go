package conform_test

import (
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/gardeauth/garde/internal/lab"
)

// TestByLibraries takes golang.org/x/oauth2 and coreos/go-oidc through a sign-in, as an application in Go would use them.
func TestByLibraries(t *testing.T) {
	h := newProvider(t, lab.Options{})
	for _, method := range []string{"client_secret_basic", "client_secret_post"} {
		for _, alg := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
			t.Run(method+" "+alg, func(t *testing.T) {
				p := h.register(t, members{"token_endpoint_auth_method": method, "id_token_signed_response_alg": alg})
				ctx := oidc.ClientContext(t.Context(), h.With(nil))
				provider, err := oidc.NewProvider(ctx, h.Issuer)
				must(t, err)
				config := oauth2.Config{ClientID: p.id, ClientSecret: p.secret, RedirectURL: p.redirect(), Endpoint: provider.Endpoint(), Scopes: []string{"openid", "email"}}
				config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
				if method == "client_secret_post" {
					config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
				}
				verifier, b := oauth2.GenerateVerifier(), h.browser(t)
				left := p.pages(t, b, b.open(config.AuthCodeURL("a-state", oidc.Nonce("a-nonce"), oauth2.S256ChallengeOption(verifier))))
				sent := p.answered(t, left, lab.Form("state", "a-state", "response_type", "code"))
				token, err := config.Exchange(ctx, sent.Get("code"), oauth2.VerifierOption(verifier))
				must(t, err)
				text, _ := token.Extra("id_token").(string)
				id, err := provider.Verifier(&oidc.Config{ClientID: p.id, Now: h.Clock.Now, SupportedSigningAlgs: []string{alg}}).Verify(ctx, text)
				must(t, err)
				if id.Nonce != "a-nonce" || id.Subject != h.alice.ID {
					t.Errorf("%+v", id)
				}
				info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
				must(t, err)
				if info.Subject != id.Subject || info.Email != h.alice.Email || !info.EmailVerified {
					t.Errorf("%+v", info)
				}
				next, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
				if err != nil || next.AccessToken == "" || next.AccessToken == token.AccessToken {
					t.Errorf("refresh: %v", err)
				}
			})
		}
	}
}
