package recipe

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of one file.
const (
	maxSource = 1 << 20 // bytes
	maxDepth  = 16      // levels of nesting; the types need eight
	maxFaults = 500     // told at once
)

// problems puts the parser's words into ours: what is wrong, and what to do. The first entry whose key is contained in
// the parser's message counts; its own text is never shown, since it may repeat what stands in the file.
var problems = []struct{ said, text, hint string }{
	{"control characters are not allowed", "the file holds a control character", "remove it"},
	{"unknown anchor", "aliases are not allowed", "write the value out"},
	{"mapping values are not allowed", "a colon stands where no key can be", "indent the line as its neighbours, or put a text with a colon in quotes"},
	{"could not find expected ':'", "a key has no colon", "write key: value"},
	{"did not find expected key", "the indentation fits none of the lines above", "give keys that belong together the same indentation"},
	{"did not find expected '-' indicator", "the indentation fits none of the lines above", "begin each item with - under the one before"},
	{"did not find expected ',' or '}'", "a { is not closed", "close it with }, and put commas between entries; texts with special characters go in quotes"},
	{"did not find expected ',' or ']'", "a [ is not closed", "close it with ], and put commas between items; texts with special characters go in quotes"},
	{"did not find expected node content", "a value is missing", "write it after the colon or the dash"},
	{"unexpected end of stream", "a quote is not closed", "close it, and double the quotes inside"},
	{"unknown escape character", "an unknown escape stands in a text in double quotes", "use single quotes, or double the backslash"},
	{"escape code", "a broken escape stands in a text in double quotes", "use single quotes, or double the backslash"},
	{"cannot start any token", "a text begins with a character that means something else in YAML", "put the text in quotes"},
	{"max depth", "the file is nested too deep", "no part of a recipe needs so many levels"},
	{"block sequence entries are not allowed", "a list begins where none can be", "put the dash on a line of its own"},
	{"tag", "tags are not allowed", "leave !... out, and put a text that begins with ! in quotes"},
	{"directive", "directives are not allowed", "leave %... out, and put a text that begins with % in quotes"},
	{"alphabetic or numeric character", "anchors and aliases are not allowed", "put a text that begins with & or * in quotes"},
	{"document", "the file holds several documents", "keep one, without --- inside"},
}

var saidLine = regexp.MustCompile(`line ([0-9]+): `)

// parse gives the one mapping in src. Anything that is not plain YAML (anchors, aliases, tags, merge keys, several
// documents, nesting beyond maxDepth) is a fault.
func (r *reading) parse(file string, src []byte) *yaml.Node {
	switch {
	case len(src) > maxSource:
		r.syntax(file, 1, 1, "the file is longer than 1 MiB", "a recipe is a text for people")
		return nil
	case !utf8.Valid(src):
		line, column := firstInvalid(src)
		r.syntax(file, line, column, "the file is not UTF-8 here", "save it as UTF-8")
		return nil
	case bytes.HasPrefix(src, []byte("\ufeff")):
		r.syntax(file, 1, 1, "the file begins with a byte order mark", "save it as UTF-8 without one")
		return nil
	}
	doc, more, err := decodeNodes(src)
	if err != nil {
		r.explain(file, src, err)
		return nil
	}
	if more != nil {
		r.syntax(file, more.Line, more.Column, "the file holds several documents", "keep one, without --- inside")
	}
	if doc == nil || len(doc.Content) == 0 {
		r.syntax(file, 1, 1, "the file is empty", "garde init writes a recipe to begin with")
		return nil
	}
	root := doc.Content[0]
	r.forbid(file, root, "", 0)
	if root.Kind != yaml.MappingNode {
		r.syntax(file, root.Line, root.Column, "the file does not hold keys and values", "begin with garde: "+strconv.Itoa(Format))
		return nil
	}
	return root
}

// decodeNodes reads the first document and looks whether another follows. A parser that panics has met bytes that are
// no YAML: that is an error like any other.
func decodeNodes(src []byte) (doc, more *yaml.Node, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("the parser gave up")
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var first, second yaml.Node
	if err := decoder.Decode(&first); errors.Is(err, io.EOF) {
		return nil, nil, nil
	} else if err != nil {
		return nil, nil, err
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
		return &first, nil, nil
	case err != nil:
		return nil, nil, err
	}
	return &first, &second, nil
}

func (r *reading) explain(file string, src []byte, err error) {
	line := 1
	if m := saidLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
		if strings.Contains(err.Error(), "did not find expected") {
			line++ // the grammar counts lines from nought, the scanner from one
		}
	}
	if tab := indentedByTab(src); tab > 0 {
		r.syntax(file, tab, 1, "a tab stands where spaces indent", "indent with spaces")
		return
	}
	for _, p := range problems {
		if strings.Contains(err.Error(), p.said) {
			r.syntax(file, line, 1, p.text, p.hint)
			return
		}
	}
	r.syntax(file, line, 1, "this is not YAML, here or just before", "look for a missing quote, colon or space")
}

func (r *reading) syntax(file string, line, column int, text, hint string) {
	r.add(Fault{File: file, Line: line, Column: column, Text: text, Hint: hint})
}

// forbid refuses what lets one text be read in two ways, wherever it stands.
func (r *reading) forbid(file string, n *yaml.Node, at path, depth int) {
	refused := func(text, hint string) {
		r.add(Fault{File: file, Line: n.Line, Column: n.Column, Path: string(at), Text: text, Hint: hint})
		r.faulty[at] = true
	}
	switch {
	case n.Kind == yaml.AliasNode:
		refused("aliases are not allowed", "write the value out")
		return
	case depth > maxDepth:
		refused("the file is nested too deep", "no part of a recipe needs so many levels")
		return
	case n.Anchor != "":
		refused("anchors are not allowed", "leave &... out, and write the value wherever it is needed")
	case n.Style&yaml.TaggedStyle != 0:
		refused("tags are not allowed", "leave !... out; a text that looks like something else goes in quotes")
	}
	if n.Kind == yaml.SequenceNode {
		for i, item := range n.Content {
			r.forbid(file, item, at.index(i), depth+1)
		}
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		r.forbid(file, key, at, depth+1)
		r.forbid(file, value, at.key(key.Value), depth+1)
	}
}

// indentedByTab gives the first line with a tab before its text, or 0.
func indentedByTab(src []byte) int {
	number := 0
	for line := range bytes.Lines(src) {
		number++
		if text := bytes.TrimLeft(line, " \t"); bytes.IndexByte(line[:len(line)-len(text)], '\t') >= 0 && len(bytes.TrimSpace(text)) > 0 {
			return number
		}
	}
	return 0
}

func firstInvalid(src []byte) (line, column int) {
	line, column = 1, 1
	for len(src) > 0 {
		c, size := utf8.DecodeRune(src)
		switch {
		case c == utf8.RuneError && size == 1:
			return line, column
		case c == '\n':
			line, column = line+1, 0
		}
		column++
		src = src[size:]
	}
	return line, column
}
