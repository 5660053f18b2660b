package lab_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/gardeauth/garde/internal/lab"
)

const (
	resetStreams     = 20_000 // of one connection
	resetConnections = 4
)

// TestL04RapidReset: whoever opens HTTP/2 streams and resets them at once, as many as he can, takes neither memory nor
// goroutines for good, and keeps nobody else out.
func TestL04RapidReset(t *testing.T) {
	h := lab.New(t, lab.Options{Gate: true, TLS: true})
	token := h.Credentials(lab.Job, "scope", "accounts.read").Text("access_token")
	for name, door := range map[string]struct {
		address, path string
		headers       map[string]string
		honest        func() lab.Reply
		idle          int // connections to the upstream that it may keep
	}{
		"the Server": {h.Issuer, "/.well-known/openid-configuration", nil, func() lab.Reply { return h.Credentials(lab.Job, "scope", "ledger.post") }, 0},
		"the Gate": {h.GateURL, "/accounts/rates", map[string]string{"authorization": "Bearer " + token},
			func() lab.Reply { return h.Call("GET", "/accounts/rates", token) }, 512},
	} {
		t.Run(name, func(t *testing.T) {
			if reply := door.honest(); reply.Status != http.StatusOK {
				t.Fatalf("%d %s", reply.Status, reply.Body)
			}
			goroutines, memory := calmState()
			var most, slowest atomic.Int64
			var floods, watch sync.WaitGroup
			ended := make(chan struct{})
			watch.Go(func() {
				for {
					select {
					case <-ended:
						return
					case <-time.After(time.Millisecond):
						most.Store(max(most.Load(), int64(runtime.NumGoroutine())))
					}
				}
			})
			watch.Go(func() {
				for {
					begun := time.Now()
					if reply := door.honest(); reply.Status != http.StatusOK {
						t.Errorf("meanwhile another is told %d %s", reply.Status, reply.Body)
					}
					slowest.Store(max(slowest.Load(), int64(time.Since(begun))))
					select {
					case <-ended:
						return
					case <-time.After(5 * time.Millisecond):
					}
				}
			})
			var sent atomic.Int64
			for range resetConnections {
				floods.Go(func() { sent.Add(int64(resetAtOnce(t, h, door.address, door.path, door.headers))) })
			}
			floods.Wait()
			close(ended)
			watch.Wait()
			t.Logf("%d streams were reset; at most %d goroutines (%d before), the slowest honest request took %s",
				sent.Load(), most.Load(), goroutines, time.Duration(slowest.Load()))
			if bound := int64(goroutines + resetConnections*300 + 200); most.Load() > bound {
				t.Errorf("%d goroutines at once, want at most %d", most.Load(), bound)
			}
			if time.Duration(slowest.Load()) > 5*time.Second {
				t.Errorf("an honest request took %s", time.Duration(slowest.Load()))
			}
			for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
				nowGoroutines, nowMemory := calmState()
				// What the lab itself remembers of its log does not count, nor do connections that wait for the next call upstream.
				log := uint64(2 * len(h.Log.String()))
				if nowGoroutines <= goroutines+50+door.idle*3 && nowMemory < memory+24<<20+log {
					break
				}
				if time.Since(begun) > 10*time.Second {
					t.Fatalf("%d goroutines and %d KiB stay (before: %d and %d)", nowGoroutines, nowMemory>>10, goroutines, memory>>10)
				}
			}
		})
	}
}

// calmState gives how many goroutines there are, and how many bytes live.
func calmState() (goroutines int, memory uint64) {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return runtime.NumGoroutine(), stats.HeapAlloc
}

// resetAtOnce opens streams of one connection and resets each in the same breath, until it is cut off or has done enough.
func resetAtOnce(t *testing.T, h *lab.House, address, path string, headers map[string]string) int {
	to, err := url.Parse(address)
	if err != nil {
		t.Error(err)
		return 0
	}
	conn, err := tls.Dial("tcp", to.Host, &tls.Config{RootCAs: h.Authority.Pool(), NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13})
	if err != nil {
		t.Error(err)
		return 0
	}
	out := bufio.NewWriterSize(conn, 64<<10)
	framer := http2.NewFramer(out, conn)
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			if _, err := framer.ReadFrame(); err != nil {
				return
			}
		}
	})
	defer reading.Wait()
	defer conn.Close()
	if _, err := out.WriteString(http2.ClientPreface); err != nil {
		return 0
	}
	if err := framer.WriteSettings(); err != nil {
		return 0
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := range resetStreams {
		block.Reset()
		fields := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", to.Host}, {":path", path}}
		for name, value := range headers {
			fields = append(fields, [2]string{name, value})
		}
		for _, field := range fields {
			if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}); err != nil {
				return i
			}
		}
		stream := uint32(2*i + 1)
		if framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}) != nil ||
			framer.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
			return i
		}
	}
	_ = out.Flush() // it may have been cut off
	return resetStreams
}
