package sqlstore

import (
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/factors"
)

// endUser begins a new era of a person: sessions, flows, links, codes, what waits for approval, grants and tokens given before are dead, also those
// that another node commits a moment later. The session named keep and the grants born of it are taken along.
//
// The feed names each grant and session, also those of clients whose tokens carry another sub of the person (pairwise), and so
// that a token issued within the same second, after signing in anew, is not caught. entirely is for one who may do nothing any
// more: the feed names the person, too.
func (d *deed) endUser(user, keep string, entirely bool) error {
	// This update waits for codes that are just being redeemed: they hold the same row (see Issue).
	if err := d.Must(iam.ErrNotFound, `UPDATE users SET era = era + 1 WHERE tenant = $1 AND id = $2`, d.Tenant, user); err != nil {
		return err
	}
	err := d.Do(
		deeds.May(`DELETE FROM flows WHERE tenant = $1 AND user_id = $2 AND user_id <> '' AND ($3 = '' OR session <> $3)`, d.Tenant, user, keep),
		deeds.May(`DELETE FROM links WHERE tenant = $1 AND user_id = $2`, d.Tenant, user),
		// Spent codes stay until they are swept, so that a replay is still seen.
		deeds.May(`DELETE FROM codes WHERE tenant = $1 AND user_id = $2 AND spent = 0 AND ($3 = '' OR session <> $3)`, d.Tenant, user, keep),
		// What was approved stays, too, and can't be spent: it is of an earlier era.
		deeds.May(`DELETE FROM asked WHERE tenant = $1 AND user_id = $2 AND user_id <> '' AND state = 'waiting'`, d.Tenant, user),
		factors.EndQuestions(d.Tenant, user),
	)
	if err == nil && keep != "" {
		err = d.Do(
			deeds.May(`UPDATE sessions SET user_era = user_era + 1 WHERE tenant = $1 AND id = $2 AND user_id = $3`, d.Tenant, keep, user),
			deeds.May(`UPDATE grants SET user_era = user_era + 1 WHERE tenant = $1 AND user_id = $2 AND session = $3`, d.Tenant, user, keep),
			deeds.May(`UPDATE codes SET user_era = user_era + 1 WHERE tenant = $1 AND user_id = $2 AND session = $3 AND spent = 0`, d.Tenant, user, keep),
		)
	}
	if err != nil {
		return err
	}
	if err := d.Ended(iam.ChangeGrant, `UPDATE grants SET revoked = $4 WHERE tenant = $1 AND user_id = $2 AND revoked = 0
		AND ($3 = '' OR session <> $3) RETURNING id`, d.Tenant, user, keep, deeds.Micro(d.Now)); err != nil {
		return err
	}
	if err := d.endSessions(user, `<>`, keep); err != nil {
		return err
	}
	if entirely {
		// Read after the locks were taken: whatever got through before them was issued at or before this time.
		now := d.Clock()
		d.Changes = append(d.Changes, iam.Change{Kind: iam.ChangeUser, ID: user, Before: now, Until: now.Add(d.Life)})
	}
	return nil
}

// endSession ends a session, its flows and the grants that were not to outlive it.
func (d *deed) endSession(id string) error {
	var user string
	found, err := deeds.One(d, `SELECT user_id FROM sessions WHERE tenant = $1 AND id = $2`, []any{d.Tenant, id}, &user)
	if err != nil || !found { // a session is kept until nothing that was born of it can live
		return err
	}
	err = d.Do(
		deeds.May(`DELETE FROM flows WHERE tenant = $1 AND session = $2 AND session <> ''`, d.Tenant, id),
		deeds.May(`DELETE FROM codes WHERE tenant = $1 AND user_id = $2 AND session = $3 AND spent = 0`, d.Tenant, user, id),
	)
	if err != nil {
		return err
	}
	if err := d.endSessions(user, `=`, id); err != nil {
		return err
	}
	return d.Ended(iam.ChangeGrant, `UPDATE grants SET revoked = $3 WHERE tenant = $1 AND user_id = $4 AND session = $2 AND revoked = 0
		RETURNING id`, d.Tenant, id, deeds.Micro(d.Now), user)
}

// endGrant ends a grant; it tells whether one stood. An ended one stays ended.
func (d *deed) endGrant(id string) (bool, error) {
	before := len(d.Changes)
	err := d.Ended(iam.ChangeGrant, `UPDATE grants SET revoked = $3 WHERE tenant = $1 AND id = $2 AND revoked = 0 RETURNING id`,
		d.Tenant, id, deeds.Micro(d.Now))
	return len(d.Changes) > before, err
}
