package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/manage/policy"
	"github.com/gardeauth/garde/recipe"
)

func (p *program) policyCommand() *cobra.Command {
	return p.noun("policy", "Test, explain and replay what people are asked for", p.policyTest(), p.policyExplain(), p.policyReplay())
}

// anyIssuer stands for the Server where a recipe is only asked: no decision depends on its name.
const anyIssuer = "https://garde.example"

// policyOf compiles the recipe of a file.
func policyOf(file, env string) (*assurance.Policy, error) {
	bundle, err := recipe.Load(file, env, time.Now())
	if err != nil {
		return nil, err
	}
	return assurance.Assemble(bundle, 0, anyIssuer)
}

func (p *program) policyTest() *cobra.Command {
	var env, file string
	command := &cobra.Command{
		Use: "test [RECIPE]", Short: "Ask a recipe the cases that stand beside it", Args: words(0, 1, "the file of a RECIPE"),
		Long: "Asks the recipe (default that of the node's settings, or recipe.yaml) every case of a file (default: its name with .cases.yaml) and compares the\n" +
			"answers. Exits with 1 if one differs. Tells also which operations and rules no case looks at. Needs no running server.",
	}
	command.RunE = func(_ *cobra.Command, args []string) error {
		name, err := p.recipeOf(args)
		if err != nil {
			return err
		}
		if file == "" {
			file = strings.TrimSuffix(name, filepath.Ext(name)) + ".cases.yaml"
		}
		compiled, err := policyOf(name, env)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is not there: write the cases into it, or name another file with --cases", file)
		}
		if err != nil {
			return err
		}
		cases, err := policy.Read(file, text)
		if err != nil {
			return err
		}
		return p.sayTested(file, policy.Test(compiled, cases, time.Now()))
	}
	command.Flags().StringVar(&env, "env", "", "name of the overlay: recipe.ENV.yaml beside the file")
	command.Flags().StringVar(&file, "cases", "", "file of cases")
	return command
}

// recipeOf is the file that is meant: the one that is named, that of the node's settings where these are named, or else
// recipe.yaml here.
func (p *program) recipeOf(args []string) (string, error) {
	switch {
	case len(args) > 0:
		return args[0], nil
	case p.configFile != "" || os.Getenv("GARDE_CONFIG") != "":
		node, err := p.node()
		if err != nil {
			return "", err
		}
		return cmp.Or(node.Recipe, "recipe.yaml"), nil
	}
	return "recipe.yaml", nil
}

func (p *program) sayTested(file string, tested policy.Tested) error {
	if p.asJSON {
		if err := p.printJSON(tested); err != nil {
			return err
		}
	} else {
		if err := p.show([]any{"", "CASE", "VERDICT", "LEVEL", "FRESH"}, func(t *table) {
			for _, outcome := range tested.Outcomes {
				mark := "ok"
				if !outcome.Good() {
					mark = "WRONG"
				}
				t.row(mark, outcome.Case.Name, outcome.Decision.Verdict, outcome.Decision.Level, outcome.Decision.Fresh)
			}
		}); err != nil {
			return err
		}
		for _, outcome := range tested.Outcomes {
			for _, wrong := range outcome.Wrong {
				p.say("%s:%d: %s: %s", printable(file), outcome.Case.Line, printable(outcome.Case.Name), printable(wrong))
			}
		}
		for _, unasked := range tested.Unasked {
			p.say("no case looks at %s", printable(unasked))
		}
	}
	p.say("%s, %d wrong", counted(len(tested.Outcomes), "case"), tested.Failed)
	if tested.Failed > 0 {
		return errSaid
	}
	return nil
}

// explained are the flags of garde policy explain.
type explained struct {
	user, client, operation, file, env string
	scopes, context                    []string
}

