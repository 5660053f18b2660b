package sqlstore

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Beat says that a node runs, and how it follows.
func (t *Tenant) Beat(ctx context.Context, node iam.Node) error {
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Later(`INSERT INTO nodes (tenant, id, name, role, revision, ready, problem, seen) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
			ON CONFLICT (tenant, id) DO UPDATE SET name = excluded.name, role = excluded.role, revision = excluded.revision,
			ready = excluded.ready, problem = excluded.problem, seen = excluded.seen`, d.tenant, node.ID, Clean(node.Name), node.Role,
			node.Revision, node.Ready, Clean(node.Problem), micro(node.Seen))
	})
}

// ListNodes gives the nodes that were seen since then.
func (t *Tenant) ListNodes(ctx context.Context, since time.Time) ([]iam.Node, error) {
	var nodes []iam.Node
	err := t.read(ctx, func(tx Tx) error {
		return tx.Query(`SELECT id, name, role, revision, ready, problem, seen FROM nodes WHERE tenant = $1 AND seen >= $2 ORDER BY name, id`,
			[]any{t.id, micro(since)}, func(row Row) error {
				var node iam.Node
				var seen int64
				err := row.Scan(&node.ID, &node.Name, &node.Role, &node.Revision, &node.Ready, &node.Problem, &seen)
				node.Seen = at(seen)
				nodes = append(nodes, node)
				return err
			})
	})
	return nodes, err
}

// LeaveNode forgets a node that has stopped.
func (t *Tenant) LeaveNode(ctx context.Context, id string) error {
	return t.deed(ctx, nil, func(d *deed) error {
		return d.Later(`DELETE FROM nodes WHERE tenant = $1 AND id = $2`, d.tenant, id)
	})
}

// Lease takes or renews a lease: it is free, past its time, or the holder's own.
func (t *Tenant) Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error) {
	var has bool
	err := t.deed(ctx, nil, func(d *deed) error {
		n, err := d.Exec(`INSERT INTO leases (tenant, name, holder, until) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant, name) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE leases.holder = excluded.holder OR leases.until <= $5`, d.tenant, name, holder, micro(until), micro(now))
		has = n == 1
		return err
	})
	return has && err == nil, err
}

// Fresh tells whether a one-time identifier is new, and remembers it until then.
func (t *Tenant) Fresh(ctx context.Context, kind, issuer, id string, now, until time.Time) (bool, error) {
	changed, err := t.store.Engine.Together(ctx, stmt(`INSERT INTO once (tenant, kind, issuer, id, until) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant, kind, issuer, id) DO UPDATE SET until = excluded.until WHERE once.until <= $6`,
		t.id, kind, Clean(issuer), Clean(id), micro(until), micro(now)))
	return err == nil && changed[0] == 1, err
}
