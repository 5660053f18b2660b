package request

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/recipe"
)

// Registered tells whether codes of client may go to uri now: byte for byte, but for the port of a native client's
// loopback address.
func Registered(client iam.Client, uri string) bool {
	return slices.ContainsFunc(client.RedirectURIs, func(registered string) bool {
		return uri == registered || client.Kind == recipe.Native && sameButPort(registered, uri)
	})
}

// sameButPort tells whether uri is the registered loopback URI with another port. It works on the bytes: parsing first
// and comparing parts is how other servers were fooled (R16).
func sameButPort(registered, uri string) bool {
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(registered, host)
		if !ok {
			continue
		}
		asked, ok := strings.CutPrefix(uri, host)
		return ok && afterPort(asked, true) != "" && afterPort(asked, true) == afterPort(rest, false)
	}
	return false
}

// afterPort gives what follows an optional port, "" when the port is no number from 1 to 65535 in its only spelling or
// when no path follows.
func afterPort(rest string, named bool) string {
	path := strings.IndexByte(rest, '/')
	if path < 0 {
		return ""
	}
	port, found := strings.CutPrefix(rest[:path], ":")
	switch {
	case path == 0:
		return rest
	case !found:
		return ""
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || named && strconv.FormatUint(number, 10) != port {
		return ""
	}
	return rest[path:]
}
