package pgtest

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestEachTestHasItsOwnDatabase(t *testing.T) {
	t.Parallel()
	first, second := New(t), New(t)
	if first == second {
		t.Fatalf("both got %s", first)
	}
	run(t, first, "CREATE TABLE x (n BIGINT)")
	run(t, second, "CREATE TABLE x (n BIGINT)")
}

func TestTheDatabaseGoesWithItsTestWhoeverIsConnected(t *testing.T) {
	t.Parallel()
	var dsn string
	t.Run("inner", func(t *testing.T) {
		dsn = New(t)
		open(t, dsn) // stays open
	})
	if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
		t.Errorf("still there after its test; closing: %v", conn.Close(t.Context()))
	}
}

func TestATemplateIsPreparedOnce(t *testing.T) {
	t.Parallel()
	Shared(t)
	var prepared atomic.Int32
	name := "once_" + strings.ToLower(rand.Text()) // the server outlives this run
	prepare := func(dsn string) error {
		prepared.Add(1)
		run(t, dsn, "CREATE TABLE x (n BIGINT)")
		return nil
	}
	for range 4 {
		t.Run("copy", func(t *testing.T) {
			run(t, From(t, name, prepare), "INSERT INTO x VALUES (1)")
		})
	}
	if n := prepared.Load(); n != 1 {
		t.Errorf("prepared %d times", n)
	}
}

func TestAPrivateServerComesBackWithWhatItPromised(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*Server) error{"stop": (*Server).Stop, "kill": (*Server).Kill}
	s := Private(t)
	dsn, err := s.Create(t.Context(), "kept")
	if err != nil {
		t.Fatal(err)
	}
	run(t, dsn, "CREATE TABLE x (n BIGINT)")
	for name, end := range ends {
		run(t, dsn, "INSERT INTO x VALUES (1)")
		if err := end(s); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.Alive(t.Context()) {
			t.Fatalf("%s: it still answers", name)
		}
		if err := s.Run(t.Context()); err != nil {
			t.Fatalf("run after %s: %v", name, err)
		}
	}
	var rows int
	if err := open(t, dsn).QueryRow(t.Context(), "SELECT count(*) FROM x").Scan(&rows); err != nil || rows != len(ends) {
		t.Errorf("found %d rows: %v", rows, err)
	}
}

func TestTheSharedServerEndsAfterItsLastUser(t *testing.T) {
	t.Parallel()
	if _, err := program("postgres"); err != nil {
		Need(t, err)
	}
	dir, err := os.MkdirTemp("", "garde-pg-")
	if err != nil {
		t.Fatal(err)
	}
	g := group{dir: dir, grace: 100 * time.Millisecond}
	first, leaveFirst, err := g.join(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid, err := first.pid()
	if err != nil {
		t.Fatal(err)
	}
	second, leaveSecond, err := g.join(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := second.pid(); err != nil || again != pid {
		t.Fatalf("the second user got process %d, not %d: %v", again, pid, err)
	}
	if err := leaveFirst(); err != nil {
		t.Fatal(err)
	}
	if stopped, err := g.stop(); err != nil || stopped {
		t.Fatalf("stopped under its user: %v, %v", stopped, err)
	}
	time.Sleep(5 * g.grace)
	if !second.Alive(t.Context()) {
		t.Fatal("ended under its user")
	}
	if err := leaveSecond(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server ends", func() bool { return !second.Alive(t.Context()) })
	eventually(t, "its data are gone", func() bool {
		_, err := os.Stat(filepath.Join(dir, "data"))
		return os.IsNotExist(err)
	})
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func open(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// run leaves no connection behind, as a template demands.
func run(t testing.TB, dsn, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Error(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
