package registry

import (
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// errTogether: another was at the same client in the same moment.
var errTogether = errors.New("changed by another at the same time")

// PutDocument keeps what the document of a client said.
func (r *Registry) PutDocument(ctx context.Context, client iam.Client, room iam.Room, events ...journal.Event) error {
	for range 5 { // who was second finds the work of the first
		if err := r.putDocument(ctx, client, room, events); !errors.Is(err, errTogether) {
			return err
		}
	}
	return iam.ErrRaced
}

func (r *Registry) putDocument(ctx context.Context, client iam.Client, room iam.Room, events []journal.Event) error {
	client.Source = iam.FromDocument
	return r.deed(ctx, events, func(d *deed) error {
		if err := d.admit(client, room); err != nil {
			return err
		}
		var source string
		var removed bool
		stood, err := deeds.One(d, `SELECT source, removed FROM clients WHERE tenant = $1 AND id = $2`, []any{d.Tenant, client.ID}, &source, &removed)
		switch {
		case err != nil:
			return err
		case stood && iam.Source(source) != iam.FromDocument:
			return iam.ErrExists
		case stood && !removed:
			return d.replace(client)
		}
		body, err := deeds.AsJSON(client)
		if err != nil {
			return err
		}
		// One that was removed comes back in a later era: nothing that it was given before works.
		d.Change(iam.ChangedClient, client.ID)
		return d.Must(iam.ErrExists, `INSERT INTO clients (tenant, id, source, body, changed) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tenant, id) DO UPDATE SET body = excluded.body, changed = excluded.changed, removed = FALSE
			WHERE clients.source = excluded.source`, d.Tenant, client.ID, string(client.Source), body, deeds.Micro(d.Now))
	})
}

// admit makes room for a client whose document was read, unless it has its place under the policy already, and says that it
// was used now.
func (d *deed) admit(client iam.Client, room iam.Room) error {
	// Whoever reads the same new document at once waits here, and then finds that the client has its place.
	if err := d.holdRoom(client.Policy); err != nil {
		return err
	}
	var before string
	known, err := deeds.One(d, `SELECT policy FROM registrations WHERE tenant = $1 AND id = $2`, []any{d.Tenant, client.ID}, &before)
	if err != nil {
		return err
	}
	if !known || before != client.Policy {
		if err := d.makeRoom(client.Policy, room.Most); err != nil {
			return err
		}
		if err := d.siteHasRoom(client.Policy, room); err != nil {
			return err
		}
	}
	if known && before != client.Policy {
		if err := d.leaveRoom(before); err != nil {
			return err
		}
	}
	if known {
		return d.Must(errTogether, `UPDATE registrations SET policy = $4, used = $3, document = $6
			WHERE tenant = $1 AND id = $2 AND policy = $5`, d.Tenant, client.ID, deeds.Micro(d.Now), client.Policy, before, deeds.Clean(room.Site))
	}
	// Two put it under different policies at once: the second finds the row, and all of its deed is undone.
	return d.Must(errTogether, `INSERT INTO registrations (tenant, id, policy, keeper, document, created, used) VALUES ($1, $2, $3, '', $5, $4, $4)
		ON CONFLICT (tenant, id) DO NOTHING`, d.Tenant, client.ID, client.Policy, deeds.Micro(d.Now), deeds.Clean(room.Site))
}

// siteHasRoom looks, under a policy that is held, whether one more client of a site may come. Where those that registered have
// their metadata, a client behind a document has the site of it, for its metadata stands there.
func (d *deed) siteHasRoom(policy string, room iam.Room) error {
	if room.Site == "" {
		return nil
	}
	var stand int64
	if _, err := deeds.One(d, `SELECT count(*) FROM registrations WHERE tenant = $1 AND policy = $2 AND keeper = '' AND document = $3`,
		[]any{d.Tenant, policy, deeds.Clean(room.Site)}, &stand); err != nil {
		return err
	}
	if stand >= int64(room.OfSite) {
		return iam.ErrExists
	}
	return nil
}

// ListSelfMade gives a page of clients that came by themselves.
func (r *Registry) ListSelfMade(ctx context.Context, policy string, page iam.Page) ([]iam.Registered, error) {
	var found []iam.Registered
	err := r.read(ctx, func(tx deeds.Tx) (err error) {
		found, err = r.readRegistered(tx, ` AND r.id > $2 AND ($3 = '' OR r.policy = $3) ORDER BY r.id LIMIT $4`,
			r.view.Tenant, deeds.Clean(page.After), deeds.Clean(policy), deeds.PageLimit(page))
		return err
	})
	for i := range found {
		found[i].Keeper, found[i].Document = iam.KeeperHash{}, ""
	}
	return found, err
}

// Unused names clients under a policy that nobody used since then, longest first.
func (r *Registry) Unused(ctx context.Context, policy string, since time.Time, limit int) ([]string, error) {
	var ids []string
	err := r.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(`SELECT id FROM registrations WHERE tenant = $1 AND policy = $2 AND used < $3 ORDER BY used LIMIT $4`,
			[]any{r.view.Tenant, policy, deeds.Micro(since), deeds.Limit(limit, 100, 1000)}, func(row deeds.Row) error {
				var id string
				err := row.Scan(&id)
				ids = append(ids, id)
				return err
			})
	})
	return ids, err
}

// RemoveUnused ends a client that nobody used since then.
func (r *Registry) RemoveUnused(ctx context.Context, id string, since time.Time, events ...journal.Event) error {
	return r.deed(ctx, events, func(d *deed) error { return d.unregister(id, `used < $3`, deeds.Micro(since)) })
}
