package proxy_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
)

// The references of these figures: a bare ReverseProxy with the same transport, and the same after one verification.
// Client, proxy and upstream share the processor, as in `make bench`.

const small = `{"id":"42","balance":123456,"currency":"EUR"}`

func backend(b *testing.B) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, small)
	}))
	b.Cleanup(server.Close)
	return server
}

type lender struct{ pool sync.Pool }

func (l *lender) Get() []byte {
	if known, ok := l.pool.Get().(*[32 << 10]byte); ok {
		return known[:]
	}
	return make([]byte, 32<<10)
}

func (l *lender) Put(buffer []byte) { l.pool.Put((*[32 << 10]byte)(buffer)) }

func bare(b *testing.B, upstream string) *httputil.ReverseProxy {
	target, err := url.Parse(upstream)
	if err != nil {
		b.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, MaxIdleConnsPerHost: 512, IdleConnTimeout: 90 * time.Second,
			ResponseHeaderTimeout: time.Second, DisableCompression: true, WriteBufferSize: 8 << 10, ReadBufferSize: 8 << 10,
		},
		BufferPool: &lender{},
	}
}

// caller sends requests to one handler, from so many goroutines at once.
type caller struct {
	client *http.Transport
	target *url.URL
	tokens func() string
}

func newCaller(b *testing.B, handler http.Handler, tokens func() string) *caller {
	server := httptest.NewServer(handler)
	b.Cleanup(server.Close)
	c := &caller{client: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}, tokens: tokens}
	b.Cleanup(c.client.CloseIdleConnections)
	var err error
	if c.target, err = url.Parse(server.URL + account); err != nil {
		b.Fatal(err)
	}
	return c
}

func (c *caller) call(b *testing.B) {
	r := &http.Request{Method: "GET", URL: c.target, Host: host, Header: http.Header{"Authorization": {"Bearer " + c.tokens()}}}
	response, err := c.client.RoundTrip(r)
	if err != nil {
		b.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if response.StatusCode != 200 {
		b.Error(response.StatusCode)
	}
}

const (
	connections = 32
	batch       = 640
)

// run sends a batch and tells how long it took, on the clock and on the processor.
func (c *caller) run(b *testing.B) (wall, cpu time.Duration) {
	began, before := time.Now(), processor()
	var wait sync.WaitGroup
	for range connections {
		wait.Go(func() {
			for range batch / connections {
				c.call(b)
			}
		})
	}
	wait.Wait()
	return time.Since(began), processor() - before
}

// compare sends batches to both in turn, so that what else happens on the machine meets both, and reports the median
// share of the bare proxy's speed that the Gate has.
func compare(b *testing.B, bare, gate *caller, between ...func()) {
	var wall, cpu []float64
	for _, each := range between {
		each()
	}
	bare.run(b)
	gate.run(b)
	for b.Loop() {
		bareWall, bareCPU := bare.run(b)
		for _, each := range between {
			each()
		}
		gateWall, gateCPU := gate.run(b)
		wall = append(wall, float64(bareWall)/float64(gateWall))
		cpu = append(cpu, float64(bareCPU)/float64(gateCPU))
	}
	slices.Sort(wall)
	slices.Sort(cpu)
	b.ReportMetric(wall[len(wall)/2], "ratio")
	b.ReportMetric(cpu[len(cpu)/2], "cpu-ratio")
}

// processor is the time that this process has had on it: a figure that neighbours on the machine disturb less.
func processor() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func BenchmarkTokenSeenBefore(b *testing.B) {
	upstream := backend(b)
	s := build(b)
	if err := s.gate.Adopt(bank(upstream.URL)); err != nil {
		b.Fatal(err)
	}
	token := s.token(b, nil)
	same := func() string { return token }
	compare(b, newCaller(b, bare(b, upstream.URL), same), newCaller(b, s.gate, same))
}

func BenchmarkNewTokenEachTime(b *testing.B) {
	upstream := backend(b)
	s := build(b)
	if err := s.gate.Adopt(bank(upstream.URL)); err != nil {
		b.Fatal(err)
	}
	next := bare(b, upstream.URL)
	public := s.signer.Public()
	verified := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := jose.Parse(r.Header.Get("Authorization")[len("Bearer "):])
		if err == nil {
			_, err = public.Verify(token)
		}
		if err != nil {
			w.WriteHeader(401)
			return
		}
		next.ServeHTTP(w, r)
	})
	// Signed between the batches; each token is drawn once by the Gate.
	tokens := make([]string, batch)
	refill := func() {
		for i := range tokens {
			tokens[i] = s.token(b, nil)
		}
	}
	var at atomic.Int64
	draw := func() string { return tokens[int(at.Add(1))%batch] }
	compare(b, newCaller(b, verified, draw), newCaller(b, s.gate, draw), refill)
}
