// Package assurance compiles a recipe into the policy that is asked at run time, and decides: which API a token is for,
// which level a set of factors reaches, what an operation needs. It is pure: no clock, no store, no network. The zero
// Policy allows nothing.
package assurance

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/level"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Identity are the scopes that OpenID Connect defines (Core sections 5.4 and 11, Native SSO section 3.1): they need no API.
var identity = oauth.Scope{
	oauth.ScopeOpenID, oauth.ScopeProfile, oauth.ScopeEmail, oauth.ScopeAddress, oauth.ScopePhone,
	oauth.ScopeOffline, oauth.ScopeDevice,
}

// IsIdentity tells whether a scope is one of OpenID Connect rather than of an API.
func IsIdentity(scope string) bool { return identity.Has(scope) }

// Policy is a compiled recipe. It never changes after Compile; a new revision is a new Policy.
type Policy struct {
	Revision int64
	Recipe   *recipe.Recipe
	Lives    recipe.Lives
	Ladder   level.Ladder

	offered    []string                // factors that people may use
	sets       [][]set                 // by height on the ladder
	rules      []*rule                 // for every sign-in and every guarded operation
	operations map[key]*operation      // by name and by address of their API
	floors     map[string]floor        // by scope
	details    map[string][]*operation // by type of the detail that they take
	faults     recipe.Faults

	issuer  string
	targets map[string]target   // by audience
	homes   map[string][]string // scope to the audiences that know it
	types   map[string][]string // type of rich authorization request to the audiences that know it
}

type target struct {
	name  string
	kind  recipe.TokenKind
	scope oauth.Scope
	rules Rules
}

// Rules are what an API asks of its access tokens, whatever their scope. The zero value are those of this server's own.
type Rules struct {
	Bound      recipe.Bound             // "" is offered
	Details    map[string]recipe.Detail // types of authorization_details that its tokens may carry (RFC 9396)
	Demands    recipe.Demands           // of its profile
	Encryption *Encryption              // nil: not encrypted
}

// Encryption is how an API's access tokens are encrypted to it. Without a key none can be made.
type Encryption struct {
	Alg     jose.KeyAlg
	Content jose.ContentAlg
	Key     jose.EncryptionKey
}

// Compile makes the policy of a checked recipe for the server at issuer. A rule whose expression is faulty applies always;
// Assemble refuses it.
func Compile(r *recipe.Recipe, revision int64, issuer string) *Policy {
	policy := &Policy{
		Revision: revision, Recipe: r, Lives: r.Lifetimes.Lives(), issuer: issuer,
		targets: make(map[string]target, len(r.APIs)), homes: map[string][]string{}, types: map[string][]string{},
	}
	for _, rung := range r.Levels {
		policy.Ladder = append(policy.Ladder, level.Level{Name: rung.Name, ACR: rung.ACR})
	}
	for _, name := range slices.Sorted(maps.Keys(r.APIs)) {
		api := r.APIs[name]
		goal := target{name: name, kind: cmp.Or(api.Token, recipe.TokenJWT), rules: rulesOf(api)}
		for _, kind := range slices.Sorted(maps.Keys(api.Details)) {
			policy.types[kind] = append(policy.types[kind], api.At)
		}
		for _, path := range slices.Sorted(maps.Keys(api.Operations)) {
			if scope := api.Operations[path].Scope; scope != "" && !goal.scope.Has(scope) {
				goal.scope = append(goal.scope, scope)
				policy.homes[scope] = append(policy.homes[scope], api.At)
			}
		}
		policy.targets[api.At] = goal
	}
	policy.faults = policy.book()
	return policy
}

// Check tells what is wrong with the rules of a bundle that was read without a fault: what an expression means is known here
// alone. It is nil or recipe.Faults.
func Check(bundle *recipe.Bundle) error {
	return Compile(bundle.Recipe, 0, "").checked(bundle)
}

// Err tells what is wrong with the rules of a policy that was made without its bundle; nil or recipe.Faults. Such rules apply
// always.
func (p *Policy) Err() error {
	if p == nil || len(p.faults) == 0 {
		return nil
	}
	return p.faults
}

// checked gives faults their places in the files that they stand in.
func (p *Policy) checked(bundle *recipe.Bundle) error {
	if len(p.faults) == 0 {
		return nil
	}
	placed := make(recipe.Faults, len(p.faults))
	for i, fault := range p.faults {
		placed[i] = bundle.FaultAt(fault.Path, fault.Text, fault.Hint)
	}
	return placed
}

// Assemble is Compile for a whole bundle: it also reads the keys to which access tokens are encrypted, and refuses rules
// that can't be compiled, with recipe.Faults.
func Assemble(bundle *recipe.Bundle, revision int64, issuer string) (*Policy, error) {
	policy := Compile(bundle.Recipe, revision, issuer)
	if err := policy.checked(bundle); err != nil {
		return nil, err
	}
	for at, goal := range policy.targets {
		lock := goal.rules.Encryption
		if lock == nil {
			continue
		}
		set, err := jose.ParseEncryptionSet(bundle.Files[bundle.Recipe.APIs[goal.name].JWKS])
		if err != nil {
			return nil, fmt.Errorf("the keys of the API %s: %w", goal.name, err)
		}
		key, fits := set.For(lock.Alg)
		if !fits {
			return nil, fmt.Errorf("the API %s has no key for %s", goal.name, lock.Alg)
		}
		goal.rules.Encryption = &Encryption{Alg: lock.Alg, Content: lock.Content, Key: key}
		policy.targets[at] = goal
	}
	return policy, nil
}

func rulesOf(api recipe.API) Rules {
	rules := Rules{Bound: api.Bound, Details: api.Details, Demands: api.Profile.Demands()}
	if api.Encryption != "" {
		rules.Encryption = &Encryption{
			Alg: jose.KeyAlg(api.Encryption), Content: cmp.Or(jose.ContentAlg(api.Content), jose.A256GCM),
		}
	}
	return rules
}

