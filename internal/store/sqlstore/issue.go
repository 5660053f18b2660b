package sqlstore

import (
	"cmp"
	"context"
	"errors"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/factors"
)

// Issue does the one deed that makes tokens durable. See iam.Issuing for its answers.
func (t *Tenant) Issue(ctx context.Context, issue iam.Issue) error {
	if plain(issue) {
		return t.issuePlain(ctx, issue)
	}
	done, err := t.view.Engine.Straight(ctx, func() ([]deeds.Statement, error) { return issuePlan(t.view.Tenant, issue) })
	if done || err != nil {
		return err
	}
	return t.deed(ctx, issue.Events, func(d *deed) error {
		done, err := d.prove(issue)
		if err != nil || done {
			return err
		}
		rows, err := newRows(nil, d.Tenant, issue)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := d.Step(iam.ErrRevoked, row); err != nil {
				return err
			}
		}
		return nil
	})
}

// errUnmet: a statement that must change a row changed none.
var errUnmet = errors.New("a condition is not met")

// issuePlan is the way of an issue when all is as it should be; nil for those who come too rarely to have one.
func issuePlan(tenant string, issue iam.Issue) (plan []deeds.Statement, err error) {
	plan = cameFrom(tenant, issue.Client, issue.Flow, issue.Pushed, issue.Now)
	switch {
	case issue.Code != nil:
		plan = append(plan, codeSpending(tenant, issue)...)
	case issue.Asked != nil:
		plan = append(plan, askedSpending(tenant, issue)...)
	case issue.Refresh != nil:
		plan = append(plan, holdGrant(tenant, issue), markRefresh(tenant, issue))
		if issue.Replace != nil {
			plan = append(plan, refreshRow(tenant, *issue.Replace))
		}
	case issue.Begin != nil || issue.User != "" || issue.Session != "" || issue.NewAccess == nil || issue.NewAccess.Client != issue.Client:
		return nil, nil
	}
	if plan, err = newRows(plan, tenant, issue); err != nil {
		return nil, err
	}
	return deeds.JournalRows(plan, tenant, issue.Events)
}

// newRows adds what an issue keeps anew.
func newRows(rows []deeds.Statement, tenant string, issue iam.Issue) ([]deeds.Statement, error) {
	if issue.Begin != nil {
		begun, err := begin(tenant, issue)
		if err != nil {
			return nil, err
		}
		rows = append(rows, begun...)
	}
	if issue.NewRefresh != nil {
		rows = append(rows, refreshRow(tenant, *issue.NewRefresh))
	}
	if issue.NewDevice != nil {
		rows = append(rows, factors.SecretRow(tenant, *issue.NewDevice))
	}
	if issue.NewAccess == nil {
		return rows, nil
	}
	row, err := accessRow(tenant, *issue.NewAccess)
	return append(rows, row), err
}

// begin keeps a grant that begins here, and the code of it.
func begin(tenant string, issue iam.Issue) ([]deeds.Statement, error) {
	grant := *issue.Begin
	body, err := grantBody(grant)
	if err != nil {
		return nil, err
	}
	rows := []deeds.Statement{deeds.Must(`INSERT INTO grants (tenant, id, client, client_era, user_id, user_era, session, body, created, expires, binding, device)
		SELECT c.tenant, CAST($2 AS TEXT), c.id, c.era, CAST($4 AS TEXT),
			COALESCE((SELECT u.era FROM users u WHERE u.tenant = $1 AND u.id = $4), 0), CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS BIGINT),
			CAST($8 AS BIGINT), CAST($9 AS TEXT), COALESCE((SELECT s.device FROM sessions s WHERE s.tenant = $1 AND s.id = $10), '')
		FROM clients c WHERE c.tenant = $1 AND c.id = $3 AND NOT c.disabled AND NOT c.removed
		AND ($4 = '' OR EXISTS (SELECT 1 FROM users u WHERE u.tenant = $1 AND u.id = $4 AND NOT u.disabled AND NOT u.removed))`,
		tenant, grant.ID, grant.Client, grant.User, grant.Session, body, deeds.Micro(grant.Created), deeds.Micro(grant.Expires), bindingText(grant.Binding), cmp.Or(grant.Session, grant.Login))}
	if issue.NewCode == nil {
		return rows, nil
	}
	code := *issue.NewCode
	code.Grant = grant
	return append(rows, codeRow(tenant, code, body, true)), nil
}

