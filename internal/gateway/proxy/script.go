package proxy

import (
	"net/http"
	"strings"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/web"
)

// fapiHeader is what web.Interaction repeats.
const fapiHeader = "X-Fapi-Interaction-Id"

// echo says what an answer says whatever becomes of the call: the interaction that the client names, and, where proofs need
// one, a nonce for the next.
func (c *Call) echo(w http.ResponseWriter) {
	web.Interaction(w, c.In)
	if c.house.nonces {
		w.Header().Set(binding.NonceHeader, c.gate.judge.Nonce())
	}
}

// fromScript lets the scripts of web origins that the recipe names for a client call the APIs and read what the Gate itself
// says: challenges and nonces (RFC 9449 section 8). It tells whether the request was a preflight, which it has answered
// then. The recipe may list OPTIONS as an operation: then the API answers for itself.
func (c *Call) fromScript(w http.ResponseWriter) bool {
	origins := c.In.Header["Origin"]
	if len(origins) != 1 || !c.house.origins[origins[0]] {
		return false
	}
	wanted := c.In.Header.Get("Access-Control-Request-Method")
	preflight := c.In.Method == http.MethodOptions && wanted != ""
	if preflight {
		if _, err := c.house.table.Match(http.MethodOptions, c.In.Host, c.In.RequestURI); err == nil {
			return false
		}
		if _, err := c.house.table.Match(wanted, c.In.Host, c.In.RequestURI); err != nil {
			return false
		}
	}
	web.Share(w.Header(), origins[0])
	if !preflight {
		return false
	}
	web.Permit(w.Header(), wanted, c.In.Header.Get("Access-Control-Request-Headers"))
	w.WriteHeader(http.StatusNoContent)
	return true
}

// share joins what the Gate and the API say to scripts: one voice must name the origin, and it is the API's if it has any.
// The API's answer is added to the headers of the Gate, so what would stand twice is taken away here.
func (c *Call) share(theirs http.Header) {
	ours := c.back.Header()
	if len(ours[fapiHeader]) > 0 {
		delete(theirs, fapiHeader)
	}
	if len(ours["Access-Control-Allow-Origin"]) == 0 {
		return
	}
	if len(theirs["Access-Control-Allow-Origin"]) == 0 {
		return
	}
	exposed := strings.Join(append(theirs["Access-Control-Expose-Headers"], ours["Access-Control-Expose-Headers"]...), ", ")
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Cross-Origin-Resource-Policy"} {
		delete(ours, name)
	}
	theirs["Access-Control-Expose-Headers"] = []string{exposed}
}
