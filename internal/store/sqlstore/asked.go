package sqlstore

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// slower is by how much a poll that came too soon lengthens the pause between polls (RFC 8628 section 3.5).
const slower = 5 * time.Second

// about is what of a waiting authorization is never asked by the database.
type about struct {
	Query    string `json:"query,omitempty"`
	Message  string `json:"message,omitempty"`
	Address  string `json:"address,omitempty"`
	Agent    string `json:"agent,omitempty"`
	Delivery string `json:"delivery,omitempty"`
}

// Ask keeps an authorization that waits for a person elsewhere.
func (t *Tenant) Ask(ctx context.Context, asked iam.Asked, events ...journal.Event) error {
	body, err := deeds.AsJSON(about{asked.Query, asked.Message, asked.Address, asked.Agent, asked.Delivery})
	if err != nil {
		return err
	}
	code := ""
	if !iam.Digest(asked.UserCode).Zero() {
		code = deeds.Hash(asked.UserCode)
	}
	return t.deed(ctx, events, func(d *deed) error {
		// One past its end, which is not swept yet, keeps nobody from its code.
		if code != "" {
			if err := d.Later(`DELETE FROM asked WHERE tenant = $1 AND user_code = $2 AND state = 'waiting' AND user_code <> '' AND expires <= $3`,
				d.Tenant, code, deeds.Micro(asked.Created)); err != nil {
				return err
			}
		}
		return d.Must(iam.ErrRevoked, `INSERT INTO asked (tenant, hash, id, kind, client, client_era, user_code, user_id, user_era, jkt, about,
				notify, state, pause, created, expires)
			SELECT c.tenant, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), c.id, c.era, CAST($6 AS TEXT), CAST($7 AS TEXT),
				COALESCE((SELECT u.era FROM users u WHERE u.tenant = $1 AND u.id = $7), 0), CAST($8 AS TEXT), CAST($9 AS TEXT),
				CAST($10 AS TEXT), 'waiting', CAST($11 AS BIGINT), CAST($12 AS BIGINT), CAST($13 AS BIGINT)
			FROM clients c WHERE c.tenant = $1 AND c.id = $5 AND NOT c.disabled AND NOT c.removed
			AND ($7 = '' OR EXISTS (SELECT 1 FROM users u WHERE u.tenant = $1 AND u.id = $7 AND NOT u.disabled AND NOT u.removed))`,
			d.Tenant, deeds.Hash(asked.Hash), asked.ID, string(asked.Kind), asked.Client, code, asked.User, asked.JKT, body, asked.Notify,
			asked.Interval.Microseconds(), deeds.Micro(asked.Created), deeds.Micro(asked.Expires))
	})
}

const askedColumns = `SELECT k.hash, k.kind, k.id, k.client, k.user_code, k.user_id, k.session, k.jkt, k.about, k.notify, k.state,
	k.grant_id, k.body, k.grant_created, k.grant_expires, k.pause, k.spent, k.created, k.expires FROM asked k WHERE k.tenant = $1`

// readAsked reads rows; spent tells of the last of them when it gave its tokens.
func readAsked(tx deeds.Tx, query string, args ...any) (all []iam.Asked, spent int64, err error) {
	err = tx.Query(askedColumns+query, args, func(row deeds.Row) error {
		var asked iam.Asked
		var hashed, kind, code, session, body, state, id, grant string
		var grantCreated, grantExpires, pause, created, expires int64
		if err := row.Scan(&hashed, &kind, &asked.ID, &asked.Client, &code, &asked.User, &session, &asked.JKT, &body, &asked.Notify, &state,
			&id, &grant, &grantCreated, &grantExpires, &pause, &spent, &created, &expires); err != nil {
			return err
		}
		sum, err := deeds.Digest(hashed)
		if err != nil {
			return err
		}
		asked.Hash, asked.Kind, asked.State = iam.AskedHash(sum), iam.AskedKind(kind), iam.AskedState(state)
		if code != "" {
			if sum, err = deeds.Digest(code); err != nil {
				return err
			}
			asked.UserCode = iam.UserHash(sum)
		}
		var said about
		if err := errors.Join(deeds.FromJSON(body, &said), deeds.FromJSON(grant, &asked.Grant)); err != nil {
			return err
		}
		asked.Query, asked.Message, asked.Address, asked.Agent, asked.Delivery = said.Query, said.Message, said.Address, said.Agent, said.Delivery
		if id != "" {
			asked.Grant.ID, asked.Grant.Client, asked.Grant.User, asked.Grant.Session = id, asked.Client, asked.User, session
			asked.Grant.Created, asked.Grant.Expires = deeds.At(grantCreated), deeds.At(grantExpires)
			asked.Grant.AuthTime = deeds.Whole(asked.Grant.AuthTime)
		}
		asked.Interval, asked.Created, asked.Expires = time.Duration(pause)*time.Microsecond, deeds.At(created), deeds.At(expires)
		all = append(all, asked)
		return nil
	})
	return all, spent, err
}

