package recipe

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const maxDetails = 100

// Binding says whether tokens of the API are bound to a key: what the recipe says, else what the profile asks for, else
// offered.
func (a API) Binding() Bound {
	if a.Profile != "" && a.Profile.Demands().Bound {
		return BoundRequired
	}
	return cmp.Or(a.Bound, BoundOffered)
}

func checkBound(r *reading) {
	for name, api := range r.recipe.APIs {
		at := path("apis").key(name)
		switch api.Bound {
		case "", BoundOff, BoundOffered, BoundRequired:
		default:
			r.fault(at.key("bound"), show(string(api.Bound))+" is not a kind of binding", "write off, offered or required")
		}
		switch {
		case api.Profile == "":
		case !slices.Contains(profileNames, string(api.Profile)):
			r.fault(at.key("profile"), "there is no profile "+show(string(api.Profile)), "the profiles are "+listed(apiProfiles))
		case api.Profile == IPSIEOpenIDSL1:
			r.fault(at.key("profile"), "ipsie-sl1 is about signing in, and its tokens open no API (IPSIE OpenID Connect SL1 section 3.3.1)", "the profiles of APIs are "+listed(apiProfiles))
		case api.Profile.Demands().Bound && api.Bound != "" && api.Bound != BoundRequired:
			r.fault(at.key("bound"), "the profile "+string(api.Profile)+" binds every token to a key (FAPI 2.0 Security Profile section 5.3.2.1)", "leave bound out, or write required")
		}
		r.sealedTokens(at, api)
	}
}

// apiProfiles are the profiles that say something of the clients of an API.
var apiProfiles = []string{string(OAuth21), string(FAPI2Security), string(FAPI2Messages)}

func (r *reading) sealedTokens(at path, api API) {
	r.seal(at, sealed{"access_token_encryption", api.Encryption, api.Content, true})
	switch {
	case api.Encryption == "" && api.JWKS != "":
		r.finding(at.key("jwks"), "nothing is encrypted with these keys", "write access_token_encryption_alg, or leave jwks out")
	case api.Encryption == "":
	case api.Token == TokenOpaque:
		r.fault(at.key("access_token_encryption_alg"), "an opaque token holds nothing that could be read", "leave it out, or write token: jwt")
	case api.JWKS == "" && !r.unread(at.key("jwks")):
		r.fault(at.key("access_token_encryption_alg"), "there is no key to encrypt with", "write jwks: FILE with the API's public keys")
	}
}

// checkDetails: a type of rich request belongs to one API, whose tokens carry it (RFC 9396 section 2).
func checkDetails(r *reading) {
	owners := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(r.recipe.APIs)) {
		details := r.recipe.APIs[name].Details
		at := path("apis").key(name).key("authorization_details")
		if len(details) > maxDetails {
			r.fault(at, "there are more than "+strconv.Itoa(maxDetails)+" types", "put what differs into members of the detail")
			continue
		}
		for kind, detail := range details {
			here := at.key(kind)
			if !scopeName(kind) {
				r.fault(here, show(kind)+" is not a type of detail", "letters, digits and ._:/*~+@- make a type of at most 128, beginning with a letter")
			}
			if owner, taken := owners[kind]; taken {
				r.fault(here, "the API "+shown(owner)+" has this type, and a token is for one API", "give it another name")
			}
			owners[kind] = name
			r.detail(here, detail)
		}
	}
	for name, client := range r.recipe.Clients {
		r.clientDetails(path("clients").key(name), client, owners)
	}
}

func (r *reading) detail(at path, detail Detail) {
	r.text(at.key("say"), detail.Say, true)
	for tag, sentence := range detail.Say {
		if !placeholders(sentence) {
			r.fault(at.key("say").key(tag), "has a brace that stands for no member", "write {name}, {name.part}, or {name:EUR} for an amount in minor units")
		}
	}
	r.members(at, detail)
	twice := doubles(detail.Scopes)
	for i, scope := range detail.Scopes {
		switch {
		case twice[i]:
			r.fault(at.key("scopes").index(i), "stands twice", "name each scope once")
		case !has(r.recipe.Scopes, scope) && !slices.Contains(standardScopes, scope):
			r.dangling(at.key("scopes").index(i), "scope", scope, append(keysOf(r.recipe.Scopes), standardScopes...))
		}
	}
	if detail.Schema == "" && !r.unread(at.key("schema")) {
		r.fault(at.key("schema"), "names no file", "write a JSON Schema that every detail obeys, beside the recipe")
	}
}

// placeholders tells whether every brace of a sentence belongs to {name}, {name.part} or {name:EUR}.
func placeholders(sentence string) bool {
	for {
		before, rest, open := strings.Cut(sentence, "{")
		if strings.Contains(before, "}") {
			return false
		}
		if !open {
			return true
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return false
		}
		name, currency, priced := strings.Cut(name, ":")
		if priced && (len(currency) != 3 || strings.Trim(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "") {
			return false
		}
		for part := range strings.SplitSeq(name, ".") {
			if !plainWord(part) {
				return false
			}
		}
		sentence = after
	}
}

// clientDetails: whoever may ask for a type may ask for the scopes that it takes, and has a way to ask.
func (r *reading) clientDetails(at path, client Client, owners map[string]string) {
	twice := doubles(client.Details)
	for i, kind := range client.Details {
		here := at.key("authorization_details_types").index(i)
		owner, declared := owners[kind]
		switch {
		case twice[i]:
			r.fault(here, "stands twice", "name each type once")
			continue
		case !declared && r.policy != "": // the policy's own list has judged it
			continue
		case !declared:
			hint := "declare it under authorization_details of an API"
			if near := nearest(kind, keysOf(owners)); near != "" {
				hint = "did you mean " + near + "?"
			}
			r.fault(here, "there is no type "+show(kind)+" of authorization details", hint)
			continue
		}
		for _, scope := range r.recipe.APIs[owner].Details[kind].Scopes {
			if !slices.Contains(client.Scopes, scope) && !r.unread(at.key("scopes")) {
				r.fault(here, shown(kind)+" takes the scope "+shown(scope)+", and this client may not ask for it", "add the scope to the client")
			}
		}
	}
}
