package decide

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
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

// How many permits wait to be journaled, how many are kept in one deed, and for how long the first of them waits for others:
// whoever looks at the journal does not notice, and a commit costs as much for one as for many.
const (
	maxQueue = 4096
	maxBatch = 256
	linger   = 25 * time.Millisecond
)

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
	select {
	case d.queue <- event:
	default:
		d.dropped.Add(1)
	}
	return nil
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

// Run keeps what was permitted, many at a time, until ctx ends, and then what still waits. What finds no room is counted
// and told.
func (d *Desk) Run(ctx context.Context) error {
	counted := time.NewTicker(time.Second)
	defer counted.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			for len(d.queue) > 0 {
				d.keep(last, d.waiting(ctx, <-d.queue))
			}
			d.tell(last, true)
			return nil
		case <-counted.C:
			d.tell(ctx, false)
		case event := <-d.queue:
			d.keep(ctx, d.waiting(ctx, event))
		}
	}
}

// waiting gathers what else is to be kept, as long as there is room and time for it. When ctx has ended it is what waits
// already.
func (d *Desk) waiting(ctx context.Context, first journal.Event) []journal.Event {
	batch := []journal.Event{first}
	ctx, cancel := context.WithTimeout(ctx, linger)
	defer cancel()
	for len(batch) < maxBatch {
		select {
		case next := <-d.queue:
			batch = append(batch, next)
		case <-ctx.Done():
			for len(batch) < maxBatch && len(d.queue) > 0 {
				batch = append(batch, <-d.queue)
			}
			return batch
		}
	}
	return batch
}

// tell writes what was only counted: what is due, or all of it.
func (d *Desk) tell(ctx context.Context, all bool) {
	for events := range slices.Chunk(d.tally.due(d.now(), all), maxBatch) {
		d.keep(ctx, events)
	}
}

func (d *Desk) keep(ctx context.Context, batch []journal.Event) {
	err := d.Journal.Record(context.WithoutCancel(ctx), batch...)
	if d.Log == nil {
		return
	}
	if err != nil {
		d.Log.ErrorContext(ctx, "decisions were not journaled", "count", len(batch), "error", err)
	}
	if lost := d.dropped.Swap(0); lost > 0 {
		d.Log.ErrorContext(ctx, "permits were not journaled: too many at once", "count", lost)
	}
}
