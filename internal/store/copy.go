package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

const backupName = "backup.db"

// copyFile copies a file into a private folder of its own and gives the folder.
func copyFile(path string) (string, error) {
	from, err := os.Open(path) // the operator names the backup
	if err != nil {
		return "", err
	}
	defer from.Close() //nolint:errcheck // only read
	folder, err := os.MkdirTemp(filepath.Dir(path), ".garde-restore-")
	if err != nil {
		folder, err = os.MkdirTemp("", "garde-restore-")
	}
	if err != nil {
		return "", err
	}
	to, err := os.OpenFile(filepath.Join(folder, backupName), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(folder))
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		return "", errors.Join(err, os.RemoveAll(folder))
	}
	return folder, nil
}
