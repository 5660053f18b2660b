package main

import (
	"bytes"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gardeauth/garde/recipe"
)

const recipeHead = `# The recipe

Made by ` + "`make docs`" + ` from the types of the package recipe. For editors: [recipe.schema.json](recipe.schema.json), or
` + "`garde recipe schema`" + `.

Whatever is a map is named by its keys: lower-case letters, digits and hyphens (scopes may hold . _ : / too). Durations are
written 90s, 5m, 12h or 30d. Unknown and doubled keys are refused, and ` + "`garde recipe check FILE`" + ` tells all faults at once.
An overlay, recipe.ENV.yaml beside the file, may change addresses, keys, branding and lifetimes of the journal, and no rule.
`

// recipePage tells of every key of a recipe; each example is what stands at its place in a recipe that has all keys.
func recipePage(example string) ([]byte, error) {
	sample, err := sampleOf(example)
	if err != nil {
		return nil, err
	}
	b := bytes.NewBufferString(recipeHead)
	recipeSection(b, reflect.TypeFor[recipe.Recipe](), "", sample)
	exceptionSection(b)
	profileSection(b)
	return b.Bytes(), nil
}

// exceptionSection tells what each exception allows.
func exceptionSection(b *bytes.Buffer) {
	b.WriteString("\n## All exceptions\n\nEach is for one client or one registration policy, has a reason and ends with a day; `garde doctor` names those that\n" +
		"end within 30 days. Nothing else that is weak can be allowed.\n\n| exception | what it allows |\n|---|---|\n")
	for _, name := range recipe.Exceptions() {
		fmt.Fprintf(b, "| `%s` | %s |\n", name, cell(recipe.ExceptionSays(name)))
	}
}

// profileSection tells the rules of each profile, with the sections that they stand for.
func profileSection(b *bytes.Buffer) {
	b.WriteString("\n## All profiles\n\nWhat a profile asks of a client beside the rules for everyone. Each refusal names its section.\n")
	for _, profile := range []recipe.Profile{recipe.OAuth21, recipe.FAPI2Security, recipe.FAPI2Messages, recipe.IPSIEOpenIDSL1} {
		fmt.Fprintf(b, "\n### `%s`\n\n| rule | where it stands | exceptions that it ends |\n|---|---|---|\n", profile)
		for _, rule := range profile.Rules() {
			fmt.Fprintf(b, "| %s | %s | %s |\n", rule.Say, rule.Section, strings.Join(rule.Excludes, ", "))
		}
		writeDemands(b, profile.Demands())
	}
}

// writeDemands tells what is asked of each request.
func writeDemands(b *bytes.Buffer, demands recipe.Demands) {
	var asked []string
	for _, demand := range []struct {
		there bool
		say   string
	}{
		{demands.PAR, "are pushed"}, {demands.SignedRequest, "are signed"}, {demands.FreshRequest, "live for 60 minutes at most"},
		{demands.CodeOnly, "get nothing but a code through the browser"}, {demands.Bound, "get tokens that are bound to a key"},
		{demands.DPoPOnly, "bind them by DPoP"}, {demands.PlainAudience, "name the issuer alone as audience of assertions"},
	} {
		if demand.there {
			asked = append(asked, demand.say)
		}
	}
	if len(asked) > 0 {
		fmt.Fprintf(b, "\nIts requests %s.\n", strings.Join(asked, ", "))
	}
}

// recipeSection writes one structure, then those beneath it.
func recipeSection(b *bytes.Buffer, t reflect.Type, at string, sample *yaml.Node) {
	title := "The whole file"
	if at != "" {
		title = "`" + strings.ReplaceAll(at, "operations.NAME", "operations.METHOD /path") + "`"
	}
	fmt.Fprintf(b, "\n## %s\n\n", title)
	var rows []row
	var below []func()
	for _, f := range inline(t) {
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		path := strings.TrimPrefix(at+"."+key, ".")
		r := row{key: key, kind: kindOf(f.Type), what: f.Tag.Get("doc"), fallback: fallback(f.Tag.Get("doc"))}
		if !strings.Contains(options, "omitempty") {
			r.fallback = "must be there"
		}
		part, where := beneath(f.Type, path)
		if part == nil {
			r.example = found(sample, strings.Split(path, "."))
		} else {
			below = append(below, func() { recipeSection(b, part, where, sample) })
		}
		rows = append(rows, r)
	}
	writeRows(b, rows)
	for _, next := range below {
		next()
	}
}

// inline gives the fields of a structure, with those of what is embedded in its place.
func inline(t reflect.Type) []reflect.StructField {
	var fields []reflect.StructField
	for i := range t.NumField() {
		if f := t.Field(i); f.Anonymous {
			fields = append(fields, inline(f.Type)...)
		} else {
			fields = append(fields, f)
		}
	}
	return fields
}

// beneath gives the structure that a key holds, and how its place is written; nil for a plain value.
func beneath(t reflect.Type, path string) (reflect.Type, string) {
	switch t.Kind() { //nolint:exhaustive // all others are plain
	case reflect.Struct:
		return t, path
	case reflect.Map:
		if t.Elem().Kind() == reflect.Struct {
			return t.Elem(), path + ".NAME"
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return t.Elem(), path + ".[]"
		}
	}
	return nil, ""
}

func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[recipe.Duration]():
		return "duration"
	case t == reflect.TypeFor[recipe.Text]():
		return "texts by language"
	case t.Kind() == reflect.Pointer:
		return kindOf(t.Elem())
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map, t.Kind() == reflect.Struct:
		return "map"
	case t.Kind() == reflect.Bool:
		return "yes or no"
	case t.Kind() == reflect.String:
		return "text"
	}
	return "number"
}

var fallbacks = []*regexp.Regexp{
	regexp.MustCompile(`\(default(?: and most)? ([^,)]+)`), regexp.MustCompile(`(\w+) \(default\)`),
	regexp.MustCompile(`(\w+) by default`), regexp.MustCompile(`default is (.+)$`), regexp.MustCompile(`default (by type)`),
}

// fallback finds in what is said of a key its default.
func fallback(doc string) string {
	for _, pattern := range fallbacks {
		if match := pattern.FindStringSubmatch(doc); match != nil {
			return match[1]
		}
	}
	return ""
}

func sampleOf(path string) (*yaml.Node, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(raw, &document); err != nil {
		return nil, err
	}
	return document.Content[0], nil
}

// found gives the first value at a path, on one line. NAME stands for every key, [] for every member.
func found(n *yaml.Node, path []string) string {
	if len(path) == 0 {
		return oneLine(n)
	}
	for i := 0; i < len(n.Content); i++ {
		switch {
		case n.Kind == yaml.MappingNode && i+1 < len(n.Content):
			if path[0] == "NAME" || n.Content[i].Value == path[0] {
				if text := found(n.Content[i+1], path[1:]); text != "" {
					return text
				}
			}
			i++
		case n.Kind == yaml.SequenceNode && path[0] == "[]":
			if text := found(n.Content[i], path[1:]); text != "" {
				return text
			}
		}
	}
	return ""
}

func oneLine(n *yaml.Node) string {
	flow := *n
	flow.Style |= yaml.FlowStyle
	flow.HeadComment, flow.LineComment, flow.FootComment = "", "", ""
	if n.Kind == yaml.ScalarNode {
		flow.Style = n.Style
	}
	text, err := yaml.Marshal(&flow)
	if err != nil {
		return ""
	}
	return strings.Join(strings.Fields(string(text)), " ")
}
