package storetest_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

// A soak runs for GARDE_SOAK, a duration; without it these tests are skipped.
func soakTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("GARDE_SOAK")
	if text == "" {
		t.Skip("runs in a soak: GARDE_SOAK")
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return long
}

// TestSoakContracts proves everything again and again, with many more races each time.
func TestSoakContracts(t *testing.T) {
	for end := time.Now().Add(soakTime(t)); time.Now().Before(end) && !t.Failed(); {
		// A round ends when all of its tests have: they are parallel, and alone they would wait for the end of this loop.
		t.Run("round", func(t *testing.T) {
			t.Run("sqlite", TestSQLite)
			t.Run("postgres", TestPostgres)
			t.Run("killed", TestKilledUnderLoad)
		})
	}
}

// TestSoakWriters: bringing the log into the file holds nobody up for long, and the log stays small.
func TestSoakWriters(t *testing.T) {
	end := time.Now().Add(soakTime(t))
	path := filepath.Join(t.TempDir(), "garde.db")
	tenant := openAt(t, "sqlite:"+path, nil).Tenant(iam.DefaultTenant)
	if err := furnish(tenant); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var worst time.Duration
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for time.Now().Before(end) {
				begun := time.Now()
				if err := tenant.Issue(context.Background(), iam.Issue{Now: begun, Client: "c-app", Events: benchEvent()}); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				worst = max(worst, time.Since(begun))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	log, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the slowest took %v, the log has %d MiB", worst, log.Size()>>20)
	if worst > time.Second || log.Size() > 64<<20 {
		t.Fail()
	}
}

// fill puts in so many people and clients.
func fill(s *store.Store, people, clients int) error {
	const many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
	_, err := s.Engine.Together(context.Background(), deeds.Statement{Query: many + strconv.Itoa(people) + `)
		INSERT INTO users (tenant, id, username, email, email_key, email_verified, name, claims, admin, disabled, locale, created, changed)
		SELECT 'default', 'many-' || i, 'many' || i, i || '@example.com', i || '@example.com', TRUE, 'Someone ' || i, '', FALSE, FALSE, 'en', 1, 1 FROM n`},
		deeds.Statement{Query: many + strconv.Itoa(people) + `) INSERT INTO passwords (tenant, user_id, phc, changed)
		SELECT 'default', 'many-' || i, '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g', 1 FROM n`},
		deeds.Statement{Query: many + strconv.Itoa(clients) + `) INSERT INTO clients (tenant, id, source, body, changed)
		SELECT 'default', 'many-' || i, 'admin', '{}', 1 FROM n`})
	return err
}

// TestSoakStart: a store of a million people and a hundred thousand clients opens as fast as an empty one.
func TestSoakStart(t *testing.T) {
	soakTime(t)
	address := "sqlite:" + filepath.Join(t.TempDir(), "garde.db")
	s := openAt(t, address, nil)
	if err := fill(s, 1_000_000, 100_000); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s = openAt(t, address, nil)
	if _, err := s.Tenant(iam.DefaultTenant).UserByName(context.Background(), "many777777"); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	t.Logf("opened and asked in %v", took)
	if took > 100*time.Millisecond {
		t.Fail()
	}
}

// TestRestoreOfMany: a restore holds rows in memory by the batch only. The process that restores is one of its own.
func TestRestoreOfMany(t *testing.T) {
	t.Parallel()
	people := soaking(5_000, 100_000)
	source := openSQLite(t, nil)
	if err := fill(source, people, people/10); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if err := source.Backup(context.Background(), backup); err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"sqlite": "sqlite:" + filepath.Join(t.TempDir(), "garde.db"), "postgres": pgtest.New(t)} {
		cmd := child("restore", address)
		cmd.Env = append(cmd.Env, "GARDE_STORETEST_BACKUP="+backup)
		begun := time.Now()
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		took := time.Since(begun)
		t.Logf("%s: %d people in %v; %s", name, people, took, bytes.TrimSpace(out))
		var grown int
		if _, err := fmt.Sscan(string(out), &grown); err != nil || grown > 64 {
			t.Errorf("the restore into %s took %d MiB (%v)", name, grown, err)
		}
		restored := openAt(t, address, nil)
		if _, err := restored.Tenant(iam.DefaultTenant).User(context.Background(), "many-"+strconv.Itoa(people)); err != nil {
			t.Error(err)
		}
	}
}

// restoreHere restores and says by how many MiB the greatest size of this process grew.
func restoreHere(s *store.Store) error {
	before, err := peak()
	if err != nil {
		return err
	}
	if _, err := s.Restore(context.Background(), os.Getenv("GARDE_STORETEST_BACKUP")); err != nil {
		return err
	}
	after, err := peak()
	fmt.Println((after-before)>>10, "MiB")
	return err
}

// peak is the greatest resident size so far, in KiB.
func peak() (size int, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	_, err = fmt.Sscan(string(rest), &size)
	return size, err
}
