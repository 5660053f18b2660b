package sqlstore

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

func cursorOf(name string) string { return "cursor:" + name }

// Cursor tells how far a reader of the outbox has come.
func (t *Tenant) Cursor(ctx context.Context, name string) (int64, error) {
	var seq int64
	err := t.read(ctx, func(tx deeds.Tx) error {
		_, err := deeds.One(tx, `SELECT value FROM counters WHERE tenant = $1 AND name = $2`, []any{t.view.Tenant, cursorOf(name)}, &seq)
		return err
	})
	return seq, err
}

// SetCursor moves a reader forward and keeps what it has to send, or, where another has come as far, does neither.
func (t *Tenant) SetCursor(ctx context.Context, name string, seq int64, deliveries ...iam.Delivery) error {
	return t.deed(ctx, nil, func(d *deed) error {
		if err := d.Must(iam.ErrRaced, `INSERT INTO counters (tenant, name, value) VALUES ($1, $2, $3)
			ON CONFLICT (tenant, name) DO UPDATE SET value = excluded.value WHERE counters.value < excluded.value`,
			d.Tenant, cursorOf(name), seq); err != nil {
			return err
		}
		for _, delivery := range deliveries {
			if err := d.enqueue(delivery); err != nil {
				return err
			}
		}
		return nil
	})
}
