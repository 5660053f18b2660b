// Package client is what each application of the demonstration knows of the protocol: it asks the Server for tokens and
// shows them to the Gate, as bearer tokens or bound to a key. It believes no answer that it has not looked at, and knows
// nothing of accounts and pages.
package client

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Bounds of what a client of the bank waits for and reads.
const (
	answerLimit = 1 << 20
	answerTime  = 10 * time.Second
)

// Denied is what the server said no with (RFC 6749 sections 4.1.2.1 and 5.2).
type Denied struct {
	Status      int // 0: the answer came through the browser
	Code        string
	Description string
}

// Error says it in the words of the server.
func (d *Denied) Error() string {
	if d.Description == "" {
		return "the server answered " + d.Code
	}
	return "the server answered " + d.Code + ": " + d.Description
}

// Forged is an answer that did not come from the server that was asked, or not to the browser that asked.
type Forged struct{ Why string }

// Error says why.
func (f *Forged) Error() string { return "the answer was not taken: " + f.Why }

// Client is one application, in its dealings with Server and Gate. It is safe for concurrent use; its fields are set
// before the first.
type Client struct {
	ID       string
	Issuer   string
	Resource string
	Key      *Key // nil for a client that can keep none
	Proof    *Key // what its tokens are bound to (DPoP); nil for bearer tokens
	HTTP     *http.Client
	Now      func() time.Time

	mu     sync.Mutex
	known  *server
	nonces nonces
}

// server is what discovery told.
type server struct {
	provider *oidc.Provider
	endpoint oauth2.Endpoint
	meta     metadata
}

type metadata struct {
	Challenges []string `json:"code_challenge_methods_supported"`
	Answers    bool     `json:"authorization_response_iss_parameter_supported"`
	Logout     string   `json:"end_session_endpoint"`
	Revocation string   `json:"revocation_endpoint"`
	UserInfo   string   `json:"userinfo_endpoint"`
	Keys       string   `json:"jwks_uri"`
	Pushed     string   `json:"pushed_authorization_request_endpoint"`
	Proofs     []string `json:"dpop_signing_alg_values_supported"`
}

// Attempt is one sign-in under way, bound to the browser that began it.
type Attempt struct {
	State, Nonce, Verifier string
	Scope, Redirect        string
	Begun                  time.Time
}

// Grant is what a client holds of a person, or of itself.
type Grant struct {
	Access  string    `json:"access_token"`
	Refresh string    `json:"refresh_token,omitempty"`
	ID      string    `json:"id_token,omitempty"`
	Scope   string    `json:"scope"`
	Subject string    `json:"sub,omitempty"`
	Device  string    `json:"device_secret,omitempty"` // what apps on one device share a sign-in by
	Expires time.Time `json:"expires"`
}

// NewHTTP makes an HTTP client that follows no redirect, waits and reads no longer than said, and sends no cookie.
func NewHTTP() *http.Client {
	transport := &http.Transport{
		Proxy: nil, ResponseHeaderTimeout: answerTime, IdleConnTimeout: 30 * time.Second, MaxIdleConnsPerHost: 16,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{
		Transport: limited{transport}, Timeout: answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type limited struct{ next http.RoundTripper }

// RoundTrip cuts every answer at answerLimit.
func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, answerLimit), response.Body}
	return response, nil
}

// discover reads the server's metadata once; a failure is tried again the next time.
func (c *Client) discover(ctx context.Context) (*server, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known != nil {
		return c.known, nil
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(ctx, c.HTTP), c.Issuer)
	if err != nil {
		return nil, fmt.Errorf("ask the server who it is: %w", err)
	}
	found := &server{provider: provider, endpoint: provider.Endpoint()}
	if err := provider.Claims(&found.meta); err != nil {
		return nil, fmt.Errorf("ask the server who it is: %w", err)
	}
	if !slices.Contains(found.meta.Challenges, "S256") {
		return nil, &Forged{"the server does not say that it knows PKCE with S256"}
	}
	if c.Proof != nil && (found.meta.Pushed == "" || !slices.Contains(found.meta.Proofs, "ES256")) {
		return nil, &Forged{"the server does not say that it knows PAR, and DPoP with ES256"}
	}
	if found.endpoint.AuthURL == "" || found.endpoint.TokenURL == "" || found.meta.Keys == "" {
		return nil, &Forged{"the server does not say where people sign in, where codes are redeemed, or which keys are its own"}
	}
	// A document that sends codes or proofs elsewhere is not believed.
	for _, address := range []string{found.endpoint.AuthURL, found.endpoint.TokenURL, found.meta.Keys,
		found.meta.Logout, found.meta.Revocation, found.meta.UserInfo, found.meta.Pushed} {
		if address != "" && origin(address) != origin(c.Issuer) {
			return nil, &Forged{"the server names an endpoint on another host"}
		}
	}
	c.known = found
	return found, nil
}

