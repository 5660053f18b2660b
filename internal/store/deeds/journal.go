package deeds

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"github.com/gardeauth/garde/internal/journal"
)

const eventColumns = `INSERT INTO journal (tenant, id, made, kind, actor, client, user_id, session, grant_id, trace, detail, commitment) `

const insertEvent = eventColumns + `VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`

// InsertEventIfClientStands takes the client as its last argument.
const InsertEventIfClientStands = eventColumns + `SELECT c.tenant, CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT),
	CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS TEXT), CAST($9 AS TEXT), CAST($10 AS TEXT), CAST($11 AS TEXT), CAST($12 AS TEXT)
	FROM clients c WHERE c.tenant = $1 AND c.id = $13 AND NOT c.disabled AND NOT c.removed`

// insertPersonal adds the personal part of an event that was kept.
const insertPersonal = `INSERT INTO journal_personal (tenant, id, user_id, made, salt, body)
	SELECT j.tenant, j.id, j.user_id, j.made, CAST($3 AS TEXT), CAST($4 AS TEXT) FROM journal j WHERE j.tenant = $1 AND j.id = $2`

// EventRows gives the row of an event, and that of its personal part if it has one.
func EventRows(tenant string, event journal.Event) (Statement, *Statement, error) {
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
		body, err := AsJSON(event.Personal) // maps encode in the order of their keys
		if err != nil {
			return Statement{}, nil, err
		}
		body = Clean(body)
		salt := rand.Text()
		commitment = commit(salt, body)
		personal = &Statement{Query: insertPersonal, Args: []any{tenant, event.ID, salt, body}}
	}
	row := Statement{Query: insertEvent, Args: append(make([]any, 0, 13), tenant, event.ID, Micro(event.At), string(event.Kind), Clean(event.Actor),
		Clean(event.Client), Clean(event.User), Clean(event.Session), Clean(event.Grant), Clean(event.Trace), Clean(detail), commitment)}
	return row, personal, nil
}

// commit is the salted commitment to an event's personal part: SHA-256(salt || JSON). The salt goes when the part is
// erased, and then nobody can try names against the commitment.
func commit(salt, personal string) string {
	sum := sha256.Sum256([]byte(salt + personal))
	return Encode(sum[:])
}

// JournalRows adds the rows of events to what is to be done.
func JournalRows(rows []Statement, tenant string, events []journal.Event) ([]Statement, error) {
	for _, event := range events {
		row, personal, err := EventRows(tenant, event)
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
