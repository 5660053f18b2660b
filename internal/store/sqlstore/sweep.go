package sqlstore

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/store/deeds"
)

const (
	// sweepBatch bounds how long the one writer of SQLite is held.
	sweepBatch = 500
	// replayWindow is how long a spent code is remembered past its end, so that a replay still ends what it gave.
	replayWindow = 24 * time.Hour
	// askedMemory is how long an authorization that waited in vain is remembered.
	askedMemory = 15 * time.Minute
	// nodeMemory is how long a node that died without a word is remembered.
	nodeMemory = 24 * time.Hour
)

// sweeping names what has no use any more. Each statement takes the time and the size of a batch.
func sweeping(tenant string, now time.Time) []deeds.Statement {
	n, batch := deeds.Micro(now), int64(sweepBatch)
	return []deeds.Statement{
		deeds.May(`DELETE FROM codes WHERE tenant = $1 AND hash IN (SELECT hash FROM codes WHERE tenant = $1
			AND (expires < $2 AND spent = 0 OR expires < $3) LIMIT $4)`, tenant, n, deeds.Micro(now.Add(-replayWindow)), batch),
		deeds.May(`DELETE FROM pushed WHERE tenant = $1 AND hash IN (SELECT hash FROM pushed WHERE tenant = $1 AND expires < $2 LIMIT $3)`, tenant, n, batch),
		// One that nobody decided is remembered a while, too: who polls hears that it is over, not that it never was.
		deeds.May(`DELETE FROM asked WHERE tenant = $1 AND hash IN (SELECT hash FROM asked WHERE tenant = $1
			AND (expires < $2 AND spent = 0 OR expires < $3) LIMIT $4)`, tenant, deeds.Micro(now.Add(-askedMemory)), deeds.Micro(now.Add(-replayWindow)), batch),
		deeds.May(`DELETE FROM initials WHERE tenant = $1 AND expires < $2`, tenant, deeds.Micro(now.Add(-replayWindow))),
		deeds.May(`DELETE FROM past_sessions WHERE tenant = $1 AND id IN (SELECT id FROM past_sessions WHERE tenant = $1 AND until < $2 LIMIT $3)`, tenant, n, batch),
		deeds.May(`DELETE FROM flows WHERE tenant = $1 AND hash IN (SELECT hash FROM flows WHERE tenant = $1 AND expires < $2 LIMIT $3)`, tenant, n, batch),
		deeds.May(`DELETE FROM links WHERE tenant = $1 AND hash IN (SELECT hash FROM links WHERE tenant = $1 AND expires < $2 LIMIT $3)`, tenant, n, batch),
		deeds.May(`DELETE FROM accesses WHERE tenant = $1 AND hash IN (SELECT hash FROM accesses WHERE tenant = $1 AND expires < $2 LIMIT $3)`, tenant, n, batch),
		deeds.May(`DELETE FROM ended_tokens WHERE tenant = $1 AND id IN (SELECT id FROM ended_tokens WHERE tenant = $1 AND until < $2 LIMIT $3)`, tenant, n, batch),
		// A session outlives itself by the window: what was born of it can still be ended with it.
		deeds.May(`DELETE FROM sessions WHERE tenant = $1 AND id IN (SELECT id FROM sessions WHERE tenant = $1 AND expires < $2 LIMIT $3)`,
			tenant, deeds.Micro(now.Add(-replayWindow)), batch),
		deeds.May(`DELETE FROM refreshes WHERE tenant = $1 AND hash IN (SELECT hash FROM refreshes WHERE tenant = $1
			AND grant_id IN (SELECT id FROM grants WHERE tenant = $1 AND expires < $2) LIMIT $3)`, tenant, n, batch),
		// A grant outlives its refresh tokens by the replay window: its last access tokens can still be revoked.
		deeds.May(`DELETE FROM grants WHERE tenant = $1 AND id IN (SELECT g.id FROM grants g WHERE g.tenant = $1 AND g.expires < $2
			AND NOT EXISTS (SELECT 1 FROM refreshes r WHERE r.tenant = g.tenant AND r.grant_id = g.id) LIMIT $3)`, tenant, deeds.Micro(now.Add(-replayWindow)), batch),
		deeds.May(`DELETE FROM outbox WHERE tenant = $1 AND seq IN (SELECT seq FROM outbox WHERE tenant = $1 AND until < $2 ORDER BY seq LIMIT $3)`, tenant, n, batch),
		deeds.May(`DELETE FROM once WHERE tenant = $1 AND until < $2 AND id IN (SELECT id FROM once WHERE tenant = $1 AND until < $2 LIMIT $3)`, tenant, n, batch),
		deeds.May(`DELETE FROM approvals WHERE tenant = $1 AND id IN (SELECT id FROM approvals WHERE tenant = $1 AND expires < $2 LIMIT $3)`, tenant, n, batch),
		deeds.May(`DELETE FROM uses WHERE tenant = $1 AND hash IN (SELECT hash FROM uses WHERE tenant = $1 AND expires < $2 LIMIT $3)`, tenant, n, batch),
		deeds.May(`DELETE FROM device_secrets WHERE tenant = $1 AND hash IN (SELECT hash FROM device_secrets WHERE tenant = $1 AND expires < $2 LIMIT $3)`,
			tenant, n, batch),
		deeds.May(`DELETE FROM devices WHERE tenant = $1 AND expires < $2 AND (user_id, id) IN (SELECT user_id, id FROM devices WHERE tenant = $1
			AND expires < $2 LIMIT $3)`, tenant, n, batch),
		deeds.May(`DELETE FROM tries WHERE tenant = $1 AND name IN (SELECT name FROM tries WHERE tenant = $1 AND paid < $2 LIMIT $3)`, tenant, n, batch),
		deeds.May(`DELETE FROM nodes WHERE tenant = $1 AND seen < $2`, tenant, deeds.Micro(now.Add(-nodeMemory))),
	}
}

// Sweep removes a small batch of each kind of expired row and tells how many rows went. The caller comes again soon while
// there are any.
func (t *Tenant) Sweep(ctx context.Context, now time.Time) (int64, error) {
	var swept int64
	for _, statement := range sweeping(t.view.Tenant, now) {
		changed, err := t.view.Engine.Together(ctx, statement)
		if err != nil {
			return swept, err
		}
		swept += changed[0]
	}
	return swept, nil
}
