package garde_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const module = "github.com/gardeauth/garde"

type (
	floor struct {
		name  string
		rooms []string
	}
	edge struct{ from, to, why string }
	// ban forbids imports: from these rooms, but not from those, to these packages, but not to those.
	ban struct {
		from, but, to, not []string
		why                string
	}
	wall struct {
		fileLines, funcLines, roomLines, methods, ownImports int
		importsFree                                          []string
	}
	plan struct {
		floors     []floor
		edges      []edge
		never      []ban
		foreign    []ban
		walls      wall
		exceptions map[string]string
	}
	// fault is a breach: key names it in the exceptions, text is the sentence for whoever has to mend it.
	fault struct{ key, text string }
	// room is one package as its files tell it.
	room struct {
		name    string
		files   map[string]*ast.File // the product's own, neither tests nor generated, by path
		all     map[string]*ast.File
		imports map[string]string // import path to the first file that has it
		lines   int
		doc     string
		command bool
	}
)

func TestHouse(t *testing.T) {
	t.Parallel()
	sources, err := readSources(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range check(plan{floors, edges, never, foreign, walls, exceptions}, sources) {
		t.Errorf("%s\n\t(an exception would be the line %q in house_test.go)", f.text, f.key)
	}
}

// readSources reads the Go files of the module, by their path with slashes.
func readSources(root string) (map[string]string, error) {
	sources := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if os.IsNotExist(err) {
			return nil // an editor's passing file
		}
		sources[filepath.ToSlash(name)] = string(text)
		return err
	})
	return sources, err
}

// check gives all the faults of a house at once, sorted, less those that an exception excuses.
func check(p plan, sources map[string]string) []fault {
	rooms, faults := survey(sources)
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		r := rooms[name]
		faults = append(faults, p.place(r)...)
		faults = append(faults, p.imports(r)...)
		faults = append(faults, p.sizes(r)...)
		faults = append(faults, names(r)...)
		faults = append(faults, habits(r)...)
		if name == "/gate" {
			faults = append(faults, exports(r)...)
		}
	}
	return p.excuse(faults)
}

func (p plan) excuse(faults []fault) []fault {
	used := map[string]bool{}
	faults = slices.DeleteFunc(faults, func(f fault) bool {
		_, excused := p.exceptions[f.key]
		used[f.key] = true
		return excused
	})
	for key := range p.exceptions {
		if !used[key] {
			faults = append(faults, fault{key, fmt.Sprintf("the exception %q excuses nothing any more: remove it", key)})
		}
	}
	slices.SortFunc(faults, func(a, b fault) int { return cmp.Compare(a.text, b.text) })
	return faults
}

// survey parses the sources into rooms.
func survey(sources map[string]string) (map[string]*room, []fault) {
	rooms, faults := map[string]*room{}, []fault(nil)
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, sources[name], parser.ParseComments)
		if err != nil {
			faults = append(faults, fault{"syntax " + name, fmt.Sprintf("%s can't be read: %v", name, err)})
			continue
		}
		faults = append(faults, promised(name, file)...)
		where := roomOf(path.Dir(name))
		r := rooms[where]
		if r == nil {
			r = &room{name: where, files: map[string]*ast.File{}, all: map[string]*ast.File{}, imports: map[string]string{}}
			rooms[where] = r
		}
		r.all[name] = file
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		r.command = file.Name.Name == "main"
		r.doc = cmp.Or(r.doc, strings.TrimSpace(file.Doc.Text()))
		for _, spec := range file.Imports {
			to, _ := strconv.Unquote(spec.Path.Value) // the parser has seen to it
			r.imports[to] = cmp.Or(r.imports[to], name)
		}
		if ast.IsGenerated(file) {
			continue
		}
		r.files[name] = file
		lines := strings.Count(sources[name], "\n")
		r.lines += lines
		faults = append(faults, walls.measure(name, lines, set, file)...)
	}
	return rooms, faults
}

