package assurance

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/recipe"
)

// rule is a compiled raise of the recipe. One that could not be compiled applies always, as one that can't be told.
type rule struct {
	place   string // as apis.accounts.operations.POST /transfers.raise[0]
	rung    int    // none: it raises no level
	fresh   time.Duration
	deny    recipe.Words // why it refuses, for people; empty: it does not
	say     string       // why, for operators
	program cel.Program
	reads   reads
}

// reads are the kinds of facts that a rule reads.
type reads struct {
	risk    bool     // any
	score   bool     // or everything of it
	signals []string // these
	values  bool
	network bool
	client  bool
	online  bool // something that only the Server knows
}

// Bounds of an expression. They bound what it may cost, too: no macro but has is known, so that nothing is done twice, and a
// rule takes no longer than its length times that of what it reads.
const (
	maxExpression = 1000
	maxNested     = 40
)

// vocabulary makes rules of expressions. It is made only for a recipe that has some.
type vocabulary struct{ env *cel.Env }

// The names that rules know, but for the signals of risk.
const (
	varRisk    = "risk."
	varScore   = "risk.score"
	varNetwork = "place.network"
)

// variables are what rules may read, by name. online is what a Gate can't tell from a token.
var variables = []struct {
	name   string
	kind   *cel.Type
	online bool
}{
	{"api", cel.StringType, false}, {"operation", cel.StringType, false}, {"scopes", cel.ListType(cel.StringType), false},
	{"door", cel.StringType, false}, {"now", cel.TimestampType, false},
	{"client.id", cel.StringType, false}, {"client.kind", cel.StringType, false}, {"client.bound", cel.BoolType, false},
	{"user.id", cel.StringType, false}, {"user.groups", cel.ListType(cel.StringType), true},
	{"token.acr", cel.StringType, false}, {"token.age", cel.IntType, false},
	{varScore, cel.IntType, true},
	{"amount", cel.IntType, true}, {"currency", cel.StringType, true}, {"payee", cel.StringType, true},
	{"known.amount", cel.BoolType, true}, {"known.payee", cel.BoolType, true},
	{"place.country", cel.StringType, true}, {varNetwork, cel.StringType, true},
	{"known.country", cel.BoolType, true}, {"known.network", cel.BoolType, true},
	{"values", cel.MapType(cel.StringType, cel.DynType), true},
}

func (v *vocabulary) open() error {
	if v.env != nil {
		return nil
	}
	options := []cel.EnvOption{
		cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(maxNested), cel.EagerlyValidateDeclarations(false),
		cel.ClearMacros(), cel.Macros(cel.HasMacro),
	}
	for _, variable := range variables {
		options = append(options, cel.Variable(variable.name, variable.kind))
	}
	for _, name := range recipe.Signals() {
		options = append(options, cel.Variable(varRisk+name, cel.BoolType))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return fmt.Errorf("the vocabulary of rules: %w", err)
	}
	v.env = env
	return nil
}

// compile type-checks an expression. Its error says in which column of it something is wrong.
func (v *vocabulary) compile(when string) (cel.Program, reads, error) {
	if err := v.open(); err != nil {
		return nil, reads{}, err
	}
	if len(when) > maxExpression {
		return nil, reads{}, fmt.Errorf("the expression is longer than %d bytes", maxExpression)
	}
	ast, issues := v.env.Compile(when)
	if found := issues.Errors(); len(found) > 0 {
		return nil, reads{}, fmt.Errorf("%s%w", columnOf(found[0]), errors.New(plain(found[0].Message)))
	}
	if err := issues.Err(); err != nil {
		return nil, reads{}, errors.New(plain(err.Error()))
	}
	if !ast.OutputType().IsExactType(types.BoolType) {
		return nil, reads{}, fmt.Errorf("column 1: a rule is true or false, and this is %s", plain(ast.OutputType().String()))
	}
	if err := bounded(ast); err != nil {
		return nil, reads{}, err
	}
	program, err := v.env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CustomDecoratorV2(prepared))
	if err != nil {
		return nil, reads{}, errors.New(plain(err.Error()))
	}
	var does reads
	for _, reference := range ast.NativeRep().ReferenceMap() {
		does.note(reference.Name)
	}
	return program, does, nil
}

func columnOf(issue *cel.Error) string {
	if issue.Location.Column() < 0 {
		return ""
	}
	column := "column " + strconv.Itoa(issue.Location.Column()+1) + ": "
	if line := issue.Location.Line(); line > 1 {
		return "line " + strconv.Itoa(line) + ", " + column
	}
	return column
}

// plain keeps foreign text on one line and within bounds: the expression may hold anything.
func plain(text string) string {
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + "..."
	}
	quoted := strconv.QuoteToGraphic(text)
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(quoted[1 : len(quoted)-1])
}

func (r *reads) note(name string) {
	for _, variable := range variables {
		if variable.name == name {
			r.online = r.online || variable.online
		}
	}
	switch {
	case name == varScore:
		r.risk, r.score = true, true
	case strings.HasPrefix(name, varRisk):
		r.risk, r.online = true, true
		r.signals = append(r.signals, name[len(varRisk):])
	case name == "values":
		r.values = true
	case name == varNetwork:
		r.network = true
	case strings.HasPrefix(name, "client."):
		r.client = true
	}
}

// about tells whether a finding is one that the rule reads.
func (r *reads) about(finding *signal.Finding) bool {
	if r.score {
		return finding.Points > 0
	}
	for _, name := range r.signals {
		if name == finding.Name {
			return true
		}
	}
	return r.risk && finding.Name == unreadable
}

// outcome is what came of a rule.
type outcome uint8

const (
	silent  outcome = iota // it does not apply
	unknown                // what it reads is not known here
	applies
)

// judge tells whether the rule applies. What can't be told applies.
func (r *rule) judge(known *facts) outcome {
	if r.program == nil {
		return applies
	}
	value, _, err := r.program.Eval(known)
	if err != nil {
		if r.reads.online && !known.question.Online {
			return unknown
		}
		return applies
	}
	if value == types.False {
		return silent
	}
	return applies
}
