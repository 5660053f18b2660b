package factors

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

const authenticatorColumns = `SELECT k.id, k.user_id, k.kind, k.name, k.handle, k.model, k.synced, k.sealed, k.mark, k.created, k.used
	FROM authenticators k WHERE k.tenant = $1`

func readAuthenticators(tx deeds.Tx, query string, args ...any) ([]iam.Authenticator, error) {
	var all []iam.Authenticator
	err := tx.Query(authenticatorColumns+query, args, func(row deeds.Row) error {
		var a iam.Authenticator
		var kind, handle string
		var created, used int64
		if err := row.Scan(&a.ID, &a.User, &kind, &a.Name, &handle, &a.Model, &a.Synced, &a.Sealed, &a.Mark, &created, &used); err != nil {
			return err
		}
		a.Kind, a.Created, a.Used = iam.FactorKind(kind), deeds.At(created), deeds.At(used)
		var err error
		if handle != "" {
			a.Handle, err = deeds.Digest(handle)
		}
		all = append(all, a)
		return err
	})
	return all, err
}

// Authenticators lists those of a person, oldest first.
func (f *Factors) Authenticators(ctx context.Context, user string) (all []iam.Authenticator, err error) {
	err = f.read(ctx, func(tx deeds.Tx) error {
		all, err = readAuthenticators(tx, ` AND k.user_id = $2 ORDER BY k.created, k.id`, f.view.Tenant, deeds.Clean(user))
		return err
	})
	return all, err
}

// AuthenticatorOf finds by the hash of a WebAuthn credential id, if its person stands.
func (f *Factors) AuthenticatorOf(ctx context.Context, handle iam.Digest) (iam.Authenticator, error) {
	if handle.Zero() {
		return iam.Authenticator{}, iam.ErrNotFound
	}
	var found []iam.Authenticator
	err := f.read(ctx, func(tx deeds.Tx) (err error) {
		found, err = readAuthenticators(tx, ` AND k.handle = $2 AND k.handle <> '' AND `+userStands, f.view.Tenant, handle.String())
		return err
	})
	switch {
	case err != nil:
		return iam.Authenticator{}, err
	case len(found) == 0:
		return iam.Authenticator{}, iam.ErrNotFound
	default:
		return found[0], nil
	}
}

// AddAuthenticator keeps one more of a person who stands.
func (f *Factors) AddAuthenticator(ctx context.Context, added iam.Authenticator, events ...journal.Event) error {
	return f.deed(ctx, events, func(d *deeds.Deed) error { return Keep(d, added) })
}

