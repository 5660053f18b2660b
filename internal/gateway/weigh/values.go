package weigh

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/authzen"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// MaxBody is how long a body may be of which something is mapped.
const MaxBody = 1 << 20

// place is where in a request a value stands.
type place struct {
	text   string // as the recipe writes it
	source string // body, path or query
	name   string
	parts  []string // of a member of the body
	index  int      // of a parameter of the path
}

func placeOf(text string, pattern recipe.Pattern) (place, error) {
	source, name, _ := strings.Cut(text, ".")
	at := place{text: text, source: source, name: name, parts: strings.Split(name, ".")}
	switch {
	case name == "":
	case source == "body", source == "query":
		return at, nil
	case source == "path":
		for at.index = range pattern.Segments {
			if segment := pattern.Segments[at.index]; segment.Param && segment.Text == name {
				return at, nil
			}
		}
		return place{}, errors.New("the path has no parameter " + name)
	}
	return place{}, errors.New(text + " is no value of a request")
}

// Value is one value of a request: what JSON says in a body, with numbers as they are written, or a text of path or query.
type Value struct {
	json any
	text string
	raw  bool // a text of path or query
}

func (v Value) plain() any {
	if v.raw {
		return v.text
	}
	return v.json // its numbers are sent as they were written
}

// Values are the mapped values of one request, by their place. What the request does not hold is absent.
type Values map[string]Value

// Source is a request as it will be forwarded.
type Source struct {
	Path   string // below the base of the API
	Query  string // without the question mark
	Header http.Header
	Body   []byte
}

// NeedsBody tells whether a value stands in the body: for a detail alone, or for the Server too. It is read as well where a
// value must not stand there besides.
func (o *Operation) NeedsBody(online bool) bool { return o.inBody(online) || o.alone(online) }

// alone tells whether what is mapped may stand nowhere else: of a detail, of what is paid, and of a query, since many
// frameworks put a form, or the members of JSON, before it. A path is nearly always taken for itself, and files are sent to it.
func (o *Operation) alone(online bool) bool {
	return o.Detail != "" || online && slices.ContainsFunc(o.send, func(each pair) bool {
		return each.place.source == "query" || each.name == assurance.SentAmount || each.name == assurance.SentCurrency || each.name == assurance.SentPayee
	})
}

func (o *Operation) inBody(online bool) bool {
	for _, each := range o.places(online) {
		if each.place.source == "body" {
			return true
		}
	}
	return false
}

// Reads tells whether any value is to be read.
func (o *Operation) Reads(online bool) bool { return len(o.places(online)) > 0 }

func (o *Operation) places(online bool) []pair {
	if !online {
		return o.match
	}
	return append(o.match[:len(o.match):len(o.match)], o.send...)
}

// Read takes the mapped values out of a request. Whatever the API behind might read in another way than the Gate is
// refused: doubled names, names that differ in case alone, a body that is no JSON or is compressed, text that decodes to
// two things, a value that another part of the request names too. A value that is null is absent.
func (o *Operation) Read(from Source, online bool) (Values, error) {
	places := o.places(online)
	found := make(Values, len(places))
	var body map[string]any
	if len(from.Body) > 0 && (o.inBody(online) || o.alone(online) && merged(from)) {
		var err error
		if body, err = readBody(from); err != nil {
			return nil, err
		}
	}
	if err := once(from, body, places); err != nil {
		return nil, err
	}
	for _, each := range places {
		var value Value
		var known bool
		var err error
		switch at := each.place; at.source {
		case "body":
			value.json, known = member(body, at.parts)
		case "path":
			value, known, err = parameter(from.Path, at)
		case "query":
			value, known, err = queried(from.Query, at.name)
		}
		if err != nil {
			return nil, err
		}
		if known {
			found[each.place.text] = value
		}
		if !counts(value.json) {
			return nil, oauth.InvalidRequest("%s has a number that is out of range", each.place.text)
		}
	}
	return found, nil
}

// counts tells whether rules can count with every number of a value. The Server takes no other, which is no fault of its own.
func counts(value any) bool {
	switch v := value.(type) {
	case json.Number:
		_, err := authzen.Number(string(v))
		return err == nil
	case map[string]any:
		for _, inner := range v {
			if !counts(inner) {
				return false
			}
		}
	case []any:
		for _, inner := range v {
			if !counts(inner) {
				return false
			}
		}
	}
	return true
}

