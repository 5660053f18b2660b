package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// What a row called g (a grant) or k (a code) was given by must stand, in the era in which it was given.
const (
	grantClientStands = `EXISTS (SELECT 1 FROM clients c WHERE c.tenant = g.tenant AND c.id = g.client AND c.era = g.client_era
		AND NOT c.disabled AND NOT c.removed)`
	grantUserStands = `(g.user_id = '' OR EXISTS (SELECT 1 FROM users u WHERE u.tenant = g.tenant AND u.id = g.user_id AND u.era = g.user_era
		AND NOT u.disabled AND NOT u.removed))`
	codeClientStands = `EXISTS (SELECT 1 FROM clients c WHERE c.tenant = k.tenant AND c.id = k.client AND c.era = k.client_era
		AND NOT c.disabled AND NOT c.removed)`
	codeUserStands = `(k.user_id = '' OR EXISTS (SELECT 1 FROM users u WHERE u.tenant = k.tenant AND u.id = k.user_id AND u.era = k.user_era
		AND NOT u.disabled AND NOT u.removed))`
)

const grantColumns = `g.id, g.client, g.user_id, g.session, g.body, g.binding, g.created, g.expires, g.revoked,
	(` + grantClientStands + ` AND ` + grantUserStands + `)`

// bindingText is a binding as its column spells it: thumbprints have no spaces.
func bindingText(binding iam.Binding) string {
	if !binding.Bound() {
		return ""
	}
	return binding.JKT + " " + binding.X5T
}

func bindingOf(text string) iam.Binding {
	jkt, x5t, _ := strings.Cut(text, " ")
	return iam.Binding{JKT: jkt, X5T: x5t}
}

// grantBody is what of a grant is never asked by the database.
func grantBody(grant iam.Grant) (string, error) {
	grant.AuthTime = deeds.Whole(grant.AuthTime)
	grant.Created, grant.Expires, grant.Revoked = time.Time{}, time.Time{}, time.Time{}
	grant.ID, grant.Client, grant.User, grant.Session, grant.Binding = "", "", "", "", iam.Binding{}
	return deeds.AsJSON(grant)
}

func (t *Tenant) scanGrant(row deeds.Row, more ...any) (iam.Grant, error) {
	var id, client, user, session, body, binding string
	var created, expires, revoked int64
	var stands bool
	dest := append([]any{&id, &client, &user, &session, &body, &binding, &created, &expires, &revoked, &stands}, more...)
	if err := row.Scan(dest...); err != nil {
		return iam.Grant{}, err
	}
	var grant iam.Grant
	err := deeds.FromJSON(body, &grant)
	grant.ID, grant.Client, grant.User, grant.Session, grant.Binding = id, client, user, session, bindingOf(binding)
	grant.Created, grant.Expires, grant.Revoked = deeds.At(created), deeds.At(expires), deeds.At(revoked)
	grant.AuthTime = deeds.Whole(grant.AuthTime)
	if !stands && revoked == 0 {
		// It ended with its client or person, in one stroke.
		grant.Revoked = deeds.Whole(t.view.Now())
	}
	return grant, err
}

// Grant finds a grant, also an ended one.
func (t *Tenant) Grant(ctx context.Context, id string) (iam.Grant, error) {
	grants, err := t.readGrants(ctx, `SELECT `+grantColumns+` FROM grants g WHERE g.tenant = $1 AND g.id = $2`, t.view.Tenant, deeds.Clean(id))
	if err != nil {
		return iam.Grant{}, err
	}
	if len(grants) == 0 {
		return iam.Grant{}, iam.ErrNotFound
	}
	return grants[0], nil
}

// UserGrants gives the grants of a person that stand, newest first.
func (t *Tenant) UserGrants(ctx context.Context, user string) ([]iam.Grant, error) {
	return t.readGrants(ctx, `SELECT `+grantColumns+` FROM grants g WHERE g.tenant = $1 AND g.user_id = $2 AND g.revoked = 0 AND g.expires > $3
		AND `+grantClientStands+` AND `+grantUserStands+` ORDER BY g.created DESC, g.id`, t.view.Tenant, deeds.Clean(user), deeds.Micro(t.view.Now()))
}

func (t *Tenant) readGrants(ctx context.Context, query string, args ...any) ([]iam.Grant, error) {
	var grants []iam.Grant
	err := t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(query, args, func(row deeds.Row) error {
			grant, err := t.scanGrant(row)
			grants = append(grants, grant)
			return err
		})
	})
	return grants, err
}

