package registry

import (
	"context"
	"fmt"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

const revisionColumns = `SELECT number, digest, bundle, applied, applied_by, note FROM revisions WHERE tenant = $1`

// InForce is the newest revision.
func (r *Registry) InForce(ctx context.Context) (iam.Revision, error) {
	return r.oneRevision(ctx, revisionColumns+` ORDER BY number DESC LIMIT 1`, r.view.Tenant)
}

// Revision finds a revision by its number.
func (r *Registry) Revision(ctx context.Context, number int64) (iam.Revision, error) {
	return r.oneRevision(ctx, revisionColumns+` AND number = $2`, r.view.Tenant, number)
}

func (r *Registry) oneRevision(ctx context.Context, query string, args ...any) (iam.Revision, error) {
	revisions, err := r.readRevisions(ctx, query, args...)
	if err != nil {
		return iam.Revision{}, err
	}
	if len(revisions) == 0 {
		return iam.Revision{}, iam.ErrNotFound
	}
	return revisions[0], nil
}

// ListRevisions gives all revisions without their bundles, newest first.
func (r *Registry) ListRevisions(ctx context.Context) ([]iam.Revision, error) {
	return r.readRevisions(ctx, `SELECT number, digest, '' AS bundle, applied, applied_by, note FROM revisions WHERE tenant = $1
		ORDER BY number DESC`, r.view.Tenant)
}

func (r *Registry) readRevisions(ctx context.Context, query string, args ...any) ([]iam.Revision, error) {
	var revisions []iam.Revision
	err := r.read(ctx, func(tx deeds.Tx) error {
		return tx.Query(query, args, func(row deeds.Row) error {
			var revision iam.Revision
			var bundle string
			var applied int64
			if err := row.Scan(&revision.Number, &revision.Digest, &bundle, &applied, &revision.By, &revision.Note); err != nil {
				return err
			}
			raw, err := deeds.Decode(bundle)
			if len(raw) > 0 {
				revision.Bundle = raw
			}
			revision.Applied = deeds.At(applied)
			revisions = append(revisions, revision)
			return err
		})
	})
	return revisions, err
}

// Apply makes a revision the newest, with the clients that it declares. ErrExists if it declares an id of a client that was
// made at run time.
func (r *Registry) Apply(ctx context.Context, expect int64, revision iam.Revision, declared []iam.Client, events ...journal.Event) (int64, error) {
	err := r.deed(ctx, events, func(d *deed) error {
		var last int64
		if _, err := deeds.One(d, `SELECT number FROM revisions WHERE tenant = $1 ORDER BY number DESC LIMIT 1`, []any{d.Tenant}, &last); err != nil {
			return err
		}
		if last != expect {
			return iam.ErrRaced
		}
		applied := deeds.Micro(revision.Applied)
		if applied == 0 {
			applied = deeds.Micro(d.Now)
		}
		// Two at once: the primary key lets one through.
		if err := d.Must(iam.ErrRaced, `INSERT INTO revisions (tenant, number, digest, bundle, applied, applied_by, note)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, number) DO NOTHING`, d.Tenant, expect+1, revision.Digest,
			deeds.Encode(revision.Bundle), applied, deeds.Clean(revision.By), deeds.Clean(revision.Note)); err != nil {
			return err
		}
		d.Change(iam.ChangedRecipe, fmt.Sprint(expect+1))
		for _, policy := range revision.Narrowed {
			if err := d.endTokensUnder(policy); err != nil {
				return err
			}
		}
		for _, policy := range revision.Dropped {
			if err := d.dropPolicy(policy); err != nil {
				return err
			}
		}
		return d.declare(declared)
	})
	if err != nil {
		return 0, err
	}
	return expect + 1, nil
}

// endTokensUnder tells the feed that the tokens of all clients under a policy are dead.
func (d *deed) endTokensUnder(policy string) error {
	return d.Query(`SELECT id FROM registrations WHERE tenant = $1 AND policy = $2`, []any{d.Tenant, policy}, func(row deeds.Row) error {
		var id string
		err := row.Scan(&id)
		d.EndClient(id)
		return err
	})
}

// dropPolicy begins a new era of all clients under a policy: grants, codes and refresh tokens of the one before are dead.
func (d *deed) dropPolicy(policy string) error {
	const under = ` (SELECT id FROM registrations WHERE tenant = $1 AND policy = $2)`
	return d.Do(
		deeds.May(`UPDATE clients SET era = era + 1 WHERE tenant = $1 AND NOT removed AND id IN`+under, d.Tenant, policy),
		deeds.May(`DELETE FROM consents WHERE tenant = $1 AND client IN`+under, d.Tenant, policy),
	)
}

// declare makes the clients of source recipe exactly those declared. A name that was removed and is declared again comes
// back in a later era: nothing that it was given before works.
func (d *deed) declare(declared []iam.Client) error {
	before, err := d.declaredBefore()
	if err != nil {
		return err
	}
	for _, client := range declared {
		client.Source = iam.FromRecipe
		body, err := deeds.AsJSON(client)
		if err != nil {
			return err
		}
		if before[client.ID] != body {
			d.Change(iam.ChangedClient, client.ID)
			if err := d.narrow(before[client.ID], client); err != nil {
				return err
			}
			if err := d.Must(iam.ErrExists, `INSERT INTO clients (tenant, id, source, body, changed) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (tenant, id) DO UPDATE SET body = excluded.body, changed = excluded.changed, removed = FALSE
				WHERE clients.source = excluded.source`, d.Tenant, client.ID, string(iam.FromRecipe), body, deeds.Micro(d.Now)); err != nil {
				return fmt.Errorf("client %s: %w", client.ID, err)
			}
		}
		if _, kept := before[client.ID]; !kept && renames(client, before, declared) {
			if err := d.rename(client.Was, client.ID); err != nil {
				return err
			}
			delete(before, client.Was)
		}
		delete(before, client.ID)
	}
	for id := range before {
		if err := d.removeClient(id, iam.FromRecipe); err != nil {
			return err
		}
	}
	return nil
}

// renames tells whether a new client takes the place of one that was declared before and is no longer.
func renames(client iam.Client, before map[string]string, declared []iam.Client) bool {
	_, stood := before[client.Was]
	return stood && !slices.ContainsFunc(declared, func(other iam.Client) bool { return other.ID == client.Was })
}

// rename moves to a new client all that was given to an old one and does not name it.
func (d *deed) rename(old, id string) error {
	// First the end of the old one: whoever switches it, or adds a secret, waits, and then finds that it is gone.
	if err := d.buryClient(old, iam.FromRecipe); err != nil {
		return err
	}
	return d.Do(
		deeds.May(`UPDATE clients SET disabled = (SELECT disabled FROM clients WHERE tenant = $1 AND id = $2) WHERE tenant = $1 AND id = $3`,
			d.Tenant, old, id),
		// What ended in an earlier era of the old one stays behind.
		deeds.May(`UPDATE grants SET client = $3, client_era = (SELECT era FROM clients WHERE tenant = $1 AND id = $3)
			WHERE tenant = $1 AND client = $2 AND client_era = (SELECT era - 1 FROM clients WHERE tenant = $1 AND id = $2)`, d.Tenant, old, id),
		deeds.May(`UPDATE client_secrets SET client = $3 WHERE tenant = $1 AND client = $2`, d.Tenant, old, id),
		deeds.May(`DELETE FROM consents WHERE tenant = $1 AND client = $2`, d.Tenant, id), // given while the id stood for nobody
		deeds.May(`UPDATE consents SET client = $3 WHERE tenant = $1 AND client = $2`, d.Tenant, old, id),
	)
}

func (d *deed) declaredBefore() (map[string]string, error) {
	before := map[string]string{}
	err := d.Query(`SELECT id, body FROM clients WHERE tenant = $1 AND source = $2 AND NOT removed`, []any{d.Tenant, string(iam.FromRecipe)},
		func(row deeds.Row) error {
			var id, body string
			err := row.Scan(&id, &body)
			before[id] = body
			return err
		})
	return before, err
}
