package recipe

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// What a registration policy has when it does not say, and its bounds.
const (
	DefaultMost   = 1000
	DefaultUnused = 90 * day
	maxMost       = 1_000_000
	minUnused     = time.Hour
	maxStatements = 32
)

// ClientTypes gives the kinds of application that may register.
func (p Registration) ClientTypes() []ClientType {
	if len(p.Types) == 0 {
		return []ClientType{Web, Native}
	}
	return slices.Clone(p.Types)
}

// GrantTypes gives the grants that clients under the policy may have.
func (p Registration) GrantTypes() []string {
	if len(p.Grants) == 0 {
		return []string{"authorization_code", "refresh_token"}
	}
	return slices.Clone(p.Grants)
}

// Limit is how many clients may stand under the policy.
func (p Registration) Limit() int {
	if p.Most == 0 {
		return DefaultMost
	}
	return p.Most
}

// Idle is how long a client may go unused.
func (p Registration) Idle() time.Duration {
	if p.Unused == 0 {
		return DefaultUnused
	}
	return p.Unused.Std()
}

// StatementKeys gives the file of public keys of each issuer whose software statements are believed.
func (p Registration) StatementKeys() map[string]string {
	files := map[string]string{}
	for _, entry := range p.Statements {
		issuer, file := statement(entry)
		files[issuer] = file
	}
	return files
}

// statement takes ISSUER=FILE apart: an address may hold an equals sign, so the last one counts.
func statement(entry string) (issuer, file string) {
	cut := strings.LastIndexByte(entry, '=')
	if cut < 0 {
		return entry, ""
	}
	return entry[:cut], entry[cut+1:]
}

func checkRegistration(r *reading) {
	for name, policy := range r.recipe.Registration {
		at := path("registration").key(name)
		r.name(at, name)
		r.policyTypes(at, policy)
		r.policyScopes(at, policy)
		r.statements(at.key("software_statements"), policy.Statements)
		r.documentHosts(at.key("client_id_hosts"), policy.Documents)
		if policy.Most < 0 || policy.Most > maxMost {
			r.fault(at.key("most"), "is not a number of clients", "write 1 to 1000000, or leave it out for 1000")
		}
		if idle := policy.Unused.Std(); idle != 0 && idle < minUnused {
			r.fault(at.key("unused"), "is too short for anyone to begin", "write 1h or more")
		}
		if policy.Trusted && policy.Open {
			r.finding(at.key("trusted"), "nobody vouches for clients that anyone may register, and people are not told", "leave trusted out, but for tests")
		}
		r.policyProfile(at, policy)
	}
}

func (r *reading) policyTypes(at path, policy Registration) {
	twice := doubles(policy.Types)
	for i, kind := range policy.Types {
		if _, known := grantsOf[kind]; !known {
			r.fault(at.key("types").index(i), "there is no type "+show(string(kind)), "the types are web, native, browser, service")
		} else if twice[i] {
			r.fault(at.key("types").index(i), "stands twice", "name each type once")
		}
	}
	var allowed []string
	for _, kind := range policy.ClientTypes() {
		for _, grant := range grantsOf[kind] {
			if !slices.Contains(allowed, grant) {
				allowed = append(allowed, grant)
			}
		}
	}
	doubled := doubles(policy.Grants)
	for i, grant := range policy.Grants {
		switch {
		case doubled[i]:
			r.fault(at.key("grants").index(i), "stands twice", "name each grant once")
		case !slices.Contains(allowed, grant):
			r.fault(at.key("grants").index(i), "clients of these types can't have the grant "+show(grant), "their grants are "+listed(allowed))
		}
	}
}

func (r *reading) policyScopes(at path, policy Registration) {
	at = at.key("scopes")
	twice := doubles(policy.Scopes)
	for i, scope := range policy.Scopes {
		switch {
		case twice[i]:
			r.fault(at.index(i), "stands twice", "name each scope once")
		case scope == gateScope:
			r.fault(at.index(i), scope+" is for Gates alone", "leave it out: a Gate is declared")
		case scope == "offline_access" && !slices.Contains(policy.GrantTypes(), "refresh_token"):
			r.fault(at.index(i), "nothing is refreshed without the grant refresh_token", "add the grant, or leave the scope out")
		case !has(r.recipe.Scopes, scope) && !slices.Contains(standardScopes, scope):
			r.dangling(at.index(i), "scope", scope, append(keysOf(r.recipe.Scopes), standardScopes...))
		}
	}
	details := at.parent().key("authorization_details_types")
	for i, kind := range policy.Details {
		if !slices.ContainsFunc(slices.Collect(maps.Values(r.recipe.APIs)), func(api API) bool { return has(api.Details, kind) }) {
			r.fault(details.index(i), "there is no type "+show(kind)+" of authorization details", "declare it under authorization_details of an API")
		}
	}
	if len(policy.Scopes) == 0 {
		r.fault(at, "names no scope, so that nobody could ask for anything", "write scopes: [openid, ...]")
	}
}

