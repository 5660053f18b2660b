package app

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/internal/server/discovery"
	"github.com/gardeauth/garde/internal/server/grant"
	"github.com/gardeauth/garde/internal/server/introspect"
	"github.com/gardeauth/garde/internal/server/par"
	"github.com/gardeauth/garde/internal/server/register"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/server/revoke"
	"github.com/gardeauth/garde/internal/server/signals"
	"github.com/gardeauth/garde/internal/server/userinfo"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// routes hangs every door into its frame.
func (s *Server) routes() (http.Handler, error) {
	programs, people := http.NewServeMux(), http.NewServeMux()
	s.protocol(programs)
	s.people(people)
	people.Handle("/", s.pageFace().Handle(func(http.ResponseWriter, *http.Request) error { return web.NotFound() }))
	frame := http.NewServeMux()
	frame.Handle("/", s.limited(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, door := programs.Handler(r); door != "" {
			programs.ServeHTTP(w, r)
			return
		}
		people.ServeHTTP(w, r)
	})))
	s.gates(frame) // a Gate listens for long: it must not take a caller's place
	issuer, err := url.Parse(s.Node.Issuer)
	if err != nil {
		return nil, err
	}
	main, err := web.NewHosts(web.Face{As: web.Problem{}, Log: s.Log}, issuer.Host)
	if err != nil || s.Node.MTLS.URL == "" {
		return s.framed(main, frame), err
	}
	return s.withCertificates(s.framed(main, frame), s.limited(programs))
}

// withCertificates opens the doors for programs, and no page, at the address for clients with certificates too: on a
// listener of its own, or, where a proxy asks for the certificates, on that of the Server.
func (s *Server) withCertificates(main, programs http.Handler) (http.Handler, error) {
	at, err := url.Parse(s.Node.MTLS.URL)
	if err != nil {
		return nil, err
	}
	hosts, err := web.NewHosts(web.Face{As: web.Problem{}, Log: s.Log}, at.Host)
	if err != nil {
		return nil, err
	}
	s.certified = s.framed(hosts, programs)
	if s.Node.MTLS.Listen != "" {
		return main, nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if hosts.Has(r.Host) {
			s.certified.ServeHTTP(w, r)
			return
		}
		main.ServeHTTP(w, r)
	}), nil
}

func (s *Server) limited(doors http.Handler) http.Handler {
	return web.Overload{Face: web.Face{As: web.OAuth{}, Log: s.Log}}.Wrap(s.named(doors))
}

func (s *Server) framed(hosts web.Hosts, doors http.Handler) http.Handler {
	return web.Secured(s.secure(), web.Traced(hosts.Guard(s.metrics.watch(doors))))
}

// Where the Gates ask.
const (
	feedPath   = "/signals/revocations"
	proofsPath = "/signals/proofs"
)

// protocol are the doors that programs use.
func (s *Server) protocol(doors *http.ServeMux) {
	plain := web.Face{As: web.OAuth{}, Log: s.Log}
	bearer := web.Face{As: web.Bearer{DPoP: binding.Challenge()}, Log: s.Log}
	scripts := web.CORS{Allowed: s.allowedOrigin}
	everyone := web.CORS{Public: true}

	grants := grant.All(s.grantNeeds())
	token := &grant.Endpoint{Clients: s.prover, Grants: grants, Proofs: s.proofs, Issuer: s.mint, Caller: s.caller}
	pushed := &par.Endpoint{Clients: s.prover, Parser: s.parser(), Pushed: s.House, Proofs: s.proofs, Now: s.Lab.Now,
		Strangers: limit.New(limit.Rate{Burst: 300, Every: 500 * time.Millisecond}, 50_000, s.Lab.Now), Network: s.network}
	info := &userinfo.Endpoint{Issuer: s.Node.Issuer, Tokens: s.tokens, Users: s.users, Grants: s.House, Clients: s.known,
		Writer: s.writer(), Salt: s.Keys.Salt}
	introspection := &introspect.Endpoint{Issuer: s.Node.Issuer, Clients: s.prover, Tokens: s.tokens, Policy: s.Policy,
		Writer: s.writer(), Salt: s.Keys.Salt, Now: s.Lab.Now}
	revocation := &revoke.Endpoint{Clients: s.prover, Tokens: s.tokens, Refreshes: s.House, Grants: s.House,
		Settle: s.Follower.Catch, Now: s.now, Secrets: s.House, Sessions: s.House}
	about := &discovery.Endpoint{
		Issuer: s.Node.Issuer, Alias: s.Node.MTLS.URL, Places: discovery.Standard, Keys: s.Keys, Policy: s.Policy,
		Grants: grant.Types(grants), Modes: request.Modes, Prompts: func() []string { return request.PromptsOf(s.Policy().Recipe) },
		Auth: clientauth.Names(s.prover.Methods), AuthAlgs: clientauth.Algs(), ProofAlgs: binding.Algs(), SignAlgs: recipe.IDTokenAlgs(),
		Locales: page.Locales(), Register: func() string { return register.Address(s.Node.Issuer, s.bundle()) },
		Now: s.Lab.Now,
	}
	at := discovery.Standard
	doors.Handle(at.Token, scripts.Wrap(plain.Handle(token.Token)))
	doors.Handle(at.PAR, scripts.Wrap(plain.Handle(pushed.Push)))
	s.registration(doors, web.CORS{Public: true, Methods: []string{http.MethodPut, http.MethodDelete}})
	s.asking(doors, scripts)
	s.others(doors)
	doors.Handle(at.UserInfo, scripts.Wrap(web.Interactive(s.proofs.Fresh(bearer.Handle(info.UserInfo)))))
	doors.Handle(at.Introspect, plain.Handle(introspection.Introspect))
	doors.Handle(at.Revoke, scripts.Wrap(plain.Handle(revocation.Revoke)))
	doors.Handle(at.JWKS, everyone.Wrap(plain.Handle(about.JWKS)))
	doors.Handle("/.well-known/openid-configuration", everyone.Wrap(plain.Handle(about.Metadata)))
	doors.Handle("/.well-known/oauth-authorization-server", everyone.Wrap(plain.Handle(about.Metadata)))
}

