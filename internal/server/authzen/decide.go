package authzen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/authzen"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// The words of a question.
const (
	typeUser   = "user"
	typeClient = "client"
	typeAPI    = "api"
)

// lifetime is for how many seconds a permit may serve again for the very same question. Whatever changes who may do what
// takes effect within one second everywhere, so it is no longer.
const lifetime = int64(decide.PermitLife / time.Second)

// decide answers one question. An oauth.Error says what is wrong with it; what the policy does not know is denied.
func (e *Endpoint) decide(ctx context.Context, who asker, question authzen.Evaluation) (authzen.Decision, error) {
	policy, audience := e.Policy(), question.Resource.ID
	if policy == nil || policy.Recipe == nil {
		return authzen.Decision{}, oauth.Unavailable("no recipe is in force yet")
	}
	if !who.gate && !policy.Owns(who.client, audience) { // also where there is no such API: a stranger does not learn that
		return authzen.Decision{}, &oauth.Error{Code: "access_denied", Status: http.StatusForbidden,
			Description: "this client may ask about no API, or about its own alone"}
	}
	call, err := callOf(question)
	if err != nil {
		return authzen.Decision{}, err
	}
	call.Asker = who.client
	operation, found := operationOf(policy, question)
	settle := func(verdict assurance.Verdict, code, say string) (authzen.Decision, error) {
		answer, err := e.Desk.Settle(ctx, call, verdict, assurance.Reason{Code: code, Say: say})
		if err != nil {
			return authzen.Decision{}, err
		}
		return tell(who, answer, operation, policy.Counts(call.API, call.Operation)), nil
	}
	switch {
	case question.Subject.Type != typeUser && question.Subject.Type != typeClient:
		return settle(assurance.Deny, "unknown", "a subject is a user or a client")
	case !found:
		call.API, call.Operation = "", "" // names that anybody may make up
		return settle(assurance.Deny, "unknown", "the recipe lists no such operation of no such API")
	case operation.Open != "":
		return settle(assurance.Permit, "open", operation.Open)
	case question.Subject.Type == typeUser && call.Client == "":
		return authzen.Decision{}, oauth.InvalidRequest("subject.properties.client_id is missing: a person acts through a client")
	}
	if question.Subject.Type == typeUser {
		switch call.User, err = e.person(ctx, call, question.Subject.ID); {
		case err != nil:
			return authzen.Decision{}, err
		case call.User == "":
			return settle(assurance.Deny, decide.ReasonEnded, "what the subject was granted has ended")
		}
	}
	answer, err := e.Desk.Operation(ctx, call)
	if err != nil {
		return authzen.Decision{}, err
	}
	return tell(who, answer, operation, policy.Counts(call.API, call.Operation)), nil
}

func operationOf(policy *assurance.Policy, question authzen.Evaluation) (recipe.Operation, bool) {
	if question.Resource.Type != typeAPI {
		return recipe.Operation{}, false
	}
	for _, api := range policy.Recipe.APIs {
		if api.At == question.Resource.ID {
			operation, found := api.Operations[question.Action.Name]
			return operation, found
		}
	}
	return recipe.Operation{}, false
}

