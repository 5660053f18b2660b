package sqlstore

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// Push keeps a pushed request. It is one statement, so that the most frequent deed of its door is one round trip: on
// PostgreSQL, those that come at the very same moment over several connections may be some more than most.
func (t *Tenant) Push(ctx context.Context, pushed iam.Pushed, most int) error {
	// The row past the last that may wait is looked for, and not all are counted.
	changed, err := t.view.Engine.Together(ctx, deeds.May(`INSERT INTO pushed (tenant, hash, client, client_era, query, created, expires)
		SELECT c.tenant, CAST($2 AS TEXT), c.id, c.era, CAST($4 AS TEXT), CAST($5 AS BIGINT), CAST($6 AS BIGINT) FROM clients c
		WHERE c.tenant = $1 AND c.id = $3 AND NOT c.disabled AND NOT c.removed
		AND (SELECT count(*) FROM (SELECT 1 FROM pushed p WHERE p.tenant = $1 AND p.client = $3 AND p.expires > $5 LIMIT $7) waiting) < $7`,
		t.view.Tenant, deeds.Hash(pushed.Hash), pushed.Client, deeds.Clean(pushed.Query), deeds.Micro(pushed.Created), deeds.Micro(pushed.Expires),
		int64(most)))
	if err != nil || changed[0] == 1 {
		return err
	}
	return t.read(ctx, func(tx deeds.Tx) error {
		err := deeds.Only(tx, iam.ErrRevoked, `SELECT 1 FROM clients WHERE tenant = $1 AND id = $2`+standing,
			[]any{t.view.Tenant, pushed.Client}, new(int64))
		if err == nil {
			err = iam.ErrExists
		}
		return err
	})
}

// Arrive finds the living request of that client, and lets it live until then if nobody has come with it before.
func (t *Tenant) Arrive(ctx context.Context, value iam.PushedHash, client string, now, until time.Time) (iam.Pushed, error) {
	pushed, arrived, err := t.pushed(ctx, value, client, now)
	if err != nil || arrived {
		return pushed, err
	}
	// Whoever comes second at the same moment changes nothing, and reads what the first has made of it.
	changed, err := t.view.Engine.Together(ctx, deeds.May(`UPDATE pushed SET arrived = $3, expires = $4
		WHERE tenant = $1 AND hash = $2 AND arrived = 0 AND expires > $3`, t.view.Tenant, deeds.Hash(value), deeds.Micro(now), deeds.Micro(until)))
	if err != nil {
		return iam.Pushed{}, err
	}
	if changed[0] == 1 {
		pushed.Expires = deeds.Whole(until)
		return pushed, nil
	}
	pushed, _, err = t.pushed(ctx, value, client, now)
	return pushed, err
}

func (t *Tenant) pushed(ctx context.Context, value iam.PushedHash, client string, now time.Time) (pushed iam.Pushed, arrived bool, err error) {
	var first, created, expires int64
	pushed = iam.Pushed{Hash: value, Client: client}
	err = t.read(ctx, func(tx deeds.Tx) error {
		return deeds.Only(tx, iam.ErrNotFound, `SELECT k.query, k.arrived, k.created, k.expires FROM pushed k
			WHERE k.tenant = $1 AND k.hash = $2 AND k.client = $3 AND `+codeClientStands,
			[]any{t.view.Tenant, deeds.Hash(value), deeds.Clean(client)}, &pushed.Query, &first, &created, &expires)
	})
	pushed.Created, pushed.Expires = deeds.At(created), deeds.At(expires)
	if err == nil && expires <= deeds.Micro(now) {
		err = iam.ErrExpired
	}
	if err != nil {
		return iam.Pushed{}, false, err
	}
	return pushed, first != 0, nil
}

// EndPushed ends one without a code; it may have ended already.
func (t *Tenant) EndPushed(ctx context.Context, value iam.PushedHash) error {
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Later(`DELETE FROM pushed WHERE tenant = $1 AND hash = $2`, d.Tenant, deeds.Hash(value))
	})
}

// endPushed ends the living request that a client's authorization came from: it gives one.
func endPushed(tenant string, value iam.PushedHash, client string, now time.Time) deeds.Statement {
	return deeds.Must(`DELETE FROM pushed WHERE tenant = $1 AND hash = $2 AND client = $3 AND expires > $4`,
		tenant, deeds.Hash(value), client, deeds.Micro(now))
}
