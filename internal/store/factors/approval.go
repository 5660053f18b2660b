package factors

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

const approvalColumns = `id, user_id, flow, number, agent, address, created, expires, decided, allowed, session`

// flowWaits is what is asked of the sign-in that an approval, called k, is for: nobody is asked about one that is over.
const flowWaits = `EXISTS (SELECT 1 FROM flows f WHERE f.tenant = k.tenant AND f.hash = k.flow AND f.expires > $3)`

func readApprovals(tx deeds.Tx, query string, args ...any) ([]iam.Approval, error) {
	var all []iam.Approval
	err := tx.Query(query, args, func(row deeds.Row) error {
		var a iam.Approval
		var flow string
		var created, expires, decided int64
		if err := row.Scan(&a.ID, &a.User, &flow, &a.Number, &a.Agent, &a.Address, &created, &expires, &decided, &a.Allowed, &a.By); err != nil {
			return err
		}
		sum, err := deeds.Digest(flow)
		a.Flow, a.Created, a.Expires, a.Decided = iam.FlowHash(sum), deeds.At(created), deeds.At(expires), deeds.At(decided)
		all = append(all, a)
		return err
	})
	return all, err
}

// AskApproval keeps a question in the place of an earlier one of the same flow.
func (f *Factors) AskApproval(ctx context.Context, asked iam.Approval) error {
	return f.deed(ctx, nil, func(d *deeds.Deed) error {
		// Those that ask at once are counted one after the other.
		if err := d.Hold(iam.ErrRevoked, asked.User, standing); err != nil {
			return err
		}
		if err := d.Later(`DELETE FROM approvals WHERE tenant = $1 AND flow = $2`, d.Tenant, deeds.Hash(asked.Flow)); err != nil {
			return err
		}
		// Those of flows that were given up count, too: or one could go on asking with ever new ones.
		var waiting int64
		if _, err := deeds.One(d, `SELECT count(*) FROM approvals WHERE tenant = $1 AND user_id = $2 AND decided = 0 AND expires > $3`,
			[]any{d.Tenant, asked.User, deeds.Micro(asked.Created)}, &waiting); err != nil {
			return err
		}
		if waiting >= iam.MaxApprovals {
			return iam.ErrFull
		}
		return d.Later(`INSERT INTO approvals (tenant, id, user_id, flow, number, agent, address, created, expires)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`, d.Tenant, asked.ID, asked.User, deeds.Hash(asked.Flow), asked.Number, deeds.Clean(asked.Agent),
			deeds.Clean(asked.Address), deeds.Micro(asked.Created), deeds.Micro(asked.Expires))
	})
}

// WaitingApprovals lists what waits for a person's decision, newest first.
func (f *Factors) WaitingApprovals(ctx context.Context, user string, now time.Time) (all []iam.Approval, err error) {
	err = f.read(ctx, func(tx deeds.Tx) error {
		all, err = readApprovals(tx, `SELECT `+approvalColumns+` FROM approvals k WHERE k.tenant = $1 AND k.user_id = $2 AND k.decided = 0 AND k.expires > $3
			AND `+userStands+` AND `+flowWaits+` ORDER BY k.created DESC, k.id`, f.view.Tenant, deeds.Clean(user), deeds.Micro(now))
		return err
	})
	return all, err
}

// DecideApproval decides once, in a living session of that person that is not the one of the flow that waits.
func (f *Factors) DecideApproval(ctx context.Context, id, user, session string, allowed bool, now time.Time, events ...journal.Event) error {
	return f.deed(ctx, events, func(d *deeds.Deed) error {
		// A session that just ends has ended before, or takes the decision with it: it holds the same row.
		if err := d.Hold(iam.ErrNotFound, user, standing); err != nil {
			return err
		}
		if err := deeds.Only(d, iam.ErrRevoked, `SELECT 1 FROM sessions s JOIN users u ON u.tenant = s.tenant AND u.id = s.user_id AND u.era = s.user_era
			WHERE s.tenant = $1 AND s.id = $2 AND s.user_id = $3 AND s.expires > $4`, []any{d.Tenant, deeds.Clean(session), user, deeds.Micro(now)}, new(int64)); err != nil {
			return err
		}
		return d.Must(iam.ErrNotFound, `UPDATE approvals AS k SET decided = $3, allowed = $5, session = $6
			WHERE k.tenant = $1 AND k.id = $2 AND k.user_id = $4 AND k.decided = 0 AND k.expires > $3 AND `+flowWaits+`
			AND NOT EXISTS (SELECT 1 FROM flows f WHERE f.tenant = k.tenant AND f.hash = k.flow AND f.session = $6)`,
			d.Tenant, deeds.Clean(id), deeds.Micro(now), user, allowed, session)
	})
}

// TakeApproval gives what was decided about a flow, once. While nobody has decided it costs a look-up.
func (f *Factors) TakeApproval(ctx context.Context, flow iam.FlowHash, now time.Time) (iam.Approval, error) {
	const of = ` k WHERE k.tenant = $1 AND k.flow = $2 AND k.expires > $3 AND ` + userStands
	args := []any{f.view.Tenant, deeds.Hash(flow), deeds.Micro(now)}
	var found []iam.Approval
	err := f.read(ctx, func(tx deeds.Tx) (err error) {
		found, err = readApprovals(tx, `SELECT `+approvalColumns+` FROM approvals`+of, args...)
		return err
	})
	switch {
	case err != nil:
		return iam.Approval{}, err
	case len(found) == 0:
		return iam.Approval{}, iam.ErrNotFound
	case found[0].Decided.IsZero():
		return iam.Approval{}, iam.ErrPending
	}
	var taken iam.Approval
	err = f.deed(ctx, nil, func(d *deeds.Deed) error {
		found, err := readApprovals(d, `DELETE FROM approvals AS`+of+` AND k.decided > 0 RETURNING `+approvalColumns, args...)
		if err == nil && len(found) == 0 {
			err = iam.ErrNotFound
		}
		if err == nil {
			taken = found[0]
		}
		return err
	})
	return taken, err
}
