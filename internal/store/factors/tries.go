package factors

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// Owed gives when what is owed under each key will be paid.
func (f *Factors) Owed(ctx context.Context, keys []iam.Digest, now time.Time) ([]time.Time, error) {
	if len(keys) > iam.MaxDebts {
		return nil, fmt.Errorf("%d keys of one try", len(keys))
	}
	args := []any{f.view.Tenant, deeds.Micro(now)}
	for at := range iam.MaxDebts { // one statement for any number of them
		name := ""
		if at < len(keys) {
			name = keys[at].String()
		}
		args = append(args, name)
	}
	owed := make([]time.Time, len(keys))
	err := f.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(`SELECT name, paid FROM tries WHERE tenant = $1 AND paid > $2 AND name IN ($3, $4, $5, $6)`, args, func(row deeds.Row) error {
			var name string
			var paid int64
			err := row.Scan(&name, &paid)
			for at, key := range keys {
				if key.String() == name {
					owed[at] = deeds.At(paid)
				}
			}
			return err
		})
	})
	return owed, err
}

// Owe adds one of each debt, if each may still be owed. The rows are taken in one order, so that no two callers wait for
// each other.
func (f *Factors) Owe(ctx context.Context, debts []iam.Debt, now time.Time) error {
	debts = slices.Clone(debts)
	slices.SortFunc(debts, func(one, other iam.Debt) int { return cmp.Compare(one.Key.String(), other.Key.String()) })
	at := deeds.Micro(now)
	return f.deed(ctx, nil, func(d *deeds.Deed) error {
		for _, debt := range debts {
			every := debt.Every.Microseconds()
			if err := d.Must(iam.ErrFull, `INSERT INTO tries (tenant, name, paid) VALUES ($1, $2, $3)
				ON CONFLICT (tenant, name) DO UPDATE SET paid = CASE WHEN tries.paid > $4 THEN tries.paid + $5 ELSE excluded.paid END
				WHERE tries.paid + $5 <= $6`, d.Tenant, debt.Key.String(), at+every, at, every, at+int64(debt.Burst)*every); err != nil {
				return err
			}
		}
		return nil
	})
}

// Forgive forgets what is owed under the keys.
func (f *Factors) Forgive(ctx context.Context, keys ...iam.Digest) error {
	return f.deed(ctx, nil, func(d *deeds.Deed) error {
		for _, key := range keys {
			if err := d.Later(`DELETE FROM tries WHERE tenant = $1 AND name = $2`, d.Tenant, key.String()); err != nil {
				return err
			}
		}
		return nil
	})
}
