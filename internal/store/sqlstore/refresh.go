package sqlstore

import (
	"errors"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

const grantSessionLives = `(COALESCE(NULLIF(g.session, ''), $5) = '' OR EXISTS (SELECT 1 FROM sessions s WHERE s.tenant = g.tenant
	AND s.id = COALESCE(NULLIF(g.session, ''), $5) AND s.user_id = g.user_id AND s.user_era = g.user_era AND s.expires > $3))`

const grantOfRefresh = ` WHERE g.tenant = $1 AND g.id = (SELECT r.grant_id FROM refreshes r WHERE r.tenant = $1 AND r.hash = $2)
	AND g.client = $4 AND g.revoked = 0 AND g.expires > $3
	AND ` + grantClientStands + ` AND ` + grantUserStands + ` AND ` + grantSessionLives + ` AND ` + grantAsRead

// grantAsRead compares what the issue says of the grant, and of the consent, with what is kept.
const grantAsRead = `(g.session = '' OR $5 = '' OR g.session = $5) AND ($6 = '' OR g.user_id = $6) AND ($7 = ' ' OR EXISTS (
	SELECT 1 FROM consents a WHERE a.tenant = g.tenant AND a.user_id = g.user_id AND a.client = g.client AND a.scope = $7))`

// holdGrant holds the row of a refresh token's grant, on the condition that all stands: deeds of one family, and the
// family's revocation, come one after the other, and after the revocation nothing works.
func holdGrant(tenant string, issue iam.Issue) deeds.Statement {
	return deeds.Must(`UPDATE grants AS g SET used = used`+grantOfRefresh,
		tenant, deeds.Hash(issue.Refresh.Hash), deeds.Micro(issue.Now), issue.Refresh.Client, issue.Session, issue.User, allowed(issue.Allowed))
}

// markRefresh rotates a refresh token that lives, or, if it is not to be replaced, lets it live on.
func markRefresh(tenant string, issue iam.Issue) deeds.Statement {
	if issue.Replace == nil {
		return deeds.Must(`UPDATE refreshes SET idle = $4, used = $3 WHERE tenant = $1 AND hash = $2 AND rotated = 0 AND idle > $3`,
			tenant, deeds.Hash(issue.Refresh.Hash), deeds.Micro(issue.Now), deeds.Micro(issue.Idle))
	}
	return deeds.Must(`UPDATE refreshes SET rotated = $3, successor = $4 WHERE tenant = $1 AND hash = $2 AND rotated = 0 AND idle > $3`,
		tenant, deeds.Hash(issue.Refresh.Hash), deeds.Micro(issue.Now), deeds.Hash(issue.Replace.Hash))
}

// useRefresh uses a refresh token. The grant is held first: whatever is asked of its tokens afterwards stays so.
func (d *deed) useRefresh(issue iam.Issue) (done bool, err error) {
	held := holdGrant(d.Tenant, issue)
	if d.Alone() {
		err = deeds.Only(d, errUnmet, `SELECT 1 FROM grants g`+grantOfRefresh, held.Args, new(int64))
	} else {
		err = d.Step(errUnmet, held)
	}
	switch {
	case errors.Is(err, errUnmet):
		return true, d.whyNotGrant(issue)
	case err != nil:
		return false, err
	}
	switch err := d.Step(errUnmet, markRefresh(d.Tenant, issue)); {
	case errors.Is(err, errUnmet):
		return d.usedBefore(issue)
	case err != nil || issue.Replace == nil:
		return false, err
	}
	return false, d.Step(nil, refreshRow(d.Tenant, *issue.Replace))
}

// whyNotGrant classifies a refresh token whose grant could not be held.
func (d *deed) whyNotGrant(issue iam.Issue) error {
	d.Events = nil
	var client, user, session string
	var revoked, expires int64
	found, err := deeds.One(d, `SELECT g.client, g.user_id, g.session, g.revoked, g.expires FROM refreshes r JOIN grants g ON g.tenant = r.tenant AND g.id = r.grant_id
		WHERE r.tenant = $1 AND r.hash = $2`, []any{d.Tenant, deeds.Hash(issue.Refresh.Hash)}, &client, &user, &session, &revoked, &expires)
	switch {
	case err != nil:
		return err
	case !found:
		return iam.ErrNotFound
	case client != issue.Refresh.Client, issue.User != "" && issue.User != user:
		return iam.ErrMismatch
	case revoked != 0:
		return iam.ErrRevoked
	case expires <= deeds.Micro(issue.Now):
		return iam.ErrExpired
	default:
		return d.whyNotAsRead(issue, user, session)
	}
}

// usedBefore decides about a token of a standing grant that was rotated or has idled out. Within Grace, while its
// successor is unused, the successor is replaced: the answer was lost. Anything else is a theft.
func (d *deed) usedBefore(issue iam.Issue) (done bool, err error) {
	var rotated int64
	var successor, grant, user string
	if _, err := deeds.One(d, `SELECT r.rotated, r.successor, r.grant_id, g.user_id FROM refreshes r
		JOIN grants g ON g.tenant = r.tenant AND g.id = r.grant_id WHERE r.tenant = $1 AND r.hash = $2`,
		[]any{d.Tenant, deeds.Hash(issue.Refresh.Hash)}, &rotated, &successor, &grant, &user); err != nil {
		return false, err
	}
	if rotated == 0 {
		d.Events = nil
		return true, iam.ErrExpired
	}
	now := deeds.Micro(issue.Now)
	if issue.Replace != nil && successor != "" && now-rotated <= iam.Grace.Microseconds() {
		// A replaced successor has no successor: if it is shown after all, two parties hold the family.
		replaced, err := d.Exec(`UPDATE refreshes SET rotated = $3 WHERE tenant = $1 AND hash = $2 AND rotated = 0 AND used = 0`,
			d.Tenant, successor, now)
		if err != nil {
			return false, err
		}
		if replaced == 1 {
			if err := d.Later(`UPDATE refreshes SET successor = $3 WHERE tenant = $1 AND hash = $2`,
				d.Tenant, deeds.Hash(issue.Refresh.Hash), deeds.Hash(issue.Replace.Hash)); err != nil {
				return false, err
			}
			return false, d.Step(nil, refreshRow(d.Tenant, *issue.Replace))
		}
	}
	d.Events = nil
	d.Verdict = iam.ErrSpent
	return true, d.replayed("refresh_token", issue, grant, user)
}
