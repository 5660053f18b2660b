package garde_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTheHouseCheckCanFail shows each rule a house that breaks it, under the real plan.
func TestTheHouseCheckCanFail(t *testing.T) {
	t.Parallel()
	// pkg is a file of a well-kept room with these imports and this body.
	pkg := func(name, body string, imports ...string) string {
		text := "// Package " + name + " is here to be judged.\npackage " + name + "\n"
		for _, to := range imports {
			text += fmt.Sprintf("import _ %q\n", to)
		}
		return text + body + "\n"
	}
	house := func(room string) string { return module + "/internal/" + room }
	eight := []string{}
	for _, to := range []string{"oauth", "jose", "journal", "level", "iam", "seal", "profile", "keys", "web"} {
		eight = append(eight, house(to))
	}

	for name, tt := range map[string]struct {
		path, text, want string
	}{
		"a calm room":                        {"internal/token/token.go", pkg("token", "", house("oauth"), house("keys"), "crypto/rand"), ""},
		"a room that is not planned":         {"internal/misplaced/a.go", pkg("misplaced", ""), "open the door in house_test.go"},
		"an import upward":                   {"internal/oauth/a.go", pkg("oauth", "", house("iam")), "imports iam, a floor above it"},
		"an import of the neighbour":         {"internal/session/a.go", pkg("session", "", house("page")), "imports its neighbour page"},
		"an edge that is listed":             {"internal/verify/a.go", pkg("verify", "", house("binding")), ""},
		"an edge the wrong way round":        {"internal/binding/a.go", pkg("binding", "", house("verify")), "imports its neighbour verify"},
		"a face imports its sibling":         {"internal/server/par/a.go", pkg("par", "", house("server/authorize")), "imports its neighbour server/authorize"},
		"the gateway enters the server":      {"internal/gateway/proxy/a.go", pkg("proxy", "", house("server/request")), "never import server/request: the wings"},
		"the server enters the gateway":      {"internal/server/grant/a.go", pkg("grant", "", house("gateway/route")), "never import gateway/route: the wings"},
		"the coach enters the server":        {"internal/coach/probe/a.go", pkg("probe", "", house("server/request")), "never import server/request: the wings"},
		"the coach knows nouns":              {"internal/coach/report/a.go", pkg("report", "", house("iam")), "never import iam: the coach"},
		"the coach opens a store":            {"internal/coach/probe/a.go", pkg("probe", "", house("store/sqlite")), "never import store/sqlite: the coach"},
		"a coach's rule":                     {"internal/coach/rules/oidc/a.go", pkg("oidc", "", house("coach/rule")), ""},
		"a capability opens a store":         {"internal/issue/a.go", pkg("issue", "", house("store")), "never import store: a capability knows the contract"},
		"a face opens an engine":             {"internal/server/grant/a.go", pkg("grant", "", house("store/sqlite")), "never import store/sqlite: a capability"},
		"app opens a store":                  {"internal/app/a.go", pkg("app", "", house("store"), house("config")), ""},
		"the admin reads the node's config":  {"internal/admin/a.go", pkg("admin", "", house("config")), "never import config"},
		"the console calls app":              {"internal/console/a.go", pkg("console", "", house("app")), "never import app"},
		"main calls app":                     {"cmd/garde/main.go", "// Command garde is it.\npackage main\nimport _ \"" + house("app") + "\"\n", "/cmd/garde may never import app"},
		"the demo looks inside":              {"internal/demo/a.go", pkg("demo", "", house("oauth")), "uses Garde only from outside"},
		"the demo uses the public gate":      {"internal/demo/a.go", pkg("demo", "", module+"/gate"), ""},
		"the public gate takes a noun":       {"gate/a.go", pkg("gate", "", house("iam")), "/gate may never import iam"},
		"the public gate verifies":           {"gate/a.go", pkg("gate", "", house("verify"), house("binding")), ""},
		"the public gate shows the inside":   {"gate/a.go", pkg("gate", "import \""+house("verify")+"\"\nfunc Claims() verify.Claims { return verify.Claims{} }"), "Claims shows verify.Claims"},
		"the public gate keeps it to itself": {"gate/a.go", pkg("gate", "import \""+house("verify")+"\"\ntype Guard struct{ v verify.Verifier }"), ""},
		"a public field shows the inside":    {"gate/a.go", pkg("gate", "import in \""+house("verify")+"\"\ntype Guard struct{ V *in.Verifier }"), "Guard.V shows in.Verifier"},
		"tests as part of the product":       {"internal/app/a.go", pkg("app", "", house("store/storetest/pgtest")), "what serves the tests"},
		"JOSE round its one door":            {"internal/verify/a.go", pkg("verify", "", "github.com/go-jose/go-jose/v4/jwt"), "one algorithm policy"},
		"SQL outside the engines":            {"internal/keys/a.go", pkg("keys", "", "database/sql"), "SQL is spoken by the engines"},
		"chance that can be guessed":         {"internal/token/a.go", pkg("token", "", "math/rand/v2"), "crypto/rand"},
		"nine rooms":                         {"internal/issue/a.go", pkg("issue", "", eight...), "imports 9 rooms of the house, the wall is 8"},
		"nine rooms in app":                  {"internal/app/a.go", pkg("app", "", eight...), ""},
		"no package comment":                 {"internal/oauth/a.go", "package oauth\n", "has no package comment"},
		"a program that says nothing":        {"cmd/garde/main.go", "package main\n", "has no package comment"},
		"init":                               {"internal/oauth/a.go", pkg("oauth", "func init() {}"), "func init runs before anyone asked"},
		"a method called init":               {"internal/oauth/a.go", pkg("oauth", "type T struct{}\nfunc (T) init() {}"), ""},
		"a global that changes":              {"internal/oauth/a.go", pkg("oauth", "var seen = map[string]bool{}\nfunc f() { seen[\"x\"] = true }"), "the global seen changes"},
		"a global that counts":               {"internal/oauth/a.go", pkg("oauth", "var n int\nfunc f() { n++ }"), "the global n changes"},
		"a table that stays":                 {"internal/oauth/a.go", pkg("oauth", "var all = []int{1}\nfunc f() int { all := all[0]; all = 2; return all }"), ""},
		"a step left out in the product":     {"internal/app/a.go", pkg("app", "type S struct{}\nfunc (S) Without(string) S { return S{} }\nfunc f() { S{}.Without(\"pkce\") }"), "only a lab leaves out a step"},
		"a step left out in a lab":           {"internal/lab/a.go", pkg("lab", "type S struct{}\nfunc (S) Without(string) S { return S{} }\nfunc f() { S{}.Without(\"pkce\") }"), ""},
		"a room called util":                 {"internal/manage/util/a.go", pkg("util", ""), "the room manage/util has a name that says nothing"},
		"a file called helpers":              {"internal/oauth/string_helpers.go", pkg("oauth", ""), "has a name that says nothing"},
		"a getter":                           {"internal/oauth/a.go", pkg("oauth", "func GetScope() {}"), "GetScope: Get says nothing"},
		"a manager":                          {"internal/oauth/a.go", pkg("oauth", "type ScopeManager struct{}"), "Manager says nothing"},
		"getting by":                         {"internal/oauth/a.go", pkg("oauth", "func Gettable() {}"), ""},
		"put off":                            {"internal/oauth/a.go", pkg("oauth", "// TO"+"DO mend\n"), "a comment says TO" + "DO"},
		"put off in a test":                  {"internal/oauth/a_test.go", pkg("oauth", "// FIX"+"ME\n"), "a comment says FIX" + "ME"},
		"a long file":                        {"internal/oauth/a.go", pkg("oauth", strings.Repeat("\n", 600)), "lines, the wall is 600"},
		"a long test":                        {"internal/oauth/a_test.go", pkg("oauth", strings.Repeat("\n", 700)), ""},
		"a long generated file":              {"internal/oauth/a.go", "// Code generated by hand. DO NOT EDIT.\n\n" + pkg("oauth", strings.Repeat("\n", 700)), ""},
		"a long function":                    {"internal/oauth/a.go", pkg("oauth", "func f() {"+strings.Repeat("\n", 80)+"}"), "f has 81 lines, the wall is 80"},
		"a wide interface":                   {"internal/oauth/a.go", pkg("oauth", "type W interface{ A(); B(); C(); D(); E(); F(); G() }"), "the interface W has 7 methods"},
		"a contract of six":                  {"internal/oauth/a.go", pkg("oauth", "type W interface{ A(); B(); C(); D(); E(); F() }"), ""},
		"no Go at all":                       {"internal/oauth/a.go", "packag oauth", "can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := plan{floors, edges, never, foreign, walls, nil}
			wantFault(t, check(p, map[string]string{tt.path: tt.text}), tt.want)
		})
	}
}

