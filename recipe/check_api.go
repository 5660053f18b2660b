package recipe

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds of an API.
const (
	maxOperations = 1000
	maxBody       = 1 << 40
	maxTimeout    = 10 * time.Minute
	minFresh      = 30 * time.Second // below it, a person could never be quick enough
)

func checkAPIs(r *reading) {
	for name, api := range r.recipe.APIs {
		at := path("apis").key(name)
		r.name(at, name)
		if api.Token != "" && api.Token != TokenJWT && api.Token != TokenOpaque {
			r.fault(at.key("token"), show(string(api.Token))+" is not a kind of token", "write jwt or opaque")
		}
		if api.Timeout.Std() > maxTimeout {
			r.fault(at.key("timeout"), "is too long", "the longest is 10m")
		}
		if api.Body < 0 || api.Body > maxBody {
			r.fault(at.key("body"), "is not a size", "write a number of bytes up to "+strconv.Itoa(maxBody))
		}
		if api.Client != "" {
			r.apiClient(at.key("client"), api.Client)
		}
		if len(api.Operations) == 0 {
			r.fault(at.key("operations"), "there is no operation, so that every request is refused", "write GET /path: {for: [user], scope: ...}")
		}
		if len(api.Operations) > maxOperations {
			r.fault(at.key("operations"), "there are more than "+strconv.Itoa(maxOperations)+" operations", "divide the API into several")
		}
	}
}

// apiClient: an API introspects as a client that can prove who it is (RFC 7662 section 2.1).
func (r *reading) apiClient(at path, name string) {
	client, ok := r.recipe.Clients[name]
	if !ok {
		r.dangling(at, "client", name, keysOf(r.recipe.Clients))
	} else if client.Type == Native || client.Type == Browser {
		r.fault(at, "the client "+shown(name)+" can't prove who it is", "name a client of type service")
	}
}

// dangling reports a name that nothing bears.
func (r *reading) dangling(at path, noun, name string, known []string) {
	r.missing(at, noun, noun+"s", name, known)
}

// missing is dangling for a noun that has a section of another name.
func (r *reading) missing(at path, noun, section, name string, known []string) {
	hint := "declare it under " + section
	if !r.full() {
		if near := nearest(name, known); near != "" {
			hint = "did you mean " + near + "?"
		}
	}
	r.fault(at, "there is no "+noun+" "+show(name), hint)
}

func checkBases(r *reading) {
	owners := map[string]string{}
	read := map[string]address{}
	for _, name := range slices.Sorted(maps.Keys(r.recipe.APIs)) {
		api, at := r.recipe.APIs[name], path("apis").key(name)
		if api.Upstream != "" {
			r.refused(at.key("upstream"), checkUpstream(api.Upstream))
		}
		a, err := base(api.At)
		if err != nil {
			r.refused(at.key("at"), err)
			continue
		}
		if owner, taken := owners[api.At]; taken {
			r.fault(at.key("at"), "the API "+shown(owner)+" has the same address", "give each API its own; a token is for exactly one")
			continue
		}
		owners[api.At], read[name] = name, a
	}
	for name, a := range read {
		for _, above := range a.bases()[1:] {
			if owner, taken := owners[above]; taken {
				r.fault(path("apis").key(name).key("at"), "stands below the address of the API "+shown(owner)+", which could answer in its place",
					"give "+shown(owner)+" a path of its own")
			}
		}
	}
}

// checkUpstream admits what the Gate can forward to. Inside a network names are freer, so the host is not judged.
func checkUpstream(text string) error {
	if err := plainBytes(text); err != nil {
		return err
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !strings.HasPrefix(text, u.Scheme+"://"):
		return refuse("write http://host:port or https://host:port", "the upstream is not an http or https address")
	case u.User != nil:
		return refuse("leave everything up to the @ out", "the upstream has a user name before its host")
	case strings.Contains(text, "?"):
		return refuse("leave the ? and what follows out", "%s has a query", show(text))
	case strings.HasSuffix(u.Path, "/"):
		return refuse("leave the last slash out", "%s ends with a slash", show(text))
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			return refuse("write a number from 1 to 65535", "%s has no usable port", show(text))
		}
	}
	return checkPath(u.EscapedPath())
}

func checkOperations(r *reading) {
	for name, api := range r.recipe.APIs {
		for key, operation := range api.Operations {
			at := path("apis").key(name).key("operations").key(key)
			if _, err := ParsePattern(key); err != nil {
				r.refused(at, err)
			}
			if operation.Open != "" {
				r.openOperation(at, operation)
			} else {
				r.guardedOperation(at, operation)
			}
		}
	}
}

func (r *reading) openOperation(at path, operation Operation) {
	if strings.TrimSpace(operation.Open) == "" || !plainText(operation.Open) {
		r.fault(at.key("open"), "has no reason", "write why anyone may call this: {open: public prices}")
	}
	if len(operation.For) > 0 || operation.Scope != "" || operation.Level != "" || operation.Fresh != 0 ||
		len(operation.Raise) > 0 || operation.Details != "" || len(operation.Match) > 0 || len(operation.Send) > 0 {
		r.fault(at, "is open and guarded at once", "keep open, or for and scope")
	}
}

