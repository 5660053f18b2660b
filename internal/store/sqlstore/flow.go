package sqlstore

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/factors"
)

// AddFlow keeps a login transaction.
func (t *Tenant) AddFlow(ctx context.Context, flow iam.Flow) error {
	proofs, need, err := halfOf(flow)
	if err != nil {
		return err
	}
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Later(`INSERT INTO flows (tenant, hash, browser, client, query, user_id, session, asked, created, expires, proofs, need, state)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`, d.Tenant, deeds.Hash(flow.Hash), flow.Browser.String(), deeds.Clean(flow.Client),
			deeds.Clean(flow.Query), flow.User, flow.Session, deeds.Join(flow.Asked), deeds.Micro(flow.Created), deeds.Micro(flow.Expires),
			proofs, need, deeds.Clean(flow.State))
	})
}

// halfOf spells what was proved within a flow, and what it needs.
func halfOf(flow iam.Flow) (proofs, need string, err error) {
	if proofs, err = factors.ProofsText(flow.Proofs); err == nil {
		need, err = factors.NeedText(flow.Need)
	}
	return proofs, need, err
}

// Flow finds a living flow of that browser.
func (t *Tenant) Flow(ctx context.Context, value iam.FlowHash, browser iam.Digest, now time.Time) (iam.Flow, error) {
	flow := iam.Flow{Hash: value, Browser: browser}
	err := t.read(ctx, func(tx deeds.Tx) error {
		var kept, asked, proofs, need string
		var created, expires int64
		if err := deeds.Only(tx, iam.ErrNotFound, `SELECT browser, client, query, user_id, session, asked, created, expires, proofs, need, state FROM flows
			WHERE tenant = $1 AND hash = $2 AND expires > $3`, []any{t.view.Tenant, deeds.Hash(value), deeds.Micro(now)},
			&kept, &flow.Client, &flow.Query, &flow.User, &flow.Session, &asked, &created, &expires,
			&proofs, &need, &flow.State); err != nil {
			return err
		}
		sum, err := deeds.Digest(kept)
		if err != nil {
			return err
		}
		if !sum.Equal(browser) {
			return iam.ErrNotFound
		}
		flow.Asked, flow.Created, flow.Expires = deeds.Split(asked), deeds.At(created), deeds.At(expires)
		if flow.Proofs, err = factors.ProofsOf(proofs); err != nil {
			return err
		}
		flow.Need, err = factors.NeedOf(need)
		return err
	})
	if err != nil {
		return iam.Flow{}, err
	}
	return flow, nil
}

// SetFlow keeps what was answered and proved, and leaves the state as it is.
func (t *Tenant) SetFlow(ctx context.Context, flow iam.Flow) error {
	proofs, need, err := halfOf(flow)
	if err != nil {
		return err
	}
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Must(iam.ErrNotFound, `UPDATE flows SET query = $4, user_id = $5, session = $6, asked = $7, expires = $8, proofs = $10, need = $11
			WHERE tenant = $1 AND hash = $2 AND browser = $3 AND expires > $9`, d.Tenant, deeds.Hash(flow.Hash), flow.Browser.String(),
			deeds.Clean(flow.Query), flow.User, flow.Session, deeds.Join(flow.Asked), deeds.Micro(flow.Expires), deeds.Micro(d.Now), proofs, need)
	})
}

// SwapState replaces the state of a flow if it is still old: compared and set in one statement.
func (t *Tenant) SwapState(ctx context.Context, value iam.FlowHash, old, state string) error {
	return t.deed(ctx, nil, func(d *deed) error {
		n, err := d.Exec(`UPDATE flows SET state = $4 WHERE tenant = $1 AND hash = $2 AND state = $3 AND expires > $5`,
			d.Tenant, deeds.Hash(value), deeds.Clean(old), deeds.Clean(state), deeds.Micro(d.Now))
		if err != nil || n == 1 {
			return err
		}
		if err := deeds.Only(d, iam.ErrNotFound, `SELECT 1 FROM flows WHERE tenant = $1 AND hash = $2 AND expires > $3`,
			[]any{d.Tenant, deeds.Hash(value), deeds.Micro(d.Now)}, new(int64)); err != nil {
			return err
		}
		return iam.ErrRaced
	})
}

