package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/factors"
)

const sessionFields = `SELECT s.id, s.hash, s.user_id, s.auth_time, s.amr, s.acr, s.agent, s.address, s.created, s.seen, s.expires,
	s.proofs, s.answered, s.device`

const sessionColumns = sessionFields + ` FROM sessions s`

// sessionLives adds the standing of the person: the session was begun in the present era.
const sessionLives = ` JOIN users u ON u.tenant = s.tenant AND u.id = s.user_id AND u.era = s.user_era AND NOT u.disabled AND NOT u.removed`

// Session finds a living session of a standing person.
func (t *Tenant) Session(ctx context.Context, value iam.SessionHash, now time.Time, idle time.Duration) (iam.Session, error) {
	sessions, err := t.readSessions(ctx, sessionColumns+sessionLives+` WHERE s.tenant = $1 AND s.hash = $2 AND s.expires > $3 AND s.seen > $4`,
		t.view.Tenant, deeds.Hash(value), deeds.Micro(now), deeds.Micro(now.Add(-idle)))
	return onlySession(sessions, err)
}

func onlySession(sessions []iam.Session, err error) (iam.Session, error) {
	if err != nil {
		return iam.Session{}, err
	}
	if len(sessions) == 0 {
		return iam.Session{}, iam.ErrNotFound
	}
	return sessions[0], nil
}

// LivingSession finds by id, also by one that the session went under before.
func (t *Tenant) LivingSession(ctx context.Context, id string, now time.Time, idle time.Duration) (iam.Session, error) {
	return onlySession(t.readSessions(ctx, sessionColumns+sessionLives+` WHERE s.tenant = $1
		AND s.id = COALESCE((SELECT p.session FROM past_sessions p WHERE p.tenant = $1 AND p.id = $2), $2) AND s.expires > $3 AND s.seen > $4`,
		t.view.Tenant, deeds.Clean(id), deeds.Micro(now), deeds.Micro(now.Add(-idle))))
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
			session, err := scanSession(row)
			sessions = append(sessions, session)
			return err
		})
	})
	return sessions, err
}

func scanSession(row deeds.Row, more ...any) (s iam.Session, err error) {
	var hashed, amr, proofs, answered string
	var authTime, created, seen, expires int64
	dest := append([]any{&s.ID, &hashed, &s.User, &authTime, &amr, &s.ACR, &s.Agent, &s.Address, &created, &seen, &expires, &proofs, &answered, &s.Device}, more...)
	if err := row.Scan(dest...); err != nil {
		return iam.Session{}, err
	}
	sum, err := deeds.Digest(hashed)
	s.Hash, s.AuthTime, s.AMR = iam.SessionHash(sum), deeds.At(authTime), deeds.Split(amr)
	s.Created, s.Seen, s.Expires = deeds.At(created), deeds.At(seen), deeds.At(expires)
	var broken, worse error
	s.Proofs, broken = factors.ProofsOf(proofs)
	s.Answered, worse = factors.AnswersOf(answered)
	return s, errors.Join(err, broken, worse)
}

// DeviceSecret finds a living device secret and its session.
func (t *Tenant) DeviceSecret(ctx context.Context, value iam.DeviceSecretHash, now time.Time) (iam.DeviceSecret, iam.Session, error) {
	secret, session := iam.DeviceSecret{Hash: value}, iam.Session{}
	found := false
	err := t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(sessionFields+`, `+factors.NativeColumns+` FROM `+factors.SecretStands+sessionLives+`
			WHERE k.tenant = $1 AND k.hash = $2 AND k.expires > $3 AND s.expires > $3`, []any{t.view.Tenant, deeds.Hash(value), deeds.Micro(now)}, func(row deeds.Row) (err error) {
			var created, expires int64
			found = true
			session, err = scanSession(row, &secret.Family, &secret.Client, &secret.JKT, &created, &expires)
			secret.User, secret.Session, secret.Created, secret.Expires = session.User, session.ID, deeds.At(created), deeds.At(expires)
			return err
		})
	})
	if err == nil && !found {
		err = iam.ErrNotFound
	}
	if err != nil {
		return iam.DeviceSecret{}, iam.Session{}, err
	}
	return secret, session, nil
}

