// Command promises writes docs/promises.md from docs/promises.yaml, what Garde promises of its security and the tests
// that hold it, and docs/standards.md from docs/standards.yaml, which specifications it speaks. It refuses a promise or a
// standard with a gap, and a test that does not exist. With -check it writes nothing and fails when a page is not what it
// would write. It runs at the root of the tree.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	source = "docs/promises.yaml"
	page   = "docs/promises.md"
)

// promise is one entry of the list.
type promise struct {
	Promise string   `yaml:"promise"`
	Tests   []string `yaml:"tests"`
	Later   string   `yaml:"later"`
}

func main() {
	check := flag.Bool("check", false, "write nothing, fail when the page is stale")
	flag.Parse()
	if err := run(*check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(check bool) error {
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	promises, err := read(text)
	if err != nil {
		return err
	}
	where := &tree{root: "."}
	spoken, err := standards(where)
	if err := errors.Join(gaps(promises, where), err); err != nil {
		return err
	}
	return errors.Join(keep(page, source, write(promises), check), keep(standardsPage, standardsSource, spoken, check))
}

// keep writes a page, or says that it is stale.
func keep(page, source string, want []byte, check bool) error {
	if !check {
		return os.WriteFile(page, want, 0o600)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New(page + " is not what " + source + " says: run make promises")
	}
	return nil
}

func read(text []byte) (promises []promise, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&promises); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	return promises, nil
}

// gaps names all promises that nothing holds, and all tests that don't exist.
func gaps(promises []promise, where *tree) error {
	var all []error
	for i, p := range promises {
		if p.Promise == "" {
			all = append(all, fmt.Errorf("promise %d says nothing", i+1))
		}
		if len(p.Tests) == 0 && p.Later == "" {
			all = append(all, fmt.Errorf("promise %d has neither a test nor a word on what is still to come: %s", i+1, p.Promise))
		}
		for _, name := range p.Tests {
			if err := where.find(name); err != nil {
				all = append(all, fmt.Errorf("promise %d: %w", i+1, err))
			}
		}
	}
	return errors.Join(all...)
}

func write(promises []promise) []byte {
	var out bytes.Buffer
	held := 0
	for _, p := range promises {
		if len(p.Tests) > 0 {
			held++
		}
	}
	fmt.Fprintf(&out, "# What Garde promises\n\nWritten by `make promises` from promises.yaml. Of %d promises %d are held by tests; "+
		"where a part is still to be built, it says so.\n", len(promises), held)
	for i, p := range promises {
		fmt.Fprintf(&out, "\n## %d\n\n%s\n\n", i+1, p.Promise)
		for _, name := range p.Tests {
			fmt.Fprintf(&out, "- `%s`\n", strings.ReplaceAll(name, "`", "'"))
		}
		if p.Later != "" {
			fmt.Fprintf(&out, "- Later: %s.\n", strings.TrimSuffix(p.Later, "."))
		}
	}
	return out.Bytes()
}
