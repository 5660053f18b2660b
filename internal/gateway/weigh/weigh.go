// Package weigh holds a request against what its operation asks beyond a good token: the rules of the recipe, as far as
// the token alone can tell, the detail that the request must equal, and the name of its one use. Where the token can't
// tell, it says what to ask the Server. It sends nothing, reads no connection and knows no header but those of a body.
package weigh

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/authzen"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/recipe"
)

// Decider is asked where the token alone can't tell. An error means that nobody knows, and the request is refused.
type Decider interface {
	Evaluate(ctx context.Context, question authzen.Evaluation) (authzen.Decision, error)
}

// Uses is the memory, shared by all Gates, of the details that were used.
type Uses interface {
	// ReserveUse tells whether it is the first use: of many callers at once one is. After an error it is not known.
	ReserveUse(ctx context.Context, use iam.Use) (bool, error)
	// ReleaseUse makes a use that was the first free again, because nothing was done with it.
	ReleaseUse(ctx context.Context, key iam.Digest) error
}

// MaxLifetime is the longest time that an answer of the Server serves again, whatever it says itself.
const MaxLifetime = time.Minute

const (
	remembered = 10_000           // answers of the Server
	maxAge     = 10 * 365 * 86400 // seconds: more than any sign-in is old
)

// Book holds what the operations of one recipe ask beyond a good token. It is safe for concurrent use and never changed,
// but for the answers that it remembers. Its zero value asks for nothing.
type Book struct {
	operations map[name]*Operation
	answers    *otter.Cache[iam.Digest, kept]
}

type name struct{ api, operation string }

// Operation is what one operation asks beyond a good token.
type Operation struct {
	Detail string // type of authorization_details that the token must carry for exactly this request; "": none
	Rules  bool   // rules may ask for more than the operation itself, or the Server must hear of each call

	always bool // what the token tells never permits: a rule reads what the Server knows, or each call counts

	api, operation string // audience and name
	policy         *assurance.Policy
	plain          map[string]recipe.ClientType // clients of which all is known here: their kind, and the person's own id
	match, send    []pair
	named          []string // members of the detail by which its use is known, of all operations that take it
	params         []recipe.Segment
	book           *Book
}

// pair is a name and the place of its value in a request.
type pair struct {
	name  string
	place place
}

// Compile makes the book of a checked recipe.
func Compile(r *recipe.Recipe, issuer string) (*Book, error) {
	book := &Book{operations: map[name]*Operation{}}
	var policy *assurance.Policy
	var plain map[string]recipe.ClientType
	for _, api := range slices.Sorted(maps.Keys(r.APIs)) {
		for _, key := range slices.Sorted(maps.Keys(r.APIs[api].Operations)) {
			from := r.APIs[api].Operations[key]
			counts, rules := assurance.Counting(from), len(r.Raise) > 0 || len(from.Raise) > 0
			if from.Open != "" || !rules && !counts {
				continue
			}
			if policy == nil { // rules are compiled only where there are some
				policy, plain = assurance.Compile(r, 0, issuer), plainClients(r)
			}
			asks, err := operation(from, key)
			if err != nil {
				return nil, fmt.Errorf("apis.%s.operations[%s]: %w", api, key, err)
			}
			asks.always = counts || policy.NeedsOnline(api, key)
			asks.Rules = rules || counts
			asks.api, asks.operation, asks.policy, asks.plain, asks.book = r.APIs[api].At, key, policy, plain, book
			asks.named = compared(r.APIs[api], from.Details)
			book.operations[name{api, key}] = asks
		}
	}
	if len(book.operations) == 0 {
		return &Book{}, nil
	}
	var err error
	book.answers, err = otter.New(&otter.Options[iam.Digest, kept]{MaximumSize: remembered})
	return book, err
}

// plainClients leaves those out whose tokens name a person by a name of their own: rules know the person by the id.
func plainClients(r *recipe.Recipe) map[string]recipe.ClientType {
	plain := make(map[string]recipe.ClientType, len(r.Clients))
	for id, client := range r.Clients {
		if client.SubjectType != "pairwise" {
			plain[id] = client.Type
		}
	}
	return plain
}

