// Package proxy is the Gate: it takes a request for one of the recipe's APIs, leads it through a table of named steps, and
// forwards what passed them all, with verified facts about the caller in headers that no client can forge. Whatever it
// does not know, or can't know at the moment, it refuses. It decides nothing of its own: the recipe says what each
// operation asks for, verify says what a token is.
package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/gateway/route"
	"github.com/gardeauth/garde/internal/gateway/shield"
	"github.com/gardeauth/garde/internal/gateway/weigh"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// DefaultIdle is how long a client may neither send nor take anything of a message under way.
const DefaultIdle = 60 * time.Second

// Tokens turns a token into facts, whose sender has proved what proof says. Every refusal is an *oauth.Error: invalid_token, or temporarily_unavailable
// when nobody can tell. *verify.Verifier is one.
type Tokens interface {
	VerifyProven(ctx context.Context, token string, proof verify.Proof) (verify.Claims, error)
}

// Introspector asks the issuer about an opaque token. A token that is not active is an invalid_token error; any other
// error means that it could not be found out. A text that can be no token of the issuer's it refuses without a question:
// strangers must not make the Gate ask.
type Introspector interface {
	Introspect(ctx context.Context, token string) (verify.Claims, error)
}

// Config is what a Gate stands on.
type Config struct {
	Issuer string           // of all tokens
	Keys   verify.KeySource // of this issuer

	// Revocations are looked up at each use of a token, and Fresh tells whether they are being followed: while it says no,
	// every operation that asks for a token is answered with 503. Both are required.
	Revocations *verify.Revocations
	Fresh       func() bool

	// Openers gives the private keys of an API by its name in the recipe. Without them, a recipe in which the API's tokens are
	// encrypted is not adopted. They are asked for at each adoption.
	Openers func(api string) (verify.Openers, error)

	// Introspect serves the APIs with opaque tokens. Without it a recipe that has one is not adopted.
	Introspect Introspector

	// Nonces are what a recipe may ask proofs for; nil: some that no other Gate knows. Certificates finds those of clients; nobody else is believed about
	// one. CertificatesAsked says that clients can show one here.
	Nonces            *binding.Nonces
	Certificates      web.Certificates
	CertificatesAsked bool

	// Proofs remembers proofs for all Gates together, where the recipe says shared_replay. Without it such a recipe is not
	// adopted.
	Proofs binding.Memory

	// Decider is asked where rules need to know more than the token says, and Uses remembers for all Gates which details were
	// used. Without them a recipe with such rules or details is not adopted.
	Decider weigh.Decider
	Uses    weigh.Uses

	Peers    web.Proxies   // whose X-Forwarded-* are believed; zero: nobody's
	Upstream *tls.Config   // for upstreams with https; nil: the authorities of the system
	Idle     time.Duration // 0: DefaultIdle
	Cache    int           // verdicts to remember; 0: verify.DefaultCacheSize
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now

	Steps      Steps        // nil: Standard
	TokenSteps verify.Steps // nil: verify.Standard
}

// Gate is the http.Handler before the APIs. It answers 503 until it has adopted a recipe. It is safe for concurrent use.
type Gate struct {
	config   Config
	cache    *verify.Cache
	verdicts *verdicts
	judge    *binding.Judge
	face     web.Face
	handler  http.Handler
	now      atomic.Pointer[house]
	buffers  buffers

	mu         sync.Mutex // one adoption at a time
	transports map[time.Duration]*http.Transport
}

// house is one recipe, ready for requests. It is never changed.
type house struct {
	table   *route.Table
	book    *weigh.Book
	doors   map[*route.API]*door
	nonces  bool            // proofs must have one
	shared  bool            // a proof that another Gate saw is refused
	origins map[string]bool // web origins of the recipe's clients
}

