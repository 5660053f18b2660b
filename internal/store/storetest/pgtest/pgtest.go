// Package pgtest gives tests a real PostgreSQL: one server shared by all the test processes of a user, started by the
// first that asks and ended after the last, and in it a fresh database for each test. It knows nothing of Garde's
// tables: whoever wants them in each new database prepares a template once (From).
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const askWithin = 60 * time.Second

// New gives the DSN of a fresh, empty database on the shared server. It is dropped when the test ends, whoever is still
// connected. Without PostgreSQL the test is skipped, in CI it fails.
func New(t testing.TB) string {
	t.Helper()
	return fresh(t, Shared(t), "template0")
}

// From is New with a copy of a template: prepare fills it, once per server for each name, and must have closed its
// connections when it returns. The name should change whenever what prepare does changes (a digest of the migrations).
func From(t testing.TB, name string, prepare func(dsn string) error) string {
	t.Helper()
	s := Shared(t)
	template := "template_" + name
	if err := once(s, template, prepare); err != nil {
		t.Fatalf("prepare the template %s: %v", name, err)
	}
	return fresh(t, s, template)
}

// Shared gives the shared server; tests may not stop it.
func Shared(t testing.TB) *Server {
	t.Helper()
	s, err := shared()
	Need(t, err)
	return s
}

// Private starts a server of the test's own, to be stopped, killed and run again at will; it takes half a second. It is
// gone when the test ends.
func Private(t testing.TB) *Server {
	t.Helper()
	_, err := program("postgres")
	Need(t, err)
	// t.TempDir is closed to other users and its path may be longer than a socket's may be.
	dir, err := os.MkdirTemp("", "garde-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the private server: %v", err)
		}
	})
	s := &Server{dir: dir}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil {
			t.Errorf("end the private server: %v", err)
		}
	})
	if _, err := Start(t.Context(), dir); err != nil {
		t.Fatalf("start a private PostgreSQL: %v", err)
	}
	return s
}

// Need ends a test that can't have its PostgreSQL: by a skip where it is merely not installed, by a failure in CI and
// wherever GARDE_TEST_ALL=1 asks for every test.
func Need(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, ErrAbsent) && os.Getenv("CI") != "true" && os.Getenv("GARDE_TEST_ALL") != "1":
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// Create makes an empty database on the server and gives its DSN; the caller keeps it.
func (s *Server) Create(ctx context.Context, name string) (string, error) {
	return s.DSN(name), s.do(ctx, "CREATE DATABASE "+quoted(name)+" TEMPLATE template0")
}

func fresh(t testing.TB, s *Server, template string) string {
	t.Helper()
	name := "t_" + strings.ToLower(rand.Text())
	if err := s.do(t.Context(), "CREATE DATABASE "+quoted(name)+" TEMPLATE "+quoted(template)); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := s.do(context.Background(), "DROP DATABASE "+quoted(name)+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return s.DSN(name)
}

// once makes a template under a lock: a mark in the server's folder says that it is whole, and goes with the server.
func once(s *Server, template string, prepare func(dsn string) error) error {
	marks := filepath.Join(s.dir, "templates")
	if err := os.MkdirAll(marks, 0o700); err != nil {
		return err
	}
	alone, err := lock(filepath.Join(s.dir, "setup"), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer alone.Close() //nolint:errcheck // closing lets go of the lock, nothing was written
	mark := filepath.Join(marks, template)
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	ctx := context.Background()
	if err := s.do(ctx, "DROP DATABASE IF EXISTS "+quoted(template)+" WITH (FORCE)"); err != nil {
		return err
	}
	dsn, err := s.Create(ctx, template)
	if err != nil {
		return err
	}
	if err := prepare(dsn); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, 0o600)
}

func (s *Server) do(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.DSN("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
