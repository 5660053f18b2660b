// Package clientauth proves which client calls, for every endpoint that clients call directly: a file per method and one
// visible list (all.go). Exactly one method may be shown, and it must be the one that the client is registered for.
package clientauth

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// Method is one way for a client to prove itself.
type Method interface {
	Name() oauth.AuthMethod
	// Read tells whether the request shows this method, and which client it claims to be. An error is a malformed request.
	// Several methods may read the very same proof; the client's registration says which of them it is.
	Read(r *http.Request, form web.Form) (shown Shown, present bool, err error)
	// Verify proves the claim; any error means that it is not proved.
	Verify(ctx context.Context, client iam.Client, shown Shown) error
}

// Shown is what a request claims and shows.
type Shown struct {
	Client string
	By     string              // where the proof stands: the same one in two places is two proofs
	Proof  string              // secret or assertion; empty for none and for certificates
	Chain  []*x509.Certificate // of the connection, the sender's own first; only methods of mutual TLS read it
}

// Where a proof can stand. A client that is only named has none.
const (
	inHeader    = "the Authorization header"
	inBody      = "client_secret"
	inAssertion = "client_assertion"
)

func (s Shown) same(other Shown) bool {
	return s.Client == other.Client && s.By == other.By && s.Proof == other.Proof
}

// Prover authenticates clients. All fields but Throttle, Report and Now are required.
type Prover struct {
	Clients  iam.Clients
	Methods  []Method
	Throttle *limit.Limiter                                 // failed proofs, per client and network; nil: none
	Network  func(*http.Request) string                     // of the caller, for Throttle
	Report   func(ctx context.Context, client, what string) // a known client was refused; nil: not reported
	Used     func(ctx context.Context, client iam.Client)   // a client has proved itself; it must return at once; nil: not told
	Now      func() time.Time                               // nil: time.Now
}

// Authenticate gives the client that proved itself. Its errors are invalid_client for every failed proof, in the same
// words whether the client is unknown, disabled or wrong (T29), and invalid_request for a malformed one.
func (p *Prover) Authenticate(r *http.Request, form web.Form) (iam.Client, error) {
	shown, err := p.read(r, form)
	if err != nil {
		return iam.Client{}, err
	}
	named := shown[0].Client
	if err := p.slow(r, named); err != nil {
		return iam.Client{}, err
	}
	client, err := p.Clients.Client(r.Context(), named)
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return iam.Client{}, p.refuse(r, named, nil, err)
	case err != nil:
		return iam.Client{}, err
	}
	if err := p.prove(r.Context(), client, shown); err != nil {
		if unavailable(err) {
			return iam.Client{}, err
		}
		return iam.Client{}, p.refuse(r, named, &client, err)
	}
	if p.Used != nil {
		p.Used(r.Context(), client)
	}
	return client, nil
}

// prove tries what was shown by the one method that the client is registered for, if its profile lets it have that.
func (p *Prover) prove(ctx context.Context, client iam.Client, shown []reading) error {
	if client.Disabled {
		return iam.ErrRevoked
	}
	demands := client.Demands()
	if demands.Confidential && client.Auth == oauth.AuthNone || len(demands.Auth) > 0 && !slices.Contains(demands.Auth, string(client.Auth)) {
		return errors.New("the profile " + string(client.Profile) + " forbids " + string(client.Auth))
	}
	if exception := exceptionOf(client.Auth); exception != "" && !client.Allows(exception, p.now()) {
		return errors.New("registered for " + string(client.Auth) + ", which needs the exception " + exception + ", and none is in force")
	}
	for _, each := range shown {
		if each.method.Name() == client.Auth {
			return each.method.Verify(ctx, client, each.Shown)
		}
	}
	return wrongMethod(client, shown[0].method)
}

func (p *Prover) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// exceptionOf names the exception that a client needs for a method, also on the day after the recipe was checked.
func exceptionOf(method oauth.AuthMethod) string {
	if method == oauth.AuthPost || method == oauth.AuthSecretJWT {
		return string(method)
	}
	return ""
}

// reading is what one method makes of a request.
type reading struct {
	Shown
	method Method
}

