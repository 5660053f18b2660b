package assurance

import (
	"math"
	"slices"
	"time"

	"cel.dev/cel-go/common/types"

	"github.com/gardeauth/garde/internal/assurance/signal"
)

// DoorAccount is where people change what they sign in with, and what guards them.
const DoorAccount = "account"

// Lately is how old a proof may be when somebody changes what guards their account.
const Lately = 10 * time.Minute

// account decides whether somebody may change what guards their account: lately, the highest level that they can reach with
// what they have, and as much as any rule of the recipe asks in a moment like this one, whatever it asks it about. Who can't
// reach that must not add what reaches it: it is refused as unmet, and nothing is ever to be enrolled first.
func (j *judging) account() {
	j.question = ofMoment(j.question)
	if !j.person {
		j.closed("nobody is there")
		return
	}
	if !j.weigh(nil, j.forAll()) {
		return
	}
	j.wished, j.raised = j.base, floor{none, 0}
	wary := j.wary()
	rung := len(j.Ladder) - 1
	for rung >= 0 {
		if sets, _ := j.provable(rung, age{}); len(sets) > 0 {
			break
		}
		rung--
	}
	j.decision.Wary = wary != none
	need := floor{max(rung, wary), Lately}
	if need.rung >= 0 {
		j.decision.ACR, j.decision.Fresh = j.Ladder[need.rung].ACR, need.fresh
	}
	switch {
	case rung < 0 || wary > rung:
		j.because(need, false)
		j.unreachable()
	case j.enough(need):
		j.decision.Verdict, j.decision.Claim = Permit, j.claimed(need)
	default:
		j.because(need, false)
		j.decision.Verdict = StepUp
		j.decision.Sets, j.decision.Missing = j.provable(rung, j.age(need))
	}
}

// forAll are the rules of the recipe that refuse, wherever they are asked.
func (j *judging) forAll() []*rule {
	return slices.DeleteFunc(slices.Clone(j.Policy.rules), func(r *rule) bool { return len(r.deny) == 0 })
}

// wary is the highest level that is behind a rule which speaks because of this moment, of all operations, or none. Where the
// recipe reads signs of risk at all, a moment that may be somebody else's is as if all of these spoke.
func (j *judging) wary() int {
	highest := none
	look := func(one *operation, rules []*rule, base int) {
		for _, r := range rules {
			if !slices.Contains(j.causes, r) && j.stirred(one, r) { // operations stand there by two names
				highest = max(highest, r.rung, base)
				j.causes, j.decision.Rules = append(j.causes, r), append(j.decision.Rules, r.place)
			}
		}
	}
	look(nil, j.Policy.rules, none)
	for _, one := range j.operations {
		look(one, one.rules, one.rung)
	}
	if slices.ContainsFunc(j.question.Risk.Findings, strange) {
		highest = max(highest, j.rungOf(j.Wary()))
	}
	slices.Sort(j.decision.Rules)
	return min(highest, len(j.Ladder)-1)
}

// stirred tells whether a rule speaks, or can't be told, because of the moment: it would not in one of which nothing is known
// that is bad. What it reads of a transaction is taken for unknown, and for as much as can be.
func (j *judging) stirred(one *operation, r *rule) bool {
	calm := *j.question
	calm.Risk, calm.Place = signal.Result{}, Place{}
	for _, paid := range []signal.Transaction{{}, {Amount: math.MaxInt64, Priced: true}} {
		now, then := *j.question, calm
		now.Transaction, then.Transaction = paid, paid
		if told := r.told(j.Policy, &now, one); told != silent && told != r.told(j.Policy, &then, one) {
			return true
		}
	}
	return false
}

// told is judge without its generosity to the careful: what can't be told is not known.
func (r *rule) told(policy *Policy, question *Question, one *operation) outcome {
	if r.program == nil {
		return applies
	}
	known := gathered(policy, question, one)
	defer known.release()
	value, _, err := r.program.Eval(known)
	switch {
	case err != nil:
		return unknown
	case value == types.False:
		return silent
	}
	return applies
}

// passing are the signs that say nothing of who it may be: everybody is new once, and what somebody buys is asked about when
// they buy it.
var passing = [...]string{"young_account", "young_factor", "new_client", "unusual_amount", "new_payee", "frequent"}

// ofMoment is a question with nothing but the signs of the moment itself.
func ofMoment(question *Question) *Question {
	next := *question
	next.Risk = signal.Result{Score: question.Risk.Score}
	for _, finding := range question.Risk.Findings {
		if slices.Contains(passing[:], finding.Name) {
			next.Risk.Score = max(next.Risk.Score-finding.Points, 0)
			continue
		}
		next.Risk.Findings = append(next.Risk.Findings, finding)
	}
	return &next
}

// strange tells whether a sign says by itself that it may be somebody else.
func strange(finding signal.Finding) bool {
	switch finding.Name {
	case "new_device", "changed_device", "new_country", "impossible_travel", "bad_address", unreadable:
		return true
	}
	return false
}
