package registry

import (
	"context"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

const clientColumns = `SELECT id, source, body, disabled, changed FROM clients`

// Client finds a client that was not removed.
func (r *Registry) Client(ctx context.Context, id string) (iam.Client, error) {
	var client iam.Client
	err := r.read(ctx, func(tx deeds.Tx) error {
		clients, err := readClients(tx, clientColumns+` WHERE tenant = $1 AND id = $2 AND NOT removed`, r.view.Tenant, deeds.Clean(id))
		if err != nil {
			return err
		}
		if len(clients) == 0 {
			return iam.ErrNotFound
		}
		err = r.addSecrets(tx, clients)
		client = clients[0]
		return err
	})
	return client, err
}

// ListClients gives a page of clients by id.
func (r *Registry) ListClients(ctx context.Context, page iam.Page) ([]iam.Client, error) {
	var clients []iam.Client
	err := r.read(ctx, func(tx deeds.Tx) (err error) {
		clients, err = readClients(tx, clientColumns+` WHERE tenant = $1 AND id > $2 AND NOT removed ORDER BY id LIMIT $3`,
			r.view.Tenant, deeds.Clean(page.After), deeds.PageLimit(page))
		if err != nil || len(clients) == 0 {
			return err
		}
		return r.addSecrets(tx, clients)
	})
	return clients, err
}

func readClients(tx deeds.Tx, query string, args ...any) ([]iam.Client, error) {
	var clients []iam.Client
	err := tx.Query(query, args, func(row deeds.Row) error {
		client, err := scanClient(row)
		clients = append(clients, client)
		return err
	})
	return clients, err
}

// scanClient reads the columns of clientColumns and, behind them, more.
func scanClient(row deeds.Row, more ...any) (iam.Client, error) {
	var id, source, body string
	var disabled bool
	var changed int64
	if err := row.Scan(append([]any{&id, &source, &body, &disabled, &changed}, more...)...); err != nil {
		return iam.Client{}, err
	}
	var client iam.Client
	err := deeds.FromJSON(body, &client)
	client.ID, client.Source, client.Disabled, client.Changed = id, iam.Source(source), disabled, deeds.At(changed)
	return client, err
}

// addSecrets reads the living secrets of clients, which stand in the order of their ids.
func (r *Registry) addSecrets(tx deeds.Tx, clients []iam.Client) error {
	place := make(map[string]int, len(clients))
	for i, client := range clients {
		place[client.ID] = i
	}
	query := `SELECT client, id, hash, sealed, created, expires FROM client_secrets
		WHERE tenant = $1 AND client >= $2 AND client <= $3 AND (expires = 0 OR expires > $4) ORDER BY client, created, id`
	args := []any{r.view.Tenant, clients[0].ID, clients[len(clients)-1].ID, deeds.Micro(r.view.Now())}
	return tx.Query(query, args, func(row deeds.Row) error {
		var client, id, hashed, sealed string
		var created, expires int64
		if err := row.Scan(&client, &id, &hashed, &sealed, &created, &expires); err != nil {
			return err
		}
		sum, err := deeds.Digest(hashed)
		if i, ok := place[client]; ok {
			clients[i].Secrets = append(clients[i].Secrets, iam.ClientSecret{ID: id, Hash: sum, Sealed: sealed,
				Created: deeds.At(created), Expires: deeds.At(expires)})
		}
		return err
	})
}

// PutClient adds or replaces a client of source admin. A replaced one keeps its state and its secrets.
func (r *Registry) PutClient(ctx context.Context, client iam.Client, events ...journal.Event) error {
	client.Source = iam.FromAdmin
	body, err := deeds.AsJSON(client)
	if err != nil {
		return err
	}
	return r.deed(ctx, events, func(d *deed) error {
		d.Change(iam.ChangedClient, client.ID)
		var before string
		if _, err := deeds.One(d, `SELECT body FROM clients WHERE tenant = $1 AND id = $2 AND NOT removed`, []any{d.Tenant, client.ID}, &before); err != nil {
			return err
		}
		if err := d.narrow(before, client); err != nil {
			return err
		}
		return d.Must(iam.ErrExists, `INSERT INTO clients (tenant, id, source, body, disabled, changed) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (tenant, id) DO UPDATE SET body = excluded.body, changed = excluded.changed
			WHERE clients.source = excluded.source AND NOT clients.removed`,
			d.Tenant, client.ID, string(iam.FromAdmin), body, client.Disabled, deeds.Micro(d.Now))
	})
}

// narrow ends the tokens of a client that may have less from now on: they say more than it may have (X15). Its grants
// stay; what they may still give is judged when they are used.
func (d *deed) narrow(before string, next iam.Client) error {
	if before == "" {
		return nil
	}
	var old iam.Client
	if err := deeds.FromJSON(before, &old); err != nil {
		return err
	}
	if !old.Scope.Within(next.Scope) {
		d.EndClient(next.ID)
	}
	return nil
}

// SetClientDisabled switches a client. Disabling begins a new era: all it was given before is dead.
func (r *Registry) SetClientDisabled(ctx context.Context, id string, disabled bool, events ...journal.Event) error {
	return r.deed(ctx, events, func(d *deed) error {
		step := int64(0)
		if disabled {
			step = 1
			d.EndClient(id)
		}
		d.Change(iam.ChangedClient, id)
		return d.Must(iam.ErrNotFound, `UPDATE clients SET disabled = $3, era = era + $4, changed = $5
			WHERE tenant = $1 AND id = $2 AND NOT removed`, d.Tenant, id, disabled, step, deeds.Micro(d.Now))
	})
}

// RemoveClient ends everything of a client of source admin and leaves a tombstone.
func (r *Registry) RemoveClient(ctx context.Context, id string, events ...journal.Event) error {
	return r.deed(ctx, events, func(d *deed) error { return d.removeClient(id, iam.FromAdmin) })
}

func (d *deed) removeClient(id string, source iam.Source) error {
	if err := d.buryClient(id, source); err != nil {
		return err
	}
	return d.Do(
		deeds.May(`DELETE FROM client_secrets WHERE tenant = $1 AND client = $2`, d.Tenant, id),
		deeds.May(`DELETE FROM consents WHERE tenant = $1 AND client = $2`, d.Tenant, id),
	)
}

// buryClient makes a client a tombstone in its next era.
func (d *deed) buryClient(id string, source iam.Source) error {
	d.Change(iam.ChangedClient, id)
	err := d.Must(iam.ErrNotFound, `UPDATE clients SET removed = TRUE, era = era + 1, body = '', changed = $4
		WHERE tenant = $1 AND id = $2 AND source = $3 AND NOT removed`, d.Tenant, id, string(source), deeds.Micro(d.Now))
	d.EndClient(id)
	return err
}

// AddClientSecret keeps one more secret of a client of any source; ErrExists when two live.
func (r *Registry) AddClientSecret(ctx context.Context, client string, secret iam.ClientSecret, events ...journal.Event) error {
	return r.deed(ctx, events, func(d *deed) error {
		// The update locks the client's row, so that two that come at once are counted one after the other.
		err := d.Must(iam.ErrNotFound, `UPDATE clients SET changed = $3 WHERE tenant = $1 AND id = $2 AND NOT removed`,
			d.Tenant, client, deeds.Micro(d.Now))
		if err != nil {
			return err
		}
		if err := d.Later(`DELETE FROM client_secrets WHERE tenant = $1 AND client = $2 AND expires <> 0 AND expires <= $3`,
			d.Tenant, client, deeds.Micro(d.Now)); err != nil {
			return err
		}
		var living int64
		if _, err := deeds.One(d, `SELECT count(*) FROM client_secrets WHERE tenant = $1 AND client = $2`, []any{d.Tenant, client}, &living); err != nil {
			return err
		}
		if living >= 2 {
			return iam.ErrExists
		}
		d.Change(iam.ChangedClient, client)
		return d.Step(nil, secretRow(d.Tenant, client, secret))
	})
}

func secretRow(tenant, client string, secret iam.ClientSecret) deeds.Statement {
	return deeds.May(`INSERT INTO client_secrets (tenant, client, id, hash, sealed, created, expires) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		tenant, client, secret.ID, secret.Hash.String(), secret.Sealed, deeds.Micro(secret.Created), deeds.Micro(secret.Expires))
}

// RemoveClientSecret ends one secret.
func (r *Registry) RemoveClientSecret(ctx context.Context, client, id string, events ...journal.Event) error {
	return r.deed(ctx, events, func(d *deed) error {
		d.Change(iam.ChangedClient, client)
		return d.Must(iam.ErrNotFound, `DELETE FROM client_secrets WHERE tenant = $1 AND client = $2 AND id = $3`, d.Tenant, client, id)
	})
}
