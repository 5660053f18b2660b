package client

import (
	"context"
	"net/url"
)

// Share signs the client in by what another app of its family was given on the same device: the newest ID token and the
// device secret (OpenID Native SSO section 4). The Server judges both; here the answer is judged as after any sign-in,
// except that there was no request with a nonce.
func (c *Client) Share(ctx context.Context, id, device, scope string) (Grant, error) {
	known, err := c.discover(ctx)
	if err != nil {
		return Grant{}, err
	}
	g, err := c.token(ctx, url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "audience": {c.Issuer},
		"subject_token": {id}, "subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
		"actor_token": {device}, "actor_token_type": {"urn:openid:params:token-type:device-secret"},
		"scope": {scope}, "resource": {c.Resource},
	})
	if err != nil {
		return Grant{}, err
	}
	g.Subject, err = c.identify(ctx, known, g, "")
	return g, err
}
