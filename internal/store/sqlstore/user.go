package sqlstore

import (
	"context"
	"fmt"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/factors"
)

const userColumns = `SELECT u.id, u.username, u.email, u.email_key, u.email_verified, u.name, u.claims, u.admin, u.disabled, u.locale,
	u.created, u.changed FROM users u`

// User finds a person who was not removed.
func (t *Tenant) User(ctx context.Context, id string) (iam.User, error) {
	return t.findUser(ctx, userColumns+` WHERE u.tenant = $1 AND u.id = $2 AND NOT u.removed`, deeds.Clean(id))
}

// UserByName finds by username, else by verified address.
func (t *Tenant) UserByName(ctx context.Context, canonical string) (iam.User, error) {
	if canonical == "" {
		return iam.User{}, iam.ErrNotFound
	}
	user, err := t.findUser(ctx, userColumns+` WHERE u.tenant = $1 AND u.username = $2 AND NOT u.removed`, deeds.Clean(canonical))
	if err != iam.ErrNotFound { //nolint:errorlint // findUser gives it bare
		return user, err
	}
	return t.findUser(ctx, userColumns+` WHERE u.tenant = $1 AND u.email_key = $2 AND u.email_verified AND NOT u.removed AND u.email_key <> ''`,
		deeds.Clean(canonical))
}

func (t *Tenant) findUser(ctx context.Context, query, key string) (iam.User, error) {
	var user iam.User
	err := t.read(ctx, func(tx deeds.Tx) error {
		users, err := readUsers(tx, t.view.Tenant, query, t.view.Tenant, key)
		if err != nil {
			return err
		}
		if len(users) == 0 {
			return iam.ErrNotFound
		}
		user = users[0]
		return nil
	})
	return user, err
}

// ListUsers gives a page of people by id.
func (t *Tenant) ListUsers(ctx context.Context, page iam.Page) ([]iam.User, error) {
	var users []iam.User
	err := t.read(ctx, func(tx deeds.Tx) (err error) {
		users, err = readUsers(tx, t.view.Tenant, userColumns+` WHERE u.tenant = $1 AND u.id > $2 AND NOT u.removed ORDER BY u.id LIMIT $3`,
			t.view.Tenant, deeds.Clean(page.After), deeds.PageLimit(page))
		return err
	})
	return users, err
}

