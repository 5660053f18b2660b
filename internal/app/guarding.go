package app

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/session"
)

// settled is how old a password must be for it and the mailbox to be two different things: a younger one may have come by the
// same mailbox.
const settled = 7 * 24 * time.Hour

// guarded is what somebody must prove, lately, who changes what guards their account: the highest level that they can reach,
// and in a moment that may be somebody else's as much as the recipe's rules ask for then. Who can't reach that proves that
// they read their mail, beside what they sign in with. Nil: they did.
func (s *Server) guarded(r *http.Request, user iam.User, here iam.Session) (*iam.Need, error) {
	decision, err := s.guard(r, here)
	if err != nil {
		return nil, err
	}
	return s.guardedBy(r.Context(), decision, user, here)
}

// wary is guarded in a moment that may be somebody else's, and nothing in any other.
func (s *Server) wary(r *http.Request, user iam.User, here iam.Session) (*iam.Need, error) {
	decision, err := s.guard(r, here)
	if err != nil || len(decision.Rules) == 0 && !decision.Wary {
		return nil, err
	}
	return s.guardedBy(r.Context(), decision, user, here)
}

func (s *Server) guard(r *http.Request, here iam.Session) (assurance.Decision, error) {
	if s.Policy().Recipe == nil {
		return assurance.Decision{}, oauth.Unavailable("no recipe is in force yet")
	}
	decision, err := s.decisions.Account(r.Context(), decide.Ask{Session: here, Address: s.caller(r), Agent: session.Agent(r)})
	if errors.Is(err, iam.ErrRevoked) {
		err = oauth.AccessDenied("the account no longer stands").Because(err)
	}
	return decision, err
}

func (s *Server) guardedBy(ctx context.Context, decision assurance.Decision, user iam.User, here iam.Session) (*iam.Need, error) {
	now := s.now().UTC()
	switch {
	case decision.Verdict == assurance.Permit:
		return nil, nil //nolint:nilnil // nothing is needed, and nothing is wrong
	case decision.Verdict == assurance.StepUp:
		return &iam.Need{ACR: decision.ACR, Fresh: decision.Fresh, Sets: decision.Sets, Since: now}, nil
	case !decision.Unmet():
		return nil, oauth.AccessDenied("the company's policy refuses this")
	}
	sets, err := s.vouching(ctx, user, now)
	if err != nil {
		return nil, err
	}
	need := iam.Need{Fresh: assurance.Lately, Sets: sets, Since: now, Vouch: true}
	switch {
	case !decision.Wary || len(sets) == 0:
		return nil, oauth.UnmetAuthentication("nothing that you have would be enough in this moment: do it from a device and a place " +
			"that you have used before, or ask the company for help")
	case slices.ContainsFunc(sets, func(set string) bool { return assurance.Satisfied(set, need, here.Proofs, now) }):
		return nil, nil //nolint:nilnil // as above
	}
	return &need, nil
}

// vouching are the sets of factors that vouch for somebody who can't reach what a moment asks for: a way in, and the mailbox
// that was proved to be theirs, which must not be what the way in rests on.
func (s *Server) vouching(ctx context.Context, user iam.User, now time.Time) ([]string, error) {
	if !user.EmailVerified || user.Email == "" {
		return nil, nil
	}
	held, err := s.factors(ctx, user)
	if err != nil {
		return nil, err
	}
	kept, err := s.House.Password(ctx, user.ID)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return nil, err
	}
	// One that was chosen when the account began came by no reset.
	mailed := s.offers.value().Reset && now.Sub(kept.Changed) < settled && kept.Changed.Sub(user.Created) > time.Hour
	held = slices.DeleteFunc(held, func(factor string) bool {
		return factor == factorEmail || factor == factorApproval || factor == "password" && mailed
	})
	var sets []string
	for _, set := range s.sets() {
		if both := set + "+" + factorEmail; within(set, held) && !slices.Contains(sets, both) {
			sets = append(sets, both)
		}
	}
	slices.SortStableFunc(sets, func(one, other string) int { return strings.Count(one, "+") - strings.Count(other, "+") })
	return sets, nil
}

const factorEmail = "email"
