package app

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/internal/server/discovery"
	"github.com/gardeauth/garde/internal/server/signals"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// swapped is a value that a new revision replaces whole.
type swapped[T any] struct{ pointer atomic.Pointer[T] }

func (s *swapped[T]) set(value *T) { s.pointer.Store(value) }
func (s *swapped[T]) get() *T      { return s.pointer.Load() }
func (s *swapped[T]) value() T     { return *s.pointer.Load() }

// themePart compiles the pages in the company's look.
func (s *Server) themePart(next *enact.Force) (func(), error) {
	company := next.Bundle.Recipe.Company
	theme := page.Theme{Name: company.Name}
	if company.Accent != "" {
		var err error
		if theme.Light.Accent, theme.Dark.Accent, err = page.Fit(company.Accent); err != nil {
			return nil, fmt.Errorf("company: %w", err)
		}
	}
	if company.Logo != "" {
		theme.Logo = dataURL(company.Logo, next.Bundle.Files[company.Logo])
	}
	pages, err := page.New(theme)
	if err != nil {
		return nil, fmt.Errorf("company: %w", err)
	}
	return func() { s.pages.set(pages) }, nil
}

func dataURL(name string, content []byte) string {
	kind := "image/png"
	if strings.HasSuffix(name, ".svg") {
		kind = "image/svg+xml"
	}
	return "data:" + kind + ";base64," + base64.StdEncoding.EncodeToString(content)
}

// originsPart gathers which web origins may call by script.
func (s *Server) originsPart(next *enact.Force) (func(), error) {
	origins := map[string]bool{}
	for _, client := range next.Bundle.Recipe.Clients {
		for _, origin := range client.Origins {
			origins[origin] = true
		}
	}
	// Where browser clients register themselves, any page may be one. A preflight names no client, and these doors know no
	// cookie: what proves a client stands in the request.
	for _, policy := range next.Bundle.Recipe.Registration {
		if slices.Contains(policy.ClientTypes(), recipe.Browser) {
			origins[anyOrigin] = true
		}
	}
	return func() { s.origins.set(&origins) }, nil
}

// anyOrigin stands among the origins where every one is allowed; it is none itself.
const anyOrigin = "*"

func (s *Server) allowedOrigin(_ *http.Request, origin string) bool {
	origins := s.origins.get()
	return origins != nil && ((*origins)[origin] || (*origins)[anyOrigin])
}

func (s *Server) hearRevocation(_ context.Context, change iam.Change) {
	fact, ends := signals.Fact(change)
	if !ends {
		return
	}
	if err := s.revoked.Add(fact); err != nil {
		s.Log.Error("a revocation that can't be understood", "kind", change.Kind, "error", err)
	}
}

func (s *Server) hearRecipe(ctx context.Context, change iam.Change) {
	if change.Kind != iam.ChangedRecipe {
		return
	}
	if err := s.readConfined(ctx); err != nil {
		s.Log.Error("can't read whether a restore was confirmed", "error", err)
	}
	if err := s.Force.Adopt(ctx); err != nil {
		s.Log.Error("can't adopt the newest recipe: the old one stays in force here", "error", err)
	}
	s.beat(ctx)
}

func (s *Server) hearKeys(ctx context.Context, change iam.Change) {
	if change.Kind != iam.ChangedKeys && change.Kind != iam.ChangeKey {
		return
	}
	if err := s.Keys.Load(ctx); err != nil {
		s.Log.Error("can't load the signing keys: the old ones stay", "error", err)
	}
}

// newProver hangs up client authentication: 30 failed proofs per client and network, then one each 2 s.
func (s *Server) newProver() (*clientauth.Prover, error) {
	authorities, err := clientAuthorities(s.Node)
	if err != nil {
		return nil, err
	}
	needs := clientauth.Needs{
		Issuer: s.Node.Issuer, Secrets: s.secrets.digest, Keys: s.clientKeys, Once: s.newOnce(), Now: s.Lab.Now,
		Endpoints: s.askedAt(discovery.Standard.Token, discovery.Standard.PAR, discovery.Standard.Backchannel),
		Values:    &clientauth.Values{Referred: s.secrets.value, Unseal: s.unsealSecret},
	}
	if s.Node.MTLS.URL != "" {
		needs.Certificates, needs.Authorities = s.proofs.Chain, authorities
	}
	return &clientauth.Prover{
		Clients: s.known, Methods: clientauth.All(needs), Used: s.usage.Used,
		Throttle: limit.New(limit.Rate{Burst: 30, Every: 2 * time.Second}, 50_000, s.Lab.Now),
		Network:  s.network,
		Report: func(ctx context.Context, client, what string) {
			s.metrics.clientRefused.Inc()
			s.Log.WarnContext(ctx, "a known client was refused", "client", client, "why", what, "trace", web.Trace(ctx))
		},
	}, nil
}

