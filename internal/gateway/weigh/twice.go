package weigh

import (
	"encoding/json"
	"mime"
	"net/url"
	"strings"

	"github.com/gardeauth/garde/internal/oauth"
)

// once refuses a request that names a mapped value in another part too: many frameworks put path, query and body into one
// table, each in another order, and would take the value that was not compared. What the recipe maps itself may be there.
func once(from Source, body map[string]any, places []pair) error {
	mapped := make(map[string]bool, len(places))
	for _, each := range places {
		mapped[each.place.text] = true
	}
	for _, each := range places {
		at := each.place
		if at.source != "query" && !mapped["query."+at.name] && (asked(from.Query, at.name) || asked(from.Query, at.parts[0])) {
			return twice(at, "query")
		}
		if at.source == "body" || mapped["body."+at.name] {
			continue
		}
		for member, value := range body {
			if loose(member) != loose(at.name) {
				continue
			}
			// Many an API has the id of its path in the body again; there it may stand, if it is the same.
			if said, known, err := parameter(from.Path, at); at.source == "path" && err == nil && known && (member == at.name && spelled(value) == said.text) {
				continue
			}
			return twice(at, "body")
		}
	}
	return nil
}

func twice(at place, other string) error {
	return oauth.InvalidRequest("%s is what counts for this operation, and the %s of the request names it too: leave it out there", at.text, other)
}

// asked tells whether any reader could find a parameter of that name in a query.
func asked(query, name string) bool {
	for pair := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == ';' }) {
		key, _, _ := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(key)
		if err != nil {
			return true
		}
		bare, _, _ := strings.Cut(strings.TrimSpace(plain), "[")
		if loose(bare) == loose(name) {
			return true
		}
	}
	return false
}

// spelled is a value of a body as a path would spell it; "" for what has no such form.
func spelled(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case json.Number:
		return string(v)
	}
	return ""
}

// merged tells whether readers look for values in a body of that kind.
func merged(from Source) bool {
	kind, _, err := mime.ParseMediaType(from.Header.Get("Content-Type"))
	return err != nil || strings.HasPrefix(kind, "multipart/") || kind == "application/x-www-form-urlencoded" ||
		strings.HasSuffix(kind, "/json") || strings.HasSuffix(kind, "+json")
}
