package recipe

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of rules, and of what they may know of a request.
const (
	maxRules  = 50
	maxWhen   = 1000 // bytes
	maxMapped = 20
	maxPoints = 100
)

// signals are the signs of risk that may be weighed, and named by rules as risk.NAME.
var signals = []string{
	"new_device", "changed_device", "new_country", "new_network", "impossible_travel", "unusual_hour", "new_client", "unusual_amount",
	"new_payee", "frequent", "failures", "velocity", "bad_address", "young_account", "young_factor", "unknown",
}

// Signals lists the signs of risk by the names that Risk.Points and rules know them by.
func Signals() []string { return slices.Clone(signals) }

// checkOffered sees that people can reach each level with the factors that they may use.
func checkOffered(r *reading) {
	offered := r.recipe.SignIn.Offered()
	for i, level := range r.recipe.Levels {
		at := path("levels").index(i).key("any")
		if len(level.Any) == 0 || len(level.Any) > maxSets || !r.knowsAll(level.Any) {
			continue // a fault already
		}
		usable := 0
		for _, set := range level.Any {
			if reaches(strings.Join(offered, "+"), []string{set}) {
				usable++
			}
		}
		if usable == 0 {
			r.fault(at, "nobody can reach this level: signin.factors offers only "+listed(offered), "add a factor to signin.factors, or name another set")
			continue
		}
		for j, set := range level.Any {
			if !reaches(strings.Join(offered, "+"), []string{set}) {
				r.finding(at.index(j), "nobody can use this set: signin.factors leaves a factor of it out", "add the factor to signin.factors, or leave the set out")
			}
		}
	}
}

// checkRaises sees that rules say what they do, and that they only ever raise.
func checkRaises(r *reading) {
	r.raises(path("raise"), r.recipe.Raise, "")
	for name, api := range r.recipe.APIs {
		for key, operation := range api.Operations {
			at := path("apis").key(name).key("operations").key(key)
			r.raises(at.key("raise"), operation.Raise, operation.Level)
			if len(operation.For) == 0 || slices.Contains(operation.For, ForUser) {
				continue
			}
			for i, rule := range operation.Raise {
				if rule.Level != "" || rule.Fresh != 0 {
					r.fault(at.key("raise").index(i), "asks a level or freshness of a client, which never signs in", "write deny: REASON, or add user to for")
				}
			}
		}
	}
}

func (r *reading) raises(at path, rules []Raise, floor string) {
	if len(rules) > maxRules {
		r.fault(at, "there are more than "+strconv.Itoa(maxRules)+" rules", "join conditions by ||")
		return
	}
	seen := map[string]bool{}
	for i, rule := range rules {
		here := at.index(i)
		switch {
		case strings.TrimSpace(rule.When) == "":
			r.fault(here.key("when"), "says no condition", "write CEL, as risk.new_device || amount > 100000")
		case len(rule.When) > maxWhen:
			r.fault(here.key("when"), "is longer than "+strconv.Itoa(maxWhen)+" bytes", "divide it into several rules")
		case seen[rule.When]:
			r.fault(here.key("when"), "a rule before has this condition", "join the two")
		}
		seen[rule.When] = true
		r.raise(here, rule, floor)
	}
}

func (r *reading) raise(at path, rule Raise, floor string) {
	names := levelNames(r.recipe.Levels)
	switch {
	case len(rule.Deny) > 0 && (rule.Level != "" || rule.Fresh != 0):
		r.fault(at, "refuses and asks for more at once", "keep deny, or level and fresh")
	case len(rule.Deny) == 0 && rule.Level == "" && rule.Fresh == 0 && !r.unread(at.key("fresh")) && !r.unread(at.key("level")) && !r.unread(at.key("deny")):
		r.fault(at, "changes nothing", "write level: NAME, fresh: DURATION or deny: REASON")
	case rule.Level == "":
	case !slices.Contains(names, rule.Level):
		r.dangling(at.key("level"), "level", rule.Level, names)
	case slices.Index(names, rule.Level) < slices.Index(names, floor):
		r.fault(at.key("level"), "lies below "+shown(floor)+", which the operation asks for anyway: a rule can only raise", "name a level above "+shown(floor))
	}
	if fresh := rule.Fresh.Std(); fresh != 0 && fresh < minFresh {
		r.fault(at.key("fresh"), "is shorter than 30s: nobody could ever be so quick", "write 30s or more")
	}
	r.text(at.key("deny"), Text(rule.Deny), false)
}

// checkMapped sees that what an operation says of its requests can be found in them.
func checkMapped(r *reading) {
	for name, api := range r.recipe.APIs {
		for key, operation := range api.Operations {
			pattern, err := ParsePattern(key)
			if err != nil {
				continue // a fault already
			}
			at := path("apis").key(name).key("operations").key(key)
			r.mapped(at.key("match"), operation.Match, pattern, memberPath, "the member of a detail, as amount or creditor.iban")
			r.mapped(at.key("send"), operation.Send, pattern, valueName, "a name that rules can say: letters, digits and underscores")
			r.detailed(at, api, operation)
		}
	}
}

func (r *reading) mapped(at path, mapped map[string]string, pattern Pattern, name func(string) bool, hint string) {
	if len(mapped) > maxMapped {
		r.fault(at, "names more than "+strconv.Itoa(maxMapped)+" values", "keep those that matter")
		return
	}
	for key, place := range mapped {
		if !name(key) {
			r.fault(at.key(key), show(key)+" is not a name here", "write "+hint)
		}
		r.refused(at.key(key), checkRequestPlace(place, pattern))
	}
}

