package shield

import (
	"net/http"
	"strings"
)

// Prefix begins every header by which the Gate speaks to an upstream.
const Prefix = "Garde-"

// Strip takes from a header all that a client must not say to an upstream: names by which the Gate or another proxy tells
// who somebody is, where a request came from or what it was before; the credentials, which are for the Gate alone; and
// every name that a CGI-like upstream would read as another one, because it folds the two (X_User and X-User).
func Strip(header http.Header) {
	for name := range header {
		if reserved(name) {
			delete(header, name)
		}
	}
}

// reserved tells whether a client may not send name to an upstream. It compares without regard to case.
func reserved(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '-' {
			return true // an underscore, or something that no header of an API needs
		}
	}
	if name == "" {
		return true
	}
	for _, rule := range rules[name[0]|0x20] {
		if len(name) == len(rule.name) || rule.family && len(name) > len(rule.name) {
			if strings.EqualFold(name[:len(rule.name)], rule.name) {
				return true
			}
		}
	}
	return false
}

// rule names one header, or all that begin so.
type rule struct {
	name   string
	family bool
}

// rules by the small form of their first letter.
var rules = byLetter([]rule{
	{Prefix, true}, {"Garde", false},
	// Credentials: the token is for the Gate (W34, W46), and a cookie is sent by the browser without being asked.
	{"Authorization", false}, {"Cookie", false}, {"Proxy", true}, {"DPoP", false},
	// Who somebody is, in the words of other proxies and of CGI.
	{"X-User", true}, {"X-Auth", true}, {"X-Remote-", true}, {"Remote-", true}, {"X-Email", false}, {"X-Groups", false},
	{"X-Roles", false}, {"X-Client-Cert", true}, {"X-Client-Dn", false}, {"X-Client-Verify", false}, {"X-Client-Id", false}, {"X-SSL-", true}, {"SSL-", true}, {"X-Tls-", true}, {"X-Amzn-Oidc-", true},
	{"X-Goog-Authenticated-", true}, {"X-Goog-Iap-", true}, {"X-Ms-Client-Principal", true}, {"X-Token-", true},
	{"X-Jwt-", true}, {"X-Consumer-", true}, {"X-Credential-", true}, {"X-Anonymous-Consumer", false}, {"X-Webauth-", true},
	{"Client-Cert", true}, {"X-Envoy-", true}, {"X-Impersonate-", true}, {"Impersonate-", true}, {"X-Access-Token", false},
	{"X-Id-Token", false}, {"X-Scope", false}, {"X-Scopes", false}, {"X-Internal-", true},
	// Where a request came from.
	{"Forwarded", true}, {"X-Forwarded", true}, {"X-Real-", true}, {"X-Client-Ip", false}, {"True-Client-", true}, {"CF-Connecting-", true},
	{"CF-Access-", true}, {"Fastly-Client-", true}, {"Fly-Client-", true}, {"X-Cluster-Client-", true},
	{"X-Original-", true}, {"X-Originating-", true}, {"X-Azure-", true}, {"X-Host", false}, {"X-ProxyUser-", true}, {"Via", false},
	// What it was before, or should become: the Gate has judged the method and path of the request line.
	{"X-HTTP-Method", true}, {"X-Method-Override", false}, {"X-Rewrite-", true}, {"X-Accel-", true}, {"X-Sendfile", true},
	{"X-Original", false}, {"X-Proxy-", true}, {"X-Path-Info", false}, {"Path-Info", false}, {"Script-Name", false},
	{"Early-Data", false},
})

func byLetter(list []rule) map[byte][]rule {
	index := map[byte][]rule{}
	for _, each := range list {
		at := each.name[0] | 0x20
		index[at] = append(index[at], each)
	}
	return index
}

// Answer cleans the header of an upstream's answer. What tells of the machine behind is removed, as is every word that only
// the Gate says. Unless open, the answer belongs to the holder of one token: no shared cache may keep it, whatever the
// upstream says (RFC 9111 section 3.5, W25).
func Answer(header http.Header, open bool) {
	for name := range header {
		if !plainAnswer(name) {
			delete(header, name)
		}
	}
	header["X-Content-Type-Options"] = nosniff
	if !open {
		private(header)
	}
}

// These values are shared by all answers: nobody changes a header value in place.
var (
	nosniff = []string{"nosniff"}
	noStore = []string{"no-store"}
)

func plainAnswer(name string) bool {
	switch name {
	case "Server", "X-Powered-By", "X-Aspnet-Version", "X-Aspnetmvc-Version", "X-Runtime", "Via", "Alt-Svc",
		"X-Accel-Redirect", "X-Sendfile", "X-Backend-Server", "X-Generator", "Public-Key-Pins", "Proxy-Authenticate",
		"Dpop-Nonce": // nonces are the Gate's, as proofs are
		return false
	}
	return len(name) < len(Prefix) || !strings.EqualFold(name[:len(Prefix)], Prefix)
}

// private keeps what the upstream says about caching, less what would let others have the answer.
func private(header http.Header) {
	for name := range header {
		// Caches of a CDN obey headers of their own (RFC 9213).
		if name == "Surrogate-Control" || strings.HasSuffix(name, "Cdn-Cache-Control") {
			delete(header, name)
		}
	}
	said := header["Cache-Control"]
	if len(said) == 0 {
		header["Cache-Control"] = noStore
		return
	}
	if len(said) == 1 && said[0] == "no-store" {
		return
	}
	kept := []string{"private"}
	for _, line := range said {
		for directive := range strings.SplitSeq(line, ",") {
			directive = strings.TrimSpace(directive)
			name, _, _ := strings.Cut(strings.ToLower(directive), "=")
			switch strings.TrimSpace(name) {
			case "", "public", "s-maxage", "private":
			default:
				kept = append(kept, directive)
			}
		}
	}
	header["Cache-Control"] = []string{strings.Join(kept, ", ")}
}
