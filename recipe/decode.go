package recipe

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// field is one key of a struct of the recipe.
type field struct {
	name     string
	doc      string
	required bool
	index    []int // through what is embedded
}

// fieldsOf reads the tags of t: what has no omitempty is required.
func fieldsOf(t reflect.Type) []field {
	fields := make([]field, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			for _, below := range fieldsOf(f.Type) {
				below.index = append([]int{i}, below.index...)
				fields = append(fields, below)
			}
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		fields = append(fields, field{name, f.Tag.Get("doc"), !strings.Contains(options, "omitempty"), []int{i}})
	}
	return fields
}

func fieldNames(fields []field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	return names
}

var (
	durationType = reflect.TypeFor[Duration]()
	wordsType    = reflect.TypeFor[Words]()
)

// decode fills v from n, notes where everything stands, and goes on after each fault.
func (r *reading) decode(n *yaml.Node, v reflect.Value, at path) {
	if n.Kind == yaml.AliasNode {
		return // already a fault
	}
	switch t := v.Type(); {
	case t == durationType:
		r.decodeDuration(n, v, at)
	case t == wordsType && n.Kind == yaml.ScalarNode:
		r.decodeWords(n, v, at)
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		r.decode(n, v.Elem(), at)
	case t.Kind() == reflect.Struct:
		r.decodeStruct(n, v, at)
	case t.Kind() == reflect.Map:
		r.decodeMap(n, v, at)
	case t.Kind() == reflect.Slice:
		r.decodeList(n, v, at)
	default:
		r.decodeScalar(n, v, at)
	}
}

// pair is a key and its value, after unknown and duplicate keys are gone.
type pair struct {
	name       string
	key, value *yaml.Node
}

// pairs gives the entries of a mapping. Doubles are refused: the second reader of the file might take the other one.
func (r *reading) pairs(n *yaml.Node, at path) []pair {
	if n.Kind != yaml.MappingNode {
		r.wrong(n, at, "keys with values", "write key: value, one a line")
		return nil
	}
	var all []pair
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			r.at(key, at.key("<<"), "merge keys are not allowed", "write the entries out")
		case key.Kind != yaml.ScalarNode || key.Tag != "!!str" && key.Tag != "!!timestamp":
			r.at(key, at, "a key is not a text", "put the key in quotes")
		case seen[key.Value] > 0:
			r.at(key, at.key(key.Value), "the key already stands in line "+strconv.Itoa(seen[key.Value]), "keep one of the two")
		default:
			seen[key.Value] = max(key.Line, 1)
			all = append(all, pair{key.Value, key, value})
		}
	}
	return all
}

func (r *reading) decodeStruct(n *yaml.Node, v reflect.Value, at path) {
	fields := fieldsOf(v.Type())
	names := fieldNames(fields)
	filled := map[string]bool{}
	entries := r.pairs(n, at)
	for _, entry := range entries {
		filled[entry.name] = true
	}
	for _, entry := range entries {
		name := entry.name
		if !slices.Contains(names, name) {
			name = r.unknown(entry, names, at)
			if name == "" || filled[name] {
				continue
			}
			// The value is read as what was probably meant, so that one slip gives one fault.
			filled[name] = true
		}
		f := fields[slices.Index(names, name)]
		r.mark(entry.key, at.key(name))
		r.decode(entry.value, v.FieldByIndex(f.index), at.key(name))
	}
	if n.Kind != yaml.MappingNode {
		return
	}
	for _, f := range fields {
		if f.required && !filled[f.name] {
			r.fault(at.key(f.name), "is missing", f.name+": "+f.doc)
			r.faulty[at.key(f.name)] = true
		}
	}
}

func (r *reading) unknown(entry pair, names []string, at path) string {
	near := nearest(entry.name, names)
	hint := "the keys here are " + listed(names)
	if near != "" {
		hint = "did you mean " + near + "?"
	}
	r.at(entry.key, at.key(entry.name), "the key is unknown", hint)
	return near
}

func (r *reading) decodeMap(n *yaml.Node, v reflect.Value, at path) {
	entries := r.pairs(n, at)
	v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	for _, entry := range entries {
		r.mark(entry.key, at.key(entry.name))
		value := reflect.New(v.Type().Elem()).Elem()
		r.decode(entry.value, value, at.key(entry.name))
		v.SetMapIndex(reflect.ValueOf(entry.name), value)
	}
}

func (r *reading) decodeList(n *yaml.Node, v reflect.Value, at path) {
	if n.Kind != yaml.SequenceNode {
		r.wrong(n, at, "a list", "write [one, two], or one item a line after a dash")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		r.mark(item, at.index(i))
		r.decode(item, v.Index(i), at.index(i))
	}
}

func (r *reading) decodeScalar(n *yaml.Node, v reflect.Value, at path) {
	if n.Kind == yaml.ScalarNode {
		r.mark(n, at)
	}
	switch v.Kind() {
	case reflect.String:
		// A day (2027-03-01) is a text here.
		if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Tag != "!!timestamp" {
			r.wrong(n, at, "a text", "put it in quotes")
			return
		}
		v.SetString(n.Value)
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
			r.wrong(n, at, "true or false", "write true or false, without quotes")
			return
		}
		v.SetBool(n.Value == "true")
	case reflect.Int, reflect.Int64:
		number, err := strconv.ParseInt(n.Value, 10, 53)
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" || err != nil || strconv.FormatInt(number, 10) != n.Value {
			r.wrong(n, at, "a whole number", "write plain digits, without quotes")
			return
		}
		v.SetInt(number)
	default:
		panic("recipe: no reader for " + v.Type().String()) // a type in recipe.go that no reader knows: a test sees it
	}
}

// decodeWords takes a plain text for the English one, which every language without its own falls back to.
func (r *reading) decodeWords(n *yaml.Node, v reflect.Value, at path) {
	var text string
	r.decodeScalar(n, reflect.ValueOf(&text).Elem(), at)
	if !r.unread(at) {
		v.Set(reflect.ValueOf(Words{"en": text}))
	}
}

func (r *reading) decodeDuration(n *yaml.Node, v reflect.Value, at path) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" && n.Tag != "!!int" {
		r.wrong(n, at, "a duration", durationHint)
		return
	}
	r.mark(n, at)
	d, err := ParseDuration(n.Value)
	if err != nil {
		r.refused(at, err)
		r.faulty[at] = true
		return
	}
	v.SetInt(int64(d))
}

// wrong says what was expected and what is there, without repeating the value: it may be a secret in the wrong place.
func (r *reading) wrong(n *yaml.Node, at path, expected, hint string) {
	found := map[string]string{"!!str": "a text", "!!int": "a number", "!!float": "a number", "!!bool": "true or false",
		"!!null": "nothing", "!!map": "keys with values", "!!seq": "a list", "!!timestamp": "a date"}[n.Tag]
	if found == "" {
		found = "something else"
	}
	if n.Tag == "!!null" {
		hint = "write a value, or leave the key out"
	}
	if found == expected || found == "a number" && expected == "a whole number" {
		found = "another spelling"
	}
	r.at(n, at, "expected "+expected+", found "+found, hint)
}

// at is a fault at a node itself; what semantic checks would say about the same place is then left unsaid.
func (r *reading) at(n *yaml.Node, at path, text, hint string) {
	r.add(Fault{File: r.fileOf(n), Line: n.Line, Column: n.Column, Path: string(at), Text: text, Hint: hint})
	r.faulty[at] = true
}