// Identify is Authenticate for doors that public clients without any proof must not pass (introspection).
func (p *Prover) Identify(r *http.Request, form web.Form) (iam.Client, error) {
	client, err := p.Authenticate(r, form)
	if err == nil && client.Auth == oauth.AuthNone {
		return iam.Client{}, oauth.InvalidClient().Because(errors.New("a client without a proof of its own"))
	}
	return client, err
}

// read finds the one proof that is shown. Two at once are refused, also when both are right (RFC 6749 section 2.3). A
// certificate is none by itself: a client may bring one to have its tokens bound, whatever it proves itself by.
func (p *Prover) read(r *http.Request, form web.Form) ([]reading, error) {
	var found []reading
	for _, method := range p.Methods {
		shown, present, err := method.Read(r, form)
		if err != nil {
			return nil, err
		}
		if !present {
			continue
		}
		if len(found) > 0 && !found[0].same(shown) {
			return nil, oauth.InvalidRequest("the client proves itself in more than one way")
		}
		found = append(found, reading{shown, method})
	}
	if len(found) == 0 {
		return nil, oauth.InvalidRequest("client_id or another client authentication is missing")
	}
	client := found[0].Client
	if named := form.Value("client_id"); named != "" && named != client {
		return nil, oauth.InvalidClient().Because(errors.New("client_id and the proof name different clients"))
	}
	if client == "" || len(client) > maxClientID {
		return nil, oauth.InvalidClient().Because(errors.New("no client id, or one that is too long"))
	}
	return found, nil
}

const maxClientID = 512

func wrongMethod(client iam.Client, method Method) error {
	if client.Public() {
		return errors.New("a client that can keep no secret showed one: take it out of the application, it is not secret")
	}
	return errors.New("registered for " + string(client.Auth) + ", but showed " + string(method.Name()))
}

// slow answers 429 when this client's failures from this network are too many. Success costs nothing, and another
// network has its own budget, so that a stranger can't silence a client.
func (p *Prover) slow(r *http.Request, client string) error {
	if p.Throttle == nil {
		return nil
	}
	key := p.key(r, client)
	ok, wait := p.Throttle.Allow(key, 1)
	if !ok {
		return web.RetryAfter(oauth.TooManyRequests("too many failed proofs of this client"), wait)
	}
	p.Throttle.Return(key, 1)
	return nil
}

func (p *Prover) key(r *http.Request, client string) string {
	network := r.RemoteAddr
	if p.Network != nil {
		network = p.Network(r)
	} else if host, _, err := net.SplitHostPort(network); err == nil {
		network = host
	}
	return network + "|" + client
}

func (p *Prover) refuse(r *http.Request, named string, client *iam.Client, cause error) error {
	if p.Throttle != nil {
		p.Throttle.Allow(p.key(r, named), 1)
	}
	if client != nil && p.Report != nil {
		p.Report(r.Context(), client.ID, cause.Error())
	}
	return oauth.InvalidClient().Because(cause)
}

func unavailable(err error) bool {
	var down interface{ Unavailable() bool }
	return errors.As(err, &down) && down.Unavailable()
}

// Secrets resolves a secret reference of the recipe to the hash of its value.
type Secrets func(ref string) (iam.Digest, error)

// secretFits compares a shown secret with every live secret of the client, generated or referred to. An empty one never
// fits.
func secretFits(client iam.Client, shown string, resolve Secrets, now time.Time) error {
	if shown == "" {
		return errors.New("an empty secret")
	}
	hash := iam.Digest(sha256.Sum256([]byte(shown)))
	fits := false
	for _, secret := range client.Secrets {
		alive := secret.Expires.IsZero() || now.Before(secret.Expires)
		fits = hash.Equal(secret.Hash) && alive || fits
	}
	for _, ref := range client.SecretRefs {
		value, err := resolve(ref)
		if err != nil {
			return err
		}
		fits = hash.Equal(value) || fits
	}
	if !fits {
		return errors.New("wrong secret")
	}
	return nil
}

// Names lists the methods, for discovery.
func Names(methods []Method) []oauth.AuthMethod {
	var names []oauth.AuthMethod
	for _, method := range methods {
		if !slices.Contains(names, method.Name()) {
			names = append(names, method.Name())
		}
	}
	return names
}
