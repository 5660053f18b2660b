package assurance

import (
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// unreadable is the finding of a moment of which nothing could be found out: rules then know no signal.
const unreadable = "unreachable"

// facts are what rules read of one question, by name. It makes no map: it is asked for what a rule names.
type facts struct {
	policy    *Policy
	question  *Question
	operation *operation // nil: an authorization
	values    map[string]any
	blind     bool // the signals could not be found out
}

// pool keeps facts from being made anew for each decision.
var pool = sync.Pool{New: func() any { return new(facts) }}

func gathered(p *Policy, q *Question, o *operation) *facts {
	known := pool.Get().(*facts) //nolint:forcetypeassert // the pool makes nothing else
	*known = facts{policy: p, question: q, operation: o, values: q.Values, blind: q.Risk.Has(unreadable)}
	return known
}

func (f *facts) release() {
	*f = facts{}
	pool.Put(f)
}

// Parent is of the contract of activations.
func (f *facts) Parent() cel.Activation { return nil }

// ResolveName gives a fact. What is not known has no value, so that what rests on it can't be told.
func (f *facts) ResolveName(name string) (any, bool) {
	q := f.question
	switch name {
	case "api":
		if f.operation != nil {
			return types.String(f.operation.api), true
		}
		return types.String(q.API), true
	case "operation":
		if f.operation != nil {
			return types.String(f.operation.name), true
		}
		return types.String(q.Operation), true
	case "scopes":
		return []string(q.Scope), true
	case "door":
		return types.String(q.Door), true
	case "now":
		return types.Timestamp{Time: q.Now}, true
	case "client.id":
		return types.String(q.Client.ID), true
	case "client.kind":
		return types.String(q.Client.Kind), q.Client.Kind != ""
	case "client.bound":
		return types.Bool(q.Client.Bound), true
	case "user.id":
		return types.String(q.User.ID), true
	case "token.acr", "token.age":
		return f.token(name)
	case "user.groups":
		// A token says nothing of them, and where tokens are made the person has just been read.
		return q.User.Groups, q.Online || q.Door == doorToken
	}
	if !q.Online {
		return nil, false
	}
	return f.online(name)
}

// online are the facts that only the Server knows.
func (f *facts) online(name string) (any, bool) {
	q, paid := f.question, &f.question.Transaction
	switch name {
	case varScore:
		return types.Int(q.Risk.Score), true
	case "amount":
		return types.Int(paid.Amount), paid.Priced
	case "currency":
		return types.String(paid.Currency), paid.Currency != ""
	case "payee":
		return types.String(paid.Payee), paid.Payee != ""
	case "known.amount":
		return types.Bool(paid.Priced), true
	case "known.payee":
		return types.Bool(paid.Payee != ""), true
	case "place.country":
		return types.String(q.Place.Country), q.Place.Country != ""
	case varNetwork:
		return types.String(q.Place.Network), q.Place.Network != ""
	case "known.country":
		return types.Bool(q.Place.Country != ""), true
	case "known.network":
		return types.Bool(q.Place.Network != ""), true
	case "values":
		return f.values, f.values != nil
	}
	if len(name) > len(varRisk) && name[:len(varRisk)] == varRisk {
		return types.Bool(q.Risk.Has(name[len(varRisk):])), !f.blind
	}
	return nil, false
}

// token is what a token says, or could say of a session.
func (f *facts) token(name string) (any, bool) {
	q := f.question
	held := Held{}
	if q.Held != nil {
		held = *q.Held
	} else if height, by, at := f.policy.reach(0, q.Proofs, age{now: q.Now}); by != nil {
		held = Held{f.policy.Ladder[height].ACR, at}
	}
	if name == "token.acr" {
		return types.String(held.ACR), true
	}
	if held.AuthTime.IsZero() {
		return nil, false
	}
	return types.Int(q.Now.Sub(held.AuthTime) / time.Second), true
}
