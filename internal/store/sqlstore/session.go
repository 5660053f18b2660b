package sqlstore

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

const sessionColumns = `SELECT s.id, s.hash, s.user_id, s.auth_time, s.amr, s.acr, s.agent, s.address, s.created, s.seen, s.expires
	FROM sessions s`

// sessionLives adds the standing of the person: the session was begun in the present era.
const sessionLives = ` JOIN users u ON u.tenant = s.tenant AND u.id = s.user_id AND u.era = s.user_era AND NOT u.disabled AND NOT u.removed`

// Session finds a living session of a standing person.
func (t *Tenant) Session(ctx context.Context, value iam.SessionHash, now time.Time, idle time.Duration) (iam.Session, error) {
	sessions, err := t.readSessions(ctx, sessionColumns+sessionLives+` WHERE s.tenant = $1 AND s.hash = $2 AND s.expires > $3 AND s.seen > $4`,
		t.view.Tenant, deeds.Hash(value), deeds.Micro(now), deeds.Micro(now.Add(-idle)))
	if err != nil {
		return iam.Session{}, err
	}
	if len(sessions) == 0 {
		return iam.Session{}, iam.ErrNotFound
	}
	return sessions[0], nil
}

// UserSessions gives a person's sessions that have not ended, newest first.
func (t *Tenant) UserSessions(ctx context.Context, user string) ([]iam.Session, error) {
	return t.readSessions(ctx, sessionColumns+sessionLives+` WHERE s.tenant = $1 AND s.user_id = $2 AND s.expires > $3 ORDER BY s.created DESC, s.id`,
		t.view.Tenant, deeds.Clean(user), deeds.Micro(t.view.Now()))
}

// ListSessions gives a page of sessions by id.
func (t *Tenant) ListSessions(ctx context.Context, page iam.Page) ([]iam.Session, error) {
	return t.readSessions(ctx, sessionColumns+sessionLives+` WHERE s.tenant = $1 AND s.id > $2 AND s.expires > $3 ORDER BY s.id LIMIT $4`,
		t.view.Tenant, deeds.Clean(page.After), deeds.Micro(t.view.Now()), deeds.PageLimit(page))
}

func (t *Tenant) readSessions(ctx context.Context, query string, args ...any) ([]iam.Session, error) {
	var sessions []iam.Session
	err := t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(query, args, func(row deeds.Row) error {
			var s iam.Session
			var hashed, amr string
			var authTime, created, seen, expires int64
			if err := row.Scan(&s.ID, &hashed, &s.User, &authTime, &amr, &s.ACR, &s.Agent, &s.Address, &created, &seen, &expires); err != nil {
				return err
			}
			sum, err := deeds.Digest(hashed)
			s.Hash, s.AuthTime, s.AMR = iam.SessionHash(sum), deeds.At(authTime), deeds.Split(amr)
			s.Created, s.Seen, s.Expires = deeds.At(created), deeds.At(seen), deeds.At(expires)
			sessions = append(sessions, s)
			return err
		})
	})
	return sessions, err
}

// StartSession keeps a session in the place of an old one. ErrRevoked if the person no longer stands.
func (t *Tenant) StartSession(ctx context.Context, session iam.Session, old iam.SessionHash, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		// Holding the person makes it wait for whoever is just disabling the person.
		if err := d.Hold(iam.ErrRevoked, session.User, standing); err != nil {
			return err
		}
		if err := d.Later(`INSERT INTO sessions (tenant, id, hash, user_id, user_era, auth_time, amr, acr, agent, address, created, seen, expires)
			SELECT $1, CAST($2 AS TEXT), CAST($3 AS TEXT), id, era, CAST($5 AS BIGINT), CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS TEXT),
			CAST($9 AS TEXT), CAST($10 AS BIGINT), CAST($11 AS BIGINT), CAST($12 AS BIGINT) FROM users WHERE tenant = $1 AND id = $4`,
			d.Tenant, session.ID, deeds.Hash(session.Hash), session.User, deeds.Micro(session.AuthTime), deeds.Join(session.AMR), session.ACR,
			deeds.Clean(session.Agent), deeds.Clean(session.Address), deeds.Micro(session.Created), deeds.Micro(session.Seen), deeds.Micro(session.Expires)); err != nil {
			return err
		}
		if iam.Digest(old).Zero() || old == session.Hash {
			return nil
		}
		return d.replaceSession(session, old)
	})
}

func (d *deed) replaceSession(session iam.Session, old iam.SessionHash) error {
	var id, user string
	found, err := deeds.One(d, `SELECT id, user_id FROM sessions WHERE tenant = $1 AND hash = $2`, []any{d.Tenant, deeds.Hash(old)}, &id, &user)
	if err != nil || !found {
		return err
	}
	if user != session.User {
		return d.endSession(id)
	}
	// The same person: what was born of the old session goes on, so nothing of it is in the feed.
	return d.Do(append(passOn(d.Tenant, id, user, session),
		deeds.May(`DELETE FROM sessions WHERE tenant = $1 AND id = $2`, d.Tenant, id),
		deeds.May(`UPDATE grants SET session = $3 WHERE tenant = $1 AND session = $2 AND user_id = $4`, d.Tenant, id, session.ID, user),
		deeds.May(`UPDATE codes SET session = $3 WHERE tenant = $1 AND session = $2 AND user_id = $4 AND spent = 0`, d.Tenant, id, session.ID, user),
		deeds.May(`UPDATE asked SET session = $3 WHERE tenant = $1 AND session = $2 AND user_id = $4 AND user_id <> '' AND spent = 0`,
			d.Tenant, id, session.ID, user),
		deeds.May(`UPDATE flows SET session = $3 WHERE tenant = $1 AND session = $2`, d.Tenant, id, session.ID),
	)...)
}

// TouchSession remembers when a session was last seen.
func (t *Tenant) TouchSession(ctx context.Context, id string, seen time.Time) error {
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Later(`UPDATE sessions SET seen = $3 WHERE tenant = $1 AND id = $2 AND seen < $3`, d.Tenant, id, deeds.Micro(seen))
	})
}

// EndSession ends a session.
func (t *Tenant) EndSession(ctx context.Context, id string, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error { return d.endSession(id) })
}

// EndUserSessions signs a person out everywhere but in the session named keep. All grants end, those of keep too.
func (t *Tenant) EndUserSessions(ctx context.Context, user, keep string, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		if err := d.endUser(user, keep, false); err != nil {
			return err
		}
		if keep == "" {
			return nil
		}
		if err := d.Later(`DELETE FROM codes WHERE tenant = $1 AND user_id = $2 AND spent = 0`, d.Tenant, user); err != nil {
			return err
		}
		return d.Ended(iam.ChangeGrant, `UPDATE grants SET revoked = $3 WHERE tenant = $1 AND user_id = $2 AND revoked = 0 RETURNING id`,
			d.Tenant, user, deeds.Micro(d.Now))
	})
}
