package deeds

import (
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// clientMargin is added to the end of a client's tokens: a token of a client's own is issued without a lock on the client,
// so one may be under way on another node while the client is disabled.
const clientMargin = 2 * time.Second

// Change tells every node to look again, or, of a token, grant or session, that it has ended.
func (d *Deed) Change(kind iam.ChangeKind, id string) {
	d.Changes = append(d.Changes, iam.Change{Kind: kind, ID: id, Until: d.Now.Add(d.Life)})
}

// EndClient tells the feed that every token of the client is dead. The caller has begun a new era of the client.
func (d *Deed) EndClient(id string) {
	now := d.Clock()
	d.Changes = append(d.Changes, iam.Change{Kind: iam.ChangeClient, ID: id, Before: now.Add(clientMargin), Until: now.Add(d.Life + clientMargin)})
}

// Ended runs a query that ends things and returns their ids, and tells the feed.
func (d *Deed) Ended(kind iam.ChangeKind, query string, args ...any) error {
	return d.Query(query, args, func(row Row) error {
		var id string
		err := row.Scan(&id)
		d.Change(kind, id)
		return err
	})
}

// publish writes the changes of a deed. The tenant's counter is held until the commit, so the order of seq is the order of
// commits and no gap fills later.
func (d *Deed) publish() error {
	if len(d.Changes) == 0 {
		return nil
	}
	if err := d.Later(`INSERT INTO counters (tenant, name, value) VALUES ($1, 'outbox', $2)
		ON CONFLICT (tenant, name) DO UPDATE SET value = counters.value + excluded.value`, d.Tenant, int64(len(d.Changes))); err != nil {
		return err
	}
	for i, change := range d.Changes {
		if err := d.Later(`INSERT INTO outbox (tenant, seq, kind, id, before, until, made)
			SELECT tenant, value - CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BIGINT), CAST($6 AS BIGINT), CAST($7 AS BIGINT)
			FROM counters WHERE tenant = $1 AND name = 'outbox'`, d.Tenant, int64(len(d.Changes)-1-i), string(change.Kind),
			Clean(change.ID), Micro(change.Before), Micro(change.Until), Micro(d.Now)); err != nil {
			return err
		}
	}
	d.Hint()
	return nil
}
