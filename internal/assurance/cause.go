package assurance

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"
	"slices"
	"strconv"

	"github.com/gardeauth/garde/internal/iam"
)

// cause names what raised a decision: the rules, what they asked about, and the signs that they read, but neither how many
// points these have nor when it was. A person who authenticates because of it has answered exactly this.
func (j *judging) cause() iam.Digest {
	q, sum := j.question, sha256.New()
	for _, r := range j.causes {
		note(sum, r.say)
	}
	note(sum, "about", q.User.ID, q.API, q.Operation)
	if q.Operation == "" {
		scopes := slices.Clone(q.Scope)
		slices.Sort(scopes)
		note(sum, scopes...)
		noteJSON(sum, q.Details)
	}
	paid := &q.Transaction
	note(sum, "paid", strconv.FormatInt(paid.Amount, 10), strconv.FormatBool(paid.Priced), paid.Currency, paid.Payee)
	note(sum, "from", q.Place.Country)
	j.noteReads(sum)
	var digest iam.Digest
	sum.Sum(digest[:0])
	return digest
}

// noteReads notes what the rules read that is not part of every cause.
func (j *judging) noteReads(sum hash.Hash) {
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
	note(sum, "signs")
	note(sum, slices.Compact(signs)...)
	for _, r := range j.causes {
		values, network, client = values || r.reads.values, network || r.reads.network, client || r.reads.client
	}
	if values {
		noteJSON(sum, q.Values)
	}
	if network {
		note(sum, "network", q.Place.Network)
	}
	if client {
		note(sum, "client", q.Client.ID)
	}
}

// note writes texts so that no two lists look the same.
func note(sum hash.Hash, texts ...string) {
	var length [4]byte
	for _, text := range texts {
		binary.BigEndian.PutUint32(length[:], uint32(len(text))) //nolint:gosec // requests are shorter by far
		sum.Write(length[:])
		sum.Write([]byte(text))
	}
}

func noteJSON(sum hash.Hash, value any) {
	text, err := json.Marshal(value) // members in the order of their names
	if err != nil {
		text = []byte(err.Error()) // of a value that no request can hold
	}
	note(sum, string(text))
}

// answered tells whether an authentication answered the cause, at a level that is enough for what it asks.
func (j *judging) answered() bool {
	return slices.ContainsFunc(j.question.Answered, func(answer iam.Answer) bool {
		reached := j.rungOf(answer.ACR)
		return answer.Cause.Equal(j.decision.Cause) && reached < len(j.Ladder) && reached >= max(j.raised.rung, j.base.rung, 0)
	})
}
