package shield

import (
	"bytes"
	"math"
)

// The bounds of a message's frame. net/http has lower ones of its own for the whole header.
const (
	maxLine  = 32 << 10
	maxLines = 256
)

// place is where in a message the next byte stands.
type place int

const (
	requestLine place = iota
	fieldLine
	counted // in a body of known length
	sizeLine
	chunk
	chunkEnd // the CRLF behind a chunk
	trailerLine
)

// framer follows the frames of an HTTP/1 connection: where each message begins and ends. It accepts one form of each
// thing, so that no reader can take it for another. The zero value stands before the first request.
type framer struct {
	at    place
	line  []byte // a line whose end has not come yet
	lines int
	left  uint64 // bytes of the body or chunk that are still to come

	old     bool // HTTP/1.0
	hosts   int
	lengths int
	length  uint64
	chunked bool
}

// feed looks at what arrived next, and tells whether it may be passed on.
func (f *framer) feed(piece []byte) bool {
	for len(piece) > 0 {
		if f.at == counted || f.at == chunk {
			passed := min(f.left, uint64(len(piece)))
			piece, f.left = piece[passed:], f.left-passed
			if f.left == 0 {
				f.bodyEnds()
			}
			continue
		}
		end := bytes.IndexByte(piece, '\n')
		if end < 0 {
			f.line = append(f.line, piece...)
			return len(f.line) <= maxLine
		}
		line := piece[:end+1]
		if len(f.line) > 0 {
			f.line = append(f.line, line...)
			line = f.line
		}
		piece = piece[end+1:]
		if !f.take(line) {
			return false
		}
		f.line = f.line[:0]
	}
	return true
}

// bodyEnds is where a body or a chunk is complete.
func (f *framer) bodyEnds() {
	if f.at == chunk {
		f.at = chunkEnd
		return
	}
	f.begin()
}

// begin stands before the next request.
func (f *framer) begin() { *f = framer{line: f.line[:0]} }

// take judges one line, its end included: CR LF, and no other CR or LF in it (RFC 9112 section 2.2).
func (f *framer) take(line []byte) bool {
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || len(line) > maxLine || bytes.IndexByte(text, '\r') >= 0 {
		return false
	}
	if f.lines++; f.lines > maxLines && f.at != sizeLine && f.at != chunkEnd {
		return false
	}
	switch f.at {
	case requestLine:
		return f.request(text)
	case fieldLine:
		if len(text) == 0 {
			return f.headEnds()
		}
		return f.field(text)
	case sizeLine:
		return f.size(text)
	case chunkEnd:
		f.at = sizeLine
		return len(text) == 0
	case trailerLine:
		if len(text) == 0 {
			f.begin()
			return true
		}
		name, _, ok := cutField(text)
		// A field that frames or routes has no business behind the body (RFC 9110 section 6.5.1).
		return ok && !is(name, "content-length") && !is(name, "transfer-encoding") && !is(name, "host")
	default: // within a body there are no lines
		return false
	}
}

// request judges the request line: method, one space, target, one space, version (RFC 9112 section 3).
func (f *framer) request(text []byte) bool {
	method, rest, found := bytes.Cut(text, []byte(" "))
	target, version, both := bytes.Cut(rest, []byte(" "))
	if !found || !both || !token(method) || len(target) == 0 {
		return false
	}
	for _, c := range target {
		if c <= 0x20 || c == 0x7f {
			return false
		}
	}
	f.old = string(version) == "HTTP/1.0"
	f.at = fieldLine
	return f.old || string(version) == "HTTP/1.1"
}

// field judges one field line and remembers what frames the message. A folded line begins with a space, which no name does.
func (f *framer) field(text []byte) bool {
	name, value, ok := cutField(text)
	if !ok {
		return false
	}
	switch {
	case is(name, "host"):
		f.hosts++
		return f.hosts == 1
	case is(name, "content-length"):
		f.lengths++
		f.length, ok = decimal(value)
		return ok && f.lengths == 1
	case is(name, "transfer-encoding"):
		// Twice chunked, and chunked beside anything else, is how two readers are made to disagree.
		if f.chunked || f.old || !is(value, "chunked") {
			return false
		}
		f.chunked = true
	}
	return true
}

// headEnds says what follows the header (RFC 9112 section 6.3).
func (f *framer) headEnds() bool {
	switch {
	case f.hosts == 0 && !f.old, f.chunked && f.lengths > 0:
		return false
	case f.chunked:
		f.at, f.lines = sizeLine, 0
	case f.length > 0:
		f.at, f.left = counted, f.length
	default:
		f.begin()
	}
	return true
}

// size judges the line before a chunk: hexadecimal digits. Extensions, which nobody uses and everybody reads differently,
// are refused (RFC 9112 section 7.1.1).
func (f *framer) size(text []byte) bool {
	if len(text) == 0 || len(text) > 15 {
		return false
	}
	f.left = 0
	for _, c := range text {
		digit, ok := hex(c)
		if !ok {
			return false
		}
		f.left = f.left<<4 | digit
	}
	f.at = chunk
	if f.left == 0 {
		f.at, f.lines = trailerLine, 0
	}
	return true
}

func hex(c byte) (uint64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return uint64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return uint64(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return uint64(c-'A') + 10, true
	}
	return 0, false
}

// cutField takes a field line apart: a token, a colon right behind it, a value without controls (RFC 9112 section 5).
func cutField(text []byte) (name, value []byte, ok bool) {
	name, value, found := bytes.Cut(text, []byte(":"))
	if !found || !token(name) {
		return nil, nil, false
	}
	for _, c := range value {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return nil, nil, false
		}
	}
	return name, bytes.Trim(value, " \t"), true
}

// token tells whether text is a token of RFC 9110 section 5.6.2.
func token(text []byte) bool {
	for _, c := range text {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) < 0 {
			return false
		}
	}
	return len(text) > 0
}

// is compares with a lower-case ASCII word, case aside.
func is(text []byte, word string) bool {
	if len(text) != len(word) {
		return false
	}
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// decimal reads a length: digits, no sign, no list.
func decimal(text []byte) (uint64, bool) {
	if len(text) == 0 || len(text) > 18 {
		return 0, false
	}
	number := uint64(0)
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		number = number*10 + uint64(c-'0')
	}
	return number, number <= math.MaxInt64
}
