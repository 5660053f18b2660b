package app

import (
	"context"
	"errors"
	"slices"

	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
)

// openDecisions sets up the one desk at which every door of this node has it decided whether somebody is sure enough to be
// who they say.
func (s *Server) openDecisions() {
	s.decisions = decide.New(decide.Desk{
		Policy: s.Policy, Users: s.users, Clients: s.known, Sessions: s.living, Journal: s.House, Factors: s.factors,
		Facts: scenes{s.moments.desk}, Log: s.Log, Now: s.Lab.Now,
	})
}

// factors are those that a person could prove: they have it, and the recipe offers it.
func (s *Server) factors(ctx context.Context, user iam.User) ([]string, error) {
	said := s.Policy().Recipe
	if said == nil {
		return nil, nil
	}
	offered, has := said.SignIn.Offered(), map[string]bool{"email": user.EmailVerified && user.Email != ""}
	password, err := s.House.Password(ctx, user.ID)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return nil, err
	}
	has["password"] = err == nil && password.PHC != ""
	authenticators, err := s.House.Authenticators(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	for _, one := range authenticators {
		has[string(one.Kind)] = true
	}
	if slices.Contains(offered, "recovery_code") {
		left, err := s.House.RecoveryLeft(ctx, user.ID)
		if err != nil {
			return nil, err
		}
		has["recovery_code"] = left > 0
	}
	if slices.Contains(offered, "approval") {
		sessions, err := s.House.UserSessions(ctx, user.ID)
		if err != nil {
			return nil, err
		}
		// The one that asks, and another that may approve it.
		has["approval"] = len(sessions) > 1 && slices.ContainsFunc(sessions, func(one iam.Session) bool { return s.vouches(one.Proofs) })
	}
	return slices.DeleteFunc(offered, func(factor string) bool { return !has[factor] }), nil
}

// help is where the company's people find a human.
func (s *Server) help() string {
	if said := s.Policy().Recipe; said != nil {
		return said.Company.Help
	}
	return ""
}
