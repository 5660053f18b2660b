package garde_test

import (
	"os/exec"
	"testing"
)

// TestEveryPromiseIsHeld fails when a promise of docs/promises.yaml has a gap, when a test it names does not exist, and
// when docs/promises.md is not what make promises would write.
func TestEveryPromiseIsHeld(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "run", "./scripts/promises", "-check").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