// person gives the id of the person whom a token names, by its grant where it has one: the name may be the client's own for
// them. "" says that nobody stands behind it any more.
func (e *Endpoint) person(ctx context.Context, call decide.Call, subject string) (string, error) {
	if call.Grant == "" {
		return subject, nil
	}
	grant, err := e.Grants.Grant(ctx, call.Grant)
	switch {
	case errors.Is(err, iam.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	case grant.Client != call.Client, !grant.Revoked.IsZero():
		return "", nil
	case grant.User == subject:
		return grant.User, nil
	case e.Naming == nil:
		return "", nil
	}
	named, err := e.Naming(ctx, call.Client, grant.User)
	if err != nil || named == "" || named != subject {
		return "", err
	}
	return grant.User, nil
}

// tell puts a decision into the words of the API. What a sign of risk says of a person's habits is for Gates: an API's own
// client, which could ask about anybody from any place, finds it by the trace if its people may read the journal.
func tell(who asker, decision decide.Answer, operation recipe.Operation, counts bool) authzen.Decision {
	said := authzen.Decision{Decision: decision.Verdict == assurance.Permit, Context: &authzen.Context{Trace: decision.Trace}}
	for _, reason := range decision.Reasons {
		if reason.Code == assurance.ReasonSignal && !who.gate {
			continue
		}
		said.Context.Reasons = append(said.Context.Reasons, authzen.Reason{Code: reason.Code, Say: cmp.Or(reason.Words.In(who.speaks...), reason.Say)})
	}
	switch decision.Verdict {
	case assurance.Permit:
		said.Context.Lifetime, said.Context.Details = lifetime, operation.Details
		if counts {
			said.Context.Lifetime = 0
		}
	case assurance.StepUp:
		said.Context.ACR = decision.ACR
		if decision.Fresh > 0 {
			age := int64(decision.Fresh / time.Second)
			said.Context.MaxAge = &age
		}
	case assurance.Deny:
	}
	return said
}

// The bounds of what is said around a call.
const (
	maxValues = 64
	maxName   = 256 // bytes of sid, grant_id, client_id and acr: what is longer is none of ours, and stands in no journal
)

// callOf reads what the asker says of the token and the request. What it does not say is not known, and raises; what can't be
// read is refused, so that a slip never reads as less.
func callOf(question authzen.Evaluation) (decide.Call, error) {
	said := reader{question.Subject.Properties, nil}
	around := reader{question.Context, nil}
	call := decide.Call{
		API: question.Resource.ID, Operation: question.Action.Name, Session: said.name("sid"), Grant: said.name("grant_id"),
		Client: said.name("client_id"), ACR: said.name("acr"), AuthTime: said.time("auth_time"), Bound: said.flag("bound"),
	}
	scope, err := oauth.ParseScope(said.text("scope"))
	if err != nil {
		said.fail("scope")
	}
	call.Scope = scope
	if question.Subject.Type == typeClient && call.Client == "" {
		call.Client = question.Subject.ID
	}
	if text := around.text("address"); text != "" {
		if call.Address, err = netip.ParseAddr(text); err != nil {
			around.fail("address")
		}
	}
	call.Values = around.object("values")
	if err := errors.Join(said.err, around.err); err != nil {
		return decide.Call{}, oauth.InvalidRequest("the question can't be read: %s", err)
	}
	switch {
	case len(call.Values) > maxValues:
		return decide.Call{}, oauth.InvalidRequest("more than %d values", maxValues)
	case question.Subject.Type == typeClient && call.Client != question.Subject.ID:
		return decide.Call{}, oauth.InvalidRequest("client_id and the id of the subject differ")
	}
	return call, nil
}

// reader takes members of known kinds. The first that has another kind, or is too long, is its error.
type reader struct {
	from map[string]any
	err  error
}

func (r *reader) fail(name string) { r.refuse(name + " is of the wrong kind") }

func (r *reader) refuse(why string) {
	if r.err == nil {
		r.err = errors.New(why)
	}
}

// name takes a text that names something of ours.
func (r *reader) name(name string) string {
	text := r.text(name)
	if len(text) > maxName {
		r.refuse(fmt.Sprintf("%s is longer than %d bytes", name, maxName))
	}
	return text
}

func (r *reader) text(name string) string {
	value, there := r.from[name]
	text, ok := value.(string)
	if there && value != nil && !ok {
		r.fail(name)
	}
	return text
}

func (r *reader) flag(name string) bool {
	value, there := r.from[name]
	flag, ok := value.(bool)
	if there && value != nil && !ok {
		r.fail(name)
	}
	return flag
}

func (r *reader) time(name string) time.Time {
	value, there := r.from[name]
	if !there || value == nil {
		return time.Time{}
	}
	seconds, ok := value.(int64)
	if !ok || seconds <= 0 || seconds > math.MaxInt32*100 {
		r.fail(name)
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func (r *reader) object(name string) map[string]any {
	value, there := r.from[name]
	object, ok := value.(map[string]any)
	if there && value != nil && !ok {
		r.fail(name)
	}
	return object
}
