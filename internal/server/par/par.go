// Package par is the pushed authorization request endpoint (RFC 9126): a client that has proved itself hands its request
// over, and gets a name for it that a browser can carry. Nothing is told to any browser here, and no person is asked.
package par

import (
	"errors"
	"net/http"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/web"
)

// Life is how long a pushed request waits for its first arrival at /authorize (P04, P19).
const Life = 90 * time.Second

// Waiting is how many pushed requests of one client may wait, for a browser or for the person in it (P19).
const Waiting = 10_000

// Clients proves who calls.
type Clients interface {
	Authenticate(r *http.Request, form web.Form) (iam.Client, error)
}

// Proofs finds out which keys a caller proved. It may set headers of the answer (DPoP-Nonce); its errors are
// invalid_dpop_proof and use_dpop_nonce. Spend is called once the request is found good, and before anything is given.
type Proofs interface {
	Offered(w http.ResponseWriter, r *http.Request) (proven iam.Binding, spend func() error, err error)
}

// Endpoint is /par. All fields but Proofs, Most, Strangers, Network and Now are required.
type Endpoint struct {
	Clients Clients
	Parser  *request.Parser
	Pushed  iam.PushedRequests
	Proofs  Proofs           // nil: nobody proves a key
	Most    int              // that wait for one client; 0: Waiting
	Now     func() time.Time // nil: time.Now

	// Strangers bounds what one network pushes for a client that proves nothing: anybody who knows its id could else take
	// all the places of those who use it. It needs Network; nil: nobody is counted.
	Strangers *limit.Limiter
	Network   func(*http.Request) string
}

// answer is what a client gets (RFC 9126 section 2.2).
type answer struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int64  `json:"expires_in"`
}

// Push takes a request (RFC 9126 section 2.1). It is read like one that comes to /authorize, so that whatever is wrong
// with it the client hears now.
func (e *Endpoint) Push(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	client, err := e.Clients.Authenticate(r, form)
	if err != nil {
		return err
	}
	if err := e.slow(r, client); err != nil {
		return err
	}
	// Before the request is read: who is asked for a nonce sends the same request object again, whose id may come once.
	proven, spend, err := e.prove(w, r)
	if err != nil {
		return err
	}
	asked, err := e.Parser.ParseOf(r.Context(), request.Pushed, client, form)
	if err != nil {
		return err
	}
	if proven.JKT != "" {
		if err := asked.BindTo(proven.JKT); err != nil {
			return err
		}
	}
	if err := spend(); err != nil {
		return err
	}
	value := iam.RequestURN + iam.NewSecret(iam.PrefixPushed)
	now := e.now()
	err = e.Pushed.Push(r.Context(), iam.Pushed{
		Hash: iam.HashPushed(value), Client: client.ID, Query: asked.Query(), Created: now, Expires: now.Add(Life),
	}, e.most())
	switch {
	case errors.Is(err, iam.ErrRevoked): // disabled while it asked
		return oauth.InvalidClient().Because(err)
	case errors.Is(err, iam.ErrExists):
		return web.RetryAfter(oauth.TooManyRequests("too many pushed requests of this client wait for a browser"), Life)
	case err != nil:
		return err
	}
	return web.JSON(w, http.StatusCreated, true, answer{value, int64(Life / time.Second)})
}

func (e *Endpoint) slow(r *http.Request, client iam.Client) error {
	if e.Strangers == nil || client.Auth != oauth.AuthNone {
		return nil
	}
	if ok, wait := e.Strangers.Allow(client.ID+" "+e.Network(r), 1); !ok {
		return web.RetryAfter(oauth.TooManyRequests("too many requests were pushed from this network"), wait)
	}
	return nil
}

// prove finds the key of a DPoP proof that came along: the code can then be redeemed only with it (RFC 9449 section 10.1).
func (e *Endpoint) prove(w http.ResponseWriter, r *http.Request) (proven iam.Binding, spend func() error, err error) {
	if e.Proofs == nil {
		return iam.Binding{}, func() error { return nil }, nil
	}
	return e.Proofs.Offered(w, r)
}

func (e *Endpoint) most() int {
	if e.Most > 0 {
		return e.Most
	}
	return Waiting
}

func (e *Endpoint) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC()
	}
	return time.Now().UTC()
}
