package sqlite

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"modernc.org/sqlite"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

var (
	errClosed = errors.New("the storage is closed")
	errBusy   = errors.New("too many deeds wait")
)

// Result codes of SQLite (sqlite.org/rescode.html).
const (
	codeBusy       = 5
	codeLocked     = 6
	codeNoMemory   = 7
	codeReadOnly   = 8
	codeInterrupt  = 9
	codeIO         = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeCantOpen   = 14
	codeProtocol   = 15
	codeNotADB     = 26
	codeUnique     = 2067
	codePrimaryKey = 1555
)

func code(err error) int {
	var fault *sqlite.Error
	if errors.As(err, &fault) {
		return fault.Code()
	}
	return 0
}

// fatal tells whether an error is the storage's rather than the statement's: the transaction can't go on.
func fatal(err error) bool {
	switch code(err) & 0xff {
	case codeBusy, codeLocked, codeNoMemory, codeReadOnly, codeInterrupt, codeIO, codeCorrupt, codeFull, codeCantOpen, codeProtocol, codeNotADB:
		return true
	}
	return false
}

// exists translates a broken uniqueness.
func exists(err error) error {
	if c := code(err); c == codeUnique || c == codePrimaryKey {
		return fmt.Errorf("%w: %w", iam.ErrExists, err)
	}
	return err
}

// explain says in an operator's words what a fault of the storage means and what to do.
func explain(err error) error {
	var advice string
	switch code(err) & 0xff {
	case codeFull:
		advice = "the disk is full: make room, garde goes on by itself"
	case codeReadOnly, codeCantOpen:
		advice = "the file or its folder can't be written: check owner, mode and mount"
	case codeIO:
		advice = "the disk fails or is full: check the system's log"
	case codeCorrupt, codeNotADB:
		advice = "the file is damaged or not a storage of garde: restore a backup"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", advice, err)
}

// writable tells whether the system says that the file and those beside it may be written. It opens none of them: see takeLock.
func writable(path string) bool {
	const write = 2
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := syscall.Access(path+suffix, write); err != nil && !errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	return true
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", iam.ErrUnavailable, err) }

// takeLock takes an exclusive lock that ends with the process, however it ends. It is on a file of its own: closing any
// handle of the database file would drop SQLite's own locks.
func takeLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the storage: the file or its folder can't be written: check owner, mode and mount: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) // a file descriptor fits an int
	switch {
	case err == nil:
		return file, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil, errors.Join(fmt.Errorf("%w (%s)", deeds.ErrLocked, path), file.Close())
	default:
		return nil, errors.Join(fmt.Errorf("lock the storage: %w", err), file.Close())
	}
}

// RemoveLock removes the lock file of a closed storage that nobody will open in place.
func RemoveLock(path string) error { return os.Remove(path + lockSuffix) }
