package assurance

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/gardeauth/garde/recipe"
)

// operation is one operation of an API, compiled.
type operation struct {
	api, audience, name string

	open           string
	scope          string
	users, clients bool
	bound          bool
	rung           int // none: no level
	fresh          time.Duration
	rules          []*rule
	details        string
	match, send    map[string]string
	counts         bool
}

// key finds an operation by its API, as the recipe names it or by its address, and its own name.
type key struct{ api, operation string }

// floor is the least that the operations of a scope ask of a person.
type floor struct {
	rung  int
	fresh time.Duration // 0: any time
}

// book compiles everything that decisions rest on. Faults are those of rules.
func (p *Policy) book() recipe.Faults {
	var faults recipe.Faults
	words := &vocabulary{}
	rules := func(all []recipe.Raise, api, name string) []*rule {
		var compiled []*rule
		for i, raise := range all {
			place := "raise[" + strconv.Itoa(i) + "]"
			if name != "" {
				place = "apis." + api + ".operations." + name + "." + place
			}
			one, err := p.rule(words, raise, place)
			if err != nil {
				faults = append(faults, recipe.Fault{
					File: "recipe", Line: 1, Column: 1, Path: recipe.RulePath(api, name, i), Text: err.Error(),
					Hint: "rules know " + vocabularyHint,
				})
			}
			compiled = append(compiled, one)
		}
		return compiled
	}
	p.ladder()
	p.rules = rules(p.Recipe.Raise, "", "")
	p.operations, p.floors, p.details = map[key]*operation{}, map[string]floor{}, map[string][]*operation{}
	for _, api := range slices.Sorted(maps.Keys(p.Recipe.APIs)) {
		for _, name := range slices.Sorted(maps.Keys(p.Recipe.APIs[api].Operations)) {
			one := p.operation(api, name)
			one.rules = rules(p.Recipe.APIs[api].Operations[name].Raise, api, name)
			p.operations[key{api, name}], p.operations[key{one.audience, name}] = one, one
			p.lower(one)
		}
	}
	return faults
}

const vocabularyHint = "api, operation, scopes, client.id, client.kind, client.bound, user.id, user.groups, risk.score, risk.SIGNAL, amount, currency, " +
	"payee, known.amount, known.payee, place.country, place.network, known.country, known.network, values.NAME, token.acr, token.age, door and now"

func (p *Policy) ladder() {
	p.offered = p.Recipe.SignIn.Offered()
	p.sets = make([][]set, len(p.Recipe.Levels))
	for i, level := range p.Recipe.Levels {
		for _, text := range level.Any {
			p.sets[i] = append(p.sets[i], setOf(text))
		}
	}
}

func (p *Policy) operation(api, name string) *operation {
	home := p.Recipe.APIs[api]
	from := home.Operations[name]
	return &operation{
		api: api, audience: home.At, name: name, open: from.Open, scope: from.Scope,
		users: slices.Contains(from.For, recipe.ForUser), clients: slices.Contains(from.For, recipe.ForClient),
		bound: home.Binding() == recipe.BoundRequired, rung: p.rungNamed(from.Level), fresh: from.Fresh.Std(),
		details: from.Details, match: from.Match, send: from.Send, counts: Counting(from),
	}
}

// lower notes an operation among those that its scope and its type of details open.
func (p *Policy) lower(one *operation) {
	if one.details != "" {
		p.details[one.details] = append(p.details[one.details], one)
	}
	if one.scope == "" || !one.users || one.open != "" {
		return
	}
	least, known := p.floors[one.scope]
	switch {
	case !known:
		least = floor{one.rung, one.fresh}
	default:
		least = least.or(floor{one.rung, one.fresh})
	}
	p.floors[one.scope] = least
}

// or is the least of two.
func (f floor) or(other floor) floor {
	f.rung = min(f.rung, other.rung)
	if f.fresh == 0 || other.fresh == 0 {
		f.fresh = 0
	} else {
		f.fresh = max(f.fresh, other.fresh)
	}
	return f
}

// and is the most of two: it is never less than either.
func (f floor) and(other floor) floor {
	f.rung = max(f.rung, other.rung)
	if f.fresh == 0 || other.fresh > 0 && other.fresh < f.fresh {
		f.fresh = other.fresh
	}
	return f
}

func (p *Policy) rule(words *vocabulary, raise recipe.Raise, place string) (*rule, error) {
	one := &rule{place: place, rung: p.rungNamed(raise.Level), fresh: raise.Fresh.Std(), deny: raise.Deny}
	switch {
	case len(one.deny) > 0:
	case raise.Level != "" && one.fresh > 0:
		one.say = place + " asks for " + raise.Level + " within " + raise.Fresh.String() + ": " + raise.When
	case raise.Level != "":
		one.say = place + " asks for " + raise.Level + ": " + raise.When
	default:
		one.say = place + " asks to authenticate within " + raise.Fresh.String() + ": " + raise.When
	}
	var err error
	one.program, one.reads, err = words.compile(raise.When)
	return one, err
}
