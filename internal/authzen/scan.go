package authzen

import (
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"
)

// scan reads a JSON value that is a part of what was read strictly, so that it is known to be well-formed, without doubled
// members and not too deep. Its numbers are json.Number, exactly as written.
func scan(data []byte) any {
	s := scanner{data: data}
	return s.value()
}

// scanner goes over well-formed JSON once. What is not well-formed reads as something else, and never beyond the end.
type scanner struct {
	data []byte
	at   int
}

// next skips white space and gives what follows; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\r', '\n', ',', ':': // between the parts of well-formed JSON they say nothing more
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) value() any {
	switch s.next() {
	case '{':
		return s.object()
	case '[':
		s.at++
		list := []any{}
		for c := s.next(); c != ']' && c != 0; c = s.next() {
			list = append(list, s.value())
		}
		s.at++
		return list
	case '"':
		return s.text()
	case 't':
		s.at += len("true")
		return true
	case 'f':
		s.at += len("false")
		return false
	case 'n':
		s.at += len("null")
		return nil
	}
	return s.number()
}

func (s *scanner) object() map[string]any {
	s.at++
	object := map[string]any{}
	for c := s.next(); c != '}' && c != 0; c = s.next() {
		name := s.text()
		object[name] = s.value()
	}
	s.at++
	return object
}

func (s *scanner) text() string {
	begun, plain := s.at, true
	for s.at++; s.at < len(s.data) && s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			plain = false
			s.at++
		}
	}
	s.at = min(s.at+1, len(s.data))
	raw := s.data[begun:s.at]
	if plain && len(raw) >= 2 {
		return string(raw[1 : len(raw)-1])
	}
	text, _ := jsontext.AppendUnquote(nil, raw) // it was read before
	return string(text)
}

func (s *scanner) number() any {
	begun := s.at
	for s.at < len(s.data) {
		switch c := s.data[s.at]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
			s.at++
			continue
		}
		break
	}
	if s.at == begun { // no number at all: go on behind it
		s.at++
		return nil
	}
	return json.Number(s.data[begun:s.at])
}