// measure looks at the sizes within one file.
func (w wall) measure(name string, lines int, set *token.FileSet, file *ast.File) (faults []fault) {
	if lines > w.fileLines {
		faults = append(faults, fault{"file " + name, fmt.Sprintf("%s has %d lines, the wall is %d: which two things are in it?", name, lines, w.fileLines)})
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if long := set.Position(n.End()).Line - set.Position(n.Pos()).Line + 1; long > w.funcLines {
				key := "func " + name + " " + n.Name.Name
				faults = append(faults, fault{key, fmt.Sprintf("%s: %s has %d lines, the wall is %d", set.Position(n.Pos()), n.Name.Name, long, w.funcLines)})
			}
		case *ast.TypeSpec:
			if it, ok := n.Type.(*ast.InterfaceType); ok && methods(it) > w.methods {
				key := "interface " + name + " " + n.Name.Name
				faults = append(faults, fault{key, fmt.Sprintf("%s: the interface %s has %d methods, the wall is %d: take a smaller contract",
					set.Position(n.Pos()), n.Name.Name, methods(it), w.methods)})
			}
		}
		return true
	})
	return faults
}

func methods(it *ast.InterfaceType) (n int) {
	for _, field := range it.Methods.List {
		n += len(field.Names)
	}
	return n
}

// place sees that a room stands in the plan and says what it is.
func (p plan) place(r *room) (faults []fault) {
	if p.floorOf(r.name) < 0 {
		faults = append(faults, fault{"room " + r.name, fmt.Sprintf("the room %s does not stand in the plan: open the door in house_test.go with a decision", r.name)})
	}
	if len(r.files) == 0 {
		return faults
	}
	program := r.command && r.doc != ""
	if !program && !strings.HasPrefix(r.doc, "Package ") {
		faults = append(faults, fault{"doc " + r.name, fmt.Sprintf("the room %s has no package comment: say what it is and what it refuses to know", r.name)})
	}
	return faults
}

// floorOf is the number of the floor that a room stands on, or -1.
func (p plan) floorOf(name string) int {
	return slices.IndexFunc(p.floors, func(f floor) bool { return among(name, f.rooms) })
}

// imports holds the floors, the never-table and the doors of foreign modules against what a room imports.
func (p plan) imports(r *room) (faults []fault) {
	own := 0
	for _, to := range slices.Sorted(maps.Keys(r.imports)) {
		key, where := "import "+r.name+" "+to, r.imports[to]
		if rest, inside := strings.CutPrefix(to, module); inside && (rest == "" || rest[0] == '/') {
			own++
			target := roomOf(cmp.Or(strings.TrimPrefix(rest, "/"), "."))
			faults = append(faults, p.climb(key, where, r.name, target)...)
			faults = append(faults, banned(p.never, key, where, r.name, target)...)
			continue
		}
		faults = append(faults, banned(p.foreign, key, where, r.name, to)...)
	}
	if own > p.walls.ownImports && !among(r.name, p.walls.importsFree) {
		faults = append(faults, fault{"imports " + r.name, fmt.Sprintf("the room %s imports %d rooms of the house, the wall is %d: it knows too much", r.name, own, p.walls.ownImports)})
	}
	return faults
}

func (p plan) climb(key, where, from, to string) []fault {
	here, there := p.floorOf(from), p.floorOf(to)
	if here < 0 || there < 0 || there < here {
		return nil // a room that is not in the plan is named by place
	}
	if there > here {
		return []fault{{key, fmt.Sprintf("%s: %s (%s) imports %s, a floor above it (%s)", where, from, p.floors[here].name, to, p.floors[there].name)}}
	}
	allowed := slices.ContainsFunc(p.edges, func(e edge) bool {
		return among(from, []string{e.from}) && among(to, []string{e.to})
	})
	if allowed {
		return nil
	}
	return []fault{{key, fmt.Sprintf("%s: %s imports its neighbour %s on the floor of %s: take the smallest contract instead, or list the edge with a reason", where, from, to, p.floors[here].name)}}
}

