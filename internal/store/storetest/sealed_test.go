package storetest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/sealed"
)

// sealedPlaces tells where the values of each place (the beginning of seal.AD's Table) are kept; empty: not in storage.
// Whoever seals something new adds a line here, and the column to columns of store/sealed.
var sealedPlaces = map[string]string{
	"keys":           "signing_keys.sealed",
	"deliveries ":    "deliveries.sealed",
	"links":          "links.flow",
	"notary":         "house.value",
	"client_secrets": "client_secrets.sealed",
	"asked":          "asked.notify",
	"authenticators": "authenticators.sealed",
	"habits":         "habits.sealed",
	"flows":          "", // a sign-in under way, for an hour at most: one that a lost key sealed is asked again
	"cookie":         "", // with the browser: one that a lost key sealed is asked to sign in again
}

func TestEveryPlaceThatIsSealedIsReachedByARewrap(t *testing.T) {
	t.Parallel()
	kept := slices.DeleteFunc(slices.Sorted(maps.Values(sealedPlaces)), func(column string) bool { return column == "" })
	if reached := slices.Sorted(slices.Values(sealed.Columns())); !slices.Equal(kept, reached) {
		t.Errorf("a rewrap reaches %v, sealed are %v", reached, kept)
	}
	used := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "storetest") {
			return err
		}
		for _, place := range placesIn(t, path) {
			if _, known := sealedPlaces[place]; !known {
				t.Errorf("%s seals for %q: after a change of the master key it would be lost; see sealedPlaces", path, place)
			}
			used[place] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for place := range sealedPlaces {
		if !used[place] {
			t.Errorf("nobody seals for %q", place)
		}
	}
}

// placesIn gives the first literal of the Table of each place in a file; a place that comes from elsewhere is "".
func placesIn(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var places []string
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok || !isPlace(literal.Type) {
			return true
		}
		place := ""
		for _, element := range literal.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok && pair.Key.(*ast.Ident).Name == "Table" {
				place = firstLiteral(pair.Value)
			}
		}
		// The rewrap itself asks for the places that the list gives it.
		if place != "" || !strings.HasSuffix(path, "keys/rotate.go") {
			places = append(places, place)
		}
		return true
	})
	return places
}

func isPlace(expr ast.Expr) bool {
	if own, ok := expr.(*ast.Ident); ok {
		return own.Name == "AD" // within seal itself
	}
	selector, ok := expr.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := selector.X.(*ast.Ident)
	return ok && pkg.Name == "seal" && selector.Sel.Name == "AD"
}

func firstLiteral(expr ast.Expr) string {
	switch expr := expr.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(expr.Value)
		return text
	case *ast.BinaryExpr:
		return firstLiteral(expr.X)
	}
	return ""
}

func TestAColumnCalledSealedIsReachedByARewrap(t *testing.T) {
	t.Parallel()
	found := 0
	err := openSQLite(t, nil).Engine.Read(t.Context(), func(tx deeds.Tx) error {
		return tx.Query(`SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
			WHERE m.type = 'table' AND c.name LIKE '%seal%'`, nil, func(row deeds.Row) error {
			var column string
			err := row.Scan(&column)
			if found++; !slices.Contains(sealed.Columns(), column) {
				t.Errorf("%s is not in columns of store/sealed", column)
			}
			return err
		})
	})
	if err != nil || found == 0 {
		t.Errorf("%d columns, %v", found, err)
	}
}