func (p *program) policyExplain() *cobra.Command {
	var asked explained
	command := &cobra.Command{
		Use: "explain", Short: "Tell a whole decision: what is needed, why, and what would be enough", Args: words(0, 0, ""),
		Long: "Decides for a person, with the groups and factors that they have, under the recipe in force or that of --recipe.\n" +
			"--context adds what is known of the moment: proved.password=3h, signals=new_device,new_country, score=40,\n" +
			"country=JP, amount=120000, payee=FR76…, bound=true, and values.NAME=… for what a rule may read.",
	}
	command.RunE = func(command *cobra.Command, _ []string) error {
		one, err := asked.question()
		if err != nil {
			return wrong(command, "%v", err)
		}
		return p.with(func(ctx context.Context, r *remote, _ []string) error { return p.explainPolicy(ctx, r, asked, one) })(command, nil)
	}
	flags := command.Flags()
	flags.StringVar(&asked.user, "user", "", "name or id of a person; without one, somebody without groups")
	flags.StringVar(&asked.client, "client", "", "the client that asks")
	flags.StringVar(&asked.operation, "operation", "", `API and operation, as "accounts POST /transfers"; the API may be left out where one alone has it`)
	flags.StringSliceVar(&asked.scopes, "scope", nil, "instead of an operation: the scopes of an authorization")
	flags.StringArrayVar(&asked.context, "context", nil, "NAME=VALUE of the moment; may be repeated")
	flags.StringVar(&asked.file, "recipe", "", "decide under this recipe instead of the one in force")
	flags.StringVar(&asked.env, "env", "", "its overlay")
	return command
}

// anyAPI stands for the one API that has the operation.
const anyAPI = "*"

// question reads the flags as a case.
func (e explained) question() (policy.Case, error) {
	one := policy.Case{Name: "explain", Client: e.client, Scopes: e.scopes, Expect: policy.Expected{Verdict: "permit"}}
	if e.operation != "" {
		words := strings.Fields(e.operation)
		switch {
		case len(words) == 3:
			one.API, one.Operation = words[0], words[1]+" "+words[2]
		case len(words) == 2 && strings.HasPrefix(words[1], "/"):
			one.API, one.Operation = anyAPI, e.operation
		default:
			return one, errors.New(`--operation reads: API METHOD /path, or METHOD /path where one API alone has it`)
		}
	}
	for _, said := range e.context {
		name, value, found := strings.Cut(said, "=")
		if !found {
			return one, fmt.Errorf("--context %q is not NAME=VALUE", said)
		}
		if err := one.Set(name, value); err != nil {
			return one, err
		}
	}
	err := one.Check()
	one.Name, one.Expect = "", policy.Expected{} // nothing is expected of it
	return one, err
}

func (p *program) explainPolicy(ctx context.Context, r *remote, asked explained, one policy.Case) error {
	compiled, err := p.policyInForce(ctx, r, asked.file, asked.env)
	if err != nil {
		return err
	}
	if one.API == anyAPI {
		if one.API, err = policy.APIOf(compiled, one.Operation); err != nil {
			return err
		}
	}
	if asked.user != "" {
		var user admin.User
		if err := r.call(ctx, http.MethodGet, "/users/"+url.PathEscape(asked.user), nil, &user); err != nil {
			return err
		}
		one.User.Groups = append(one.User.Groups, user.Groups...)
		factors, err := factorsOf(ctx, r, user.ID, compiled.Recipe.SignIn.Offered())
		if err != nil {
			return err
		}
		one.User.Factors = slices.Compact(slices.Sorted(slices.Values(append(one.User.Factors, factors...))))
		one.User.Since = recipe.Duration(max(time.Since(user.Created).Truncate(time.Second), time.Second))
	}
	told, err := policy.Explain(compiled, one, time.Now())
	if err != nil {
		return err
	}
	if p.asJSON {
		return p.printJSON(told)
	}
	return p.show(nil, func(t *table) {
		for _, line := range told.Lines() {
			t.row(line[0], line[1])
		}
	})
}

// policyInForce compiles the recipe of a file, or without one the recipe in force.
func (p *program) policyInForce(ctx context.Context, r *remote, file, env string) (*assurance.Policy, error) {
	if file != "" {
		return policyOf(file, env)
	}
	var shown admin.ShownRevision
	if err := r.call(ctx, http.MethodGet, revisionPath(0), nil, &shown); err != nil {
		return nil, err
	}
	bundle, err := recipe.Parse(shown.Bundle)
	if err != nil {
		return nil, err
	}
	return assurance.Assemble(bundle, shown.Number, anyIssuer)
}

