package manage

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/recipe"
)

// Recipes are the deeds about what is in force. Revisions and Enactor are required.
type Recipes struct {
	Revisions iam.Revisions
	Enactor   *enact.Enactor
	Now       func() time.Time // nil: time.Now
}

// Proposal is a bundle that somebody wants in force, as Marshal wrote it.
type Proposal struct {
	Bundle []byte
	Expect int64    // revision that must be in force; negative: whichever is
	Accept []string // weakenings that are accepted, by name
	Note   string
}

// Plan is what a proposal would change.
type Plan = enact.Plan

// Propose tells what would change.
func (r *Recipes) Propose(ctx context.Context, bundle []byte) (Plan, error) {
	parsed, err := r.read(bundle)
	if err != nil {
		return Plan{}, err
	}
	return r.Enactor.Propose(ctx, parsed)
}

// Apply puts a bundle in force. *enact.Weakened names the weakenings that nobody has accepted, iam.ErrRaced says that
// another revision came first.
func (r *Recipes) Apply(ctx context.Context, by string, proposal Proposal) (iam.Revision, Plan, error) {
	parsed, err := r.read(proposal.Bundle)
	if err != nil {
		return iam.Revision{}, Plan{}, err
	}
	return r.apply(ctx, by, parsed, proposal)
}

func (r *Recipes) apply(ctx context.Context, by string, bundle *recipe.Bundle, proposal Proposal) (iam.Revision, Plan, error) {
	if len(proposal.Note) > maxText || !plain(proposal.Note) {
		return iam.Revision{}, Plan{}, refuse(Invalid, "note", "at most 200 characters, without control characters", "the note can't be kept")
	}
	revision, plan, err := r.Enactor.Apply(ctx, enact.Proposal{
		Bundle: bundle, Expect: proposal.Expect, Accept: proposal.Accept, By: by, Note: proposal.Note,
	}, clock(r.Now))
	var weakened *enact.Weakened
	switch {
	case errors.As(err, &weakened):
		var found faults
		for _, name := range weakened.Names {
			found.add(name, "accept it with --accept-weaker "+strconv.Quote(name)+", or change the recipe", "weaker than what is in force")
		}
		return revision, plan, &Refusal{Conflict, found}
	case errors.Is(err, iam.ErrRaced):
		return revision, plan, refuse(Conflict, "expect", "look at the difference again", "%v", err)
	case errors.Is(err, iam.ErrExists):
		return revision, plan, refuse(Conflict, "clients", "give the client of the recipe another name", "%v", err)
	}
	return revision, plan, err
}

// read takes a bundle apart and judges it by today's date.
func (r *Recipes) read(encoded []byte) (*recipe.Bundle, error) {
	parsed, err := recipe.Parse(encoded)
	if err != nil {
		return nil, refuse(Invalid, "bundle", "garde recipe check tells every fault", "%v", err)
	}
	today, err := recipe.Assemble(parsed.Env, parsed.Sources, parsed.Files, clock(r.Now))
	if err != nil {
		return nil, refuse(Invalid, "bundle", "garde recipe check tells every fault", "%v", err)
	}
	return today, nil
}

// Show gives a revision and its bundle; number 0 is the one in force.
func (r *Recipes) Show(ctx context.Context, number int64) (iam.Revision, *recipe.Bundle, error) {
	var revision iam.Revision
	var err error
	if number == 0 {
		revision, err = r.Revisions.InForce(ctx)
	} else {
		revision, err = r.Revisions.Revision(ctx, number)
	}
	if errors.Is(err, iam.ErrNotFound) {
		return revision, nil, refuse(Missing, "", "garde recipe history lists them", "there is no revision %d", number)
	}
	if err != nil {
		return revision, nil, err
	}
	bundle, err := recipe.Parse(revision.Bundle)
	return revision, bundle, err
}

// Rollback applies an earlier revision anew: weakenings have to be accepted like any others.
func (r *Recipes) Rollback(ctx context.Context, by string, number int64, proposal Proposal) (iam.Revision, Plan, error) {
	if number <= 0 {
		return iam.Revision{}, Plan{}, refuse(Invalid, "revision", "garde recipe history lists them", "there is no revision %d", number)
	}
	earlier, _, err := r.Show(ctx, number)
	if err != nil {
		return iam.Revision{}, Plan{}, err
	}
	bundle, err := r.read(earlier.Bundle)
	if err != nil {
		return iam.Revision{}, Plan{}, err
	}
	if proposal.Note == "" {
		proposal.Note = "back to revision " + strconv.FormatInt(number, 10)
	}
	return r.apply(ctx, by, bundle, proposal)
}
