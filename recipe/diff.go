package recipe

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Verdict says what a change does to security.
type Verdict string

// The verdicts. A change whose verdict nobody wrote is weaker.
const (
	Weaker   Verdict = "weaker"   // something that was refused is now allowed, or allowed for longer
	Neutral  Verdict = "neutral"  // nobody may do more or less
	Stronger Verdict = "stronger" // something that was allowed is now refused
)

// Change is one difference between two bundles.
type Change struct {
	Path    string  `json:"path"`
	Old     string  `json:"old,omitempty"` // "" when it was not there
	New     string  `json:"new,omitempty"` // "" when it is gone
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`
}

// Diff tells every difference between what is in force and what would be, by path, with a verdict for each. It compares
// meanings: defaults count as written, the order of sets and comments as nothing, and a renamed client (was) as the same.
// Without an old bundle there is nothing to weaken: Diff gives no change.
func Diff(before, after *Bundle) []Change {
	if before == nil || after == nil {
		return nil
	}
	c := &comparison{oldFiles: before.Files, newFiles: after.Files, renamed: renames(before.Recipe, after.Recipe)}
	c.old, c.new = c.follow(effective(before.Recipe)), effective(after.Recipe)
	was, is := map[path]leaf{}, map[path]leaf{}
	flatten(reflect.ValueOf(c.old), "", "", was)
	flatten(reflect.ValueOf(c.new), "", "", is)
	named(was, before.Files)
	named(is, after.Files)
	c.opened(was, is)
	c.compare(was, is)
	c.order()
	slices.SortFunc(c.changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return c.changes
}

// Weakenings are the names that --accept-weaker takes: the paths of the changes that weaken.
func Weakenings(changes []Change) []string {
	var names []string
	for _, change := range changes {
		if change.Verdict != Neutral && change.Verdict != Stronger {
			names = append(names, change.Path)
		}
	}
	return names
}

// comparison is what the judges of changes may look at.
type comparison struct {
	old, new           Recipe
	oldFiles, newFiles map[string][]byte
	renamed            map[string]string // old name of a client to its new one
	changes            []Change
}

// leaf is one value of a recipe, or one named thing.
type leaf struct {
	pattern string // the path with * for names and [] for members of sets
	value   string
	thing   bool // stands for everything below it
}

// flatten notes every value of v that is not zero, and every named thing.
func flatten(v reflect.Value, at path, pattern string, into map[path]leaf) {
	switch {
	case v.Type() == durationType || v.Kind() == reflect.String || v.Kind() == reflect.Bool || v.CanInt():
		if !v.IsZero() {
			into[at] = leaf{pattern: pattern, value: scalar(v)}
		}
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			into[at] = leaf{pattern: pattern, value: scalar(v.Elem())}
		}
	case v.Kind() == reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			flatten(v.FieldByIndex(f.index), at.key(f.name), strings.TrimPrefix(pattern+"."+f.name, "."), into)
		}
	case v.Kind() == reflect.Map:
		for _, key := range v.MapKeys() {
			flattenNamed(v.MapIndex(key), at.key(key.String()), pattern+".*", into)
		}
	case v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			flattenNamed(v.Index(i), at.key(nameOf(v.Index(i))), pattern+".*", into)
		}
	default:
		for i := range v.Len() {
			into[at.item(v.Index(i).String())] = leaf{pattern: pattern + "[]", value: v.Index(i).String()}
		}
	}
}

// nameOf tells by what a member of a list of things is the same in another recipe. Checks see that no two share a name.
func nameOf(v reflect.Value) string {
	switch member := v.Interface().(type) {
	case Level:
		return member.Name
	case Raise:
		return ruleName(member.When)
	case Enrol:
		return enrolName(member)
	}
	panic("recipe: nothing names a " + v.Type().String()) // a type in recipe.go that nobody compares: a test sees it
}

func flattenNamed(v reflect.Value, at path, pattern string, into map[path]leaf) {
	if v.CanInt() && v.Type() != durationType { // by name, nothing is a number like any other
		into[at] = leaf{pattern: pattern, value: scalar(v)}
		return
	}
	if v.Kind() == reflect.Struct {
		summary, err := json.Marshal(v.Interface())
		if err != nil {
			summary = []byte("{...}") // a duration that only a program can have made
		}
		into[at] = leaf{pattern: pattern, value: string(summary), thing: true}
	}
	flatten(v, at, pattern, into)
}

func scalar(v reflect.Value) string {
	switch {
	case v.Type() == durationType:
		return Duration(v.Int()).String()
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	}
	return v.String()
}

// compare tells what is on one side only or differs. A thing that came or went is one change, not one for each value.
func (c *comparison) compare(was, is map[path]leaf) {
	for at, old := range was {
		switch now, there := is[at]; {
		case !there && !missingAbove(at, is, was):
			c.judge(at, old.pattern, old.value, "")
		case there && !old.thing && now.value != old.value:
			c.judge(at, old.pattern, old.value, now.value)
		}
	}
	for at, now := range is {
		if _, there := was[at]; !there && !missingAbove(at, was, is) {
			c.judge(at, now.pattern, "", now.value)
		}
	}
}

// missingAbove tells whether at stands in a thing of here that is missing there: that thing is the change.
func missingAbove(at path, there, here map[path]leaf) bool {
	for up := at.parent(); up != ""; up = up.parent() {
		if here[up].thing && !there[up].thing {
			return true
		}
	}
	return false
}

func (c *comparison) judge(at path, pattern, old, now string) {
	change := Change{Path: string(at), Old: old, New: now}
	change.Verdict, change.Why = Weaker, "nobody has judged this kind of change"
	if rule, ok := ruleOf(pattern); ok {
		change.Verdict, change.Why = rule(c, change)
	}
	c.changes = append(c.changes, change)
}

// opened reduces an operation that becomes open, or ceases to be, to that one change: the rest follows from it. Open
// operations of a new API are told apart from it.
func (c *comparison) opened(was, is map[path]leaf) {
	flipped := map[path]bool{}
	for _, side := range []struct{ here, there map[path]leaf }{{was, is}, {is, was}} {
		for at, l := range side.here {
			if l.pattern == openPattern && side.there[at].pattern != openPattern && side.there[at.parent()].thing {
				flipped[at.parent()] = true
			}
		}
	}
	for _, leaves := range []map[path]leaf{was, is} {
		maps.DeleteFunc(leaves, func(p path, l leaf) bool {
			return l.pattern != openPattern && below(p, flipped)
		})
	}
	for at, l := range is {
		api := at.parent().parent().parent()
		if l.pattern == openPattern && is[api].thing && !was[api].thing {
			c.judge(at.parent(), operationPattern, "", is[at.parent()].value)
		}
	}
}

// below tells whether p stands beneath one of the places.
func below(p path, places map[path]bool) bool {
	for up := p.parent(); up != ""; up = up.parent() {
		if places[up] {
			return true
		}
	}
	return false
}

const (
	operationPattern = "apis.*.operations.*"
	openPattern      = operationPattern + ".open"
)

// order tells when levels that stay change places: what the ladder means then changes everywhere.
func (c *comparison) order() {
	old, now := levelNames(c.old.Levels), levelNames(c.new.Levels)
	oldKept := slices.DeleteFunc(slices.Clone(old), func(name string) bool { return !slices.Contains(now, name) })
	nowKept := slices.DeleteFunc(slices.Clone(now), func(name string) bool { return !slices.Contains(old, name) })
	if !slices.Equal(oldKept, nowKept) {
		c.judge("levels", "levels", listed(old), listed(now))
	}
}

// named puts a mark of the content behind the name of each file, so that another content is a change where it is named.
func named(leaves map[path]leaf, files map[string][]byte) {
	for at, l := range leaves {
		if slices.Contains(filePatterns, l.pattern) {
			name := l.value
			if l.pattern == statementPattern {
				_, name = statement(name)
			}
			l.value = stamped(l.value, files[name])
			leaves[at] = l
		}
	}
}

// renames finds the clients of the new recipe that were others in the old one.
func renames(old, now *Recipe) map[string]string {
	renamed := map[string]string{}
	for name, client := range now.Clients {
		_, held := old.Clients[client.Was]
		_, kept := now.Clients[client.Was]
		_, taken := old.Clients[name]
		if held && !kept && !taken {
			renamed[client.Was] = name
		}
	}
	return renamed
}

// follow gives the old recipe with the clients under their new names, wherever they stand.
func (c *comparison) follow(old Recipe) Recipe {
	clients := map[string]Client{}
	for name, client := range old.Clients {
		clients[c.nowNamed(name)] = client
	}
	old.Clients = clients
	for name, api := range old.APIs {
		api.Client = c.nowNamed(api.Client)
		old.APIs[name] = api
	}
	for name, exception := range old.Exceptions {
		exception.Client = c.nowNamed(exception.Client)
		old.Exceptions[name] = exception
	}
	for name, issuer := range old.Issuers {
		issuer.Clients = slices.Clone(issuer.Clients)
		for i, client := range issuer.Clients {
			issuer.Clients[i] = c.nowNamed(client)
		}
		old.Issuers[name] = issuer
	}
	return old
}

func (c *comparison) nowNamed(name string) string {
	if now, ok := c.renamed[name]; ok {
		return now
	}
	return name
}

// effective gives a copy of a recipe in which defaults are written out.
func effective(recipe *Recipe) Recipe {
	full := *recipe
	full.APIs, full.Clients, full.Exceptions = maps.Clone(recipe.APIs), map[string]Client{}, maps.Clone(recipe.Exceptions)
	full.Issuers, full.Registration = maps.Clone(recipe.Issuers), maps.Clone(recipe.Registration)
	for name, api := range full.APIs {
		api.Token = cmp.Or(api.Token, TokenJWT)
		api.Timeout = cmp.Or(api.Timeout, DefaultTimeout)
		api.Body = cmp.Or(api.Body, DefaultBody)
		api.Bound = api.Binding()
		full.APIs[name] = api
	}
	for name, policy := range full.Registration {
		policy.Types, policy.Grants = policy.ClientTypes(), policy.GrantTypes()
		policy.Most, policy.Unused = policy.Limit(), Duration(policy.Idle())
		full.Registration[name] = policy
	}
	for name, client := range recipe.Clients {
		client.Grants, client.Auth = client.GrantTypes(), client.AuthMethod()
		if slices.Contains(client.Grants, "authorization_code") {
			client.Consent = cmp.Or(client.Consent, ConsentAsk)
			client.IDTokenAlg = cmp.Or(client.IDTokenAlg, "ES256")
			client.SubjectType = cmp.Or(client.SubjectType, "public")
			if len(client.ResponseTypes) == 0 {
				client.ResponseTypes = []string{"code"}
			}
		}
		full.Clients[name] = client
	}
	reset := recipe.SignIn.Reset == nil || *recipe.SignIn.Reset
	full.SignIn.Reset = &reset
	full.SignIn.Factors = recipe.SignIn.Offered()
	full.SignIn.Passkeys.Attestation = cmp.Or(recipe.SignIn.Passkeys.Attestation, AttestationOff)
	full.SignIn.Passkeys.Synced = cmp.Or(recipe.SignIn.Passkeys.Synced, SyncedAllowed)
	full.Risk.Forget = cmp.Or(recipe.Risk.Forget, Duration(DefaultForget))
	lives := recipe.Lifetimes.Lives()
	full.Lifetimes = Lifetimes{
		Code: Duration(lives.Code), Access: Duration(lives.Access), ID: Duration(lives.ID),
		RefreshIdle: Duration(lives.RefreshIdle), Refresh: Duration(lives.Refresh),
		SessionIdle: Duration(lives.SessionIdle), Session: Duration(lives.Session), Journal: Duration(lives.Journal),
	}
	return full
}
