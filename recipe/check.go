package recipe

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// check is one question about the meaning of a recipe.
type check struct {
	name  string
	whole bool // asked only of a recipe that could be read without a fault: else it would report echoes
	find  func(*reading)
}

// checks are all the questions, from the ground up. Their order does not matter: faults are sorted by place.
var checks = []check{
	{"the format is one that this program reads", false, checkFormat},
	{"the company can be shown", false, checkCompany},
	{"levels have names, acr values and known factors", false, checkLevels},
	{"each level asks for no less than the one before", false, checkLadder},
	{"scopes have names and texts", false, checkScopes},
	{"scopes are opened by operations", true, checkScopesUsed},
	{"every level can be reached by factors that are offered", false, checkOffered},
	{"APIs have names, bounds and a client of their own", false, checkAPIs},
	{"the addresses of APIs are plain and apart", false, checkBases},
	{"operations say who may call", false, checkOperations},
	{"rules say what they do, and only raise", false, checkRaises},
	{"values of requests can be found in them", false, checkMapped},
	{"operations do not overlap", false, checkOverlaps},
	{"operations can be reached", true, checkReach},
	{"clients have names, types and texts", false, checkClients},
	{"clients prove who they are as their type can", false, checkProofs},
	{"clients have grants and scopes of their type", false, checkRights},
	{"clients send people to plain addresses", false, checkAddresses},
	{"clients sign and encrypt by algorithms of the policy", false, checkAlgorithms},
	{"clients say of themselves what can be", false, checkMetadata},
	{"clients get answers that their type allows", false, checkResponses},
	{"clients meet their profile, and that of the APIs they ask for", false, checkProfiles},
	{"rich requests are of declared types", false, checkDetails},
	{"access tokens are bound and encrypted as their API can", false, checkBound},
	{"issuers are named, keyed and bounded", false, checkIssuers},
	{"registration policies are bounded", false, checkRegistration},
	{"renamed clients were not taken by others", false, checkRenames},
	{"risk is weighed within bounds", false, checkRisk},
	{"sign-in fits together", false, checkSignIn},
	{"no mailbox reaches more than it may", false, checkMailbox},
	{"people have ways to prove who they are", false, checkFactorsOffered},
	{"lifetimes keep their bounds", false, checkLifetimes},
	{"exceptions are known, reasoned and dated", false, checkExceptions},
}

// Bounds of the ladder.
const (
	maxLevels = 32
	maxSets   = 32
)

// factors are the proofs of identity that this version can ask for.
var factors = []string{"password", "passkey", "security_key", "totp", "recovery_code", "email", "approval"}

// Factors lists the proofs of identity that a level may be made of, and that SignIn may offer.
func Factors() []string { return slices.Clone(factors) }

// Offered are the factors that people may use: those of s, else all but those that rest on another account or device.
func (s SignIn) Offered() []string {
	if len(s.Factors) > 0 {
		return slices.Clone(s.Factors)
	}
	return slices.Clone(factors[:5])
}

// standardScopes need no declaration and belong to no API (OpenID Connect Core section 5.4).
var standardScopes = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

// gateScope is for Gates alone: to follow what the Server revokes and which recipe is in force.
const gateScope = "garde.gate"

// approveScope lets an application of a person decide in their name what waits for them: for declared clients alone.
const approveScope = "garde.approve"

// deviceScope lets an app have a device secret, by which the others of its family sign in (OpenID Native SSO section 3.1).
const deviceScope = "device_sso"

func checkFormat(r *reading) {
	if n := r.recipe.Garde; n < 1 || n > Format || n < Format-1 {
		r.fault(path("").key("garde"), "format "+strconv.Itoa(n)+" is not one that this program reads", "write garde: "+strconv.Itoa(Format))
	}
}

func checkCompany(r *reading) {
	company, at := r.recipe.Company, path("company")
	if len(company.Name) > 64 || strings.TrimSpace(company.Name) != company.Name || !plainText(company.Name) {
		r.fault(at.key("name"), "the name can't be shown", "at most 64 bytes of plain text")
	}
	if accent := company.Accent; accent != "" && (len(accent) != 7 || accent[0] != '#' || strings.Trim(accent[1:], "0123456789abcdefABCDEF") != "") {
		r.fault(at.key("accent"), show(accent)+" is not a colour", `write "#rrggbb", in quotes: # begins a comment`)
	}
	if logo := company.Logo; logo != "" && !strings.HasSuffix(logo, ".svg") && !strings.HasSuffix(logo, ".png") {
		r.fault(at.key("logo"), show(logo)+" is no logo", "name a file that ends with .svg or .png")
	}
	if company.Help == "" {
		return
	}
	if mail, ok := strings.CutPrefix(company.Help, "mailto:"); ok {
		name, host, _ := strings.Cut(mail, "@")
		if plainBytes(mail) != nil || name == "" || strings.ContainsAny(mail, "?,;:/&") || checkHost(host) != nil {
			r.fault(at.key("help"), show(company.Help)+" is not a mail address", "write mailto:name@host")
		}
		return
	}
	r.refused(at.key("help"), checkHTTPS(company.Help))
}

