package storetest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

func refuses(t *testing.T, address string, want error, says string) {
	t.Helper()
	s, err := store.Open(context.Background(), address, store.Options{})
	if err == nil {
		_ = s.Close() // the test has failed already
		t.Fatal("it opened")
	}
	if want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Fatalf("got %v", err)
	}
}

func TestWhatCannotBeOpenedSaysWhy(t *testing.T) {
	t.Parallel()
	t.Run("in use by another", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "garde.db")
		s := openAt(t, "sqlite:"+path, nil)
		refuses(t, "sqlite:"+path, store.ErrLocked, "stop it")
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		openAt(t, "sqlite:"+path, nil)
	})
	t.Run("a folder that can't be written", func(t *testing.T) {
		folder := "/sys/kernel" // nobody can write here, root neither
		if os.Getuid() != 0 {
			folder = t.TempDir()
			if err := os.Chmod(folder, 0o500); err != nil { // a folder needs its x
				t.Fatal(err)
			}
		}
		refuses(t, "sqlite:"+filepath.Join(folder, "garde.db"), nil, "can't be written")
	})
	for name, spoil := range map[string]func([]byte) []byte{
		"not a storage at all": func([]byte) []byte { return []byte(strings.Repeat("no storage ", 1000)) },
		"a damaged file": func(b []byte) []byte {
			for i := 4096; i < len(b); i++ {
				b[i] = 0xff
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "garde.db")
			if err := openAt(t, "sqlite:"+path, nil).Close(); err != nil {
				t.Fatal(err)
			}
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, spoil(whole), 0o600); err != nil {
				t.Fatal(err)
			}
			refuses(t, "sqlite:"+path, nil, "damaged")
		})
	}
	t.Run("written by a newer garde", func(t *testing.T) {
		for _, address := range []string{"sqlite:" + filepath.Join(t.TempDir(), "garde.db"), pgtest.New(t)} {
			s := openAt(t, address, nil)
			if _, err := s.Engine.Together(context.Background(), deeds.Statement{
				Query: "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)"}); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			refuses(t, address, store.ErrNewer, "newer")
		}
	})
	t.Run("A08 an address that can't be used, without its password", func(t *testing.T) {
		for _, address := range []string{"postgres://garde:hunter2@127.0.0.1:1/x?connect_timeout=1", "postgres://garde:hunter2@[bad", "mysql://garde:hunter2@x", "sqlite:"} {
			s, err := store.Open(context.Background(), address, store.Options{})
			if err == nil {
				_ = s.Close() // the test has failed already
				t.Fatalf("%s opened", address)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Fatal(err)
			}
		}
	})
}

// TestF13AFileThatIsSpoiledWhileItServes: what is committed into a file that nobody finds again is not answered, and whoever
// asks for readiness hears why.
func TestF13AFileThatIsSpoiledWhileItServes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(path string) error
		says  string
		mend  func(path string) error // nil: only a restart does
	}{
		"moved away, and back": {
			func(path string) error { return os.Rename(path, path+".away") }, "taken away",
			func(path string) error { return os.Rename(path+".away", path) },
		},
		"removed": {os.Remove, "taken away", nil},
		"replaced": {func(path string) error {
			return errors.Join(os.Rename(path, path+".away"), os.WriteFile(path, []byte("another"), 0o600))
		}, "replaced", func(path string) error { return os.Rename(path+".away", path) }},
		"cut":             {func(path string) error { return os.Truncate(path, 0) }, "cut", nil},
		"without its log": {func(path string) error { return os.Remove(path + "-wal") }, "the log beside the file was taken away", nil},
		"with another log": {func(path string) error {
			return errors.Join(os.Remove(path+"-wal"), os.WriteFile(path+"-wal", nil, 0o600))
		}, "the log beside the file was replaced", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "garde.db")
			s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }() // what was spoiled may say so once more
			note := func() error {
				_, err := s.Engine.Together(t.Context(), deeds.Statement{Query: "INSERT INTO house (tenant, name, value) VALUES ('', 'x', 'y') ON CONFLICT (tenant, name) DO NOTHING"})
				return err
			}
			if err := errors.Join(note(), note(), s.Ready(t.Context())); err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(path); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := note(); !errors.Is(err, iam.ErrUnavailable) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("a deed is answered %v", err)
				}
			}
			if err := s.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("ready says %v", err)
			}
			if c.mend == nil {
				return
			}
			if err := c.mend(path); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(s.Ready(t.Context()), note()); err != nil {
				t.Errorf("mended, it says %v", err)
			}
		})
	}
	t.Run("overwritten: who reads it first tells all", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "garde.db")
		s, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }() // see above
		if err := s.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, spoiled := range []string{path, path + "-wal"} { // in place: the same file, no shorter
			if err := os.WriteFile(spoiled, []byte(strings.Repeat("\xff", len(whole))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		look := s.Engine.Read(t.Context(), func(tx deeds.Tx) error {
			return tx.Query("SELECT name FROM house", nil, func(deeds.Row) error { return nil })
		})
		if !errors.Is(look, iam.ErrUnavailable) || !strings.Contains(look.Error(), "damaged") {
			t.Errorf("the look-up says %v", look)
		}
		for range 2 {
			if err := s.Ready(t.Context()); !errors.Is(err, iam.ErrUnavailable) || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("ready says %v", err)
			}
		}
		if _, err := s.Engine.Together(t.Context(), deeds.Statement{Query: "DELETE FROM house WHERE name = 'x'"}); !errors.Is(err, iam.ErrUnavailable) {
			t.Errorf("a deed is answered %v", err)
		}
	})
}

