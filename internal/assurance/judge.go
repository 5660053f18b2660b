package assurance

import (
	"cmp"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/level"
)

// The words of the catalogue of reasons.
const (
	ReasonLevel       = "level"       // a level that was not reached
	ReasonFresh       = "fresh"       // it was reached too long ago
	ReasonWish        = "wish"        // the client asks for it
	ReasonRule        = "rule"        // a rule of the recipe asks for it
	ReasonDenied      = "denied"      // a rule of the recipe refuses, in its own words
	ReasonSignal      = "signal"      // a sign of risk that a rule reads
	ReasonUnreachable = "unreachable" // nothing that this person could prove would be enough
	ReasonClosed      = "closed"      // the operation is not open to whoever asks
)

// doorToken is where tokens are made of what was decided before: neither freshness nor rules over fresh facts count again.
const doorToken = "token"

// Unmet tells whether it was refused because nothing that the person could prove, or add, would be enough
// (unmet_authentication_requirements).
func (d *Decision) Unmet() bool {
	return d.Verdict == Deny && slices.ContainsFunc(d.Reasons, func(r Reason) bool { return r.Code == ReasonUnreachable })
}

// judging is one decision in the making.
type judging struct {
	*Policy
	question *Question
	decision Decision
	person   bool
	base     floor // what is asked for anyway
	wished   floor // and by the client
	raised   floor // and by rules that are not answered
	guessed  floor // and perhaps, by rules that can't be told here
	asks     bool  // a rule that can't be told here might refuse
	causes   []*rule
}

// Decide tells what is needed for a question, and whether it is there. It is pure: the same question under the same policy
// always gets the same answer. Whatever is not known raises: a rule that can't be told applies. Rules and wishes only ever
// raise. The zero policy denies.
func (p *Policy) Decide(q *Question) Decision {
	if p == nil || p.Recipe == nil {
		return Decision{Reasons: []Reason{{Code: ReasonClosed, Say: "no recipe is in force yet"}}}
	}
	j := judging{Policy: p, question: q, person: q.User.ID != "", base: floor{none, 0}, guessed: floor{none, 0}}
	switch {
	case q.Operation != "":
		j.call()
	case q.Door == DoorAccount:
		j.account()
	default:
		j.authorization()
	}
	return j.decision
}

// call decides about one operation.
func (j *judging) call() {
	q := j.question
	one, known := j.operations[key{q.API, q.Operation}]
	switch {
	case !known:
		j.closed("there is no such operation")
		return
	case one.open != "":
		j.decision.Verdict = Permit
		return
	case j.person && !one.users, !j.person && !one.clients:
		j.closed("the operation is not for this kind of caller")
		return
	case !q.Scope.Has(one.scope):
		j.closed("the token does not hold the scope " + one.scope)
		return
	}
	j.decision.Bound = one.bound
	if one.bound && !q.Client.Bound {
		j.closed("the token is not bound to a key")
		return
	}
	j.base = floor{one.rung, one.fresh}
	j.prepare()
	if j.weigh(one, j.Policy.rules) && j.weigh(one, one.rules) {
		j.conclude()
	}
}

// authorization decides about what scopes and details would open: of scopes the least that an operation asks for, so that
// nobody proves more than the first call takes, and of a detail all that its operations ask for.
func (j *judging) authorization() {
	q, opened := j.question, false
	for _, scope := range q.Scope {
		least, opens := j.floors[scope]
		switch {
		case !opens:
		case !opened:
			j.base, opened = least, true
		default:
			j.base = j.base.or(least)
		}
	}
	var named []*operation
	for i := range q.Details {
		for _, one := range j.details[q.Details[i].Type] {
			j.base = j.base.and(floor{one.rung, one.fresh})
			named = append(named, one)
		}
	}
	if q.Held == nil { // nobody is signed in below the lowest level
		j.base.rung = max(j.base.rung, 0)
	}
	j.prepare()
	if !j.weigh(nil, j.Policy.rules) {
		return
	}
	for _, one := range named {
		if !j.weigh(one, one.rules) {
			return
		}
	}
	j.conclude()
}

