package registry

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

const initialColumns = `SELECT id, hash, policy, remaining, note, created, expires FROM initials WHERE tenant = $1`

// AddInitial keeps an initial access token.
func (r *Registry) AddInitial(ctx context.Context, initial iam.Initial, events ...journal.Event) error {
	return r.deed(ctx, events, func(d *deed) error {
		return d.Later(`INSERT INTO initials (tenant, id, hash, policy, remaining, note, created, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			d.Tenant, initial.ID, deeds.Hash(initial.Hash), initial.Policy, int64(initial.Left), deeds.Clean(initial.Note),
			d.madeAt(initial.Created), deeds.Micro(initial.Expires))
	})
}

// ListInitials gives all initial access tokens that are kept, newest first.
func (r *Registry) ListInitials(ctx context.Context) ([]iam.Initial, error) {
	return r.initials(ctx, ` ORDER BY created DESC, id`, r.view.Tenant)
}

// RemoveInitial ends one.
func (r *Registry) RemoveInitial(ctx context.Context, id string, events ...journal.Event) error {
	return r.deed(ctx, events, func(d *deed) error {
		return d.Must(iam.ErrNotFound, `DELETE FROM initials WHERE tenant = $1 AND id = $2`, d.Tenant, id)
	})
}

// Initial finds a living one without using it.
func (r *Registry) Initial(ctx context.Context, value iam.InitialHash, now time.Time) (iam.Initial, error) {
	found, err := r.initials(ctx, ` AND hash = $2`, r.view.Tenant, deeds.Hash(value))
	if err == nil {
		err = lives(found, now)
	}
	if err != nil {
		return iam.Initial{}, err
	}
	return found[0], nil
}

func lives(found []iam.Initial, now time.Time) error {
	switch {
	case len(found) == 0:
		return iam.ErrNotFound
	case !found[0].Expires.After(now):
		return iam.ErrExpired
	case found[0].Left <= 0:
		return iam.ErrSpent
	default:
		return nil
	}
}

// useInitial uses one up by one client, of its policy alone: compared and counted in one update.
func (d *deed) useInitial(value iam.InitialHash, policy string) error {
	used, err := d.Exec(`UPDATE initials SET remaining = remaining - 1 WHERE tenant = $1 AND hash = $2 AND policy = $3 AND remaining > 0 AND expires > $4`,
		d.Tenant, deeds.Hash(value), policy, deeds.Micro(d.Now))
	if err != nil || used == 1 {
		return err
	}
	found, err := readInitials(d, ` AND hash = $2 AND policy = $3`, d.Tenant, deeds.Hash(value), policy)
	if err == nil {
		err = lives(found, d.Now)
	}
	if err == nil { // it was given another use meanwhile, which nobody can do
		err = iam.ErrSpent
	}
	return err
}

func (r *Registry) initials(ctx context.Context, query string, args ...any) (initials []iam.Initial, err error) {
	err = r.read(ctx, func(tx deeds.Tx) error {
		initials, err = readInitials(tx, query, args...)
		return err
	})
	return initials, err
}

func readInitials(tx deeds.Tx, query string, args ...any) ([]iam.Initial, error) {
	var initials []iam.Initial
	err := tx.Query(initialColumns+query, args, func(row deeds.Row) error {
		var initial iam.Initial
		var hashed string
		var left, created, expires int64
		if err := row.Scan(&initial.ID, &hashed, &initial.Policy, &left, &initial.Note, &created, &expires); err != nil {
			return err
		}
		sum, err := deeds.Digest(hashed)
		initial.Hash, initial.Left, initial.Created, initial.Expires = iam.InitialHash(sum), int(left), deeds.At(created), deeds.At(expires)
		initials = append(initials, initial)
		return err
	})
	return initials, err
}
