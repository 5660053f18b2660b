package recipe

import (
	"slices"
	"strconv"
	"strings"
)

const raisePattern = operationPattern + ".raise.*"

// assuranceVerdicts judge rules, risk, and how people prove who they are.
var assuranceVerdicts = []rule{
	{"raise.*", came(Stronger, "something more is asked for or refused", Weaker, "what was asked for or refused is no more")},
	{"raise.*.when", ruleOtherwise}, {"raise.*.level", level}, {"raise.*.fresh", fresh}, {"raise.*.deny.*", denied},
	{raisePattern, came(Stronger, "something more is asked for or refused", Weaker, "what was asked for or refused is no more")},
	{raisePattern + ".when", ruleOtherwise}, {raisePattern + ".level", level}, {raisePattern + ".fresh", fresh}, {raisePattern + ".deny.*", denied},

	{operationPattern + ".details", exact("a token for exactly the request is asked for", "any token with the scope will do", "a token for something else is asked for")},
	{operationPattern + ".match.*", exact("one more value has to be equal", "one value less has to be equal", "another value has to be equal")},
	{operationPattern + ".send.*", sent},
	{"apis.*.authorization_details.*.amount", told("amount")},
	{"apis.*.authorization_details.*.currency", told("currency")},
	{"apis.*.authorization_details.*.payee", told("payee")},
	{"clients.*.apps", admits("the apps of the family sign in for one another", "the app signs in by itself")},

	{"risk.points.*", points},
	{"risk.addresses", addresses},
	{"risk.forget", longer("what was seen long ago counts as a habit", "habits are forgotten earlier")},

	{"signin.factors[]", admits("people may prove who they are in another way", "people have fewer ways to prove who they are")},
	{"signin.enrol.*", came(Stronger, "people have to add factors", Weaker, "people have to add factors no more")},
	{"signin.enrol.*.level", level},
	{"signin.enrol.*.groups[]", always(Weaker, "it is for other people")},
	{"signin.enrol.*.until", putOff},
	{"signin.passkeys.attestation", ladder([]string{AttestationOff, AttestationRequired}, "nobody proves the model of an authenticator", "the model of an authenticator is proved")},
	{"signin.passkeys.models[]", models},
	{"signin.passkeys.roots[]", believed},
	{"signin.passkeys.synced", ladder([]string{SyncedAllowed, SyncedRefused}, "passkeys may leave their device", "passkeys stay on their device")},
}

func ruleOtherwise(*comparison, Change) (Verdict, string) {
	return Weaker, "the rule applies to something else"
}

// denied: the words are for people, whether it refuses is not. A rule that refuses has English ones.
func denied(_ *comparison, c Change) (Verdict, string) {
	switch english := strings.HasSuffix(c.Path, ".en"); {
	case !english:
	case c.Old == "":
		return Stronger, "it is refused"
	case c.New == "":
		return Weaker, "it is refused no more"
	}
	return text(nil, c)
}

// exact judges what binds a token to one request.
func exact(more, less, other string) judge {
	return func(_ *comparison, c Change) (Verdict, string) {
		switch {
		case c.Old == "":
			return Stronger, more
		case c.New == "":
			return Weaker, less
		}
		return Weaker, other
	}
}

// sent judges a value of requests that rules may know.
func sent(c *comparison, change Change) (Verdict, string) {
	name := change.Path[strings.LastIndexAny(change.Path, ".[")+1:]
	return told(strings.TrimSuffix(name, "]"))(c, change)
}

// told judges what is known of a request. A rule applies for want of what it reads, so that a value which comes may end
// that; rules that come with it are judged by themselves.
func told(word string) judge {
	return func(c *comparison, change Change) (Verdict, string) {
		switch {
		case change.New == "":
			return Weaker, "less is known of what is asked for"
		case change.Old != "":
			return Weaker, "something else is known of what is asked for"
		case slices.ContainsFunc(c.old.allRules(), func(rule Raise) bool { return strings.Contains(rule.When, word) }):
			return Weaker, "a rule that applied for want of it may apply no more"
		}
		return Neutral, "more is known of what is asked for"
	}
}

// points: where the default stood or will stand, only the ends of the scale can be compared with it.
func points(_ *comparison, c Change) (Verdict, string) {
	old, errOld := strconv.Atoi(c.Old)
	now, errNow := strconv.Atoi(c.New)
	switch {
	case errOld == nil && errNow == nil && now > old, errOld != nil && now == maxPoints, errNow != nil && errOld == nil && old == 0:
		return Stronger, "the signal weighs more"
	case errOld == nil && errNow == nil:
		return Weaker, "the signal weighs less"
	}
	return Weaker, "the signal weighs something else than by default"
}

func addresses(c *comparison, change Change) (Verdict, string) {
	if linesKept(c.oldFiles[unstamped(change.Old)], c.newFiles[unstamped(change.New)]) {
		return Stronger, "no fewer networks have a bad name"
	}
	return Weaker, "networks that had a bad name have none"
}

func putOff(c *comparison, change Change) (Verdict, string) {
	switch {
	case change.Old == "":
		return Weaker, "people may put it off"
	case change.New == "":
		return Stronger, "people may put it off no more"
	}
	if verdict, _ := until(c, change); verdict == Stronger {
		return Stronger, "people may put it off shorter"
	}
	return Weaker, "people may put it off longer"
}

// believed: where the model of an authenticator is not proved, whoever could prove it means nothing yet or no more.
func believed(c *comparison, change Change) (Verdict, string) {
	if c.old.SignIn.Passkeys.Attestation != AttestationRequired || c.new.SignIn.Passkeys.Attestation != AttestationRequired {
		return Neutral, "nobody was asked about models, or nobody is"
	}
	return admits("others are believed about models", "fewer are believed about models")(c, change)
}

// models: an empty list means any model, so its first member closes and its last one opens.
func models(c *comparison, change Change) (Verdict, string) {
	switch {
	case len(c.old.SignIn.Passkeys.Models) == 0:
		return Stronger, "not every model is admitted any more"
	case len(c.new.SignIn.Passkeys.Models) == 0:
		return Weaker, "any model is admitted"
	}
	return admits("another model is admitted", "fewer models are admitted")(c, change)
}
