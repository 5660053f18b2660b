package sqlstore

import (
	"cmp"
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// AddCode keeps a code, ends its flow and its pushed request and gives consent. ErrRevoked if user, client, session or the
// consent relied on no longer stands; ErrNotFound if the flow or the request has ended already, so that each gives one code at
// most.
func (t *Tenant) AddCode(ctx context.Context, code iam.Code, flow iam.FlowHash, consent *iam.Consent, events ...journal.Event) error {
	body, err := grantBody(code.Grant)
	if err != nil {
		return err
	}
	steps := codeSteps(t.view.Tenant, code, body, flow)
	if consent == nil {
		done, err := t.view.Engine.Straight(ctx, func() ([]deeds.Statement, error) { return deeds.JournalRows(steps, t.view.Tenant, events) })
		if done || err != nil {
			return err
		}
	}
	return t.deed(ctx, events, func(d *deed) error {
		for i, step := range steps {
			otherwise := iam.ErrRevoked
			if i < len(steps)-1 {
				otherwise = iam.ErrNotFound // the flow, the pushed request
			}
			if err := d.Step(otherwise, step); err != nil {
				return err
			}
		}
		if consent == nil {
			return nil
		}
		return d.giveConsent(*consent)
	})
}

// codeSteps end the flow and the pushed request, if there are any, and keep the code.
func codeSteps(tenant string, code iam.Code, body string, flow iam.FlowHash) []deeds.Statement {
	return append(cameFrom(tenant, code.Grant.Client, flow, code.Pushed, code.Created), codeRow(tenant, code, body, false))
}

// cameFrom ends what an authorization of a client came from.
func cameFrom(tenant, client string, flow iam.FlowHash, pushed iam.PushedHash, now time.Time) []deeds.Statement {
	var steps []deeds.Statement
	if !iam.Digest(flow).Zero() {
		steps = append(steps, deeds.Must(`DELETE FROM flows WHERE tenant = $1 AND hash = $2`, tenant, deeds.Hash(flow)))
	}
	if !iam.Digest(pushed).Zero() {
		steps = append(steps, endPushed(tenant, pushed, client, now))
	}
	return steps
}

// codeRow keeps a code; begun tells that its grant has begun already.
func codeRow(tenant string, code iam.Code, body string, begun bool) deeds.Statement {
	grant, before := code.Grant, int64(0)
	if begun {
		before = 1
	}
	// The eras of client and user are taken along: whoever ends them later, or just now, ends this code.
	return deeds.Must(`INSERT INTO codes (tenant, hash, client, client_era, user_id, user_era, session, redirect_uri, challenge,
			grant_id, body, grant_created, grant_expires, created, expires, jkt, begun, device)
		SELECT c.tenant, CAST($2 AS TEXT), c.id, c.era, u.id, u.era, CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS TEXT), CAST($8 AS TEXT),
			CAST($9 AS TEXT), CAST($10 AS BIGINT), CAST($11 AS BIGINT), CAST($12 AS BIGINT), CAST($13 AS BIGINT),
			CAST($16 AS TEXT), CAST($17 AS BIGINT), COALESCE((SELECT s.device FROM sessions s WHERE s.tenant = $1 AND s.id = $14), '')
		FROM clients c JOIN users u ON u.tenant = c.tenant AND u.id = $4 AND NOT u.disabled AND NOT u.removed
		WHERE c.tenant = $1 AND c.id = $3 AND NOT c.disabled AND NOT c.removed
		AND ($14 = '' OR EXISTS (SELECT 1 FROM sessions s WHERE s.tenant = $1 AND s.id = $14 AND s.user_id = u.id AND s.user_era = u.era
			AND s.expires > $12))
		AND ($15 = ' ' OR EXISTS (SELECT 1 FROM consents a WHERE a.tenant = $1 AND a.user_id = u.id AND a.client = c.id AND a.scope = $15))`,
		tenant, deeds.Hash(code.Hash), grant.Client, grant.User, grant.Session, code.RedirectURI, code.Challenge,
		grant.ID, body, deeds.Micro(grant.Created), deeds.Micro(grant.Expires), deeds.Micro(code.Created), deeds.Micro(code.Expires), cmp.Or(code.From, grant.Session),
		allowed(code.Allowed), code.JKT, before)
}

// allowed is what a statement compares with the scope of a consent; a space, which is no scope, means that none is asked for.
func allowed(consent *iam.Consent) string {
	if consent == nil {
		return " "
	}
	return consent.Scope.String()
}

// Try compares a proof as Issue does, without spending. Only a proof that is not right costs a deed.
func (t *Tenant) Try(ctx context.Context, proof iam.CodeProof, now time.Time) (iam.Code, error) {
	var code iam.Code
	right := false
	err := t.read(ctx, func(tx deeds.Tx) error {
		var spent int64
		var stands bool
		var err error
		code, spent, stands, err = readCode(tx, t.view.Tenant, proof.Hash)
		right = err == nil && code.Fits(proof) && spent == 0 && stands && code.Expires.After(now)
		return err
	})
	if err != nil {
		return iam.Code{}, err
	}
	if right {
		return code, nil
	}
	err = t.deed(ctx, nil, func(d *deed) error {
		return d.whyNotCode(iam.Issue{Now: now, Client: proof.Client, Code: &proof})
	})
	return iam.Code{}, err
}

func readCode(tx deeds.Tx, tenant string, value iam.CodeHash) (code iam.Code, spent int64, stands bool, err error) {
	var client, user, session, id, body string
	var grantCreated, grantExpires, created, expires int64
	code.Hash = value
	err = deeds.Only(tx, iam.ErrNotFound, `SELECT k.client, k.user_id, k.session, k.redirect_uri, k.challenge, k.jkt, k.grant_id, k.body, k.grant_created,
		k.grant_expires, k.created, k.expires, k.spent, (`+codeClientStands+` AND `+codeUserStands+`)
		FROM codes k WHERE k.tenant = $1 AND k.hash = $2`, []any{tenant, deeds.Hash(value)}, &client, &user, &session, &code.RedirectURI,
		&code.Challenge, &code.JKT, &id, &body, &grantCreated, &grantExpires, &created, &expires, &spent, &stands)
	if err != nil {
		return iam.Code{}, 0, false, err
	}
	err = deeds.FromJSON(body, &code.Grant)
	code.Grant.ID, code.Grant.Client, code.Grant.User, code.Grant.Session = id, client, user, session
	code.Grant.Created, code.Grant.Expires, code.Grant.AuthTime = deeds.At(grantCreated), deeds.At(grantExpires), deeds.Whole(code.Grant.AuthTime)
	code.Created, code.Expires = deeds.At(created), deeds.At(expires)
	return code, spent, stands, err
}

// codeDeviceStays is false if the device was forgotten while the code was given.
const codeDeviceStays = `(k.device = '' OR NOT EXISTS (SELECT 1 FROM devices v WHERE v.tenant = k.tenant AND v.user_id = k.user_id AND v.id = k.device
	AND v.forgotten > 0))`

const codeSessionLives = `(COALESCE(NULLIF(k.session, ''), $7) = '' OR EXISTS (SELECT 1 FROM sessions s WHERE s.tenant = k.tenant
	AND s.id = COALESCE(NULLIF(k.session, ''), $7) AND s.user_id = k.user_id AND s.user_era = k.user_era AND s.expires > $3))`

// codeAsRead compares what the issue says of the grant, and of the consent, with what is kept.
const codeAsRead = `(k.session = '' OR $7 = '' OR k.session = $7) AND ($8 = '' OR k.user_id = $8) AND ($9 = ' ' OR EXISTS (
	SELECT 1 FROM consents a WHERE a.tenant = k.tenant AND a.user_id = k.user_id AND a.client = k.client AND a.scope = $9))`

// codeSpending compares and spends in one conditional update, and keeps the grant.
func codeSpending(tenant string, issue iam.Issue) []deeds.Statement {
	proof, value := issue.Code, deeds.Hash(issue.Code.Hash)
	steps := []deeds.Statement{
		// Holding the person's row makes this deed and the person's disabling come one after the other: the disabling
		// then sees the grant, or this deed sees the disabling.
		deeds.May(`UPDATE users SET era = era WHERE tenant = $1 AND id = (SELECT user_id FROM codes WHERE tenant = $1 AND hash = $2)`, tenant, value),
		deeds.Must(`UPDATE codes AS k SET spent = $3 WHERE k.tenant = $1 AND k.hash = $2 AND k.spent = 0 AND k.expires > $3
			AND k.client = $4 AND k.challenge = $5 AND ($6 = '' OR k.redirect_uri = $6) AND (k.jkt = '' OR k.jkt = $10)
			AND (k.begun = 0 OR EXISTS (SELECT 1 FROM grants g WHERE g.tenant = k.tenant AND g.id = k.grant_id AND g.revoked = 0))
			AND `+codeClientStands+` AND `+codeUserStands+` AND `+codeSessionLives+` AND `+codeDeviceStays+` AND `+codeAsRead,
			tenant, value, deeds.Micro(issue.Now), proof.Client, proof.Challenge, proof.RedirectURI, issue.Session, issue.User,
			allowed(issue.Allowed), proof.JKT),
		deeds.May(`INSERT INTO grants (tenant, id, client, client_era, user_id, user_era, session, body, created, expires, binding, device)
			SELECT tenant, grant_id, client, client_era, user_id, user_era, session, body, grant_created, grant_expires, CAST($3 AS TEXT), device
			FROM codes WHERE tenant = $1 AND hash = $2 AND begun = 0`, tenant, value, bindingText(issue.Binding)),
	}
	if issue.Binding.Bound() { // a grant that has begun is bound from now on, too
		steps = append(steps, deeds.May(`UPDATE grants SET binding = $3 WHERE tenant = $1
			AND id = (SELECT k.grant_id FROM codes k WHERE k.tenant = $1 AND k.hash = $2 AND k.begun = 1)`, tenant, value, bindingText(issue.Binding)))
	}
	return steps
}

// whyNotCode classifies a code that could not be spent, counts a wrong try and ends what a replayed code gave.
func (d *deed) whyNotCode(issue iam.Issue) error {
	proof := issue.Code
	d.Events = nil
	code, spent, _, err := readCode(d, d.Tenant, proof.Hash)
	switch {
	case err != nil:
		return err
	case !code.Fits(*proof):
		d.Verdict = iam.ErrMismatch
		return d.countTry(proof.Hash)
	case issue.User != "" && issue.User != code.Grant.User: // a fault of ours: nobody's try
		return iam.ErrMismatch
	case spent != 0:
		// The right client with the right verifier, again: someone else holds the code. What it gave ends.
		d.Verdict = iam.ErrSpent
		return d.replayed("code", issue, code.Grant.ID, code.Grant.User)
	case !code.Expires.After(issue.Now):
		return iam.ErrExpired
	default:
		return d.whyNotAsRead(issue, code.Grant.User, code.Grant.Session)
	}
}

// whyNotAsRead tells what was read too early from what has ended.
func (d *deed) whyNotAsRead(issue iam.Issue, user, session string) error {
	if issue.Session != "" && session != "" && issue.Session != session {
		return iam.ErrRaced
	}
	if err := d.stillAllowed(issue, user); err != nil {
		return err
	}
	return iam.ErrRevoked
}

// stillAllowed is ErrRaced if the consent that an issue relies on is no longer what it says.
func (d *deed) stillAllowed(issue iam.Issue, user string) error {
	if issue.Allowed == nil {
		return nil
	}
	return deeds.Only(d, iam.ErrRaced, `SELECT 1 FROM consents WHERE tenant = $1 AND user_id = $2 AND client = $3 AND scope = $4`,
		[]any{d.Tenant, user, issue.Client, allowed(issue.Allowed)}, new(int64))
}

// countTry counts a wrong try; one too many kills the code. Spent codes are not counted: there is nothing left to guess.
func (d *deed) countTry(code iam.CodeHash) error {
	return d.Do(
		deeds.May(`UPDATE codes SET tries = tries + 1 WHERE tenant = $1 AND hash = $2 AND spent = 0`, d.Tenant, deeds.Hash(code)),
		deeds.May(`DELETE FROM codes WHERE tenant = $1 AND hash = $2 AND spent = 0 AND tries > $3`, d.Tenant, deeds.Hash(code), int64(iam.MaxCodeTries)),
	)
}

// replayed ends the grant of a code or refresh token that came again, and says so in the journal if it still stood.
func (d *deed) replayed(what string, issue iam.Issue, grant, user string) error {
	stood, err := d.endGrant(grant)
	if err != nil || !stood {
		return err
	}
	event := journal.New(d.Now, journal.ReplaySeen{What: what})
	event.Actor, event.Client, event.User, event.Grant = "client:"+issue.Client, issue.Client, user, grant
	if len(issue.Events) > 0 {
		event.Trace, event.Personal = issue.Events[0].Trace, issue.Events[0].Personal
	}
	d.Events = []journal.Event{event}
	return nil
}
