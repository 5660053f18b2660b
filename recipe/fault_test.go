package recipe_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/recipe"
)

var update = flag.Bool("update", false, "write the expected texts anew; read them before you commit them")

// today is when the exceptions of testdata are judged.
func today() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// TestFaults shows what people read for each faulty recipe, word for word. Several are rows of the attack list.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d faulty recipes, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: src}}, nil, today())
			if err == nil {
				t.Fatal("the recipe was accepted")
			}
			var faults recipe.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("not Faults: %v", err)
			}
			plainFaults(t, faults)
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", faults.Error()+"\n")
		})
	}
}

// plainFaults: every fault has a place, a text and a hint, nothing that a terminal obeys (A10), no secret (A08) and no
// word of the parser.
func plainFaults(t *testing.T, faults recipe.Faults) {
	t.Helper()
	if !slices.IsSortedFunc(faults, func(a, b recipe.Fault) int { return a.Line - b.Line }) {
		t.Error("the faults are not in the order of the file")
	}
	for _, f := range faults {
		text := f.String()
		if f.File == "" || f.Line < 1 || f.Column < 1 || f.Text == "" || f.Hint == "" {
			t.Errorf("an incomplete fault: %+v", f)
		}
		for _, bad := range []string{"\x1b", "\r", "hunter2", "yaml: line", "did not find", "goroutine", "!!", "\u202e"} {
			if strings.Contains(text, bad) {
				t.Errorf("the fault holds %q: %s", bad, text)
			}
		}
		if strings.Count(text, "\n") != 1 {
			t.Errorf("the fault is not two lines: %q", text)
		}
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n--- got\n%s\n--- want\n%s", file, got, want)
	}
}
