package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

const nodeHead = `# The node's settings

Made by ` + "`make docs`" + ` from the comments of internal/config. ` + "`garde init DIR`" + ` writes a first file with comments.

Relative paths start at the file's folder. A reference to a secret is file:PATH or env:NAME; the secret itself never stands in
this file. Unknown keys are refused, and all faults are told at once.
`

// structure is a type of internal/config with what its comment says.
type structure struct {
	fields *ast.FieldList
	doc    string
}

// nodePage tells of every key of node.yaml, from the comments beside the fields.
func nodePage(dir string) ([]byte, error) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, "config.go"), nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	types := map[string]structure{}
	for _, declared := range file.Decls {
		general, ok := declared.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		for _, spec := range general.Specs {
			named := spec.(*ast.TypeSpec) //nolint:forcetypeassert // a TYPE declaration has nothing else
			if fields, ok := named.Type.(*ast.StructType); ok {
				types[named.Name.Name] = structure{fields.Fields, strings.TrimSpace(general.Doc.Text())}
			}
		}
	}
	sample, err := sampleOf(filepath.Join(dir, "testdata/node.yaml"))
	if err != nil {
		return nil, err
	}
	b := bytes.NewBufferString(nodeHead)
	err = nodeSection(b, types, "Node", "", sample)
	return b.Bytes(), err
}

func nodeSection(b *bytes.Buffer, types map[string]structure, name, at string, sample *yaml.Node) error {
	title := "The whole file"
	if at != "" {
		title = "`" + at + "`"
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	if at != "" {
		fmt.Fprintf(b, "%s\n\n", types[name].doc)
	}
	var rows []row
	below := map[string]string{}
	var order []string
	for _, field := range types[name].fields.List {
		tag, err := strconv.Unquote(field.Tag.Value)
		if err != nil {
			return err
		}
		key, options, _ := strings.Cut(reflect.StructTag(tag).Get("yaml"), ",")
		if key == "-" {
			continue
		}
		path := strings.TrimPrefix(at+"."+key, ".")
		r := row{key: key, kind: settingKind(field.Type), what: strings.TrimSpace(field.Comment.Text())}
		if r.fallback = fallback(r.what); !strings.Contains(options, "omitempty") {
			r.fallback = "must be there"
		}
		if part, ok := field.Type.(*ast.Ident); ok && types[part.Name].fields != nil {
			r.kind = "map"
			below[path] = part.Name
			order = append(order, path)
			if r.what == "" {
				r.what = types[part.Name].doc
			}
		} else {
			r.example = found(sample, strings.Split(path, "."))
		}
		rows = append(rows, r)
	}
	writeRows(b, rows)
	for _, path := range order {
		if err := nodeSection(b, types, below[path], path, sample); err != nil {
			return err
		}
	}
	return nil
}

func settingKind(expression ast.Expr) string {
	switch kind := expression.(type) {
	case *ast.ArrayType:
		return "list"
	case *ast.SelectorExpr:
		return "duration"
	case *ast.Ident:
		if kind.Name == "string" {
			return "text"
		}
	}
	return "map"
}
