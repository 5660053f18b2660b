package token

import (
	"encoding/json"
	"errors"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gardeauth/garde/internal/jose"
)

// Details are authorization_details (RFC 9396 section 2), each as it was written and by its type.
type Details []Detail

// Detail is one of them.
type Detail struct {
	Type string
	Text json.RawMessage
}

// ReadDetails reads a JSON array of objects with a type; "" is none. It judges no more than that.
func ReadDetails(text string) (Details, error) {
	if text == "" {
		return nil, nil
	}
	var raw []json.RawMessage
	if err := jose.DecodeJSON([]byte(text), &raw); err != nil {
		return nil, err
	}
	details := make(Details, 0, len(raw))
	for _, each := range raw {
		var named struct {
			Type string `json:"type"`
		}
		if err := jose.DecodeJSON(each, &named); err != nil {
			return nil, err
		}
		if named.Type == "" {
			return nil, errors.New("an authorization detail has no type")
		}
		details = append(details, Detail{named.Type, each})
	}
	return details, nil
}

// Types lists their types, each once.
func (d Details) Types() []string {
	var types []string
	seen := map[string]bool{}
	for _, each := range d {
		if !seen[each.Type] {
			types, seen[each.Type] = append(types, each.Type), true
		}
	}
	return types
}

// Of keeps those whose type is known.
func (d Details) Of(known func(kind string) bool) Details {
	var kept Details
	for _, each := range d {
		if known(each.Type) {
			kept = append(kept, each)
		}
	}
	return kept
}

// Within tells whether each of them is one of granted, whatever its spelling: nothing is compared but equality, since what
// is less than another only its API knows.
func (d Details) Within(granted Details) bool {
	known := map[string]bool{}
	for _, each := range granted {
		known[each.canonical()] = true
	}
	for _, each := range d {
		if text := each.canonical(); text == "" || !known[text] {
			return false
		}
	}
	return true
}

// canonical writes a detail in one way, with sorted members and numbers as they stand: two amounts that a float64 can't tell apart are not one; "" if it can't be read.
func (d Detail) canonical() string {
	text := jsontext.Value(d.Text).Clone()
	if err := text.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)); err != nil {
		return ""
	}
	return string(text)
}

// String writes them as a JSON array; none is "".
func (d Details) String() string {
	if len(d) == 0 {
		return ""
	}
	list := make([]json.RawMessage, len(d))
	for i, each := range d {
		list[i] = each.Text
	}
	text, err := json.Marshal(list)
	if err != nil { // what ReadDetails has read always encodes
		return ""
	}
	return string(text)
}