// EndFlow ends a flow; it may have ended already.
func (t *Tenant) EndFlow(ctx context.Context, value iam.FlowHash) error {
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Later(`DELETE FROM flows WHERE tenant = $1 AND hash = $2`, d.Tenant, deeds.Hash(value))
	})
}

// Consent finds what a person allowed a client.
func (t *Tenant) Consent(ctx context.Context, user, client string) (iam.Consent, error) {
	consents, err := t.readConsents(ctx, `SELECT user_id, client, scope, given FROM consents WHERE tenant = $1 AND user_id = $2 AND client = $3`,
		t.view.Tenant, deeds.Clean(user), deeds.Clean(client))
	if err != nil {
		return iam.Consent{}, err
	}
	if len(consents) == 0 {
		return iam.Consent{}, iam.ErrNotFound
	}
	return consents[0], nil
}

// UserConsents gives all that a person allowed, by client.
func (t *Tenant) UserConsents(ctx context.Context, user string) ([]iam.Consent, error) {
	return t.readConsents(ctx, `SELECT user_id, client, scope, given FROM consents WHERE tenant = $1 AND user_id = $2 ORDER BY client`,
		t.view.Tenant, deeds.Clean(user))
}

func (t *Tenant) readConsents(ctx context.Context, query string, args ...any) (consents []iam.Consent, err error) {
	err = t.read(ctx, func(tx deeds.Tx) error {
		consents, err = readConsents(tx, query, args...)
		return err
	})
	return consents, err
}

func readConsents(tx deeds.Tx, query string, args ...any) ([]iam.Consent, error) {
	var consents []iam.Consent
	err := tx.Query(query, args, func(row deeds.Row) error {
		var consent iam.Consent
		var scope string
		var given int64
		err := row.Scan(&consent.User, &consent.Client, &scope, &given)
		consent.Scope, consent.Given = oauth.Scope(deeds.Split(scope)), deeds.At(given)
		consents = append(consents, consent)
		return err
	})
	return consents, err
}

// GiveConsent adds scopes to what was allowed before. ErrNotFound without the person.
func (t *Tenant) GiveConsent(ctx context.Context, consent iam.Consent, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error { return d.giveConsent(consent) })
}

func (d *deed) giveConsent(consent iam.Consent) error {
	// Holding the person keeps two consents that come at once from forgetting each other's scopes.
	if err := d.Hold(iam.ErrNotFound, consent.User, ` AND NOT removed`); err != nil {
		return err
	}
	before, err := readConsents(d, `SELECT user_id, client, scope, given FROM consents WHERE tenant = $1 AND user_id = $2 AND client = $3`,
		d.Tenant, consent.User, consent.Client)
	if err != nil {
		return err
	}
	scope := consent.Scope
	if len(before) > 0 {
		scope = before[0].Scope.Or(scope)
	}
	given := deeds.Micro(consent.Given)
	if given == 0 {
		given = deeds.Micro(d.Now)
	}
	return d.Later(`INSERT INTO consents (tenant, user_id, client, scope, given) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant, user_id, client) DO UPDATE SET scope = excluded.scope, given = excluded.given`,
		d.Tenant, consent.User, consent.Client, scope.String(), given)
}

// RevokeConsent forgets a consent and ends what the client holds for that person. ErrNotFound if there is neither.
func (t *Tenant) RevokeConsent(ctx context.Context, user, client string, events ...journal.Event) error {
	return t.deed(ctx, events, func(d *deed) error {
		// It waits for codes of this person that are just being redeemed.
		if err := d.Hold(iam.ErrNotFound, user, ``); err != nil {
			return err
		}
		forgot, err := d.Exec(`DELETE FROM consents WHERE tenant = $1 AND user_id = $2 AND client = $3`, d.Tenant, user, client)
		if err != nil {
			return err
		}
		if err := d.Do(deeds.May(`DELETE FROM codes WHERE tenant = $1 AND user_id = $2 AND client = $3 AND spent = 0`, d.Tenant, user, client),
			factors.EndSecrets(d.Tenant, user, client)); err != nil {
			return err
		}
		if err := d.Ended(iam.ChangeGrant, `UPDATE grants SET revoked = $4 WHERE tenant = $1 AND user_id = $2 AND client = $3 AND revoked = 0
			RETURNING id`, d.Tenant, user, client, deeds.Micro(d.Now)); err != nil {
			return err
		}
		if forgot == 0 && len(d.Changes) == 0 {
			return iam.ErrNotFound
		}
		return nil
	})
}
