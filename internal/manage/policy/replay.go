package policy

import (
	"cmp"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
)

// Made is a decision that was made, as the journal tells of it.
type Made struct {
	At       time.Time          `json:"at"`
	Trace    string             `json:"trace,omitempty"`
	User     string             `json:"user,omitempty"`
	Verdict  string             `json:"verdict"`         // permit, step_up, deny
	ACR      string             `json:"acr,omitempty"`   // level that was needed
	Times    int                `json:"times,omitempty"` // how many alike the entry stands for; 0 is one
	Whole    bool               `json:"-"`               // every sign of risk that spoke is known: other points can be counted
	Question assurance.Question `json:"-"`
}

// Change is a decision that another recipe would have made differently.
type Change struct {
	Made
	Client    string `json:"client,omitempty"`
	API       string `json:"api,omitempty"`
	Operation string `json:"operation,omitempty"`
	Now       Told   `json:"now"`
}

// Replayed is what another recipe would have made of the decisions of some days.
type Replayed struct {
	Decisions int      `json:"decisions"`
	Same      int      `json:"same"`
	Asked     int      `json:"asked"`               // people who would have been asked for more than they were
	Refused   int      `json:"refused"`             // that would have been refused, and were not
	Eased     int      `json:"eased"`               // that would have been asked for less
	Unweighed int      `json:"unweighed,omitempty"` // of which too little is known: signs of risk that had no points then, and that policy's rules read. They are in none of the other numbers
	Supposed  int      `json:"supposed,omitempty"`  // permits that would have been challenges, of which nobody knows what the person could prove: it is supposed that they could
	Changes   []Change `json:"changes"`             // the newest first, at most as many as were wanted
	People    int      `json:"people"`              // whom a change touches
}

// Replay decides again under policy. A question about an operation that policy does not have is refused there, as the Gate
// would. The signs of risk are counted under policy's points, as if they had been judged by it; only the list of bad networks
// and the time after which habits are forgotten are those of then. Of the changes it keeps the newest most.
func Replay(policy *assurance.Policy, made []Made, most int) Replayed {
	all := Replayed{Changes: []Change{}}
	touched := map[string]bool{}
	for _, one := range made {
		times := max(one.Times, 1)
		question := one.Question
		if policy.ReadsRisk() && !one.Whole {
			all.Unweighed += times
			continue
		}
		all.Decisions += times
		question.Risk = question.Risk.Recount(policy.Recipe.Risk.Points)
		told := Tell(policy, policy.Decide(&question))
		if one.Verdict == assurance.Permit.String() && told.Verdict != one.Verdict && len(question.User.Factors) == 0 && question.User.ID != "" {
			question.User.Factors = policy.Recipe.SignIn.Offered()
			if told = Tell(policy, policy.Decide(&question)); told.Verdict == assurance.StepUp.String() {
				all.Supposed += times
			}
		}
		was, now := severity(one.Verdict), severity(told.Verdict)
		stricter, eased := now > was, now < was
		if now == was {
			stricter, eased = higher(policy, told.ACR, one.ACR), higher(policy, one.ACR, told.ACR)
		}
		if !stricter && !eased {
			all.Same += times
			continue
		}
		switch {
		case eased:
			all.Eased += times
		case told.Verdict == assurance.Deny.String():
			all.Refused += times
		default:
			all.Asked += times
		}
		touched[one.User] = true
		all.Changes = append(all.Changes, Change{one, question.Client.ID, question.API, question.Operation, told})
	}
	delete(touched, "")
	all.People = len(touched)
	slices.SortStableFunc(all.Changes, func(a, b Change) int { return cmp.Compare(b.At.UnixMicro(), a.At.UnixMicro()) })
	all.Changes = all.Changes[:min(len(all.Changes), max(most, 0))]
	return all
}

// severity orders the verdicts: what is unknown counts as a refusal.
func severity(verdict string) int {
	switch verdict {
	case assurance.Permit.String():
		return 0
	case assurance.StepUp.String():
		return 1
	}
	return 2
}

// higher tells whether the acr a stands above the acr b on the ladder. What is not on it stands below all.
func higher(policy *assurance.Policy, a, b string) bool {
	_, known := policy.Ladder.WithACR(a)
	return known && !policy.Ladder.Satisfied(a, b)
}
