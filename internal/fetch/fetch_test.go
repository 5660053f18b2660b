package fetch_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/fetch"
)

// house is a TLS server on loopback and a fetcher that is allowed to reach it.
type house struct {
	*httptest.Server
	hits atomic.Int32
}

func open(t *testing.T, handler http.HandlerFunc) *house {
	t.Helper()
	h := &house{}
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.hits.Add(1)
		handler(w, r)
	}))
	h.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.StartTLS()
	t.Cleanup(h.Close)
	return h
}

func (h *house) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})
}

func (h *house) host() string { return h.Listener.Addr().String() }

func (h *house) fetcher(t *testing.T) *fetch.Fetcher {
	t.Helper()
	fetcher, err := fetch.New(fetch.Settings{AllowHosts: []string{h.host()}, Authorities: h.authority()})
	if err != nil {
		t.Fatal(err)
	}
	return fetcher
}

func TestADocumentIsFetched(t *testing.T) {
	h := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" || r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Authorization") != "" {
			t.Errorf("sent %v", r.Header)
		}
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = io.WriteString(w, `{"keys":[]}`)
	})
	fetcher := h.fetcher(t)
	for range 2 {
		document, err := fetcher.Document(context.Background(), h.URL+"/jwks")
		if err != nil || string(document.Body) != `{"keys":[]}` || document.ContentType != "application/jwk-set+json" {
			t.Fatalf("%s %s %v", document.Body, document.ContentType, errors.Unwrap(err))
		}
	}
}

// proxy is what the environment of the whole test names as its proxy: net/http reads the environment once.
var proxy *httptest.Server

func TestMain(m *testing.M) {
	proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "proxied") }))
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
		if err := os.Setenv(name, proxy.URL); err != nil {
			panic(err)
		}
	}
	net.DefaultResolver = resolver()
	os.Exit(m.Run())
}

func TestTheProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	fetcher, err := fetch.New(fetch.Settings{AllowHosts: []string{"keys.invalid:80", proxy.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := fetcher.Fetch(context.Background(), "http://keys.invalid/"); err == nil {
		t.Errorf("the proxy answered %q", body)
	}
}

// The next test reaches for a canary on loopback in every spelling; no request may arrive.
func TestG02G05G06G07NothingReachesTheInside(t *testing.T) {
	canary := open(t, func(http.ResponseWriter, *http.Request) {})
	fetcher, err := fetch.New(fetch.Settings{Authorities: canary.authority()})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(canary.host())
	for _, host := range []string{
		"127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]",
		"[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost.", "LOCALHOST", "127.0.0.2",
	} {
		_, err := fetcher.Fetch(context.Background(), "https://"+host+":"+port+"/")
		if err == nil {
			t.Errorf("%s was fetched", host)
			continue
		}
		if err.Error() != "the document could not be fetched" {
			t.Errorf("G09 %s: the error tells more: %v", host, err)
		}
	}
	if canary.hits.Load() != 0 {
		t.Errorf("%d requests arrived", canary.hits.Load())
	}
	if _, err := fetcher.Fetch(context.Background(), canary.URL); !strings.Contains(fmt.Sprint(errors.Unwrap(err)), "not a public one") {
		t.Errorf("the cause does not tell the operator: %v", errors.Unwrap(err))
	}
}

func TestURLsThatAreRefused(t *testing.T) {
	h := open(t, func(http.ResponseWriter, *http.Request) {})
	fetcher := h.fetcher(t)
	for name, target := range map[string]string{
		"http":         "http://example.com/",
		"file":         "file:///etc/passwd",
		"G19 a shell":  "javascript:alert(1)",
		"userinfo":     "https://user:pass@" + h.host() + "/",
		"fragment":     h.URL + "/#x",
		"empty hash":   h.URL + "/#",
		"no host":      "https:///x",
		"opaque":       "https:example.com",
		"relative":     "/x",
		"malformed":    "https://[::1/",
		"a line end":   h.URL + "/\r\nX: y",
		"endless":      h.URL + "/" + strings.Repeat("x", 3000),
		"empty":        "",
		"another port": "http://127.0.0.1:1/",
	} {
		if _, err := fetcher.Fetch(context.Background(), target); err == nil {
			t.Errorf("%s is fetched", name)
		}
	}
	if h.hits.Load() != 0 {
		t.Errorf("%d requests arrived", h.hits.Load())
	}
}

func TestG04G08G09AnswersThatAreRefused(t *testing.T) {
	inside := open(t, func(http.ResponseWriter, *http.Request) {})
	for name, handler := range map[string]http.HandlerFunc{
		"G04 a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, http.StatusFound) },
		"G04 a 307": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
		},
		"not found":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		"no content":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"G09 a fault":         func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "internal banner", 500) },
		"G08 one byte over":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, fetch.MaxBytes+1)) },
		"G08 gzip not asked":  func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") },
		"G08 endless headers": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) },
		"G08 endless body": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, handler)
			fetcher, err := fetch.New(fetch.Settings{AllowHosts: []string{h.host(), inside.host()}, Authorities: append(h.authority(), inside.authority()...)})
			if err != nil {
				t.Fatal(err)
			}
			body, err := fetcher.Fetch(context.Background(), h.URL)
			var ours *fetch.Error
			if !errors.As(err, &ours) || body != nil || strings.Contains(err.Error(), "banner") {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		})
	}
	if inside.hits.Load() != 0 {
		t.Error("G04 the redirect was followed")
	}
	exact := open(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, fetch.MaxBytes)) })
	if body, err := exact.fetcher(t).Fetch(context.Background(), exact.URL); err != nil || len(body) != fetch.MaxBytes {
		t.Errorf("%d bytes, %v", len(body), errors.Unwrap(err))
	}
}

