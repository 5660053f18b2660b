// Package ciba is client-initiated backchannel authentication (OpenID CIBA Core 1.0) but for its token request: a client
// names a person and waits; the person decides on a page of their account, or in an application of theirs that may decide in
// their name; the client polls, is pinged, or, where the recipe names it for that, is sent the tokens.
package ciba

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/callback"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/web"
)

// How long a request waits for its person, if the client does not say, and at the most; and how long a client waits between
// polls.
const (
	Life     = 5 * time.Minute
	MaxLife  = 30 * time.Minute
	Interval = 5 * time.Second
)

// Clients proves who calls.
type Clients interface {
	Authenticate(r *http.Request, form web.Form) (iam.Client, error)
}

// Proofs finds out which keys a caller proved. It may set headers of the answer (DPoP-Nonce). Spend is called before anybody is
// asked.
type Proofs interface {
	Offered(w http.ResponseWriter, r *http.Request) (proven iam.Binding, spend func() error, err error)
}

// Endpoint is /bc-authorize. The fields up to Network are required.
type Endpoint struct {
	Issuer  string
	Clients Clients
	Parser  *request.Parser
	Asking  iam.Asking
	Users   iam.Users
	Notices callback.Notices
	Limits  *Limits
	Network func(*http.Request) string

	Proofs  Proofs                                      // nil: nobody proves a key
	Keys    request.ClientKeys                          // of clients, for login_hint_token; nil: none is read
	Subject func(client iam.Client, user string) string // what a client calls a person; nil: the user's id
	Lapsed  callback.Later                              // tells push clients of requests that nobody decided; nil: nobody does
	Now     func() time.Time                            // nil: time.Now
}

// answer is what a client gets (section 7.3).
type answer struct {
	ID        string `json:"auth_req_id"`
	ExpiresIn int64  `json:"expires_in"`
	Interval  int64  `json:"interval,omitempty"` // not for push
}

// Authorize answers an authentication request (section 7.1).
func (e *Endpoint) Authorize(w http.ResponseWriter, r *http.Request) error {
	form, err := web.PostForm(r)
	if err != nil {
		return err
	}
	client, err := e.Clients.Authenticate(r, form)
	if err != nil {
		return err
	}
	if !client.MayUse(oauth.CIBA) || client.Public() {
		return oauth.UnauthorizedClient("the client is not registered for this grant")
	}
	// Before the request is read: who is asked for a nonce sends the same request object again, whose id may come once.
	proven, spend := iam.Binding{}, func() error { return nil }
	if e.Proofs != nil {
		if proven, spend, err = e.Proofs.Offered(w, r); err != nil {
			return err
		}
	}
	if err := bindable(client, proven); err != nil {
		return err
	}
	asked, err := e.Parser.ParseOf(r.Context(), request.Backchannel, client, form)
	if err != nil {
		return spoken(err)
	}
	wish, err := read(asked)
	if err != nil {
		return err
	}
	user, err := e.whom(r.Context(), client, wish)
	if err != nil {
		return err
	}
	if err := e.slow(r.Context(), client, user); err != nil {
		return err
	}
	if err := spend(); err != nil {
		return err
	}
	given, err := e.ask(r, asked, wish, user, proven)
	if err != nil {
		return err
	}
	return web.JSON(w, http.StatusOK, true, given)
}

// bindable refuses what could not be pushed: the tokens are bound to what is shown now, and nobody is asked for nothing.
func bindable(client iam.Client, proven iam.Binding) error {
	switch {
	case client.Delivery() != callback.Push:
	case client.TLSBound && proven.X5T == "":
		return oauth.InvalidRequest("the client's tokens are bound to its certificate: show it")
	case client.DPoP && proven.JKT == "":
		return oauth.InvalidProof("the token must be bound to a DPoP key: show a proof of it")
	}
	return nil
}

// slow keeps a person from being asked too often.
func (e *Endpoint) slow(ctx context.Context, client iam.Client, user iam.User) error {
	now := moment(e.Now)
	waiting, err := e.Asking.AskedOf(ctx, user.ID, now)
	if err != nil || client.MayAskOften(now) { // a plan of conformance asks one person a hundred times in an hour
		return err
	}
	return e.Limits.ask(client.ID, user.ID, waiting, now)
}

