package browser_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/lab/browser"
)

const form = `<!doctype html><title>Door</title><meta name="viewport" content="width=device-width">
<style>p {color: rgb(0, 0, 1)} @media (prefers-color-scheme: dark) {p {color: rgb(0, 0, 2)}}</style>
<form method="post" action="/in"><label>Name <input id="username" name="username" value="old"></label>
<input type="checkbox" id="stay" name="stay" value="yes"><button id="go">Go</button></form>
<p id="script">off</p><noscript><p id="noscript">no script</p></noscript>
<script>document.getElementById("script").textContent = "on"</script>`

// site is a page with a form, which answers by a redirect to a page that says what it got.
func site(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, form) })
	mux.HandleFunc("POST /in", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "__Host-who", Value: r.PostFormValue("username") + r.PostFormValue("stay"), Path: "/", Secure: true, HttpOnly: true})
		http.Redirect(w, r, "/who", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		w.WriteHeader(http.StatusAccepted)
		who, err := r.Cookie("__Host-who")
		if err != nil {
			who = &http.Cookie{Value: "nobody"}
		}
		fmt.Fprintf(w, `<!doctype html><h1 id="who" lang=%q>%s</h1><script>1</script>`, r.Header.Get("Accept-Language"), who.Value)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

func TestAPersonFillsInAFormAndIsRemembered(t *testing.T) {
	t.Parallel()
	url, page := site(t), browser.New(t, browser.Settings{})
	if status := page.Open(url); status != 200 || page.Title() != "Door" {
		t.Fatalf("got %d, %q", status, page.Title())
	}
	page.Fill("username", "ada")
	page.Tick("stay")
	if status := page.Click("go"); status != 202 {
		t.Errorf("after the form: %d", status)
	}
	if got := page.Text("#who"); got != "adayes" {
		t.Errorf("the page says %q", got)
	}
	if got := page.Location(); got != url+"/who" {
		t.Errorf("at %q", got)
	}
	if got := page.Cookies(); len(got) != 1 || got[0].Name != "__Host-who" || !got[0].HTTPOnly {
		t.Errorf("cookies %v", got)
	}
	if got := strings.Join(page.Complaints(), "\n"); !strings.Contains(got, "Content Security Policy") {
		t.Errorf("the console says %q", got)
	}
	path := filepath.Join(t.TempDir(), "pictures", "who.png")
	page.Screenshot(path)
	if picture, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(picture, []byte("\x89PNG")) {
		t.Errorf("no picture: %v", err)
	}
}

func TestEachTestIsAnotherPerson(t *testing.T) {
	t.Parallel()
	url := site(t)
	first := browser.New(t, browser.Settings{})
	first.Open(url)
	first.Click("go")
	second := browser.New(t, browser.Settings{})
	second.Open(url + "/who")
	if got := second.Text("#who"); got != "nobody" {
		t.Errorf("the second is known as %q", got)
	}
}

func TestSettingsAreWhatThePageSees(t *testing.T) {
	t.Parallel()
	url := site(t)
	colour := `getComputedStyle(document.querySelector("p")).color`
	for name, tt := range map[string]struct {
		settings                       browser.Settings
		script, locale, ground, narrow string
	}{
		"a desk":     {browser.Settings{}, "on", "en", `"rgb(0, 0, 1)"`, "false"},
		"in French":  {browser.Settings{Locale: "fr"}, "on", "fr", `"rgb(0, 0, 1)"`, "false"},
		"at night":   {browser.Settings{Dark: true}, "on", "en", `"rgb(0, 0, 2)"`, "false"},
		"on a phone": {browser.Settings{Phone: true}, "on", "en", `"rgb(0, 0, 1)"`, "true"},
		"scriptless": {browser.Settings{NoScript: true}, "off", "en", `"rgb(0, 0, 1)"`, "false"},
	} {
		t.Run(name, func(t *testing.T) {
			page := browser.New(t, tt.settings)
			page.Open(url)
			if got := page.Text("#script"); got != tt.script {
				t.Errorf("scripts are %s", got)
			}
			if got := page.Has("p#noscript"); got != tt.settings.NoScript {
				t.Errorf("the word to the scriptless is there: %v", got)
			}
			if got := page.Evaluate(colour); got != tt.ground {
				t.Errorf("the colour is %s", got)
			}
			if got := page.Evaluate("innerWidth < 500"); got != tt.narrow {
				t.Errorf("narrow: %s", got)
			}
			page.Fill("username", "bob")
			page.Click("go")
			if got := page.Text("#who"); got != "bob" {
				t.Errorf("the page says %q", got)
			}
			if got := page.Attribute("#who", "lang"); got != tt.locale {
				t.Errorf("the language is %q", got)
			}
		})
	}
}

func TestASelfSignedCertificateIsAcceptedOnRequest(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	defer server.Close()
	page := browser.New(t, browser.Settings{AnyCertificate: true})
	if status := page.Open(server.URL); status != 200 || page.Text("body") != "hello" {
		t.Errorf("got %d", status)
	}
}