// Keep is AddAuthenticator within a deed.
func Keep(d *deeds.Deed, added iam.Authenticator) error {
	handle := ""
	if !added.Handle.Zero() {
		handle = added.Handle.String()
	}
	// Two that are added at once are counted one after the other.
	if err := d.Hold(iam.ErrRevoked, added.User, standing); err != nil {
		return err
	}
	var count int64
	if _, err := deeds.One(d, `SELECT count(*) FROM authenticators WHERE tenant = $1 AND user_id = $2`, []any{d.Tenant, added.User}, &count); err != nil {
		return err
	}
	if count >= iam.MaxAuthenticators {
		return iam.ErrFull
	}
	return d.Later(`INSERT INTO authenticators (tenant, id, user_id, kind, name, handle, model, synced, sealed, mark, created, used)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, d.Tenant, added.ID, added.User, string(added.Kind), deeds.Clean(added.Name), handle,
		deeds.Clean(added.Model), added.Synced, added.Sealed, added.Mark, deeds.Micro(added.Created), deeds.Micro(added.Used))
}

// UseAuthenticator moves the mark from one value to another that is not less, in one update.
func (f *Factors) UseAuthenticator(ctx context.Context, id string, from, to int64, sealed string, used time.Time) error {
	return f.deed(ctx, nil, func(d *deeds.Deed) error {
		if to < from {
			return iam.ErrSpent
		}
		n, err := d.Exec(`UPDATE authenticators AS k SET mark = $4, used = $5, sealed = CASE WHEN $6 = '' THEN k.sealed ELSE $6 END
			WHERE k.tenant = $1 AND k.id = $2 AND k.mark = $3 AND `+userStands, d.Tenant, id, from, to, deeds.Micro(used), sealed)
		if err != nil || n == 1 {
			return err
		}
		found, err := readAuthenticators(d, ` AND k.id = $2 AND `+userStands, d.Tenant, id)
		if err == nil && len(found) == 0 {
			return iam.ErrNotFound
		}
		if err == nil {
			err = iam.ErrSpent
		}
		return err
	})
}

// RenameAuthenticator names a person's authenticator anew.
func (f *Factors) RenameAuthenticator(ctx context.Context, user, id, name string, events ...journal.Event) error {
	return f.deed(ctx, events, func(d *deeds.Deed) error {
		return d.Must(iam.ErrNotFound, `UPDATE authenticators SET name = $4 WHERE tenant = $1 AND id = $2 AND user_id = $3`,
			d.Tenant, deeds.Clean(id), deeds.Clean(user), deeds.Clean(name))
	})
}

// RemoveAuthenticator forgets a person's authenticator and ends what rests on it.
func (f *Factors) RemoveAuthenticator(ctx context.Context, user, id, keep string, wayIn func(iam.Left) bool, events ...journal.Event) error {
	return f.deed(ctx, events, func(d *deeds.Deed) error {
		// Of two that remove the last two at once the second finds itself removing the last one; and a session that is just
		// about to begin with it begins before, and ends here, or finds it gone.
		if err := d.Hold(iam.ErrNotFound, user, ` AND NOT removed`); err != nil {
			return err
		}
		if err := d.Must(iam.ErrNotFound, `DELETE FROM authenticators WHERE tenant = $1 AND id = $2 AND user_id = $3`, d.Tenant, deeds.Clean(id), user); err != nil {
			return err
		}
		left, err := leftOf(d, user)
		if err != nil {
			return err
		}
		if !wayIn(left) {
			return iam.ErrLast
		}
		return f.endResting(d, user, id, keep)
	})
}

// leftOf finds what a person has to sign in with.
func leftOf(d *deeds.Deed, user string) (iam.Left, error) {
	var left iam.Left
	if _, err := deeds.One(d, `SELECT u.email_verified AND u.email <> '', EXISTS (SELECT 1 FROM passwords p WHERE p.tenant = $1 AND p.user_id = $2 AND p.phc <> '')
		FROM users u WHERE u.tenant = $1 AND u.id = $2`, []any{d.Tenant, user}, &left.Mail, &left.Password); err != nil {
		return left, err
	}
	err := d.Query(`SELECT DISTINCT kind FROM authenticators WHERE tenant = $1 AND user_id = $2 ORDER BY kind`, []any{d.Tenant, user}, func(row deeds.Row) error {
		var kind string
		err := row.Scan(&kind)
		left.Kinds = append(left.Kinds, iam.FactorKind(kind))
		return err
	})
	return left, err
}

// endResting ends the sessions of a person that rest on a credential, but keep, and the person's sign-ins under way: those
// within keep only if they rest on it, too.
func (f *Factors) endResting(d *deeds.Deed, user, credential, keep string) error {
	sessions, err := resting(d, `SELECT id, proofs FROM sessions WHERE tenant = $1 AND user_id = $2`, user, credential)
	if err != nil {
		return err
	}
	for _, session := range sessions {
		if session == keep {
			continue
		}
		if err := f.ends.Session(d, session); err != nil {
			return err
		}
	}
	flows, err := resting(d, `SELECT hash, proofs FROM flows WHERE tenant = $1 AND user_id = $2 AND user_id <> ''`, user, credential)
	if err != nil {
		return err
	}
	for _, flow := range flows {
		if err := d.Later(`DELETE FROM flows WHERE tenant = $1 AND hash = $2`, d.Tenant, flow); err != nil {
			return err
		}
	}
	return d.Later(`DELETE FROM flows WHERE tenant = $1 AND user_id = $2 AND user_id <> '' AND ($3 = '' OR session <> $3)`, d.Tenant, user, keep)
}

// resting gives the rows of a person whose proofs name a credential.
func resting(d *deeds.Deed, query, user, credential string) ([]string, error) {
	var found []string
	err := d.Query(query, []any{d.Tenant, user}, func(row deeds.Row) error {
		var id, text string
		if err := row.Scan(&id, &text); err != nil {
			return err
		}
		proofs, err := ProofsOf(text)
		if rests(proofs, credential) {
			found = append(found, id)
		}
		return err
	})
	return found, err
}
