package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

// issuerOf finds the places of an issuer in its metadata. It is the Fetcher of verify.RemoteKeys: what is fetched are the
// keys, wherever the metadata of the moment says that they are.
type issuerOf struct {
	name    string
	place   string
	fetcher *fetch.Fetcher
}

// metadataOf gives the place of an issuer's metadata: the well-known name stands between host and path (RFC 8414 section 3).
func metadataOf(issuer *url.URL) string {
	return issuer.Scheme + "://" + issuer.Host + "/.well-known/oauth-authorization-server" + strings.TrimSuffix(issuer.EscapedPath(), "/")
}

// metadata is what we read of an issuer's metadata (RFC 8414 section 2).
type metadata struct {
	Issuer string `json:"issuer"`
	Keys   string `json:"jwks_uri"`
	Token  string `json:"token_endpoint"`
}

func (i *issuerOf) read(ctx context.Context) (metadata, error) {
	body, err := i.fetcher.Fetch(ctx, i.place)
	if err != nil {
		return metadata{}, fmt.Errorf("metadata of the issuer: %w", err)
	}
	var said metadata
	if err := jose.DecodeJSON(body, &said); err != nil {
		return metadata{}, fmt.Errorf("metadata of the issuer: %w", err)
	}
	// RFC 8414 section 3.3: else anybody's metadata could be shown for this issuer.
	if said.Issuer != i.name {
		return metadata{}, errors.New("the metadata names another issuer")
	}
	return said, nil
}

// Fetch gives the keys of the issuer.
func (i *issuerOf) Fetch(ctx context.Context, _ string) ([]byte, error) {
	said, err := i.read(ctx)
	if err != nil {
		return nil, err
	}
	return i.fetcher.Fetch(ctx, said.Keys)
}

// credentials get the token by which revocations are followed.
type credentials struct {
	config *Config
	about  *issuerOf
	client *http.Client
}

const (
	askTime   = 5 * time.Second
	maxAnswer = 64 << 10
)

// authorize asks for a new token each time: it is needed when a connection begins, and the former one may be what was
// revoked.
func (c *credentials) authorize(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	said, err := c.about.read(ctx)
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {string(oauth.ClientCredentials)}, "scope": {oauth.ScopeGate}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, said.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	// Each half is form-encoded (RFC 6749 section 2.3.1).
	r.SetBasicAuth(url.QueryEscape(c.config.Client), url.QueryEscape(c.config.Secret))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the token endpoint answered %d", response.StatusCode)
	}
	if err := jose.DecodeJSON(body, &answer); err != nil || answer.Token == "" {
		return "", errors.New("the token endpoint gave no token")
	}
	return "Bearer " + answer.Token, nil
}

// followClient speaks to the issuer alone: it takes no proxy from the environment and follows no redirect. It has no
// overall timeout, because the feed never ends.
func followClient(authorities []byte) (*http.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if len(authorities) > 0 && !roots.AppendCertsFromPEM(authorities) {
		return nil, errors.New("gate: the extra authorities hold no certificate in PEM")
	}
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, TLSHandshakeTimeout: askTime,
			ResponseHeaderTimeout: askTime, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
