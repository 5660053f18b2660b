package web_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/web"
)

func TestLanguagesThatARequestAsksFor(t *testing.T) {
	for said, want := range map[string]string{
		"":                           "",
		"fr":                         "fr",
		"en;q=0.3, fr-CA, de;q=0.5":  "fr-CA fr de en",
		"\x00":                       "",
		"not a language":             "",
		strings.Repeat("fr, ", 100):  "",
		strings.Repeat("fr, ", 20):   strings.TrimSpace(strings.Repeat("fr ", 10)),
		strings.Repeat("a-b-c,", 50): "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Language", said)
		if got := strings.Join(web.Languages(r), " "); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}
