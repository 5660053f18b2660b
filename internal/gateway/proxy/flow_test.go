package proxy_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/gateway/proxy"
	"github.com/gardeauth/garde/internal/web"
)

type broken struct{}

func (broken) Fetch(context.Context, string) ([]byte, error) { return nil, errors.New("no route") }

func listed(t testing.TB) web.Proxies {
	t.Helper()
	peers, err := web.ParseProxies([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	return peers
}

func TestNoClientSpeaksInTheNameOfTheGate(t *testing.T) {
	s := build(t)
	token := s.token(t, nil)
	spoofed := []string{"Garde-Subject", "garde-subject", "GARDE-SUBJECT", "Garde_Subject", "garde_Subject", "Garde-Anything", "X-User-Id",
		"X_User_Id", "X-User_ID", "X-Auth-Request-Email", "X-Authenticated-User", "X-Remote-User", "Remote-User", "X-Forwarded-For",
		"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-User", "X-Forwarded-Prefix", "X-Forwarded-Uri", "Forwarded", "X-Real-Ip",
		"X-Original-Uri", "X-Rewrite-Url", "X-Http-Method-Override", "Ssl-Client-Cert", "Cookie", "Proxy-Authorization", "X-Envoy-Internal"}
	for _, target := range []string{account, "/accounts/rates"} {
		header := bearer(token)
		for _, name := range spoofed {
			header[name] = []string{"evil"}
		}
		a := s.do(t, "GET", target, header, nil)
		if a.status != 200 {
			t.Fatal(a)
		}
		for name, values := range a.seen.Header {
			if slices.Contains(values, "evil") || strings.Contains(name, "_") {
				t.Errorf("W13 W14 W17 %s: the upstream sees %s: %s", target, name, values)
			}
		}
		if a.seen.Header.Get("Authorization") != "" {
			t.Error("W34 W46 the token goes on to the upstream")
		}
		if got := a.seen.Header.Get("X-Forwarded-For"); got != "127.0.0.1" {
			t.Errorf("W16 X-Forwarded-For is %q", got)
		}
	}
	if a := s.do(t, "GET", "/accounts/rates", bearer(token), nil); a.seen.Header.Get("Garde-Subject") != "" {
		t.Error("an open operation names somebody who was not verified")
	}
}

func TestW15ConnectionCannotTakeOurHeadersAway(t *testing.T) {
	s := build(t)
	header := bearer(s.token(t, nil))
	header["Connection"] = []string{"close, Garde-Subject, Garde-Scope, X-Forwarded-For"}
	a := s.do(t, "GET", account, header, nil)
	if a.seen.Header.Get("Garde-Subject") != "user-1" || a.seen.Header.Get("X-Forwarded-For") == "" {
		t.Errorf("%d %v", a.status, a.seen.Header)
	}
}

func TestW13NoTrailerSpeaksInTheNameOfTheGate(t *testing.T) {
	s := build(t)
	r, err := http.NewRequest("PUT", s.server.URL+account, io.MultiReader(strings.NewReader("body")))
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = host, bearer(s.token(t, nil))
	r.Trailer = http.Header{"Garde-Subject": {"evil"}}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, _ := io.ReadAll(response.Body)
	if response.StatusCode != 200 || strings.Contains(string(content), "evil") || strings.Contains(string(content), "Trailer:") {
		t.Errorf("%d %s", response.StatusCode, content)
	}
}

func TestW16ListedPeersAreBelieved(t *testing.T) {
	s := build(t, func(c *proxy.Config) { c.Peers = listed(t) })
	header := bearer(s.token(t, map[string]any{"aud": "https://secure.bank.example"}))
	header["Host"] = []string{"secure.bank.example"}
	header["X-Forwarded-For"] = []string{"evil, 203.0.113.9"}
	header["X-Forwarded-Proto"] = []string{"https"}
	a := s.do(t, "GET", "/accounts/42", header, nil)
	if a.status != 200 || a.seen.Header.Get("X-Forwarded-For") != "203.0.113.9" || a.seen.Header.Get("X-Forwarded-Proto") != "https" ||
		a.seen.Header.Get("X-Forwarded-Host") != "secure.bank.example" {
		t.Errorf("%d %s", a.status, a.body)
	}
	header["X-Forwarded-Proto"] = []string{"https", "http"}
	if a := s.do(t, "GET", "/accounts/42", header, nil); a.status != 400 {
		t.Errorf("contradicting headers: %d", a.status)
	}
}

func TestW27AnOfferOfH2CIsIgnored(t *testing.T) {
	s := build(t)
	header := bearer(s.token(t, nil))
	header["Upgrade"], header["Connection"] = []string{"h2c"}, []string{"Upgrade, HTTP2-Settings"}
	header["Http2-Settings"] = []string{"AAMAAABkAAQAoAAAAAIAAAAA"}
	a := s.do(t, "GET", account, header, nil)
	if a.status != 200 || a.seen.Header.Get("Upgrade") != "" || a.seen.Header.Get("Connection") != "" {
		t.Errorf("%d %v", a.status, a.seen.Header)
	}
}

func TestW25AnswersForOneAreKeptFromSharedCaches(t *testing.T) {
	s := build(t)
	token := s.token(t, nil)
	for said, want := range map[string]string{
		"":                                     "no-store",
		"no-store":                             "no-store",
		"public, max-age=60":                   "private, max-age=60",
		"S-MAXAGE=60,no-cache":                 "private, no-cache",
		"private":                              "private",
		"max-age=5, must-revalidate, Public=x": "private, max-age=5, must-revalidate",
	} {
		s.does(func(w http.ResponseWriter, _ *http.Request) {
			if said != "" {
				w.Header().Set("Cache-Control", said)
			}
			w.Header().Set("CDN-Cache-Control", "public")
			w.Header().Set("Server", "old/1.0")
			w.Header().Set("X-Powered-By", "PHP/4")
			w.Header().Set("Garde-Trace", "evil")
			w.Header().Set("Set-Cookie", "a=b")
		})
		a := s.get(t, account, token)
		if a.header.Get("Cache-Control") != want || a.header.Get("Cdn-Cache-Control") != "" {
			t.Errorf("%q becomes %q", said, a.header.Get("Cache-Control"))
		}
		if a.header.Get("Server") != "" || a.header.Get("X-Powered-By") != "" || a.header.Get("Garde-Trace") == "evil" || a.header.Get("Set-Cookie") == "" {
			t.Errorf("the answer has %v", a.header)
		}
	}
	s.does(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "public, max-age=60") })
	if a := s.get(t, "/accounts/rates", ""); a.header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("an open operation: %q", a.header.Get("Cache-Control"))
	}
}

