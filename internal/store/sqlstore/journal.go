package sqlstore

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// kindIssued is the kind that the index by trace leaves out.
const kindIssued = "token.issued"

// Record keeps events that belong to no other deed.
func (t *Tenant) Record(ctx context.Context, events ...journal.Event) error {
	statements, err := deeds.JournalRows(nil, t.view.Tenant, events)
	if err != nil || len(statements) == 0 {
		return err
	}
	_, err = t.view.Engine.Together(ctx, statements...)
	return err
}

// Events selects events. Equal conditions are all joined by and.
func (t *Tenant) Events(ctx context.Context, query iam.JournalQuery) ([]journal.Event, error) {
	text, args := t.eventsQuery(query)
	var events []journal.Event
	err := t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(text, args, func(row deeds.Row) error {
			var event journal.Event
			var kind, detail, personal string
			var made int64
			if err := row.Scan(&event.ID, &made, &kind, &event.Actor, &event.Client, &event.User, &event.Session, &event.Grant,
				&event.Trace, &detail, &personal); err != nil {
				return err
			}
			event.At, event.Kind, event.Detail = deeds.At(made), journal.Kind(kind), json.RawMessage(detail)
			events = append(events, event)
			return deeds.FromJSON(personal, &events[len(events)-1].Personal)
		})
	})
	return events, err
}

func (t *Tenant) eventsQuery(query iam.JournalQuery) (string, []any) {
	var text strings.Builder
	args := []any{t.view.Tenant}
	text.WriteString(`SELECT j.id, j.made, j.kind, j.actor, j.client, j.user_id, j.session, j.grant_id, j.trace, j.detail, COALESCE(p.body, '')
		FROM journal j LEFT JOIN journal_personal p ON p.tenant = j.tenant AND p.id = j.id WHERE j.tenant = $1`)
	where := func(condition string, value any) {
		args = append(args, value)
		text.WriteString(` AND ` + condition + ` $` + strconv.Itoa(len(args)))
	}
	order, beyond := ` ORDER BY j.id DESC`, `j.id <`
	if query.Oldest {
		order, beyond = ` ORDER BY j.id`, `j.id >`
	}
	if query.AfterID != "" {
		where(beyond, deeds.Clean(query.AfterID))
	}
	if !query.After.IsZero() {
		where(`j.made >`, deeds.Micro(query.After))
	}
	if !query.Before.IsZero() {
		where(`j.made <`, deeds.Micro(query.Before))
	}
	if query.User != "" {
		text.WriteString(` AND j.user_id <> ''`) // so that the partial index serves
	}
	for _, equal := range []struct{ condition, value string }{
		{`j.kind =`, query.Kind}, {`j.user_id =`, query.User}, {`j.client =`, query.Client},
		{`j.trace =`, query.Trace}, {`j.session =`, query.Session}, {`j.grant_id =`, query.Grant},
	} {
		if equal.value != "" {
			where(equal.condition, deeds.Clean(equal.value))
		}
	}
	// The index by trace leaves out what is issued: to keep it for each token would double what a token costs. A trace of ours
	// tells its time, and so where its events can be.
	if at, ours := journal.TraceTime(query.Trace); ours {
		where(`j.id >=`, journal.FirstID(at.Add(-time.Second)))
		where(`j.id <`, journal.FirstID(at.Add(traceSpan)))
	}
	if query.Trace != "" && query.Kind != "" && query.Kind != kindIssued {
		text.WriteString(` AND j.kind <> '` + kindIssued + `'`)
	}
	text.WriteString(order)
	args = append(args, deeds.Limit(query.Limit, 100, 10000))
	text.WriteString(` LIMIT $` + strconv.Itoa(len(args)))
	return text.String(), args
}

// traceSpan is longer than any request lives.
const traceSpan = 20 * time.Minute

// ErasePersonal forgets the personal fields, and the salts, of events before then.
func (t *Tenant) ErasePersonal(ctx context.Context, user string, before time.Time) (int64, error) {
	var erased int64
	err := t.deed(ctx, nil, func(d *deed) (err error) {
		erased, err = d.Exec(`DELETE FROM journal_personal WHERE tenant = $1 AND made < $2 AND ($3 = '' OR user_id = $3)`, d.Tenant, deeds.Micro(before), user)
		return err
	})
	return erased, err
}