// askedAt gives the addresses of places of the Server, on every listener.
func (s *Server) askedAt(places ...string) []string {
	var all []string
	for _, place := range places {
		all = append(all, s.Node.Issuer+place)
		if s.Node.MTLS.URL != "" {
			all = append(all, s.Node.MTLS.URL+place)
		}
	}
	return all
}

// network is where a request comes from, as limits count it.
func (s *Server) network(r *http.Request) string {
	address, err := s.proxies.ClientIP(r)
	if err != nil {
		return "unknown"
	}
	return web.Network(address).String()
}

// sharedOnce asks this node's memory first and then the storage that all nodes share.
type sharedOnce struct {
	node   *once.Node
	shared iam.Once
	now    func() time.Time
}

func (o sharedOnce) Seen(ctx context.Context, kind once.Kind, issuer, id string, until time.Time) (bool, error) {
	fresh, err := o.node.Seen(ctx, kind, issuer, id, until)
	if err != nil || !fresh {
		return fresh, err
	}
	return o.shared.Fresh(ctx, string(kind), issuer, id, o.now(), until)
}

// secrets resolves secret references to hashes, and looks again when a file has changed, which it asks once a second, or
// when a minute has passed.
type secrets struct {
	dir   string
	known sync.Map // ref to resolvedSecret
}

type resolvedSecret struct {
	hash   iam.Digest
	read   time.Time
	looked time.Time // at the file's mark
	mark   time.Time // of the file
}

// minSecret is the least length of a secret that people chose.
const minSecret = 32

func (s *secrets) digest(ref string) (iam.Digest, error) {
	now := time.Now()
	var held resolvedSecret
	if value, ok := s.known.Load(ref); ok {
		held, _ = value.(resolvedSecret) // the map holds nothing else
	}
	if now.Sub(held.looked) < time.Second && now.Sub(held.read) < time.Minute {
		return held.hash, nil
	}
	mark := time.Time{}
	if file, ok := strings.CutPrefix(ref, "file:"); ok {
		if info, err := os.Stat(absolute(s.dir, file)); err == nil {
			mark = info.ModTime()
		}
	}
	if held.mark.Equal(mark) && now.Sub(held.read) < time.Minute {
		held.looked = now
		s.known.Store(ref, held)
		return held.hash, nil
	}
	value, err := seal.Resolve(ref, s.dir)
	if err != nil {
		return iam.Digest{}, fmt.Errorf("resolve a client's secret: %w", err)
	}
	if len(value.Reveal()) < minSecret {
		return iam.Digest{}, fmt.Errorf("the secret at %s is shorter than %d characters", ref, minSecret)
	}
	hash := iam.Digest(sha256.Sum256([]byte(value.Reveal())))
	s.known.Store(ref, resolvedSecret{hash: hash, read: now, looked: now, mark: mark})
	return hash, nil
}

// value resolves a reference to the secret itself, for client_secret_jwt alone.
func (s *secrets) value(ref string) (string, error) {
	value, err := seal.Resolve(ref, s.dir)
	if err == nil && len(value.Reveal()) < minSecret {
		err = fmt.Errorf("the secret at %s is shorter than %d characters", ref, minSecret)
	}
	return value.Reveal(), err
}

func absolute(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// ownKeys verifies what this server signed.
type ownKeys struct{ ring *keys.Ring }

func (k ownKeys) Key(_ context.Context, kid string) (jose.PublicKey, error) {
	if key, ok := k.ring.Find(kid); ok {
		return key, nil
	}
	return jose.PublicKey{}, verify.ErrUnknownKey
}

// onDemand makes the first key of an algorithm when a client that is registered for it first needs one. Later keys come by
// rotation.
type onDemand struct {
	ring *keys.Ring
	one  *singleflight.Group
}

const keyTime = 5 * time.Second

func (k onDemand) Signer(alg jose.Alg) (*jose.Signer, error) {
	signer, err := k.ring.Signer(alg)
	if err == nil || !alg.Valid() {
		return signer, err
	}
	_, err, _ = k.one.Do(string(alg), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.Background(), keyTime)
		defer cancel()
		return nil, k.ring.Ensure(ctx, alg)
	})
	if err != nil {
		return nil, err
	}
	return k.ring.Signer(alg)
}
