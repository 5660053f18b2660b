// Package register lets clients come by themselves: dynamic registration and its management (RFC 7591, RFC 7592, OpenID
// Connect Dynamic Client Registration), and clients whose id is the address of a document that describes them. Each lives
// under a policy of the recipe, which judges it by the same rules on every create, update and reading. It knows nothing of
// what clients do later.
package register

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// Place is where registration stands: Place/POLICY for one policy, Place alone while there is exactly one.
const Place = "/register"

// Store keeps what registers.
type Store interface {
	iam.Registrations
	Initial(ctx context.Context, hash iam.InitialHash, now time.Time) (iam.Initial, error)
}

// Limiter bounds what strangers can cause; *limit.Limiter is one.
type Limiter interface {
	Allow(key string, cost int) (ok bool, retryAfter time.Duration)
}

// Endpoint is registration and its management. Throttle and Network may be nil; all else is required.
type Endpoint struct {
	Issuer   string
	Rules    *Rules
	Store    Store
	Seal     func(id, secret string) (string, error) // of a generated secret that client_secret_jwt needs, by its id
	Throttle Limiter                                 // registrations without an initial access token, by network
	Network  func(*http.Request) string
	Now      func() time.Time // nil: time.Now
}

// Address gives the registration_endpoint of metadata: there is one only while exactly one policy stands, since clients
// can't choose among several by themselves.
func Address(issuer string, bundle *recipe.Bundle) string {
	if bundle == nil || len(bundle.Recipe.Registration) != 1 {
		return ""
	}
	return issuer + Place
}

// Register is POST Place and POST Place/{policy}: it answers 201 with what is kept (RFC 7591 section 3.2.1).
func (e *Endpoint) Register(w http.ResponseWriter, r *http.Request) error {
	name, policy, err := e.Rules.policy(r.PathValue("policy"))
	if err != nil {
		return err
	}
	if r.Method != http.MethodPost {
		return web.MethodNotAllowed(http.MethodPost)
	}
	initial, err := e.admit(r, name, policy)
	if err != nil {
		return err
	}
	said, err := e.Rules.read(r, policy)
	if err != nil {
		return err
	}
	if initial == (iam.InitialHash{}) && !policy.Open && said.Statement == "" {
		return nobody()
	}
	client, err := e.Rules.judge(r.Context(), name, said)
	if err != nil {
		return err
	}
	client.ID, client.Source = iam.RegisteredPrefix+strings.ToLower(rand.Text()), iam.FromRegistration
	secret, err := e.newSecret(&client)
	if err != nil {
		return err
	}
	return e.keep(w, r, client, said, secret, initial, policy.Limit())
}

// keep makes the client durable and answers with it.
func (e *Endpoint) keep(w http.ResponseWriter, r *http.Request, client iam.Client, said Metadata, secret string, initial iam.InitialHash, most int) error {
	document, err := kept(client, said)
	if err != nil {
		return err
	}
	keeper := iam.NewSecret(iam.PrefixKeeper)
	registered := iam.Registered{
		Client: client, Keeper: iam.HashKeeper(keeper), Document: document, Created: e.now().UTC(), Used: e.now().UTC(),
	}
	switch err := e.Store.Register(r.Context(), registered, initial, most, e.event(r, client, "registered under "+client.Policy)); {
	case errors.Is(err, iam.ErrExists):
		return &oauth.Error{Code: "access_denied", Description: "as many clients as may stand under this policy do", Status: http.StatusForbidden}
	case gone(err):
		return badInitial(err)
	case err != nil:
		return err
	}
	return e.answer(w, http.StatusCreated, registered, keeper, secret)
}

// admit judges the initial access token, where one is shown (RFC 7591 section 3), and slows down those who show none.
func (e *Endpoint) admit(r *http.Request, name string, policy recipe.Registration) (iam.InitialHash, error) {
	token, shown, err := bearer(r)
	if err != nil {
		return iam.InitialHash{}, err
	}
	if !shown && policy.Open && policy.Trusted { // a test of conformance registers for each of its modules
		return iam.InitialHash{}, nil
	}
	if !shown {
		return iam.InitialHash{}, e.slow(r)
	}
	hash := iam.HashInitial(token)
	initial, err := e.Store.Initial(r.Context(), hash, e.now())
	switch {
	case gone(err):
		return iam.InitialHash{}, badInitial(err)
	case err != nil:
		return iam.InitialHash{}, err
	case initial.Policy != name:
		return iam.InitialHash{}, badInitial(errors.New("it is for the policy " + initial.Policy))
	}
	return hash, nil
}

func gone(err error) bool {
	return errors.Is(err, iam.ErrNotFound) || errors.Is(err, iam.ErrExpired) || errors.Is(err, iam.ErrSpent)
}

func badInitial(cause error) error {
	return challenge("invalid_token", oauth.InvalidToken("the initial access token is unknown, spent, expired or for another policy").Because(cause))
}

// nobody is the answer to a request without any token.
func nobody() error { return challenge("", web.ErrNoCredentials) }

// challenge says with a refusal which credentials would be taken (RFC 6750 section 3), whatever face tells it.
func challenge(code string, err error) error {
	header := `Bearer realm="garde"`
	if code != "" {
		header += `, error="` + code + `"`
	}
	return web.WithHeader(err, "WWW-Authenticate", header)
}

func (e *Endpoint) slow(r *http.Request) error {
	if e.Throttle == nil || e.Network == nil {
		return nil
	}
	if ok, wait := e.Throttle.Allow(e.Network(r), 1); !ok {
		return web.RetryAfter(oauth.TooManyRequests("too many registrations from here"), wait)
	}
	return nil
}

// bearer gives the one token of the Authorization header (RFC 6750 section 2.1).
func bearer(r *http.Request) (token string, shown bool, err error) {
	sent := r.Header.Values("Authorization")
	if len(sent) == 0 {
		return "", false, nil
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	if len(sent) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", false, oauth.InvalidRequest("one Authorization header of the scheme Bearer, or none")
	}
	if oauth.TokenInQuery(r.URL.RawQuery) {
		return "", false, oauth.InvalidRequest("the token is sent in two ways: it belongs into the Authorization header alone")
	}
	return strings.TrimLeft(token, " "), true, nil
}

// newSecret gives the client the secret that its method asks for, in place of those it had.
func (e *Endpoint) newSecret(client *iam.Client) (string, error) {
	client.Secrets = nil
	if !secretive(client.Auth) {
		return "", nil
	}
	value := iam.NewSecret(iam.PrefixClient)
	made := iam.ClientSecret{ID: strings.ToLower(rand.Text()[:12]), Hash: iam.Hash(value), Created: e.now().UTC()}
	if client.Auth == oauth.AuthSecretJWT {
		var err error
		if made.Sealed, err = e.Seal(made.ID, value); err != nil {
			return "", err
		}
	}
	client.Secrets = []iam.ClientSecret{made}
	return value, nil
}

func secretive(method oauth.AuthMethod) bool {
	return method == oauth.AuthBasic || method == oauth.AuthPost || method == oauth.AuthSecretJWT
}

func (e *Endpoint) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

func (e *Endpoint) event(r *http.Request, client iam.Client, what string) journal.Event {
	return changed(e.now(), client, what, web.Trace(r.Context()))
}

func changed(now time.Time, client iam.Client, what, trace string) journal.Event {
	event := journal.New(now, journal.ClientChanged{What: what})
	event.Actor, event.Client, event.Trace = "client:"+client.ID, client.ID, trace
	return event
}
