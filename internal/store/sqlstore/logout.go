package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/factors"
)

// A client was told the id of the session in which its grant began, and knows no other. So ids that were given up are
// remembered with their person, as long as anybody may have to be told of them: the grants are found through the person.

// passOn remembers that a session goes on under another id, with all the ids that it went under before.
func passOn(tenant, id, user string, next iam.Session) []deeds.Statement {
	until := deeds.Micro(next.Expires.Add(replayWindow))
	return []deeds.Statement{
		deeds.May(`UPDATE past_sessions SET session = $3, until = $4 WHERE tenant = $1 AND session = $2`, tenant, id, next.ID, until),
		deeds.May(`INSERT INTO past_sessions (tenant, id, user_id, session, until) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tenant, id) DO NOTHING`, tenant, id, user, next.ID, until),
	}
}

// endSessions ends the sessions of a person whose id stands in a relation (= or <>) to one.
func (d *deed) endSessions(user, relation, id string) error {
	if err := d.Later(`INSERT INTO past_sessions (tenant, id, user_id, session, until)
		SELECT s.tenant, s.id, s.user_id, s.id, CAST($4 AS BIGINT) FROM sessions s WHERE s.tenant = $1 AND s.user_id = $2 AND s.id `+relation+` $3
		ON CONFLICT (tenant, id) DO NOTHING`, d.Tenant, user, id, deeds.Micro(d.Now.Add(replayWindow))); err != nil {
		return err
	}
	if err := d.Do(factors.EndSessions(d.Tenant, user, relation, id)...); err != nil {
		return err
	}
	return d.Ended(iam.ChangeSession, `DELETE FROM sessions WHERE tenant = $1 AND user_id = $2 AND id `+relation+` $3 RETURNING id`, d.Tenant, user, id)
}

// Hearers gives the person of a session, and who got grants that began in it.
func (t *Tenant) Hearers(ctx context.Context, session string) (string, []iam.Hearer, error) {
	user, sids, err := t.sids(ctx, session)
	if err != nil || user == "" {
		return "", nil, err
	}
	grants, err := t.readGrants(ctx, `SELECT `+grantColumns+` FROM grants g WHERE g.tenant = $1 AND g.user_id = $2 AND g.user_id <> ''
		ORDER BY g.created, g.id`, t.view.Tenant, user)
	var hearers []iam.Hearer
	for _, grant := range grants {
		hearer := iam.Hearer{Client: grant.Client, SID: cmp.Or(grant.Login, grant.Session)}
		if slices.Contains(sids, hearer.SID) && !slices.Contains(hearers, hearer) {
			hearers = append(hearers, hearer)
		}
	}
	if len(hearers) == 0 {
		return "", nil, err
	}
	return user, hearers, err
}

// sids gives the person of a session and all ids that it went under.
func (t *Tenant) sids(ctx context.Context, session string) (user string, sids []string, err error) {
	if session == "" {
		return "", nil, nil
	}
	err = t.read(ctx, func(tx deeds.Tx) error {
		user, sids = "", []string{session}
		return tx.Query(`SELECT user_id, id FROM sessions WHERE tenant = $1 AND id = $2 UNION ALL
			SELECT user_id, id FROM past_sessions WHERE tenant = $1 AND id = $2 UNION ALL
			SELECT p.user_id, p.id FROM past_sessions p WHERE p.tenant = $1 AND p.session = $2`, []any{t.view.Tenant, deeds.Clean(session)}, func(row deeds.Row) error {
			var id string
			err := row.Scan(&user, &id)
			sids = append(sids, id)
			return err
		})
	})
	return user, sids, err
}