// RevokeGrant ends a grant. ErrNotFound when there is none; ending it again is no error and makes no second feed entry.
func (t *Tenant) RevokeGrant(ctx context.Context, id string, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		stood, err := d.endGrant(id)
		if err != nil || stood {
			return err
		}
		d.Events = nil
		return deeds.Only(d, iam.ErrNotFound, `SELECT id FROM grants WHERE tenant = $1 AND id = $2`, []any{d.Tenant, id}, new(string))
	})
}

// RevokeToken ends one access token by its id.
func (t *Tenant) RevokeToken(ctx context.Context, id string, until time.Time, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		d.Changes = append(d.Changes, iam.Change{Kind: iam.ChangeToken, ID: id, Until: until})
		return d.Later(`INSERT INTO ended_tokens (tenant, id, until) VALUES ($1, $2, $3)
			ON CONFLICT (tenant, id) DO UPDATE SET until = excluded.until WHERE ended_tokens.until < excluded.until`,
			d.Tenant, deeds.Clean(id), deeds.Micro(until))
	})
}

// Refresh finds a refresh token and its grant without using it.
func (t *Tenant) Refresh(ctx context.Context, value iam.RefreshHash) (iam.Refresh, iam.Grant, error) {
	refresh := iam.Refresh{Hash: value}
	var grant iam.Grant
	found := false
	err := t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(`SELECT `+grantColumns+`, r.created, r.idle FROM refreshes r JOIN grants g ON g.tenant = r.tenant AND g.id = r.grant_id
			WHERE r.tenant = $1 AND r.hash = $2`, []any{t.view.Tenant, deeds.Hash(value)}, func(row deeds.Row) (err error) {
			var created, idle int64
			found = true
			grant, err = t.scanGrant(row, &created, &idle)
			refresh.Grant, refresh.Created, refresh.Idle = grant.ID, deeds.At(created), deeds.At(idle)
			return err
		})
	})
	if err == nil && !found {
		err = iam.ErrNotFound
	}
	if err != nil {
		return iam.Refresh{}, iam.Grant{}, err
	}
	return refresh, grant, nil
}

// Access finds a living opaque token.
func (t *Tenant) Access(ctx context.Context, value iam.AccessHash, now time.Time) (iam.Access, error) {
	access := iam.Access{}
	found := false
	query := `SELECT a.body FROM accesses a JOIN clients c ON c.tenant = a.tenant AND c.id = a.client AND c.era = a.client_era
			AND NOT c.disabled AND NOT c.removed
		WHERE a.tenant = $1 AND a.hash = $2 AND a.expires > $3
		AND (a.grant_id = '' OR EXISTS (SELECT 1 FROM grants g WHERE g.tenant = a.tenant AND g.id = a.grant_id AND g.revoked = 0
			AND ` + grantUserStands + ` AND ` + grantClientStands + `))
		AND NOT EXISTS (SELECT 1 FROM ended_tokens e WHERE e.tenant = a.tenant AND e.id = a.id)`
	err := t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(query, []any{t.view.Tenant, deeds.Hash(value), deeds.Micro(now)}, func(row deeds.Row) error {
			var body string
			found = true
			if err := row.Scan(&body); err != nil {
				return err
			}
			return deeds.FromJSON(body, &access)
		})
	})
	if err == nil && !found {
		err = iam.ErrNotFound
	}
	if err != nil {
		return iam.Access{}, err
	}
	access.Hash = value
	return access, nil
}

// accessRow is ErrRevoked's if the client no longer stands.
func accessRow(tenant string, access iam.Access) (deeds.Statement, error) {
	stored := access
	stored.Hash = iam.AccessHash{}
	stored.AuthTime, stored.Issued, stored.Expires = deeds.Whole(access.AuthTime), deeds.Whole(access.Issued), deeds.Whole(access.Expires)
	body, err := deeds.AsJSON(stored)
	return deeds.Must(`INSERT INTO accesses (tenant, hash, id, grant_id, client, client_era, body, expires)
		SELECT c.tenant, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), c.id, c.era, CAST($6 AS TEXT), CAST($7 AS BIGINT)
		FROM clients c WHERE c.tenant = $1 AND c.id = $5 AND NOT c.disabled AND NOT c.removed`,
		tenant, deeds.Hash(access.Hash), access.ID, access.Grant, access.Client, body, deeds.Micro(access.Expires)), err
}

func refreshRow(tenant string, refresh iam.Refresh) deeds.Statement {
	return deeds.May(`INSERT INTO refreshes (tenant, hash, grant_id, created, idle) VALUES ($1, $2, $3, $4, $5)`,
		tenant, deeds.Hash(refresh.Hash), refresh.Grant, deeds.Micro(refresh.Created), deeds.Micro(refresh.Idle))
}
