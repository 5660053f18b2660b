package trial

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

// tally is what many callers were answered.
type tally struct {
	mu     sync.Mutex
	status map[int]int
	took   []time.Duration
	bad    []string // answers that should never come
	over   atomic.Bool
	group  sync.WaitGroup
}

// storm lets callers call again and again until stop is called.
func storm(callers int, call func(caller, turn int) reply) *tally {
	s := &tally{status: map[int]int{}}
	for caller := range callers {
		s.group.Go(func() {
			for turn := 0; !s.over.Load(); turn++ {
				got := call(caller, turn)
				s.mu.Lock()
				s.status[got.status]++
				s.took = append(s.took, got.took)
				if got.status == http.StatusServiceUnavailable && got.header.Get("Retry-After") == "" {
					s.bad = append(s.bad, "503 without Retry-After: "+got.body)
				}
				if (got.status == 500 || got.status == 0) && len(s.bad) < 5 {
					s.bad = append(s.bad, fmt.Sprintf("%d: %s", got.status, got.body))
				}
				s.mu.Unlock()
			}
		})
	}
	return s
}

func (s *tally) stop() *tally {
	s.over.Store(true)
	s.group.Wait()
	return s
}

// quantile of the times, such as 0.95.
func (s *tally) quantile(part float64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.took) == 0 {
		return math.MaxInt64
	}
	sorted := slices.Sorted(slices.Values(s.took))
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

func (s *tally) String() string {
	return fmt.Sprintf("%v, half within %s, 95 of 100 within %s", s.status, s.quantile(.5).Round(time.Millisecond), s.quantile(.95).Round(time.Millisecond))
}

// only holds that no other status was answered.
func (s *tally) only(t *testing.T, what string, statuses ...int) {
	t.Helper()
	for status, times := range s.status {
		if !slices.Contains(statuses, status) {
			t.Errorf("%s: %d answers of status %d", what, times, status)
		}
	}
	for _, bad := range s.bad {
		t.Errorf("%s: %s", what, bad)
	}
}

// signers opens sign-in pages, each of a browser of its own.
func (h *house) signers(count int) []*visit {
	h.t.Helper()
	visits := make([]*visit, count)
	for i := range visits {
		v, page := h.begin(h.client, "openid", "")
		if page.status != 200 {
			h.t.Fatalf("no sign-in page: %d", page.status)
		}
		visits[i] = v
	}
	return visits
}

// guess sends a wrong password for a name that nobody tried before, from a network that never came before.
func (h *house) guess(visits []*visit, client *http.Client) func(caller, turn int) reply {
	var count atomic.Int64
	return func(caller, _ int) reply {
		n := count.Add(1)
		v := *visits[caller%len(visits)]
		v.from = fmt.Sprintf("198.%d.%d.%d", 18+n>>16&1, n>>8&255, n&255)
		got := h.prove(&v, client, "nobody"+strconv.FormatInt(n, 10), "a wrong pass phrase")
		if got.status == http.StatusServiceUnavailable {
			time.Sleep(50 * time.Millisecond) // else the test would be busier with its storm than the Server
		}
		return got
	}
}

