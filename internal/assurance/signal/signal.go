// Package signal judges the risk of a moment: each signal is a pure function over facts that the Server keeps, and gives
// points and a sentence. It knows no clock, no storage and no policy. What could not be found out raises, and never lowers.
package signal

// Finding is one signal that spoke.
type Finding struct {
	Name   string `json:"name"` // as the recipe and CEL know it: risk.NAME
	Points int    `json:"points"`
	Say    string `json:"say"` // one English sentence, for operators and the journal
}

// Result is what all signals found.
type Result struct {
	Score    int       `json:"score"` // sum of the points, at most 100
	Findings []Finding `json:"findings,omitempty"`
	Silent   []string  `json:"silent,omitempty"` // names of those that would have spoken, and have no points: nothing rests on them
}

// MaxScore is the highest score.
const MaxScore = 100

// Has tells whether the signal of that name spoke.
func (r Result) Has(name string) bool {
	for i := range r.Findings {
		if r.Findings[i].Name == name {
			return true
		}
	}
	return false
}

// Transaction is what is asked for, as far as the request says: a detail's members, or mapped values of a request.
type Transaction struct {
	Amount   int64  `json:"amount"` // minor units
	Priced   bool   `json:"priced"` // Amount is known
	Currency string `json:"currency,omitempty"`
	Payee    string `json:"payee,omitempty"`
}
