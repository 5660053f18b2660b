package decide

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
)

// Unsure is the error of what was not permitted.
type Unsure struct {
	Decision assurance.Decision
	Stale    bool // the level was reached, but too long ago
}

func (u *Unsure) Error() string {
	for _, reason := range u.Decision.Reasons {
		return u.Decision.Verdict.String() + ": " + reason.Say
	}
	return u.Decision.Verdict.String()
}

// Sure is Authorization for doors that go on with a permit alone: it gives what a token may say of the person. Its error is
// *Unsure, iam.ErrRevoked when they no longer stand, or a fault of ours.
func (d *Desk) Sure(ctx context.Context, ask Ask) (assurance.Claim, error) {
	decision, err := d.Authorization(ctx, ask)
	switch {
	case err != nil:
		return assurance.Claim{}, err
	case decision.Verdict == assurance.Permit:
		return decision.Claim, nil
	}
	have := ask.Session.ACR
	if ask.Held != nil {
		have = ask.Held.ACR
	}
	return assurance.Claim{}, &Unsure{decision, d.Policy().Ladder.Satisfied(decision.ACR, have)}
}

// Guess is Sure by what a caller holds in its hand: see Offline. What it permits is in the journal soon after, alone or
// counted with those like it (decision 0018).
func (d *Desk) Guess(ctx context.Context, ask Ask) (assurance.Claim, bool) {
	decision := d.Offline(ask)
	if decision.Verdict != assurance.Permit {
		return assurance.Claim{}, false
	}
	question, err := d.question(ask)
	if err != nil {
		return assurance.Claim{}, false
	}
	question.User.ID = ask.Session.User
	made := record{question: question, decision: decision, session: ask.Session.ID, address: ask.Address, reached: reached(ask), revision: d.revision()}
	return decision.Claim, d.recordGuess(ctx, made) == nil
}

// Level is the level that an ask needs and does not reach, as far as that can be told without the facts; empty: none.
func (d *Desk) Level(ask Ask) string {
	decision, have := d.Offline(ask), ask.Session.ACR
	if ask.Held != nil {
		have = ask.Held.ACR
	}
	if decision.Verdict == assurance.Permit || decision.ACR == "" || d.Policy().Ladder.Satisfied(decision.ACR, have) {
		return ""
	}
	return decision.ACR
}

// Hold makes what a token says of the person count, and no session.
func (a *Ask) Hold(acr string, authTime time.Time) {
	a.Held = &assurance.Held{ACR: acr, AuthTime: authTime}
}

// Since is from when on a proof answers a transaction, so that what was proved for it is fresh however little is asked:
// from its challenge, or from its beginning, if the person has signed in within it. Zero: nothing was proved for it.
func Since(flow iam.Flow, signedIn bool) time.Time {
	switch {
	case flow.Need != nil:
		return flow.Need.Since
	case signedIn:
		return flow.Created
	}
	return time.Time{}
}

// Denied tells whether a rule refuses: nothing that could be proved helps.
func (u *Unsure) Denied() bool {
	return u.Decision.Verdict == assurance.Deny && slices.ContainsFunc(u.Decision.Reasons, func(reason assurance.Reason) bool {
		return reason.Code == assurance.ReasonDenied
	})
}

// Able tells whether the person can do something about it.
func (u *Unsure) Able() bool {
	return u.Decision.Verdict == assurance.StepUp && len(u.Decision.Sets)+len(u.Decision.Enrol) > 0
}

// Why are the company's words to the person, each once, by language.
func (u *Unsure) Why() []map[string]string {
	var why []map[string]string
	for _, reason := range u.Decision.Reasons {
		said := func(words map[string]string) bool { return maps.Equal(words, reason.Words) }
		if reason.Code == assurance.ReasonDenied && len(reason.Words) > 0 && !slices.ContainsFunc(why, said) {
			why = append(why, reason.Words)
		}
	}
	return why
}

// Need is what the login is to ask of them. before is what this transaction asked last: a page that is loaded again moves
// nothing, and what was begun since the first challenge still answers it.
func (u *Unsure) Need(before *iam.Need, now time.Time) *iam.Need {
	made := u.Decision
	need := &iam.Need{ACR: made.ACR, Fresh: made.Fresh, Sets: made.Sets, Since: now, Cause: made.Cause}
	if len(need.Sets) == 0 {
		need.Sets, need.Enrol = made.Enrol, true
	}
	for _, reason := range made.Reasons {
		if !slices.Contains(need.Reasons, reason.Code) {
			need.Reasons = append(need.Reasons, reason.Code)
		}
	}
	if before != nil && before.Cause == need.Cause && before.ACR == need.ACR {
		need.Since = before.Since
	}
	return need
}
