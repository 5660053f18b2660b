package cli_test

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// settles STATUS URL VARIABLE asks until the answer has this status, and keeps its trace id.
func settles(ts *testscript.TestScript, _ bool, args []string) {
	last := "nothing"
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		response, err := http.Get(args[1])
		if err != nil {
			continue
		}
		response.Body.Close()
		if last = fmt.Sprint(response.StatusCode); last == args[0] {
			ts.Setenv(args[2], response.Header.Get("Garde-Trace"))
			return
		}
	}
	ts.Fatalf("%s answers %s, want %s", args[1], last, args[0])
}

// person FILE USERNAME PASSWORD is somebody at a browser: waits for the address that a program wants to show, signs in,
// allows what is asked, and follows to the end.
func person(ts *testscript.TestScript, _ bool, args []string) {
	var address []byte
	for deadline := time.Now().Add(20 * time.Second); len(address) == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		address, _ = os.ReadFile(ts.MkAbs(args[0])) // not there yet
	}
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	browser := http.Client{Jar: jar, Timeout: 20 * time.Second}
	response, err := browser.Get(strings.TrimSpace(string(address)))
	for range 5 {
		ts.Check(err)
		body, err := io.ReadAll(response.Body)
		ts.Check(err)
		response.Body.Close()
		action, form := firstForm(string(body))
		if action == "" || strings.HasSuffix(response.Request.URL.Path, "/account") {
			return // the program's own page, or where an invitation leads
		}
		if form.Has("password") {
			form.Set("username", args[1])
			form.Set("password", args[2])
		}
		if form.Has("new_password") {
			form.Set("new_password", args[2])
			form.Set("new_password_again", args[2])
		}
		to, err := response.Request.URL.Parse(action)
		ts.Check(err)
		response, err = browser.PostForm(to.String(), form)
		ts.Check(err)
	}
	ts.Fatalf("the way never ended; now at %s", response.Request.URL.Path)
}

var (
	forms  = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)"[^>]*>(.*?)</form>`)
	fields = regexp.MustCompile(`<(?:input|button)[^>]*>`)
	names  = regexp.MustCompile(` name="([^"]*)"`)
	values = regexp.MustCompile(` value="([^"]*)"`)
)

// firstForm gives where the first form of a page goes, with its fields and its first button.
func firstForm(page string) (action string, form url.Values) {
	found := forms.FindStringSubmatch(page)
	if found == nil {
		return "", nil
	}
	form = url.Values{}
	for _, field := range fields.FindAllString(found[2], -1) {
		if name := names.FindStringSubmatch(field); name != nil && !form.Has(name[1]) {
			form.Set(name[1], "")
			if value := values.FindStringSubmatch(field); value != nil {
				form.Set(name[1], html.UnescapeString(value[1]))
			}
		}
	}
	return html.UnescapeString(found[1]), form
}