func TestL06AStormOfSignInsStarvesNobody(t *testing.T) {
	linuxOnly(t)
	h := setUp(t, nil)
	h.serve()
	h.open()
	visits, many := h.signers(20), newClient(t, 400)
	token := h.mustToken("accounts.read")
	tokens := func(int, int) reply { time.Sleep(5 * time.Millisecond); return h.token("ledger.post") }
	calls := func(int, int) reply {
		time.Sleep(5 * time.Millisecond)
		return h.call("GET", "/accounts/balance", token)
	}
	quiet := storm(2, tokens)
	time.Sleep(time.Second)
	quiet.stop()

	guesses := storm(400, h.guess(visits, many))
	time.Sleep(300 * time.Millisecond)
	issued, called := storm(2, tokens), storm(2, calls)
	honest := storm(1, func(int, int) reply {
		time.Sleep(50 * time.Millisecond)
		v := *visits[0]
		v.from = "203.0.113.7"
		return do(h.client, request("GET", h.issuer+h.ask("openid"), "", v.headers()...))
	})
	time.Sleep(2 * time.Second)
	issued.stop()
	called.stop()
	honest.stop()
	guesses.stop()
	over := time.Now()
	t.Logf("quiet: %s", quiet)
	t.Logf("sign-ins: %s; tokens: %s; calls: %s; pages: %s; peak %d MiB", guesses, issued, called, honest, h.server.peak())
	guesses.only(t, "a wrong sign-in", 422, 503)
	issued.only(t, "/token in the storm", 200)
	called.only(t, "the Gate in the storm", 200)
	honest.only(t, "/authorize in the storm", 200, 303)
	// The storm is made by the same processors that serve it, and by whoever else uses them.
	if p95 := issued.quantile(.95); p95 > max(500*time.Millisecond, 6*quiet.quantile(.95)) {
		t.Errorf("/token took %s in the storm", p95)
	}
	if guesses.status[422] == 0 || guesses.status[503] == 0 {
		t.Errorf("the storm was none: %s", guesses)
	}
	if peak := h.server.peak(); peak > 256 {
		t.Errorf("%d MiB: the memory is not bounded", peak)
	}
	within(t, 2*time.Second-time.Since(over), "normal speed again", func() bool {
		return h.token("ledger.post").took < max(4*quiet.quantile(.5), 20*time.Millisecond)
	})
	_, got := h.signIn("openid accounts.read")
	if got.status != 200 {
		t.Errorf("nobody can sign in after the storm: %d %s", got.status, got.body)
	}
}

func TestL05AFloodOfFiveHundredConnectionsIsBounded(t *testing.T) {
	linuxOnly(t)
	h := setUp(t, nil)
	h.serve()
	h.open()
	token := h.mustToken("accounts.read")
	quiet := storm(1, func(int, int) reply { return h.token("ledger.post") })
	time.Sleep(500 * time.Millisecond)
	quiet.stop()
	many := newClient(t, 500)
	form := lab.Form("grant_type", "client_credentials", "scope", "ledger.post").Encode()
	proof := lab.BasicAuth("job", h.secrets["job"])
	visits := h.signers(5)
	guess := h.guess(visits, many)
	flood := storm(500, func(caller, turn int) reply {
		switch {
		case caller < 350:
			return do(many, request("POST", h.issuer+"/token", form, "Content-Type", lab.FormType, "Authorization", proof))
		case caller < 450:
			return do(many, request("GET", h.issuer+h.ask("openid accounts.read"), ""))
		}
		return guess(caller, turn)
	})
	time.Sleep(500 * time.Millisecond)
	called := storm(2, func(int, int) reply {
		time.Sleep(5 * time.Millisecond)
		return h.call("GET", "/accounts/balance", token)
	})
	alive := storm(1, func(int, int) reply {
		time.Sleep(20 * time.Millisecond)
		return do(h.client, request("GET", h.health+"/readyz", ""))
	})
	time.Sleep(2 * time.Second)
	called.stop()
	alive.stop()
	flood.stop()
	over := time.Now()
	t.Logf("flood: %s; calls: %s; readyz: %s; peak %d MiB, Gate %d MiB; quiet: %s", flood, called, alive, h.server.peak(), h.gate.peak(), quiet)
	flood.only(t, "the flood", 200, 303, 422, 429, 503)
	called.only(t, "the Gate in the flood", 200)
	alive.only(t, "readyz in the flood", 200)
	if peak := h.server.peak(); peak > 256 {
		t.Errorf("%d MiB: the memory is not bounded", peak)
	}
	if slow := flood.quantile(.99); slow > 6*time.Second {
		t.Errorf("99 of 100 within %s: nobody may wait for so long", slow)
	}
	within(t, 2*time.Second-time.Since(over), "normal speed again", func() bool {
		return h.token("ledger.post").took < max(4*quiet.quantile(.5), 20*time.Millisecond)
	})
}