// Rules gives what an audience asks of its tokens. What is no API of the recipe asks for nothing.
func (p *Policy) Rules(audience string) Rules {
	if p == nil {
		return Rules{}
	}
	return p.targets[audience].rules
}

// Detail gives a type of rich authorization request, and whether any API knows it.
func (p *Policy) Detail(kind string) (recipe.Detail, bool) {
	if p == nil || len(p.types[kind]) == 0 {
		return recipe.Detail{}, false
	}
	detail, known := p.targets[p.types[kind][0]].rules.Details[kind]
	return detail, known
}

// Target is whom an access token is for, what kind it is, and what it may say.
type Target struct {
	Audience string
	Kind     recipe.TokenKind
	Scope    oauth.Scope
}

// Target chooses exactly one audience (RFC 8707, RFC 9068 section 3): the resource that was asked for, else the only API
// that knows the asked scopes and types of authorization_details, else, for OpenID scopes alone, this server. Scopes of
// other APIs are left out when a resource narrows the request. Errors are invalid_target and invalid_scope.
func (p *Policy) Target(scope oauth.Scope, resources []string, types ...string) (Target, error) {
	if p == nil || p.Recipe == nil {
		return Target{}, oauth.Unavailable("no recipe is in force yet")
	}
	switch {
	case len(scope) == 0 && len(types) == 0: // else it would lie within any list
		return Target{}, oauth.InvalidScope("nothing was asked for")
	case len(resources) > 1:
		return Target{}, oauth.InvalidTarget("a token is for exactly one resource: ask for each by itself")
	case len(resources) == 1:
		return p.named(scope, resources[0], types)
	}
	var audiences []string
	gather := func(homes map[string][]string, names []string) {
		for _, name := range names {
			for _, home := range homes[name] {
				if !slices.Contains(audiences, home) {
					audiences = append(audiences, home)
				}
			}
		}
	}
	gather(p.homes, scope)
	gather(p.types, types)
	switch len(audiences) {
	case 0:
		if !scope.Within(own) || len(scope) == 0 {
			return Target{}, oauth.InvalidScope("no API knows these scopes")
		}
		return Target{Audience: p.issuer, Kind: recipe.TokenJWT, Scope: scope}, nil
	case 1:
		return p.named(scope, audiences[0], types)
	}
	return Target{}, oauth.InvalidTarget("the scopes belong to several APIs: name one as resource")
}

func (p *Policy) named(scope oauth.Scope, audience string, types []string) (Target, error) {
	goal, ok := p.targets[audience]
	if !ok {
		return Target{}, oauth.InvalidTarget("no API has this address")
	}
	kept := scope.And(goal.scope.Or(identity))
	detailed := slices.ContainsFunc(types, func(kind string) bool { _, known := goal.rules.Details[kind]; return known })
	if len(kept.And(goal.scope)) == 0 && !detailed {
		return Target{}, oauth.InvalidScope("none of the scopes belongs to the resource")
	}
	return Target{Audience: audience, Kind: goal.kind, Scope: kept}, nil
}

// Resources tells whether every resource is the address of an API (RFC 8707 section 2).
func (p *Policy) Resources(resources []string) error {
	for _, resource := range resources {
		if _, ok := p.targets[resource]; !ok {
			return oauth.InvalidTarget("no API has this address")
		}
	}
	return nil
}

// own are the scopes whose audience is this server itself.
var own = identity.Or(oauth.Scope{oauth.ScopeGate, oauth.ScopeApprove})

// Knows tells whether a scope may be asked for at all.
func (p *Policy) Knows(scope string) bool {
	if p == nil || p.Recipe == nil {
		return false
	}
	_, declared := p.Recipe.Scopes[scope]
	return declared || own.Has(scope)
}

// Scopes lists every scope that a client could ask for, identity first, then by name.
func (p *Policy) Scopes() oauth.Scope {
	all := slices.Clone(identity)
	if p != nil && p.Recipe != nil {
		all = all.Or(slices.Sorted(maps.Keys(p.Recipe.Scopes)))
	}
	if !p.NativeSSO() {
		all = slices.DeleteFunc(all, func(name string) bool { return name == oauth.ScopeDevice })
	}
	return all
}

// NativeSSO tells whether there is a family of apps, which share a sign-in (OpenID Native SSO).
func (p *Policy) NativeSSO() bool {
	if p == nil || p.Recipe == nil {
		return false
	}
	for _, client := range p.Recipe.Clients {
		if client.Apps != "" {
			return true
		}
	}
	return false
}

// Owns tells whether audience is an API whose own client this is, so that it may introspect its tokens.
func (p *Policy) Owns(client, audience string) bool {
	if p == nil || p.Recipe == nil || client == "" {
		return false
	}
	goal, known := p.targets[audience]
	return known && p.Recipe.APIs[goal.name].Client == client
}

// Reached gives the acr of the highest level that the methods (RFC 8176 names) reach, or "" for none.
func (p *Policy) Reached(methods []string) string {
	if p == nil || p.Recipe == nil {
		return ""
	}
	for _, rung := range slices.Backward(p.Recipe.Levels) {
		for _, set := range rung.Any {
			if satisfies(methods, set) {
				return rung.ACR
			}
		}
	}
	return ""
}

// amr translates the recipe's factors into RFC 8176 method names.
var amr = map[string]string{"password": "pwd"}

func satisfies(methods []string, set string) bool {
	for factor := range strings.SplitSeq(set, "+") {
		if name, known := amr[factor]; !known || !slices.Contains(methods, name) {
			return false
		}
	}
	return set != ""
}
