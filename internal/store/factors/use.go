package factors

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// ReserveUse tells whether it is the first. One that is past its end is still a second.
func (f *Factors) ReserveUse(ctx context.Context, use iam.Use) (bool, error) {
	changed, err := f.view.Engine.Together(ctx, deeds.Statement{
		Query: `INSERT INTO uses (tenant, hash, grant_id, expires) VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, hash) DO NOTHING`,
		Args:  []any{f.view.Tenant, use.Key.String(), deeds.Clean(use.Grant), deeds.Micro(use.Expires)},
	})
	return err == nil && changed[0] == 1, err
}

// ReleaseUse makes a use free again.
func (f *Factors) ReleaseUse(ctx context.Context, key iam.Digest) error {
	_, err := f.view.Engine.Together(ctx, deeds.Statement{Query: `DELETE FROM uses WHERE tenant = $1 AND hash = $2`, Args: []any{f.view.Tenant, key.String()}})
	return err
}
