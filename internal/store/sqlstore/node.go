package sqlstore

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// Beat says that a node runs, and how it follows.
func (t *Tenant) Beat(ctx context.Context, node iam.Node) error {
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Later(`INSERT INTO nodes (tenant, id, name, role, revision, ready, problem, seen) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, role = excluded.role, revision = excluded.revision,
			ready = excluded.ready, problem = excluded.problem, seen = excluded.seen`, d.Tenant, node.ID, deeds.Clean(node.Name), node.Role,
			node.Revision, node.Ready, deeds.Clean(node.Problem), deeds.Micro(node.Seen))
	})
}

// ListNodes gives the nodes that were seen since then.
func (t *Tenant) ListNodes(ctx context.Context, since time.Time) ([]iam.Node, error) {
	var nodes []iam.Node
	err := t.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(`SELECT id, name, role, revision, ready, problem, seen FROM nodes WHERE tenant = $1 AND seen >= $2 ORDER BY name, id`,
			[]any{t.view.Tenant, deeds.Micro(since)}, func(row deeds.Row) error {
				var node iam.Node
				var seen int64
				err := row.Scan(&node.ID, &node.Name, &node.Role, &node.Revision, &node.Ready, &node.Problem, &seen)
				node.Seen = deeds.At(seen)
				nodes = append(nodes, node)
				return err
			})
	})
	return nodes, err
}

// LeaveNode forgets a node that has stopped.
func (t *Tenant) LeaveNode(ctx context.Context, id string) error {
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Later(`DELETE FROM nodes WHERE tenant = $1 AND id = $2`, d.Tenant, id)
	})
}

// Lease takes or renews a lease: it is free, past its time, or the holder's own.
func (t *Tenant) Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	var has bool
	err := t.deed(ctx, nil, func(d *deed) error {
		n, err := d.Exec(`INSERT INTO leases (tenant, name, holder, until) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant, name) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE leases.holder = excluded.holder OR leases.until <= $5`, d.Tenant, name, holder, deeds.Micro(until), deeds.Micro(now))
		has = n == 1
		return err
	})
	return has && err == nil, err
}

// Fresh tells whether a one-time identifier is new, and remembers it until then.
func (t *Tenant) Fresh(ctx context.Context, kind, issuer, id string, now, until time.Time) (bool, error) {
	changed, err := t.view.Engine.Together(ctx, deeds.May(`INSERT INTO once (tenant, kind, issuer, id, until) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant, kind, issuer, id) DO UPDATE SET until = excluded.until WHERE once.until <= $6`,
		t.view.Tenant, kind, deeds.Clean(issuer), deeds.Clean(id), deeds.Micro(until), deeds.Micro(now)))
	return err == nil && changed[0] == 1, err
}
