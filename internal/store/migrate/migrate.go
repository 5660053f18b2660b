// Package migrate holds the schema and brings a database of any engine up to it. It knows no noun and none of the queries
// of sqlstore: what the columns mean stands there.
package migrate

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// keyed stands behind tables whose rows live in their primary key, on engines that can do so.
const keyed = "/* keyed */"

// ErrNewer: the storage was written by a newer Garde, whose schema this one does not know.
var ErrNewer = errors.New("the storage was written by a newer version of garde: run that version, or restore a backup made by this one")

// Up brings a database up to the newest schema. The text of each migration is the same for all engines; keyedAs takes
// the place of the word keyed behind tables. ErrNewer if the database is ahead of this program.
func Up(ctx context.Context, dialect goose.Dialect, db *sql.DB, keyedAs string, options ...goose.ProviderOption) error {
	migrations, err := migrationsFor(keyedAs)
	if err != nil {
		return err
	}
	options = append(options, goose.WithGoMigrations(migrations...), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	provider, err := goose.NewProvider(dialect, db, nil, options...)
	if err != nil {
		return fmt.Errorf("prepare migrations: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the schema: %w", err)
	}
	if current > target {
		return fmt.Errorf("%w (its schema is %d, this program knows %d)", ErrNewer, current, target)
	}
	if current == target {
		return nil
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the schema from %d to %d: %w", current, target, err)
	}
	return nil
}

func migrationsFor(keyedAs string) ([]*goose.Migration, error) {
	files, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		return nil, err
	}
	var migrations []*goose.Migration
	for _, file := range files {
		number, _, _ := strings.Cut(file.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", file.Name(), err)
		}
		text, err := migrationFiles.ReadFile(path.Join("migrations", file.Name()))
		if err != nil {
			return nil, err
		}
		script := strings.ReplaceAll(string(text), keyed, keyedAs)
		migrations = append(migrations, goose.NewGoMigration(version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			for statement := range strings.SplitSeq(script, ";\n") {
				if strings.TrimSpace(statement) == "" {
					continue
				}
				if _, err := tx.ExecContext(ctx, statement); err != nil {
					return err
				}
			}
			return nil
		}}, nil))
	}
	return migrations, nil
}
