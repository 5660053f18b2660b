package policy

import (
	"strings"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/recipe"
)

// Told is a decision in the recipe's words.
type Told struct {
	Verdict string             `json:"verdict"`
	Level   string             `json:"level,omitempty"`
	ACR     string             `json:"acr,omitempty"`
	Fresh   string             `json:"fresh,omitempty"`
	Bound   bool               `json:"bound,omitempty"`
	Sets    []string           `json:"sets,omitempty"`    // each of which would be enough
	Missing []string           `json:"missing,omitempty"` // what is still to be proved of each
	Enrol   []string           `json:"enrol,omitempty"`
	Rules   []string           `json:"rules,omitempty"`
	Reasons []assurance.Reason `json:"reasons,omitempty"`
}

// Tell tells a decision.
func Tell(policy *assurance.Policy, decision assurance.Decision) Told {
	told := Told{
		Verdict: decision.Verdict.String(), ACR: decision.ACR, Bound: decision.Bound, Sets: decision.Sets, Enrol: decision.Enrol,
		Rules: decision.Rules, Reasons: decision.Reasons,
	}
	if rung, known := policy.Ladder.WithACR(decision.ACR); known {
		told.Level = rung.Name
	}
	if decision.Fresh > 0 {
		told.Fresh = recipe.Duration(decision.Fresh).String()
	}
	for _, missing := range decision.Missing {
		told.Missing = append(told.Missing, strings.Join(missing, "+"))
	}
	return told
}
