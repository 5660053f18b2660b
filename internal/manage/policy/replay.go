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
	Verdict  string             `json:"verdict"`       // permit, step_up, deny
	ACR      string             `json:"acr,omitempty"` // level that was needed
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
	Asked     int      `json:"asked"`   // people who would have been asked for more than they were
	Refused   int      `json:"refused"` // that would have been refused, and were not
	Eased     int      `json:"eased"`   // that would have been asked for less
	Changes   []Change `json:"changes"` // the newest first, at most as many as were wanted
	People    int      `json:"people"`  // whom a change touches
}

// Replay decides again under policy. A question about an operation that policy does not have is refused there, as the Gate
// would. Of the changes it keeps the newest most.
func Replay(policy *assurance.Policy, made []Made, most int) Replayed {
	all := Replayed{Decisions: len(made), Changes: []Change{}}
	touched := map[string]bool{}
	for _, one := range made {
		question := one.Question
		told := Tell(policy, policy.Decide(&question))
		was, now := severity(one.Verdict), severity(told.Verdict)
		stricter, eased := now > was, now < was
		if now == was {
			stricter, eased = higher(policy, told.ACR, one.ACR), higher(policy, one.ACR, told.ACR)
		}
		if !stricter && !eased {
			all.Same++
			continue
		}
		switch {
		case eased:
			all.Eased++
		case told.Verdict == assurance.Deny.String():
			all.Refused++
		default:
			all.Asked++
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
