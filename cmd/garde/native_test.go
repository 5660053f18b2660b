package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab/browser"
)

// terminal is one user's command line: the program itself, with the tokens that it keeps, and an xdg-open of ours that
// only notes which address the program wanted to show.
type terminal struct {
	house     *house
	dir, told string
	path      string
}

func newTerminal(t *testing.T, h *house) *terminal {
	t.Helper()
	bin, dir := t.TempDir(), t.TempDir()
	c := &terminal{house: h, dir: dir, told: filepath.Join(dir, "address"), path: bin + string(os.PathListSeparator) + os.Getenv("PATH")}
	script := "#!/bin/sh\nprintf %s \"$1\" >" + c.told + ".new && mv " + c.told + ".new " + c.told + "\n"
	if err := os.WriteFile(filepath.Join(bin, "xdg-open"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return c
}

// result is what one run printed.
type result struct {
	out, messages string
	err           error
}

// start runs garde demo cli.
func (c *terminal) start(t *testing.T, words ...string) <-chan result {
	t.Helper()
	at := net.JoinHostPort("localhost", strconv.Itoa(c.house.port))
	command := exec.CommandContext(t.Context(), c.house.program, append([]string{"demo", "cli", "--at", at, "--dir", c.dir, "--wait", "30s"}, words...)...)
	command.Env = append(os.Environ(), "PATH="+c.path)
	var out, messages bytes.Buffer
	command.Stdout, command.Stderr = &out, &messages
	done := make(chan result, 1)
	go func() {
		err := command.Run()
		done <- result{out.String(), messages.String(), err}
	}()
	return done
}

// asked waits until the program shows an address, and takes it.
func (c *terminal) asked(t *testing.T) string {
	t.Helper()
	for over := time.Now().Add(10 * time.Second); time.Now().Before(over); time.Sleep(10 * time.Millisecond) {
		if address, err := os.ReadFile(c.told); err == nil {
			if err := os.Remove(c.told); err != nil {
				t.Fatal(err)
			}
			return string(address)
		}
	}
	t.Fatal("no browser was opened")
	return ""
}

// visitor is a person whose browser keeps cookies and runs no script: it fills in what stands in the way.
type visitor struct {
	http *http.Client
	name string
	pass string
	seen []string // ids of the buttons that were pressed
}

func newVisitor(t *testing.T, name, password string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{http: &http.Client{Jar: jar, Timeout: 10 * time.Second}, name: name, pass: password}
}

var (
	aForm   = regexp.MustCompile(`(?s)<form\b([^>]*)>(.*?)</form>`)
	anInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	action  = regexp.MustCompile(`\baction="([^"]*)"`)
)

// open follows an address to the end and gives the last page.
func (v *visitor) open(address string) (string, error) {
	answer, err := v.http.Get(address)
	for range 5 {
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			return "", err
		}
		page, where := string(body), answer.Request.URL
		form := aForm.FindStringSubmatch(page)
		if form == nil {
			return page, nil
		}
		fields := url.Values{}
		for _, hidden := range anInput.FindAllStringSubmatch(form[2], -1) {
			fields.Set(hidden[1], html.UnescapeString(hidden[2]))
		}
		switch {
		case strings.Contains(page, `id="login-submit"`):
			v.seen = append(v.seen, "login-submit")
			fields.Set("username", v.name)
			fields.Set("password", v.pass)
		case strings.Contains(page, `id="consent-allow"`):
			v.seen = append(v.seen, "consent-allow")
			fields.Set("decision", "allow")
		default:
			return page, nil
		}
		to := where
		if named := action.FindStringSubmatch(form[1]); named != nil {
			if to, err = where.Parse(html.UnescapeString(named[1])); err != nil {
				return "", err
			}
		}
		answer, err = v.http.PostForm(to.String(), fields)
		if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("still asked after five pages, at %s", answer.Request.URL)
}

// shows tells whether the command line printed a balance.
func shows(out string) bool {
	return strings.Contains(out, "Total") && strings.ContainsAny(out, "0123456789")
}

func TestANativeClientSignsInThroughTheBrowserOnce(t *testing.T) {
	h := demo(t, t.TempDir(), freePorts(t))
	c, person := newTerminal(t, h), newVisitor(t, "alice", h.password("alice"))
	sign := func(pressed string) result {
		t.Helper()
		person.seen = nil
		done := c.start(t)
		page, err := person.open(c.asked(t))
		got := <-done
		if err != nil || got.err != nil || !shows(got.out) {
			t.Fatalf("%v, %v\n%s\n%s\n%s", err, got.err, got.out, got.messages, page)
		}
		if strings.Join(person.seen, " ") != pressed {
			t.Errorf("the person pressed %v, want %s", person.seen, pressed)
		}
		return got
	}
	first := sign("login-submit consent-allow")
	for range 2 {
		if again := <-c.start(t); again.err != nil || again.out != first.out {
			t.Errorf("the second run: %v\n%s\n%s", again.err, again.out, again.messages)
		}
	}
	token := <-c.start(t, "token")
	if token.err != nil || strings.Count(token.out, ".") != 2 {
		t.Errorf("token: %v\n%s", token.err, token.messages)
	}
	if _, err := os.Stat(c.told); err == nil {
		t.Error("the browser was opened although there were tokens")
	}
	if out := <-c.start(t, "sign-out"); out.err != nil {
		t.Errorf("sign-out: %v\n%s", out.err, out.messages)
	}
	// The browser still knows the person, but any program could claim to be this one (RFC 8252 section 8.6).
	if again := sign("consent-allow"); again.out != first.out {
		t.Errorf("another balance:\n%s", again.out)
	}
}

// TestANativeClientOpensTheSystemBrowser is RFC 8252 as a person lives it, with a real Chromium.
func TestANativeClientOpensTheSystemBrowser(t *testing.T) {
	h := demo(t, t.TempDir(), freePorts(t))
	c, page := newTerminal(t, h), browser.New(t, browser.Settings{})
	done := c.start(t)
	page.Open(c.asked(t))
	signIn(page, "bruno", h.password("bruno"))
	page.Click("consent-allow")
	if got := <-done; got.err != nil || !shows(got.out) {
		t.Fatalf("%v\n%s\n%s", got.err, got.out, got.messages)
	}
	look(t, page, "cli-done")
	if where, err := url.Parse(page.Location()); err != nil || where.Hostname() != "127.0.0.1" {
		t.Errorf("the browser was left at %s", page.Location())
	}
	if complaints := page.Complaints(); len(complaints) > 0 {
		t.Errorf("the browser complains: %q", complaints)
	}
}

func TestANativeClientTellsWhyNobodySignedIn(t *testing.T) {
	h := demo(t, t.TempDir(), freePorts(t))
	c, page := newTerminal(t, h), browser.New(t, browser.Settings{})
	done := c.start(t)
	page.Open(c.asked(t))
	signIn(page, "alice", h.password("alice"))
	page.Click("consent-deny")
	if got := <-done; got.err == nil || got.out != "" || !strings.Contains(got.messages, "access_denied") {
		t.Errorf("%v\n%s\n%s", got.err, got.out, got.messages)
	}
	look(t, page, "cli-denied")
	if got := <-c.start(t, "--no-browser", "--wait", "100ms"); got.err == nil || !strings.Contains(got.messages, "/authorize?") {
		t.Errorf("nobody came: %v\n%s", got.err, got.messages)
	}
}
