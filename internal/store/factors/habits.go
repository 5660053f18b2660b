package factors

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// Habits finds what is kept of a person's ways.
func (f *Factors) Habits(ctx context.Context, user string) (iam.Habits, error) {
	habits := iam.Habits{User: user}
	var changed int64
	err := f.read(ctx, func(tx deeds.Tx) error {
		return deeds.Only(tx, iam.ErrNotFound, `SELECT sealed, version, off, changed FROM habits WHERE tenant = $1 AND user_id = $2`,
			[]any{f.view.Tenant, deeds.Clean(user)}, &habits.Sealed, &habits.Version, &habits.Off, &changed)
	})
	if err != nil {
		return iam.Habits{}, err
	}
	habits.Changed = deeds.At(changed)
	return habits, nil
}

// LearnHabits keeps what was learned on top of a version, in one conditional write.
func (f *Factors) LearnHabits(ctx context.Context, habits iam.Habits, from int64) error {
	if len(habits.Sealed) > iam.MaxHabits {
		return iam.ErrFull
	}
	return f.deed(ctx, nil, func(d *deeds.Deed) error {
		// Nothing is learned of a person who is just being removed.
		if err := d.Hold(iam.ErrRevoked, habits.User, standing); err != nil {
			return err
		}
		changed := deeds.Micro(habits.Changed)
		if changed == 0 {
			changed = deeds.Micro(d.Now)
		}
		write, args := `UPDATE habits SET sealed = $3, changed = $4, version = version + 1 WHERE tenant = $1 AND user_id = $2 AND version = $5 AND NOT off`,
			[]any{d.Tenant, habits.User, habits.Sealed, changed, from}
		if from == 0 {
			write, args = `INSERT INTO habits (tenant, user_id, sealed, version, off, changed) VALUES ($1, $2, $3, 1, FALSE, $4)
				ON CONFLICT (tenant, user_id) DO NOTHING`, args[:4]
		}
		n, err := d.Exec(write, args...)
		if err != nil || n == 1 {
			return err
		}
		var off bool
		if _, err := deeds.One(d, `SELECT off FROM habits WHERE tenant = $1 AND user_id = $2`, []any{d.Tenant, habits.User}, &off); err != nil {
			return err
		}
		if off {
			return iam.ErrRevoked
		}
		return iam.ErrRaced
	})
}

// SwitchHabits switches learning of a person's ways on or off.
func (f *Factors) SwitchHabits(ctx context.Context, user string, on bool, events ...journal.Event) error {
	return f.deed(ctx, events, func(d *deeds.Deed) error {
		if err := d.Hold(iam.ErrNotFound, user, ` AND NOT removed`); err != nil {
			return err
		}
		if on {
			return d.Later(`UPDATE habits SET off = FALSE, version = version + 1, changed = $3 WHERE tenant = $1 AND user_id = $2 AND off`,
				d.Tenant, user, deeds.Micro(d.Now))
		}
		return d.Later(`INSERT INTO habits (tenant, user_id, sealed, version, off, changed) VALUES ($1, $2, '', 1, TRUE, $3)
			ON CONFLICT (tenant, user_id) DO UPDATE SET sealed = '', off = TRUE, version = habits.version + 1, changed = excluded.changed`,
			d.Tenant, user, deeds.Micro(d.Now))
	})
}

// EraseHabits forgets what was learned. The version goes on, so that what was read before is not written back.
func (f *Factors) EraseHabits(ctx context.Context, user string, events ...journal.Event) error {
	return f.deed(ctx, events, func(d *deeds.Deed) error {
		return d.Later(`UPDATE habits SET sealed = '', version = version + 1, changed = $3 WHERE tenant = $1 AND user_id = $2`,
			d.Tenant, user, deeds.Micro(d.Now))
	})
}
