package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// contract is the room whose subtests run under the tests of each engine, and under its own.
const contract = "internal/store/storetest"

// tree finds tests in the source.
type tree struct {
	root  string
	rooms map[string]room
}

// room is what a package's tests are called: functions, and every text that may name a subtest.
type room struct {
	funcs, texts map[string]bool
}

// find says why a test does not exist, nil if it does. Its name is PACKAGE.Test, or PACKAGE.Test/subtest with the
// subtest as its table spells it, or with the underscores that go test prints.
func (t *tree) find(name string) error {
	head, sub, _ := strings.Cut(name, ".Test")
	kind := "Test"
	if i := strings.Index(name, ".Fuzz"); i >= 0 && (len(head) == len(name) || i < len(head)) {
		kind, head, sub = "Fuzz", name[:i], name[i+len(".Fuzz"):]
	}
	if head == name {
		return fmt.Errorf("%q is not PACKAGE.Test/subtest", name)
	}
	found, err := t.room(head)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fn, sub, nested := strings.Cut(kind+sub, "/")
	if !found.funcs[fn] {
		return fmt.Errorf("%s: the tests of %s have no %s", name, head, fn)
	}
	if nested && !spelled(underscored(sub), found.texts) {
		return fmt.Errorf("%s: no text in the tests of %s names the subtest %q", name, head, sub)
	}
	return nil
}

// spelled tells whether a name is one of the texts, or several with slashes between.
func spelled(name string, texts map[string]bool) bool {
	if texts[name] {
		return true
	}
	for i := range len(name) {
		if name[i] == '/' && texts[name[:i]] && spelled(name[i+1:], texts) {
			return true
		}
	}
	return false
}

func underscored(text string) string { return strings.ReplaceAll(text, " ", "_") }

func (t *tree) room(dir string) (room, error) {
	if found, ok := t.rooms[dir]; ok {
		return found, nil
	}
	files, err := filepath.Glob(filepath.Join(t.root, dir, "*_test.go"))
	if err != nil {
		return room{}, err
	}
	if len(files) == 0 {
		return room{}, fmt.Errorf("%s has no tests", dir)
	}
	found := room{funcs: map[string]bool{}, texts: map[string]bool{}}
	for _, file := range files {
		if err := found.add(file); err != nil {
			return room{}, err
		}
	}
	if strings.HasPrefix(dir, "internal/store/") {
		shared, err := t.texts(contract)
		if err != nil {
			return room{}, err
		}
		maps.Copy(found.texts, shared)
	}
	if t.rooms == nil {
		t.rooms = map[string]room{}
	}
	t.rooms[dir] = found
	return found, nil
}

// texts are those of all files of a folder, which may not be there yet.
func (t *tree) texts(dir string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(t.root, dir, "*.go"))
	if err != nil {
		return nil, err
	}
	found := room{funcs: map[string]bool{}, texts: map[string]bool{}}
	for _, file := range files {
		if err := found.add(file); err != nil {
			return nil, err
		}
	}
	return found.texts, nil
}

func (r room) add(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil {
				r.funcs[n.Name.Name] = true
			}
		case *ast.BasicLit:
			if n.Kind != token.STRING {
				return true
			}
			if name, err := strconv.Unquote(n.Value); err == nil && name != "" {
				r.texts[underscored(name)] = true
			}
		}
		return true
	})
	return nil
}
