package assurance

import (
	"time"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Verdict is what was decided. Deny is the zero value.
type Verdict uint8

// The verdicts.
const (
	Deny   Verdict = iota // refused, whatever else is proved
	StepUp                // something more must be proved first
	Permit
)

// String gives the word that the journal and AuthZEN use.
func (v Verdict) String() string {
	switch v {
	case Permit:
		return "permit"
	case StepUp:
		return "step_up"
	case Deny:
	}
	return "deny"
}

// Question is everything that a decision rests on. It is plain data: the same question under the same policy gets the same
// answer, so that it can be journaled and decided again.
type Question struct {
	Door string // authorize, device, backchannel, token (made of what was decided before), operation

	// With API (as the recipe names it, or its audience) and Operation it is about one operation. Without, about an authorization: then Scope and Details say which
	// operations it would open.
	API       string
	Operation string

	Scope   oauth.Scope // of a call: what the token holds, which the operation's own scope must be among
	Details []Detail
	Client  Client
	User    User // zero: a client for itself

	// Proofs are what a session knows. Held is what a token says, where no session is looked at (the Gate, offline).
	Proofs   []iam.Proved
	Held     *Held
	Answered []iam.Answer
	Since    time.Time // a challenge of this very flow: what was begun from here on is as fresh as is asked (within Patience)

	Risk        signal.Result
	Transaction signal.Transaction
	Place       Place
	Values      map[string]any // what the recipe maps of a request (send), or a caller's context
	Wish        Wish
	Online      bool // Risk, Transaction, Place, User and Values are known; else what needs them answers Decision.Ask
	Now         time.Time
}

// Detail is one of authorization_details.
type Detail struct {
	Type   string         `json:"type"`
	Values map[string]any `json:"values,omitempty"`
}

// Client is who asks.
type Client struct {
	ID    string            `json:"id"`
	Kind  recipe.ClientType `json:"kind"`
	Bound bool              `json:"bound,omitempty"` // it proved a key
}

// User is for whom.
type User struct {
	ID      string    `json:"id"`
	Groups  []string  `json:"groups,omitempty"`
	Factors []string  `json:"factors,omitempty"` // that they could prove: enrolled, and offered by the recipe
	Created time.Time `json:"created,omitzero"`
}

// Place is where a request comes from.
type Place struct {
	Country string `json:"country,omitempty"` // ISO 3166-1; empty: unknown
	Network string `json:"network,omitempty"` // number of the autonomous system, as AS64500; empty: unknown
}

// Held is what a token says of its person.
type Held struct {
	ACR      string
	AuthTime time.Time
}

// Wish is what a client asks for beyond the policy. It can only raise.
type Wish struct {
	ACR       []string      // acr_values: any of them, if one can be reached; never refused
	Essential []string      // values of an essential acr claim: one of them, or nothing
	MaxAge    time.Duration // negative: not asked
}

// Patience is how long what was proved because of a challenge counts as fresh in its own flow, however little is asked.
const Patience = 5 * time.Minute

// Decision is the answer.
type Decision struct {
	Verdict Verdict
	ACR     string        // the level that is needed; empty: none
	Fresh   time.Duration // how long ago it may have been reached; 0: any time
	Bound   bool          // the token must be bound to a key
	Ask     bool          // it can't be told from what is known here: ask the Server (Verdict is Deny)

	// Sets are the sets of factors that would be enough, as password+totp, that this person could prove now, the least to
	// do first; Missing is what is still to be proved of each. Enrol are sets that they could prove after adding a factor.
	Sets    []string
	Missing [][]string
	Enrol   []string

	Claim   Claim      // what a token may truthfully say, when permitted
	Wary    bool       // at the account's door: the moment may be somebody else's
	Cause   iam.Digest // of what raised it; zero: nothing did. An iam.Answer with it ends the challenge
	Rules   []string   // places of the rules that applied, such as apis.accounts.operations.POST /transfers.raise[0]
	Reasons []Reason
}

// Claim is an acr, and when everything that it rests on was proved: the oldest of it.
type Claim struct {
	ACR      string
	AMR      []string
	AuthTime time.Time
}

// Reason is one sentence about a decision.
type Reason struct {
	Code string `json:"code"` // word of the catalogue: level, fresh, wish, rule, denied, signal, unreachable, closed
	Say  string `json:"say"`  // English, for operators and the journal

	// Words are those of a rule that refuses, for people, each in their language; nil of every other reason.
	Words recipe.Words `json:"-"`
}