// AskedByCode finds the waiting one that a user code names.
func (t *Tenant) AskedByCode(ctx context.Context, code iam.UserHash, now time.Time) (iam.Asked, error) {
	if iam.Digest(code).Zero() {
		return iam.Asked{}, iam.ErrNotFound
	}
	all, err := t.asked(ctx, ` AND k.user_code = $2 AND k.state = 'waiting' AND k.user_code <> '' AND `+codeClientStands,
		t.view.Tenant, deeds.Hash(code))
	switch {
	case err != nil:
		return iam.Asked{}, err
	case len(all) == 0:
		return iam.Asked{}, iam.ErrNotFound
	case !all[0].Expires.After(now):
		return iam.Asked{}, iam.ErrExpired
	default:
		return all[0], nil
	}
}

// AskedOf lists those that wait for a person, newest first.
func (t *Tenant) AskedOf(ctx context.Context, user string, now time.Time) ([]iam.Asked, error) {
	return t.asked(ctx, ` AND k.user_id = $2 AND k.user_id <> '' AND k.state = 'waiting' AND k.expires > $3 AND `+codeClientStands+
		` AND `+codeUserStands+` ORDER BY k.created DESC, k.id`, t.view.Tenant, deeds.Clean(user), deeds.Micro(now))
}

func (t *Tenant) asked(ctx context.Context, query string, args ...any) (all []iam.Asked, err error) {
	err = t.read(ctx, func(tx deeds.Tx) error {
		all, _, err = readAsked(tx, query, args...)
		return err
	})
	return all, err
}

// Decide ends the waiting, of many callers by one.
func (t *Tenant) Decide(ctx context.Context, id string, verdict iam.Verdict, now time.Time, events ...journal.Event) error {
	decision, err := decide(t.view.Tenant, id, verdict, now)
	if err != nil {
		return err
	}
	return t.deed(ctx, events, func(d *deed) error {
		switch err := d.Step(errUnmet, decision); {
		case errors.Is(err, errUnmet):
			return d.whyNotDecided(id, verdict, now)
		case err != nil:
			return err
		}
		for _, delivery := range verdict.Told {
			if err := d.enqueue(delivery); err != nil {
				return err
			}
		}
		if verdict.Consent == nil {
			return nil
		}
		return d.giveConsent(*verdict.Consent)
	})
}

// decide is one conditional update. Whoever approves stands, in a session that lives, and is who was asked.
func decide(tenant, id string, verdict iam.Verdict, now time.Time) (deeds.Statement, error) {
	const waits = ` WHERE k.tenant = $1 AND k.id = $2 AND k.state = 'waiting' AND k.expires > $3 AND ` + codeClientStands
	if !verdict.Approved {
		return deeds.Must(`UPDATE asked AS k SET state = $4`+waits, tenant, id, deeds.Micro(now), string(iam.AskedDenied)), nil
	}
	grant := verdict.Grant
	body, err := grantBody(grant)
	return deeds.Must(`UPDATE asked AS k SET state = $4, user_id = $5, user_era = (SELECT u.era FROM users u WHERE u.tenant = $1 AND u.id = $5),
		session = $6, grant_id = $7, body = $8, grant_created = $9, grant_expires = $10,
		device = COALESCE((SELECT s.device FROM sessions s WHERE s.tenant = $1 AND s.id = $12), '')`+waits+` AND k.client = $11
		AND (k.user_id = '' OR k.user_id = $5) AND `+codeUserStands+`
		AND EXISTS (SELECT 1 FROM users u WHERE u.tenant = $1 AND u.id = $5 AND NOT u.disabled AND NOT u.removed AND ($12 = '' OR EXISTS (
			SELECT 1 FROM sessions s WHERE s.tenant = $1 AND s.id = $12 AND s.user_id = u.id AND s.user_era = u.era AND s.expires > $3)))`,
		tenant, id, deeds.Micro(now), string(iam.AskedApproved), grant.User, grant.Session, grant.ID, body, deeds.Micro(grant.Created),
		deeds.Micro(grant.Expires), grant.Client, cmp.Or(grant.Session, grant.Login)), err
}

func (d *deed) whyNotDecided(id string, verdict iam.Verdict, now time.Time) error {
	all, _, err := readAsked(d, ` AND k.id = $2`, d.Tenant, id)
	switch {
	case err != nil:
		return err
	case len(all) == 0:
		return iam.ErrNotFound
	case all[0].State != iam.AskedWaiting:
		return iam.ErrSpent
	case !all[0].Expires.After(now):
		return iam.ErrExpired
	case verdict.Approved && (verdict.Grant.Client != all[0].Client || all[0].User != "" && all[0].User != verdict.Grant.User):
		return iam.ErrNotFound // it is not theirs
	default:
		return iam.ErrRevoked
	}
}

