package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/recipe"
)

// TestTheReferenceIsUpToDate fails when a key, a verb or an operation has changed and make docs has not run.
func TestTheReferenceIsUpToDate(t *testing.T) {
	t.Parallel()
	pages, err := reference("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join("../../docs", name))
		if err != nil {
			t.Errorf("%v: run make docs", err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("docs/%s is out of date: run make docs", name)
		}
	}
}

// TestEveryKeyIsExplained holds the reference: each key has a sentence and, but for what has none yet, an example.
func TestEveryKeyIsExplained(t *testing.T) {
	t.Parallel()
	if _, err := recipe.Load("example/recipe.yaml", "", time.Now()); err != nil {
		t.Errorf("the example is no recipe: %v", err)
	}
	pages, err := reference("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"recipe.md", "node.md"} {
		section := ""
		for line := range strings.Lines(string(pages[name])) {
			if strings.HasPrefix(line, "## ") {
				section = strings.TrimSpace(line[3:])
			}
			cells := strings.Split(line, " | ")
			if !strings.HasPrefix(line, "| `") || len(cells) != 5 {
				continue
			}
			if cells[3] == "" {
				t.Errorf("%s: %s %s says nothing", name, section, cells[0])
			}
			without := cells[1] == "map" || strings.Contains(cells[0], "`folder`") ||
				slices.Contains([]string{"| `levels`", "| `raise`", "| `enrol`"}, cells[0]) // lists whose members are told apart
			if strings.TrimSpace(cells[4]) == "|" && !without {
				t.Errorf("%s: %s %s has no example", name, section, cells[0])
			}
		}
	}
}
