package admin

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/recipe"
)

// Revision is one applied recipe.
type Revision struct {
	Number  int64     `json:"revision"`
	Digest  string    `json:"digest"`
	Applied time.Time `json:"applied"`
	By      string    `json:"by"`
	Note    string    `json:"note,omitempty"`
}

func revisionView(revision iam.Revision) Revision {
	return Revision{revision.Number, revision.Digest, revision.Applied, revision.By, revision.Note}
}

// Plan is what a proposal changes.
type Plan struct {
	Expect  int64           `json:"expect" doc:"revision in force; 0 for none"`
	Same    bool            `json:"same" doc:"nothing would change"`
	Changes []recipe.Change `json:"changes"`
	Weaker  []string        `json:"weaker" doc:"weakenings, each to be accepted by name"`
}

func planView(plan manage.Plan) Plan {
	return Plan{plan.Expect, plan.Same, append([]recipe.Change{}, plan.Changes...), append([]string{}, plan.Weaker...)}
}

// Applied is what came of a proposal.
type Applied struct {
	Revision Revision `json:"revision"`
	Plan     Plan     `json:"plan"`
}

// ShownRevision is a revision with what it says. Sources come first, then the files that they name.
type ShownRevision struct {
	Revision
	Env     string          `json:"env,omitempty"`
	Sources []recipe.Source `json:"sources"`
	Files   []string        `json:"files"`
	Bundle  []byte          `json:"bundle"`
}

// Terms are how a proposal is to be applied.
type Terms struct {
	Expect *int64   `json:"expect,omitempty" doc:"revision that must be in force"`
	Accept []string `json:"accept,omitempty" doc:"weakenings that are accepted, by name"`
	Note   string   `json:"note,omitempty"`
}

func (t Terms) proposal(bundle []byte) manage.Proposal {
	proposal := manage.Proposal{Bundle: bundle, Expect: -1, Accept: t.Accept, Note: t.Note}
	if t.Expect != nil {
		proposal.Expect = *t.Expect
	}
	return proposal
}

func (a *api) recipes() {
	type proposed struct {
		Body struct {
			Bundle []byte `json:"bundle"`
		}
	}
	propose := route("POST", "/recipe/plan", "plan-recipe", "Tell what a recipe would change")
	propose.MaxBodyBytes = maxLarge
	op(a, propose, func(ctx context.Context, in *proposed) (*some[Plan], error) {
		plan, err := a.Desk.Recipes.Propose(ctx, in.Body.Bundle)
		return answer(planView(plan), err)
	})
	type applied struct {
		Body struct {
			Terms
			Bundle []byte `json:"bundle"`
		}
	}
	apply := route("PUT", "/recipe", "apply-recipe", "Put a recipe in force")
	apply.MaxBodyBytes = maxLarge
	op(a, apply, func(ctx context.Context, in *applied) (*some[Applied], error) {
		revision, plan, err := a.Desk.Recipes.Apply(ctx, Operator(ctx), in.Body.proposal(in.Body.Bundle))
		return answer(Applied{revisionView(revision), planView(plan)}, err)
	})
	a.revisions()
}

func (a *api) revisions() {
	op(a, route("GET", "/recipe/revisions", "list-revisions", "List what was in force, newest first"), func(ctx context.Context, _ *none) (*some[paged[Revision]], error) {
		rows, err := a.Desk.House.ListRevisions(ctx)
		return answer(part("revisions", len(rows), rows, func(iam.Revision) string { return "" }, revisionView), err)
	})
	type RevisionRef struct {
		Number int64 `path:"revision" minimum:"0" doc:"0 is the one in force"`
	}
	op(a, route("GET", "/recipe/revisions/{revision}", "show-revision", "Show a revision"), func(ctx context.Context, in *RevisionRef) (*some[ShownRevision], error) {
		revision, bundle, err := a.Desk.Recipes.Show(ctx, in.Number)
		if err != nil {
			return nil, err
		}
		shown := ShownRevision{Revision: revisionView(revision), Env: bundle.Env, Sources: bundle.Sources, Files: []string{}, Bundle: revision.Bundle}
		for name := range bundle.Files {
			shown.Files = append(shown.Files, name)
		}
		return answer(shown, nil)
	})
	type back struct {
		RevisionRef
		Body Terms
	}
	op(a, route("POST", "/recipe/revisions/{revision}/rollback", "rollback-recipe", "Apply an earlier revision anew"), func(ctx context.Context, in *back) (*some[Applied], error) {
		revision, plan, err := a.Desk.Recipes.Rollback(ctx, Operator(ctx), in.Number, in.Body.proposal(nil))
		return answer(Applied{revisionView(revision), planView(plan)}, err)
	})
	op(a, route("POST", "/recipe/revisions/{revision}/plan", "plan-rollback", "Tell what going back would change"), func(ctx context.Context, in *RevisionRef) (*some[Plan], error) {
		revision, _, err := a.Desk.Recipes.Show(ctx, in.Number)
		if err != nil {
			return nil, err
		}
		plan, err := a.Desk.Recipes.Propose(ctx, revision.Bundle)
		return answer(planView(plan), err)
	})
}
