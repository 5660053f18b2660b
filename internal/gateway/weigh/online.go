package weigh

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// kept is an answer that serves again for a while.
type kept struct {
	answer Answer
	until  time.Time
}

// Online asks the Server, unless it has said so a moment ago, of this very token and these very values, that its answer
// serves again. An error means that nobody knows.
func (o *Operation) Online(ctx context.Context, server Decider, caller Caller, values Values) (Answer, error) {
	question := o.Question(caller, values)
	raw, err := json.Marshal(question)
	if err != nil {
		return Answer{}, err
	}
	key := iam.Digest(sha256.Sum256(append(append([]byte(caller.Claims.ID), 0), raw...)))
	if caller.Claims.ID != "" {
		if known, ok := o.book.answers.GetIfPresent(key); ok && caller.Now.Before(known.until) {
			return known.answer, nil
		}
	}
	said, err := server.Evaluate(ctx, question)
	if err != nil {
		return Answer{}, err
	}
	answer := heard(said)
	if said.Context == nil || said.Context.Lifetime <= 0 || caller.Claims.ID == "" || answer.Say != "" { // words are in a language
		return answer, nil
	}
	until := caller.Now.Add(min(time.Duration(min(said.Context.Lifetime, 3600))*time.Second, MaxLifetime))
	if dies := time.Unix(int64(caller.Claims.Expires), 0); dies.Before(until) {
		until = dies
	}
	o.book.answers.Set(key, kept{answer, until})
	return answer, nil
}
