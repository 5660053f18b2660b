package sqlstore

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// ListGroups gives a page of groups by name.
func (t *Tenant) ListGroups(ctx context.Context, page iam.Page) ([]iam.Group, error) {
	var groups []iam.Group
	query := `SELECT g.name, g.say, g.created, (SELECT count(*) FROM members m WHERE m.tenant = g.tenant AND m.name = g.name)
		FROM user_groups g WHERE g.tenant = $1 AND g.name > $2 ORDER BY g.name LIMIT $3`
	err := t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(query, []any{t.view.Tenant, deeds.Clean(page.After), deeds.PageLimit(page)}, func(row deeds.Row) error {
			var group iam.Group
			var created, members int64
			err := row.Scan(&group.Name, &group.Say, &created, &members)
			group.Created, group.Members = deeds.At(created), int(members)
			groups = append(groups, group)
			return err
		})
	})
	return groups, err
}

// PutGroup adds a group or changes what it says.
func (t *Tenant) PutGroup(ctx context.Context, group iam.Group, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		return d.Later(`INSERT INTO user_groups (tenant, name, say, created) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant, name) DO UPDATE SET say = excluded.say`, d.Tenant, deeds.Clean(group.Name), deeds.Clean(group.Say), deeds.Micro(d.Now))
	})
}

// RemoveGroup removes a group; its members stay people.
func (t *Tenant) RemoveGroup(ctx context.Context, name string, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		if err := d.Must(iam.ErrNotFound, `DELETE FROM user_groups WHERE tenant = $1 AND name = $2`, d.Tenant, name); err != nil {
			return err
		}
		return d.Query(`DELETE FROM members WHERE tenant = $1 AND name = $2 RETURNING user_id`, []any{d.Tenant, name}, func(row deeds.Row) error {
			var user string
			err := row.Scan(&user)
			d.Change(iam.ChangedUser, user)
			return err
		})
	})
}

// GroupMembers gives a page of the group's members by id. ErrNotFound without the group.
func (t *Tenant) GroupMembers(ctx context.Context, name string, page iam.Page) ([]iam.User, error) {
	var users []iam.User
	err := t.read(ctx, func(tx deeds.Tx) error {
		err := deeds.Only(tx, iam.ErrNotFound, `SELECT name FROM user_groups WHERE tenant = $1 AND name = $2`, []any{t.view.Tenant, deeds.Clean(name)}, new(string))
		if err != nil {
			return err
		}
		users, err = readUsers(tx, t.view.Tenant, userColumns+` JOIN members m ON m.tenant = u.tenant AND m.user_id = u.id
			WHERE u.tenant = $1 AND m.name = $2 AND u.id > $3 AND NOT u.removed ORDER BY u.id LIMIT $4`,
			t.view.Tenant, deeds.Clean(name), deeds.Clean(page.After), deeds.PageLimit(page))
		return err
	})
	return users, err
}

// SetMember makes a person a member or not; either may be so already. ErrNotFound without the group or the person.
func (t *Tenant) SetMember(ctx context.Context, name, user string, member bool, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		if err := d.Must(iam.ErrNotFound, `UPDATE users SET changed = $3 WHERE tenant = $1 AND id = $2 AND NOT removed`,
			d.Tenant, user, deeds.Micro(d.Now)); err != nil {
			return err
		}
		d.Change(iam.ChangedUser, user)
		if member {
			return d.addMember(name, user)
		}
		return d.Later(`DELETE FROM members WHERE tenant = $1 AND user_id = $2 AND name = $3`, d.Tenant, user, name)
	})
}
