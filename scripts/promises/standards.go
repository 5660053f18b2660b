package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	standardsSource = "docs/standards.yaml"
	standardsPage   = "docs/standards.md"
)

// standard is a specification, by its parts.
type standard struct {
	Spec  string `yaml:"spec"`
	Title string `yaml:"title"`
	Parts []part `yaml:"parts"`
}

// part is what can be supported or not.
type part struct {
	What  string   `yaml:"what"`
	State string   `yaml:"state"`
	Note  string   `yaml:"note"`
	Rooms []string `yaml:"rooms"`
	Tests []string `yaml:"tests"`
}

// states are how a part is spoken of.
func states() map[string]string {
	return map[string]string{"yes": "supported", "exception": "by exception", "no": "not supported"}
}

func readStandards(text []byte) (standards []standard, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&standards); err != nil {
		return nil, fmt.Errorf("%s: %w", standardsSource, err)
	}
	return standards, nil
}

// standardGaps names every part that says too little, and all rooms and tests that don't exist.
func standardGaps(standards []standard, where *tree) error {
	var all []error
	seen := map[string]bool{}
	for _, s := range standards {
		if s.Spec == "" || s.Title == "" || len(s.Parts) == 0 || seen[s.Spec] {
			all = append(all, fmt.Errorf("%q has no name of its own, no title or no part", s.Spec))
		}
		seen[s.Spec] = true
		for _, p := range s.Parts {
			if err := p.gap(where); err != nil {
				all = append(all, fmt.Errorf("%s: %s: %w", s.Spec, p.What, err))
			}
		}
	}
	return errors.Join(all...)
}

func (p part) gap(where *tree) error {
	var all []error
	switch {
	case p.What == "" || states()[p.State] == "":
		all = append(all, fmt.Errorf("the state %q is not yes, exception or no", p.State))
	case p.State == "no" && p.Note == "":
		all = append(all, errors.New("nothing says why it is not supported"))
	case p.State != "no" && (len(p.Rooms) == 0 || len(p.Tests) == 0):
		all = append(all, errors.New("it names no room or no test"))
	}
	for _, room := range p.Rooms {
		files, err := filepath.Glob(filepath.Join(where.root, filepath.FromSlash(room), "*.go"))
		if err != nil || len(files) == 0 {
			all = append(all, fmt.Errorf("there is no room %s", room))
		}
	}
	for _, name := range p.Tests {
		all = append(all, where.find(name))
	}
	return errors.Join(all...)
}

func writeStandards(standards []standard) []byte {
	var out bytes.Buffer
	out.WriteString("# What Garde speaks\n\nWritten by `make promises` from standards.yaml: every specification, what of it is supported, where its code stands\n" +
		"and which tests hold it. *By exception* is what a recipe allows a named client or policy, with a reason and an end\n" +
		"([recipe.md](recipe.md)); what is not supported says why.\n")
	for _, s := range standards {
		fmt.Fprintf(&out, "\n## %s\n\n", s.Spec)
		if !strings.Contains(s.Spec, s.Title) {
			fmt.Fprintf(&out, "%s.\n\n", s.Title)
		}
		out.WriteString("| what | | code | tests |\n|---|---|---|---|\n")
		for _, p := range s.Parts {
			state := states()[p.State]
			if p.Note != "" {
				state += ": " + p.Note
			}
			fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", p.What, state, quotedList(p.Rooms), quotedList(p.Tests))
		}
	}
	return out.Bytes()
}

func quotedList(names []string) string {
	quoted := make([]string, 0, len(names))
	for _, name := range names {
		quoted = append(quoted, "`"+name+"`")
	}
	return strings.Join(quoted, " ")
}

// standards gives the page, or says what is missing.
func standards(where *tree) ([]byte, error) {
	text, err := os.ReadFile(standardsSource)
	if err != nil {
		return nil, err
	}
	all, err := readStandards(text)
	if err != nil {
		return nil, err
	}
	return writeStandards(all), standardGaps(all, where)
}
