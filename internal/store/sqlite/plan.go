package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Without figures the planner takes ten rows for what the first column of any key selects. Here that column is the
// tenant, which selects the whole table: it would read through everything rather than use an index on tenant and person.
// So it is told, for every key there is: the tenant selects all, each further column few, and a whole unique key one row.
// Indexes on a part of a table are told to be short. These figures are never measured, so plans never change by themselves.
const figures = `INSERT INTO sqlite_stat1 (tbl, idx, stat)
	SELECT m.name, CASE WHEN l.origin = 'pk' AND t.wr THEN m.name ELSE l.name END,
		CASE WHEN l.partial THEN '1000 1000' ELSE '1000000 1000000' END || COALESCE((
			SELECT group_concat(CASE WHEN l."unique" AND c.seqno = (SELECT max(seqno) FROM pragma_index_info(l.name)) THEN ' 1' ELSE ' 10' END, '')
			FROM pragma_index_info(l.name) c WHERE c.seqno > 0), '')
	FROM sqlite_schema m JOIN pragma_table_list(m.name) t JOIN pragma_index_list(m.name) l
	WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name NOT LIKE 'goose%'`

// tellPlanner writes the figures anew: the schema may have grown.
func tellPlanner(ctx context.Context, db *sql.DB) error {
	// The only way to make the table of figures is to measure something: the smallest table will do.
	if _, err := db.ExecContext(ctx, "ANALYZE house"); err != nil {
		return fmt.Errorf("make the planner's figures: %w", err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, query := range []string{"DELETE FROM sqlite_stat1", figures} {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return errors.Join(fmt.Errorf("write the planner's figures: %w", err), tx.Rollback())
		}
	}
	return tx.Commit()
}
