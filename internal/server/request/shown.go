package request

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/gardeauth/garde/internal/page"
)

var placeholder = regexp.MustCompile(`\{([A-Za-z0-9_.-]+)(?::[A-Z]{3})?\}`)

// Shown gives what a person reads of authorization_details that Parser accepted: a sentence for each, with the values
// that it names, and every member that the sentence does not show. A type that the recipe has given up meanwhile is shown
// by its members alone.
func (d *Details) Shown(text string) []page.Detail {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
	list, ok := value.([]any)
	if err != nil || !ok {
		return nil
	}
	var shown []page.Detail
	for _, each := range list {
		members := map[string]string{}
		flatten("", each, members)
		one := page.Detail{Type: members["type"], Values: members}
		if d != nil {
			one.Say = d.types[one.Type].say
		}
		hidden := map[string]string{}
		if len(one.Say) == 0 {
			hidden = maps.Clone(members)
		}
		// What only some languages show is shown to all.
		for _, sentence := range one.Say {
			told := map[string]bool{}
			for _, found := range placeholder.FindAllStringSubmatch(sentence, -1) {
				told[found[1]] = true
			}
			for name := range members {
				if !told[name] {
					hidden[name] = members[name]
				}
			}
		}
		if delete(hidden, "type"); len(one.Say) == 0 {
			hidden["type"] = one.Type
		}
		for _, name := range slices.Sorted(maps.Keys(hidden)) {
			one.Rest = append(one.Rest, page.Member{Name: name, Value: hidden[name]})
		}
		shown = append(shown, one)
	}
	return shown
}

// flatten names every value in a detail by its path. Lists of plain values read as one.
func flatten(path string, value any, into map[string]string) {
	text := ""
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			flatten(strings.TrimPrefix(path+"."+name, "."), value[name], into)
		}
		if len(value) > 0 {
			return
		}
		text = "{}" // nothing said may mean everything
	case []any:
		text = "[" + listed(value) + "]"
		if len(value) > 0 {
			text = listed(value)
		}
	default:
		text = plain(value)
	}
	if before, taken := into[path]; taken { // {"a.b": 1, "a": {"b": 2}}
		text = before + ", " + text
	}
	into[path] = text
}

func listed(list []any) string {
	var parts []string
	for _, each := range list {
		switch each.(type) {
		case map[string]any, []any:
			raw, err := json.Marshal(each)
			if err != nil { // what was decoded encodes
				return ""
			}
			parts = append(parts, string(raw))
		default:
			parts = append(parts, plain(each))
		}
	}
	return strings.Join(parts, ", ")
}

func plain(value any) string {
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return string(value)
	case bool:
		if value {
			return "true"
		}
		return "false"
	}
	return "null"
}
