package registry

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// usedWithin is how exactly it is remembered when a client was used: a write for each use would cost more than it tells.
const usedWithin = 24 * time.Hour

// Register keeps a client that registered itself, if its policy has room and its initial token lives.
func (r *Registry) Register(ctx context.Context, registered iam.Registered, initial iam.InitialHash, most int, events ...journal.Event) error {
	registered.Source = iam.FromRegistration
	body, err := deeds.AsJSON(registered.Client)
	if err != nil {
		return err
	}
	return r.deed(ctx, events, func(d *deed) error {
		if !iam.Digest(initial).Zero() {
			if err := d.useInitial(initial, registered.Policy); err != nil {
				return err
			}
		}
		if err := d.holdRoom(registered.Policy); err != nil {
			return err
		}
		if err := d.makeRoom(registered.Policy, most); err != nil {
			return err
		}
		d.Change(iam.ChangedClient, registered.ID)
		if err := d.Do(
			deeds.May(`INSERT INTO clients (tenant, id, source, body, disabled, changed) VALUES ($1, $2, $3, $4, $5, $6)`,
				d.Tenant, registered.ID, string(registered.Source), body, registered.Disabled, deeds.Micro(d.Now)),
			deeds.May(`INSERT INTO registrations (tenant, id, policy, keeper, document, created, used) VALUES ($1, $2, $3, $4, $5, $6, $6)`,
				d.Tenant, registered.ID, registered.Policy, deeds.Hash(registered.Keeper), deeds.Clean(registered.Document), d.madeAt(registered.Created)),
		); err != nil {
			return err
		}
		return d.setSecrets(registered.Client)
	})
}

func (d *deed) madeAt(created time.Time) int64 {
	if created.IsZero() {
		created = d.Now
	}
	return deeds.Micro(created)
}

// holdRoom keeps others from coming under a policy until the deed ends.
func (d *deed) holdRoom(policy string) error {
	return d.Later(`INSERT INTO counters (tenant, name, value) VALUES ($1, $2, 0) ON CONFLICT (tenant, name) DO UPDATE SET value = counters.value`,
		d.Tenant, counterOf(policy))
}

// makeRoom counts one more client of a policy that is held: the count is never passed.
func (d *deed) makeRoom(policy string, most int) error {
	return d.Must(iam.ErrExists, `UPDATE counters SET value = value + 1 WHERE tenant = $1 AND name = $2 AND value < $3`,
		d.Tenant, counterOf(policy), int64(most))
}

// leaveRoom counts one client less.
func (d *deed) leaveRoom(policy string) error {
	return d.Later(`UPDATE counters SET value = value - 1 WHERE tenant = $1 AND name = $2 AND value > 0`, d.Tenant, counterOf(policy))
}

func counterOf(policy string) string { return "policy:" + policy }

// setSecrets makes the secrets of a client exactly those.
func (d *deed) setSecrets(client iam.Client) error {
	if err := d.Later(`DELETE FROM client_secrets WHERE tenant = $1 AND client = $2`, d.Tenant, client.ID); err != nil {
		return err
	}
	for _, secret := range client.Secrets {
		if err := d.Step(nil, secretRow(d.Tenant, client.ID, secret)); err != nil {
			return err
		}
	}
	return nil
}

// Registered finds a client that registered itself by its id and token.
func (r *Registry) Registered(ctx context.Context, id string, keeper iam.KeeperHash) (iam.Registered, error) {
	var found []iam.Registered
	err := r.read(ctx, func(tx deeds.Tx) (err error) {
		found, err = r.readRegistered(tx, ` AND c.id = $2 AND c.source = $3`, r.view.Tenant, deeds.Clean(id), string(iam.FromRegistration))
		return err
	})
	if err != nil {
		return iam.Registered{}, err
	}
	if len(found) == 0 || !iam.Digest(found[0].Keeper).Equal(iam.Digest(keeper)) {
		return iam.Registered{}, iam.ErrNotFound
	}
	return found[0], nil
}

