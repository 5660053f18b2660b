// Package device is the device authorization grant (RFC 8628) but for its token request: a device without a browser gets a
// code, and the person types it on a device of theirs, signs in, and decides on a page that says who asks, from where, and
// what for. No code is ever approved by a link alone (RFC 8628 section 5.4, the cross-device best current practice).
package device

import (
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// How long a code lives, and how long a device waits between polls (V08, V03).
const (
	Life     = 10 * time.Minute
	Interval = 5 * time.Second
)

// Place is where people enter codes.
const Place = "/device"

// Clients proves who calls.
type Clients interface {
	Authenticate(r *http.Request, form web.Form) (iam.Client, error)
}

// Proofs finds out which keys a caller proved. It may set headers of the answer (DPoP-Nonce). Spend is called before anything
// is given.
type Proofs interface {
	Offered(w http.ResponseWriter, r *http.Request) (proven iam.Binding, spend func() error, err error)
}

// Endpoint is /device_authorization. The fields up to Network are required.
type Endpoint struct {
	Issuer  string
	Clients Clients
	Parser  *request.Parser
	Asking  iam.Asking
	Key     []byte // of the hash of user codes: a subkey that the nodes share
	Network func(*http.Request) string

	Proofs Proofs // nil: nobody proves a key
	// Complete tells which clients are given an address that has the code in it, for a QR code: whoever sends such an
	// address to others spares them the typing that makes them think. Nil: none.
	Complete func(iam.Client) bool
	// Throttle bounds the codes of one client in one network: whoever has its id can ask for them, and each is kept for
	// ten minutes. Nil: nobody is counted.
	Throttle *limit.Limiter
	Now      func() time.Time // nil: time.Now
}

// answer is what a device gets (RFC 8628 section 3.2).
type answer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	Place      string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete,omitempty"`
	ExpiresIn  int64  `json:"expires_in"`
	Interval   int64  `json:"interval"`
}

// unread are parameters that would change the meaning of a request, and have none here.
var unread = []string{"claims", "max_age", "dpop_jkt", "id_token_hint", "prompt"}

// Authorize answers a device authorization request (RFC 8628 section 3.1).
func (e *Endpoint) Authorize(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	client, err := e.Clients.Authenticate(r, form)
	if err != nil {
		return err
	}
	if !client.MayUse(oauth.DeviceCode) {
		return oauth.UnauthorizedClient("the client is not registered for this grant")
	}
	if client.Demands().SignedRequest { // RFC 8628 knows no request objects
		return oauth.UnauthorizedClient("this client's requests must be signed, and none can be here")
	}
	for _, name := range unread {
		if form.Has(name) {
			return oauth.InvalidRequest("the parameter %s has no meaning here", name)
		}
	}
	wanted, err := e.Parser.ParseOf(r.Context(), request.Device, client, form)
	if err != nil {
		return err
	}
	proven, spend := iam.Binding{}, func() error { return nil }
	if e.Proofs != nil {
		if proven, spend, err = e.Proofs.Offered(w, r); err != nil {
			return err
		}
	}
	if err := e.slow(r, client); err != nil {
		return err
	}
	if err := spend(); err != nil {
		return err
	}
	given, err := e.ask(r, client, iam.Asked{Query: wanted.Query(), JKT: proven.JKT})
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, true, given)
}

func (e *Endpoint) slow(r *http.Request, client iam.Client) error {
	if e.Throttle == nil {
		return nil
	}
	if ok, wait := e.Throttle.Allow(client.ID+" "+e.Network(r), 1); !ok {
		return web.RetryAfter(oauth.TooManyRequests("too many codes were asked for"), wait)
	}
	return nil
}

// most is how many user codes are tried until one is free: that two of them meet is a chance of one in a million.
const most = 5

func (e *Endpoint) ask(r *http.Request, client iam.Client, asked iam.Asked) (answer, error) {
	now, value := e.now(), iam.NewSecret(iam.PrefixDevice)
	asked.Hash, asked.Kind, asked.ID, asked.Client, asked.State = iam.HashDevice(value), iam.AskedDevice, uuid.NewString(), client.ID, iam.AskedWaiting
	asked.Address, asked.Agent = e.Network(r), session.Agent(r)
	asked.Interval, asked.Created, asked.Expires = Interval, now, now.Add(Life)
	err := iam.ErrExists
	code := ""
	for tries := 0; errors.Is(err, iam.ErrExists) && tries < most; tries++ {
		code = iam.NewUserCode()
		if asked.UserCode = iam.HashUserCode(e.Key, code); iam.Digest(asked.UserCode).Zero() {
			return answer{}, errors.New("device: there is no key for user codes")
		}
		err = e.Asking.Ask(r.Context(), asked)
	}
	if errors.Is(err, iam.ErrRevoked) { // disabled while it asked
		return answer{}, oauth.InvalidClient().Because(err)
	}
	given := answer{value, code, e.Issuer + Place, "", int64(Life / time.Second), int64(Interval / time.Second)}
	if e.Complete != nil && e.Complete(client) {
		given.Complete = given.Place + "?user_code=" + code
	}
	return given, err
}

func (e *Endpoint) now() time.Time { return moment(e.Now) }

func moment(now func() time.Time) time.Time {
	if now != nil {
		return now().UTC()
	}
	return time.Now().UTC()
}
