package sqlstore

import (
	"github.com/gardeauth/garde/internal/iam"
)

const grantSessionLives = `(COALESCE(NULLIF(g.session, ''), $5) = '' OR EXISTS (SELECT 1 FROM sessions s WHERE s.tenant = g.tenant
	AND s.id = COALESCE(NULLIF(g.session, ''), $5) AND s.user_id = g.user_id AND s.user_era = g.user_era AND s.expires > $3))`

// useRefresh uses a refresh token. It first holds the row of the grant, on the condition that all stands: deeds of one
// family, and the family's revocation, come one after the other, and after the revocation nothing works.
func (d *deed) useRefresh(issue iam.Issue) (done bool, err error) {
	proof, now := issue.Refresh, micro(issue.Now)
	held, err := d.Exec(`UPDATE grants AS g SET used = $3 WHERE g.tenant = $1
			AND g.id = (SELECT r.grant_id FROM refreshes r WHERE r.tenant = $1 AND r.hash = $2)
			AND g.client = $4 AND g.revoked = 0 AND g.expires > $3
			AND `+grantClientStands+` AND `+grantUserStands+` AND `+grantSessionLives,
		d.tenant, hash(proof.Hash), now, proof.Client, issue.Session)
	if err != nil {
		return false, err
	}
	if held == 0 {
		return true, d.whyNotGrant(issue)
	}
	var used int64
	if issue.Replace == nil {
		used, err = d.Exec(`UPDATE refreshes SET idle = $4, used = $3 WHERE tenant = $1 AND hash = $2 AND rotated = 0 AND idle > $3`,
			d.tenant, hash(proof.Hash), now, micro(issue.Idle))
	} else {
		used, err = d.Exec(`UPDATE refreshes SET rotated = $3, successor = $4 WHERE tenant = $1 AND hash = $2 AND rotated = 0 AND idle > $3`,
			d.tenant, hash(proof.Hash), now, hash(issue.Replace.Hash))
	}
	if err != nil {
		return false, err
	}
	if used == 0 {
		return d.usedBefore(issue)
	}
	if issue.Replace == nil {
		return false, nil
	}
	return false, d.addRefresh(*issue.Replace)
}

// whyNotGrant classifies a refresh token whose grant could not be held.
func (d *deed) whyNotGrant(issue iam.Issue) error {
	d.events = nil
	var client string
	var revoked, expires int64
	found, err := one(d, `SELECT g.client, g.revoked, g.expires FROM refreshes r JOIN grants g ON g.tenant = r.tenant AND g.id = r.grant_id
		WHERE r.tenant = $1 AND r.hash = $2`, []any{d.tenant, hash(issue.Refresh.Hash)}, &client, &revoked, &expires)
	switch {
	case err != nil:
		return err
	case !found:
		return iam.ErrNotFound
	case client != issue.Refresh.Client:
		return iam.ErrMismatch
	case revoked == 0 && expires <= micro(issue.Now):
		return iam.ErrExpired
	default:
		return iam.ErrRevoked
	}
}

// usedBefore decides about a token of a standing grant that was rotated or has idled out. Within Grace, while its
// successor is unused, the successor is replaced: the answer was lost. Anything else is a theft.
func (d *deed) usedBefore(issue iam.Issue) (done bool, err error) {
	var rotated int64
	var successor, grant, user string
	if _, err := one(d, `SELECT r.rotated, r.successor, r.grant_id, g.user_id FROM refreshes r
		JOIN grants g ON g.tenant = r.tenant AND g.id = r.grant_id WHERE r.tenant = $1 AND r.hash = $2`,
		[]any{d.tenant, hash(issue.Refresh.Hash)}, &rotated, &successor, &grant, &user); err != nil {
		return false, err
	}
	if rotated == 0 {
		d.events = nil
		return true, iam.ErrExpired
	}
	now := micro(issue.Now)
	if issue.Replace != nil && successor != "" && now-rotated <= iam.Grace.Microseconds() {
		// A replaced successor has no successor: if it is shown after all, two parties hold the family.
		replaced, err := d.Exec(`UPDATE refreshes SET rotated = $3 WHERE tenant = $1 AND hash = $2 AND rotated = 0 AND used = 0`,
			d.tenant, successor, now)
		if err != nil {
			return false, err
		}
		if replaced == 1 {
			if _, err := d.Exec(`UPDATE refreshes SET successor = $3 WHERE tenant = $1 AND hash = $2`,
				d.tenant, hash(issue.Refresh.Hash), hash(issue.Replace.Hash)); err != nil {
				return false, err
			}
			return false, d.addRefresh(*issue.Replace)
		}
	}
	d.events = nil
	d.verdict = iam.ErrSpent
	return true, d.replayed("refresh_token", issue, grant, user)
}
