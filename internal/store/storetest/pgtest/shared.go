package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// group is a server that all the test processes of one user share. Each of them holds a shared lock on the file users
// as long as it lives; a watchdog takes it exclusively, which it gets when the last one is gone, and ends the server. The
// kernel lets go of a lock when its process dies, however it dies: nothing has to be tidied up after a crash.
type group struct {
	dir   string
	grace time.Duration // how long the server outlives its last user: `go test ./...` starts them one after the other
}

// watch waits until nobody holds a lease, gives latecomers their grace, and ends the server unless one came.
const watch = `
while :; do
	flock -x "$1/users" true
	sleep "$2"
	flock -x -n -E 75 "$1/users" sh -c '
		pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)
		if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = postgres ]; then
			kill -INT "$pid"
			for try in $(seq 400); do [ -e "$1/data/postmaster.pid" ] || break; sleep 0.05; done
		fi
		rm -rf "$1/ready" "$1/data" "$1/templates"' sh "$1"
	[ $? -eq 75 ] || exit 0
done`

// join makes this process a user of the server and starts it when nobody has. The lease is held until release.
func (g group) join(ctx context.Context) (s *Server, release func() error, err error) {
	if _, err := program("postgres"); err != nil {
		return nil, nil, err
	}
	if err := g.makeFolder(); err != nil {
		return nil, nil, err
	}
	lease, err := lock(filepath.Join(g.dir, "users"), syscall.LOCK_SH)
	if err != nil {
		return nil, nil, err
	}
	s, err = g.start(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, lease.Close())
	}
	return s, lease.Close, nil
}

func (g group) start(ctx context.Context) (*Server, error) {
	alone, err := lock(filepath.Join(g.dir, "setup"), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer alone.Close() //nolint:errcheck // closing lets go of the lock, nothing was written
	s := &Server{dir: g.dir}
	if s.Alive(ctx) {
		return s, nil
	}
	// The watchdog comes first: a process that dies between the two leaves no server behind.
	if err := g.startWatchdog(); err != nil {
		return nil, err
	}
	return Start(ctx, g.dir)
}

func (g group) startWatchdog() error {
	if _, err := exec.LookPath("flock"); err != nil {
		return fmt.Errorf("the shared test server needs flock of Debian's package util-linux: %w", err)
	}
	grace := strconv.FormatFloat(g.grace.Seconds(), 'f', 3, 64)
	cmd := exec.Command("sh", "-c", watch, "pgtest-watch", g.dir, grace) //nolint:gosec // G204: the text is ours
	cmd.Dir = g.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// stop ends the server if nobody uses it, and says whether it did.
func (g group) stop() (bool, error) {
	users, err := lock(filepath.Join(g.dir, "users"), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer users.Close() //nolint:errcheck // closing lets go of the lock, nothing was written
	if err := (&Server{dir: g.dir}).Stop(); err != nil {
		return false, err
	}
	for _, name := range []string{clusterMark, "data", "templates"} {
		if err := os.RemoveAll(filepath.Join(g.dir, name)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// makeFolder refuses a folder that another user laid there: it would run what they put in it.
func (g group) makeFolder() error {
	if err := os.Mkdir(g.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	found, err := os.Lstat(g.dir)
	if err != nil {
		return err
	}
	stat, ok := found.Sys().(*syscall.Stat_t)
	if !ok || !found.IsDir() || int(stat.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a folder of this user: remove it", g.dir)
	}
	return nil
}

// lock opens a file and locks it; closing the file, or dying, lets go of it.
func lock(path string, how int) (*os.File, error) {
	flags := os.O_RDWR
	if how&syscall.LOCK_NB == 0 {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
	}
}

func usual() group {
	return group{dir: filepath.Join(os.TempDir(), "garde-pg-"+strconv.Itoa(os.Getuid())), grace: 15 * time.Second}
}

// membership is a server with the lease on it. Whoever drops the lease lets the collector close it, and the watchdog then
// stops the server under the tests that still run.
type membership struct {
	server  *Server
	release func() error
}

// joined is made once per process and held until the process ends.
var joined = sync.OnceValues(func() (membership, error) {
	server, release, err := usual().join(context.Background())
	return membership{server, release}, err
})

func shared() (*Server, error) {
	held, err := joined()
	return held.server, err
}

// StopShared ends the shared server if no test process uses it, and says whether none runs any more.
func StopShared() (bool, error) { return usual().stop() }
