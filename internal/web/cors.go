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

// Wrap answers preflights and marks the answers of next.
func (c CORS) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		if !c.Public {
			header.Add("Vary", "Origin")
		}
		origins := r.Header["Origin"]
		preflight := r.Method == http.MethodOptions && len(origins) > 0 && r.Header.Get("Access-Control-Request-Method") != ""
		allowed := len(origins) == 1 && c.allows(r, origins[0])
		if allowed {
			header.Set("Access-Control-Allow-Origin", c.answer(origins[0]))
			header.Set("Access-Control-Expose-Headers", corsExposed)
			// The answer is meant for other origins, which the default of Secured forbids.
			header.Set("Cross-Origin-Resource-Policy", "cross-origin")
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
