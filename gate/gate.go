// Package gate protects a Go API that stands behind no Gate: it is the same verification as middleware. Three lines are
// enough:
//
//	g, err := gate.New(gate.Config{Issuer: "https://id.bank.example", Audience: "https://api.bank.example/accounts"})
//	// ...
//	mux.Handle("GET /accounts/{id}", g.Protect(account, gate.Scope("accounts.read")))
//
// Inside the handler, gate.Token tells who calls. A request without a good token never reaches it: it is answered as
// RFC 6750, RFC 9470 and RFC 9728 say, with a problem (RFC 9457) that tells what is wrong and what to do.
//
// Tokens are signed access tokens (RFC 9068), in the Authorization header and nowhere else; with Config.Decrypt they must come
// encrypted to this API. Opaque tokens are refused.
//
// # Tokens that are bound to a key
//
// A token that is bound to a DPoP key (RFC 9449) comes in the scheme DPoP with a proof of the key, for this request and this
// token; one that is bound to a certificate (RFC 8705) comes over a connection that showed it. Without its proof such a token
// is refused. With Config.Bound no other tokens are taken. The address in a proof is held against scheme and host
// of Config.Audience and the path of the request, so a proxy in front must not change the path. A proof is good once, in this process; how old
// it may be, Config.Nonce bounds more tightly.
//
// # Revocation
//
// With the credentials of a client that has the scope garde.gate (Config.Client and Config.Secret), Run follows what the
// issuer revokes: a revoked token is dead within a second, and when nothing was heard for ten seconds every request is
// answered with 503. Without credentials a revoked token lives on until it expires; to bound that, a token older than
// Config.MaxAge is refused, however long it says that it lives.
package gate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/level"
	"github.com/gardeauth/garde/internal/verify"
)

// DefaultMaxAge is how old a token may be when revocations are not followed.
const DefaultMaxAge = 10 * time.Minute

// Config says whose tokens are accepted. Issuer and Audience are required.
type Config struct {
	Issuer   string // the issuer, exactly as its metadata names it; https, or http on loopback
	Audience string // this API's address as its clients know it, which is the audience of its tokens

	// Levels are the acr values that tokens may carry, weakest first. They are needed where Level is used.
	Levels []string
	// Operations is where handlers that name an Operation learn what it asks for, instead: see FromServer.
	Operations Operations

	// Client and Secret are the credentials by which revocations are followed; see Run. Both or none.
	Client string
	Secret string
	// MaxAge bounds the age of tokens while revocations are not followed; 0: DefaultMaxAge.
	MaxAge time.Duration

	// Decrypt are the API's private keys, where the recipe has its tokens encrypted (jwks and access_token_encryption_alg of the
	// API): a JWK Set, each key with the alg that it is for and, if there are several, a kid. With it only encrypted tokens are
	// accepted, and without it none. To rotate, start with the new key beside the old one, then apply the recipe with the new one.
	Decrypt []byte

	// AllowHosts are "host:port" of an issuer whose address is not a public one. An issuer on loopback needs none.
	AllowHosts []string
	// Authorities are certificates in PEM that are trusted besides those of the system.
	Authorities []byte

	// Bound refuses tokens that are not bound to a key, as the recipe's `bound: required` does.
	Bound bool
	// Nonce asks proofs for a nonce of ours, so that none can be made in advance. NonceKey, of at least 32 secret bytes, is
	// what the processes of one API share then, so that each takes the nonces of the others; nil: this process has its own.
	Nonce    bool
	NonceKey []byte
	// Certificate finds the certificate whose key the sender has proved, where a proxy ends TLS and forwards it; nil: that of
	// the connection. It must believe nobody but that proxy.
	Certificate func(*http.Request) *x509.Certificate

	Log *slog.Logger     // refusals, each once and without the token; nil: none
	Now func() time.Time // nil: time.Now
}

// Gate protects the handlers of one API. It is safe for concurrent use. New makes one.
type Gate struct {
	config   Config
	at       *url.URL
	ladder   level.Ladder
	verifier *verify.Verifier
	feed     *verify.Feed // nil: revocations are not followed
	judge    *binding.Judge
	lists    *lists // nil: the program says itself what each handler asks for
	metadata string // URL of the metadata of this API
}

