package recipe

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The rules for addresses work on the bytes as written, never on what url.Parse makes of them: it drops a bare '#',
// takes the last of several '@', and accepts full-stop look-alikes.

// maxAddress bounds every address in a recipe.
const maxAddress = 2000

// address is an http or https address taken apart without changing a byte.
type address struct {
	scheme string
	host   string // a name in lower case, an IPv4 address, or an IPv6 address in brackets
	port   string // "" when none is written
	path   string // "" or beginning with a slash
	query  string // without the question mark
	asked  bool   // a question mark is there
}

func (a address) origin() string {
	if a.port != "" {
		return a.scheme + "://" + a.host + ":" + a.port
	}
	return a.scheme + "://" + a.host
}

// loopback tells whether the host is the machine itself by its number; names can be pointed elsewhere (RFC 8252 section 8.3).
func (a address) loopback() bool { return a.host == "127.0.0.1" || a.host == "[::1]" }

// plainBytes refuses what must not stand in any address: white space, controls, non-ASCII, quotes, a backslash, a
// wildcard, a fragment (even an empty one), broken or needless percent-encoding.
func plainBytes(text string) error {
	switch {
	case text == "":
		return refuse("write an absolute address", "the address is empty")
	case len(text) > maxAddress:
		return refuse("shorten it", "the address is longer than %d bytes", maxAddress)
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 0x80:
			return refuse("write the host as an A-label (xn--...) and percent-encode the path", "%s holds a character outside ASCII", show(text))
		case c == '#':
			return refuse("leave the # and what follows out", "%s has a fragment", show(text))
		case c == '*':
			return refuse("list every address in full", "%s has a wildcard", show(text))
		case c <= 0x20 || c == 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0:
			return refuse("remove or percent-encode it", "%s holds a character that no address may hold", show(text))
		case c == '%' && !encodedByte(text[i:]):
			return refuse("two hexadecimal digits in upper case follow a %", "%s has a broken percent-encoding", show(text))
		}
	}
	return nil
}

func encodedByte(text string) bool {
	return len(text) >= 3 && strings.IndexByte(upperHex, text[1]) >= 0 && strings.IndexByte(upperHex, text[2]) >= 0
}

const upperHex = "0123456789ABCDEF"

// splitAddress reads an http or https address; anything unusual in it is refused.
func splitAddress(text string) (address, error) {
	if err := plainBytes(text); err != nil {
		return address{}, err
	}
	scheme, rest, ok := strings.Cut(text, ":")
	if lower := strings.ToLower(scheme); ok && lower != scheme {
		return address{}, refuse("write "+lower+":", "%s has a scheme in upper case", show(text))
	}
	if !ok || scheme != "https" && scheme != "http" || !strings.HasPrefix(rest, "//") {
		return address{}, refuse("begin with https://", "%s is not an absolute http or https address", show(text))
	}
	rest = rest[2:]
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	a := address{scheme: scheme}
	a.path, a.query, a.asked = strings.Cut(rest[end:], "?")
	var err error
	if a.host, a.port, err = splitHost(scheme, rest[:end]); err != nil {
		return address{}, err
	}
	return a, checkPath(a.path)
}

// splitHost reads host and port; userinfo and default ports are refused because two spellings of one place can't be
// compared byte for byte (RFC 3986 section 6.2).
func splitHost(scheme, authority string) (host, port string, err error) {
	if strings.Contains(authority, "@") {
		// The text is not repeated: it may hold a password.
		return "", "", refuse("leave everything up to the @ out", "the address has a user name before its host")
	}
	host = authority
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
		if err := checkPort(scheme, port); err != nil {
			return "", "", err
		}
	}
	return host, port, checkHost(host)
}

func checkPort(scheme, port string) error {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != port {
		return refuse("write a number from 1 to 65535, or leave the colon out", "%s is not a port", show(port))
	}
	if scheme == "https" && number == 443 || scheme == "http" && number == 80 {
		return refuse("leave :"+port+" out", "port %s is the default of %s", port, scheme)
	}
	return nil
}

