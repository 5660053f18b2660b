package register_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/server/register"
	"github.com/gardeauth/garde/recipe"
)

// described puts a document on the outside whose client_id is its own address.
func (h *house) described(path, more string, headers ...string) string {
	h.Helper()
	return h.page(path, "application/json", `{"client_id":"`+h.outside.URL+path+`",`+more+`}`, headers...)
}

const local = `"redirect_uris":["http://127.0.0.1/cb"]`

func TestAClientBehindADocument(t *testing.T) {
	h := newHouse(t)
	id := h.described("/app", `"client_name":"Budget","grant_types":["authorization_code","refresh_token"],"scope":"openid",`+local)
	for range 3 {
		client, err := h.known.Client(t.Context(), id)
		if err != nil || client.ID != id || client.Source != iam.FromDocument || client.Kind != recipe.Native || client.Policy != "pages" ||
			!client.Unverified || client.Name.In("en") != "Budget" || !client.Scope.Has("openid") || client.Auth != "none" {
			t.Fatalf("read %+v, %v", client, err)
		}
	}
	if h.asked("/app") != 1 {
		t.Errorf("read %d times", h.asked("/app"))
	}
	if kept, err := h.tenant.Client(t.Context(), id); err != nil || kept.Source != iam.FromDocument {
		t.Errorf("storage holds %+v, %v", kept, err)
	}
	again := register.NewDocuments(h.tenant, h.tenant, h.rules, h.hosts()) // another node, or this one after a start
	if _, err := again.Client(t.Context(), id); err != nil || h.asked("/app") != 2 {
		t.Errorf("another node: %v, read %d times", err, h.asked("/app"))
	}
	h.must(h.tenant.SetClientDisabled(t.Context(), id, true))
	if client, err := h.known.Client(t.Context(), id); err != nil || !client.Disabled {
		t.Errorf("disabled by an administrator: %v", err)
	}
	if client, err := h.known.Client(t.Context(), "own"); err != nil && !errors.Is(err, iam.ErrNotFound) || client.Policy != "" {
		t.Errorf("clients of storage: %+v, %v", client, err)
	}
}

