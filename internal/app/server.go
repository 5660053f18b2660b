// Package app puts the house together and decides nothing: it opens the storage, gives each room what it needs, hangs the
// doors into their frames, and starts and stops what runs in the background.
package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/deliver"
	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/facts"
	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/follow"
	"github.com/gardeauth/garde/internal/gateway/proxy"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/notary"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/recall"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/internal/server/farewell"
	"github.com/gardeauth/garde/internal/server/inspect"
	"github.com/gardeauth/garde/internal/server/login"
	"github.com/gardeauth/garde/internal/server/proof"
	"github.com/gardeauth/garde/internal/server/register"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// Lab is how a lab or a mutation test takes a step out of the house. The zero value is the house as it is.
type Lab struct {
	Issue   []issue.Step
	Request []request.Step
	Gate    proxy.Steps
	Verify  verify.Steps // of the Gate
	Now     func() time.Time
	Listen  func(network, address string) (net.Listener, error) // nil: net.Listen
}

// Server is the authorization server of one node.
type Server struct {
	ID    string // of this process, among the nodes
	Node  *config.Node
	Log   *slog.Logger
	Lab   Lab
	Store *store.Store
	House *sqlstore.Tenant // the storage, as the one tenant sees it
	Seal  seal.Sealer
	Keys  *keys.Ring
	Force *enact.Enactor

	Follower *follow.Follower
	Refusals *Refusals // what was refused lately, for garde explain
	Handler  http.Handler

	clients    *follow.Clients
	users      *follow.Users
	recalled   *recall.House
	living     *follow.Sessions // for decisions about calls
	granted    *follow.Grants   // likewise
	revoked    *verify.Revocations
	moments    moments // what signals of risk read
	decisions  *decide.Desk
	fetcher    *fetch.Fetcher
	logos      *page.Logos
	tokens     *inspect.Inspector
	proofs     *proof.Desk
	mint       *issue.Desk // the one place that makes tokens
	signers    onDemand    // what it, and the doors that answer in JWTs, sign with
	clientKeys *clientauth.Keys
	known      *register.Documents // the clients that doors know, also by documents behind their ids
	rules      *register.Rules
	usage      *register.Usage
	farewell   *farewell.Notifier
	elsewhere  elsewhere
	details    swapped[request.Details]
	prover     *clientauth.Prover
	sessions   *session.Keeper
	proxies    web.Proxies
	metrics    *metrics
	pages      swapped[page.Pages]
	origins    swapped[map[string]bool]
	offers     swapped[login.Offers]
	makers     swapped[x509.CertPool] // who is believed about models of authenticators; nil: nobody
	secrets    secrets
	hasher     *password.Hasher
	failures   *login.Failures
	post       *deliver.Queue
	notary     *notary.Notary
	certified  http.Handler  // the doors for clients with certificates; nil: they have no address of their own
	confined   atomic.Bool   // after a restore: only administrators
	leaving    chan struct{} // closed when Run ends, before the requests under way
}

// NewServer opens the storage and puts the server together. Nothing runs and nothing listens yet.
func NewServer(ctx context.Context, node *config.Node, log *slog.Logger, lab Lab) (*Server, error) {
	server := &Server{
		ID: uuid.NewString(), Node: node, Lab: lab, Refusals: NewRefusals(), metrics: newMetrics(), hasher: newHasher(),
		leaving: make(chan struct{}),
	}
	server.Log = slog.New(server.Refusals.Tee(redacted(log.Handler())))
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"load the master key", server.openSeal},
		{"open the storage", server.openStore},
		{"prepare the recipe's parts", server.openRecipe},
		{"load the signing keys", server.openKeys},
		{"set up the doors", server.openDoors},
		{"seed people", server.seed},
		{"read what was revoked", server.catchUp},
	} {
		if err := step.do(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", step.what, err), server.Close())
		}
	}
	return server, nil
}

// Close lets the storage go. It is safe after a failed start.
func (s *Server) Close() error {
	if s.Store == nil {
		return nil
	}
	return s.Store.Close()
}

func (s *Server) now() time.Time {
	if s.Lab.Now != nil {
		return s.Lab.Now()
	}
	return time.Now()
}

func (s *Server) openSeal(context.Context) error {
	var err error
	if s.Seal.Current, err = seal.LoadMaster(s.Node.Master, s.Node.Dir); err != nil {
		return err
	}
	for _, ref := range s.Node.Previous {
		older, err := seal.LoadMaster(ref, s.Node.Dir)
		if err != nil {
			return err
		}
		s.Seal.Previous = append(s.Seal.Previous, older)
	}
	return nil
}

// A command that works on the storage itself, or the node that this one follows, may have it for a moment still.
const storePatience = 3 * time.Second

func (s *Server) openStore(ctx context.Context) error {
	var err error
	if s.Store, err = store.Open(ctx, s.Node.Storage, store.Options{Now: s.Lab.Now, Patience: storePatience}); err != nil {
		return err
	}
	s.House = s.Store.Tenant(iam.DefaultTenant)
	return nil
}

func (s *Server) openRecipe(ctx context.Context) error {
	s.Force = &enact.Enactor{
		Revisions: s.House, Issuer: s.Node.Issuer, Log: s.Log,
		Parts: []enact.Part{s.themePart, s.originsPart, s.offersPart, s.detailsPart, s.networksPart, s.makersPart},
	}
	pages, err := page.New(page.Theme{})
	if err != nil {
		return err
	}
	s.pages.set(pages)
	s.offers.set(&login.Offers{})
	s.moments.listed.set(&facts.Networks{})
	s.details.set(&request.Details{})
	if err := s.firstRecipe(ctx); err != nil {
		return err
	}
	return s.Force.Adopt(ctx)
}

