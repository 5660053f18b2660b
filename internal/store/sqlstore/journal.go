package sqlstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

const eventColumns = `INSERT INTO journal (tenant, id, made, kind, actor, client, user_id, session, grant_id, trace, detail, commitment) `

// kindIssued is the kind that the index by trace leaves out.
const kindIssued = "token.issued"

const insertEvent = eventColumns + `VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`

// insertEventIfClientStands takes the client as its last argument.
const insertEventIfClientStands = eventColumns + `SELECT c.tenant, CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT),
	CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS TEXT), CAST($9 AS TEXT), CAST($10 AS TEXT), CAST($11 AS TEXT), CAST($12 AS TEXT)
	FROM clients c WHERE c.tenant = $1 AND c.id = $13 AND NOT c.disabled AND NOT c.removed`

// insertPersonal adds the personal part of an event that was kept.
const insertPersonal = `INSERT INTO journal_personal (tenant, id, user_id, made, salt, body)
	SELECT j.tenant, j.id, j.user_id, j.made, CAST($3 AS TEXT), CAST($4 AS TEXT) FROM journal j WHERE j.tenant = $1 AND j.id = $2`

// eventRows gives the row of an event, and that of its personal part if it has one.
func (t *Tenant) eventRows(event journal.Event) (Statement, *Statement, error) {
	return eventRows(t.id, event)
}

func eventRows(tenant string, event journal.Event) (Statement, *Statement, error) {
	if event.ID == "" || event.At.IsZero() {
		return Statement{}, nil, fmt.Errorf("a journal event %q without id or time", event.Kind)
	}
	detail := string(event.Detail)
	if detail == "" {
		detail = "{}"
	}
	var commitment string
	var personal *Statement
	if len(event.Personal) > 0 {
		body, err := asJSON(event.Personal) // maps encode in the order of their keys
		if err != nil {
			return Statement{}, nil, err
		}
		body = Clean(body)
		salt := rand.Text()
		commitment = commit(salt, body)
		personal = &Statement{Query: insertPersonal, Args: []any{tenant, event.ID, salt, body}}
	}
	row := Statement{Query: insertEvent, Args: append(make([]any, 0, 13), tenant, event.ID, micro(event.At), string(event.Kind), Clean(event.Actor),
		Clean(event.Client), Clean(event.User), Clean(event.Session), Clean(event.Grant), Clean(event.Trace), Clean(detail), commitment)}
	return row, personal, nil
}

// commit is the salted commitment to an event's personal part: SHA-256(salt || JSON). The salt goes when the part is
// erased, and then nobody can try names against the commitment.
func commit(salt, personal string) string {
	sum := sha256.Sum256([]byte(salt + personal))
	return encode(sum[:])
}

func (d *deed) journal(events []journal.Event) error {
	rows, err := journalRows(nil, d.tenant, events)
	if err != nil {
		return err
	}
	return d.do(rows...)
}

// journalRows adds the rows of events to what is to be done.
func journalRows(rows []Statement, tenant string, events []journal.Event) ([]Statement, error) {
	for _, event := range events {
		row, personal, err := eventRows(tenant, event)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
		if personal != nil {
			rows = append(rows, *personal)
		}
	}
	return rows, nil
}

// Record keeps events that belong to no other deed.
func (t *Tenant) Record(ctx context.Context, events ...journal.Event) error {
	statements, err := journalRows(nil, t.id, events)
	if err != nil || len(statements) == 0 {
		return err
	}
	_, err = t.store.Engine.Together(ctx, statements...)
	return err
}

// Events selects events. Equal conditions are all joined by and.
func (t *Tenant) Events(ctx context.Context, query iam.JournalQuery) ([]journal.Event, error) {
	text, args := t.eventsQuery(query)
	var events []journal.Event
	err := t.read(ctx, func(tx Tx) error {
		return tx.Query(text, args, func(row Row) error {
			var event journal.Event
			var kind, detail, personal string
			var made int64
			if err := row.Scan(&event.ID, &made, &kind, &event.Actor, &event.Client, &event.User, &event.Session, &event.Grant,
				&event.Trace, &detail, &personal); err != nil {
				return err
			}
			event.At, event.Kind, event.Detail = at(made), journal.Kind(kind), json.RawMessage(detail)
			events = append(events, event)
			return fromJSON(personal, &events[len(events)-1].Personal)
		})
	})
	return events, err
}

func (t *Tenant) eventsQuery(query iam.JournalQuery) (string, []any) {
	var text strings.Builder
	args := []any{t.id}
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
		where(beyond, Clean(query.AfterID))
	}
	if !query.After.IsZero() {
		where(`j.made >`, micro(query.After))
	}
	if !query.Before.IsZero() {
		where(`j.made <`, micro(query.Before))
	}
	if query.User != "" {
		text.WriteString(` AND j.user_id <> ''`) // so that the partial index serves
	}
	for _, equal := range []struct{ condition, value string }{
		{`j.kind =`, query.Kind}, {`j.user_id =`, query.User}, {`j.client =`, query.Client},
		{`j.trace =`, query.Trace}, {`j.session =`, query.Session}, {`j.grant_id =`, query.Grant},
	} {
		if equal.value != "" {
			where(equal.condition, Clean(equal.value))
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
	args = append(args, limit(query.Limit, 100, 10000))
	text.WriteString(` LIMIT $` + strconv.Itoa(len(args)))
	return text.String(), args
}

// traceSpan is longer than any request lives.
const traceSpan = 20 * time.Minute

// ErasePersonal forgets the personal fields, and the salts, of events before then.
func (t *Tenant) ErasePersonal(ctx context.Context, user string, before time.Time) (int64, error) {
	var erased int64
	err := t.deed(ctx, nil, func(d *deed) (err error) {
		erased, err = d.Exec(`DELETE FROM journal_personal WHERE tenant = $1 AND made < $2 AND ($3 = '' OR user_id = $3)`, d.tenant, micro(before), user)
		return err
	})
	return erased, err
}