// New makes a Gate, or says what the configuration lacks.
func New(c Config) (*Gate, error) {
	switch {
	case c.Issuer == "":
		return nil, errors.New("proxy: no issuer is configured")
	case c.Keys == nil:
		return nil, errors.New("proxy: no keys are configured")
	case c.Revocations == nil || c.Fresh == nil:
		return nil, errors.New("proxy: the revocations are not followed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Idle <= 0 {
		c.Idle = DefaultIdle
	}
	if c.Steps == nil {
		c.Steps = Standard
	}
	cache, err := verify.NewCache(c.Cache)
	if err != nil {
		return nil, err
	}
	known, err := newVerdicts(c)
	if err != nil {
		return nil, err
	}
	g := &Gate{config: c, cache: cache, verdicts: known, transports: map[time.Duration]*http.Transport{}}
	if g.judge, err = binding.Alone(RememberedProofs, c.Now); err != nil {
		return nil, err
	}
	g.judge.Share(c.Proofs, g.sharesProofs)
	if g.judge.Demand = g.demandsNonces; c.Nonces != nil {
		g.judge.Nonces = c.Nonces
	}
	g.face = web.Face{As: refusals{}, Log: c.Log}
	g.handler = g.face.Handle(g.serve)
	return g, nil
}

// Adopt puts a recipe in force. It prepares everything first and then swaps once: requests under way end by the recipe
// they began with, and when Adopt returns an error the former recipe stays in force.
func (g *Gate) Adopt(r *recipe.Recipe) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	table, err := route.Compile(r)
	if err != nil {
		return err
	}
	if r.Proofs.Shared && g.config.Proofs == nil {
		return errors.New("proofs.shared_replay: this Gate has nobody to share its memory of proofs with")
	}
	book, err := g.book(r)
	if err != nil {
		return err
	}
	next := &house{table: table, book: book, doors: map[*route.API]*door{}, nonces: r.Proofs.Nonce, shared: r.Proofs.Shared, origins: map[string]bool{}}
	for _, client := range r.Clients {
		for _, origin := range client.Origins {
			next.origins[origin] = true
		}
	}
	var wanted []time.Duration
	for _, api := range table.APIs() {
		if next.doors[api], err = g.door(api); err != nil {
			return err
		}
		wanted = append(wanted, api.Timeout)
	}
	g.now.Store(next)
	for timeout, transport := range g.transports {
		if !slices.Contains(wanted, timeout) {
			transport.CloseIdleConnections()
			delete(g.transports, timeout)
		}
	}
	return nil
}

// Ready tells whether a recipe is in force and revocations are known.
func (g *Gate) Ready() bool { return g.now.Load() != nil && g.config.Fresh() }

// ServeHTTP answers one request.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.handler.ServeHTTP(w, r) }

// serve leads a request through the steps and forwards it, or gives the reason why not.
func (g *Gate) serve(w http.ResponseWriter, r *http.Request) error {
	if shield.Ambiguous(r) {
		w.Header().Set("Connection", "close")
	}
	if r.Context().Err() != nil { // a stream reset as soon as it was opened: no work, and no line in the log
		w.WriteHeader(StatusClientGone)
		return nil
	}
	call := &Call{house: g.now.Load(), gate: g, Context: r.Context()}
	call.pace.begin(w, r, g.config.Idle)
	call.In = r.WithContext(call)
	call.pace.write()
	if call.house == nil {
		return oauth.Unavailable("the Gate has no recipe yet")
	}
	if call.fromScript(w) {
		return nil
	}
	call.echo(w)
	if api, ok := call.house.table.Document(r.Host, r.RequestURI); ok {
		return call.house.doors[api].document(w, r)
	}
	for i := range g.config.Steps {
		step := &g.config.Steps[i]
		if call.Operation != nil && call.Operation.Open && !step.Always {
			continue
		}
		if err := step.Check(call); err != nil {
			return call.refuse(w, binding.Unauthorized(err))
		}
	}
	if call.door == nil || call.Operation == nil {
		return errors.New("no step found an operation")
	}
	call.door.forward(w, call)
	return nil
}

type callKey struct{}

// callOf gives the call that a context of ours belongs to.
func callOf(ctx context.Context) *Call {
	call, _ := ctx.Value(callKey{}).(*Call)
	return call
}

// refuse answers in the words of the API, once it is known: its challenges name its metadata.
func (c *Call) refuse(w http.ResponseWriter, err error) error {
	if c.door == nil {
		return err
	}
	c.door.face.Show(w, c.In, err)
	return nil
}