func TestAnUnknownAuthorityIsRefused(t *testing.T) {
	h := open(t, func(http.ResponseWriter, *http.Request) {})
	fetcher, err := fetch.New(fetch.Settings{AllowHosts: []string{h.host()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fetcher.Fetch(context.Background(), h.URL); err == nil || h.hits.Load() != 0 {
		t.Error("a self-signed server was believed")
	}
}

func TestPlainHTTPOnlyToAllowedHosts(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "here") }))
	defer plain.Close()
	allowed, err := fetch.New(fetch.Settings{AllowHosts: []string{plain.Listener.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := allowed.Fetch(context.Background(), plain.URL); err != nil || string(body) != "here" {
		t.Errorf("%s %v", body, errors.Unwrap(err))
	}
	safe, _ := fetch.New(fetch.Settings{})
	if _, err := safe.Fetch(context.Background(), plain.URL); err == nil {
		t.Error("plain http was fetched")
	}
}

func TestG08ASlowServerCostsThreeSecondsAndNobodyElse(t *testing.T) {
	var now, most atomic.Int32
	slow := open(t, func(w http.ResponseWriter, r *http.Request) {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		for range 100 { // a byte at a time
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	quick := open(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") })
	fetcher, err := fetch.New(fetch.Settings{AllowHosts: []string{slow.host(), quick.host()}, Authorities: append(slow.authority(), quick.authority()...)})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var group sync.WaitGroup
	var crowded atomic.Int32
	for range 60 {
		group.Go(func() {
			_, err := fetcher.Fetch(context.Background(), slow.URL)
			if err == nil {
				t.Error("a slow body was waited for")
			} else if strings.Contains(errors.Unwrap(err).Error(), "too many") {
				crowded.Add(1)
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	start := time.Now()
	if _, err := fetcher.Fetch(context.Background(), quick.URL); err != nil || time.Since(start) > time.Second {
		t.Errorf("beside a slow host: %v after %v", errors.Unwrap(err), time.Since(start))
	}
	group.Wait()
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	if most.Load() > 6 { // four, and those that the server has not yet seen leave
		t.Errorf("%d requests at once went to one host", most.Load())
	}
	if crowded.Load() != 60-36 {
		t.Errorf("%d were refused at once, want 24", crowded.Load())
	}
}

func TestBadSettings(t *testing.T) {
	for name, settings := range map[string]fetch.Settings{
		"host without port": {AllowHosts: []string{"keys.example"}},
		"a URL":             {AllowHosts: []string{"https://keys.example"}},
		"no PEM":            {Authorities: []byte("x")},
	} {
		if _, err := fetch.New(settings); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