// registration are the doors of clients that register themselves.
func (s *Server) registration(doors *http.ServeMux, scripts web.CORS) {
	face := web.Face{As: web.Bearer{}, Log: s.Log}
	endpoint := &register.Endpoint{
		Issuer: s.Node.Issuer, Rules: s.rules, Store: s.House, Seal: s.sealSecret,
		Throttle: limit.New(limit.Rate{Burst: 60, Every: 5 * time.Second}, 50_000, s.Lab.Now), Network: s.network, Now: s.Lab.Now,
	}
	for path, door := range map[string]web.Handler{
		register.Place: endpoint.Register, register.Place + "/{policy}": endpoint.Register, register.Place + "/{policy}/{client}": endpoint.Manage,
	} {
		doors.Handle(path, scripts.Wrap(face.Handle(door)))
	}
}

// gates are the doors of the Gates.
func (s *Server) gates(frame *http.ServeMux) {
	face := web.Face{As: web.Bearer{}, Log: s.Log}
	feed := &signals.Endpoint{
		Tokens: s.tokens, Changes: s.House, Dead: s.revoked.Dead, Now: s.Lab.Now,
	}
	recipes := &signals.Recipes{
		Issuer: s.Node.Issuer, Tokens: s.tokens, Force: s.Force.InForce, Signer: s.Keys.Signer, Nodes: s.House,
		Epoch: s.House.Epoch, Now: s.now,
	}
	proofs := &signals.Proofs{Tokens: s.tokens, Once: s.House, Now: s.Lab.Now}
	frame.Handle(proofsPath, face.Handle(proofs.Proofs))
	s.uses(frame, face)
	frame.Handle(feedPath, s.untilLeaving(face.Handle(feed.Revocations)))
	frame.Handle("/signals/recipe", s.untilLeaving(face.Handle(recipes.Recipe)))
}

// untilLeaving ends what would wait for the node's own end: a Gate that listens would hold up the end of the Server for
// all the time that requests under way are given.
func (s *Server) untilLeaving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		ended := make(chan struct{})
		defer close(ended)
		go func() {
			select {
			case <-s.leaving:
				cancel()
			case <-ended:
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// parser reads authorization requests.
func (s *Server) parser() *request.Parser {
	steps := s.Lab.Request
	if steps == nil {
		steps = request.Standard
	}
	return &request.Parser{
		Issuer: s.Node.Issuer, Clients: s.known, Policy: s.Policy, Keys: ownKeys{s.Keys}, Steps: slices.Clone(steps),
		Waiting: s.House, ClientKeys: s.clientKeys, Opener: s.Keys, Once: s.newOnce(), Details: s.details.get, Now: s.Lab.Now,
		Shelf: &request.Shelf{Fetch: func(ctx context.Context, target string) ([]byte, string, error) {
			document, err := s.fetcher.Document(ctx, target)
			return document.Body, document.ContentType, err
		}},
	}
}

// pageFace answers people in a browser. It never redirects.
func (s *Server) pageFace() web.Face {
	return web.Face{Log: s.Log, As: web.Page{Render: func(w http.ResponseWriter, r *http.Request, answer web.Answer) {
		err := s.pages.get().Render(w, r, answer.Status, page.Error{
			Common: page.Common{Trace: answer.Trace}, Code: answer.Code, Reason: string(answer.Reason), Detail: answer.Description,
		})
		if err != nil {
			s.Log.Error("render an error page", "error", err, "trace", answer.Trace)
			http.Error(w, answer.Code, answer.Status)
		}
	}}}
}