func readUsers(tx deeds.Tx, tenant, query string, args ...any) ([]iam.User, error) {
	var users []iam.User
	err := tx.Query(query, args, func(row deeds.Row) error {
		var user iam.User
		var claims string
		var created, changed int64
		if err := row.Scan(&user.ID, &user.Username, &user.Email, &user.EmailKey, &user.EmailVerified, &user.Name, &claims,
			&user.Admin, &user.Disabled, &user.Locale, &created, &changed); err != nil {
			return err
		}
		user.Created, user.Changed = deeds.At(created), deeds.At(changed)
		users = append(users, user)
		return deeds.FromJSON(claims, &users[len(users)-1].Claims)
	})
	if err != nil {
		return nil, err
	}
	for i := range users {
		err := tx.Query(`SELECT name FROM members WHERE tenant = $1 AND user_id = $2 ORDER BY name`, []any{tenant, users[i].ID}, func(row deeds.Row) error {
			var name string
			err := row.Scan(&name)
			users[i].Groups = append(users[i].Groups, name)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return users, nil
}

// AddUser adds a person. Times that are zero become now. ErrNotFound names a group that does not exist.
func (t *Tenant) AddUser(ctx context.Context, user iam.User, password iam.Password, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		claims, err := claimsOf(user)
		if err != nil {
			return err
		}
		created := deeds.Micro(user.Created)
		if created == 0 {
			created = deeds.Micro(d.Now)
		}
		if err := d.Later(`INSERT INTO users (tenant, id, username, email, email_key, email_verified, name, claims, admin, disabled,
			locale, created, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
			d.Tenant, user.ID, deeds.Clean(user.Username), deeds.Clean(user.Email), deeds.Clean(user.EmailKey), user.EmailVerified, deeds.Clean(user.Name),
			claims, user.Admin, user.Disabled, deeds.Clean(user.Locale), created, deeds.Micro(d.Now)); err != nil {
			return err
		}
		if password.PHC != "" {
			if err := d.Later(`INSERT INTO passwords (tenant, user_id, phc, changed) VALUES ($1, $2, $3, $4)`,
				d.Tenant, user.ID, password.PHC, deeds.Micro(d.Now)); err != nil {
				return err
			}
		}
		d.Change(iam.ChangedUser, user.ID)
		return d.setGroups(user)
	})
}

// SetUser replaces what is known of a person, groups included. ErrExists if the new name or verified address is taken.
func (t *Tenant) SetUser(ctx context.Context, user iam.User, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		claims, err := claimsOf(user)
		if err != nil {
			return err
		}
		err = d.Must(iam.ErrNotFound, `UPDATE users SET username = $3, email = $4, email_key = $5, email_verified = $6, name = $7,
			claims = $8, admin = $9, disabled = $10, locale = $11, changed = $12 WHERE tenant = $1 AND id = $2 AND NOT removed`,
			d.Tenant, user.ID, deeds.Clean(user.Username), deeds.Clean(user.Email), deeds.Clean(user.EmailKey), user.EmailVerified, deeds.Clean(user.Name),
			claims, user.Admin, user.Disabled, deeds.Clean(user.Locale), deeds.Micro(d.Now))
		if err != nil {
			return err
		}
		if user.Disabled {
			if err := d.endUser(user.ID, "", true); err != nil {
				return err
			}
		}
		d.Change(iam.ChangedUser, user.ID)
		return d.setGroups(user)
	})
}

func claimsOf(user iam.User) (string, error) {
	if len(user.Claims) == 0 {
		return "", nil
	}
	return deeds.AsJSON(user.Claims)
}

// setGroups makes the person a member of exactly those groups.
func (d *deed) setGroups(user iam.User) error {
	if err := d.Later(`DELETE FROM members WHERE tenant = $1 AND user_id = $2`, d.Tenant, user.ID); err != nil {
		return err
	}
	for _, name := range user.Groups {
		if err := d.addMember(name, user.ID); err != nil {
			return fmt.Errorf("group %s: %w", name, err)
		}
	}
	return nil
}

// addMember adds one who may be a member already; ErrNotFound without the group.
func (d *deed) addMember(group, user string) error {
	if err := deeds.Only(d, iam.ErrNotFound, `SELECT name FROM user_groups WHERE tenant = $1 AND name = $2`, []any{d.Tenant, group}, new(string)); err != nil {
		return err
	}
	return d.Later(`INSERT INTO members (tenant, user_id, name) VALUES ($1, $2, $3) ON CONFLICT (tenant, user_id, name) DO NOTHING`,
		d.Tenant, user, group)
}

// RemoveUser ends everything of a person and forgets all but the id.
func (t *Tenant) RemoveUser(ctx context.Context, id string, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		err := d.Must(iam.ErrNotFound, `UPDATE users SET removed = TRUE, disabled = TRUE, username = '', email = '', email_key = '',
			email_verified = FALSE, name = '', claims = '', admin = FALSE, locale = '', changed = $3
			WHERE tenant = $1 AND id = $2 AND NOT removed`, d.Tenant, id, deeds.Micro(d.Now))
		if err != nil {
			return err
		}
		if err := d.endUser(id, "", true); err != nil {
			return err
		}
		d.Change(iam.ChangedUser, id)
		return d.Do(append(factors.Forget(d.Tenant, id),
			deeds.May(`DELETE FROM passwords WHERE tenant = $1 AND user_id = $2`, d.Tenant, id),
			deeds.May(`DELETE FROM members WHERE tenant = $1 AND user_id = $2`, d.Tenant, id),
			deeds.May(`DELETE FROM consents WHERE tenant = $1 AND user_id = $2`, d.Tenant, id),
		)...)
	})
}
