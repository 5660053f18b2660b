package sqlstore

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/factors"
)

// AddLink keeps a link and ends earlier ones of the same kind and person. ErrNotFound without the person.
func (t *Tenant) AddLink(ctx context.Context, link iam.Link, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		// The update makes two links that are asked for at once come one after the other: one of them lives.
		err := d.Must(iam.ErrNotFound, `UPDATE users SET era = era WHERE tenant = $1 AND id = $2 AND NOT removed`, d.Tenant, link.User)
		if err != nil {
			return err
		}
		return d.Do(
			deeds.May(`DELETE FROM links WHERE tenant = $1 AND user_id = $2 AND kind = $3`, d.Tenant, link.User, string(link.Kind)),
			deeds.May(`INSERT INTO links (tenant, hash, kind, user_id, user_era, email, flow, created, expires)
				SELECT $1, CAST($2 AS TEXT), CAST($3 AS TEXT), id, era, CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS BIGINT), CAST($8 AS BIGINT)
				FROM users WHERE tenant = $1 AND id = $4`,
				d.Tenant, deeds.Hash(link.Hash), string(link.Kind), link.User, link.Email, link.Flow, deeds.Micro(link.Created), deeds.Micro(link.Expires)),
		)
	})
}

const linkColumns = `hash, kind, user_id, email, flow, created, expires`

// linkStands names what a living link needs: its kind, its time, and a person whose era it was made in.
const linkStands = ` WHERE tenant = $1 AND hash = $2 AND kind = $3 AND expires > $4 AND EXISTS (SELECT 1 FROM users u
	WHERE u.tenant = links.tenant AND u.id = links.user_id AND u.era = links.user_era AND NOT u.disabled AND NOT u.removed)`

// Link finds a living link of that kind without spending it.
func (t *Tenant) Link(ctx context.Context, kind iam.LinkKind, value iam.LinkHash) (iam.Link, error) {
	var link iam.Link
	err := t.read(ctx, func(tx deeds.Tx) (err error) {
		link, err = readLink(tx, `SELECT `+linkColumns+` FROM links`+linkStands, t.view.Tenant, deeds.Hash(value), string(kind), deeds.Micro(t.view.Now()))
		return err
	})
	return link, err
}

func readLink(tx deeds.Tx, query string, args ...any) (iam.Link, error) {
	var link iam.Link
	var hashed, kind string
	var created, expires int64
	if err := deeds.Only(tx, iam.ErrNotFound, query, args, &hashed, &kind, &link.User, &link.Email, &link.Flow, &created, &expires); err != nil {
		return iam.Link{}, err
	}
	sum, err := deeds.Digest(hashed)
	link.Hash, link.Kind, link.Created, link.Expires = iam.LinkHash(sum), iam.LinkKind(kind), deeds.At(created), deeds.At(expires)
	return link, err
}

// spendLink spends a living link of that kind: of many callers one gets it.
func (d *deed) spendLink(kind iam.LinkKind, value iam.LinkHash) (iam.Link, error) {
	return readLink(d, `DELETE FROM links`+linkStands+` RETURNING `+linkColumns, d.Tenant, deeds.Hash(value), string(kind), deeds.Micro(d.Now))
}

// VerifyEmail spends a link and marks the address that it proves, if it still is the person's.
func (t *Tenant) VerifyEmail(ctx context.Context, value iam.LinkHash, events ...journal.Event) (iam.User, error) {
	return t.useLink(ctx, iam.LinkVerify, value, events, func(d *deed, link iam.Link) error {
		d.Change(iam.ChangedUser, link.User)
		return d.Must(iam.ErrNotFound, `UPDATE users SET email_verified = TRUE, changed = $4
			WHERE tenant = $1 AND id = $2 AND email = $3 AND NOT removed`, d.Tenant, link.User, link.Email, deeds.Micro(d.Now))
	})
}

// UsePasswordLink spends a link and sets the password. A link of any other kind is ErrNotFound.
func (t *Tenant) UsePasswordLink(ctx context.Context, kind iam.LinkKind, value iam.LinkHash, phc string, events ...journal.Event) (iam.User, error) {
	if kind != iam.LinkReset && kind != iam.LinkEnrol {
		return iam.User{}, iam.ErrNotFound
	}
	return t.useLink(ctx, kind, value, events, func(d *deed, link iam.Link) error {
		return d.setPassword(link.User, phc, "")
	})
}

// UseFactorLink spends a link and adds an authenticator to its person.
func (t *Tenant) UseFactorLink(ctx context.Context, value iam.LinkHash, added iam.Authenticator, events ...journal.Event) (iam.User, error) {
	return t.useLink(ctx, iam.LinkEnrol, value, events, func(d *deed, link iam.Link) error {
		added.User = link.User
		if err := factors.Keep(d.Deed, added); err != nil {
			return err
		}
		d.Change(iam.ChangedUser, link.User)
		return d.endUser(link.User, "", false)
	})
}

func (t *Tenant) useLink(ctx context.Context, kind iam.LinkKind, value iam.LinkHash, events []journal.Event, use func(*deed, iam.Link) error) (iam.User, error) {
	var user iam.User
	err := t.deed(ctx, events, func(d *deed) error {
		link, err := d.spendLink(kind, value)
		if err != nil {
			return err
		}
		if err := use(d, link); err != nil {
			return err
		}
		users, err := readUsers(d, d.Tenant, userColumns+` WHERE u.tenant = $1 AND u.id = $2 AND NOT u.removed`, d.Tenant, link.User)
		if err != nil {
			return err
		}
		if len(users) == 0 {
			return iam.ErrNotFound
		}
		user = users[0]
		return nil
	})
	if err != nil {
		return iam.User{}, err
	}
	return user, nil
}
