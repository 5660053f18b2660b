package app

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/account"
	"github.com/gardeauth/garde/internal/server/authorize"
	"github.com/gardeauth/garde/recipe"
)

const factorApproval = "approval"

// vouched is the highest level that an approval helps to reach: what a session must reach itself to approve a sign-in. False:
// an approval leads nowhere.
func (s *Server) vouched() (recipe.Level, bool) {
	said := s.Policy().Recipe
	if said == nil {
		return recipe.Level{}, false
	}
	for _, rung := range slices.Backward(said.Levels) {
		if slices.ContainsFunc(rung.Any, func(set string) bool { return slices.Contains(strings.Split(set, "+"), factorApproval) }) {
			return rung, true
		}
	}
	return recipe.Level{}, false
}

// vouches tells whether a session that knows these proofs may approve a sign-in elsewhere.
func (s *Server) vouches(proofs []iam.Proved) bool {
	rung, leads := s.vouched()
	policy := s.Policy()
	return leads && policy.Ladder.Satisfied(rung.ACR, policy.ReachedBy(proofs))
}

// approves is what somebody must prove before they approve a sign-in elsewhere. Nil: they did.
func (s *Server) approves(r *http.Request, user iam.User, here iam.Session) (*iam.Need, error) {
	if s.vouches(here.Proofs) {
		return nil, nil //nolint:nilnil // nothing is needed, and nothing is wrong
	}
	held, err := s.factors(r.Context(), user)
	if err != nil {
		return nil, err
	}
	rung, _ := s.vouched()
	need := iam.Need{ACR: rung.ACR, Since: s.now().UTC()}
	for _, set := range rung.Any {
		if within(set, held) {
			need.Sets = append(need.Sets, set)
		}
	}
	if len(need.Sets) == 0 {
		return nil, oauth.UnmetAuthentication("this device can't approve: sign in on it by more than you did")
	}
	return &need, nil
}

// owed is what the recipe wants a person to add, of what can be added on these pages: a duty that nobody could do keeps
// nobody out.
func (s *Server) owed(ctx context.Context, user iam.User) ([]string, time.Time, error) {
	sets, until, err := s.due(ctx, user)
	if err != nil || len(sets) == 0 {
		return nil, time.Time{}, err
	}
	able, err := s.factors(ctx, user)
	if err != nil {
		return nil, time.Time{}, err
	}
	for _, factor := range s.addable() {
		if slices.Contains(account.Kinds(), factor) {
			able = append(able, factor)
		}
	}
	sets = slices.DeleteFunc(slices.Clone(sets), func(set string) bool { return !within(set, able) })
	return sets, until, nil
}

// owesElsewhere is owes for doors at which people decide what was asked on another device.
func (s *Server) owesElsewhere(ctx context.Context, id string) (now, later bool, err error) {
	duty, err := s.owes(ctx, id)
	return duty == authorize.OwedNow, duty == authorize.OwedLater, err
}

// owes is what the dispatcher asks of who has signed in.
func (s *Server) owes(ctx context.Context, id string) (authorize.Duty, error) {
	user, err := s.users.User(ctx, id)
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		return authorize.OwedNow, iam.ErrRevoked
	}
	if err != nil {
		return authorize.OwedNow, err
	}
	sets, until, err := s.owed(ctx, user)
	switch {
	case err != nil:
		return authorize.OwedNow, err
	case len(sets) == 0:
		return authorize.OwedNothing, nil
	case until.IsZero():
		return authorize.OwedNow, nil
	}
	return authorize.OwedLater, nil
}
