package cli

import (
	"context"
	"net/http"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
)

func (p *program) recipeHistory() *cobra.Command {
	return &cobra.Command{
		Use: "history", Short: "List the recipes that were in force, newest first", Args: words(0, 0, ""),
		RunE: p.with(func(ctx context.Context, r *remote, _ []string) error {
			revisions, err := all[admin.Revision](ctx, r, "/recipe/revisions", 0)
			if err != nil {
				return err
			}
			return p.list(revisions, []any{"REVISION", "APPLIED", "BY", "DIGEST", "NOTE"}, func(t *table) {
				for _, revision := range revisions {
					t.row(revision.Number, revision.Applied, revision.By, revision.Digest[:min(12, len(revision.Digest))], revision.Note)
				}
			})
		}),
	}
}

func revisionNumber(command *cobra.Command, args []string) (int64, error) {
	if len(args) == 0 {
		return 0, nil
	}
	number, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil || number < 1 {
		return 0, wrong(command, "%q is no revision: write its number, as garde recipe history lists it", args[0])
	}
	return number, nil
}

func revisionPath(number int64) string { return "/recipe/revisions/" + strconv.FormatInt(number, 10) }

func (p *program) recipeShow() *cobra.Command {
	command := &cobra.Command{Use: "show [REVISION]", Short: "Print the recipe in force, or an earlier one", Args: words(0, 1, "")}
	command.RunE = func(command *cobra.Command, args []string) error {
		number, err := revisionNumber(command, args)
		if err != nil {
			return err
		}
		return p.with(func(ctx context.Context, r *remote, _ []string) error {
			var shown admin.ShownRevision
			if err := r.call(ctx, http.MethodGet, revisionPath(number), nil, &shown); err != nil {
				return err
			}
			if p.asJSON {
				return p.printJSON(shown)
			}
			p.say("# revision %d, applied by %s, %s", shown.Number, printable(shown.By), shown.Digest)
			for _, source := range shown.Sources {
				if _, err := p.stdout.Write(source.Text); err != nil {
					return err
				}
			}
			return nil
		})(command, args)
	}
	return command
}

func (p *program) recipeRollback() *cobra.Command {
	var said applyFlags
	command := &cobra.Command{
		Use: "rollback REVISION", Short: "Put an earlier recipe in force again", Args: words(1, 1, "the number of a REVISION"),
		Long: "Applies an earlier revision anew. It is judged like any other recipe: each weakening has to be accepted by its name.",
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		number, err := revisionNumber(command, args)
		if err != nil {
			return err
		}
		return p.with(func(ctx context.Context, r *remote, _ []string) error {
			var plan admin.Plan
			if err := r.call(ctx, http.MethodPost, revisionPath(number)+"/plan", nil, &plan); err != nil {
				return err
			}
			return p.enact(ctx, r, plan, said, func(terms admin.Terms, applied *admin.Applied) error {
				return r.call(ctx, http.MethodPost, revisionPath(number)+"/rollback", terms, applied)
			})
		})(command, args)
	}
	said.add(p, command)
	return command
}