// Begin makes an attempt and the address that the browser is sent to.
func (c *Client) Begin(ctx context.Context, redirect, scope string, more ...oauth2.AuthCodeOption) (Attempt, string, error) {
	known, err := c.discover(ctx)
	if err != nil {
		return Attempt{}, "", err
	}
	a := Attempt{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		Scope: scope, Redirect: redirect, Begun: c.Now(),
	}
	config := oauth2.Config{ClientID: c.ID, RedirectURL: redirect, Scopes: strings.Fields(scope), Endpoint: known.endpoint}
	options := append([]oauth2.AuthCodeOption{
		oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier), oauth2.SetAuthURLParam("resource", c.Resource),
	}, more...)
	address := config.AuthCodeURL(a.State, options...)
	if c.Proof != nil {
		address, err = c.push(ctx, known, address)
	}
	return a, address, err
}

// Finish judges the answer that came through the browser and fetches the tokens. Whatever fails before the code is
// sent leaves no trace at the server.
func (c *Client) Finish(ctx context.Context, a Attempt, answer url.Values) (Grant, error) {
	known, err := c.discover(ctx)
	if err != nil {
		return Grant{}, err
	}
	for _, name := range []string{"code", "state", "iss", "error", "error_description"} {
		if len(answer[name]) > 1 {
			return Grant{}, &Forged{name + " stands there twice"}
		}
	}
	// The state says that this browser began it; iss says who answers (RFC 9207 section 2.4).
	if a.State == "" || subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(a.State)) != 1 {
		return Grant{}, &Forged{"its state is not the one that was sent"}
	}
	if (known.meta.Answers || answer.Has("iss")) && answer.Get("iss") != c.Issuer {
		return Grant{}, &Forged{"it names another issuer"}
	}
	if answer.Has("error") {
		return Grant{}, &Denied{Code: answer.Get("error"), Description: answer.Get("error_description")}
	}
	if answer.Get("code") == "" {
		return Grant{}, &Forged{"it has no code"}
	}
	g, err := c.token(ctx, url.Values{
		"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "redirect_uri": {a.Redirect},
		"code_verifier": {a.Verifier}, "resource": {c.Resource},
	})
	if err != nil {
		return Grant{}, err
	}
	if g.Scope == "" {
		g.Scope = a.Scope
	}
	g.Subject, err = c.identify(ctx, known, g, a.Nonce)
	return g, err
}

// identify verifies the ID token (OpenID Connect Core section 3.1.3.7) and gives its subject.
func (c *Client) identify(ctx context.Context, known *server, g Grant, nonce string) (string, error) {
	if g.ID == "" {
		return "", &Forged{"there is no ID token"}
	}
	// The algorithm is the one that the client registered for, whatever the token's header says.
	verifier := known.provider.Verifier(&oidc.Config{ClientID: c.ID, SupportedSigningAlgs: []string{oidc.ES256}, Now: c.Now})
	token, err := verifier.Verify(oidc.ClientContext(ctx, c.HTTP), g.ID)
	if err != nil {
		return "", fmt.Errorf("verify the ID token: %w", errors.Join(&Forged{"its ID token does not verify"}, err))
	}
	var claims struct {
		AZP string `json:"azp"`
	}
	if err := token.Claims(&claims); err != nil {
		return "", fmt.Errorf("read the ID token: %w", err)
	}
	switch {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return "", &Forged{"its ID token was made for another sign-in"}
	case len(token.Audience) != 1 || claims.AZP != "" && claims.AZP != c.ID:
		return "", &Forged{"its ID token is for somebody else as well"}
	case token.Subject == "":
		return "", &Forged{"its ID token names nobody"}
	case token.IssuedAt.After(c.Now().Add(time.Minute)):
		return "", &Forged{"its ID token is from the future"}
	}
	if token.AccessTokenHash != "" {
		if err := token.VerifyAccessToken(g.Access); err != nil {
			return "", &Forged{"its ID token belongs to another access token"}
		}
	}
	return token.Subject, nil
}

