package app

import (
	"context"
	"net/http"
	"runtime"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/server/authorize"
	"github.com/gardeauth/garde/internal/server/consent"
	"github.com/gardeauth/garde/internal/server/discovery"
	"github.com/gardeauth/garde/internal/server/login"
	"github.com/gardeauth/garde/internal/session"
)

// people are the doors that people use in a browser.
func (s *Server) people(doors *http.ServeMux) {
	face := s.pageFace()
	handle := func(path string, door func(http.ResponseWriter, *http.Request) error) {
		doors.Handle(path, face.Handle(door))
	}
	front := &authorize.Endpoint{
		Issuer: s.Node.Issuer, Parser: s.parser(), Sessions: s.sessions, Flows: s.House, Codes: s.House,
		Consents: s.House, Policy: s.Policy, Pages: s.pages.get, Face: face, Now: s.Lab.Now,
	}
	handle(discovery.Standard.Authorize, front.Authorize)
	signing := s.login()
	handle("/signin", signing.SignIn)
	asking := &consent.Endpoint{
		Sessions: s.sessions, Flows: s.House, Users: s.House, Clients: s.clients, Consents: s.House,
		Say:   func(scope string) map[string]string { return s.Policy().Recipe.Scopes[scope].Say },
		Pages: s.pages.get, Now: s.Lab.Now,
	}
	handle("/consent", asking.Consent)
}

// login puts the sign-in pages together. Password hashing runs on as many cores as there are, with a queue of 64.
func (s *Server) login() *login.Endpoint {
	s.failures = login.NewFailures(s.House, s.Lab.Now)
	return &login.Endpoint{
		Issuer: s.Node.Issuer, People: s.House, Clients: s.clients, Sessions: s.sessions,
		Devices:  &session.Devices{Keeper: s.sessions, Sealer: s.Seal, Tenant: iam.DefaultTenant},
		Factors:  login.All(login.Needs{Passwords: s.House, Hasher: s.hasher}),
		Hasher:   s.hasher,
		Throttle: limit.NewThrottle(limit.Budgets{}, s.Lab.Now),
		Mails:    limit.New(limit.Rate{Burst: 10, Every: time.Minute}, 50_000, s.Lab.Now),
		Failures: s.failures, Post: s.post, Network: s.network,
		Reached: func(methods []string) string { return s.Policy().Reached(methods) },
		Offers:  s.offers.value, Pages: s.pages.get, Face: s.pageFace(), Now: s.Lab.Now,
	}
}

func newHasher() *password.Hasher { return password.NewHasher(runtime.NumCPU(), 64) }

// offersPart reads what people may do on the pages.
func (s *Server) offersPart(next *enact.Force) (func(), error) {
	said := next.Bundle.Recipe.SignIn
	offers := login.Offers{
		SignUp: said.SignUp, SignUpHosts: said.SignUpHosts, Reset: said.Reset == nil || *said.Reset,
		Company: next.Bundle.Recipe.Company.Name,
	}
	return func() { s.offers.set(&offers) }, nil
}

// noPost refuses messages while no way to send them is set up.
type noPost struct{}

func (noPost) Enqueue(context.Context, string, []byte) error { return iam.ErrUnavailable }