func (r *Registry) readRegistered(tx deeds.Tx, query string, args ...any) ([]iam.Registered, error) {
	var found []iam.Registered
	err := tx.Query(`SELECT c.id, c.source, c.body, c.disabled, c.changed, r.keeper, r.document, r.created, r.used FROM registrations r
		JOIN clients c ON c.tenant = r.tenant AND c.id = r.id AND NOT c.removed WHERE r.tenant = $1`+query, args, func(row deeds.Row) error {
		var registered iam.Registered
		var keeper string
		var created, used int64
		client, err := scanClient(row, &keeper, &registered.Document, &created, &used)
		if err != nil {
			return err
		}
		registered.Client, registered.Created, registered.Used = client, deeds.At(created), deeds.At(used)
		if keeper != "" {
			var sum iam.Digest
			sum, err = deeds.Digest(keeper)
			registered.Keeper = iam.KeeperHash(sum)
		}
		found = append(found, registered)
		return err
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	clients := make([]iam.Client, len(found))
	for i := range found {
		clients[i] = found[i].Client
	}
	err = r.addSecrets(tx, clients)
	for i := range found {
		found[i].Secrets = clients[i].Secrets
	}
	return found, err
}

// Reregister replaces a client whose token is old: of two that show it at once and change it, one wins.
func (r *Registry) Reregister(ctx context.Context, registered iam.Registered, old iam.KeeperHash, events ...journal.Event) error {
	registered.Source = iam.FromRegistration
	keeper := registered.Keeper
	if iam.Digest(keeper).Zero() {
		keeper = old
	}
	return r.deed(ctx, events, func(d *deed) error {
		if err := d.Must(iam.ErrNotFound, `UPDATE registrations SET keeper = $4, document = $5 WHERE tenant = $1 AND id = $2 AND keeper = $3`,
			d.Tenant, registered.ID, deeds.Hash(old), deeds.Hash(keeper), deeds.Clean(registered.Document)); err != nil {
			return err
		}
		if err := d.replace(registered.Client); err != nil {
			return err
		}
		return d.setSecrets(registered.Client)
	})
}

// replace puts what a client of the same source says of itself now in the place of what it said.
func (d *deed) replace(client iam.Client) error {
	body, err := deeds.AsJSON(client)
	if err != nil {
		return err
	}
	var before string
	if err := deeds.Only(d, iam.ErrNotFound, `SELECT body FROM clients WHERE tenant = $1 AND id = $2 AND source = $3 AND NOT removed`,
		[]any{d.Tenant, client.ID, string(client.Source)}, &before); err != nil {
		return err
	}
	d.Change(iam.ChangedClient, client.ID)
	if err := d.narrow(before, client); err != nil {
		return err
	}
	return d.Must(iam.ErrNotFound, `UPDATE clients SET body = $4, changed = $5 WHERE tenant = $1 AND id = $2 AND source = $3 AND NOT removed`,
		d.Tenant, client.ID, string(client.Source), body, deeds.Micro(d.Now))
}

// Unregister ends a client that registered itself.
func (r *Registry) Unregister(ctx context.Context, id string, keeper iam.KeeperHash, events ...journal.Event) error {
	return r.deed(ctx, events, func(d *deed) error {
		return d.unregister(id, `keeper = $3 AND keeper <> ''`, deeds.Hash(keeper))
	})
}

// unregister ends a client that came by itself, on a condition.
func (d *deed) unregister(id, condition string, arg any) error {
	var policy, source string
	if err := deeds.Only(d, iam.ErrNotFound, `DELETE FROM registrations WHERE tenant = $1 AND id = $2 AND `+condition+` RETURNING policy`,
		[]any{d.Tenant, id, arg}, &policy); err != nil {
		return err
	}
	if err := deeds.Only(d, iam.ErrNotFound, `SELECT source FROM clients WHERE tenant = $1 AND id = $2 AND NOT removed`,
		[]any{d.Tenant, id}, &source); err != nil {
		return err
	}
	if err := d.leaveRoom(policy); err != nil {
		return err
	}
	return d.removeClient(id, iam.Source(source))
}

// UseClient remembers, within a day, when a client was used.
func (r *Registry) UseClient(ctx context.Context, id string, at time.Time) error {
	_, err := r.view.Engine.Together(ctx, deeds.May(`UPDATE registrations SET used = $3 WHERE tenant = $1 AND id = $2 AND used <= $4`,
		r.view.Tenant, deeds.Clean(id), deeds.Micro(at), deeds.Micro(at.Add(-usedWithin))))
	return err
}