// Renew trades the refresh token for new tokens. What the server leaves out stays as it was (RFC 6749 section 6).
func (c *Client) Renew(ctx context.Context, old Grant) (Grant, error) {
	g, err := c.token(ctx, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.Refresh}, "resource": {c.Resource}})
	if err != nil {
		return Grant{}, err
	}
	if g.Refresh == "" {
		g.Refresh = old.Refresh
	}
	if g.Scope == "" {
		g.Scope = old.Scope
	}
	// The first ID token proved who signed in; the newest access token says the rest.
	g.ID, g.Subject = old.ID, old.Subject
	return g, nil
}

// Itself gives the client a token for itself (RFC 6749 section 4.4).
func (c *Client) Itself(ctx context.Context, scope string) (Grant, error) {
	return c.token(ctx, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}, "resource": {c.Resource}})
}

// token sends one request to the token endpoint.
func (c *Client) token(ctx context.Context, form url.Values) (Grant, error) {
	known, err := c.discover(ctx)
	if err != nil {
		return Grant{}, err
	}
	asked := c.Now()
	body, err := c.post(ctx, known.endpoint.TokenURL, form)
	if err != nil {
		return Grant{}, err
	}
	var told struct {
		Access  string `json:"access_token"`
		Kind    string `json:"token_type"`
		Life    int64  `json:"expires_in"`
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
		Scope   string `json:"scope"`
		Device  string `json:"device_secret"`
	}
	if err := json.Unmarshal(body, &told); err != nil {
		return Grant{}, errors.New("the token endpoint's answer is no JSON")
	}
	// A token of another kind than was asked for is not taken: one that is bound to nothing least of all.
	kind := "Bearer"
	if c.Proof != nil {
		kind = "DPoP"
	}
	if told.Access == "" || !strings.EqualFold(told.Kind, kind) || told.Life <= 0 || told.Life > 86400 {
		return Grant{}, errors.New("the token endpoint's answer is incomplete")
	}
	return Grant{
		Access: told.Access, Refresh: told.Refresh, ID: told.ID, Scope: told.Scope, Device: told.Device,
		Expires: asked.Add(time.Duration(told.Life) * time.Second),
	}, nil
}

// Logout is where people are sent to end their session at the server; "" if there is no such place, or no answer.
func (c *Client) Logout(ctx context.Context) string {
	known, err := c.discover(ctx)
	if err != nil {
		return ""
	}
	return known.meta.Logout
}

// Revoke ends a token (RFC 7009); the server answers the same for one that it does not know.
func (c *Client) Revoke(ctx context.Context, token string) error {
	known, err := c.discover(ctx)
	if err != nil || known.meta.Revocation == "" || token == "" {
		return err
	}
	_, err = c.post(ctx, known.meta.Revocation, url.Values{"token": {token}, "token_type_hint": {"refresh_token"}})
	return err
}

// Named asks who the person is in words. An answer about somebody else is not taken (OpenID Connect Core section 5.3.2).
func (c *Client) Named(ctx context.Context, g Grant) (string, error) {
	known, err := c.discover(ctx)
	if err != nil || known.meta.UserInfo == "" {
		return "", err
	}
	info, err := known.provider.UserInfo(oidc.ClientContext(ctx, c.HTTP), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: g.Access, TokenType: "Bearer"}))
	if err != nil {
		return "", fmt.Errorf("ask who the person is: %w", err)
	}
	if info.Subject != g.Subject {
		return "", &Forged{"userinfo speaks of somebody else"}
	}
	var claims struct {
		Name     string `json:"name"`
		Username string `json:"preferred_username"`
	}
	if err := info.Claims(&claims); err != nil {
		return "", fmt.Errorf("ask who the person is: %w", err)
	}
	if claims.Name != "" {
		return claims.Name, nil
	}
	return claims.Username, nil
}

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
