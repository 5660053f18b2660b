//go:build unix

package recipe_test

import (
	"syscall"
	"testing"
)

// pipe makes a named pipe: whoever opens it to read would wait.
func pipe(t *testing.T, name string) {
	t.Helper()
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
}