// firstRecipe applies the recipe that node.yaml names, when the storage holds none yet.
func (s *Server) firstRecipe(ctx context.Context) error {
	if s.Node.Recipe == "" {
		return nil
	}
	_, err := s.House.InForce(ctx)
	if !errors.Is(err, iam.ErrNotFound) {
		return err
	}
	bundle, err := recipe.Load(s.Node.Recipe, s.Node.Env, s.now())
	if err != nil {
		return err
	}
	_, _, err = s.Force.Apply(ctx, enact.Proposal{Bundle: bundle, By: "system", Note: "first start"}, s.now())
	if errors.Is(err, iam.ErrRaced) { // another node was faster, with its own first recipe
		return nil
	}
	return err
}

func (s *Server) openKeys(ctx context.Context) error {
	s.Keys = &keys.Ring{Log: s.Log, Store: s.House, Sealer: s.Seal, Tenant: iam.DefaultTenant, Now: s.Lab.Now}
	return errors.Join(s.Keys.Ensure(ctx, keys.Defaults[0]), s.Keys.EnsureSalt(ctx)) // the others take long to make: Run does it
}

func (s *Server) openDoors(context.Context) error {
	authorities, err := extraAuthorities(s.Node)
	if err != nil {
		return err
	}
	settings := fetch.Settings{AllowHosts: s.Node.Fetch.AllowHosts, Authorities: authorities}
	if s.fetcher, err = fetch.New(settings); err != nil {
		return err
	}
	s.logos = &page.Logos{Fetch: s.fetcher.Fetch, Now: s.Lab.Now}
	if s.proxies, err = web.ParseProxies(s.Node.Proxies); err != nil {
		return err
	}
	if s.clients, err = follow.NewClients(s.House, 10_000); err != nil {
		return err
	}
	if s.users, err = follow.NewUsers(s.House, 10_000); err != nil {
		return err
	}
	if s.living, err = follow.NewSessions(s.House, 5_000); err != nil {
		return err
	}
	if s.granted, err = follow.NewGrants(s.House, 5_000, s.Lab.Now); err != nil {
		return err
	}
	if s.recalled, err = recall.New(s.House, 5_000); err != nil {
		return err
	}
	s.revoked = &verify.Revocations{Now: s.Lab.Now}
	s.openMoments()
	s.Follower = &follow.Follower{Changes: s.House, Log: s.Log, Now: s.Lab.Now}
	s.Follower.Listeners = []func(context.Context, iam.Change){s.clients.Hear, s.users.Hear, s.living.Hear, s.granted.Hear, s.recalled.Hear, s.moments.desk.Hear, s.hearRevocation, s.hearRecipe, s.hearKeys}
	if err := s.openProofs(); err != nil {
		return err
	}
	if s.tokens, err = inspect.New(inspect.Config{
		Issuer: s.Node.Issuer, Keys: ownKeys{s.Keys}, Audience: s.audience, Opaque: s.House, Revocations: s.revoked,
		Fresh: s.Follower.Fresh, Remember: 50_000, Proofs: s.proofs, Now: s.Lab.Now,
	}); err != nil {
		return err
	}
	s.secrets = secrets{dir: s.Node.Dir}
	s.clientKeys = &clientauth.Keys{Fetcher: s.fetcher, Now: s.Lab.Now}
	s.openRegistration()
	s.openDecisions()
	if s.prover, err = s.newProver(); err != nil {
		return err
	}
	s.sessions = &session.Keeper{
		Sessions: s.recalled, Recalled: s.recalled, Lives: func() recipe.Lives { return s.Force.Policy().Lives }, Secure: s.secure(), Now: s.Lab.Now,
		Reached: func(proofs []iam.Proved) string { return s.Force.Policy().ReachedBy(proofs) },
	}
	s.notary = s.newNotary()
	if err := s.openPost(); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	s.openMint()
	s.openFarewell()
	if err := s.openElsewhere(); err != nil {
		return err
	}
	s.Handler, err = s.routes()
	return err
}

func (s *Server) secure() bool {
	issuer, err := url.Parse(s.Node.Issuer)
	return err == nil && issuer.Scheme == "https"
}

func (s *Server) audience(name string) bool {
	return name == s.Node.Issuer || s.Policy().Resources([]string{name}) == nil
}

// Policy is the compiled recipe in force.
func (s *Server) Policy() *assurance.Policy { return s.Force.Policy() }

func (s *Server) newOnce() once.Checker {
	return sharedOnce{node: once.NewNode(200_000, s.Lab.Now), shared: s.House, now: s.now}
}

func (s *Server) catchUp(ctx context.Context) error {
	return errors.Join(s.readConfined(ctx), s.Follower.Catch(ctx))
}

// readConfined looks whether a restore waits for an administrator's word.
func (s *Server) readConfined(ctx context.Context) error {
	confined, err := s.House.AdminsOnly(ctx)
	if err == nil {
		s.confined.Store(confined)
	}
	return err
}

// Obey applies a recipe whatever it changes, for a demonstration that writes its own anew at each start.
func (s *Server) Obey(ctx context.Context, path string) error {
	bundle, err := recipe.Load(path, "", s.now())
	if err != nil {
		return err
	}
	plan, err := s.Force.Propose(ctx, bundle)
	if err != nil {
		return err
	}
	proposal := enact.Proposal{Bundle: bundle, Expect: -1, Accept: plan.Weaker, By: "demo", Note: "garde demo"}
	if _, _, err := s.Force.Apply(ctx, proposal, s.now()); err != nil {
		return err
	}
	return s.Force.Adopt(ctx)
}