// detailed: a token for exactly one request names a type, and what of it has to be equal.
func (r *reading) detailed(at path, api API, operation Operation) {
	switch {
	case operation.Details == "" && len(operation.Match) > 0:
		r.fault(at.key("match"), "there is nothing to compare with", "write details: TYPE, or leave match out")
		return
	case operation.Details == "":
		return
	case !has(api.Details, operation.Details):
		r.missing(at.key("details"), "type of details", "authorization_details of this API", operation.Details, keysOf(api.Details))
		return
	case len(operation.Match) == 0 && !r.unread(at.key("match")):
		r.fault(at.key("details"), "a token for one request would do for every other", "write match: {MEMBER: body.MEMBER}")
		return
	}
	detail := api.Details[operation.Details]
	for _, member := range []string{detail.Amount, detail.Currency, detail.Payee} {
		if member != "" && !has(operation.Match, member) {
			r.finding(at.key("match"), "the member "+shown(member)+" is shown to people and not compared with the request", "add it to match")
		}
	}
}

// checkRequestPlace admits body.NAME, body.NAME.PART, path.NAME of the pattern's own parameters, and query.NAME.
func checkRequestPlace(place string, pattern Pattern) error {
	const hint = "write body.NAME, path.NAME or query.NAME"
	source, name, ok := strings.Cut(place, ".")
	switch {
	case !ok || len(place) > 200:
	case source == "body" && memberPath(name):
		if pattern.Method == "GET" || pattern.Method == "HEAD" {
			return refuse("write path.NAME or query.NAME", "a %s has no body", pattern.Method)
		}
		return nil
	case source == "path" && plainWord(name):
		if !slices.Contains(pattern.Segments, Segment{Text: name, Param: true}) {
			return refuse("write {"+name+"} in the path of the operation", "the path has no parameter %s", show(name))
		}
		return nil
	case source == "query" && plainWord(name):
		return nil
	}
	return refuse(hint, "%s is no value of a request", show(place))
}

// memberPath admits name or name.part.
func memberPath(text string) bool {
	for part := range strings.SplitSeq(text, ".") {
		if !plainWord(part) {
			return false
		}
	}
	return len(text) <= 200
}

// valueName admits what stands behind values. in a rule.
func valueName(text string) bool { return plainWord(text) && !strings.Contains(text, "-") }

// members sees that what a detail is weighed by are members of it.
func (r *reading) members(at path, detail Detail) {
	for key, member := range map[string]string{"amount": detail.Amount, "currency": detail.Currency, "payee": detail.Payee} {
		if member != "" && !memberPath(member) {
			r.fault(at.key(key), show(member)+" is no member of a detail", "write name or name.part")
		}
	}
	if detail.Currency != "" && detail.Amount == "" {
		r.fault(at.key("currency"), "there is no amount in it", "write amount too, or leave currency out")
	}
}

func checkRisk(r *reading) {
	at := path("risk")
	for name, points := range r.recipe.Risk.Points {
		switch {
		case !slices.Contains(signals, name):
			hint := "the signals are " + listed(signals)
			if near := nearest(name, signals); near != "" {
				hint = "did you mean " + near + "?"
			}
			r.fault(at.key("points").key(name), "there is no signal "+show(name), hint)
		case points < 0 || points > maxPoints:
			r.fault(at.key("points").key(name), "is not a number of points", "write 0 (off) to "+strconv.Itoa(maxPoints))
		}
	}
	if forget := r.recipe.Risk.Forget.Std(); forget != 0 && forget < day {
		r.fault(at.key("forget"), "is too short for a habit", "write 1d or more")
	}
}

// DefaultForget is how long habits are kept that were not seen again.
const DefaultForget = 180 * day

// checkNetworks admits a list of networks, one CIDR a line; what follows # is a comment.
func checkNetworks(content []byte) error {
	if !utf8.Valid(content) {
		return refuse("save it as UTF-8", "the file is not a list of networks")
	}
	_, err := Networks(content)
	return err
}

// Networks reads a file of networks, one CIDR or address a line; what follows # is a comment.
func Networks(content []byte) ([]netip.Prefix, error) {
	var all []netip.Prefix
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		network, err := netip.ParsePrefix(line)
		if address, plain := netip.ParseAddr(line); err != nil && plain == nil && address.Zone() == "" {
			network, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return nil, refuse("write one CIDR a line, as 192.0.2.0/24", "line %d of the file is no network", number)
		}
		all = append(all, network.Masked())
	}
	return all, nil
}

// ruleName names a rule by its condition, also where that is too long to be shown whole.
func ruleName(when string) string {
	if len(when) <= maxShown || len(when) <= 256 && strconv.Quote(when) == `"`+when+`"` {
		return when
	}
	sum := sha256.Sum256([]byte(when))
	return strings.ToValidUTF8(when[:40], "") + " " + hex.EncodeToString(sum[:6])
}

// enrolName names a duty to enrol by its level and whom it is for.
func enrolName(duty Enrol) string {
	groups := slices.Sorted(slices.Values(duty.Groups))
	return strings.TrimSpace(duty.Level + " " + strings.Join(groups, ","))
}

// allRules lists every rule of a recipe.
func (r *Recipe) allRules() []Raise {
	rules := slices.Clone(r.Raise)
	for _, api := range r.APIs {
		for _, key := range slices.Sorted(maps.Keys(api.Operations)) {
			rules = append(rules, api.Operations[key].Raise...)
		}
	}
	return rules
}