// whyNotAsked tells what stands between a proof and what was asked for; nil: nothing does but time and the person.
func whyNotAsked(found []iam.Asked, spent int64, proof iam.AskedProof, now time.Time) error {
	switch {
	case len(found) == 0, found[0].Kind != proof.Kind:
		return iam.ErrNotFound
	case found[0].Client != proof.Client, found[0].JKT != "" && found[0].JKT != proof.JKT:
		return iam.ErrMismatch
	case spent != 0:
		return iam.ErrSpent
	case !found[0].Expires.After(now):
		return iam.ErrExpired
	default:
		return nil
	}
}

// Poll reads one for the client that asked, and remembers when. Only while it waits has the client to be patient.
func (t *Tenant) Poll(ctx context.Context, proof iam.AskedProof, now time.Time) (iam.Asked, error) {
	const waits = ` WHERE tenant = $1 AND hash = $2 AND state = 'waiting'`
	var asked iam.Asked
	err := t.deed(ctx, nil, func(d *deed) error {
		asked = iam.Asked{}
		found, spent, err := readAsked(d, ` AND k.hash = $2`, d.Tenant, deeds.Hash(proof.Hash))
		if err == nil {
			err = whyNotAsked(found, spent, proof, now)
		}
		if err != nil {
			return err
		}
		asked = found[0]
		if asked.State != iam.AskedWaiting {
			return nil
		}
		inTime, err := d.Exec(`UPDATE asked SET polled = $3`+waits+` AND (polled = 0 OR polled + pause <= $3)`,
			d.Tenant, deeds.Hash(proof.Hash), deeds.Micro(now))
		if err != nil || inTime == 1 {
			return err
		}
		return d.Query(`UPDATE asked SET polled = $3, pause = pause + $4`+waits+` RETURNING pause`,
			[]any{d.Tenant, deeds.Hash(proof.Hash), deeds.Micro(now), slower.Microseconds()}, func(row deeds.Row) error {
				var pause int64
				err := row.Scan(&pause)
				asked.Interval, d.Verdict = time.Duration(pause)*time.Microsecond, iam.ErrRaced
				return err
			})
	})
	return asked, err
}

// askedSpending compares and spends in one conditional update, and keeps the grant, as codeSpending does.
func askedSpending(tenant string, issue iam.Issue) []deeds.Statement {
	proof, value := issue.Asked, deeds.Hash(issue.Asked.Hash)
	return []deeds.Statement{
		deeds.May(`UPDATE users SET era = era WHERE tenant = $1 AND id = (SELECT user_id FROM asked WHERE tenant = $1 AND hash = $2)`, tenant, value),
		deeds.Must(`UPDATE asked AS k SET spent = $3 WHERE k.tenant = $1 AND k.hash = $2 AND k.spent = 0 AND k.expires > $3
			AND k.client = $4 AND k.kind = $5 AND (k.jkt = '' OR k.jkt = $6) AND k.state = 'approved'
			AND `+codeClientStands+` AND `+codeUserStands+` AND `+codeSessionLives+` AND `+codeDeviceStays+` AND `+codeAsRead,
			tenant, value, deeds.Micro(issue.Now), proof.Client, string(proof.Kind), proof.JKT, issue.Session, issue.User,
			allowed(issue.Allowed)),
		deeds.May(`INSERT INTO grants (tenant, id, client, client_era, user_id, user_era, session, body, created, expires, binding, device)
			SELECT tenant, grant_id, client, client_era, user_id, user_era, session, body, grant_created, grant_expires, CAST($3 AS TEXT), device
			FROM asked WHERE tenant = $1 AND hash = $2`, tenant, value, bindingText(issue.Binding)),
	}
}

// whyNotSpent classifies what could not be spent, and ends what it gave if it comes again.
func (d *deed) whyNotSpent(issue iam.Issue) error {
	proof := *issue.Asked
	d.Events = nil
	found, spent, err := readAsked(d, ` AND k.hash = $2`, d.Tenant, deeds.Hash(proof.Hash))
	if err != nil {
		return err
	}
	err = whyNotAsked(found, spent, proof, issue.Now)
	switch {
	case errors.Is(err, iam.ErrSpent):
		d.Verdict = err
		return d.replayed(string(proof.Kind), issue, found[0].Grant.ID, found[0].Grant.User)
	case err != nil:
		return err
	case found[0].State != iam.AskedApproved:
		return iam.ErrNotFound
	case issue.User != "" && issue.User != found[0].Grant.User:
		return iam.ErrMismatch
	default:
		return d.whyNotAsRead(issue, found[0].Grant.User, found[0].Grant.Session)
	}
}
