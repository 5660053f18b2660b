package policy

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Outcome is what came of a case.
type Outcome struct {
	Case     Case     `json:"case"`
	Decision Told     `json:"decision"`
	Wrong    []string `json:"wrong,omitempty"` // what differs from what is expected, in words
}

// Good tells whether the decision is the expected one.
func (o Outcome) Good() bool { return len(o.Wrong) == 0 }

// Tested is what came of a file of cases, and what none of them looked at.
type Tested struct {
	Outcomes []Outcome `json:"outcomes"`
	Failed   int       `json:"failed"`
	Unasked  []string  `json:"unasked,omitempty"` // guarded operations that no case asks for, and rules that none makes apply
}

// Test asks policy every case. A case without a time of its own is asked at now.
func Test(policy *assurance.Policy, cases []Case, now time.Time) Tested {
	var tested Tested
	asked := map[string]bool{}
	for _, one := range cases {
		outcome := Outcome{Case: one}
		question, err := one.Question(policy, now)
		if err != nil {
			outcome.Wrong = []string{err.Error()}
		} else {
			decision := policy.Decide(&question)
			outcome.Decision = Tell(policy, decision)
			outcome.Wrong = compare(one.Expect, outcome.Decision)
			asked[place(one.API, one.Operation)] = true
			for _, rule := range decision.Rules {
				asked[rule] = true
			}
		}
		if !outcome.Good() {
			tested.Failed++
		}
		tested.Outcomes = append(tested.Outcomes, outcome)
	}
	for _, all := range everything(policy.Recipe) {
		if !asked[all] {
			tested.Unasked = append(tested.Unasked, all)
		}
	}
	return tested
}

func place(api, operation string) string { return "apis." + api + ".operations." + operation }

// everything is what a file of cases could look at: operations that ask for a level or have rules, and the rules.
func everything(r *recipe.Recipe) []string {
	var all []string
	for i := range r.Raise {
		all = append(all, fmt.Sprintf("raise[%d]", i))
	}
	for _, name := range slices.Sorted(maps.Keys(r.APIs)) {
		for _, key := range slices.Sorted(maps.Keys(r.APIs[name].Operations)) {
			operation, at := r.APIs[name].Operations[key], place(name, key)
			if operation.Level != "" || operation.Fresh != 0 || len(operation.Raise) > 0 {
				all = append(all, at)
			}
			for i := range operation.Raise {
				all = append(all, fmt.Sprintf("%s.raise[%d]", at, i))
			}
		}
	}
	return all
}

// operationOf finds an operation. Its error names those that there are.
func operationOf(rules *recipe.Recipe, api, name string) (recipe.Operation, error) {
	at, known := rules.APIs[api]
	if !known {
		return recipe.Operation{}, fmt.Errorf("the recipe has no API %s, but %s", api, listed(maps.Keys(rules.APIs)))
	}
	operation, known := at.Operations[name]
	if !known {
		return recipe.Operation{}, fmt.Errorf("the recipe has no operation %s of the API %s, but %s", name, api, listed(maps.Keys(at.Operations)))
	}
	return operation, nil
}

// APIOf gives the one API that has an operation of this name. Its error says that none has it, or names those that have.
func APIOf(policy *assurance.Policy, operation string) (string, error) {
	var having []string
	for name, api := range policy.Recipe.APIs {
		if _, has := api.Operations[operation]; has {
			having = append(having, name)
		}
	}
	switch len(having) {
	case 0:
		return "", fmt.Errorf("no API of the recipe has an operation %s", operation)
	case 1:
		return having[0], nil
	}
	return "", fmt.Errorf("several APIs have an operation %s: write one of %s before it", operation, listed(slices.Values(having)))
}