// checkHost admits a host in its one canonical spelling.
func checkHost(host string) error {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		if err != nil || !closed || !ip.Is6() || ip.Is4In6() || ip.Zone() != "" || ip.String() != inner {
			return refuse("write it as RFC 5952 says, for example [::1]", "%s is not an IPv6 address", show(host))
		}
		return nil
	}
	if host == "" {
		return refuse("write scheme, two slashes and the host", "the address has no host")
	}
	if lower := strings.ToLower(host); lower != host {
		return refuse("write "+shown(lower), "the host %s is in upper case", show(host))
	}
	if strings.HasSuffix(host, ".") {
		return refuse("leave the last dot out", "the host %s ends with a dot", show(host))
	}
	return checkName(host)
}

func checkName(host string) error {
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || len(host) > 253 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return refuse("letters a-z, digits, hyphens and dots make a host", "%s is not a host name", show(host))
		}
	}
	// A name whose last label begins with a digit is read as a number by browsers: 127.1, 0x7f.1, 2130706433.
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		if ip, err := netip.ParseAddr(host); err != nil || ip.String() != host {
			return refuse("write four numbers, for example 127.0.0.1", "%s is not an IPv4 address", show(host))
		}
	}
	return nil
}

// checkPath refuses paths that servers and browsers may read in two ways: dot segments, plain, encoded or with
// parameters (..;/), empty segments, encoded slashes and encoded controls.
func checkPath(text string) error {
	if text == "" || text == "/" {
		return nil
	}
	if strings.ContainsAny(text, "[]") {
		return refuse("percent-encode them", "the path %s holds a bracket", show(text))
	}
	segments := strings.Split(text[1:], "/")
	for i, segment := range segments {
		name, _, _ := strings.Cut(segment, ";")
		if name = strings.ReplaceAll(name, "%2E", "."); name == "." || name == ".." {
			return refuse("write the path that is meant", "the path %s has a dot segment", show(text))
		}
		if segment == "" && i < len(segments)-1 {
			return refuse("write one slash", "the path %s has two slashes in a row", show(text))
		}
		// %25 would be a second layer of encoding, which one reader takes off and the next does not.
		for _, bad := range []string{"%2F", "%5C", "%25", "%0", "%1", "%7F"} {
			if strings.Contains(segment, bad) {
				return refuse("write the path without it", "the path %s holds the encoding %s", show(text), bad)
			}
		}
	}
	return nil
}

// checkOrigin admits an exact web origin: https, or http on a loopback address.
func checkOrigin(text string) error {
	a, err := splitAddress(text)
	if err != nil {
		return err
	}
	if a.origin() != text {
		return refuse("write "+a.origin(), "%s is more than an origin", show(text))
	}
	if a.scheme == "http" && !a.loopback() {
		return refuse("write https://", "%s is not https", show(text))
	}
	return nil
}

// checkHTTPS admits an absolute https address without a query.
func checkHTTPS(text string) error {
	a, err := splitAddress(text)
	switch {
	case err != nil:
		return err
	case a.scheme != "https":
		return refuse("write https://", "%s is not https", show(text))
	}
	return nil
}

// base reads the base address of an API: https, or http on loopback; no query, no slash at its end.
func base(text string) (address, error) {
	a, err := splitAddress(text)
	switch {
	case err != nil:
		return a, err
	case a.scheme == "http" && !a.loopback() && a.host != "localhost":
		return a, refuse("write https://; http is for loopback only", "%s is not https", show(text))
	case a.asked:
		return a, refuse("leave the ? and what follows out", "%s has a query", show(text))
	case strings.HasSuffix(a.path, "/"):
		return a, refuse("leave the last slash out", "%s ends with a slash", show(text))
	}
	return a, nil
}

// bases of a: a itself and everything it stands under, longest first.
func (a address) bases() []string {
	var all []string
	for text := a.origin() + a.path; text != a.scheme+":/"; text = text[:strings.LastIndexByte(text, '/')] {
		all = append(all, text)
		if text == a.origin() {
			break
		}
	}
	return all
}

// queryNames are the names of the parameters in a query, as written.
func queryNames(query string) []string {
	var names []string
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	return slices.Compact(names)
}