// compared are the members of a type of detail that any operation of its API compares: a detail that two of them take, each
// by other members, is still one.
func compared(api recipe.API, detail string) []string {
	members := map[string]bool{}
	for _, each := range api.Operations {
		for member := range each.Match {
			if detail != "" && each.Details == detail {
				members[member] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(members))
}

func operation(from recipe.Operation, key string) (*Operation, error) {
	asks := &Operation{Detail: from.Details}
	pattern, err := recipe.ParsePattern(key)
	if err != nil {
		return nil, err
	}
	asks.params = pattern.Segments
	for _, list := range []struct {
		from map[string]string
		to   *[]pair
	}{{from.Match, &asks.match}, {from.Send, &asks.send}} {
		for _, each := range slices.Sorted(maps.Keys(list.from)) {
			at, err := placeOf(list.from[each], pattern)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", each, err)
			}
			*list.to = append(*list.to, pair{each, at})
		}
	}
	if asks.Detail != "" && len(asks.match) == 0 {
		return nil, fmt.Errorf("a detail of type %s would do for every request: match is missing", asks.Detail)
	}
	return asks, nil
}

// Operation gives what an operation asks, by the names of API and operation; nil: nothing.
func (b *Book) Operation(api, operation string) *Operation {
	if b == nil || len(b.operations) == 0 {
		return nil
	}
	return b.operations[name{api, operation}]
}

// Asks tells whether any operation has rules, and whether any serves only once.
func (b *Book) Asks() (rules, once bool) {
	for _, each := range b.operations {
		rules, once = rules || each.Rules, once || each.Detail != ""
	}
	return rules, once
}

// Caller is who calls, as far as the Gate knows.
type Caller struct {
	Claims  verify.Claims
	Person  bool // a person stands behind the token
	Address netip.Addr
	Now     time.Time

	Languages []string // that the caller reads, best first; none: English
}

// Answer is what was decided about a request. Its zero value refuses.
type Answer struct {
	Verdict assurance.Verdict
	Ask     bool          // it can't be told here: ask the Server (Verdict is Deny)
	ACR     []string      // with StepUp: the levels that would do
	MaxAge  time.Duration // with StepUp: how long ago it may have been reached; negative: any time
	Say     string        // what people may read of a refusal; "": nothing
	Trace   string        // under which the Server knows more; "": it was not asked
}

// Permits tells whether the request may go on.
func (a Answer) Permits() bool { return a.Verdict == assurance.Permit }

// StepUp tells whether it may after another sign-in.
func (a Answer) StepUp() bool { return a.Verdict == assurance.StepUp }

// Use is one use of a detail.
type Use = iam.Use

// Offline decides by what the token says. An answer that permits is one that the Server would give too. Of what the Server
// must know, since it pays something, serves once, or a rule weighs it by what is usual, a permit is never told here, however
// strong the token is: it would be in no journal, and nobody would learn from it.
func (o *Operation) Offline(caller Caller) Answer {
	kind, plain := o.plain[caller.Claims.ClientID]
	if !plain { // its kind, or who the person is, is known to the Server alone, and rules may speak of it
		return Answer{Ask: true, MaxAge: -1}
	}
	question := assurance.Question{
		Door: "operation", API: o.api, Operation: o.operation, Scope: caller.Claims.Scope,
		Client: assurance.Client{ID: caller.Claims.ClientID, Kind: kind, Bound: caller.Claims.Confirmation.Bound()},
		Wish:   assurance.Wish{MaxAge: -1}, Now: caller.Now,
	}
	if caller.Person {
		question.User.ID = caller.Claims.Subject
		question.Held = &assurance.Held{ACR: caller.Claims.ACR, AuthTime: time.Unix(int64(caller.Claims.AuthTime), 0)}
	}
	decision := o.policy.Decide(&question)
	answer := answerOf(decision, caller.Languages)
	if answer.Permits() && o.always {
		return Answer{Ask: true, MaxAge: -1}
	}
	return answer
}

func answerOf(decision assurance.Decision, languages []string) Answer {
	answer := Answer{Verdict: decision.Verdict, Ask: decision.Ask, MaxAge: -1}
	switch {
	case decision.Ask:
		answer.Verdict = assurance.Deny
	case decision.Verdict == assurance.StepUp:
		if decision.ACR != "" {
			answer.ACR = []string{decision.ACR}
		}
		if decision.Fresh > 0 {
			answer.MaxAge = decision.Fresh
		}
	}
	for _, reason := range decision.Reasons {
		answer.hear(reason.Code, reason.Words.In(languages...))
	}
	return answer
}

// hear keeps what a rule says to people when it refuses; all other sentences are for operators.
func (a *Answer) hear(code, say string) {
	if code == assurance.ReasonDenied && a.Say == "" {
		a.Say = say
	}
}

// Question is what the Server is asked: what the token says, and of the request only what the recipe maps.
func (o *Operation) Question(caller Caller, values Values) authzen.Evaluation {
	claims, kind := caller.Claims, "client"
	said := map[string]any{"client_id": claims.ClientID, "scope": claims.Scope.String(), "bound": claims.Confirmation.Bound()}
	if caller.Person {
		kind = "user"
		said["auth_time"] = int64(claims.AuthTime)
	}
	for name, value := range map[string]string{"sid": claims.SessionID, "grant_id": claims.Grant, "acr": claims.ACR} {
		if value != "" {
			said[name] = value
		}
	}
	around := map[string]any{}
	if caller.Address.IsValid() {
		around["address"] = caller.Address.String()
	}
	if mapped := o.mapped(values); len(mapped) > 0 {
		around["values"] = mapped
	}
	return authzen.Evaluation{
		Subject: authzen.Subject{Type: kind, ID: claims.Subject, Properties: said}, Action: authzen.Action{Name: o.operation},
		Resource: authzen.Resource{Type: "api", ID: o.api}, Context: around, Languages: caller.Languages,
	}
}

// mapped names the values of a request as the recipe does: those to send by their own name, those to match by the member
// of the detail that they equal.
func (o *Operation) mapped(values Values) map[string]any {
	mapped := map[string]any{}
	for _, list := range [][]pair{o.match, o.send} {
		for _, each := range list {
			if value, known := values[each.place.text]; known {
				mapped[each.name] = value.plain()
			}
		}
	}
	return mapped
}

// heard turns an answer of the Server into ours.
func heard(said authzen.Decision) Answer {
	if said.Decision {
		return Answer{Verdict: assurance.Permit, MaxAge: -1}
	}
	answer := Answer{MaxAge: -1}
	if said.Context == nil {
		return answer
	}
	answer.Trace = said.Context.Trace
	for _, reason := range said.Context.Reasons {
		answer.hear(reason.Code, reason.Say)
	}
	answer.ACR = strings.Fields(said.Context.ACR)
	if said.Context.MaxAge != nil {
		answer.MaxAge = time.Duration(min(*said.Context.MaxAge, maxAge)) * time.Second
	}
	if len(answer.ACR) > 0 || answer.MaxAge >= 0 {
		answer.Verdict = assurance.StepUp
	}
	return answer
}
