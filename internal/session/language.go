package session

import (
	"net/http"
	"slices"
	"strings"

	"golang.org/x/text/language"
)

// maxAccept bounds what of Accept-Language is read: whoever speaks more languages is no browser.
const maxAccept = 256

// Languages gives the languages wished for, best first, for texts that the recipe holds: those that the request names,
// else those of the browser. Each regional form is followed by its language alone.
func Languages(r *http.Request, wished []string) []string {
	said := r.Header.Get("Accept-Language")
	if len(said) <= maxAccept {
		if tags, _, err := language.ParseAcceptLanguage(said); err == nil {
			for _, tag := range tags[:min(len(tags), maxLocales)] {
				wished = append(slices.Clip(wished), tag.String())
			}
		}
	}
	var all []string
	for _, tag := range wished {
		all = append(all, tag)
		if base, _, regional := strings.Cut(tag, "-"); regional {
			all = append(all, base)
		}
	}
	return all
}
