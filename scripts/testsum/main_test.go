package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPhasesAreCutAtDashes(t *testing.T) {
	t.Parallel()
	got := phases([]string{"a", "x", "--", "b", "y", "z", "--"})
	if len(got) != 2 || !slices.Equal(got[0], []string{"a", "x"}) || !slices.Equal(got[1], []string{"b", "y", "z"}) {
		t.Errorf("got %q", got)
	}
}

// TestEachEndingIsCounted runs real go test on small modules, and real commands.
func TestEachEndingIsCounted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		test  string // the body of a test file, or a shell command after "sh:"
		code  int
		wants []string
	}{
		"passes":        {"func TestA(t *testing.T) { t.Run(\"b\", func(t *testing.T) {}) }", 0, []string{"\n2 passed, 0 failed, 0 skipped\n"}},
		"skips":         {"func TestA(t *testing.T) {}\nfunc TestB(t *testing.T) { t.Skip(\"not here\") }", 0, []string{"\n1 passed, 0 failed, 1 skipped\n", "x.TestB: x_test.go:4: not here"}},
		"fails":         {"func TestA(t *testing.T) { t.Run(\"b\", func(t *testing.T) { t.Error(\"too bad\") }) }", 1, []string{"\n0 passed, 2 failed, 0 skipped\n", "too bad", "--- FAIL: x.TestA/b"}},
		"panics":        {"func TestA(t *testing.T) { panic(\"oh\") }", 1, []string{", 1 failed, ", "panic: oh"}},
		"exits":         {"func TestA(t *testing.T) { os.Exit(3) }", 1, []string{", 1 failed, "}},
		"hangs":         {"func TestA(t *testing.T) { select {} }", 1, []string{", 1 failed, "}},
		"exits early":   {"func TestMain(*testing.M) { os.Exit(0) }", 1, []string{"nothing was tested", "\n0 passed, 1 failed, "}},
		"no build":      {"func TestA(t *testing.T) { nonsense }", 1, []string{", 1 failed, ", "undefined: nonsense"}},
		"no test":       {"", 1, []string{"nothing was tested"}},
		"TAP":           {"sh:printf 'TAP version 13\\nok 1 - a\\n  ---\\n  not ok 9 - no line\\n  ...\\n    not ok 2 - b\\n  why: so\\nok 3 - c # SKIP later\\n'; exit 1", 1, []string{"\n1 passed, 1 failed, 1 skipped\n", "why: so"}},
		"a silent fall": {"sh:echo 'ok 1 - a'; exit 4", 1, []string{"exit status 4", "\n1 passed, 1 failed, "}},
		"not there":     {"cmd:no-such-program-here", 1, []string{", 1 failed, "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := &strings.Builder{}
			sum := &tally{out: out}
			sum.run(append([]string{"phase"}, command(t, tt.test)...))
			if code := sum.close(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, want := range tt.wants {
				if !strings.Contains(out.String(), want) {
					t.Errorf("want %q in:\n%s", want, out)
				}
			}
		})
	}
}

func command(t *testing.T, test string) []string {
	t.Helper()
	if line, ok := strings.CutPrefix(test, "sh:"); ok {
		return []string{"sh", "-c", line}
	}
	if line, ok := strings.CutPrefix(test, "cmd:"); ok {
		return []string{line}
	}
	dir := t.TempDir()
	head := "package x\nimport (\"os\"; \"testing\"); var _ = os.Exit; var _ testing.T\n"
	for name, text := range map[string]string{"go.mod": "module x\ngo 1.26\n", "x.go": "package x\n", "x_test.go": head + test + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	return []string{goTool, "-C", dir, "test", "-json", "-timeout", "3s", "./..."}
}