func (r *reading) guardedOperation(at path, operation Operation) {
	if len(operation.For) == 0 && operation.Scope == "" && !r.unread(at.key("open")) && !r.unread(at.key("for")) && !r.unread(at.key("scope")) {
		r.fault(at, "does not say who may call", "write {for: [user], scope: NAME}, or {open: REASON}")
		return
	}
	twice := doubles(operation.For)
	for i, caller := range operation.For {
		switch {
		case caller != ForUser && caller != ForClient:
			r.fault(at.key("for").index(i), "there is no caller "+show(string(caller)), "the callers are user, client")
		case twice[i]:
			r.fault(at.key("for").index(i), "stands twice", "name each caller once")
		}
	}
	if len(operation.For) == 0 {
		r.fault(at.key("for"), "is missing", "write for: [user], [client] or both")
	}
	switch scope := operation.Scope; {
	case scope == "":
		r.fault(at.key("scope"), "is missing", "name the scope that the token must hold")
	case scope == gateScope || slices.Contains(standardScopes, scope):
		r.fault(at.key("scope"), scope+" opens no API: it is for the user information endpoint and refresh tokens", "declare a scope of your own")
	default:
		if _, ok := r.recipe.Scopes[scope]; !ok {
			r.dangling(at.key("scope"), "scope", scope, keysOf(r.recipe.Scopes))
		}
	}
	r.assurance(at, operation)
}

func (r *reading) assurance(at path, operation Operation) {
	if operation.Level != "" {
		names := levelNames(r.recipe.Levels)
		if !slices.Contains(names, operation.Level) {
			r.dangling(at.key("level"), "level", operation.Level, names)
		}
	}
	if fresh := operation.Fresh.Std(); fresh != 0 && fresh < minFresh {
		r.fault(at.key("fresh"), "is shorter than 30s: nobody could ever be so quick", "write 30s or more")
	}
	if len(operation.For) > 0 && !slices.Contains(operation.For, ForUser) && (operation.Level != "" || operation.Fresh != 0) {
		r.fault(at, "asks a level or freshness of a client, which never signs in", "leave level and fresh out, or add user to for")
	}
}

func levelNames(levels []Level) []string {
	names := make([]string, len(levels))
	for i, level := range levels {
		names[i] = level.Name
	}
	return names
}

// checkOverlaps sees that each request matches one operation, or one that is plainly the more special.
func checkOverlaps(r *reading) {
	for name, api := range r.recipe.APIs {
		if len(api.Operations) > maxOperations {
			continue // already a fault, and not worth quadratic work
		}
		keys := slices.Sorted(maps.Keys(api.Operations))
		var seen []Pattern
		shapes := map[string]string{}
		for _, key := range keys {
			pattern, err := ParsePattern(key)
			if err != nil {
				continue
			}
			at := path("apis").key(name).key("operations").key(key)
			if same, taken := shapes[pattern.shape()]; taken {
				r.fault(at, "is the same operation as "+shown(same), "keep one of the two")
				continue
			}
			for _, before := range seen {
				if meet, decided := pattern.overlaps(before); meet && !decided && !r.full() {
					r.fault(at, "and "+shown(before.String())+" match the same requests, and neither is the more special", "change one of the two")
				}
			}
			shapes[pattern.shape()] = key
			seen = append(seen, pattern)
		}
	}
}

// peopleGrants are the grants by which a client acts for a person.
var peopleGrants = []string{"authorization_code", grantDevice, grantCIBA, grantImplicit}

// reach tells which scopes a client of this recipe, or one that registers, can hold for a person and for itself.
func (r *reading) reach() map[Caller]map[string]bool {
	may := map[Caller]map[string]bool{ForUser: {}, ForClient: {}}
	hold := func(scopes []string, client Client) {
		for _, scope := range scopes {
			may[ForUser][scope] = may[ForUser][scope] || client.uses(peopleGrants...)
			may[ForClient][scope] = may[ForClient][scope] || client.uses("client_credentials")
		}
	}
	for _, client := range r.recipe.Clients {
		hold(client.Scopes, client)
	}
	for _, policy := range r.recipe.Registration {
		hold(policy.Scopes, Client{Grants: policy.GrantTypes()})
	}
	for _, issuer := range r.recipe.Issuers {
		who := ForUser
		if issuer.Subjects == "client" {
			who = ForClient
		}
		for _, name := range issuer.Clients {
			for _, scope := range issuer.Scopes {
				may[who][scope] = may[who][scope] || slices.Contains(r.recipe.Clients[name].Scopes, scope)
			}
		}
	}
	return may
}

// checkReach sees that some client can call each operation.
func checkReach(r *reading) {
	may := r.reach()
	for name, api := range r.recipe.APIs {
		for key, operation := range api.Operations {
			at := path("apis").key(name).key("operations").key(key)
			if _, declared := r.recipe.Scopes[operation.Scope]; !declared || len(operation.For) == 0 {
				continue // already a fault, unless it is open
			}
			if operation.Open != "" || slices.ContainsFunc(operation.For, func(c Caller) bool { return may[c][operation.Scope] }) {
				continue
			}
			switch user, client := may[ForUser][operation.Scope], may[ForClient][operation.Scope]; {
			case client:
				r.fault(at, "nobody can reach it: the clients with the scope "+operation.Scope+" never act for a user", "add client to for, or give the scope to a client where people sign in")
			case user:
				r.fault(at, "nobody can reach it: no client with the scope "+operation.Scope+" has the grant client_credentials", "add user to for, or give the scope to a client of type service")
			default:
				r.fault(at, "nobody can reach it: no client has the scope "+operation.Scope, "add the scope to a client, or leave the operation out")
			}
		}
	}
}
