package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/recipe"
)

// followTime is how long running nodes get to adopt a revision before they are named.
const followTime = 2 * time.Second

// applyFlags are how a recipe is to be applied.
type applyFlags struct {
	env    string
	note   string
	expect int64
	accept []string
}

func (f *applyFlags) add(p *program, command *cobra.Command) {
	command.Flags().StringVar(&f.note, "note", "", "why, for the history")
	command.Flags().Int64Var(&f.expect, "expect", -1, "revision that must be in force; refuses a race")
	command.Flags().StringArrayVar(&f.accept, "accept-weaker", nil, "accept this weakening, by its name; may be repeated")
	p.yesFlag(command)
}

func (p *program) applyCommand() *cobra.Command {
	var said applyFlags
	command := &cobra.Command{
		Use: "apply FILE", Short: "Show what a recipe changes, and put it in force", Args: words(1, 1, "the FILE of a recipe"),
		Long: "Compares a recipe with what is in force, with a verdict for each change, and applies it. Each weakening has to be\n" +
			"accepted by its name; --yes never does that. Waits until every running node follows, or names those that do not.",
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		node, err := p.node()
		if err != nil {
			return err
		}
		if !command.Flags().Changed("env") {
			said.env = node.Env
		}
		bundle, err := recipe.Load(args[0], said.env, time.Now())
		if err != nil {
			return err
		}
		return p.with(func(ctx context.Context, r *remote, _ []string) error {
			var plan admin.Plan
			encoded := bundle.Marshal()
			if err := r.call(ctx, http.MethodPost, "/recipe/plan", map[string]any{"bundle": encoded}, &plan); err != nil {
				return err
			}
			return p.enact(ctx, r, plan, said, func(terms admin.Terms, applied *admin.Applied) error {
				return r.call(ctx, http.MethodPut, "/recipe", struct {
					admin.Terms
					Bundle []byte `json:"bundle"`
				}{terms, encoded}, applied)
			})
		})(command, args)
	}
	said.add(p, command)
	command.Flags().StringVar(&said.env, "env", "", "name of the overlay (default: env of node.yaml)")
	return command
}

// outcome is what garde apply says as JSON.
type outcome struct {
	Applied  bool            `json:"applied"`
	Revision *admin.Revision `json:"revision,omitempty"`
	Changes  []recipe.Change `json:"changes"`
	Weaker   []string        `json:"weaker"`
	Behind   []admin.Node    `json:"behind"` // running nodes that did not follow
}

// enact shows a plan, sees that its weakenings are accepted, asks, applies and waits.
func (p *program) enact(ctx context.Context, r *remote, plan admin.Plan, said applyFlags, apply func(admin.Terms, *admin.Applied) error) error {
	p.showPlan(plan)
	result := outcome{Changes: plan.Changes, Weaker: plan.Weaker, Behind: []admin.Node{}}
	if plan.Same {
		p.say("It is in force already.")
		return p.sayOutcome(result)
	}
	open := slices.DeleteFunc(slices.Clone(plan.Weaker), func(name string) bool { return slices.Contains(said.accept, name) })
	if len(open) > 0 {
		for _, name := range open {
			p.say("weaker, and not accepted: %s\n    accept it with --accept-weaker %s, or change the recipe", printable(name), shellQuoted(name))
		}
		p.say("garde: nothing was applied: %s", counted(len(open), "weakening"))
		return errSaid
	}
	if sure, err := p.sure("Apply this?"); err != nil || !sure {
		return err
	}
	terms := admin.Terms{Accept: said.accept, Note: said.note, Expect: &plan.Expect}
	if said.expect >= 0 {
		terms.Expect = &said.expect
	}
	var applied admin.Applied
	if err := apply(terms, &applied); err != nil {
		return err
	}
	result.Applied, result.Revision = true, &applied.Revision
	var err error
	if result.Behind, err = p.follow(ctx, r, applied.Revision.Number); err != nil {
		return err
	}
	if err := p.sayOutcome(result); err != nil {
		return err
	}
	for _, node := range result.Behind {
		p.say("garde: %s %s (%s) does not follow: %s", node.Role, printable(node.Name), node.ID, printable(whyBehind(node)))
	}
	if len(result.Behind) > 0 {
		return errSaid
	}
	return nil
}

func whyBehind(node admin.Node) string {
	if node.Problem != "" {
		return node.Problem
	}
	return fmt.Sprintf("it still obeys revision %d", node.Revision)
}

func (p *program) sayOutcome(result outcome) error {
	return p.show(result, func(t *table) {
		if result.Revision != nil {
			t.row("revision", result.Revision.Number)
			t.row("digest", result.Revision.Digest)
		}
	})
}

// showPlan tells the person what would change; as JSON it stands in the outcome.
func (p *program) showPlan(plan admin.Plan) {
	switch {
	case plan.Expect == 0:
		p.say("No recipe is in force yet.")
	case !plan.Same && len(plan.Changes) == 0:
		p.say("Nothing changes but comments and order.")
	}
	if len(plan.Changes) > 0 {
		p.changeTable(plan.Changes).write(p.stderr, p.verdictPaint(plan.Changes))
	}
}

// follow waits until all running nodes obey the revision, and gives those that do not.
func (p *program) follow(ctx context.Context, r *remote, revision int64) ([]admin.Node, error) {
	if !r.running {
		p.say("No node runs here; it follows when it starts.")
	}
	deadline := time.Now().Add(followTime)
	for {
		nodes, err := all[admin.Node](ctx, r, "/nodes", 0)
		if err != nil {
			return nil, err
		}
		behind := slices.DeleteFunc(nodes, func(node admin.Node) bool { return node.Revision >= revision })
		if len(behind) == 0 || time.Now().After(deadline) {
			return behind, nil
		}
		select {
		case <-ctx.Done():
			return behind, ctx.Err()
		case <-time.After(40 * time.Millisecond):
		}
	}
}

// shellQuoted writes a word so that a shell reads it back.
func shellQuoted(word string) string {
	quoted := "'"
	for _, r := range printable(word) {
		if r == '\'' {
			quoted += `'\''`
			continue
		}
		quoted += string(r)
	}
	return quoted + "'"
}