func (r *reading) statements(at path, entries []string) {
	if len(entries) > maxStatements {
		r.fault(at, "there are more than 32 issuers", "name those whose statements are shown")
	}
	seen := map[string]bool{}
	for i, entry := range entries {
		issuer, file := statement(entry)
		switch {
		case issuer == "" || file == "" || len(issuer) > maxAddress || !plainText(issuer) || strings.ContainsAny(issuer, " \t"):
			r.fault(at.index(i), show(entry)+" names no issuer and file", "write ISSUER=FILE, as https://vouch.example=vouch.jwks.json")
		case seen[issuer]:
			r.fault(at.index(i), "an entry before has this issuer", "put all its keys into one file")
		}
		seen[issuer] = true
	}
}

func (r *reading) documentHosts(at path, hosts []string) {
	twice := doubles(hosts)
	for i, host := range hosts {
		switch {
		case twice[i]:
			r.fault(at.index(i), "stands twice", "name each host once")
		case host == "*":
			if len(hosts) > 1 {
				r.fault(at.index(i), "* is any host, and the others are named for nothing", "keep * or the hosts")
			}
		case strings.Contains(host, "*"):
			r.fault(at.index(i), show(host)+" is no host", "name hosts in full, or write * alone for any")
		default:
			r.refused(at.index(i), checkHost(host))
		}
	}
}

// policyProfile refuses a policy under which no client could stand.
func (r *reading) policyProfile(at path, policy Registration) {
	profile := policy.Profile
	if profile != "" && !slices.Contains(profileNames, string(profile)) {
		r.fault(at.key("profile"), "there is no profile "+show(string(profile)), "the profiles are "+listed(profileNames))
		return
	}
	if profile == IPSIEOpenIDSL1 {
		for key, there := range map[string]bool{"open": policy.Open, "client_id_hosts": len(policy.Documents) > 0} {
			if there {
				r.fault(at.key(key), "the profile ipsie-sl1 knows no clients that nobody has let in (IPSIE OpenID Connect SL1 section 3.3.1)", "leave it out: initial access tokens and software statements remain")
			}
		}
	}
	for i, kind := range policy.Types {
		if profile.Demands().Confidential && profile != "" && (kind == Native || kind == Browser) {
			r.fault(at.key("types").index(i), "no "+string(kind)+" client meets the profile "+string(profile)+": "+sayConfidential, "leave it out")
		}
	}
}

// sayConfidential is why public clients are refused.
const sayConfidential = "clients prove who they are (FAPI 2.0 Security Profile section 5.3.2.1)"

func checkIssuers(r *reading) {
	names := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(r.recipe.Issuers)) {
		issuer, at := r.recipe.Issuers[name], path("issuers").key(name)
		r.name(at, name)
		if issuer.At == "" || len(issuer.At) > maxAddress || !plainText(issuer.At) || strings.ContainsAny(issuer.At, " \t") {
			if !r.unread(at.key("at")) {
				r.fault(at.key("at"), show(issuer.At)+" is not the name of an issuer", "write the iss of its assertions, byte for byte")
			}
		} else if other, taken := names[issuer.At]; taken {
			r.fault(at.key("at"), "the issuer "+shown(other)+" is the same", "keep one of the two")
		}
		names[issuer.At] = name
		switch {
		case issuer.JWKS == "" && issuer.JWKSURI == "" && !r.unread(at.key("jwks")) && !r.unread(at.key("jwks_uri")):
			r.fault(at, "nothing says by which keys it signs", "write jwks: FILE or jwks_uri: https://...")
		case issuer.JWKS != "" && issuer.JWKSURI != "":
			r.fault(at.key("jwks_uri"), "the keys stand in two places", "keep jwks or jwks_uri")
		case issuer.JWKSURI != "":
			r.refused(at.key("jwks_uri"), checkHTTPS(issuer.JWKSURI))
		}
		if kinds := []string{"user", "username", "client"}; !slices.Contains(kinds, issuer.Subjects) {
			r.fault(at.key("subjects"), show(issuer.Subjects)+" says not whom sub names", "write "+listed(kinds))
		}
		r.issuerClients(at.key("clients"), issuer)
		r.issuerScopes(at.key("scopes"), issuer)
	}
}

func (r *reading) issuerClients(at path, issuer Issuer) {
	if len(issuer.Clients) == 0 {
		r.fault(at, "names no client, so that nobody could show its assertions", "write clients: [NAME]")
	}
	twice := doubles(issuer.Clients)
	for i, name := range issuer.Clients {
		client, declared := r.recipe.Clients[name]
		switch {
		case twice[i]:
			r.fault(at.index(i), "stands twice", "name each client once")
		case !declared:
			r.dangling(at.index(i), "client", name, keysOf(r.recipe.Clients))
		case !client.uses(grantJWT):
			r.fault(at.index(i), "the client "+shown(name)+" has not the grant "+grantJWT, "add the grant to it, or leave it out here")
		}
	}
}

func (r *reading) issuerScopes(at path, issuer Issuer) {
	if len(issuer.Scopes) == 0 {
		r.fault(at, "names no scope, so that its assertions are worth nothing", "name the scopes that a token may hold")
	}
	twice := doubles(issuer.Scopes)
	for i, scope := range issuer.Scopes {
		switch {
		case twice[i]:
			r.fault(at.index(i), "stands twice", "name each scope once")
		case scope == gateScope || slices.Contains(standardScopes, scope):
			r.fault(at.index(i), scope+" is not given for an assertion", "name scopes of your APIs")
		case !has(r.recipe.Scopes, scope):
			r.dangling(at.index(i), "scope", scope, keysOf(r.recipe.Scopes))
		}
	}
}
