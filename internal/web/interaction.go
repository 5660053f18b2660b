package web

import (
	"net/http"
	"strings"
)

// interaction names one call in the logs of all who took part in it (FAPI 1.0 Baseline section 6.2.1).
const interaction = "X-Fapi-Interaction-Id"

// Interaction repeats in the answer the interaction that a client names, if it is a plain name. It tells whether it did.
func Interaction(w http.ResponseWriter, r *http.Request) bool {
	named := r.Header[interaction]
	if len(named) != 1 || named[0] == "" || len(named[0]) > 64 ||
		strings.Trim(strings.ToLower(named[0]), "abcdefghijklmnopqrstuvwxyz0123456789-._") != "" {
		return false
	}
	w.Header()[interaction] = named
	return true
}

// Interactive repeats the interaction for every answer of next.
func Interactive(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Interaction(w, r)
		next.ServeHTTP(w, r)
	})
}