// readBody reads a JSON object that no reader can take for another.
func readBody(from Source) (map[string]any, error) {
	kind, with, err := mime.ParseMediaType(from.Header.Get("Content-Type"))
	json := kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
	if err != nil || !json || with["charset"] != "" && !strings.EqualFold(with["charset"], "utf-8") {
		return nil, &oauth.Error{Code: "invalid_request", Status: http.StatusUnsupportedMediaType,
			Description: "the body of this operation must be JSON in UTF-8, with its Content-Type"}
	}
	if coding := from.Header.Values("Content-Encoding"); len(coding) > 0 && !strings.EqualFold(coding[0], "identity") || len(coding) > 1 {
		return nil, &oauth.Error{Code: "invalid_request", Status: http.StatusUnsupportedMediaType,
			Description: "the body of this operation must not be compressed"}
	}
	body, err := authzen.Values(from.Body)
	if err != nil {
		return nil, oauth.InvalidRequest("the body must be one JSON object that can be read in one way only").Because(err)
	}
	if twin(body) {
		return nil, oauth.InvalidRequest("the body has two members whose names differ in upper and lower case alone")
	}
	return body, nil
}

// twin tells whether an object anywhere below has two names that a reader without regard to case would take for one, as
// that of Go does.
func twin(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		seen := make(map[string]bool, len(v))
		for name, inner := range v {
			folded := fold(name)
			if seen[folded] || twin(inner) {
				return true
			}
			seen[folded] = true
		}
	case []any:
		for _, inner := range v {
			if twin(inner) {
				return true
			}
		}
	}
	return false
}

// fold gives all spellings of a name that Unicode folds together one form.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
			least = min(least, next)
		}
		return least
	}, name)
}

func member(body map[string]any, parts []string) (any, bool) {
	var value any = body
	for _, part := range parts {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[part]; !ok || value == nil {
			return nil, false
		}
	}
	return value, value != nil
}

// parameter takes a segment of a path that was matched by the same pattern.
func parameter(path string, at place) (Value, bool, error) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if at.index >= len(segments) {
		return Value{}, false, nil
	}
	text, err := url.PathUnescape(segments[at.index])
	if err != nil {
		return Value{}, false, oauth.InvalidRequest("the path has a broken percent-encoding").Because(err)
	}
	return Value{text: text, raw: true}, true, nil
}

// queried finds the one parameter of a query. Another spelling of its name, or a list of it, is refused, and so is what
// some read as a space and others as a plus sign.
func queried(query, name string) (Value, bool, error) {
	var found Value
	known := false
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		plainKey, err := url.QueryUnescape(key)
		if err != nil {
			return Value{}, false, oauth.InvalidRequest("the query has a broken percent-encoding").Because(err)
		}
		bare, _, _ := strings.Cut(strings.TrimSpace(plainKey), "[")
		if loose(bare) != loose(name) && !strings.Contains(pair, ";") {
			continue
		}
		text, err := url.QueryUnescape(value)
		if err != nil || known || plainKey != name || strings.ContainsAny(pair, "+;") {
			return Value{}, false, oauth.InvalidRequest("the parameter %s of the query can be read in more than one way", name)
		}
		found, known = Value{text: text, raw: true}, true
	}
	return found, known, nil
}

// loose gives all spellings of a parameter that some reader takes for one another one form: case, and the dots and spaces
// that become underscores.
func loose(name string) string {
	return strings.NewReplacer(".", "_", " ", "_").Replace(fold(name))
}

// compact writes a value so that equal ones are equal bytes: names sorted, numbers by their value.
func compact(value any) []byte {
	switch v := value.(type) {
	case json.Number:
		if number, ok := decimalOf(string(v)); ok {
			return []byte(number.String())
		}
		return []byte(v)
	case map[string]any:
		return joined('{', '}', func(write func([]byte)) {
			for _, name := range sortedNames(v) {
				write(append(append(quoted(name), ':'), compact(v[name])...))
			}
		})
	case []any:
		return joined('[', ']', func(write func([]byte)) {
			for _, inner := range v {
				write(compact(inner))
			}
		})
	case string:
		return quoted(v)
	case bool:
		if v {
			return []byte("true")
		}
		return []byte("false")
	}
	return []byte("null")
}

func quoted(text string) []byte {
	raw, err := json.Marshal(text)
	if err != nil { // a text always marshals
		return []byte(`""`)
	}
	return raw
}

func joined(open, end byte, each func(write func([]byte))) []byte {
	parts := [][]byte{}
	each(func(part []byte) { parts = append(parts, part) })
	return append(append([]byte{open}, bytes.Join(parts, []byte{','})...), end)
}
