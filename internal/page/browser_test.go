package page_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gardeauth/garde/internal/lab/browser"
	"github.com/gardeauth/garde/internal/page"
)

// Every page that there is, in a real browser: whole on the smallest screen, readable in the light and in the dark, named for
// who can't see it, and quiet on the console, which is where a refused style, script or picture would be told.
func TestEveryPageIsFitToBeSeen(t *testing.T) {
	all, drawn := samples(), pages(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if view, ok := all[r.URL.Path[1:]]; ok {
			if err := drawn.Render(w, r, http.StatusOK, view); err != nil {
				t.Error(err)
			}
		}
	}))
	t.Cleanup(server.Close)
	for name, settings := range map[string]browser.Settings{
		"small-light-en": {Phone: true, Narrow: true}, "small-dark-fr": {Phone: true, Narrow: true, Dark: true, Locale: "fr"},
		"phone-dark-en": {Phone: true, Dark: true}, "desk-light-fr": {Locale: "fr"},
	} {
		t.Run(name, func(t *testing.T) {
			settings.NoScript = true // as it comes from us: the hand-over would leave, and nothing needs a script to be read
			p := browser.New(t, settings)
			for _, view := range slices.Sorted(maps.Keys(all)) {
				if _, bare := all[view].(page.CheckSession); bare { // shows nothing
					continue
				}
				p.Open(server.URL + "/" + view)
				for _, fault := range p.Faults() {
					t.Errorf("%s: %s", view, fault)
				}
				if dir := os.Getenv("GARDE_SHOTS"); dir != "" {
					p.Screenshot(filepath.Join(dir, name, view+".png"))
				}
			}
			for _, complaint := range p.Complaints() {
				t.Errorf("the console: %s", complaint)
			}
		})
	}
}
