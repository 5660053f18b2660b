package oauth

import (
	"net/url"
	"strings"
)

// TokenInQuery tells whether the query of a URL, as it was sent, holds an access token (RFC 6750 section 2.3): no place for
// one, since URLs end up in logs and in other sites' Referer (section 5.3, RFC 9700 section 4.3.2), and a second one beside
// that of the header is one too many (section 2). It reads the query as the most generous reader would.
func TokenInQuery(raw string) bool {
	for rest := raw; rest != ""; {
		name := rest
		if end := strings.IndexAny(rest, "&;"); end >= 0 {
			name, rest = rest[:end], rest[end+1:]
		} else {
			rest = ""
		}
		if equals := strings.IndexByte(name, '='); equals >= 0 {
			name = name[:equals]
		}
		if strings.ContainsAny(name, "%+") {
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
		}
		if strings.EqualFold(strings.TrimSpace(name), "access_token") {
			return true
		}
	}
	return false
}