func checkLevels(r *reading) {
	at := path("levels")
	if len(r.recipe.Levels) == 0 {
		r.fault(at, "there is no level", "write at least [{name: basic, acr: urn:example:basic, any: [password]}]")
	}
	if len(r.recipe.Levels) > maxLevels {
		r.fault(at, "there are more than "+strconv.Itoa(maxLevels)+" levels", "keep those that people can tell apart")
		return
	}
	names, acrs := map[string]bool{}, map[string]bool{}
	for i, level := range r.recipe.Levels {
		here := at.index(i)
		r.name(here.key("name"), level.Name)
		switch {
		case names[level.Name]:
			r.fault(here.key("name"), "a level before has this name", "give each level its own")
		case acrs[level.ACR]:
			r.fault(here.key("acr"), "a level before has this acr value", "give each level its own")
		}
		names[level.Name], acrs[level.ACR] = true, true
		// acr_values is a list separated by spaces (OpenID Connect Core section 3.1.2.1).
		if level.ACR == "" || len(level.ACR) > 255 || strings.ContainsFunc(level.ACR, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
			r.fault(here.key("acr"), show(level.ACR)+" can't be an acr value", "write a URN or an address without spaces")
		}
		if len(level.Any) == 0 {
			r.fault(here.key("any"), "nobody can reach this level", "name a set of factors; there are: "+listed(r.factors))
		}
		if len(level.Any) > maxSets {
			r.fault(here.key("any"), "there are more than "+strconv.Itoa(maxSets)+" sets of factors", "name the smallest sets")
			continue
		}
		for j, set := range level.Any {
			r.checkFactors(here.key("any").index(j), set)
		}
	}
}

func (r *reading) checkFactors(at path, set string) {
	seen := map[string]bool{}
	for factor := range strings.SplitSeq(set, "+") {
		switch {
		case !slices.Contains(r.factors, factor):
			r.fault(at, "there is no factor "+show(factor)+" in this version, so nobody can reach the level by it", "the factors are: "+listed(r.factors))
		case seen[factor]:
			r.fault(at, "the factor "+factor+" stands twice in one set", "name it once")
		}
		seen[factor] = true
	}
}

// checkLadder sees that whoever reaches a level has also reached those before it.
func checkLadder(r *reading) {
	levels := r.recipe.Levels
	for i := 1; i < len(levels) && len(levels) <= maxLevels; i++ {
		lower, upper := levels[i-1], levels[i]
		if len(lower.Any) > maxSets || len(upper.Any) > maxSets {
			continue // a fault already
		}
		at := path("levels").index(i).key("any")
		if !r.knowsAll(lower.Any) || !r.knowsAll(upper.Any) {
			continue // a fault already: nothing can be compared
		}
		for j, set := range upper.Any {
			if !reaches(set, lower.Any) {
				r.fault(at.index(j), show(set)+" does not reach "+shown(lower.Name)+", the level before", "order levels from the weakest to the strongest")
			}
		}
		if len(lower.Any) > 0 && !slices.ContainsFunc(lower.Any, func(set string) bool { return !reaches(set, upper.Any) }) {
			r.finding(at, "the level asks for nothing more than "+shown(lower.Name), "one of the two can go")
		}
	}
}

func (r *reading) knowsAll(sets []string) bool {
	return !slices.ContainsFunc(strings.Split(strings.Join(sets, "+"), "+"), func(f string) bool { return !slices.Contains(r.factors, f) })
}

// reaches tells whether the factors of set hold all the factors of one of the sets in any.
func reaches(set string, any []string) bool {
	have := strings.Split(set, "+")
	return slices.ContainsFunc(any, func(wanted string) bool {
		for factor := range strings.SplitSeq(wanted, "+") {
			if !slices.Contains(have, factor) {
				return false
			}
		}
		return true
	})
}

