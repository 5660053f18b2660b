package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/recipe"
)

func (p *program) recipeCommand() *cobra.Command {
	return p.noun("recipe", "Check, compare and look up recipes", p.recipeCheck(), p.recipeDiff(), p.recipeSchema(),
		p.recipeHistory(), p.recipeShow(), p.recipeRollback())
}

// checked is what garde recipe check says as JSON.
type checked struct {
	OK       bool          `json:"ok"`
	Digest   string        `json:"digest,omitempty"`
	Faults   recipe.Faults `json:"faults"`
	Findings recipe.Faults `json:"findings"`
}

func (p *program) recipeCheck() *cobra.Command {
	var env string
	command := &cobra.Command{
		Use: "check FILE", Short: "Find every fault of a recipe", Args: words(1, 1, "the FILE of a recipe"),
		Long: "Reads a recipe and the files that it names, and tells every fault with its place and what to write instead.\nNeeds no running server.",
		RunE: func(_ *cobra.Command, args []string) error {
			bundle, err := recipe.Load(args[0], env, time.Now())
			if err == nil {
				err = assurance.Check(bundle)
			}
			var faults recipe.Faults
			if err != nil && !errors.As(err, &faults) {
				return err
			}
			said := checked{OK: err == nil, Faults: faults, Findings: recipe.Faults{}}
			if faults == nil {
				said.Faults = recipe.Faults{}
			}
			if bundle != nil {
				said.Digest = bundle.Digest()
				said.Findings = append(said.Findings, bundle.Findings...)
			}
			return p.sayChecked(args[0], said)
		},
	}
	command.Flags().StringVar(&env, "env", "", "name of the overlay: recipe.ENV.yaml beside the file")
	return command
}

func (p *program) sayChecked(name string, said checked) error {
	if p.asJSON {
		if err := p.printJSON(said); err != nil {
			return err
		}
	} else {
		for _, finding := range said.Findings {
			p.say("finding: %s", finding)
		}
		for _, fault := range said.Faults {
			p.say("%s", fault)
		}
	}
	if !said.OK {
		p.say("garde: %s has %s", printable(name), counted(len(said.Faults), "fault"))
		return errSaid
	}
	if !p.asJSON {
		fmt.Fprintf(p.stdout, "%s is good: %s\n", printable(name), said.Digest)
	}
	return nil
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (p *program) recipeDiff() *cobra.Command {
	var env string
	command := &cobra.Command{
		Use: "diff OLD NEW", Short: "Compare two recipes, with a verdict for each change",
		Args: words(2, 2, "the files of two recipes, OLD and NEW"),
		RunE: func(_ *cobra.Command, args []string) error {
			var bundles []*recipe.Bundle
			for _, name := range args {
				bundle, err := recipe.Load(name, env, time.Now())
				if err != nil {
					return err
				}
				bundles = append(bundles, bundle)
			}
			return p.sayChanges(recipe.Diff(bundles[0], bundles[1]))
		},
	}
	command.Flags().StringVar(&env, "env", "", "name of the overlay that lies on both")
	return command
}

// sayChanges prints a difference as data.
func (p *program) sayChanges(changes []recipe.Change) error {
	if p.asJSON {
		if changes == nil {
			changes = []recipe.Change{}
		}
		return p.printJSON(changes)
	}
	if len(changes) == 0 {
		p.say("No difference.")
		return nil
	}
	p.changeTable(changes).write(p.stdout, p.verdictPaint(changes))
	return nil
}

func (p *program) changeTable(changes []recipe.Change) *table {
	var t table
	for _, change := range changes {
		t.row(change.Verdict, change.Path, shortened(change.Old)+" -> "+shortened(change.New), change.Why)
	}
	return &t
}

func (p *program) verdictPaint(changes []recipe.Change) func(int, int, string) string {
	colours := map[recipe.Verdict]colour{recipe.Weaker: red, recipe.Stronger: green, recipe.Neutral: dim}
	return func(row, column int, text string) string {
		if column != 0 {
			return text
		}
		return p.paint(colours[changes[row].Verdict], text)
	}
}

// shortened keeps a value within a line.
func shortened(value string) string {
	const most = 60
	runes := []rune(value)
	switch {
	case len(runes) == 0:
		return "(none)"
	case len(runes) > most:
		return string(runes[:most]) + "…"
	}
	return value
}

func (p *program) recipeSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of recipes, for editors", Args: words(0, 1, ""),
		RunE: func(*cobra.Command, []string) error {
			_, err := p.stdout.Write(append(recipe.Schema(), '\n'))
			return err
		},
	}
}
