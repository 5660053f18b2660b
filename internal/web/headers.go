package web

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// hsts tells browsers to use nothing but https for two years (RFC 6797 section 6.1). It does not speak for subdomains:
// those are the company's, not ours.
const hsts = "max-age=63072000"

// bare is the policy of an answer that is no page: nothing loads, nothing frames it, nothing is sent from it.
const bare = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Secured sets the headers that every answer of the Server carries; a page then replaces the content security policy by
// its own (see CSP). secure says that the public URL is https.
func Secured(secure bool, next http.Handler) http.Handler {
	// The same slices serve every answer: nobody writes into a header's values, they are replaced or appended to, and
	// appending copies because there is no room behind them.
	always := http.Header{
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
		"Referrer-Policy":              {"no-referrer"},
		"Content-Security-Policy":      {bare},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
	}
	if secure {
		always["Strict-Transport-Security"] = []string{hsts}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), always)
		next.ServeHTTP(w, r)
	})
}

// Shared by all answers, like what Secured sets.
var noStore, noCache = []string{"no-store"}, []string{"no-cache"}

// NoStore keeps an answer out of every cache; whatever carries a secret has it (RFC 6749 section 5.1).
func NoStore(w http.ResponseWriter) {
	header := w.Header()
	header["Cache-Control"], header["Pragma"] = noStore, noCache
}

// Nonce gives a fresh nonce of 128 bits for one page.
func Nonce() string { return rand.Text() }

// CSP is the content security policy of one page. The zero value allows the page's own style sheets and images, forms to
// itself, and no script at all. No page may ever be framed.
type CSP struct {
	Nonce      string   // scripts and inline styles that bear it run; from Nonce, fresh for each page
	FormAction []string // where a form may lead besides the page itself; each from FormTarget
	Images     []string // origins of images besides our own; each from FormTarget
}

// Set puts the policy on the answer.
func (c CSP) Set(w http.ResponseWriter) { w.Header().Set("Content-Security-Policy", c.String()) }

// String gives the header's value.
func (c CSP) String() string {
	script, style := "'none'", "'self'"
	if c.Nonce != "" {
		script = "'nonce-" + c.Nonce + "'"
		style += " " + script
	}
	return "default-src 'none'; script-src " + script + "; style-src " + style +
		"; img-src " + strings.Join(append([]string{"'self'"}, c.Images...), " ") +
		"; font-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action " +
		strings.Join(append([]string{"'self'"}, c.FormAction...), " ")
}

// FormTarget gives the source expression that lets a form of ours lead to uri, a redirect URI that has been validated:
// its origin, or its scheme alone where it is a private one (RFC 8252 section 7.1). A uri that could break out of the
// policy is an error.
func FormTarget(uri string) (string, error) {
	parsed, err := url.Parse(uri)
	if err != nil || parsed.Scheme == "" {
		return "", fmt.Errorf("the form's target is not an absolute URI")
	}
	if parsed.Scheme != "http" && parsed.Scheme != "https" {
		return parsed.Scheme + ":", nil // url.Parse lets only letters, digits, + - . into a scheme
	}
	if parsed.Host == "" || parsed.User != nil {
		return "", fmt.Errorf("the form's target has no plain host")
	}
	for _, c := range []byte(parsed.Host) {
		if !hostByte(c) {
			return "", fmt.Errorf("the form's target has a host that is not plain ASCII")
		}
	}
	return parsed.Scheme + "://" + parsed.Host, nil
}

func hostByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._:[]", c) >= 0
}

// Hosts answers 421 to every request whose Host is not one of ours, so that no answer, link or log can be built from a
// name that the caller chose (RFC 9110 section 15.5.20). A name without a port stands for the default port.
type Hosts struct {
	names map[string]bool
	face  Face
}

// NewHosts takes names such as "id.example.com" or "localhost:9000".
func NewHosts(face Face, names ...string) (Hosts, error) {
	hosts := Hosts{names: map[string]bool{}, face: face}
	for _, name := range names {
		plain, ok := canonicalHost(name)
		if !ok {
			return Hosts{}, fmt.Errorf("%q is not a host name", name)
		}
		hosts.names[plain] = true
	}
	return hosts, nil
}

// Has tells whether host, as a request names it, is one of them.
func (h Hosts) Has(host string) bool {
	name, ok := canonicalHost(host)
	return ok && h.names[name]
}

// Guard lets only requests to our own names through.
func (h Hosts) Guard(next http.Handler) http.Handler {
	return h.face.Handle(func(w http.ResponseWriter, r *http.Request) error {
		name, ok := canonicalHost(r.Host)
		if !ok || !h.names[name] {
			return misdirected("this server does not answer for that host")
		}
		// A request inside a connection that was opened for another name may have skipped that name's checks.
		if r.TLS != nil && r.TLS.ServerName != "" && !strings.EqualFold(r.TLS.ServerName, hostName(name)) {
			return misdirected("the connection was opened for another host")
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// canonicalHost gives host in lower case without a default port. What is not a plain host name or address is not ok.
func canonicalHost(host string) (string, bool) {
	if host == "" || len(host) > 260 {
		return "", false
	}
	for _, c := range []byte(host) {
		if !hostByte(c) {
			return "", false
		}
	}
	host = strings.ToLower(host) // ASCII only, by the loop above
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, ""
	}
	name = strings.Trim(name, "[]")
	if name == "" || strings.HasSuffix(name, ".") {
		return "", false
	}
	if address, err := netip.ParseAddr(name); err == nil && address.Is6() {
		name = "[" + address.String() + "]"
	} else if strings.ContainsAny(name, ":[]") {
		return "", false
	}
	if port == "" || port == "443" || port == "80" {
		return name, true
	}
	return name + ":" + port, true
}

// hostName gives a canonical host without its port and brackets.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}