// New makes a Gate, or says what is wrong with the configuration. It asks nobody yet: the keys of the issuer are read when
// the first token comes.
func New(c Config) (*Gate, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxAge <= 0 {
		c.MaxAge = DefaultMaxAge
	}
	issuer, err := address("issuer", c.Issuer)
	if err != nil {
		return nil, err
	}
	at, err := address("audience", c.Audience)
	if err != nil {
		return nil, err
	}
	if (c.Client == "") != (c.Secret == "") {
		return nil, errors.New("gate: following revocations needs both a client and its secret")
	}
	g := &Gate{config: c, at: at, metadata: at.Scheme + "://" + at.Host + wellKnown + at.EscapedPath()}
	for _, acr := range c.Levels {
		g.ladder = append(g.ladder, level.Level{Name: acr, ACR: acr})
	}
	if len(c.Levels) > 0 {
		if err := g.ladder.Check(); err != nil {
			return nil, fmt.Errorf("gate: levels: %w", err)
		}
	}
	allowed := slices.Clone(c.AllowHosts)
	if loopback(issuer) {
		allowed = append(allowed, hostPort(issuer))
	}
	fetcher, err := fetch.New(fetch.Settings{AllowHosts: allowed, Authorities: c.Authorities})
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	if g.judge, err = c.judge(); err != nil {
		return nil, err
	}
	g.lists = g.config.lists(fetcher)
	return g, g.prepare(issuer, fetcher)
}

// prepare puts the parts of the house together.
func (g *Gate) prepare(issuer *url.URL, fetcher *fetch.Fetcher) error {
	about := &issuerOf{name: g.config.Issuer, place: metadataOf(issuer), fetcher: fetcher}
	cache, err := verify.NewCache(0)
	if err != nil {
		return err
	}
	var openers jose.Openers
	if g.config.Decrypt != nil {
		if openers, err = jose.ParseOpeners(g.config.Decrypt); err != nil {
			return fmt.Errorf("gate: the keys to decrypt with: %w", err)
		}
	}
	config := verify.Config{
		Issuer:    g.config.Issuer,
		Openers:   openers,
		Keys:      &verify.RemoteKeys{URL: about.place, Fetcher: about, Now: g.config.Now},
		Audiences: []string{g.config.Audience}, Cache: cache, Now: g.config.Now,
	}
	if g.config.Client != "" {
		client, err := followClient(g.config.Authorities)
		if err != nil {
			return err
		}
		me := &credentials{config: &g.config, about: about, client: client}
		config.Revocations = &verify.Revocations{Now: g.config.Now}
		g.feed = &verify.Feed{
			URL: strings.TrimSuffix(g.config.Issuer, "/") + "/signals/revocations", Revocations: config.Revocations,
			Authorize: me.authorize, Client: client, Now: g.config.Now, Log: g.config.Log,
		}
		config.Fresh = g.feed.Fresh
	}
	g.verifier, err = verify.New(config)
	return err
}

// Run follows what the issuer revokes, and reads its list of operations, until ctx ends, and returns nil then. Without
// credentials nothing is followed. With credentials nothing is let through before Run has heard from the issuer, and with
// Operations no operation of the list before Run has read it.
func (g *Gate) Run(ctx context.Context) error {
	if g.lists != nil {
		read, done := context.WithCancel(ctx)
		var reading sync.WaitGroup
		reading.Go(func() { g.lists.run(read) })
		defer reading.Wait()
		defer done()
	}
	if g.feed == nil {
		<-ctx.Done()
		return nil
	}
	return g.feed.Run(ctx)
}

// Ready tells whether what the issuer revoked is known up to now, which is what a readiness probe wants to know: until then
// each token is answered 503. Without credentials nothing is followed, and it is always ready.
func (g *Gate) Ready() bool {
	return g.feed == nil || g.feed.Fresh()
}

// address reads a base URL.
func address(what, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, fmt.Errorf("gate: the %s is missing", what)
	case err != nil || u.Hostname() == "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(text, "?#"):
		return nil, fmt.Errorf("gate: the %s is not a plain https address", what)
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u)):
		return nil, fmt.Errorf("gate: the %s must be https; http is for loopback only", what)
	}
	return u, nil
}

func loopback(u *url.URL) bool {
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return u.Host + map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
}

// wellKnown begins the place of this API's metadata (RFC 9728 section 3).
const wellKnown = "/.well-known/oauth-protected-resource"

// Metadata gives the pattern and the handler of this API's metadata (RFC 9728), by which clients find the issuer:
// mux.Handle(g.Metadata()).
func (g *Gate) Metadata() (string, http.Handler) {
	return "GET " + wellKnown + g.at.EscapedPath(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Header().Set("Access-Control-Allow-Origin", "*")
		writeJSON(w, "application/json", http.StatusOK, struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
			Methods  []string `json:"bearer_methods_supported"`
			Algs     []string `json:"dpop_signing_alg_values_supported"`
			TLSBound bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
		}{g.config.Audience, []string{g.config.Issuer}, []string{"header"}, strings.Fields(binding.Challenge()), g.config.Certificate != nil})
	})
}