func (e *Endpoint) ask(r *http.Request, wanted *request.Request, wish wish, user iam.User, proven iam.Binding) (answer, error) {
	ctx, now, client, value := r.Context(), moment(e.Now), wanted.Client, iam.NewSecret(iam.PrefixCIBA)
	asked := iam.Asked{
		Hash: iam.HashCIBA(value), Kind: iam.AskedCIBA, ID: uuid.NewString(), Client: client.ID, User: user.ID, Query: wanted.Query(),
		Message: wish.message, Address: e.Network(r), JKT: proven.JKT, Delivery: client.Delivery(), State: iam.AskedWaiting,
		Interval: Interval, Created: now, Expires: now.Add(wish.life),
	}
	note := callback.Notice{Client: client.ID, ID: value, Token: wish.token, Mode: asked.Delivery, Binding: proven}
	if asked.Delivery != callback.Poll {
		var err error
		if asked.Notify, err = e.Notices.Seal(asked.ID, note); err != nil {
			return answer{}, err
		}
	}
	event := journal.New(now, Asked{Delivery: asked.Delivery})
	event.Actor, event.Client, event.User, event.Trace = "client:"+client.ID, client.ID, user.ID, web.Trace(ctx)
	event.Personal = map[string]string{"address": asked.Address}
	switch err := e.Asking.Ask(ctx, asked, event); {
	case errors.Is(err, iam.ErrRevoked): // disabled or removed while it asked
		return answer{}, oauth.UnknownUser().Because(err)
	case err != nil:
		return answer{}, err
	}
	given := answer{value, int64(wish.life / time.Second), int64(Interval / time.Second)}
	if asked.Delivery != callback.Push {
		return given, nil
	}
	given.Interval = 0
	if e.Lapsed == nil {
		return given, nil
	}
	return given, callback.Expect(ctx, e.Lapsed, note, asked.Expires)
}

// Asked is the journal's word for a person who was asked: who is asked often, and by whom, must be seen.
type Asked struct {
	Delivery string `json:"delivery"` // poll, ping or push
}

// Kind is access.asked.
func (Asked) Kind() journal.Kind { return "access.asked" }

func moment(now func() time.Time) time.Time {
	if now != nil {
		return now().UTC()
	}
	return time.Now().UTC()
}

// Budgets are how often people may be asked, and how often somebody may be named whom nobody knows. A zero rate takes the
// default.
type Budgets struct {
	Pair    limit.Rate // one person by one client: 10, then one a minute
	Person  limit.Rate // one person by all clients: 20, then one every 30 s
	Unknown limit.Rate // people whom nobody knows, by one client: 30, then one a minute
	Waiting int        // that wait for one person at once; 0: 5
}

// Limits keep people from being worn down by requests until they allow one (ASVS 6.6.4), and clients from finding out who
// has an account (V11).
type Limits struct {
	pair, person, unknown *limit.Limiter
	waiting               int
}

// NewLimits makes the counters. A nil now means time.Now.
func NewLimits(b Budgets, now func() time.Time) *Limits {
	or := func(rate limit.Rate, burst int, every time.Duration) *limit.Limiter {
		if rate == (limit.Rate{}) {
			rate = limit.Rate{Burst: burst, Every: every}
		}
		return limit.New(rate, 100_000, now)
	}
	limits := &Limits{or(b.Pair, 10, time.Minute), or(b.Person, 20, 30*time.Second), or(b.Unknown, 30, time.Minute), b.Waiting}
	if limits.waiting == 0 {
		limits.waiting = 5
	}
	return limits
}

func (l *Limits) ask(client, user string, waiting []iam.Asked, now time.Time) error {
	tooMany := oauth.TooManyRequests("this person has been asked too often")
	if len(waiting) >= l.waiting { // the oldest is the last
		return web.RetryAfter(tooMany, waiting[len(waiting)-1].Expires.Sub(now))
	}
	if ok, wait := l.pair.Allow(client+" "+user, 1); !ok {
		return web.RetryAfter(tooMany, wait)
	}
	if ok, wait := l.person.Allow(user, 1); !ok {
		return web.RetryAfter(tooMany, wait)
	}
	return nil
}

// Denied makes a no count: a client that asks on is soon not heard any more.
func (l *Limits) Denied(client, user string) { l.pair.Allow(client+" "+user, 3) }
