// Command docs writes the reference in docs/ from what it describes: the recipe's types, the comments of the node's
// settings, the verbs, the administrator's API. A test fails when a file is not what this would write.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/cli"
	"github.com/gardeauth/garde/recipe"
)

func main() {
	pages, err := reference(".")
	for name, text := range pages {
		if err == nil {
			err = os.WriteFile(filepath.Join("docs", name), text, 0o644) //nolint:gosec // everybody may read it
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// reference gives every page by its name in docs/, from the module at root.
func reference(root string) (map[string][]byte, error) {
	rules, err := recipePage(filepath.Join(root, "scripts/docs/example/recipe.yaml"))
	if err != nil {
		return nil, err
	}
	node, err := nodePage(filepath.Join(root, "internal/config"))
	if err != nil {
		return nil, err
	}
	api, err := adminAPI()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"recipe.md": rules, "recipe.schema.json": recipe.Schema(), "node.md": node, "cli.md": []byte(cli.Reference()),
		"admin-openapi.json": api,
	}, nil
}

// adminAPI asks the API for its own description, as an administrator may.
func adminAPI() ([]byte, error) {
	answer := httptest.NewRecorder()
	request, err := http.NewRequestWithContext(admin.As(context.Background(), "docs"), http.MethodGet, "http://garde/openapi.json", http.NoBody)
	if err != nil {
		return nil, err
	}
	admin.Handler(admin.Deps{}).ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		return nil, fmt.Errorf("the admin API describes itself with %d", answer.Code)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(answer.Body.Bytes()), "", "  "); err != nil {
		return nil, err
	}
	return append(out.Bytes(), '\n'), nil
}

// row is one key.
type row struct{ key, kind, fallback, what, example string }

func writeRows(b *bytes.Buffer, rows []row) {
	b.WriteString("| key | type | default | what | example |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", r.key, r.kind, cell(r.fallback), cell(r.what), quoted(r.example))
	}
}

func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return "`" + cell(text) + "`"
}
