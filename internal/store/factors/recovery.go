package factors

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// SetRecovery replaces the recovery codes of a person who stands.
func (f *Factors) SetRecovery(ctx context.Context, user string, codes []iam.Digest, events ...journal.Event) error {
	if len(codes) > iam.MaxRecovery {
		return iam.ErrFull
	}
	return f.deed(ctx, events, func(d *deeds.Deed) error {
		// Of two sets that are made at once one remains whole.
		if err := d.Hold(iam.ErrRevoked, user, standing); err != nil {
			return err
		}
		if err := d.Later(`DELETE FROM recovery_codes WHERE tenant = $1 AND user_id = $2`, d.Tenant, user); err != nil {
			return err
		}
		for _, code := range codes {
			if err := d.Later(`INSERT INTO recovery_codes (tenant, user_id, hash) VALUES ($1, $2, $3)`, d.Tenant, user, code.String()); err != nil {
				return err
			}
		}
		return nil
	})
}

// UseRecovery spends a recovery code of a person who stands.
func (f *Factors) UseRecovery(ctx context.Context, user string, code iam.Digest, events ...journal.Event) error {
	return f.deed(ctx, events, func(d *deeds.Deed) error {
		return d.Must(iam.ErrNotFound, `DELETE FROM recovery_codes AS k WHERE k.tenant = $1 AND k.user_id = $2 AND k.hash = $3 AND `+userStands,
			d.Tenant, user, code.String())
	})
}

// RecoveryLeft counts the recovery codes that a person has left.
func (f *Factors) RecoveryLeft(ctx context.Context, user string) (int, error) {
	var left int64
	err := f.read(ctx, func(tx deeds.Tx) error {
		_, err := deeds.One(tx, `SELECT count(*) FROM recovery_codes WHERE tenant = $1 AND user_id = $2`, []any{f.view.Tenant, deeds.Clean(user)}, &left)
		return err
	})
	return int(left), err
}
