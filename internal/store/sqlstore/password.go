package sqlstore

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// Password finds the password of a person who was not removed.
func (t *Tenant) Password(ctx context.Context, user string) (iam.Password, error) {
	password := iam.Password{User: user}
	var changed int64
	err := t.read(ctx, func(tx deeds.Tx) error {
		return deeds.Only(tx, iam.ErrNotFound, `SELECT phc, changed FROM passwords WHERE tenant = $1 AND user_id = $2`, []any{t.view.Tenant, deeds.Clean(user)},
			&password.PHC, &changed)
	})
	if err != nil {
		return iam.Password{}, err
	}
	password.Changed = deeds.At(changed)
	return password, nil
}

// SetPassword replaces a password and ends what was given under the old one.
func (t *Tenant) SetPassword(ctx context.Context, password iam.Password, keep string, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error { return d.setPassword(password.User, password.PHC, keep) })
}

func (d *deed) setPassword(user, phc, keep string) error {
	if err := deeds.Only(d, iam.ErrNotFound, `SELECT id FROM users WHERE tenant = $1 AND id = $2 AND NOT removed`, []any{d.Tenant, user},
		new(string)); err != nil {
		return err
	}
	if err := d.endUser(user, keep, false); err != nil {
		return err
	}
	d.Change(iam.ChangedUser, user)
	return d.Later(`INSERT INTO passwords (tenant, user_id, phc, changed) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant, user_id) DO UPDATE SET phc = excluded.phc, changed = excluded.changed`, d.Tenant, user, phc, deeds.Micro(d.Now))
}

// Rehash replaces the PHC string of an unchanged password.
func (t *Tenant) Rehash(ctx context.Context, user, old, replacement string) error {
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Must(iam.ErrRaced, `UPDATE passwords SET phc = $4 WHERE tenant = $1 AND user_id = $2 AND phc = $3`, d.Tenant, user, old, replacement)
	})
}
