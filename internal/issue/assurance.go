package issue

import (
	"context"
	"errors"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/web"
)

// Recorder keeps events that belong to no deed.
type Recorder interface {
	Record(ctx context.Context, events ...journal.Event) error
}

// errLevel is the cause of a refusal; the client hears the words for every proof that can't be used.
var errLevel = errors.New("what the person proved is no longer enough under the policy in force")

// levelSuffices asks whether what the person proved when the grant began is still enough for what is to be opened, by the
// policy of now: a recipe that has raised a level takes effect with the next refresh, not with the next sign-in. How long
// ago it was, and what needs the facts of a moment, is judged where there is one: when it was allowed, and at the operation.
// The person's groups are known here: who has become one of the staff proves what is asked of the staff.
func levelSuffices(ctx context.Context, desk *Desk, work *deal) error {
	if work.Subject == "" {
		return nil
	}
	question := &assurance.Question{
		Door: "token", Scope: work.Scope, Client: assurance.Client{ID: work.Client.ID, Kind: work.Client.Kind, Bound: work.bound.Bound()},
		User: assurance.User{ID: work.Subject, Groups: work.user.Groups, Created: work.user.Created},
		Held: &assurance.Held{ACR: work.Grant.ACR, AuthTime: work.Grant.AuthTime}, Wish: assurance.Wish{MaxAge: -1}, Now: work.now,
	}
	for _, kind := range work.detail.Types() {
		question.Details = append(question.Details, assurance.Detail{Type: kind})
	}
	decision := work.policy.Decide(question)
	if decision.Verdict == assurance.Permit {
		return nil
	}
	if desk.Journal != nil {
		if err := desk.Journal.Record(ctx, work.insufficient(ctx, decision)); err != nil {
			return err
		}
	}
	return Refused(errors.Join(iam.ErrRevoked, errLevel))
}

func (work *deal) insufficient(ctx context.Context, decision assurance.Decision) journal.Event {
	detail := journal.Decided{
		Door: "token", Verdict: assurance.Deny.String(), Level: decision.ACR, Reached: work.Grant.ACR, Rules: decision.Rules,
		Say: []string{errLevel.Error()},
	}
	for _, reason := range decision.Reasons {
		detail.Say = append(detail.Say, reason.Say)
	}
	event := journal.New(work.now, detail)
	event.Actor, event.Client, event.User = "client:"+work.Client.ID, work.Client.ID, work.Subject
	event.Session, event.Grant, event.Trace = work.Grant.Session, work.Grant.ID, web.Trace(ctx)
	return event
}
