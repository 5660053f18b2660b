package app

import (
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/login"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/session"
)

// login puts the sign-in pages together.
func (s *Server) login(kept crowd) *login.Endpoint {
	s.failures = login.NewFailures(counting{s.House, s.moments.failed}, s.Lab.Now)
	needs := s.holdings()
	pages := &login.Endpoint{
		Issuer: s.Node.Issuer, People: kept, Clients: s.known, Sessions: s.sessions,
		Devices: &session.Devices{Keeper: s.sessions, Sealer: s.Seal, Tenant: iam.DefaultTenant, Kept: s.House},
		Factors: factor.All(needs), Holds: needs, Sets: s.sets, Missing: assurance.Missing, Hasher: s.hasher,
		Tries: &limit.Tries{
			Throttle: limit.NewThrottle(limit.Budgets{}, s.Lab.Now), Shared: s.House, Now: s.Lab.Now,
			Further: limit.New(limit.Rate{Burst: 10, Every: 5 * time.Minute}, 100_000, s.Lab.Now),
		},
		Mails:    limit.New(limit.Rate{Burst: 10, Every: time.Minute}, 50_000, s.Lab.Now),
		Failures: s.failures, Post: s.post, Network: s.network, Help: s.help,
		Offers: s.offers.value, Confined: s.confined.Load, Pages: s.pages.get, Logos: s.logos, Face: s.pageFace(), Now: s.Lab.Now,
	}
	s.post.Works[login.KindForgot] = pages.WorkForgot
	s.post.Works[login.KindSignUp] = pages.WorkSignUp
	s.post.Works[login.KindLapse] = pages.WorkLapse
	s.post.Works[login.KindCode] = pages.WorkCode
	return pages
}

// holdings is what people prove things with.
func (s *Server) holdings() factor.Needs {
	return factor.Needs{
		Passwords: s.House, Hasher: s.hasher, Authenticators: s.House, Approvals: s.House, Sessions: s.House,
		Party: s.party, Sealer: s.Seal, Tenant: iam.DefaultTenant, Vouches: s.vouches,
	}
}

// sets are the sets of factors that reach a level.
func (s *Server) sets() []string {
	said := s.Policy().Recipe
	if said == nil {
		return nil
	}
	var all []string
	for _, rung := range said.Levels {
		all = append(all, rung.Any...)
	}
	return all
}

// offersPart reads what people may do on the pages. Where passwords are switched off nobody chooses one.
func (s *Server) offersPart(next *enact.Force) (func(), error) {
	said, policy := next.Bundle.Recipe.SignIn, next.Passwords
	factors := said.Offered()
	password := slices.Contains(factors, "password")
	offers := login.Offers{
		SignUp: said.SignUp && password, SignUpHosts: said.SignUpHosts, Reset: password && (said.Reset == nil || *said.Reset), Factors: factors,
		Judge: func(secret string, names ...string) (page.Fault, error) {
			return factor.Judge(policy, secret, names...)
		},
	}
	return func() { s.offers.set(&offers) }, nil
}
