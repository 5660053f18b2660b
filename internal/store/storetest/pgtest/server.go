package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	superuser    = "garde"
	socketPort   = "5432" // only a name of the socket's file: nothing listens on TCP
	startWithin  = 60 * time.Second
	stopWithin   = 30 * time.Second
	askEvery     = 20 * time.Millisecond
	clusterMark  = "ready" // stands beside the cluster once initdb has finished
	maxConnected = "400"
)

// ErrAbsent says that this machine has no PostgreSQL server.
var ErrAbsent = errors.New("no PostgreSQL found: install Debian's package postgresql, or put initdb and postgres in PATH")

// Server is one PostgreSQL cluster in a folder, reached through a unix socket there. Its methods are not for concurrent
// use.
type Server struct {
	dir string
}

// Start makes a cluster in dir, which must exist and be reachable by other users when the caller is root, and returns
// when it answers. fsync stays on: what the tests of durability see is what a server in production does.
func Start(ctx context.Context, dir string) (*Server, error) {
	s := &Server{dir: dir}
	if err := s.prepare(ctx); err != nil {
		return nil, err
	}
	return s, s.Run(ctx)
}

// DSN names a database of this server, in the form that pgx reads.
func (s *Server) DSN(database string) string {
	query := url.Values{"host": {s.socket()}, "port": {socketPort}, "sslmode": {"disable"}}
	return "postgres://" + superuser + "@/" + url.PathEscape(database) + "?" + query.Encode()
}

// Run starts a server that Start has prepared and Stop or Kill has ended; its address and data are the same as before.
func (s *Server) Run(ctx context.Context) error {
	postgres, err := program("postgres")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the server has its own copy of the file
	//nolint:gosec // G204: the program that was found, with our own arguments
	cmd := exec.Command(postgres, "-D", s.cluster(), "-k", s.socket(),
		"-c", "listen_addresses=", "-c", "port="+socketPort, "-c", "max_connections="+maxConnected,
		"-c", "shared_buffers=128MB", "-c", "max_wal_size=256MB", "-c", "fsync=on", "-c", "synchronous_commit=on",
		"-c", "unix_socket_permissions=0777", "-c", "logging_collector=off", "-c", "autovacuum_naptime=10min")
	cmd.Stdout, cmd.Stderr = log, log
	if err := s.detach(cmd); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	return s.await(ctx, exited)
}

func (s *Server) await(ctx context.Context, exited <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for {
		if s.Alive(ctx) {
			return nil
		}
		select {
		case err := <-exited:
			return fmt.Errorf("postgres ended at its start (%w): %s", err, s.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w: %s", ctx.Err(), s.lastWords())
		case <-time.After(askEvery):
		}
	}
}

// Alive tells whether the server answers.
func (s *Server) Alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return false
	}
	return conn.Close(ctx) == nil
}

// Stop ends the server cleanly: clients are cut off, transactions under way are rolled back. A server that does not run
// is no error.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server as a crash would: nothing is written any more, and the next Run recovers from the log.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(signal syscall.Signal) error {
	pid, err := s.pid()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal postgres: %w", err)
	}
	for deadline := time.Now().Add(stopWithin); time.Now().Before(deadline); time.Sleep(askEvery) {
		// Its last act is to remove this file. The process itself may linger as a zombie of a parent that never asks.
		if _, err := s.pid(); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return fmt.Errorf("postgres (process %d) does not end", pid)
}

// pid is the process that runs the server; fs.ErrNotExist says that none does, also when the file is left from a crash
// and another program has the number now.
func (s *Server) pid() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.cluster(), "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("postmaster.pid begins with %q", first)
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err == nil && strings.TrimSpace(string(name)) == "postgres" {
		return pid, nil
	}
	return 0, fs.ErrNotExist
}

func (s *Server) cluster() string { return filepath.Join(s.dir, "data") }
func (s *Server) socket() string  { return filepath.Join(s.dir, "run") }

// prepare makes the cluster, once: a folder whose initdb was interrupted is made anew.
func (s *Server) prepare(ctx context.Context) error {
	mark := filepath.Join(s.dir, clusterMark)
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	initdb, err := program("initdb")
	if err != nil {
		return err
	}
	if err := os.RemoveAll(s.cluster()); err != nil {
		return err
	}
	if err := s.makeFolders(); err != nil {
		return err
	}
	//nolint:gosec // G204: the program that was found, with our own arguments
	cmd := exec.CommandContext(ctx, initdb, "-D", s.cluster(), "-U", superuser, "-A", "trust", "-E", "UTF8",
		"--locale=C", "--no-sync", "--no-instructions")
	if err := s.detach(cmd); err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return os.WriteFile(mark, nil, 0o600)
}

func (s *Server) makeFolders() error {
	as, err := servant()
	if err != nil {
		return err
	}
	for _, dir := range []string{s.cluster(), s.socket()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if as == nil {
			continue
		}
		if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	if as == nil {
		return nil
	}
	// The server's user has to pass through, and needs to read nothing.
	return os.Chmod(s.dir, 0o711) //nolint:gosec // G302: see above
}

// detach gives a command a session of its own, so that a Ctrl-C meant for the tests does not reach it, and a user of
// its own when the caller is root: PostgreSQL refuses to run as root.
func (s *Server) detach(cmd *exec.Cmd) error {
	as, err := servant()
	if err != nil {
		return err
	}
	cmd.Dir = s.cluster()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: as}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	return nil
}

// servant is the user that the server runs as: nil (this one) unless this one is root.
func servant() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // a nil credential means: stay who you are
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")
}

// program finds a server program in PATH or, newest first, where Debian puts it.
func program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.EvalSymlinks(path)
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return "", ErrAbsent
	}
	return slices.MaxFunc(found, func(a, b string) int { return major(a) - major(b) }), nil
}

func major(path string) int {
	number, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	if err != nil {
		return 0
	}
	return number
}

func (s *Server) lastWords() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}
