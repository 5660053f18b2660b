package binding

import (
	"errors"
	"strings"
)

// Place is the URL of a request in the one spelling in which two of them are compared: scheme and host in small letters,
// no default port, each percent-encoding in its shortest form, no dot segments, no query and no fragment (RFC 9449 section
// 4.3 point 9, RFC 3986 sections 6.2.2 and 6.2.3). The case of the path stays. Only PlaceOf makes one.
type Place string

// maxURL bounds what is normalised.
const maxURL = 4 << 10

var errPlace = errors.New("the text is no plain http or https URL")

// PlaceOf reads an absolute http or https URL. User information, and whatever a URL can't hold, is an error.
func PlaceOf(text string) (Place, error) {
	if len(text) > maxURL {
		return "", errPlace
	}
	for i := range len(text) {
		if text[i] <= 0x20 || text[i] >= 0x7f || strings.IndexByte("\"<>\\^`{|}", text[i]) >= 0 {
			return "", errPlace
		}
	}
	text, _, _ = strings.Cut(text, "#")
	text, _, _ = strings.Cut(text, "?")
	scheme, rest, found := strings.Cut(text, "://")
	scheme = strings.ToLower(scheme)
	if !found || scheme != "https" && scheme != "http" {
		return "", errPlace
	}
	host, path := rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		host, path = rest[:slash], rest[slash:]
	}
	host, err := authority(scheme, host)
	if err != nil {
		return "", err
	}
	if path, err = shortest(path); err != nil {
		return "", err
	}
	return Place(scheme + "://" + host + withoutDots(path)), nil
}

// authority gives host and port in their one spelling.
func authority(scheme, text string) (string, error) {
	text = strings.ToLower(text) // ASCII only: PlaceOf has seen to it
	name, port := text, ""
	if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, ']') {
		name, port = text[:colon], text[colon+1:]
	}
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-._")
	if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
		plain = strings.Trim(name[1:len(name)-1], "abcdef0123456789:.")
	}
	if name == "" || plain != "" || len(port) > 5 || strings.Trim(port, "0123456789") != "" {
		return "", errPlace
	}
	if port == "" || scheme == "https" && port == "443" || scheme == "http" && port == "80" {
		return name, nil
	}
	return name + ":" + port, nil
}

// shortest decodes what need not be percent-encoded, and writes the rest in capitals (RFC 3986 section 6.2.2).
func shortest(path string) (string, error) {
	if strings.IndexByte(path, '%') < 0 {
		return path, nil
	}
	var text strings.Builder
	text.Grow(len(path))
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			text.WriteByte(path[i])
			continue
		}
		if i+2 >= len(path) {
			return "", errPlace
		}
		high, low := digit(path[i+1]), digit(path[i+2])
		if high < 0 || low < 0 {
			return "", errPlace
		}
		const capitals = "0123456789ABCDEF"
		if c := byte(high<<4 | low); unreserved(c) { //nolint:gosec // two hexadecimal digits
			text.WriteByte(c)
		} else {
			text.WriteByte('%')
			text.WriteByte(capitals[high])
			text.WriteByte(capitals[low])
		}
		i += 2
	}
	return text.String(), nil
}

func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// withoutDots takes dot segments out (RFC 3986 section 5.2.4). An empty path is the root.
func withoutDots(path string) string {
	if path == "" {
		return "/"
	}
	if !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		if segment != "." && segment != ".." {
			kept = append(kept, segment)
			continue
		}
		if segment == ".." && len(kept) > 0 {
			kept = kept[:len(kept)-1]
		}
		if i == len(segments)-1 {
			kept = append(kept, "") // what ends in a dot segment is a folder
		}
	}
	return "/" + strings.Join(kept, "/")
}
