package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/sqlite"
	"github.com/gardeauth/garde/internal/store/sqlstore"
)

// Restored says what a restore began with.
type Restored = sqlstore.Restored

// Backup writes all rows, as they are at one moment, to a new file, while the store is in use. The file is SQLite's,
// whatever the engine, mode 0600, and can be restored into either engine. What is in it is hashed or sealed as in the
// store; the master key is not. It never replaces a file, and a backup that did not end well leaves none.
func (s *Store) Backup(ctx context.Context, path string) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	if err := file.Close(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	to, err := sqlite.Open(ctx, path)
	if err != nil {
		return fmt.Errorf("make the backup: %w", err)
	}
	// Closing brings everything from the log into the one file.
	if err := errors.Join(s.copyTo(ctx, to), to.Close(), sqlite.RemoveLock(path)); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return syncFile(path)
}

func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// Restore replaces all that the store holds by a backup, at once or not at all; see sqlstore.Store.TakeOver for what
// ends. The backup may come from another engine and an older garde; a newer one's is ErrNewer. No other node may run.
func (s *Store) Restore(ctx context.Context, path string) (Restored, error) {
	if _, err := os.Stat(path); err != nil {
		return Restored{}, fmt.Errorf("read the backup: %w", err)
	}
	// It is opened as a copy, because opening brings its schema up to date and the backup stays as it was made.
	working, err := copyFile(path)
	if err != nil {
		return Restored{}, fmt.Errorf("read the backup: %w", err)
	}
	defer os.RemoveAll(working) //nolint:errcheck // a copy in the folder for temporary files
	from, err := sqlite.Open(ctx, filepath.Join(working, backupName))
	if err != nil {
		return Restored{}, fmt.Errorf("read the backup: %w", err)
	}
	var restored Restored
	err = from.Snapshot(ctx, func(rows deeds.Tx) error {
		made, err := backupAt(rows)
		if err != nil {
			return err
		}
		restored, err = s.TakeOver(ctx, made, func(tx deeds.Tx) error { return refill(rows, tx) })
		return err
	})
	return restored, errors.Join(err, from.Close())
}