func banned(bans []ban, key, where, from, to string) (faults []fault) {
	for _, b := range bans {
		if among(from, b.from) && !among(from, b.but) && among(to, b.to) && !among(to, b.not) {
			faults = append(faults, fault{key, fmt.Sprintf("%s: %s may never import %s: %s", where, from, to, b.why)})
		}
	}
	return faults
}

func (p plan) sizes(r *room) []fault {
	if r.lines <= p.walls.roomLines {
		return nil
	}
	return []fault{{"lines " + r.name, fmt.Sprintf("the room %s has %d lines, the wall is %d: split it", r.name, r.lines, p.walls.roomLines)}}
}

// roomOf names a folder of the module as the plan does.
func roomOf(dir string) string {
	if dir == "." {
		return "/"
	}
	if rest, inside := strings.CutPrefix(dir, "internal/"); inside {
		return rest
	}
	return "/" + dir
}

// among tells whether a name fits one of the patterns.
func among(name string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if stem, deep := strings.CutSuffix(pattern, "**"); deep {
			return strings.HasPrefix(name+"/", stem)
		}
		ok, err := path.Match(pattern, name)
		return ok && err == nil
	})
}

var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "base", "types", "models", "manager", "misc"}

// names refuses the words that say nothing.
func names(r *room) (faults []fault) {
	if slices.Contains(emptyNames, path.Base(r.name)) {
		faults = append(faults, fault{"name " + r.name, fmt.Sprintf("the room %s has a name that says nothing", r.name)})
	}
	for _, name := range slices.Sorted(maps.Keys(r.all)) {
		stem := strings.TrimSuffix(strings.TrimSuffix(path.Base(name), ".go"), "_test")
		for _, part := range strings.Split(stem, "_") {
			if slices.Contains(emptyNames, part) {
				faults = append(faults, fault{"name " + name, fmt.Sprintf("%s has a name that says nothing: a file bears its member's name", name)})
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		for _, decl := range r.files[name].Decls {
			for _, id := range declared(decl) {
				if bad := emptyWord(id.Name); bad != "" {
					faults = append(faults, fault{"name " + name + " " + id.Name, fmt.Sprintf("%s: %s: %s says nothing", name, id.Name, bad)})
				}
			}
		}
	}
	return faults
}

func emptyWord(name string) string {
	if rest, ok := strings.CutPrefix(name, "Get"); ok && rest != "" && unicode.IsUpper(rune(rest[0])) {
		return "Get"
	}
	for _, bad := range []string{"Impl", "Manager", "Helper", "Util", "Utils"} {
		if strings.HasSuffix(name, bad) {
			return bad
		}
	}
	return ""
}

func declared(decl ast.Decl) (ids []*ast.Ident) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		ids = append(ids, d.Name)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if it, ok := spec.(*ast.TypeSpec); ok {
				ids = append(ids, it.Name)
			}
		}
	}
	return ids
}

// habits refuses what works behind the reader's back: init, globals that change, and a step left out outside a lab.
func habits(r *room) (faults []fault) {
	globals := globalsOf(r)
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		file := r.files[name]
		say := func(key, format string, args ...any) {
			faults = append(faults, fault{key, name + ": " + fmt.Sprintf(format, args...)})
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					say("init "+name, "func init runs before anyone asked: let app call it")
				}
			case *ast.AssignStmt:
				for _, to := range n.Lhs {
					if id := root(to); n.Tok != token.DEFINE && globals[id] != "" {
						say("global "+name+" "+globals[id], "the global %s changes while the program runs: make it a field", globals[id])
					}
				}
			case *ast.IncDecStmt:
				if id := root(n.X); globals[id] != "" {
					say("global "+name+" "+globals[id], "the global %s changes while the program runs: make it a field", globals[id])
				}
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if ok && sel.Sel.Name == "Without" && !among(r.name, []string{"lab", "lab/**"}) {
					say("without "+name, "only a lab leaves out a step")
				}
			}
			return true
		})
	}
	return faults
}

