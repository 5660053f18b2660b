package recipe

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// candidate is the name of a client while it is judged alone.
const candidate = "candidate"

// candidateKeys is the name of its key set. A slash stands at its end, so that no file of a recipe has it.
const candidateKeys = "jwks/"

// clientChecks are the checks that a client is judged by when it stands in no recipe: those of declared ones.
var clientChecks = []func(*reading){
	checkClients, checkProofs, checkRights, checkAddresses, checkAlgorithms, checkMetadata, checkResponses, checkDetails, checkProfiles,
}

// CheckRegistered judges a client that registers itself under a policy, on every create and update, by the rules of
// declared clients and those of the policy: its types, scopes, grants, profile and exceptions. What it leaves unsaid is what
// Complete fills in. jwks is the key set that it sent along, or nil. Each fault's Path begins with the name of the
// member that is at fault as RFC 7591 spells it, or is "" when no single one is; no fault means that the client may stand.
func (r *Recipe) CheckRegistered(policy string, c Client, jwks []byte, now time.Time) Faults {
	rules, there := r.Registration[policy]
	if !there {
		return Faults{{File: "registration", Line: 1, Column: 1, Text: "there is no such registration policy", Hint: "ask whoever runs the server"}}
	}
	judging := r.judging(c, jwks, now)
	judging.policy = policy
	for name, exception := range r.Exceptions {
		if exception.Policy == policy && (now.IsZero() || now.Before(exception.End())) {
			exception.Client, exception.Policy = candidate, ""
			judging.recipe.Exceptions[name] = exception
		}
	}
	c = rules.Complete(c)
	judging.recipe.Clients[candidate] = c.keyed(jwks)
	judging.underPolicy(path("clients").key(candidate), c, rules)
	return judging.verdict(registeredNames, jwks)
}

// Complete gives a client that registers under the policy, with what it left unsaid: the profile of the policy, and those of
// its type's usual grants that the policy gives.
func (p Registration) Complete(c Client) Client {
	if c.Profile == "" {
		c.Profile = p.Profile
	}
	if len(c.Grants) == 0 {
		c.Grants = slices.DeleteFunc(c.GrantTypes(), func(grant string) bool { return !slices.Contains(p.GrantTypes(), grant) })
	}
	return c
}

// CheckClient judges a client that an administrator makes at run time, by the rules of declared clients. It has no
// exception: those are for clients that the recipe names. jwks is its key set, or nil. Paths are keys of the recipe.
func (r *Recipe) CheckClient(c Client, jwks []byte, now time.Time) Faults {
	judging := r.judging(c, jwks, now)
	judging.recipe.Clients[candidate] = c.keyed(jwks)
	return judging.verdict(nil, jwks)
}

// judging begins a reading whose only client is the one to be judged.
func (r *Recipe) judging(c Client, jwks []byte, now time.Time) *reading {
	judging := newReading("client", now)
	judging.unnamed = true
	judging.recipe = Recipe{
		Garde: Format, Levels: r.Levels, Scopes: r.Scopes, APIs: r.APIs,
		Clients: map[string]Client{}, Exceptions: map[string]Exception{},
	}
	at := path("clients").key(candidate)
	judging.plain(at, reflect.ValueOf(c))
	for key, there := range map[string]bool{"was": c.Was != "", "secrets": len(c.Secrets) > 0, "jwks": c.JWKS != "", "apps": c.Apps != "", "verification_uri_complete": c.Complete} {
		if there {
			judging.fault(at.key(key), "only a recipe can say that", "leave it out")
		}
	}
	if jwks != nil {
		judging.refused(at.key("jwks"), useKeys.check(jwks))
	}
	return judging
}

// keyed notes that the client sent keys along.
func (c Client) keyed(jwks []byte) Client {
	c.JWKS = ""
	if jwks != nil {
		c.JWKS = candidateKeys
	}
	return c
}

// verdict runs the checks and keeps what they say of the client.
func (r *reading) verdict(names map[string]string, jwks []byte) Faults {
	files := map[string][]byte{candidateKeys: jwks}
	for _, check := range clientChecks {
		check(r)
	}
	r.keysFit(files)
	at := string(path("clients").key(candidate))
	var kept Faults
	for _, fault := range r.faults {
		place, ours := strings.CutPrefix(fault.Path, at)
		if !ours {
			continue // of the recipe in force, which has been judged
		}
		place = strings.TrimPrefix(place, ".")
		end := strings.IndexAny(place, ".[")
		if end < 0 {
			end = len(place)
		}
		if name, other := names[place[:end]]; other {
			place = name + place[end:]
		}
		fault.Path = place
		kept = append(kept, fault)
	}
	return kept.sorted()
}

// plain refuses what a file could not have held: the reader of files did not see this client.
func (r *reading) plain(at path, v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // the others are numbers and flags
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			r.plain(at.key(f.name), v.FieldByIndex(f.index))
		}
	case reflect.Slice:
		if v.Len() > maxListed {
			r.odd(at, "the list is too long", "name at most 100")
			return
		}
		for i := range v.Len() {
			r.plain(at.index(i), v.Index(i))
		}
	case reflect.Map:
		if v.Len() > maxListed {
			r.odd(at, "there are too many", "write at most 100")
			return
		}
		for _, key := range slices.Sorted(maps.Keys(v.Interface().(Text))) { //nolint:forcetypeassert // a client has no other map
			r.plain(at.key(key), v.MapIndex(reflect.ValueOf(key)))
		}
	case reflect.String:
		if text := v.String(); len(text) > maxAddress || !utf8.ValidString(text) || !plainText(text) {
			r.odd(at, "is too long, or holds what can't be shown", "write at most 2000 bytes of plain text")
		}
	}
}

// odd is a fault after which nothing more is said of the place, as for what a file could not hold.
func (r *reading) odd(at path, text, hint string) {
	r.fault(at, text, hint)
	r.faulty[at] = true
}

// registeredNames are the keys of a recipe that RFC 7591 and OpenID Connect Registration spell otherwise.
var registeredNames = map[string]string{
	"type": "application_type", "name": "client_name", "auth": "token_endpoint_auth_method", "scopes": "scope", "grants": "grant_types",
}

// underPolicy refuses what the policy does not give, and what only a company says of its own applications.
func (r *reading) underPolicy(at path, c Client, policy Registration) {
	if !slices.Contains(policy.ClientTypes(), c.Type) {
		r.fault(at.key("type"), "clients of this type do not register here", "the types are "+typesListed(policy.ClientTypes()))
	}
	for i, scope := range c.Scopes {
		if !slices.Contains(policy.Scopes, scope) {
			r.fault(at.key("scopes").index(i), "clients that register may not ask for "+show(scope), "the scopes are "+listed(policy.Scopes))
		}
	}
	for i, kind := range c.Details {
		if !slices.Contains(policy.Details, kind) {
			r.fault(at.key("authorization_details_types").index(i), "clients that register may not ask for details of the type "+show(kind), "leave it out")
		}
	}
	for i, grant := range c.GrantTypes() {
		if slices.Contains(grantsOf[c.Type], grant) && !slices.Contains(policy.GrantTypes(), grant) {
			r.fault(at.key("grants").index(i), "clients that register may not have the grant "+show(grant), "the grants are "+listed(policy.GrantTypes()))
		}
	}
	if c.Consent == ConsentImplied {
		r.fault(at.key("consent"), "people are asked about clients that register", "leave it out")
	}
	if !c.Profile.Meets(policy.Profile) {
		r.fault(at.key("profile"), "clients that register meet the profile "+string(policy.Profile), "leave it out")
	}
}

func typesListed(types []ClientType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return listed(names)
}
