//go:build !race

// Under the race detector the driver can't make an error of the fault that writing to a mapped page of such a file is: it
// happens within the detector.

package storetest_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// TestF13FilesThatNobodyMayChangeForAWhile: whoever looked meanwhile, and still looks, the next deed is done.
func TestF13FilesThatNobodyMayChangeForAWhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, meanwhile bool // somebody looks
		still             bool // and does not come to an end, as a backup may not for long
	}{
		"nobody looks":                         {},
		"somebody looks before":                {before: true},
		"somebody looks meanwhile":             {meanwhile: true},
		"somebody looks before, and meanwhile": {before: true, meanwhile: true},
		"somebody looks, and does not end":     {meanwhile: true, still: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			s := openAt(t, "sqlite:"+filepath.Join(folder, "garde.db"), nil)
			deed(t, s, nil)
			if c.before {
				look(t, s)
			}
			change := unchangeable(t, folder)
			change("+i")
			deed(t, s, iam.ErrUnavailable)
			for range 8 { // each of the connections
				if c.meanwhile {
					look(t, s)
				}
				deed(t, s, iam.ErrUnavailable)
			}
			end := func() {}
			if c.still {
				end = goOnLooking(t, s)
			}
			change("-i")
			if c.still { // nothing can be done about it yet, and nobody waits for long
				deed(t, s, iam.ErrUnavailable)
			}
			end()
			deed(t, s, nil)
		})
	}
}

func deed(t *testing.T, s *store.Store, want error) {
	t.Helper()
	_, err := s.Engine.Together(context.Background(), deeds.Statement{Query: `INSERT INTO house (tenant, name, value) VALUES ('', 'deed', 'x')
		ON CONFLICT (tenant, name) DO UPDATE SET value = house.value || excluded.value`})
	if !errors.Is(err, want) {
		t.Fatalf("a deed answers %v", err)
	}
}

func look(t *testing.T, s *store.Store) {
	t.Helper()
	err := s.Engine.Read(context.Background(), func(tx deeds.Tx) error {
		return tx.Query("SELECT value FROM house", nil, func(deeds.Row) error { return nil })
	})
	if err != nil {
		t.Fatalf("a look answers %v", err)
	}
}

// goOnLooking looks until end is called.
func goOnLooking(t *testing.T, s *store.Store) (end func()) {
	t.Helper()
	hold, held, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.Engine.Snapshot(context.Background(), func(deeds.Tx) error {
			close(held)
			<-hold
			return nil
		})
	}()
	<-held
	return func() {
		close(hold)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// unchangeable gives what sets (+i) and takes away (-i) the flag that lets not even root write the files of a folder.
func unchangeable(t *testing.T, folder string) func(flag string) {
	t.Helper()
	run := func(flag string) ([]byte, error) {
		files, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil {
			return nil, err
		}
		return exec.Command("chattr", append([]string{flag}, files...)...).CombinedOutput()
	}
	if out, err := run("+i"); err != nil {
		t.Skipf("NOT PROVED here: this user, or this file system, can't make a file unchangeable: %v: %s", err, out)
	}
	change := func(flag string) {
		if out, err := run(flag); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	t.Cleanup(func() { change("-i") })
	return change
}