func checkScopes(r *reading) {
	for name, scope := range r.recipe.Scopes {
		at := path("scopes").key(name)
		switch {
		case name == gateScope || name == approveScope || name == deviceScope || slices.Contains(standardScopes, name):
			r.fault(at, name+" is built in", "leave it out: its text comes with the pages")
		case !scopeName(name):
			r.fault(at, show(name)+" is not a scope name", "letters, digits and ._:/*~+@- make a name of at most 128, beginning with a letter")
		}
		r.text(at.key("say"), scope.Say, true)
	}
}

func scopeName(name string) bool {
	return name != "" && len(name) <= 128 && strings.Contains(letters, name[:1]) && strings.Trim(name, letters+digits+"._:/*~+@-") == ""
}

// checkScopesUsed looks for scopes that open nothing, and for those that leave the audience of a token open.
func checkScopesUsed(r *reading) {
	opened := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(r.recipe.APIs)) {
		for _, operation := range r.recipe.APIs[name].Operations {
			if apis := opened[operation.Scope]; len(apis) == 0 || apis[len(apis)-1] != name {
				opened[operation.Scope] = append(apis, name)
			}
		}
	}
	for name := range r.recipe.Scopes {
		switch apis := opened[name]; {
		case len(apis) == 0:
			r.finding(path("scopes").key(name), "no operation asks for this scope", "leave it out, or name it in an operation")
		case len(apis) > 1:
			r.finding(path("scopes").key(name), "the scope opens several APIs ("+listed(apis[:2])+", ...), and a token is for one", "clients have to name the API with the parameter resource")
		}
	}
}

// doubles tells which places of a list hold a value that stood before.
func doubles[T comparable](list []T) map[int]bool {
	twice, seen := map[int]bool{}, make(map[T]bool, len(list))
	for i, value := range list {
		if seen[value] {
			twice[i] = true
		}
		seen[value] = true
	}
	return twice
}

// keysOf gives the names that a suggestion may come from; of too many none.
func keysOf[V any](m map[string]V) []string {
	if len(m) > maxNear {
		return nil
	}
	return slices.Sorted(maps.Keys(m))
}

// full tells that no further fault would be kept.
func (r *reading) full() bool { return len(r.faults) >= maxFaults }

const nameHint = "small letters, digits and hyphens make a name of at most 63, beginning with a letter"

// name checks the key of something that the company names. Names never hold an underscore: ids that are made at run
// time do, so that no name can be mistaken for one of them.
func (r *reading) name(at path, name string) {
	if !isName(name) {
		r.fault(at, show(name)+" is not a name", nameHint)
	}
}

func isName(name string) bool {
	return name != "" && len(name) <= 63 && name[0] >= 'a' && name[0] <= 'z' && !strings.HasSuffix(name, "-") &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// text checks what people read.
func (r *reading) text(at path, text Text, required bool) {
	if _, english := text["en"]; !english && (required || len(text) > 0) {
		r.fault(at.key("en"), "is missing", "every text has an English form: {en: ...}")
	}
	for tag, sentence := range text {
		if !languageTag(tag) {
			r.fault(at.key(tag), show(tag)+" is not a language tag", "write it as en, fr or pt-BR")
		}
		if strings.TrimSpace(sentence) != sentence || sentence == "" || len(sentence) > 300 || !plainText(sentence) {
			r.fault(at.key(tag), "the text can't be shown", "one line of at most 300 bytes, without spaces around it")
		}
	}
}

// plainText refuses controls and the characters that turn the direction of a line around.
func plainText(text string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) })
}

// languageTag admits language, script and region in the case that BCP 47 recommends.
func languageTag(tag string) bool {
	parts := strings.Split(tag, "-")
	if !letterRun(parts[0], 2, 3, unicode.IsLower) {
		return false
	}
	rest := parts[1:]
	if len(rest) > 0 && len(rest[0]) == 4 {
		if !letterRun(rest[0][:1], 1, 1, unicode.IsUpper) || !letterRun(rest[0][1:], 3, 3, unicode.IsLower) {
			return false
		}
		rest = rest[1:]
	}
	return len(rest) == 0 || len(rest) == 1 && (letterRun(rest[0], 2, 2, unicode.IsUpper) || letterRun(rest[0], 3, 3, unicode.IsDigit))
}

func letterRun(text string, least, most int, is func(rune) bool) bool {
	return len(text) >= least && len(text) <= most &&
		!strings.ContainsFunc(text, func(c rune) bool { return c > '~' || !is(c) })
}
