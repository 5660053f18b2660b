package conform_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestSuiteFile holds suite.yaml against the tests that it names, and the plans of the recipes against it.
func TestSuiteFile(t *testing.T) {
	text, err := os.ReadFile("suite.yaml")
	must(t, err)
	var file struct {
		Run     map[string][]string
		Modules map[string][]string
		Clauses map[string][]string
		Warns   map[string]string
		Skips   map[string]string
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	must(t, decoder.Decode(&file))
	sources := map[string]string{}
	source := func(room string) string {
		if sources[room] == "" {
			files, err := filepath.Glob(filepath.Join("../../..", room, "*_test.go"))
			must(t, err)
			for _, name := range files {
				raw, err := os.ReadFile(name)
				must(t, err)
				sources[room] += string(raw)
			}
		}
		return sources[room]
	}
	for kind, rows := range map[string]map[string][]string{"module": file.Modules, "clause": file.Clauses} {
		for name, tests := range rows {
			if len(tests) == 0 {
				t.Errorf("%s %s has no test", kind, name)
			}
			for _, test := range tests {
				room, rest, _ := strings.Cut(test, ".Test")
				function, literal, _ := strings.Cut("Test"+rest, "/")
				if !strings.Contains(source(room), "func "+function+"(t *testing.T)") || !strings.Contains(source(room), literal) {
					t.Errorf("%s %s: there is no test %s", kind, name, test)
				}
			}
		}
	}
	raw, err := os.ReadFile("../../../recipe/testdata/certification/plans.yaml")
	must(t, err)
	var plans []struct{ Plan, Folder string }
	must(t, yaml.Unmarshal(raw, &plans))
	run := map[string]bool{}
	for function, names := range file.Run {
		if !strings.Contains(source("internal/lab/conform"), "func "+function+"(t *testing.T)") {
			t.Errorf("there is no driver %s", function)
		}
		for _, name := range names {
			run[name] = true
		}
	}
	for _, each := range plans {
		if !run[each.Plan] {
			t.Errorf("no driver runs %s", each.Plan)
		}
		for _, needed := range []string{"recipe.yaml", "node.yaml", "../people.yaml"} {
			if _, err := os.Stat(filepath.Join("../../../recipe/testdata/certification", each.Folder, needed)); err != nil {
				t.Errorf("%s: %v", each.Plan, err)
			}
		}
	}
	here := map[string]bool{}
	for _, each := range append(modulesOfOpenID[:len(modulesOfOpenID):len(modulesOfOpenID)], modulesOfDynamic...) {
		here[each.name] = true
	}
	for _, why := range []map[string]string{file.Warns, file.Skips} {
		for name, reason := range why {
			if reason == "" || strings.HasPrefix(name, "oidcc-") && !here[name] {
				t.Errorf("%s: %q", name, reason)
			}
		}
	}
}
