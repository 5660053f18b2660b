package jose

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Bounds of JSON that decides something.
const (
	MaxJSON  = 1 << 20 // bytes
	MaxDepth = 32      // arrays and objects within one another
)

// DecodeJSON reads one JSON document into v, for all JSON that decides something. It takes names exactly as written
// (RFC 7519 section 7.3 forbids folding), and refuses doubled members at any depth, invalid UTF-8, a byte order mark,
// anything after the document, null in place of the document, and what is longer than MaxJSON or deeper than MaxDepth.
// Members that v does not name are ignored, but must be well-formed. A null member leaves the zero value.
//
// Its errors name the place, never the value that stood there.
func DecodeJSON(data []byte, v any) error {
	if len(data) > MaxJSON {
		return fmt.Errorf("the JSON is longer than %d bytes", MaxJSON)
	}
	if tooDeep(data) {
		return fmt.Errorf("the JSON is nested deeper than %d", MaxDepth)
	}
	if bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
		return errors.New("the JSON is null")
	}
	err := json.Unmarshal(data, v)
	if err == nil {
		return nil
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Errorf("the JSON has a doubled member at byte %d", syntactic.ByteOffset)
		}
		return fmt.Errorf("the JSON is malformed at byte %d", syntactic.ByteOffset)
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Errorf("the JSON member %s has a value of the wrong kind", shown(string(semantic.JSONPointer)))
	}
	return errors.New("the JSON can't be read")
}

// shown quotes a name that a stranger chose, and shortens it.
func shown(pointer string) string {
	if len(pointer) > 64 {
		pointer = pointer[:64]
	}
	return strconv.QuoteToASCII(pointer)
}

// tooDeep counts brackets outside of strings. It runs before the decoder, so that a hundred thousand brackets cost
// thirty-three looks (J38).
func tooDeep(data []byte) bool {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// NumericDate is a time in seconds since 1970 (RFC 7519 section 2). Decoded from JSON it is a number from 0 to 2^53,
// fractions cut off; strings, null, negatives, and anything that a float64 could not count exactly are refused (J13).
// Zero means that the member was absent.
type NumericDate int64

// maxDate is where float64, in which JavaScript writes dates, stops telling neighbours apart.
const maxDate = 1 << 53

// UnmarshalJSON reads a date as described at the type.
func (d *NumericDate) UnmarshalJSON(data []byte) error {
	text := string(data)
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		if seconds > maxDate {
			return errors.New("the date is out of range")
		}
		*d = NumericDate(seconds)
		return nil
	}
	// ParseFloat knows spellings that JSON does not: the first byte keeps NaN, Inf, signs and quotes out.
	if text == "" || text[0] < '0' || text[0] > '9' || len(text) > 40 {
		return errors.New("the date is not a number of seconds since 1970")
	}
	seconds, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(seconds) || seconds > maxDate {
		return errors.New("the date is out of range")
	}
	*d = NumericDate(seconds)
	return nil
}