func TestAnExceptionIsUsedOrGoes(t *testing.T) {
	t.Parallel()
	sources := map[string]string{"internal/oauth/a.go": "// Package oauth is.\npackage oauth\nfunc init() {}\n"}
	p := plan{floors, edges, never, foreign, walls, map[string]string{"init internal/oauth/a.go": "a reason"}}
	wantFault(t, check(p, sources), "")
	delete(sources, "internal/oauth/a.go")
	wantFault(t, check(p, sources), "excuses nothing any more")
}

func TestARoomIsAsLongAsItsFiles(t *testing.T) {
	t.Parallel()
	sources := map[string]string{"internal/oauth/doc.go": "// Package oauth is.\npackage oauth\n"}
	for i := range 6 {
		sources[fmt.Sprintf("internal/oauth/f%d.go", i)] = "package oauth\n" + strings.Repeat("\n", 550)
	}
	wantFault(t, check(plan{floors, edges, never, foreign, walls, nil}, sources), "the wall is 3000: split it")
}

// wantFault wants exactly the fault whose text holds the words, or none.
func wantFault(t *testing.T, got []fault, words string) {
	t.Helper()
	if words == "" {
		for _, f := range got {
			t.Errorf("unexpected: %s", f.text)
		}
		return
	}
	if !slices.ContainsFunc(got, func(f fault) bool { return strings.Contains(f.text, words) }) {
		t.Errorf("want a fault that says %q, got %v", words, got)
	}
}

