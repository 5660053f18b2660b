package sqlstore

import "github.com/gardeauth/garde/internal/iam"

// change tells every node to look again, or, of a token, grant or session, that it has ended.
func (d *deed) change(kind iam.ChangeKind, id string) {
	d.changes = append(d.changes, iam.Change{Kind: kind, ID: id, Until: d.now.Add(d.life)})
}

// endClient tells the feed that every token of the client is dead. The caller has begun a new era of the client.
func (d *deed) endClient(id string) {
	now := d.clock()
	d.changes = append(d.changes, iam.Change{Kind: iam.ChangeClient, ID: id, Before: now.Add(clientMargin), Until: now.Add(d.life + clientMargin)})
}

// ended runs a query that ends things and returns their ids, and tells the feed.
func (d *deed) ended(kind iam.ChangeKind, query string, args ...any) error {
	return d.Query(query, args, func(row Row) error {
		var id string
		err := row.Scan(&id)
		d.change(kind, id)
		return err
	})
}

// endUser begins a new era of a person: sessions, flows, links, codes, grants and tokens given before are dead, also those
// that another node commits a moment later. The session named keep and the grants born of it are taken along.
//
// entirely is for one who may do nothing any more. Otherwise the feed names each grant and session, so that a token issued
// within the same second, after signing in anew, is not caught.
func (d *deed) endUser(user, keep string, entirely bool) error {
	// This update waits for codes that are just being redeemed: they hold the same row (see Issue).
	if err := d.must(iam.ErrNotFound, `UPDATE users SET era = era + 1 WHERE tenant = $1 AND id = $2`, d.tenant, user); err != nil {
		return err
	}
	err := d.do(
		stmt(`DELETE FROM flows WHERE tenant = $1 AND user_id = $2 AND user_id <> '' AND ($3 = '' OR session <> $3)`, d.tenant, user, keep),
		stmt(`DELETE FROM links WHERE tenant = $1 AND user_id = $2`, d.tenant, user),
		// Spent codes stay until they are swept, so that a replay is still seen.
		stmt(`DELETE FROM codes WHERE tenant = $1 AND user_id = $2 AND spent = 0 AND ($3 = '' OR session <> $3)`, d.tenant, user, keep),
	)
	if err == nil && keep != "" {
		err = d.do(
			stmt(`UPDATE sessions SET user_era = user_era + 1 WHERE tenant = $1 AND id = $2 AND user_id = $3`, d.tenant, keep, user),
			stmt(`UPDATE grants SET user_era = user_era + 1 WHERE tenant = $1 AND user_id = $2 AND session = $3`, d.tenant, user, keep),
			stmt(`UPDATE codes SET user_era = user_era + 1 WHERE tenant = $1 AND user_id = $2 AND session = $3 AND spent = 0`, d.tenant, user, keep),
		)
	}
	if err != nil {
		return err
	}
	if err := d.ended(iam.ChangeGrant, `UPDATE grants SET revoked = $4 WHERE tenant = $1 AND user_id = $2 AND revoked = 0
		AND ($3 = '' OR session <> $3) RETURNING id`, d.tenant, user, keep, micro(d.now)); err != nil {
		return err
	}
	if err := d.ended(iam.ChangeSession, `DELETE FROM sessions WHERE tenant = $1 AND user_id = $2 AND id <> $3 RETURNING id`,
		d.tenant, user, keep); err != nil {
		return err
	}
	if entirely {
		// Read after the locks were taken: whatever got through before them was issued at or before this time.
		now := d.clock()
		d.changes = append(d.changes, iam.Change{Kind: iam.ChangeUser, ID: user, Before: now, Until: now.Add(d.life)})
	}
	return nil
}

// endSession ends a session, its flows and the grants that were not to outlive it.
func (d *deed) endSession(id string) error {
	var user string
	found, err := one(d, `SELECT user_id FROM sessions WHERE tenant = $1 AND id = $2`, []any{d.tenant, id}, &user)
	if err != nil || !found { // a session is kept until nothing that was born of it can live
		return err
	}
	err = d.do(
		stmt(`DELETE FROM flows WHERE tenant = $1 AND session = $2 AND session <> ''`, d.tenant, id),
		stmt(`DELETE FROM codes WHERE tenant = $1 AND user_id = $2 AND session = $3 AND spent = 0`, d.tenant, user, id),
	)
	if err != nil {
		return err
	}
	if err := d.ended(iam.ChangeSession, `DELETE FROM sessions WHERE tenant = $1 AND id = $2 RETURNING id`, d.tenant, id); err != nil {
		return err
	}
	return d.ended(iam.ChangeGrant, `UPDATE grants SET revoked = $3 WHERE tenant = $1 AND user_id = $4 AND session = $2 AND revoked = 0
		RETURNING id`, d.tenant, id, micro(d.now), user)
}

// endGrant ends a grant; it tells whether one stood. An ended one stays ended.
func (d *deed) endGrant(id string) (bool, error) {
	before := len(d.changes)
	err := d.ended(iam.ChangeGrant, `UPDATE grants SET revoked = $3 WHERE tenant = $1 AND id = $2 AND revoked = 0 RETURNING id`,
		d.tenant, id, micro(d.now))
	return len(d.changes) > before, err
}