func TestTheUpstreamsTroubleIsItsOwn(t *testing.T) {
	s := build(t)
	token := s.token(t, nil)
	for name, c := range map[string]struct {
		does   http.HandlerFunc
		status int
	}{
		"its own 500":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, 500},
		"its own 401":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, 401},
		"hangs up":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 502},
		"too slow":       {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 504},
		"101 unasked":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(101) }, 502},
		"endless header": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 100<<10)) }, 502},
	} {
		t.Run(name, func(t *testing.T) {
			s.does(c.does)
			a := s.get(t, account, token)
			if a.status != c.status || a.header.Get("Garde-Trace") == "" {
				t.Errorf("%d %v %s", a.status, a.header, a.body)
			}
			if c.status > 500 && strings.Contains(a.body, "127.0.0.1") {
				t.Errorf("the answer tells of the machine behind: %s", a.body)
			}
		})
	}
	t.Run("down", func(t *testing.T) {
		s.upstream.Close()
		if a := s.get(t, account, token); a.status != 502 {
			t.Error(a.status, a.body)
		}
	})
}

func TestW30Bodies(t *testing.T) {
	s := build(t)
	token := s.token(t, nil)
	for name, c := range map[string]struct {
		size    int
		chunked bool
		status  int
	}{
		"exactly the limit":           {1000, false, 200},
		"one more":                    {1001, false, 413},
		"exactly the limit, chunked":  {1000, true, 200},
		"one more, chunked":           {1001, true, 413},
		"a thousand times as chunked": {1_000_000, true, 413},
	} {
		t.Run(name, func(t *testing.T) {
			var body io.Reader = strings.NewReader(strings.Repeat("x", c.size))
			if c.chunked {
				body = io.MultiReader(body)
			}
			a := s.do(t, "PUT", account, bearer(token), body)
			if a.status != c.status || a.status == 200 && len(a.seen.Body) != c.size {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	t.Run("compressed bodies stay as they are", func(t *testing.T) {
		header := bearer(token)
		header["Content-Encoding"] = []string{"gzip"}
		if a := s.do(t, "PUT", account, header, strings.NewReader("\x1f\x8bnothing")); a.status != 200 || a.seen.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%d %s", a.status, a.body)
		}
	})
}

func TestLargeBodiesPassUnchangedBothWays(t *testing.T) {
	s := build(t)
	const size = 32 << 20
	sum := sha256.New()
	s.does(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(sum, r.Body)
		_, _ = io.CopyN(w, rand.Reader, size)
	})
	r, err := http.NewRequest("PUT", s.server.URL+"/large/accounts/1", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = host, bearer(s.token(t, map[string]any{"aud": "http://api.bank.example/large"}))
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	n, err := io.Copy(io.Discard, response.Body)
	if err != nil || n != size || response.StatusCode != 200 {
		t.Errorf("%d bytes, %v, %d", n, err, response.StatusCode)
	}
	want := sha256.New()
	_, _ = io.CopyN(want, zeros{}, size)
	if fmt.Sprintf("%x", sum.Sum(nil)) != fmt.Sprintf("%x", want.Sum(nil)) {
		t.Error("the upload was changed")
	}
}

type zeros struct{}

func (zeros) Read(into []byte) (int, error) { clear(into); return len(into), nil }

func TestEventsArriveWhileTheyHappen(t *testing.T) {
	for method, body := range map[string]string{"GET": "", "PUT": "a question"} {
		t.Run(method, func(t *testing.T) { events(t, method, body) })
	}
}

func events(t *testing.T, method, body string) {
	s := build(t, func(c *proxy.Config) { c.Idle = 200 * time.Millisecond })
	next := make(chan string)
	s.does(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for event := range next {
			_, _ = io.WriteString(w, event)
			_ = http.NewResponseController(w).Flush()
		}
	})
	r, err := http.NewRequest(method, s.server.URL+account, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = host, bearer(s.token(t, nil))
	go func() { next <- "data: 0\n\n" }()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	buffer := make([]byte, 100)
	for i := range 4 {
		if i > 0 {
			// Longer than the idle time: a stream with nothing to say is no slow client.
			time.Sleep(250 * time.Millisecond)
			next <- fmt.Sprintf("data: %d\n\n", i)
		}
		n, err := response.Body.Read(buffer)
		if err != nil || string(buffer[:n]) != fmt.Sprintf("data: %d\n\n", i) {
			t.Fatalf("event %d: %q %v", i, buffer[:n], err)
		}
	}
	close(next)
}

func TestL04AClientThatStopsSendingIsCutOff(t *testing.T) {
	s := build(t, func(c *proxy.Config) { c.Idle = 150 * time.Millisecond })
	stuck, write := io.Pipe()
	defer write.Close()
	go func() { _, _ = io.WriteString(write, "some") }()
	r, err := http.NewRequest("PUT", s.server.URL+account, stuck)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = host, bearer(s.token(t, nil))
	began := time.Now()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		defer response.Body.Close()
		if response.StatusCode != 408 {
			t.Errorf("status %d", response.StatusCode)
		}
	}
	if time.Since(began) > 3*time.Second {
		t.Error("it waited too long")
	}
}

func TestTheUpstreamIsToldWhenTheClientIsGone(t *testing.T) {
	s := build(t)
	began, gone := make(chan bool), make(chan bool)
	s.does(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", s.server.URL+account, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.Header = host, bearer(s.token(t, nil))
	go func() {
		<-began
		cancel()
	}()
	if response, err := http.DefaultTransport.RoundTrip(r); err == nil {
		response.Body.Close()
	}
	select {
	case <-gone:
	case <-time.After(800 * time.Millisecond):
		t.Error("the upstream works on for nobody")
	}
}
