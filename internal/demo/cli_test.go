package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/demo"
	"github.com/gardeauth/garde/internal/demo/local"
)

// neighbours puts the fake Server and Gate on ports that the command line finds: one after the other.
func neighbours(t *testing.T) (*garde, string) {
	t.Helper()
	g := newGarde(t)
	for range 20 {
		first := loopback(t)
		site, err := demo.At(first.Addr().String())
		if err != nil {
			first.Close()
			continue
		}
		second, err := local.Listen(site.GateListen, "")
		if err != nil {
			first.Close()
			continue
		}
		server, gate := &http.Server{Handler: g.server.Config.Handler}, &http.Server{Handler: g.gate.Config.Handler}
		go server.Serve(first)
		go gate.Serve(second)
		t.Cleanup(func() { server.Close(); gate.Close() })
		g.site.Issuer, g.site.Gate = site.Issuer, site.Gate
		return g, site.IssuerListen
	}
	t.Fatal("no two ports side by side")
	return nil, ""
}

// visit is a browser that follows the address to the end.
func visit(pages *[]string, mu *sync.Mutex) func(string) error {
	return func(address string) error {
		go func() {
			response, err := http.Get(address)
			if err != nil {
				return
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			mu.Lock()
			defer mu.Unlock()
			*pages = append(*pages, string(body))
		}()
		return nil
	}
}

func TestTheCommandLineSignsInOnce(t *testing.T) {
	g, at := neighbours(t)
	dir := t.TempDir()
	var mu sync.Mutex
	var pages []string
	run := func(open func(string) error, args ...string) (string, string, error) {
		var stdout, stderr bytes.Buffer
		ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		err := demo.CLI(ctx, append([]string{"--at", at, "--dir", dir}, args...), &stdout, &stderr, open)
		return stdout.String(), stderr.String(), err
	}
	never := func(string) error { t.Error("the browser was opened again"); return nil }

	out, messages, err := run(visit(&pages, &mu))
	if err != nil || !strings.Contains(out, "Everyday") || !strings.Contains(out, "Total") || !strings.Contains(messages, "/authorize?") {
		t.Fatalf("%v\n%s\n%s", err, out, messages)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines {
		if len([]rune(line)) != len([]rune(lines[0])) {
			t.Errorf("not aligned:\n%s", out)
		}
	}
	asked := g.asked[0]
	redirect, err := url.Parse(asked.Get("redirect_uri"))
	if err != nil || redirect.Hostname() != "127.0.0.1" || redirect.Path != "/callback" || asked.Get("code_challenge_method") != "S256" || asked.Get("prompt") != "consent" {
		t.Errorf("asked: %v", asked)
	}
	file, err := filepath.Glob(dir + "/tokens-*.json")
	if err != nil || len(file) != 1 {
		t.Fatalf("kept: %v, %v", file, err)
	}
	if info, err := os.Stat(file[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the tokens: %v", err)
	}

	if again, _, err := run(never); err != nil || again != out {
		t.Errorf("the second run: %v\n%s", err, again)
	}
	if text, _, err := run(never, "--json"); err != nil || !json.Valid([]byte(text)) {
		t.Errorf("--json: %v\n%s", err, text)
	}
	token, _, err := run(never, "token")
	if err != nil || strings.Count(token, ".") != 2 {
		t.Errorf("token: %v\n%s", err, token)
	}
	for _, form := range g.exchanged {
		if form.Has("client_secret") || form.Has("client_assertion") {
			t.Error("a native client has no proof of its own")
		}
	}

	t.Run("a token that has run out is renewed, and the refresh token rotates", func(t *testing.T) {
		text, _ := os.ReadFile(file[0])
		var kept map[string]any
		json.Unmarshal(text, &kept)
		before := kept["refresh_token"]
		kept["expires"] = time.Now().Add(-time.Minute)
		text, _ = json.Marshal(kept)
		os.WriteFile(file[0], text, 0o600)
		if again, _, err := run(never, "balance"); err != nil || again != out {
			t.Errorf("%v\n%s", err, again)
		}
		text, _ = os.ReadFile(file[0])
		json.Unmarshal(text, &kept)
		if kept["refresh_token"] == before {
			t.Error("the spent refresh token was kept")
		}
	})
	t.Run("a file that others may read is refused", func(t *testing.T) {
		os.Chmod(file[0], 0o644)
		defer os.Chmod(file[0], 0o600)
		if _, _, err := run(never); err == nil {
			t.Error("it was taken")
		}
	})
	t.Run("sign-out tells the Server and forgets", func(t *testing.T) {
		if _, _, err := run(never, "sign-out"); err != nil || len(g.refresh) != 0 {
			t.Errorf("%v, %d refresh tokens live", err, len(g.refresh))
		}
		if _, err := os.Stat(file[0]); !errors.Is(err, os.ErrNotExist) {
			t.Error("the tokens are still there")
		}
	})
	if out, _, err := run(visit(&pages, &mu), "--json"); err != nil || !json.Valid([]byte(out)) {
		t.Errorf("after sign-out: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(pages) == 0 || !strings.Contains(pages[0], "You can close this window") {
		t.Errorf("the browser was told %q", pages)
	}
}

func TestTheCommandLineTakesOnlyItsOwnAnswer(t *testing.T) {
	g, at := neighbours(t)
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	foreign := make(chan int, 4)
	open := func(address string) error {
		u, _ := url.Parse(address)
		back := u.Query().Get("redirect_uri")
		for _, query := range []string{"?code=stolen&state=guess", "?error=access_denied&state=", "", "?code=a&state=x&state=y"} {
			response, err := http.Get(back + query)
			if err != nil {
				return err
			}
			response.Body.Close()
			foreign <- response.StatusCode
		}
		var mu sync.Mutex
		var pages []string
		return visit(&pages, &mu)(address)
	}
	if err := demo.CLI(context.Background(), []string{"--at", at, "--dir", dir}, &stdout, &stderr, open); err != nil {
		t.Fatalf("a stranger's answer ended the sign-in: %v", err)
	}
	for range 4 {
		if status := <-foreign; status != 400 {
			t.Errorf("K01 a stranger was answered %d", status)
		}
	}
	if len(g.exchanged) != 1 {
		t.Errorf("K01 %d codes were tried", len(g.exchanged))
	}
}

func TestTheCommandLineRefusesBadAnswers(t *testing.T) {
	for name, twist := range map[string]func(*garde){
		"K05 another issuer": func(g *garde) { g.twistAnswer = func(v url.Values) { v.Set("iss", "https://evil.example") } },
		"K06 another nonce":  func(g *garde) { g.twistID = func(_, c map[string]any) { c["nonce"] = "x" } },
		"the person said no": func(g *garde) {
			g.twistAnswer = func(v url.Values) { v.Del("code"); v.Set("error", "access_denied") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, at := neighbours(t)
			twist(g)
			dir := t.TempDir()
			var mu sync.Mutex
			var pages []string
			err := demo.CLI(context.Background(), []string{"--at", at, "--dir", dir}, io.Discard, io.Discard, visit(&pages, &mu))
			if err == nil {
				t.Error("it was taken")
			}
			if kept, _ := filepath.Glob(dir + "/*"); len(kept) != 0 {
				t.Errorf("kept: %v", kept)
			}
		})
	}
}

func TestTheCommandLineWaitsNoLongerThanSaid(t *testing.T) {
	_, at := neighbours(t)
	var stderr bytes.Buffer
	err := demo.CLI(context.Background(), []string{"--at", at, "--dir", t.TempDir(), "--no-browser", "--wait", "50ms"}, io.Discard, &stderr,
		func(string) error { t.Error("the browser was opened"); return nil })
	if err == nil || !strings.Contains(err.Error(), "nobody signed in") || !strings.Contains(stderr.String(), "/authorize?") {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}

func TestTheCommandLineExplainsItself(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown word": {"withdraw"}, "an unknown flag": {"--fast"}, "a foreign host": {"--at", "example.com:7777"}, "two words": {"token", "balance"},
	} {
		var stderr bytes.Buffer
		if err := demo.CLI(context.Background(), append(args, "--dir", t.TempDir()), io.Discard, &stderr, nil); !errors.Is(err, demo.ErrUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := demo.CLI(context.Background(), []string{"--help"}, io.Discard, io.Discard, nil); err != nil {
		t.Errorf("--help: %v", err)
	}
	free := loopback(t)
	at := free.Addr().String()
	free.Close()
	if err := demo.CLI(context.Background(), []string{"--at", at, "--dir", t.TempDir()}, io.Discard, io.Discard, nil); err == nil || !strings.Contains(err.Error(), "is garde demo running") {
		t.Errorf("nobody there: %v", err)
	}
}
