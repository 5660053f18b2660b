package page

import (
	"html/template"
	"strings"
)

// Embedded tells a person that an application shows them this sign-in in a view of its own, where it could read what they
// type and where no other application's sign-in counts (RFC 8252 section 8.12), and leads out of it.
type Embedded struct {
	Common
	Client  Client
	Address string // https address of the request, to be opened in the browser
	Open    string // what opens the browser from within such a view: an intent: or x-safari-https: address; empty: nothing is known to
	Stay    string // address to go on in the view; empty: that is not offered
}

func (Embedded) name() string { return "embedded" }

// Out is the way into the browser: one of the two addresses that are known to open one, else the plain one.
func (e Embedded) Out() template.URL {
	for _, scheme := range []string{"intent://", "x-safari-https://"} {
		if strings.HasPrefix(e.Open, scheme) {
			return template.URL(e.Open) //nolint:gosec // of a scheme that opens a browser; the caller has encoded the rest
		}
	}
	if strings.HasPrefix(e.Address, "https://") || strings.HasPrefix(e.Address, "http://") {
		return template.URL(e.Address) //nolint:gosec // a web address
	}
	return ""
}
