package decide

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
)

// seasoned is how old a password must be for it and the mailbox to be two different things: a younger one may have come by the
// same mailbox.
const seasoned = 7 * 24 * time.Hour

// Guard is what stands before a person's own changes of what guards their account. All fields are required.
type Guard struct {
	*Desk
	Passwords iam.Passwords
	Sets      func() []string // of factors, as password+totp, each of which reaches a level
	Resets    func() bool     // whether a forgotten password comes back by mail
}

// Need is what somebody must prove, lately, who changes what guards their account: the highest level that they can reach, and
// in a moment that may be somebody else's as much as the recipe's rules ask for then. Who can't reach that proves that they
// read their mail, beside what they sign in with. Nil: they did. wary asks in such a moment alone, and nothing in any other.
func (g *Guard) Need(ctx context.Context, ask Ask, user iam.User, wary bool) (*iam.Need, error) {
	if policy := g.Policy(); policy == nil || policy.Recipe == nil {
		return nil, oauth.Unavailable("no recipe is in force yet")
	}
	decision, err := g.Account(ctx, ask)
	switch {
	case errors.Is(err, iam.ErrRevoked):
		return nil, oauth.AccessDenied("the account no longer stands").Because(err)
	case err != nil:
		return nil, err
	case decision.Verdict == assurance.Permit, wary && !decision.Wary && decision.Unmet():
		return nil, nil //nolint:nilnil // nothing is needed, and nothing is wrong
	case decision.Verdict == assurance.StepUp && wary && !decision.Wary:
		return nil, nil //nolint:nilnil // as above
	case decision.Verdict == assurance.StepUp:
		return &iam.Need{ACR: decision.ACR, Fresh: decision.Fresh, Sets: decision.Sets, Since: g.now()}, nil
	case !decision.Unmet():
		return nil, oauth.AccessDenied("the company's policy refuses this")
	}
	return g.vouched(ctx, decision, ask, user)
}

// vouched is what vouches for somebody who can't reach what the moment asks for.
func (g *Guard) vouched(ctx context.Context, decision assurance.Decision, ask Ask, user iam.User) (*iam.Need, error) {
	now := g.now()
	sets, err := g.vouching(ctx, user, now)
	if err != nil {
		return nil, err
	}
	need := iam.Need{Fresh: assurance.Lately, Sets: sets, Since: now, Vouch: true}
	switch {
	case !decision.Wary || len(sets) == 0:
		return nil, oauth.UnmetAuthentication("nothing that you have would be enough in this moment: do it from a device and a place " +
			"that you have used before, or ask the company for help")
	case slices.ContainsFunc(sets, func(set string) bool { return assurance.Satisfied(set, need, ask.Session.Proofs, now) }):
		return nil, nil //nolint:nilnil // nothing more is needed
	}
	return &need, nil
}

// vouching are the sets of factors that vouch: a way in, and the mailbox that was proved to be theirs, which must not be what
// the way in rests on.
func (g *Guard) vouching(ctx context.Context, user iam.User, now time.Time) ([]string, error) {
	if !user.EmailVerified || user.Email == "" {
		return nil, nil
	}
	held, err := g.Factors(ctx, user)
	if err != nil {
		return nil, err
	}
	kept, err := g.Passwords.Password(ctx, user.ID)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return nil, err
	}
	// One that was chosen when the account began came by no reset.
	mailed := g.Resets() && now.Sub(kept.Changed) < seasoned && kept.Changed.Sub(user.Created) > time.Hour
	held = slices.DeleteFunc(slices.Clone(held), func(factor string) bool {
		return factor == "email" || factor == "approval" || factor == "password" && mailed
	})
	var sets []string
	for _, set := range g.Sets() {
		whole := !slices.ContainsFunc(strings.Split(set, "+"), func(factor string) bool { return !slices.Contains(held, factor) })
		if both := set + "+email"; whole && !slices.Contains(sets, both) {
			sets = append(sets, both)
		}
	}
	slices.SortStableFunc(sets, func(one, other string) int { return strings.Count(one, "+") - strings.Count(other, "+") })
	return sets, nil
}