// globalsOf maps the identifiers that stand for variables of the package to their names: those that the parser has
// resolved to a declaration in the same file, and those left unresolved that bear the name of one in another file.
func globalsOf(r *room) map[*ast.Ident]string {
	//nolint:staticcheck // SA1019: what it gets wrong are keys of literals, and nobody assigns to those
	declares, all := map[*ast.Object]bool{}, map[string]bool{}
	for _, file := range r.files {
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.VAR {
				continue
			}
			for _, spec := range d.Specs {
				for _, id := range spec.(*ast.ValueSpec).Names {
					declares[id.Obj], all[id.Name] = true, id.Name != "_"
				}
			}
		}
	}
	found := map[*ast.Ident]string{}
	for _, file := range r.files {
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Obj != nil && declares[id.Obj] && id.Name != "_" {
				found[id] = id.Name
			}
			return true
		})
		for _, id := range file.Unresolved {
			if all[id.Name] {
				found[id] = id.Name
			}
		}
	}
	return found
}

// root is the variable that an assignment to a field, an element or a pointee changes.
func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// promised refuses what was put off in a comment.
func promised(name string, file *ast.File) (faults []fault) {
	for _, group := range file.Comments {
		for _, word := range []string{"TO" + "DO", "FIX" + "ME"} {
			if strings.Contains(group.Text(), word) {
				faults = append(faults, fault{"later " + name, fmt.Sprintf("%s: a comment says %s: do it, or file an issue", name, word)})
			}
		}
	}
	return faults
}

// exports refuses types of internal rooms in what a public package shows.
func exports(r *room) (faults []fault) {
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		file := r.files[name]
		hidden := map[string]string{}
		for _, spec := range file.Imports {
			to, _ := strconv.Unquote(spec.Path.Value) // the parser has seen to it
			if !strings.HasPrefix(to, module+"/internal/") {
				continue
			}
			local := path.Base(to)
			if spec.Name != nil {
				local = spec.Name.Name
			}
			hidden[local] = to
		}
		for _, decl := range file.Decls {
			for _, shown := range surface(decl) {
				ast.Inspect(shown.expr, func(n ast.Node) bool {
					sel, ok := n.(*ast.SelectorExpr)
					if !ok {
						return true
					}
					if id, ok := sel.X.(*ast.Ident); ok && hidden[id.Name] != "" {
						faults = append(faults, fault{"export " + name + " " + shown.name,
							fmt.Sprintf("%s: %s shows %s.%s, which nobody outside can name", name, shown.name, id.Name, sel.Sel.Name)})
					}
					return true
				})
			}
		}
	}
	return faults
}

type shown struct {
	name string
	expr ast.Expr
}

// surface is what a declaration lets outsiders see: types of exported functions, types, fields and variables.
func surface(decl ast.Decl) (all []shown) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || receiver(d).IsExported()) {
			all = append(all, shown{d.Name.Name, d.Type})
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					all = append(all, fieldsOf(s)...)
				}
			case *ast.ValueSpec:
				if s.Names[0].IsExported() && s.Type != nil {
					all = append(all, shown{s.Names[0].Name, s.Type})
				}
			}
		}
	}
	return all
}

func receiver(d *ast.FuncDecl) *ast.Ident {
	e := d.Recv.List[0].Type
	if generic, ok := e.(*ast.IndexExpr); ok {
		e = generic.X
	}
	if id := root(e); id != nil {
		return id
	}
	return ast.NewIdent("Unknown")
}

func fieldsOf(s *ast.TypeSpec) (all []shown) {
	it, ok := s.Type.(*ast.StructType)
	if !ok {
		return []shown{{s.Name.Name, s.Type}}
	}
	for _, field := range it.Fields.List {
		if len(field.Names) == 0 {
			all = append(all, shown{s.Name.Name, field.Type})
		}
		for _, id := range field.Names {
			if id.IsExported() {
				all = append(all, shown{s.Name.Name + "." + id.Name, field.Type})
			}
		}
	}
	return all
}
