package assurance

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/gardeauth/garde/internal/iam"
)

// cause names what raised a decision: the rules, what they asked about, and the signs that they read, but neither how many
// points these have nor when it was. A person who authenticates because of it has answered exactly this.
func (j *judging) cause() iam.Digest {
	q, sum := j.question, make([]byte, 0, 1024)
	for _, r := range j.causes {
		sum = note(sum, r.say)
	}
	sum = note(sum, "about", q.User.ID, q.API, q.Operation)
	if q.Operation == "" {
		scopes := slices.Clone(q.Scope)
		slices.Sort(scopes)
		sum = note(sum, scopes...)
		sum = noteJSON(sum, q.Details)
	}
	paid := &q.Transaction
	sum = note(sum, "paid", strconv.FormatInt(paid.Amount, 10), strconv.FormatBool(paid.Priced), paid.Currency, paid.Payee)
	sum = note(sum, "from", q.Place.Country)
	return sha256.Sum256(j.noteReads(sum))
}

// noteReads notes what the rules read that is not part of every cause.
func (j *judging) noteReads(sum []byte) []byte {
	q := j.question
	var signs []string
	values, network, client := false, false, false
	for i := range q.Risk.Findings {
		finding := &q.Risk.Findings[i]
		if slices.ContainsFunc(j.causes, func(r *rule) bool { return r.reads.about(finding) }) {
			signs = append(signs, finding.Name)
			client = client || finding.Name == "new_client"
		}
	}
	slices.Sort(signs)
	sum = note(sum, "signs")
	sum = note(sum, slices.Compact(signs)...)
	for _, r := range j.causes {
		values, network, client = values || r.reads.values, network || r.reads.network, client || r.reads.client
	}
	if values {
		sum = noteJSON(sum, q.Values)
	}
	if network {
		sum = note(sum, "network", q.Place.Network)
	}
	if client {
		sum = note(sum, "client", q.Client.ID)
	}
	return sum
}

// note writes texts so that no two lists look the same.
func note(sum []byte, texts ...string) []byte {
	for _, text := range texts {
		sum = binary.BigEndian.AppendUint32(sum, uint32(len(text))) //nolint:gosec // requests are shorter by far
		sum = append(sum, text...)
	}
	return sum
}

func noteJSON(sum []byte, value any) []byte {
	text, err := json.Marshal(value) // members in the order of their names
	if err != nil {
		text = []byte(err.Error()) // of a value that no request can hold
	}
	return note(sum, string(text))
}

// answered tells whether an authentication answered the cause, at a level that is enough for what it asks.
func (j *judging) answered() bool {
	return slices.ContainsFunc(j.question.Answered, func(answer iam.Answer) bool {
		reached := j.rungOf(answer.ACR)
		return answer.Cause.Equal(j.decision.Cause) && reached < len(j.Ladder) && reached >= max(j.raised.rung, j.base.rung, 0)
	})
}
