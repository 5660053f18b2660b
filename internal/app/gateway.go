package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/gateway/ask"
	"github.com/gardeauth/garde/internal/gateway/proxy"
	"github.com/gardeauth/garde/internal/gateway/shield"
	"github.com/gardeauth/garde/internal/gateway/signals"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// Gateway is the Gate of one node. It shares nothing with the Server but what any client could ask it for.
type Gateway struct {
	Node *config.Node
	Log  *slog.Logger
	Lab  Lab
	Gate *proxy.Gate

	feed    *verify.Feed
	recipes *signals.Recipes
	metrics *metrics
}

// NewGateway puts a Gate together. Nothing runs and nothing listens yet.
func NewGateway(_ context.Context, node *config.Node, log *slog.Logger, lab Lab) (*Gateway, error) {
	if node.Gate.Listen == "" {
		return nil, errors.New("node.yaml has no part gate: it needs listen, client and secret")
	}
	g := &Gateway{Node: node, Lab: lab, Log: slog.New(redacted(log.Handler())), metrics: newMetrics()}
	fetcher, err := gateFetcher(node)
	if err != nil {
		return nil, err
	}
	peers, err := web.ParseProxies(node.Proxies)
	if err != nil {
		return nil, err
	}
	secret := func() (seal.Secret, error) { return seal.Resolve(node.Gate.Secret, node.Dir) }
	if _, err := secret(); err != nil { // it may be rotated while the Gate runs, but a Gate without any would wait for ever
		return nil, fmt.Errorf("the secret of the Gate: %w", err)
	}
	nonces, err := gateNoncesOf(secret)
	if err != nil {
		return nil, err
	}
	keySet := &verify.RemoteKeys{URL: node.Issuer + "/jwks", Fetcher: fetcher, Now: lab.Now}
	transport, err := serverTransport(node)
	if err != nil {
		return nil, err
	}
	server, err := ask.New(ask.Config{
		Issuer: node.Issuer, Token: node.Issuer + "/token", Introspect: node.Issuer + "/introspect",
		Client: node.Gate.Client, Transport: transport, Secret: secret,
	})
	if err != nil {
		return nil, err
	}
	revoked := &verify.Revocations{Now: lab.Now}
	g.feed = &verify.Feed{
		URL: node.Issuer + feedPath, Revocations: revoked, Authorize: server.Authorize,
		Client: &http.Client{Transport: transport}, Silence: node.Gate.Silence, Log: g.Log,
		Now: lab.Now,
	}
	openers := signals.Openers{Where: node.Gate.Decrypt, Resolve: func(reference string) ([]byte, error) {
		keys, err := seal.Resolve(reference, node.Dir)
		return []byte(keys.Reveal()), err
	}}
	settings := proxy.Config{
		Issuer: node.Issuer, Keys: keySet, Revocations: revoked, Fresh: g.feed.Fresh, Peers: peers, Log: g.Log,
		Upstream: transport.TLSClientConfig, Introspect: server, Nonces: nonces, Certificates: shownCertificates(node, peers),
		Openers:           openers.Of,
		Proofs:            &ask.Proofs{URL: node.Issuer + proofsPath, Authorize: server.Authorize, Transport: transport},
		CertificatesAsked: node.Gate.Certificates || node.Shown.Header != "", Now: lab.Now, Steps: lab.Gate, TokenSteps: lab.Verify,
	}
	askingOf(node.Issuer, server.Authorize, transport, &settings)
	if g.Gate, err = proxy.New(settings); err != nil {
		return nil, err
	}
	name, _ := os.Hostname() // a node without a name is told by its id
	g.recipes = &signals.Recipes{
		Issuer: node.Issuer, Node: uuid.NewString(), Name: name, Client: node.Gate.Client, Authorize: server.Authorize,
		Keys: keySet, HTTP: &http.Client{Timeout: 40 * time.Second, Transport: transport},
		Adopt: func(_ int64, bundle *recipe.Bundle) error {
			if err := openers.Fit(bundle); err != nil {
				return err
			}
			return g.Gate.Adopt(bundle.Recipe)
		},
		Ready: g.Gate.Ready, Log: g.Log, Now: lab.Now,
	}
	return g, nil
}

// gateNoncesOf makes the nonces that all Gates with one secret share. A rotated secret changes them when a Gate starts
// again; until the others do, a client that meets both is asked for another nonce now and then.
func gateNoncesOf(secret func() (seal.Secret, error)) (*binding.Nonces, error) {
	shared, err := secret()
	if err != nil {
		return nil, err
	}
	key, err := shared.Subkey(gateNonces)
	if err != nil {
		return nil, err
	}
	return binding.NewNonces(key)
}

// gateFetcher may reach the Server wherever it is: the operator named it.
func gateFetcher(node *config.Node) (*fetch.Fetcher, error) {
	issuer, err := url.Parse(node.Issuer)
	if err != nil {
		return nil, err
	}
	host := issuer.Host
	if issuer.Port() == "" {
		host = net.JoinHostPort(issuer.Hostname(), "443")
	}
	authorities, err := extraAuthorities(node)
	if err != nil {
		return nil, err
	}
	return fetch.New(fetch.Settings{AllowHosts: append([]string{host}, node.Fetch.AllowHosts...), Authorities: authorities})
}

// extraAuthorities reads the certificates that are trusted besides those of the system.
func extraAuthorities(node *config.Node) ([]byte, error) {
	if node.Fetch.Authorities == "" {
		return nil, nil
	}
	return os.ReadFile(node.Fetch.Authorities)
}

// serverTransport reaches the Server: without proxy, and with the authorities that the node trusts.
func serverTransport(node *config.Node) (*http.Transport, error) {
	authorities, err := extraAuthorities(node)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		MaxIdleConnsPerHost: 64, IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
	}
	if len(authorities) > 0 {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pool.AppendCertsFromPEM(authorities)
		transport.TLSClientConfig.RootCAs = pool
	}
	return transport, nil
}

// Run serves until ctx ends, then lets requests under way finish.
func (g *Gateway) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	public, private, err := g.Lab.servers(g.Node.Gate.Listen, g.Node.Gate.TLS, g.Node.Gate.Metrics, g.Log)
	if err != nil {
		return err
	}
	where := public.Listener.Addr().String() // before the listener may be closed
	if g.Node.Gate.Certificates {
		public.TLS = asking(public.TLS)
	}
	if public.TLS == nil { // under TLS nobody can see the bytes of the heads
		public.Listener = shield.Strict(public.Listener)
	}
	public.Handler, public.Streaming = g.metrics.watch(g.Gate), true
	if private != nil {
		private.Handler = g.metrics.health(g.problem)
		group.Go(func() error { return private.Run(ctx) })
	}
	group.Go(func() error { return public.Run(ctx) })
	group.Go(func() error { return pace(ctx) })
	group.Go(func() error { return g.feed.Run(ctx) })
	group.Go(func() error { return g.recipes.Run(ctx) })
	group.Go(func() error { return g.sayReady(ctx, where) })
	return group.Wait()
}

// sayReady logs the one line once requests can be judged.
func (g *Gateway) sayReady(ctx context.Context, where string) error {
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for !g.Gate.Ready() {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		}
	}
	g.Log.Info("ready", "gate", where, "issuer", g.Node.Issuer)
	return nil
}

func (g *Gateway) problem(*http.Request) string {
	if !g.Gate.Ready() {
		return fmt.Sprintf("no recipe, or nothing heard of what was revoked, from %s", g.Node.Issuer)
	}
	return ""
}
