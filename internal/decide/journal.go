package decide

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/web"
)

// record is one decision on its way into the journal.
type record struct {
	question *assurance.Question
	decision assurance.Decision
	session  string
	grant    string
	address  netip.Addr
	reached  string
	revision int64
	asker    string // the client that asks about a call; empty: the question's own
}

// How many decisions are kept in one deed, for how long the first of them waits for others (whoever looks at the journal does
// not notice, and a commit costs as much for one as for many), and for how long all wait when the storage can't.
const (
	maxBatch = 256
	linger   = 25 * time.Millisecond
	again    = 250 * time.Millisecond
)

// recorded is what was decided, once it is journaled or waits for it.
func (d *Desk) recorded(ctx context.Context, made record) (assurance.Decision, error) {
	if err := d.record(ctx, made); err != nil {
		return assurance.Decision{}, err
	}
	return made.decision, nil
}

// record journals a decision: a denial and a challenge now, and not to be able to is a fault; a permit when Run comes to it.
func (d *Desk) record(ctx context.Context, made record) error {
	event, _, err := made.event(web.Trace(ctx))
	if err != nil {
		return err
	}
	return d.write(ctx, made.decision.Verdict, event)
}

// recordCall journals a decision about a call, or counts it with those like it (decision 0018). It gives the trace under which
// it is found.
func (d *Desk) recordCall(ctx context.Context, made record) (string, error) {
	event, decided, err := made.event(web.Trace(ctx))
	if err != nil {
		return "", err
	}
	permitted := made.decision.Verdict == assurance.Permit
	if permitted && (made.question.Transaction != (signal.Transaction{}) || d.Policy().Counts(decided.API, decided.Operation)) {
		return event.Trace, d.write(ctx, made.decision.Verdict, event) // each of them may be a payment
	}
	return d.count(ctx, made, event, decided, !permitted)
}

// recordGuess journals a permit that what a node remembers was enough for, or counts it with those like it: the same person,
// session, client and wish under the same recipe.
func (d *Desk) recordGuess(ctx context.Context, made record) error {
	event, decided, err := made.event(web.Trace(ctx))
	if err != nil {
		return err
	}
	_, err = d.count(ctx, made, event, decided, true)
	return err
}

func (d *Desk) count(ctx context.Context, made record, event journal.Event, decided journal.Decided, grows bool) (string, error) {
	trace, fresh, undo := d.tally.take(event, decided, made.question.Now, grows)
	if fresh == nil {
		return trace, nil
	}
	if err := d.write(ctx, made.decision.Verdict, *fresh); err != nil {
		undo()
		return "", err
	}
	return trace, nil
}

func (d *Desk) write(ctx context.Context, verdict assurance.Verdict, event journal.Event) error {
	if verdict != assurance.Permit {
		return d.Journal.Record(ctx, event)
	}
	return d.queue.put(ctx, event)
}

func (made record) event(trace string) (journal.Event, journal.Decided, error) {
	question, decision := made.question, made.decision
	detail := journal.Decided{
		Door: question.Door, API: question.API, Operation: question.Operation, Verdict: decision.Verdict.String(), Level: decision.ACR,
		Reached: made.reached, Fresh: int64(decision.Fresh / time.Second), Score: int64(question.Risk.Score), Rules: decision.Rules, Say: reasons(decision), Revision: made.revision,
	}
	if decision.Verdict == assurance.Permit {
		detail.Reached = decision.Claim.ACR
	}
	for _, finding := range question.Risk.Findings {
		detail.Signals = append(detail.Signals, finding.Name)
	}
	facts, err := Marshal(question)
	if err != nil {
		return journal.Event{}, detail, err
	}
	event := journal.New(question.Now, detail)
	event.Client, event.User, event.Session, event.Grant, event.Trace = question.Client.ID, question.User.ID, made.session, made.grant, trace
	switch {
	case made.asker != "":
		event.Actor = "client:" + made.asker
	case question.User.ID == "" || question.Door == DoorOperation:
		event.Actor = "client:" + question.Client.ID
	default:
		event.Actor = "user:" + question.User.ID
	}
	event.Personal = map[string]string{PersonalFacts: facts}
	if len(question.Risk.Findings) > 0 {
		event.Personal[PersonalSigns] = signs(question.Risk)
	}
	if made.address.IsValid() {
		event.Personal[personalPlace] = web.Network(made.address).String()
	}
	if enough := enough(decision); enough != "" {
		event.Personal[PersonalEnough] = enough
	}
	return event, detail, nil
}

// enough says what a person could have proved.
func enough(decision assurance.Decision) string {
	if decision.Verdict != assurance.StepUp {
		return ""
	}
	sets := strings.Join(decision.Sets, ", or ")
	if len(decision.Sets) == 0 && len(decision.Enrol) > 0 {
		sets = "after adding a factor: " + strings.Join(decision.Enrol, ", or ")
	}
	return sets
}

// Run keeps what was permitted, many at a time, until ctx ends, and then what still waits. While the storage can't, it waits
// for it.
func (d *Desk) Run(ctx context.Context) error {
	counted := time.NewTicker(time.Second)
	defer counted.Stop()
	for stalled := false; ; {
		select {
		case <-ctx.Done():
			d.end(ctx)
			return nil
		case <-counted.C:
			d.queue.owe(func() []journal.Event { return d.tally.due(d.now(), false) }, false)
		case <-d.queue.some:
			rest(ctx, linger)
			whole := context.WithoutCancel(ctx)
			for err := d.keep(whole); err != nil && ctx.Err() == nil; err = d.keep(whole) {
				if !stalled {
					d.log().ErrorContext(ctx, "permits wait to be journaled: the storage can't now", "error", err)
				}
				stalled = true
				rest(ctx, again)
			}
			if stalled && ctx.Err() == nil {
				d.log().InfoContext(ctx, "permits are journaled again")
				stalled = false
			}
		}
	}
}

func rest(ctx context.Context, long time.Duration) {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// end keeps what waits and what was counted; what can't be kept now is lost with this process.
func (d *Desk) end(ctx context.Context) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	d.queue.owe(func() []journal.Event { return d.tally.due(d.now(), true) }, true)
	if err := d.keep(last); err != nil {
		d.log().ErrorContext(ctx, "decisions were not journaled", "count", d.queue.drop(0), "error", err)
	}
}

// keep keeps all that waits. An error is the storage's, and what is not kept waits on.
func (d *Desk) keep(ctx context.Context) error {
	for batch := d.queue.first(maxBatch); len(batch) > 0; batch = d.queue.first(maxBatch) {
		err := d.Journal.Record(ctx, batch...)
		if err != nil && !errors.Is(err, iam.ErrUnavailable) && len(batch) > 1 {
			batch = batch[:1] // one of them can't be kept: it shall not keep the others out
			err = d.Journal.Record(ctx, batch...)
		}
		switch {
		case err == nil, errors.Is(err, iam.ErrExists): // kept before, when nobody knew whether it was
		case errors.Is(err, iam.ErrUnavailable):
			return err
		default:
			d.log().ErrorContext(ctx, "a decision was not journaled", "trace", batch[0].Trace, "error", err)
		}
		d.queue.drop(len(batch))
	}
	return nil
}

func (d *Desk) log() *slog.Logger {
	if d.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return d.Log
}
