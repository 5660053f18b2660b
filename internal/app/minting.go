package app

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/server/assertion"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/internal/server/farewell"
	"github.com/gardeauth/garde/internal/server/register"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

// openMint sets up what every door that gives tokens shares: the one desk that issues, and what it asks.
func (s *Server) openMint() {
	s.signers = onDemand{s.Keys, &singleflight.Group{}}
	steps := s.Lab.Issue
	if steps == nil {
		steps = issue.Standard
	}
	s.mint = &issue.Desk{
		Issuer: s.Node.Issuer, Deeds: s.recalled, Users: s.users, Consents: s.recalled, Recalled: s.recalled,
		Keys: s.signers, Locks: clientLocks{s.clientKeys}, Salt: s.Keys.Salt, Policy: s.Policy,
		Confined: s.confined.Load, Journal: s.House, Steps: steps, Now: s.Lab.Now,
	}
}

// writer signs, and encrypts, what the doors tell a client.
func (s *Server) writer() token.Writer {
	return token.Writer{Keys: s.signers, Locks: clientLocks{s.clientKeys}}
}

// subject is what a client calls a person.
func (s *Server) subject(client iam.Client, user string) string {
	return token.Subject(s.Keys.Salt(), client, user)
}

// clientLocks finds the key to which an answer is encrypted.
type clientLocks struct{ keys *clientauth.Keys }

func (l clientLocks) EncryptionKey(ctx context.Context, client iam.Client, alg jose.KeyAlg) (jose.EncryptionKey, error) {
	set, err := l.keys.Encryption(ctx, client)
	if err != nil {
		return jose.EncryptionKey{}, err
	}
	key, ok := set.For(alg)
	if !ok {
		return jose.EncryptionKey{}, fmt.Errorf("the client has no key for %s", alg)
	}
	return key, nil
}

// detailsPart compiles the types of rich authorization requests.
func (s *Server) detailsPart(next *enact.Force) (func(), error) {
	details, err := request.NewDetails(next.Bundle)
	if err != nil {
		return nil, err
	}
	return func() { s.details.set(details) }, nil
}

func (s *Server) bundle() *recipe.Bundle {
	if force := s.Force.InForce(); force != nil {
		return force.Bundle
	}
	return nil
}

// issuerKeys finds the keys of the issuers that the recipe trusts: they are kept and fetched as those of clients are.
type issuerKeys struct{ server *Server }

func (k issuerKeys) Issuer(ctx context.Context, name string, header jose.Header) (jose.PublicKey, error) {
	bundle := k.server.bundle()
	if bundle == nil {
		return jose.PublicKey{}, iam.ErrUnavailable
	}
	said, ok := bundle.Recipe.Issuers[name]
	if !ok {
		return jose.PublicKey{}, iam.ErrNotFound
	}
	owner := iam.Client{ID: "issuer " + name, JWKSURI: said.JWKSURI} // no client's id has a space
	if said.JWKS != "" {
		owner.JWKS = string(bundle.Files[said.JWKS])
	}
	return k.server.clientKeys.For(ctx, owner, header)
}

func (s *Server) assertions() *assertion.Reader {
	return &assertion.Reader{
		Issuer: s.Node.Issuer, Keys: issuerKeys{s}, Users: s.users, Once: s.newOnce(), Now: s.Lab.Now,
		Recipe: func() *recipe.Recipe {
			if bundle := s.bundle(); bundle != nil {
				return bundle.Recipe
			}
			return nil
		},
	}
}

// openRegistration sets up what clients that come by themselves need.
func (s *Server) openRegistration() {
	s.rules = &register.Rules{Issuer: s.Node.Issuer, Bundle: s.bundle, Fetcher: s.fetcher, Now: s.Lab.Now}
	strangers := limit.New(limit.Rate{Burst: 20, Every: 3 * time.Second}, 10_000, s.Lab.Now) // documents, by site and by network
	s.known = register.NewDocuments(s.clients, s.House, s.rules, strangers)
	s.known.Asker = callerOf
	s.usage = &register.Usage{Store: s.House, Rules: s.rules, Lease: s.leaseOf("unused clients"), Log: s.Log}
}

// sealSecret keeps a generated secret itself, for the one method that can't do with its hash.
func (s *Server) sealSecret(id, secret string) (string, error) {
	return s.Seal.ClientSecret(string(iam.DefaultTenant), id, secret)
}

func (s *Server) unsealSecret(secret iam.ClientSecret) (string, error) {
	return s.Seal.OpenClientSecret(string(iam.DefaultTenant), secret.ID, secret.Sealed)
}

// openFarewell has clients told of sessions that end.
func (s *Server) openFarewell() {
	s.farewell = farewell.New(farewell.Notifier{
		Changes: s.House, Cursors: s.House, Reads: s.House, Clients: s.known, Queue: s.post, Tokens: s.mint,
		Sender: s.fetcher, Journal: s.House, Lease: s.lease("logout"), Log: s.Log, Now: s.Lab.Now,
	})
	s.post.Works[farewell.KindLogout] = s.farewell.Work
	s.Follower.Listeners = append(s.Follower.Listeners, s.farewell.Hear)
}

// answered notes that a client that came by itself is in use, and adds to its answer.
func (s *Server) answered(w http.ResponseWriter, r *http.Request, to *request.Request) map[string]string {
	s.usage.Used(r.Context(), to.Client)
	return s.sessionState(w, r, to)
}

// sessionState is session_state of an answer to a client that signs people in (OpenID Connect Session Management).
func (s *Server) sessionState(w http.ResponseWriter, r *http.Request, to *request.Request) map[string]string {
	if !to.Scope.Has("openid") || to.Client.Public() && to.Client.Kind != recipe.Browser {
		return nil
	}
	state := session.ClientState(to.Client.ID, to.RedirectURI, s.sessions.State(w, r))
	if state == "" {
		return nil
	}
	return map[string]string{"session_state": state}
}