func (p *program) policyReplay() *cobra.Command {
	var env, since string
	var most int
	command := &cobra.Command{
		Use: "replay RECIPE", Short: "Decide again, under another recipe, what was decided lately", Args: words(1, 1, "the file of a RECIPE"),
		Long: "Reads the decisions of the journal and decides each anew under the recipe of the file: who would have been asked for\n" +
			"more, who refused, who asked for less. Nothing is changed.",
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		span, err := recipe.ParseDuration(since)
		if err != nil {
			return wrong(command, "--since: %v", err)
		}
		compiled, err := policyOf(args[0], env)
		if err != nil {
			return err
		}
		return p.with(func(ctx context.Context, r *remote, _ []string) error {
			made, lost, err := p.decisions(ctx, r, time.Now().Add(-span.Std()))
			if err != nil {
				return err
			}
			if lost > 0 {
				p.say("%s can't be decided again: what was known then is erased", counted(lost, "decision"))
			}
			return p.sayReplayed(policy.Replay(compiled, made, most))
		})(command, args)
	}
	flags := command.Flags()
	flags.StringVar(&since, "since", "7d", "how far back")
	flags.StringVar(&env, "env", "", "name of the overlay: recipe.ENV.yaml beside the file")
	flags.IntVar(&most, "most", 50, "how many changes to show")
	return command
}

// decisions reads the journal's decisions since a time; lost counts those whose facts are erased.
func (p *program) decisions(ctx context.Context, r *remote, since time.Time) (made []policy.Made, lost int, err error) {
	query := url.Values{"kind": {"decision.made"}, "since": {since.UTC().Format(time.RFC3339)}, "order": {"oldest"}}
	events, err := all[admin.Event](ctx, r, "/journal?"+query.Encode(), 0)
	for _, event := range events {
		before, err := decide.Unmarshal(decided(event))
		switch {
		case errors.Is(err, decide.ErrErased):
			lost++
			continue
		case err != nil:
			return nil, 0, err
		}
		made = append(made, policy.Made{
			At: event.At, Trace: event.Trace, User: event.User, Verdict: before.Made.Verdict, ACR: before.Made.Level,
			Times: max(1, int(before.Made.Times)), Whole: before.Whole, Question: before.Question,
		})
	}
	return made, lost, err
}

func (p *program) sayReplayed(replayed policy.Replayed) error {
	if p.asJSON {
		return p.printJSON(replayed)
	}
	if len(replayed.Changes) > 0 {
		if err := p.show([]any{"AT", "CLIENT", "ASKS", "WAS", "WOULD BE", "TRACE"}, func(t *table) {
			for _, change := range replayed.Changes {
				asks := strings.TrimSpace(change.API + " " + change.Operation)
				if asks == "" {
					asks = change.Question.Scope.String()
				}
				t.row(change.At, change.Client, asks, verdictAt(change.Verdict, change.ACR), verdictAt(change.Now.Verdict, change.Now.ACR), change.Trace)
			}
		}); err != nil {
			return err
		}
	}
	if replayed.Unweighed > 0 {
		p.say("%s can't be decided again: they were noted before every sign of risk was, and the new rules read the risk",
			counted(replayed.Unweighed, "decision"))
	}
	if replayed.Supposed > 0 {
		p.say("of %s it is supposed that the person could prove all that the recipe offers: a permit does not note what they have",
			counted(replayed.Supposed, "permit"))
	}
	p.say("%s: %d as they were, %d asked for more, %d refused, %d asked for less; %s touched",
		counted(replayed.Decisions, "decision"), replayed.Same, replayed.Asked, replayed.Refused, replayed.Eased, people(replayed.People))
	return nil
}

func people(n int) string {
	if n == 1 {
		return "1 person"
	}
	return fmt.Sprintf("%d people", n)
}

func verdictAt(verdict, level string) string {
	return strings.Join(slices.DeleteFunc([]string{verdict, level}, func(s string) bool { return s == "" }), " at ")
}

// factorsOf asks which factors a person could prove. A password counts as held where the recipe takes one.
func factorsOf(ctx context.Context, r *remote, user string, offered []string) ([]string, error) {
	var held admin.HeldFactors
	if err := r.call(ctx, http.MethodGet, "/users/"+url.PathEscape(user)+"/factors", nil, &held); err != nil {
		return nil, err
	}
	all := []string{"password"}
	for _, factor := range held.Factors {
		all = append(all, factor.Kind)
	}
	if held.RecoveryCodes > 0 {
		all = append(all, "recovery_code")
	}
	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(offered, name) }), nil
}
