package garde_test

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryPromiseIsHeld fails when a promise of docs/promises.yaml has a gap, when a test it names does not exist, and
// when docs/promises.md is not what make promises would write.
func TestEveryPromiseIsHeld(t *testing.T) {
	t.Parallel()
	// go test remembers an answer until a file changes that this process looked at, and what the command reads it does not
	// see: so look at every folder here.
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "node_modules") {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", "./scripts/promises", "-check").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