func TestFilesArePrivate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	s := openAt(t, "sqlite:"+filepath.Join(folder, "garde.db"), nil)
	if err := furnish(s.Tenant(iam.DefaultTenant)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file, info.Mode())
		}
	}
}

func TestOverloadIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	s := openSQLite(t, nil)
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.Engine.Deed(context.Background(), func(deeds.Tx) error {
			close(held)
			<-hold
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	// Its caller gives up while it waits: it is never done.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := s.Engine.Deed(ctx, func(deeds.Tx) error {
		t.Error("an abandoned deed was done")
		return nil
	})
	if !errors.Is(err, iam.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an abandoned deed answers %v", err)
	}
	refused := make(chan error, 2000)
	for range 2000 {
		wg.Go(func() {
			refused <- s.Engine.Deed(context.Background(), func(deeds.Tx) error { return nil })
		})
	}
	if err := <-refused; !errors.Is(err, iam.ErrUnavailable) {
		t.Errorf("a full queue answers %v", err)
	}
	close(hold)
	wg.Wait()
	if err := s.Ready(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestADeedThatFailsUndoesOnlyItself(t *testing.T) {
	t.Parallel()
	s := openSQLite(t, nil)
	tenant := s.Tenant(iam.DefaultTenant)
	if err := furnish(tenant); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	broken := errors.New("broken")
	for i := range 200 {
		wg.Go(func() {
			id := "g-" + string(rune('a'+i%26)) + string(rune('a'+i/26))
			err := s.Engine.Deed(context.Background(), func(tx deeds.Tx) error {
				if _, err := tx.Exec("INSERT INTO user_groups (tenant, name, say, created) VALUES ('default', $1, '', 0)", id); err != nil {
					return err
				}
				switch i % 4 {
				case 0:
					return broken
				case 1:
					panic("broken")
				}
				return nil
			})
			if (err != nil) != (i%4 < 2) {
				t.Errorf("deed %d answers %v", i, err)
			}
		})
	}
	wg.Wait()
	groups, err := tenant.ListGroups(context.Background(), iam.Page{Limit: 500})
	if err != nil || len(groups) != 100 {
		t.Fatalf("%d groups, %v", len(groups), err)
	}
}

// TestF13LostDatabase: what can't be done is never answered as done, and it works again when the database does.
func TestF13LostDatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	s := openAt(t, server.DSN("postgres"), nil)
	tenant := s.Tenant(iam.DefaultTenant)
	ctx := context.Background()
	if err := furnish(tenant); err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for name, deed := range map[string]func() error{
		"revoke a grant": func() error { return tenant.RevokeGrant(ctx, "g") },
		"revoke a token": func() error { return tenant.RevokeToken(ctx, "t", time.Now()) },
		"end a session":  func() error { return tenant.EndSession(ctx, "s") },
		"issue": func() error {
			return tenant.Issue(ctx, iam.Issue{Now: time.Now(), Client: "c-app", Events: benchEvent()})
		},
		"look up":  func() error { _, err := tenant.Client(ctx, "c-app"); return err },
		"be ready": func() error { return s.Ready(ctx) },
	} {
		if err := deed(); !errors.Is(err, iam.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := server.Run(ctx); err != nil {
		t.Fatal(err)
	}
	for try := 0; ; try++ {
		err := tenant.RevokeToken(ctx, "t", time.Now())
		if err == nil {
			break
		}
		if try == 50 || !errors.Is(err, iam.ErrUnavailable) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := s.Ready(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestPostgresOverload: what waits behind one locked row is bounded, the rest is refused at once, and all is well afterwards.
func TestPostgresOverload(t *testing.T) {
	t.Parallel()
	s := openAt(t, pgtest.New(t), nil)
	tenant := s.Tenant(iam.DefaultTenant)
	if err := furnish(tenant); err != nil {
		t.Fatal(err)
	}
	const lock = "UPDATE users SET era = era WHERE id = 'u-ada'"
	hold, held := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := s.Engine.Deed(context.Background(), func(tx deeds.Tx) error {
			if _, err := tx.Exec(lock); err != nil {
				return err
			}
			close(held)
			<-hold
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-held
	const many = 1100
	answers := make(chan error, many)
	for range many {
		wg.Go(func() {
			_, err := s.Engine.Together(context.Background(), deeds.Statement{Query: lock})
			answers <- err
		})
	}
	if err := <-answers; !errors.Is(err, iam.ErrUnavailable) {
		t.Errorf("one too many answers %v", err)
	}
	close(hold)
	begun := time.Now()
	wg.Wait()
	close(answers)
	done := 0
	for err := range answers {
		switch {
		case err == nil:
			done++
		case !errors.Is(err, iam.ErrUnavailable):
			t.Error(err)
		}
	}
	if done < 1000 || time.Since(begun) > 10*time.Second {
		t.Errorf("%d were done in %v", done, time.Since(begun))
	}
	if err := s.Ready(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestReadinessSeesAFaultThatNobodyMet: the storage breaks while nothing is asked of it.
func TestReadinessSeesAFaultThatNobodyMet(t *testing.T) {
	t.Parallel()
	if out, err := child("idle", "sqlite:"+t.TempDir()+"/garde.db").Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
