package route

import (
	"net/http"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/oauth"
)

// The bounds of a request line.
const (
	MaxPath   = 2048
	MaxTarget = 8192
)

// readTarget refuses every target that two readers could read in two ways. What passes is a path of non-empty segments
// (RFC 3986 section 3.3), with one layer of percent-encoding, used only where it is needed, that decodes to UTF-8 and to
// no delimiter; and a query of printable ASCII.
func readTarget(path, query string, size int) error {
	if len(path) > MaxPath || size > MaxTarget {
		return &oauth.Error{Code: "invalid_request", Status: http.StatusRequestURITooLong, Description: "the path or the query is too long"}
	}
	if path == "" || path[0] != '/' {
		// The absolute form names a host of its own, beside the Host header (RFC 9112 section 3.2.2).
		return oauth.InvalidRequest("send the path alone, beginning with a slash, and the host in Host")
	}
	if path != "/" {
		if err := readPath(path); err != nil {
			return err
		}
	}
	return readQuery(query)
}

func readPath(path string) error {
	start := 1
	for i := 1; i <= len(path); {
		if i == len(path) || path[i] == '/' {
			if err := readSegment(path[start:i]); err != nil {
				return err
			}
			i++
			start = i
			continue
		}
		if kinds[path[i]]&inPath != 0 {
			i++
			continue
		}
		if path[i] != '%' {
			return oauth.InvalidRequest("the path holds a character that must be encoded or left out")
		}
		length, err := readEncoded(path[i:])
		if err != nil {
			return err
		}
		i += length
	}
	return nil
}

// readSegment judges the segment as it stands: its dots can't be encoded, readEncoded sees to that.
func readSegment(segment string) error {
	switch segment {
	case "":
		return oauth.InvalidRequest("the path has an empty segment; leave doubled and last slashes out")
	case ".", "..":
		return oauth.InvalidRequest("the path has a dot segment; send the path that is meant")
	}
	return nil
}

// readEncoded reads one percent-encoded character and gives how many bytes of text it takes.
func readEncoded(text string) (int, error) {
	first, ok := octet(text)
	if !ok {
		return 0, oauth.InvalidRequest("the path has a broken percent-encoding")
	}
	if first < utf8.RuneSelf {
		switch {
		case first < 0x20 || first == 0x7f:
			return 0, oauth.InvalidRequest("the path holds an encoded control character")
		case first == '/' || first == '\\' || first == '%' || first == ';' || first == '?' || first == '#':
			// Some readers decode before they split, some after, some twice.
			return 0, oauth.InvalidRequest("the path holds an encoded delimiter")
		case kinds[first]&unreserved != 0 && first != '~':
			// RFC 3986 section 2.3: no honest encoder does that. (Old ones do it to the tilde.)
			return 0, oauth.InvalidRequest("the path encodes a character that needs no encoding")
		}
		return 3, nil
	}
	var buffer [utf8.UTFMax]byte
	size := 0
	for size < len(buffer) && !utf8.FullRune(buffer[:size]) {
		next, ok := octet(text[3*size:])
		if !ok {
			break
		}
		buffer[size] = next
		size++
	}
	letter, length := utf8.DecodeRune(buffer[:size])
	if letter == utf8.RuneError && length <= 1 || length != size {
		// Overlong forms and surrogates too.
		return 0, oauth.InvalidRequest("the path is not UTF-8")
	}
	if letter < 0xa0 || delimiterLike(letter) {
		return 0, oauth.InvalidRequest("the path holds a control character, or one that some readers take for a delimiter")
	}
	return 3 * size, nil
}

// delimiterLike tells whether compatibility normalisation, which some upstreams apply, would make a delimiter of letter.
func delimiterLike(letter rune) bool {
	switch letter {
	case '\uff0f', '\uff3c', '\ufe68', '\uff0e', '\ufe52', '\u2024', '\u2025', '\u2026', '\uff05', '\ufe6a', '\uff1b', '\ufe54',
		'\uff1f', '\ufe56', '\uff03', '\ufe5f', '\u2100', '\u2101', '\u2105', '\u2106', '\ufeff':
		return true
	}
	return false
}

func readQuery(query string) error {
	for i := range len(query) {
		switch c := query[i]; {
		case c <= 0x20 || c >= 0x7f || c == '#' || c == '\\':
			return oauth.InvalidRequest("the query holds a character that must be encoded")
		case c == '%':
			if _, ok := octet(query[i:]); !ok {
				return oauth.InvalidRequest("the query has a broken percent-encoding")
			}
		}
	}
	return nil
}

// octet decodes the %XX at the beginning of text.
func octet(text string) (byte, bool) {
	if len(text) < 3 || text[0] != '%' {
		return 0, false
	}
	high, low := nibble(text[1]), nibble(text[2])
	return high<<4 | low&0xf, high < 16 && low < 16
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// spells tells whether segment, which readPath has passed, decodes to text.
func spells(segment, text string) bool {
	for segment != "" {
		if text == "" {
			return false
		}
		c, length := segment[0], 1
		if c == '%' {
			c, _ = octet(segment)
			length = 3
		}
		if c != text[0] {
			return false
		}
		segment, text = segment[length:], text[1:]
	}
	return text == ""
}

// kind says where a byte may stand as it is.
type kind byte

const (
	unreserved kind = 1 << iota // RFC 3986 section 2.3
	inPath                      // pchar of RFC 3986 section 3.3, less the semicolon that begins parameters
)

var kinds = func() (table [256]kind) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~") {
		table[c] = unreserved | inPath
	}
	for _, c := range []byte("!$&'()*+,=:@") {
		table[c] = inPath
	}
	return table
}()
