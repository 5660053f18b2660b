package web

import (
	"net/http"
	"strings"

	"golang.org/x/text/language"
)

// Whoever speaks more languages, or names them at greater length, is no browser: so much of Accept-Language is read.
const (
	maxAccept    = 256
	maxLanguages = 10
)

// Languages gives the languages that a request asks for by Accept-Language (RFC 9110 section 12.5.4), best first. Each
// regional form is followed by its language alone. What can't be read asks for none.
func Languages(r *http.Request) []string {
	said := r.Header.Get("Accept-Language")
	if said == "" || len(said) > maxAccept {
		return nil
	}
	tags, _, err := language.ParseAcceptLanguage(said)
	if err != nil {
		return nil
	}
	var all []string
	for _, tag := range tags[:min(len(tags), maxLanguages)] {
		all = append(all, Spread(tag.String())...)
	}
	return all
}

// Spread gives a language, and after a regional form its language alone.
func Spread(tag string) []string {
	if base, _, regional := strings.Cut(tag, "-"); regional {
		return []string{tag, base}
	}
	return []string{tag}
}