// listed names what there is, in order.
func listed(names iter.Seq[string]) string {
	all := slices.Sorted(names)
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// Question is what the case asks of policy at now. Its error names what the recipe does not know.
func (c Case) Question(policy *assurance.Policy, now time.Time) (assurance.Question, error) {
	one := c
	if !one.At.IsZero() {
		now = one.At
	}
	now = now.UTC().Truncate(time.Second)
	question := assurance.Question{
		Door: "authorize", API: one.API, Operation: one.Operation, Scope: oauth.Scope(one.Scopes),
		Risk: riskOf(one.Risk), Place: assurance.Place{Country: one.Place.Country, Network: one.Place.Network},
		Values: one.Values, Online: true, Now: now,
		Wish:        assurance.Wish{ACR: one.Wish.ACR, Essential: one.Wish.Essential, MaxAge: -1},
		Transaction: signal.Transaction{Currency: one.Currency, Payee: one.Payee},
	}
	if one.Wish.MaxAge > 0 {
		question.Wish.MaxAge = one.Wish.MaxAge.Std()
	}
	if one.Amount != nil {
		question.Transaction.Amount, question.Transaction.Priced = *one.Amount, true
	}
	if one.Operation != "" {
		question.Door = "operation"
		operation, err := operationOf(policy.Recipe, one.API, one.Operation)
		if err != nil {
			return question, err
		}
		if len(one.Scopes) == 0 && operation.Scope != "" { // nobody writes a scope that the operation names already
			question.Scope = oauth.Scope{operation.Scope}
		}
	}
	client, known := policy.Recipe.Clients[one.Client]
	if one.Client != "" && !known {
		return question, fmt.Errorf("the recipe has no client %s", one.Client)
	}
	if err := one.foreign(policy); err != nil {
		return question, err
	}
	question.Client = assurance.Client{ID: one.Client, Kind: client.Type, Bound: one.Bound}
	for _, detail := range one.Details {
		values := maps.Clone(detail)
		kind, _ := values["type"].(string) // Check saw that it is there
		delete(values, "type")
		question.Details = append(question.Details, assurance.Detail{Type: kind, Values: values})
	}
	if one.itself(client.Type) {
		return question, nil
	}
	question.User = assurance.User{ID: "somebody", Groups: one.User.Groups, Factors: one.User.Factors}
	question.User.Created = now.Add(-cmp.Or(one.User.Since.Std(), 365*24*time.Hour))
	for _, factor := range slices.Sorted(maps.Keys(one.Proved)) {
		at := now.Add(-one.Proved[factor].Std())
		question.Proofs = append(question.Proofs, iam.Proved{Factor: factor, At: at, Begun: at})
		if !slices.Contains(question.User.Factors, factor) {
			question.User.Factors = append(question.User.Factors, factor)
		}
	}
	return question, nil
}

// itself tells whether a program asks for itself: a service of which the case names no person.
func (c Case) itself(kind recipe.ClientType) bool {
	return kind == recipe.Service && len(c.User.Groups) == 0 && len(c.User.Factors) == 0 && len(c.Proved) == 0
}

// foreign tells which word of c the recipe does not know. What is misspelt opens nothing and raises nothing, so the answer
// would be one to another question.
func (c Case) foreign(policy *assurance.Policy) error {
	for _, scope := range c.Scopes {
		if !policy.Knows(scope) {
			return fmt.Errorf("the recipe has no scope %s, but %s", scope, listed(slices.Values(policy.Scopes())))
		}
	}
	for _, detail := range c.Details {
		kind, _ := detail["type"].(string) // Check saw that it is there
		if !slices.ContainsFunc(slices.Collect(maps.Values(policy.Recipe.APIs)), func(api recipe.API) bool { _, has := api.Details[kind]; return has }) {
			return fmt.Errorf("the recipe has no authorization details of the type %s", kind)
		}
	}
	if level := c.Expect.Level; level != "" && !slices.ContainsFunc(policy.Recipe.Levels, func(l recipe.Level) bool { return l.Name == level }) {
		return fmt.Errorf("the recipe has no level %s", level)
	}
	return nil
}

func riskOf(said Risk) signal.Result {
	result := signal.Result{Score: said.Score}
	for _, name := range said.Signals {
		result.Findings = append(result.Findings, signal.Finding{Name: name, Say: name})
	}
	return result
}

func compare(expected Expected, told Told) []string {
	var wrong []string
	differs := func(what, want, got string) {
		if want != got {
			wrong = append(wrong, fmt.Sprintf("%s: expected %s, got %s", what, or(want), or(got)))
		}
	}
	differs("verdict", expected.Verdict, told.Verdict)
	if expected.Level != "" {
		differs("level", expected.Level, told.Level)
	}
	if expected.Fresh != 0 {
		differs("fresh", expected.Fresh.String(), told.Fresh)
	}
	for _, list := range []struct {
		what      string
		want, got []string
	}{{"sets", expected.Sets, told.Sets}, {"enrol", expected.Enrol, told.Enrol}, {"rules", expected.Rules, told.Rules}} {
		if list.want != nil {
			differs(list.what, sorted(list.want), sorted(list.got))
		}
	}
	if expected.Reason != "" && !slices.ContainsFunc(told.Reasons, func(r assurance.Reason) bool { return r.Say == expected.Reason || r.Code == expected.Reason }) {
		wrong = append(wrong, fmt.Sprintf("reason: expected %q, which was not given", expected.Reason))
	}
	return wrong
}

func or(text string) string { return cmp.Or(text, "none") }

func sorted(list []string) string { return strings.Join(slices.Sorted(slices.Values(list)), ", ") }