// prepare adds the client's wishes. A client for itself never signs in: nothing is asked of it.
func (j *judging) prepare() {
	if !j.person {
		j.base = floor{none, 0}
	}
	if j.question.Door == doorToken {
		j.base.fresh = 0
	}
	j.wished, j.raised = j.base, floor{none, 0}
	if j.person && j.question.Door != doorToken {
		j.wish()
	}
}

func (j *judging) closed(why string) {
	j.decision.Verdict = Deny
	j.decision.Reasons = append(j.decision.Reasons, Reason{Code: ReasonClosed, Say: why})
}

// weigh asks rules, and tells whether to go on: one that refuses ends it.
func (j *judging) weigh(one *operation, rules []*rule) bool {
	if len(rules) == 0 {
		return true
	}
	known := gathered(j.Policy, j.question, one)
	if one != nil && j.question.Operation == "" {
		known.values = one.valuesOf(j.question.Details)
	}
	defer known.release()
	for _, r := range rules {
		if len(r.deny) == 0 && !j.person {
			continue
		}
		switch r.judge(known) {
		case silent:
		case unknown:
			j.unknown(r)
		case applies:
			j.decision.Rules = append(j.decision.Rules, r.place)
			if len(r.deny) > 0 {
				j.refuse(r)
				return false
			}
			j.raise(r)
		}
	}
	return true
}

// unknown notes a rule that can't be told here. Where tokens are made it was told before.
func (j *judging) unknown(r *rule) {
	switch {
	case j.question.Door == doorToken:
	case len(r.deny) > 0:
		j.asks = true
	default:
		j.guessed = j.guessed.and(floor{r.rung, r.fresh})
	}
}

func (j *judging) refuse(r *rule) {
	j.decision.Verdict = Deny
	j.decision.Reasons = append(j.decision.Reasons, Reason{Code: ReasonDenied, Say: r.deny.In(), Words: r.deny})
	j.signs(r)
}

func (j *judging) raise(r *rule) {
	asks := floor{r.rung, r.fresh}
	if j.question.Door == doorToken {
		asks.fresh = 0
	}
	if j.base.and(asks) == j.base {
		return // it asks for nothing more
	}
	j.raised = j.raised.and(asks)
	j.causes = append(j.causes, r)
}

// signs tells which signs of risk a rule read.
func (j *judging) signs(r *rule) {
	for i := range j.question.Risk.Findings {
		finding := &j.question.Risk.Findings[i]
		said := func(reason Reason) bool { return reason.Code == ReasonSignal && reason.Say == finding.Say }
		if r.reads.about(finding) && !slices.ContainsFunc(j.decision.Reasons, said) {
			j.decision.Reasons = append(j.decision.Reasons, Reason{Code: ReasonSignal, Say: finding.Say})
		}
	}
}

// conclude holds what was proved against what is needed.
func (j *judging) conclude() {
	need := j.wished
	answered := false
	if len(j.causes) > 0 {
		j.decision.Cause = j.cause()
		answered = j.answered()
		asks := j.raised
		if answered { // the level stands, since the session keeps what was proved; when it was proved does not count again
			asks.fresh = 0
		}
		need = need.and(asks)
	}
	if need.rung >= 0 && need.rung < len(j.Ladder) {
		j.decision.ACR = j.Ladder[need.rung].ACR
	}
	j.decision.Fresh = need.fresh
	enough := j.enough(need)
	switch {
	case enough && !j.asks && (j.guessed == floor{none, 0} || j.enough(j.guessed.and(need))):
		j.decision.Verdict, j.decision.Claim = Permit, j.claimed(need)
	case enough:
		j.decision.Ask = true
	default:
		j.because(need, answered)
		j.stepUp(need)
	}
}

// enough tells whether what was proved, or what a token says, serves a need.
func (j *judging) enough(need floor) bool {
	q := j.question
	switch {
	case !j.person:
		return true
	case need.rung >= len(j.Ladder):
		return false
	case q.Held == nil:
		_, by, _ := j.reach(need.rung, q.Proofs, j.age(need))
		return by != nil
	}
	if rung := j.rungOf(q.Held.ACR); need.rung >= 0 && (rung < need.rung || rung >= len(j.Ladder)) {
		return false
	}
	return need.fresh == 0 || j.age(need).counts(&iam.Proved{At: q.Held.AuthTime})
}

