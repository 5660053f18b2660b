package enact

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/recipe"
)

// Plan is what applying a bundle would change.
type Plan struct {
	Expect  int64 // revision in force when the plan was made; 0: none
	Changes []recipe.Change
	Weaker  []string // names of the weakenings that must be accepted one by one
	Same    bool     // the digest is the one in force

	narrowed []string // registration policies that are gone or give less
	dropped  []string // those of them that are gone
}

// Weakened is the answer to a bundle that weakens something which nobody has accepted by name.
type Weakened struct{ Names []string }

func (w *Weakened) Error() string {
	return "this recipe weakens what is in force: " + strings.Join(w.Names, ", ") +
		" (accept each with --accept-weaker NAME, or change the recipe)"
}

// Propose compares a bundle with what is in force in storage.
func (e *Enactor) Propose(ctx context.Context, bundle *recipe.Bundle) (Plan, error) {
	newest, err := e.Revisions.InForce(ctx)
	if errors.Is(err, iam.ErrNotFound) {
		return Plan{}, nil
	}
	if err != nil {
		return Plan{}, err
	}
	old, err := recipe.Parse(newest.Bundle)
	if err != nil { // it can't be compared, and must not keep the cure out: the operator accepts that by name
		return Plan{Expect: newest.Number, Weaker: []string{fmt.Sprintf("revision-%d-unreadable", newest.Number)}}, nil
	}
	changes := recipe.Diff(old, bundle)
	return Plan{
		Expect: newest.Number, Changes: changes, Weaker: recipe.Weakenings(changes), Same: bundle.Digest() == newest.Digest,
		narrowed: narrowed(old.Recipe.Registration, bundle.Recipe.Registration),
		dropped:  dropped(old.Recipe.Registration, bundle.Recipe.Registration),
	}, nil
}

// dropped names the registration policies that are gone.
func dropped(before, now map[string]recipe.Registration) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(before)), func(name string) bool {
		_, there := now[name]
		return there
	})
}

// narrowed names the registration policies that give less than before, or are gone: the access tokens of their clients may hold
// what nobody gives any more (X15).
func narrowed(before, now map[string]recipe.Registration) []string {
	var names []string
	for name, old := range before {
		next, there := now[name]
		gives := func(all []string) func(string) bool {
			return func(one string) bool { return !slices.Contains(all, one) }
		}
		if !there || slices.ContainsFunc(old.Scopes, gives(next.Scopes)) || slices.ContainsFunc(old.Details, gives(next.Details)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Proposal is a bundle that somebody wants in force.
type Proposal struct {
	Bundle *recipe.Bundle
	Expect int64    // revision that must be in force; ErrRaced otherwise. Negative: whichever is
	Accept []string // weakenings that are accepted, by name
	By     string
	Note   string
}

// Apply makes a bundle the newest revision. It answers *Weakened when a weakening is not accepted, and iam.ErrRaced when
// someone else was faster. Other nodes follow by the outbox; this one by Adopt. A bundle that is in force already makes
// no revision.
func (e *Enactor) Apply(ctx context.Context, proposal Proposal, now time.Time) (iam.Revision, Plan, error) {
	plan, err := e.Propose(ctx, proposal.Bundle)
	if err != nil {
		return iam.Revision{}, plan, err
	}
	if proposal.Expect >= 0 && proposal.Expect != plan.Expect {
		return iam.Revision{}, plan, fmt.Errorf("revision %d is in force, not %d: %w", plan.Expect, proposal.Expect, iam.ErrRaced)
	}
	if refused := slices.DeleteFunc(slices.Clone(plan.Weaker), func(name string) bool {
		return slices.Contains(proposal.Accept, name)
	}); len(refused) > 0 {
		return iam.Revision{}, plan, &Weakened{refused}
	}
	// What this node can't obey is not applied: every other would stand before the same.
	if _, _, err := e.prepare(proposal.Bundle, plan.Expect+1); err != nil {
		return iam.Revision{}, plan, fmt.Errorf("the recipe can't be obeyed: %w", err)
	}
	revision := iam.Revision{
		Digest: proposal.Bundle.Digest(), Applied: now.UTC(), By: proposal.By, Note: proposal.Note, Narrowed: plan.narrowed,
		Dropped: plan.dropped,
	}
	if plan.Same {
		revision, err = e.Revisions.InForce(ctx)
		return revision, plan, err
	}
	revision.Bundle = proposal.Bundle.Marshal()
	event := journal.New(now, journal.RecipeApplied{Revision: plan.Expect + 1, Digest: revision.Digest, Weaker: plan.Weaker})
	event.Actor = proposal.By
	revision.Number, err = e.Revisions.Apply(ctx, plan.Expect, revision, Declared(proposal.Bundle), event)
	return revision, plan, err
}
