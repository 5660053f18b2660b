// Package ask is how a Gate speaks to the Server as a client: it asks what an opaque token means (RFC 7662), whether a call
// is allowed (AuthZEN), which proofs and details were shown before, and gets itself the token by which it may. It remembers nothing that it was told: whether a verdict may be
// kept is for proxy to say.
package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/verify"
)

// The bounds of one question.
const (
	maxTime   = 5 * time.Second
	maxAnswer = 64 << 10
	maxAsking = 64 // connections at once: the Server must not be flooded through the Gate
)

// Config says whom the Gate asks, and as whom. All fields but Transport are required.
type Config struct {
	Issuer     string // of every token that the answers speak of
	Token      string // URL of the token endpoint
	Introspect string // URL of the introspection endpoint
	Client     string // client of the Gate, of type service, with client_secret_basic
	Secret     func() (seal.Secret, error)
	Transport  http.RoundTripper // nil: one without proxy, with the authorities of the system
}

// Server is the Server as the Gate sees it. It is safe for concurrent use.
type Server struct {
	config Config
	client *http.Client
}

// New makes it, or says what the configuration lacks.
func New(c Config) (*Server, error) {
	switch {
	case c.Issuer == "":
		return nil, errors.New("ask: no issuer is configured")
	case c.Token == "" || c.Introspect == "":
		return nil, errors.New("ask: the endpoints of the Server are not configured")
	case c.Client == "" || c.Secret == nil:
		return nil, errors.New("ask: the Gate has no credentials")
	}
	if c.Transport == nil {
		c.Transport = &http.Transport{
			ForceAttemptHTTP2: true, TLSHandshakeTimeout: maxTime, MaxConnsPerHost: maxAsking, MaxIdleConnsPerHost: maxAsking,
			IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 16 << 10,
		}
	}
	return &Server{config: c, client: &http.Client{
		Transport: c.Transport, Timeout: maxTime,
		// The credentials and the token are for this address alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Introspect asks what token means. A token that is not active is an invalid_token error; any other error means that it
// could not be found out. The claims are what the Server said, in an answer over the connection that we opened to it: they
// must still be judged as those of a signed token are.
//
// A text that is no opaque token of ours is refused without a question: strangers must not make the Gate ask.
func (s *Server) Introspect(ctx context.Context, token string) (verify.Claims, error) {
	if !iam.WellFormed(iam.PrefixAccess, token) {
		return verify.Claims{}, oauth.InvalidToken("the token is malformed")
	}
	body, err := s.post(ctx, s.config.Introspect, url.Values{"token": {token}, "token_type_hint": {"access_token"}})
	if err != nil {
		return verify.Claims{}, fmt.Errorf("introspect: %w", err)
	}
	return s.read(body)
}

// Authorize gives the Authorization header of a request to the Server's signals: a new token each time, because it is asked
// for when a connection begins, and the former one may be what was revoked.
func (s *Server) Authorize(ctx context.Context) (string, error) {
	body, err := s.post(ctx, s.config.Token, url.Values{"grant_type": {string(oauth.ClientCredentials)}, "scope": {oauth.ScopeGate}})
	if err != nil {
		return "", fmt.Errorf("get the Gate's own token: %w", err)
	}
	var answer struct {
		Token string `json:"access_token"`
		Type  string `json:"token_type"`
	}
	if err := jose.DecodeJSON(body, &answer); err != nil {
		return "", err
	}
	if answer.Token == "" || !strings.EqualFold(answer.Type, "Bearer") || strings.ContainsAny(answer.Token, " \r\n") {
		return "", errors.New("the token endpoint gave no Bearer token")
	}
	return "Bearer " + answer.Token, nil
}

// post sends a form as the Gate's client, each half of its credentials form-encoded (RFC 6749 section 2.3.1).
func (s *Server) post(ctx context.Context, to string, form url.Values) ([]byte, error) {
	secret, err := s.config.Secret()
	if err != nil {
		return nil, fmt.Errorf("the secret of the Gate: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(url.QueryEscape(s.config.Client), url.QueryEscape(secret.Reveal()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	response, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	case response.StatusCode != http.StatusOK:
		// Not one word of the body: it may repeat what was sent.
		return nil, fmt.Errorf("the Server answered %d", response.StatusCode)
	case kind != "application/json":
		return nil, errors.New("the answer is not JSON")
	}
	return body, nil
}

// statement is an answer of RFC 7662 section 2.2, with the claims of RFC 9068 and of our own.
type statement struct {
	Active    bool                `json:"active"`
	Issuer    string              `json:"iss"`
	Subject   string              `json:"sub"`
	Audience  audience            `json:"aud"`
	ClientID  string              `json:"client_id"`
	Scope     string              `json:"scope"`
	ID        string              `json:"jti"`
	IssuedAt  jose.NumericDate    `json:"iat"`
	NotBefore jose.NumericDate    `json:"nbf"`
	Expires   jose.NumericDate    `json:"exp"`
	AuthTime  jose.NumericDate    `json:"auth_time"`
	ACR       string              `json:"acr"`
	AMR       []string            `json:"amr"`
	SessionID string              `json:"sid"`
	Grant     string              `json:"grant_id"`
	Cnf       verify.Confirmation `json:"cnf"`
	Details   verify.Details      `json:"authorization_details"`
}

// read turns an answer into claims. Nothing that is absent is taken for granted but the issuer, whom we asked ourselves.
func (s *Server) read(body []byte) (verify.Claims, error) {
	var said statement
	if err := jose.DecodeJSON(body, &said); err != nil {
		return verify.Claims{}, fmt.Errorf("introspect: %w", err)
	}
	if !said.Active {
		return verify.Claims{}, oauth.InvalidToken("the token is not active")
	}
	scope, err := oauth.ParseScope(said.Scope)
	if err != nil {
		return verify.Claims{}, errors.New("introspect: the scope is malformed")
	}
	if said.Issuer == "" {
		said.Issuer = s.config.Issuer
	}
	return verify.Claims{
		Issuer: said.Issuer, Subject: said.Subject, Audience: said.Audience, ClientID: said.ClientID, Scope: scope,
		ID: said.ID, IssuedAt: said.IssuedAt, NotBefore: said.NotBefore, Expires: said.Expires, AuthTime: said.AuthTime,
		ACR: said.ACR, AMR: said.AMR, SessionID: said.SessionID, Grant: said.Grant, Confirmation: said.Cnf,
		Details: json.RawMessage(said.Details),
	}, nil
}

// audience is a text or a list of texts (RFC 7662 section 2.2).
type audience []string

// UnmarshalJSON reads both forms.
func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if jose.DecodeJSON(data, &one) == nil {
		*a = audience{one}
	} else if err := jose.DecodeJSON(data, (*[]string)(a)); err != nil {
		return errors.New("aud is neither a text nor a list")
	}
	if slices.Contains(*a, "") {
		return errors.New("aud is empty")
	}
	return nil
}
