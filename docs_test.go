package garde_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryModuleHasItsReason holds go.mod and docs/decisions/0002-dependencies.md against each other.
func TestEveryModuleHasItsReason(t *testing.T) {
	t.Parallel()
	required := found(t, "go.mod", `(?m)^(?:require)?\s+([a-z0-9.-]+\.[a-z]+/\S+) v\S+`)
	reasons := found(t, "docs/decisions/0002-dependencies.md", "(?m)^- `([^`]+)`: \\S.{10}")
	for _, name := range required {
		if !slices.Contains(reasons, name) {
			t.Errorf("go.mod requires %s, and 0002-dependencies.md gives no reason", name)
		}
	}
	for _, name := range reasons {
		if !slices.Contains(required, name) {
			t.Errorf("0002-dependencies.md gives a reason for %s, which go.mod does not require", name)
		}
	}
}

// TestThePlanIsTold holds docs/plan.md and the table of house_test.go against each other.
func TestThePlanIsTold(t *testing.T) {
	t.Parallel()
	for _, f := range floors {
		line := found(t, "docs/plan.md", `(?m)^\| `+f.name+` \| (.*?) \| `)
		if len(line) != 1 {
			t.Errorf("docs/plan.md has %d lines for the floor of %s", len(line), f.name)
			continue
		}
		rooms := strings.FieldsFunc(line[0], func(r rune) bool { return strings.ContainsRune("` ,", r) })
		for _, room := range f.rooms {
			if !slices.Contains(rooms, room) {
				t.Errorf("docs/plan.md does not show %s on the floor of %s", room, f.name)
			}
		}
		for _, room := range rooms {
			if !slices.Contains(f.rooms, room) {
				t.Errorf("docs/plan.md shows %s on the floor of %s, house_test.go does not", room, f.name)
			}
		}
	}
}

// found gives what the first group of a pattern matches in a file.
func found(t *testing.T, path, pattern string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		all = append(all, match[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s has nothing that looks like %s", path, pattern)
	}
	return all
}
