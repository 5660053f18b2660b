// Package sealed knows where storage keeps what is sealed, and reaches all of it when the master key changes. It opens
// nothing itself: who has the keys says what a value becomes.
package sealed

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// column is a column that holds sealed values, alone or within a text.
type column struct {
	table, name string
	key         string // what tells the rows of a tenant apart
	place, row  string // SQL for seal.AD's Table and Row
}

// columns gives every column of storage that holds what is sealed. One that is missing here stays under the old
// master key for ever.
func columns() []column {
	return []column{
		{"signing_keys", "sealed", "id", `'keys'`, "id"},
		{"deliveries", "sealed", "id", `'deliveries ' || kind`, "id"},
		{"links", "flow", "hash", `'links'`, "hash"},
		{"client_secrets", "sealed", `client || ' ' || id`, `'client_secrets'`, "id"},
		{"asked", "notify", "hash", `'asked'`, "id"},
		{"authenticators", "sealed", "id", `'authenticators'`, "id"},
		{"habits", "sealed", "user_id", `'habits'`, "user_id"},
		{"house", "value", "name", `'notary'`, `'signer'`}, // within the checkpoint
	}
}

// Values are the sealed values of a tenant. Both fields are required.
type Values struct {
	Engine deeds.Engine
	Tenant iam.Tenant
}

var _ iam.Sealing = Values{}

// Columns names every column that Reseal walks, as table.column.
func Columns() []string {
	var names []string
	for _, c := range columns() {
		names = append(names, c.table+"."+c.name)
	}
	return names
}

const page = 200

// Reseal asks for each sealed value and puts the answer in its place, unless the value is gone meanwhile.
func (v Values) Reseal(ctx context.Context, again func(iam.Sealed) (string, error)) (int, error) {
	var count, closed int
	var faults error
	for _, c := range columns() {
		for after, more := "", true; more; {
			rows, err := v.after(ctx, c, after)
			if err != nil {
				return count, err
			}
			var changes []deeds.Statement
			for _, row := range rows {
				for _, value := range seal.Find(row.text) {
					is, err := again(iam.Sealed{Table: row.place, Row: row.row, Value: value})
					switch {
					case err != nil:
						closed++
						faults = errors.Join(faults, fault(closed, c, row.key, err))
					case is != value:
						changes = append(changes, c.replace(string(v.Tenant), row.key, value, is))
					}
				}
				after = row.key
			}
			n, err := v.change(ctx, changes)
			count += n
			if err != nil {
				return count, err
			}
			more = len(rows) == page
		}
	}
	if closed > maxFaults {
		faults = errors.Join(faults, fmt.Errorf("and %d more", closed-maxFaults))
	}
	return count, faults
}

// maxFaults is how many are told one by one.
const maxFaults = 5

func fault(closed int, c column, key string, err error) error {
	if closed > maxFaults {
		return nil
	}
	return fmt.Errorf("%s of %s %s: %w", c.name, c.table, key, err)
}

// replace puts a value in another's place and leaves the rest of the text, which may have changed, as it is.
func (c column) replace(tenant, key, was, is string) deeds.Statement {
	return deeds.Statement{Query: `UPDATE ` + c.table + ` SET ` + c.name + ` = replace(` + c.name + `, $3, $4) WHERE tenant = $1 AND ` + c.key + ` = $2
		AND replace(` + c.name + `, $3, '') <> ` + c.name, Args: []any{tenant, key, was, is}}
}

type kept struct{ key, place, row, text string }

func (v Values) after(ctx context.Context, c column, after string) ([]kept, error) {
	query := strings.Join([]string{`SELECT `, c.key, `, `, c.place, `, `, c.row, `, `, c.name, ` FROM `, c.table,
		` WHERE tenant = $1 AND `, c.key, ` > $2 AND `, c.name, ` LIKE '%s1.%' ORDER BY `, c.key, ` LIMIT $3`}, "")
	var rows []kept
	err := v.Engine.Read(ctx, func(tx deeds.Tx) error {
		return tx.Query(query, []any{string(v.Tenant), after, int64(page)}, func(r deeds.Row) error {
			var row kept
			err := r.Scan(&row.key, &row.place, &row.row, &row.text)
			rows = append(rows, row)
			return err
		})
	})
	return rows, err
}

func (v Values) change(ctx context.Context, statements []deeds.Statement) (int, error) {
	if len(statements) == 0 {
		return 0, nil
	}
	changed, err := v.Engine.Together(ctx, statements...)
	count := 0
	for _, n := range changed {
		count += int(n)
	}
	return count, err
}