// claimed is what may be said of what is enough for a need.
func (j *judging) claimed(need floor) Claim {
	switch q := j.question; {
	case !j.person:
		return Claim{}
	case q.Held != nil:
		return Claim{ACR: q.Held.ACR, AuthTime: q.Held.AuthTime}
	default:
		return j.claim(need.rung, q.Proofs, j.age(need))
	}
}

func (j *judging) age(need floor) age { return age{need.fresh, j.question.Since, j.question.Now} }

// because says why what was proved is not enough.
func (j *judging) because(need floor, answered bool) {
	say := func(code, text string) {
		j.decision.Reasons = append(j.decision.Reasons, Reason{Code: code, Say: text})
	}
	if j.enough(floor{need.rung, 0}) {
		say(ReasonFresh, "it has to be proved within "+need.fresh.Round(time.Second).String())
	} else {
		say(ReasonLevel, "the level "+cmp.Or(j.levelAt(need.rung).Name, "that is asked for")+" has not been reached")
	}
	if j.wished != j.base {
		say(ReasonWish, "the application asks for it")
	}
	for _, r := range j.causes {
		if !answered {
			say(ReasonRule, r.say)
			j.signs(r)
		}
	}
}

func (j *judging) levelAt(rung int) level.Level {
	if rung < 0 || rung >= len(j.Ladder) {
		return level.Level{}
	}
	return j.Ladder[rung]
}

// stepUp tells what the person could prove, the least to do first, or that it is beyond them. A factor can be added for what
// is asked anyway, and not for what a rule asks: whoever stole a password would add their own.
func (j *judging) stepUp(need floor) {
	if need.rung >= len(j.Ladder) {
		j.unreachable()
		return
	}
	j.decision.Verdict = StepUp
	rung := max(need.rung, 0)
	j.decision.Sets, j.decision.Missing = j.provable(rung, j.age(need))
	if len(j.decision.Sets) > 0 || !j.question.Online {
		return
	}
	if rung <= max(j.base.rung, 0) || j.raised.rung < rung {
		j.decision.Enrol = j.addable(rung)
	}
	if len(j.decision.Enrol) == 0 {
		j.unreachable()
	}
}

func (j *judging) unreachable() {
	j.decision.Verdict = Deny
	j.decision.Reasons = append(j.decision.Reasons, Reason{Code: ReasonUnreachable, Say: "nothing that the person could prove would be enough"})
}

// provable lists the sets of a level that the person could prove now. Offline nobody knows what they have.
func (j *judging) provable(rung int, a age) (texts []string, missing [][]string) {
	type way struct {
		text    string
		missing []string
	}
	var ways []way
	for i := range j.sets[rung] {
		one := &j.sets[rung][i]
		lacks := a.missing(one, j.question.Proofs)
		if !slices.ContainsFunc(lacks, func(factor string) bool { return !j.can(factor) }) {
			ways = append(ways, way{one.text, lacks})
		}
	}
	slices.SortStableFunc(ways, func(a, b way) int { return cmp.Compare(len(a.missing), len(b.missing)) })
	for _, one := range ways {
		texts, missing = append(texts, one.text), append(missing, one.missing)
	}
	return texts, missing
}

// can tells whether the person could prove a factor.
func (j *judging) can(factor string) bool {
	return slices.Contains(j.offered, factor) && (!j.question.Online || slices.Contains(j.question.User.Factors, factor))
}

// addable lists the sets of a level that the person could prove after adding factors, the fewest first.
func (j *judging) addable(rung int) []string {
	var texts []string
	lacking := map[string]int{}
	for i := range j.sets[rung] {
		one := &j.sets[rung][i]
		lacks := 0
		for _, factor := range one.factors {
			if !slices.Contains(j.question.User.Factors, factor) {
				lacks++
			}
		}
		if !slices.ContainsFunc(one.factors, func(factor string) bool { return !slices.Contains(j.offered, factor) }) {
			texts, lacking[one.text] = append(texts, one.text), lacks
		}
	}
	slices.SortStableFunc(texts, func(a, b string) int { return cmp.Compare(lacking[a], lacking[b]) })
	return texts
}
