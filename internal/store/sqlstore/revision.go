package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

const revisionColumns = `SELECT number, digest, bundle, applied, applied_by, note FROM revisions WHERE tenant = $1`

// InForce is the newest revision.
func (t *Tenant) InForce(ctx context.Context) (iam.Revision, error) {
	return t.oneRevision(ctx, revisionColumns+` ORDER BY number DESC LIMIT 1`, t.id)
}

// Revision finds a revision by its number.
func (t *Tenant) Revision(ctx context.Context, number int64) (iam.Revision, error) {
	return t.oneRevision(ctx, revisionColumns+` AND number = $2`, t.id, number)
}

func (t *Tenant) oneRevision(ctx context.Context, query string, args ...any) (iam.Revision, error) {
	revisions, err := t.readRevisions(ctx, query, args...)
	if err != nil {
		return iam.Revision{}, err
	}
	if len(revisions) == 0 {
		return iam.Revision{}, iam.ErrNotFound
	}
	return revisions[0], nil
}

// ListRevisions gives all revisions without their bundles, newest first.
func (t *Tenant) ListRevisions(ctx context.Context) ([]iam.Revision, error) {
	return t.readRevisions(ctx, `SELECT number, digest, '' AS bundle, applied, applied_by, note FROM revisions WHERE tenant = $1
		ORDER BY number DESC`, t.id)
}

func (t *Tenant) readRevisions(ctx context.Context, query string, args ...any) ([]iam.Revision, error) {
	var revisions []iam.Revision
	err := t.read(ctx, func(tx Tx) error {
		return tx.Query(query, args, func(row Row) error {
			var revision iam.Revision
			var bundle string
			var applied int64
			if err := row.Scan(&revision.Number, &revision.Digest, &bundle, &applied, &revision.By, &revision.Note); err != nil {
				return err
			}
			raw, err := decode(bundle)
			if len(raw) > 0 {
				revision.Bundle = raw
			}
			revision.Applied = at(applied)
			revisions = append(revisions, revision)
			return err
		})
	})
	return revisions, err
}

// Apply makes a revision the newest, with the clients that it declares. ErrExists if it declares an id of a client that was
// made at run time.
func (t *Tenant) Apply(ctx context.Context, expect int64, revision iam.Revision, declared []iam.Client, events ...journal.Event) (int64, error) {
	err := t.deed(ctx, events, func(d *deed) error {
		var last int64
		if _, err := one(d, `SELECT number FROM revisions WHERE tenant = $1 ORDER BY number DESC LIMIT 1`, []any{d.tenant}, &last); err != nil {
			return err
		}
		if last != expect {
			return iam.ErrRaced
		}
		applied := micro(revision.Applied)
		if applied == 0 {
			applied = micro(d.now)
		}
		// Two at once: the primary key lets one through.
		if err := d.must(iam.ErrRaced, `INSERT INTO revisions (tenant, number, digest, bundle, applied, applied_by, note)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, number) DO NOTHING`, d.tenant, expect+1, revision.Digest,
			encode(revision.Bundle), applied, Clean(revision.By), Clean(revision.Note)); err != nil {
			return err
		}
		d.change(iam.ChangedRecipe, fmt.Sprint(expect+1))
		return d.declare(declared)
	})
	if err != nil {
		return 0, err
	}
	return expect + 1, nil
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
		body, err := asJSON(client)
		if err != nil {
			return err
		}
		if before[client.ID] != body {
			d.change(iam.ChangedClient, client.ID)
			if err := d.narrow(before[client.ID], client); err != nil {
				return err
			}
			if err := d.must(iam.ErrExists, `INSERT INTO clients (tenant, id, source, body, changed) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT (tenant, id) DO UPDATE SET body = excluded.body, changed = excluded.changed, removed = FALSE
				WHERE clients.source = excluded.source`, d.tenant, client.ID, string(iam.FromRecipe), body, micro(d.now)); err != nil {
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
	return d.do(
		stmt(`UPDATE clients SET disabled = (SELECT disabled FROM clients WHERE tenant = $1 AND id = $2) WHERE tenant = $1 AND id = $3`,
			d.tenant, old, id),
		// What ended in an earlier era of the old one stays behind.
		stmt(`UPDATE grants SET client = $3, client_era = (SELECT era FROM clients WHERE tenant = $1 AND id = $3)
			WHERE tenant = $1 AND client = $2 AND client_era = (SELECT era - 1 FROM clients WHERE tenant = $1 AND id = $2)`, d.tenant, old, id),
		stmt(`UPDATE client_secrets SET client = $3 WHERE tenant = $1 AND client = $2`, d.tenant, old, id),
		stmt(`DELETE FROM consents WHERE tenant = $1 AND client = $2`, d.tenant, id), // given while the id stood for nobody
		stmt(`UPDATE consents SET client = $3 WHERE tenant = $1 AND client = $2`, d.tenant, old, id),
	)
}

func (d *deed) declaredBefore() (map[string]string, error) {
	before := map[string]string{}
	err := d.Query(`SELECT id, body FROM clients WHERE tenant = $1 AND source = $2 AND NOT removed`, []any{d.tenant, string(iam.FromRecipe)},
		func(row Row) error {
			var id, body string
			err := row.Scan(&id, &body)
			before[id] = body
			return err
		})
	return before, err
}
