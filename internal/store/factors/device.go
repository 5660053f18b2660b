package factors

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

const deviceColumns = `SELECT id, user_id, name, agent, address, created, seen, expires, turn FROM devices
	WHERE tenant = $1 AND user_id = $2 AND forgotten = 0`

func (f *Factors) devices(ctx context.Context, query string, args ...any) ([]iam.Device, error) {
	var all []iam.Device
	err := f.read(ctx, func(tx deeds.Tx) error {
		all = nil
		return tx.Query(deviceColumns+query, args, func(row deeds.Row) error {
			var device iam.Device
			var created, seen, expires int64
			err := row.Scan(&device.ID, &device.User, &device.Name, &device.Agent, &device.Address, &created, &seen, &expires, &device.Turn)
			device.Created, device.Seen, device.Expires = deeds.At(created), deeds.At(seen), deeds.At(expires)
			all = append(all, device)
			return err
		})
	})
	return all, err
}

// KeepDevice adds a device or brings what is known of it up to date. Created and Name of a known one stay; those of one that
// had expired do not.
func (f *Factors) KeepDevice(ctx context.Context, device iam.Device) error {
	return f.deed(ctx, nil, func(d *deeds.Deed) error {
		if err := d.Hold(iam.ErrRevoked, device.User, standing); err != nil {
			return err
		}
		var turn int64
		if _, err := deeds.One(d, `SELECT turn FROM devices WHERE tenant = $1 AND user_id = $2 AND id = $3 AND forgotten = 0`,
			[]any{d.Tenant, device.User, deeds.Clean(device.ID)}, &turn); err != nil {
			return err
		}
		if turn > device.Turn {
			return iam.ErrSpent
		}
		if err := d.Must(iam.ErrRevoked, `INSERT INTO devices (tenant, user_id, id, name, agent, address, created, seen, expires, turn)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (tenant, user_id, id) DO UPDATE SET agent = excluded.agent, address = excluded.address, seen = excluded.seen, expires = excluded.expires,
				turn = excluded.turn,
				name = CASE WHEN devices.expires > excluded.seen THEN devices.name ELSE excluded.name END,
				created = CASE WHEN devices.expires > excluded.seen THEN devices.created ELSE excluded.created END
			WHERE devices.forgotten = 0`, d.Tenant, device.User, deeds.Clean(device.ID), deeds.Clean(device.Name), deeds.Clean(device.Agent), deeds.Clean(device.Address),
			deeds.Micro(device.Created), deeds.Micro(device.Seen), deeds.Micro(device.Expires), device.Turn); err != nil {
			return err
		}
		return d.Later(`DELETE FROM devices WHERE tenant = $1 AND user_id = $2 AND id IN (SELECT v.id FROM devices v WHERE v.tenant = $1 AND v.user_id = $2
			AND v.forgotten = 0 ORDER BY v.seen DESC, v.id LIMIT 10 OFFSET $3)`, d.Tenant, device.User, int64(iam.MaxDevices))
	})
}

// Device finds a living device of a person.
func (f *Factors) Device(ctx context.Context, user, id string, now time.Time) (iam.Device, error) {
	found, err := f.devices(ctx, ` AND id = $3 AND expires > $4`, f.view.Tenant, deeds.Clean(user), deeds.Clean(id), deeds.Micro(now))
	switch {
	case err != nil:
		return iam.Device{}, err
	case len(found) == 0:
		return iam.Device{}, iam.ErrNotFound
	default:
		return found[0], nil
	}
}

// UserDevices lists the living devices of a person, the one seen last first.
func (f *Factors) UserDevices(ctx context.Context, user string, now time.Time) ([]iam.Device, error) {
	return f.devices(ctx, ` AND expires > $3 ORDER BY seen DESC, id`, f.view.Tenant, deeds.Clean(user), deeds.Micro(now))
}

// RenameDevice names a person's device anew.
func (f *Factors) RenameDevice(ctx context.Context, user, id, name string) error {
	return f.deed(ctx, nil, func(d *deeds.Deed) error {
		return d.Must(iam.ErrNotFound, `UPDATE devices SET name = $4 WHERE tenant = $1 AND user_id = $2 AND id = $3 AND forgotten = 0`,
			d.Tenant, deeds.Clean(user), deeds.Clean(id), deeds.Clean(name))
	})
}

// ForgetDevice makes a device unknown for good, and ends every session on it and everything that was given on it. Grants
// remember their device: those that outlive their session are found when it is long gone.
func (f *Factors) ForgetDevice(ctx context.Context, user, id string, events ...journal.Event) error {
	id = deeds.Clean(id)
	return f.deed(ctx, events, func(d *deeds.Deed) error {
		// It waits for sessions that just begin on it and for codes that are just being redeemed: they hold the same row.
		if err := d.Hold(iam.ErrNotFound, user, ``); err != nil {
			return err
		}
		if err := d.Must(iam.ErrNotFound, `UPDATE devices SET forgotten = $4 WHERE tenant = $1 AND user_id = $2 AND id = $3 AND forgotten = 0`,
			d.Tenant, user, id, deeds.Micro(d.Now)); err != nil {
			return err
		}
		for _, given := range []struct {
			query string
			end   func(*deeds.Deed, string) error
		}{
			{`SELECT id FROM sessions WHERE tenant = $1 AND user_id = $2 AND device = $3`, f.ends.Session},
			{`SELECT id FROM grants WHERE tenant = $1 AND user_id = $2 AND device = $3 AND revoked = 0`, f.ends.Grant},
		} {
			ids, err := names(d, given.query, d.Tenant, user, id)
			if err != nil {
				return err
			}
			for _, one := range ids {
				if err := given.end(d, one); err != nil {
					return err
				}
			}
		}
		return d.Do(
			deeds.May(`DELETE FROM codes WHERE tenant = $1 AND user_id = $2 AND device = $3 AND spent = 0`, d.Tenant, user, id),
			deeds.May(`DELETE FROM asked WHERE tenant = $1 AND user_id = $2 AND user_id <> '' AND device = $3 AND spent = 0`, d.Tenant, user, id),
		)
	})
}

func names(d *deeds.Deed, query string, args ...any) ([]string, error) {
	var all []string
	err := d.Query(query, args, func(row deeds.Row) error {
		var name string
		err := row.Scan(&name)
		all = append(all, name)
		return err
	})
	return all, err
}
