package web

import (
	"net/http"
	"strings"
)

// CORS lets scripts of other origins read the answers of an endpoint. Credentials are never allowed: our cookies are for
// our own pages. The zero value allows nobody.
type CORS struct {
	// Allowed tells whether origin, byte for byte as the browser sends it, may read the answer. It is never asked about
	// "null".
	Allowed func(r *http.Request, origin string) bool
	// Public allows every origin, for documents that anybody may read, such as discovery and keys.
	Public  bool
	Methods []string // for preflights; GET and POST need not stand here
}

// corsHeaders are what a browser client sends to an endpoint of ours.
const corsHeaders = "Authorization, Content-Type, DPoP"

// corsExposed are the answers that a script must be able to read: RFC 9449 section 8 and RFC 6750 section 3.
const corsExposed = "DPoP-Nonce, WWW-Authenticate, Retry-After, " + TraceHeader

// Share lets the scripts of an origin read the answer, with what the challenges of OAuth need. Whoever calls it has found
// out that the origin may.
func Share(header http.Header, origin string) {
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers", corsExposed)
	// The answer is meant for other origins, which the default of Secured forbids.
	header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if origin != "*" {
		header.Add("Vary", "Origin")
	}
}

// Permit answers a preflight for one method with the headers that were asked for, as far as they are names of headers: an
// API may take any. Cookies are never among them, because credentials are not allowed.
func Permit(header http.Header, method, asked string) {
	allowed := corsHeaders
	for name := range strings.SplitSeq(asked, ",") {
		name = strings.Trim(name, " ")
		if len(allowed)+len(name) > maxAsked {
			break
		}
		if name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") == "" {
			allowed += ", " + name
		}
	}
	header.Set("Access-Control-Allow-Methods", method)
	header.Set("Access-Control-Allow-Headers", allowed)
	header.Set("Access-Control-Max-Age", "600")
}

// maxAsked bounds the list of headers in an answer to a preflight.
const maxAsked = 1 << 10

// Wrap answers preflights and marks the answers of next.
func (c CORS) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		origins := r.Header["Origin"]
		preflight := r.Method == http.MethodOptions && len(origins) > 0 && r.Header.Get("Access-Control-Request-Method") != ""
		allowed := len(origins) == 1 && c.allows(r, origins[0])
		if !allowed && !c.Public {
			header.Add("Vary", "Origin")
		}
		if allowed {
			Share(header, c.answer(origins[0]))
		}
		if !preflight {
			next.ServeHTTP(w, r)
			return
		}
		if !allowed {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		header.Set("Access-Control-Allow-Methods", strings.Join(append([]string{"GET", "POST"}, c.Methods...), ", "))
		header.Set("Access-Control-Allow-Headers", corsHeaders)
		header.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	})
}

func (c CORS) allows(r *http.Request, origin string) bool {
	if c.Public {
		return true
	}
	return c.Allowed != nil && origin != "" && origin != "null" && c.Allowed(r, origin)
}

func (c CORS) answer(origin string) string {
	if c.Public {
		return "*"
	}
	return origin
}