// StartSession keeps a session in the place of an old one. ErrRevoked if the person no longer stands, or what the session
// rests on is no more.
func (t *Tenant) StartSession(ctx context.Context, session iam.Session, old iam.SessionHash, events ...journal.Event) error {
	proofs, err := factors.ProofsText(session.Proofs)
	if err != nil {
		return err
	}
	answered, err := factors.AnswersText(session.Answered)
	if err != nil {
		return err
	}
	return t.deed(ctx, events, func(d *deed) error {
		// Holding the person makes it wait for whoever is just disabling the person, or removing what it rests on.
		if err := d.Hold(iam.ErrRevoked, session.User, standing); err != nil {
			return err
		}
		before, err := d.sessionBefore(session, old)
		if err != nil {
			return err
		}
		if err := factors.Rests(d.Deed, session, before); err != nil {
			return err
		}
		if err := d.Later(`INSERT INTO sessions (tenant, id, hash, user_id, user_era, auth_time, amr, acr, agent, address, created, seen, expires, proofs, answered, device)
			SELECT $1, CAST($2 AS TEXT), CAST($3 AS TEXT), id, era, CAST($5 AS BIGINT), CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS TEXT),
			CAST($9 AS TEXT), CAST($10 AS BIGINT), CAST($11 AS BIGINT), CAST($12 AS BIGINT), CAST($13 AS TEXT), CAST($14 AS TEXT), CAST($15 AS TEXT)
			FROM users WHERE tenant = $1 AND id = $4`,
			d.Tenant, session.ID, deeds.Hash(session.Hash), session.User, deeds.Micro(session.AuthTime), deeds.Join(session.AMR), session.ACR,
			deeds.Clean(session.Agent), deeds.Clean(session.Address), deeds.Micro(session.Created), deeds.Micro(session.Seen), deeds.Micro(session.Expires),
			proofs, answered, deeds.Clean(session.Device)); err != nil || before.ID == "" {
			return err
		}
		return d.replaceSession(session, before)
	})
}

// sessionBefore finds what a session takes the place of; without an ID there is nothing.
func (d *deed) sessionBefore(session iam.Session, old iam.SessionHash) (before iam.Session, err error) {
	if iam.Digest(old).Zero() || old == session.Hash {
		return before, nil
	}
	err = d.Query(sessionColumns+` WHERE s.tenant = $1 AND s.hash = $2`, []any{d.Tenant, deeds.Hash(old)}, func(row deeds.Row) (err error) {
		before, err = scanSession(row)
		return err
	})
	return before, err
}

func (d *deed) replaceSession(session, before iam.Session) error {
	id, user := before.ID, before.User
	if user != session.User {
		return d.endSession(id)
	}
	// The same person: what was born of the old session goes on, so nothing of it is in the feed.
	return d.Do(append(append(passOn(d.Tenant, id, user, session), factors.PassOn(d.Tenant, id, user, session)...),
		deeds.May(`DELETE FROM sessions WHERE tenant = $1 AND id = $2`, d.Tenant, id),
		deeds.May(`UPDATE grants SET session = $3, device = CASE WHEN $5 = '' THEN device ELSE $5 END WHERE tenant = $1 AND session = $2 AND user_id = $4`,
			d.Tenant, id, session.ID, user, deeds.Clean(session.Device)),
		deeds.May(`UPDATE codes SET session = $3 WHERE tenant = $1 AND session = $2 AND user_id = $4 AND spent = 0`, d.Tenant, id, session.ID, user),
		deeds.May(`UPDATE asked SET session = $3 WHERE tenant = $1 AND session = $2 AND user_id = $4 AND user_id <> '' AND spent = 0`,
			d.Tenant, id, session.ID, user),
		deeds.May(`UPDATE flows SET session = $3 WHERE tenant = $1 AND session = $2 AND session <> ''`, d.Tenant, id, session.ID),
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
		if err := d.Do(factors.EndSecrets(d.Tenant, user, "")); err != nil {
			return err
		}
		if err := d.Later(`DELETE FROM codes WHERE tenant = $1 AND user_id = $2 AND spent = 0`, d.Tenant, user); err != nil {
			return err
		}
		return d.Ended(iam.ChangeGrant, `UPDATE grants SET revoked = $3 WHERE tenant = $1 AND user_id = $2 AND revoked = 0 RETURNING id`,
			d.Tenant, user, deeds.Micro(d.Now))
	})
}