func TestEveryEdgeAndBanNamesRoomsOfThePlan(t *testing.T) {
	t.Parallel()
	p := plan{floors: floors}
	named := func(pattern, where string) {
		fits := func(f floor) bool {
			return slices.ContainsFunc(f.rooms, func(room string) bool { return room == pattern || among(room, []string{pattern}) })
		}
		if !slices.ContainsFunc(p.floors, fits) {
			t.Errorf("%s names %s, which no floor has", where, pattern)
		}
	}
	for _, e := range edges {
		named(e.from, "an edge")
		named(e.to, "an edge")
		if e.why == "" {
			t.Errorf("the edge from %s to %s has no reason", e.from, e.to)
		}
	}
	for _, b := range never {
		for _, pattern := range slices.Concat(b.from, b.but, b.to, b.not) {
			named(pattern, "the never-table")
		}
	}
}

// TestTheGatePinsWhatItBrings holds all that an API takes into its binary with gate/ against testdata/gate.deps. A new
// line there is a decision: GARDE_UPDATE=1 writes it, a person commits it.
func TestTheGatePinsWhatItBrings(t *testing.T) {
	t.Parallel()
	if built, err := filepath.Glob("gate/*.go"); err != nil || len(built) == 0 {
		t.Fatal("gate/ has gone")
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./gate/...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	lines := strings.Fields(string(out))
	slices.Sort(lines)
	got, file := strings.Join(lines, "\n")+"\n", filepath.Join("testdata", "gate.deps")
	if os.Getenv("GARDE_UPDATE") == "1" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("write it with GARDE_UPDATE=1: %v", err)
	}
	pinned := strings.Fields(string(want))
	for _, line := range lines {
		if !slices.Contains(pinned, line) {
			t.Errorf("gate/ now brings %s: every API that uses it would take it in", line)
		}
	}
	for _, line := range pinned {
		if !slices.Contains(lines, line) {
			t.Errorf("gate/ brings %s no more: take the line from %s", line, file)
		}
	}
}
