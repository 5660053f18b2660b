package session

import (
	"net/http"

	"github.com/gardeauth/garde/internal/web"
)

// Languages gives the languages wished for, best first, for texts that the recipe holds: those that the request names,
// else those of the browser. Each regional form is followed by its language alone.
func Languages(r *http.Request, wished []string) []string {
	var all []string
	for _, tag := range wished {
		all = append(all, web.Spread(tag)...)
	}
	return append(all, web.Languages(r)...)
}