func (d *deed) prove(issue iam.Issue) (done bool, err error) {
	for _, end := range cameFrom(d.Tenant, issue.Client, issue.Flow, issue.Pushed, issue.Now) {
		if err := d.Step(iam.ErrNotFound, end); err != nil {
			return false, err
		}
	}
	switch {
	case issue.Code != nil:
		return d.spend(issue, codeSpending(d.Tenant, issue), d.whyNotCode)
	case issue.Asked != nil:
		return d.spend(issue, askedSpending(d.Tenant, issue), d.whyNotSpent)
	case issue.Refresh != nil:
		return d.useRefresh(issue)
	default:
		return false, d.stand(issue)
	}
}

// spend takes the steps that spend what is shown, the first of which only holds others up, or finds out why not. done is true
// when the deed is decided (a verdict).
func (d *deed) spend(issue iam.Issue, steps []deeds.Statement, whyNot func(iam.Issue) error) (done bool, err error) {
	if d.Alone() {
		steps = steps[1:] // there is nobody to be held up
	}
	for _, step := range steps {
		err := d.Step(errUnmet, step)
		if errors.Is(err, errUnmet) {
			return true, whyNot(issue)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// stand asks whether client, user and session stand, when nothing is spent.
func (d *deed) stand(issue iam.Issue) error {
	err := deeds.Only(d, iam.ErrRevoked, `SELECT 1 FROM clients WHERE tenant = $1 AND id = $2`+standing,
		[]any{d.Tenant, issue.Client}, new(int64))
	if err != nil || issue.User == "" && issue.Session == "" {
		return err
	}
	if err := d.Hold(iam.ErrRevoked, issue.User, standing); err != nil {
		return err
	}
	if err := d.stillAllowed(issue, issue.User); err != nil || issue.Session == "" {
		return err
	}
	return deeds.Only(d, iam.ErrRevoked, `SELECT 1 FROM sessions s JOIN users u ON u.tenant = s.tenant AND u.id = s.user_id AND u.era = s.user_era
		WHERE s.tenant = $1 AND s.id = $2 AND s.user_id = $3 AND s.expires > $4`,
		[]any{d.Tenant, issue.Session, issue.User, deeds.Micro(issue.Now)}, new(int64))
}

const standing = ` AND NOT disabled AND NOT removed`

// plain tells whether nothing but journal rows is kept: a client's own signed token, the most frequent deed of all.
func plain(issue iam.Issue) bool {
	return issue.Code == nil && issue.Asked == nil && issue.Begin == nil && issue.Refresh == nil && issue.NewRefresh == nil &&
		issue.NewAccess == nil && issue.NewDevice == nil && iam.Digest(issue.Flow).Zero() && iam.Digest(issue.Pushed).Zero() && issue.User == "" && issue.Session == "" && len(issue.Events) > 0
}

// issuePlain asks for the client's standing within the very statement that inserts, so one round trip does all.
func (t *Tenant) issuePlain(ctx context.Context, issue iam.Issue) error {
	statements := make([]deeds.Statement, 0, 2*len(issue.Events))
	for _, event := range issue.Events {
		row, personal, err := deeds.EventRows(t.view.Tenant, event)
		if err != nil {
			return err
		}
		row.Query = deeds.InsertEventIfClientStands
		row.Args = append(row.Args, issue.Client)
		statements = append(statements, row)
		if personal != nil {
			statements = append(statements, *personal)
		}
	}
	changed, err := t.view.Engine.Together(ctx, statements...)
	if err == nil && changed[0] == 0 {
		return iam.ErrRevoked
	}
	return err
}
