package sqlstore

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// Enqueue keeps a message until it is delivered.
func (t *Tenant) Enqueue(ctx context.Context, delivery iam.Delivery) error {
	return t.deed(ctx, nil, func(d *deed) error { return d.enqueue(delivery) })
}

func (d *deed) enqueue(delivery iam.Delivery) error {
	err := d.Later(`INSERT INTO deliveries (tenant, id, kind, sealed, tries, due, made, failed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		d.Tenant, delivery.ID, delivery.Kind, delivery.Sealed, int64(delivery.Tries), deeds.Micro(delivery.Next), deeds.Micro(delivery.Made), deeds.Clean(delivery.Failed))
	if err == nil {
		d.Hint()
	}
	return err
}

// Due takes deliveries whose time has come and hides them until hold: of two nodes one gets each.
func (t *Tenant) Due(ctx context.Context, now, hold time.Time, most int) ([]iam.Delivery, error) {
	var due []iam.Delivery
	err := t.deed(ctx, nil, func(d *deed) error {
		due = nil
		// The time is asked again outside the selection: a node that waited for another's row sees that it is held.
		return d.Query(`UPDATE deliveries SET due = $3, tries = tries + 1 WHERE tenant = $1 AND due <= $2
			AND id IN (SELECT id FROM deliveries WHERE tenant = $1 AND due <= $2 ORDER BY due, id LIMIT $4)
			RETURNING id, kind, sealed, tries, due, made, failed`, []any{d.Tenant, deeds.Micro(now), deeds.Micro(hold), deeds.Limit(most, 10, 1000)}, func(row deeds.Row) error {
			var delivery iam.Delivery
			var tries, next, made int64
			err := row.Scan(&delivery.ID, &delivery.Kind, &delivery.Sealed, &tries, &next, &made, &delivery.Failed)
			delivery.Tries, delivery.Next, delivery.Made = int(tries), deeds.At(next), deeds.At(made)
			due = append(due, delivery)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// Delivered forgets a message that was sent; it may be gone already.
func (t *Tenant) Delivered(ctx context.Context, id string) error {
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Later(`DELETE FROM deliveries WHERE tenant = $1 AND id = $2`, d.Tenant, id)
	})
}

// Postpone says when to try again, and why it failed.
func (t *Tenant) Postpone(ctx context.Context, id string, next time.Time, why string) error {
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Must(iam.ErrNotFound, `UPDATE deliveries SET due = $3, failed = $4 WHERE tenant = $1 AND id = $2`, d.Tenant, id, deeds.Micro(next), deeds.Clean(why))
	})
}
