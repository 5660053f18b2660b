package assurance

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/recipe"
)

// OperationInfo is what an operation asks of its callers, before any rule.
type OperationInfo struct {
	API      string // as the recipe names it
	Audience string // its address
	Name     string // as POST /transfers
	Open     string // why anyone may call it; empty: it is guarded
	For      []recipe.Caller
	Scope    string
	Level    string        // the recipe's word; empty: none
	ACR      string        // what tokens carry of that level
	Fresh    time.Duration // 0: any time
	Bound    bool          // its token must be bound to a key
	Details  string        // type of the detail that its token must carry, and that serves once; empty: none
	Rules    int           // its own, and those for every operation
	Online   bool          // some of them read what only the Server knows
}

// OperationOf finds an operation by its API, as the recipe names it or by its audience, and its own name.
func (p *Policy) OperationOf(api, name string) (OperationInfo, bool) {
	if p == nil {
		return OperationInfo{}, false
	}
	one, known := p.operations[key{api, name}]
	if !known {
		return OperationInfo{}, false
	}
	return p.info(one), true
}

// Operations lists the operations of an API, as the recipe names it or by its audience, by name.
func (p *Policy) Operations(api string) []OperationInfo {
	if p == nil {
		return nil
	}
	var all []OperationInfo
	for at, one := range p.operations {
		if at.api == api {
			all = append(all, p.info(one))
		}
	}
	slices.SortFunc(all, func(a, b OperationInfo) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (p *Policy) info(one *operation) OperationInfo {
	info := OperationInfo{
		API: one.api, Audience: one.audience, Name: one.name, Open: one.open, Scope: one.scope, Fresh: one.fresh, Bound: one.bound, Details: one.details,
	}
	if one.open == "" {
		info.Rules, info.Online = len(one.rules)+len(p.rules), p.NeedsOnline(one.api, one.name)
	}
	if one.users {
		info.For = append(info.For, recipe.ForUser)
	}
	if one.clients {
		info.For = append(info.For, recipe.ForClient)
	}
	if one.rung >= 0 && one.rung < len(p.Ladder) {
		info.Level, info.ACR = p.Ladder[one.rung].Name, p.Ladder[one.rung].ACR
	}
	return info
}

// NeedsOnline tells whether a rule of an operation, or one for every operation, reads what only the Server knows: signals,
// groups, places, amounts and values of the request.
func (p *Policy) NeedsOnline(api, operation string) bool {
	if p == nil {
		return false
	}
	one, known := p.operations[key{api, operation}]
	online := func(r *rule) bool { return r.reads.online }
	return known && one.open == "" && (slices.ContainsFunc(one.rules, online) || slices.ContainsFunc(p.rules, online))
}

// Counts tells whether each call of an operation counts: it pays something, or serves once. A permit for one says nothing of the
// next, which may be one too many.
func (p *Policy) Counts(api, operation string) bool {
	if p == nil {
		return false
	}
	one, known := p.operations[key{api, operation}]
	return known && one.counts
}

// Counting tells it of an operation of the recipe.
func Counting(from recipe.Operation) bool {
	_, priced := from.Send[SentAmount]
	_, paid := from.Send[SentPayee]
	return from.Details != "" || priced || paid
}

// What mapped values of a request are called that say what it pays.
const (
	SentAmount   = "amount"
	SentCurrency = "currency"
	SentPayee    = "payee"
)

// ReadsRisk tells whether any rule reads signs of risk.
func (p *Policy) ReadsRisk() bool {
	if p == nil {
		return false
	}
	reads := func(r *rule) bool { return r.reads.risk }
	if slices.ContainsFunc(p.rules, reads) {
		return true
	}
	for _, one := range p.operations {
		if slices.ContainsFunc(one.rules, reads) {
			return true
		}
	}
	return false
}

// Wary is the acr of the highest level that is behind a rule which reads signs of risk: what the rule raises to, or what its
// operation asks for anyway; "" if no such rule asks for any. Whoever reached it can't use the signs to get further.
func (p *Policy) Wary() string {
	if p == nil {
		return ""
	}
	highest := none
	look := func(rules []*rule, base int) {
		for _, r := range rules {
			if r.reads.risk {
				highest = max(highest, r.rung, base)
			}
		}
	}
	look(p.rules, none)
	for _, one := range p.operations {
		look(one.rules, one.rung)
	}
	if highest < 0 || highest >= len(p.Ladder) {
		return ""
	}
	return p.Ladder[highest].ACR
}

// Mapped gives what an operation sends of a request, and what of it must equal members of its detail: names to places of
// values in the request.
func (p *Policy) Mapped(api, operation string) (send, match map[string]string) {
	if p == nil {
		return nil, nil
	}
	one, known := p.operations[key{api, operation}]
	if !known {
		return nil, nil
	}
	return maps.Clone(one.send), maps.Clone(one.match)
}

// TransactionOf reads what a detail pays, by the members that its type names. What is not there, or no amount in whole minor
// units, is not known.
func (p *Policy) TransactionOf(detail Detail) signal.Transaction {
	kind, known := p.Detail(detail.Type)
	if !known {
		return signal.Transaction{}
	}
	var paid signal.Transaction
	if value, there := memberOf(detail.Values, kind.Amount); there && kind.Amount != "" {
		paid.Amount, paid.Priced = whole(value)
	}
	paid.Currency, paid.Payee = textOf(detail.Values, kind.Currency), textOf(detail.Values, kind.Payee)
	return paid
}

func textOf(values map[string]any, path string) string {
	value, _ := memberOf(values, path)
	text, _ := value.(string)
	return text
}

// whole reads a whole number that JSON wrote.
func whole(value any) (int64, bool) {
	switch number := value.(type) {
	case int64:
		return number, true
	case int:
		return int64(number), true
	case json.Number:
		n, err := number.Int64()
		return n, err == nil
	case float64: // beyond it, neighbours share a value
		if number == math.Trunc(number) && math.Abs(number) < 1<<53 {
			return int64(number), true
		}
	}
	return 0, false
}

// valuesOf are what rules of an operation know of a request that was not made yet: what its details say in its place. What
// two details do not agree on is not known.
func (o *operation) valuesOf(details []Detail) map[string]any {
	values, torn := map[string]any{}, map[string]bool{}
	for name, place := range o.send {
		for member, at := range o.match {
			for i := range details {
				value, said := memberOf(details[i].Values, member)
				if at != place || details[i].Type != o.details {
					continue
				}
				before, twice := values[name]
				torn[name] = torn[name] || !said || twice && !reflect.DeepEqual(before, value)
				values[name] = value
			}
		}
	}
	maps.DeleteFunc(values, func(name string, _ any) bool { return torn[name] })
	return values
}

// memberOf follows a path such as transfer.amount.
func memberOf(values map[string]any, path string) (any, bool) {
	head, rest, deep := strings.Cut(path, ".")
	value, there := values[head]
	if !deep || !there {
		return value, there
	}
	inner, _ := value.(map[string]any)
	return memberOf(inner, rest)
}