func TestG16DocumentsThatDescribeNoClient(t *testing.T) {
	h := newHouse(t)
	at := func(path string) string { return h.outside.URL + path }
	own := func(path, more string) string { return h.described(path, more) }
	page := func(path, kind, body string) string { return h.page(path, kind, body) }
	for name, id := range map[string]string{
		"another client_id":              page("/a", "application/json", `{"client_id":"`+at("/b")+`",`+local+`}`),
		"client_id with a slash more":    page("/c", "application/json", `{"client_id":"`+at("/c/")+`",`+local+`}`),
		"no client_id":                   page("/d", "application/json", `{`+local+`}`),
		"a doubled client_id":            page("/e", "application/json", `{"client_id":"x","client_id":"`+at("/e")+`",`+local+`}`),
		"client_id in another case":      page("/f", "application/json", `{"Client_ID":"`+at("/f")+`",`+local+`}`),
		"HTML":                           page("/g", "text/html", `{"client_id":"`+at("/g")+`",`+local+`}`),
		"no JSON":                        page("/h", "application/json", `hello`),
		"too long":                       own("/i", local+`,"x":"`+strings.Repeat("a", 6<<10)+`"`),
		"a redirect URI elsewhere":       own("/j", `"redirect_uris":["https://evil.example/cb"]`),
		"a redirect URI on another port": own("/k", `"redirect_uris":["https://127.0.0.1:1/cb"]`),
		"a secret":                       own("/l", local+`,"client_secret":"x"`),
		"the end of a secret":            own("/m", local+`,"client_secret_expires_at":0`),
		"a method with a shared secret":  own("/n", local+`,"token_endpoint_auth_method":"client_secret_basic"`),
		"... signed":                     own("/o", local+`,"token_endpoint_auth_method":"client_secret_jwt"`),
		"a scope of the company":         own("/p", local+`,"scope":"openid accounts.write"`),
		"a software statement":           own("/q", local+`,"software_statement":"a.b.c"`),
		"no redirect URI":                own("/r", `"client_name":"x"`),
		"nothing there":                  at("/nothing"),
		"G04 a redirect to a good one":   at("/moved"),
		"a query":                        at("/app?x=1"),
		"an empty query":                 at("/app?"),
		"a fragment":                     at("/app#x"),
		"an empty fragment":              at("/app#"),
		"a user name":                    strings.Replace(at("/app"), "https://", "https://me@", 1),
		"no path":                        at(""),
		"a bare slash":                   at("/"),
		"a dot segment":                  at("/a/../app"),
		"an encoded dot segment":         at("/a/%2E%2E/app"),
		"a scheme in upper case":         strings.Replace(at("/app"), "https", "HTTPS", 1),
		"plain http":                     strings.Replace(at("/app"), "https", "http", 1),
		"a host that no policy names":    "https://localhost:1/app",
		"G02 the metadata of the cloud":  "https://169.254.169.254/latest",
		"longer than an id may be":       at("/" + strings.Repeat("a", 600)),
	} {
		t.Run(name, func(t *testing.T) {
			h.pass(time.Minute) // strangers are slowed down, see below
			h.described("/app", local)
			h.mu.Lock()
			h.pages["/moved"] = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/app", http.StatusFound) }
			h.mu.Unlock()
			client, err := h.known.Client(t.Context(), id)
			if !errors.Is(err, iam.ErrNotFound) {
				t.Errorf("%s is a client: %+v, %v", id, client, err)
			}
			if _, err := h.tenant.Client(t.Context(), id); !errors.Is(err, iam.ErrNotFound) {
				t.Error("it is kept")
			}
		})
	}
	for name, id := range map[string]string{
		"a kind of JSON of its own":    page("/ok1", "application/client+json; charset=utf-8", `{"client_id":"`+at("/ok1")+`",`+local+`}`),
		"an address on its own origin": own("/ok2", `"redirect_uris":["`+at("/cb")+`"]`),
		"both kinds of addresses":      own("/ok3", `"redirect_uris":["`+at("/cb")+`","http://127.0.0.1/cb","http://localhost/cb"]`),
		"a key":                        own("/ok4", `"redirect_uris":["`+at("/cb")+`"],"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"`+at("/jwks")+`"`),
		"members that nobody knows":    own("/ok5", local+`,"x":{"y":1}`),
	} {
		t.Run(name, func(t *testing.T) {
			h.pass(time.Minute)
			if _, err := h.known.Client(t.Context(), id); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("a fetcher without exceptions never reaches the inside", func(t *testing.T) {
		before := h.asked("/app")
		fetcher, err := fetch.New(fetch.Settings{})
		h.must(err)
		safe := register.NewDocuments(h.tenant, h.tenant, &register.Rules{Bundle: h.bundle.Load, Fetcher: fetcher, Now: h.now}, h.hosts())
		if _, err := safe.Client(t.Context(), at("/app")); !errors.Is(err, iam.ErrNotFound) || h.asked("/app") != before {
			t.Errorf("reached: %v", err)
		}
	})
}

func TestG16ADocumentThatChanges(t *testing.T) {
	h := newHouse(t)
	id := h.described("/app", local+`,"scope":"openid"`, "Cache-Control", "max-age=600")
	read := func() (iam.Client, error) { return h.known.Client(t.Context(), id) }
	if _, err := read(); err != nil {
		t.Fatal(err)
	}
	h.described("/app", local+`,"scope":"openid accounts.read"`, "Cache-Control", "no-store")
	h.pass(9 * time.Minute)
	if client, err := read(); err != nil || client.Scope.Has("accounts.read") {
		t.Errorf("before its time: %v, %v", client.Scope, err)
	}
	h.pass(2 * time.Minute)
	if client, err := read(); err != nil || !client.Scope.Has("accounts.read") {
		t.Errorf("after its time: %v, %v", client.Scope, err)
	}
	if kept, err := h.tenant.Client(t.Context(), id); err != nil || !kept.Scope.Has("accounts.read") {
		t.Errorf("storage holds %v, %v", kept.Scope, err)
	}
	asked := h.asked("/app")
	h.pass(4 * time.Minute)
	if _, err := read(); err != nil || h.asked("/app") != asked {
		t.Errorf("no-store is kept for five minutes: %v, read %d times", err, h.asked("/app"))
	}
	t.Run("a silent host ends nobody at once", func(t *testing.T) {
		h.mu.Lock()
		h.pages["/app"] = nil
		h.mu.Unlock()
		h.pass(2 * time.Hour)
		if _, err := read(); err != nil {
			t.Error("a client that was read well is gone at once:", err)
		}
		asked := h.asked("/app")
		if _, err := read(); err != nil || h.asked("/app") != asked {
			t.Errorf("the host is asked again and again: %v", err)
		}
		h.pass(30 * time.Hour)
		if _, err := read(); !errors.Is(err, iam.ErrNotFound) {
			t.Errorf("a day later it still stands: %v", err)
		}
	})
	t.Run("one that may not stand any more ends", func(t *testing.T) {
		h.described("/app", local+`,"scope":"openid accounts.read"`)
		h.pass(time.Minute)
		if _, err := read(); err != nil {
			t.Fatal(err)
		}
		h.described("/app", local+`,"scope":"accounts.write"`)
		h.pass(2 * time.Hour)
		for range 2 {
			if _, err := read(); !errors.Is(err, iam.ErrNotFound) {
				t.Errorf("it stands: %v", err)
			}
		}
	})
	t.Run("the policy gives less", func(t *testing.T) {
		h.described("/app", local+`,"scope":"openid accounts.read"`)
		h.pass(time.Minute)
		if _, err := read(); err != nil {
			t.Fatal(err)
		}
		h.obey(strings.Replace(rules, "browser]\n    scopes: [openid, accounts.read]", "browser]\n    scopes: [openid]", 1))
		if client, err := read(); err != nil || client.Scope.Has("accounts.read") {
			t.Errorf("the client has %v, %v", client.Scope, err)
		}
		h.obey(strings.Replace(rules, "client_id_hosts: [127.0.0.1]", "client_id_hosts: [elsewhere.example]", 1))
		if _, err := read(); !errors.Is(err, iam.ErrNotFound) {
			t.Errorf("its host is no longer believed: %v", err)
		}
	})
}

func TestDocumentsAreReadOnceAndByFew(t *testing.T) {
	h := newHouse(t)
	release := make(chan struct{})
	h.mu.Lock()
	h.pages["/slow"] = func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"client_id":"`+h.outside.URL+`/slow",`+local+`}`)
	}
	h.mu.Unlock()
	good := h.described("/good", local)
	if _, err := h.known.Client(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var read, sent atomic.Int32
	for range 40 {
		all.Go(func() {
			switch _, err := h.known.Client(t.Context(), h.outside.URL+"/slow"); {
			case err == nil:
				read.Add(1)
			case strings.Contains(fmt.Sprint(err), "try again"):
				sent.Add(1)
			}
		})
	}
	for begun := time.Now(); sent.Load() < 32 && time.Since(begun) < 2*time.Second; {
		time.Sleep(time.Millisecond)
	}
	begun := time.Now()
	if _, err := h.known.Client(t.Context(), good); err != nil || time.Since(begun) > time.Second {
		t.Errorf("another client waited %v: %v", time.Since(begun), err)
	}
	close(release)
	if all.Wait(); read.Load() != 8 || sent.Load() != 32 || h.asked("/slow") != 1 {
		t.Errorf("%d were answered, %d sent away, the host was asked %d times", read.Load(), sent.Load(), h.asked("/slow"))
	}
	t.Run("what is not there is not asked for again at once", func(t *testing.T) {
		for range 20 {
			if _, err := h.known.Client(t.Context(), h.outside.URL+"/none"); !errors.Is(err, iam.ErrNotFound) {
				t.Error(err)
			}
		}
		if h.asked("/none") != 1 {
			t.Errorf("asked %d times", h.asked("/none"))
		}
		h.described("/none", local)
		h.pass(11 * time.Second)
		if _, err := h.known.Client(t.Context(), h.outside.URL+"/none"); err != nil {
			t.Error("draft section 6.4: an error is not kept:", err)
		}
	})
	t.Run("strangers can't make us ask one host for ever", func(t *testing.T) {
		asked := 0
		for i := range 100 {
			path := fmt.Sprintf("/guess/%d", i)
			_, _ = h.known.Client(t.Context(), h.outside.URL+path)
			asked += h.asked(path)
		}
		if asked > 25 {
			t.Errorf("%d guesses were fetched", asked)
		}
	})
}

func TestX14ADocumentKeepsItsSectorAndItsKind(t *testing.T) {
	h := newHouse(t)
	id := h.described("/app", local+`,"subject_type":"pairwise"`, "Cache-Control", "no-store")
	read := func() (iam.Client, error) { return h.known.Client(t.Context(), id) }
	if client, err := read(); err != nil || !client.Pairwise() || client.Kind != recipe.Native {
		t.Fatalf("%+v, %v", client, err)
	}
	for name, change := range map[string]string{
		"no sector any more": local, "another kind": `"redirect_uris":["` + h.outside.URL + `/cb"],"subject_type":"pairwise"`,
	} {
		h.pass(10 * time.Minute)
		h.described("/app", change, "Cache-Control", "no-store")
		if client, err := read(); !errors.Is(err, iam.ErrNotFound) {
			t.Errorf("%s: %+v, %v", name, client, err)
		}
	}
	h.pass(10 * time.Minute)
	h.described("/app", local+`,"subject_type":"pairwise"`, "Cache-Control", "no-store")
	if client, err := read(); err != nil || !client.Pairwise() {
		t.Errorf("as it was again: %+v, %v", client, err)
	}
}
