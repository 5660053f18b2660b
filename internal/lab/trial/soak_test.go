package trial

import (
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
)

// soak is a house under a mixed load, with what must hold at every moment.
type soak struct {
	h     *house
	t     *testing.T
	until time.Time
	mu    sync.Mutex
	done  map[string]int
	wrong atomic.Int64
}

func (s *soak) did(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done[what]++
}

// broken tells of an invariant that does not hold; a soak that is wrong everywhere says so a few times only.
func (s *soak) broken(format string, args ...any) {
	if s.wrong.Add(1) <= 20 {
		s.t.Errorf(format, args...)
	}
}

// lives runs one kind of caller until the end.
func (s *soak) lives(group *sync.WaitGroup, callers int, turn func(caller int)) {
	for caller := range callers {
		group.Go(func() {
			for time.Now().Before(s.until) {
				turn(caller)
			}
		})
	}
}

// TestSoakTheHouseStaysAsItIs runs as long as GARDE_SOAK says: every door at once, and what is true after a minute must be true after a night.
func TestSoakTheHouseStaysAsItIs(t *testing.T) {
	lasts, err := time.ParseDuration(os.Getenv("GARDE_SOAK"))
	if err != nil {
		t.Skip("runs for as long as GARDE_SOAK says, such as 10m (make soak)")
	}
	linuxOnly(t)
	h := setUp(t, nil)
	h.client = newClient(t, 128)
	h.level = "warn"
	h.serveQuietly()
	s := &soak{h: h, t: t, until: time.Now().Add(lasts), done: map[string]int{}}
	var group sync.WaitGroup
	s.lives(&group, 4, func(int) { s.machine() })
	s.lives(&group, 2, func(int) { s.opaque() })
	visits := make([]*visit, 6)
	for i := range visits {
		visits[i], _ = h.signIn("openid accounts.read offline_access")
	}
	s.lives(&group, 3, func(caller int) { s.person(visits[caller]) })
	s.lives(&group, 2, func(caller int) { s.thieves(visits[3+caller]) })
	s.lives(&group, 1, func(int) { s.forgetful() })
	s.lives(&group, 1, func(int) { s.rubbish() })
	shape := s.watch(&group, lasts)
	group.Wait()
	t.Logf("%v", s.done)
	shape.flat(t)
	for _, what := range []string{"machine", "opaque", "person", "thieves", "forgetful", "rubbish"} {
		if s.done[what] == 0 {
			t.Errorf("%s did nothing", what)
		}
	}
	neverAStack(t, h.server.text()+h.gate.text())
}

// serveQuietly starts both without waiting for words that this level of the log leaves out.
func (h *house) serveQuietly() {
	h.server = launch(h.t, h.command("serve"))
	h.ready(h.health)
	h.gate = launch(h.t, h.command("gate"))
	h.ready(h.gates)
}

func (s *soak) machine() {
	got := s.h.token("ledger.post")
	if got.status != 200 {
		s.broken("/token says %d %s", got.status, got.body)
		return
	}
	for range 3 {
		if reply := s.h.call("POST", "/accounts/entries", got.text("access_token")); reply.status != 200 {
			s.broken("the Gate says %d %s", reply.status, reply.body)
		}
	}
	s.did("machine")
}

// dies holds that the Gate refuses a token for good from a second after now.
func (s *soak) dies(what, path, token string) {
	answered := time.Now()
	for s.h.call("GET", path, token).status != http.StatusUnauthorized {
		if time.Since(answered) > time.Second {
			s.broken("%s: alive a second after it was ended", what)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	for range 2 {
		if got := s.h.call("GET", path, token); got.status != http.StatusUnauthorized {
			s.broken("%s: it rose again: %d", what, got.status)
		}
	}
}

func (s *soak) opaque() {
	token := s.h.token("vault.read").text("access_token")
	if got := s.h.call("GET", "/vault/secrets", token); got.status != 200 {
		s.broken("an opaque token: %d %s", got.status, got.body)
	}
	if got := s.h.as("job", "/revoke", lab.Form("token", token)); got.status != 200 {
		s.broken("/revoke says %d", got.status)
		return
	}
	answered := time.Now()
	s.dies("an opaque token", "/vault/secrets", token)
	// The Gate may hear of it a moment before the caches of the Server do; within the same second both have.
	time.Sleep(time.Until(answered.Add(time.Second)))
	if got := s.h.as("vault-svc", "/introspect", lab.Form("token", token)); strings.Contains(got.body, `"active":true`) {
		s.broken("introspection: alive a second after it was revoked")
	}
	s.did("opaque")
}

// code gets a code with a session that lives.
func (s *soak) code(v *visit) string {
	v.code = ""
	s.h.walk(v, s.h.client, do(s.h.client, request("GET", s.h.issuer+s.h.ask("openid accounts.read offline_access"), "", v.headers()...)))
	if v.code == "" {
		s.broken("no code for a session that lives")
		time.Sleep(time.Second)
	}
	return v.code
}

func (s *soak) person(v *visit) {
	got := s.h.redeem(s.code(v))
	if got.status != 200 {
		s.broken("the code: %d %s", got.status, got.body)
		return
	}
	access, refresh := got.text("access_token"), got.text("refresh_token")
	for range 3 {
		if reply := s.h.call("GET", "/accounts/balance", access); reply.status != 200 {
			s.broken("the Gate: %d %s", reply.status, reply.body)
		}
		next := s.h.as("app", "/token", lab.Form("grant_type", "refresh_token", "refresh_token", refresh))
		if next.status != 200 {
			s.broken("refresh: %d %s", next.status, next.body)
			return
		}
		access = next.text("access_token")
		if rotated := next.text("refresh_token"); rotated != "" {
			refresh = rotated
		}
	}
	if reply := s.h.as("app", "/revoke", lab.Form("token", refresh)); reply.status != 200 {
		s.broken("/revoke: %d", reply.status)
		return
	}
	if reply := s.h.as("app", "/token", lab.Form("grant_type", "refresh_token", "refresh_token", refresh)); reply.status == 200 {
		s.broken("a refresh token lives after it was revoked")
	}
	s.dies("a person's token", "/accounts/balance", access)
	s.did("person")
}

// thieves show one code from four places at once: one wins, and what it got dies of the others.
func (s *soak) thieves(v *visit) {
	code := s.code(v)
	var won []string
	var mu sync.Mutex
	said := lab.Together(4, func(int) string {
		got := s.h.redeem(code)
		if got.status == 200 {
			mu.Lock()
			won = append(won, got.text("access_token"))
			mu.Unlock()
		}
		return strconv.Itoa(got.status)
	})
	if said["200"] != 1 || said["400"] != 3 {
		s.broken("one code, four callers: %v", said)
	}
	for _, token := range won {
		s.dies("what was got with a code shown twice", "/accounts/balance", token)
	}
	s.did("thieves")
}

func (s *soak) forgetful() {
	v, page := s.h.begin(s.h.client, "openid", "")
	if page.status != 200 {
		s.broken("the sign-in page: %d", page.status)
		return
	}
	v.from = fmt.Sprintf("198.18.%d.%d", time.Now().UnixNano()/256%256, time.Now().UnixNano()%256)
	if got := s.h.prove(v, s.h.client, "nobody"+strconv.FormatInt(time.Now().UnixNano(), 10), "a wrong pass phrase"); got.status != 422 && got.status != 503 && got.status != 429 {
		s.broken("a wrong sign-in: %d", got.status)
	}
	s.did("forgetful")
	time.Sleep(50 * time.Millisecond)
}

// rubbish sends what is no request, and hangs up in the middle.
func (s *soak) rubbish() {
	for _, base := range []string{s.h.issuer, s.h.gateURL} {
		for _, words := range []string{"GET / HTTP/1.1\r\n", "\x16\x03\x01\x02\x00\x01\x00", "POST /token HTTP/1.1\r\nHost: " + address(base) + "\r\nContent-Length: 50\r\n\r\ngrant", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"} {
			conn, err := net.Dial("tcp", address(base))
			if err != nil {
				s.broken("%v", err)
				continue
			}
			_, _ = conn.Write([]byte(words))
			_ = conn.Close()
		}
		for _, path := range []string{"/nowhere", "/%00", "/accounts/../vault", "/token", "/signin?flow=fl_x"} {
			if got := do(s.h.client, request("GET", base+path, "", "Authorization", "Bearer x")); got.status >= 500 || got.status == 0 {
				s.broken("%s: %d %s", path, got.status, got.body)
			}
		}
	}
	s.did("rubbish")
	time.Sleep(100 * time.Millisecond)
}

// outline are samples of what a process uses.
type outline struct{ samples []map[string]int }

var goroutines = regexp.MustCompile(`(?m)^go_goroutines (\d+)`)

func (s *soak) watch(group *sync.WaitGroup, lasts time.Duration) *outline {
	o := &outline{}
	group.Go(func() {
		for time.Now().Before(s.until) {
			sample := map[string]int{}
			for name, each := range map[string]struct {
				p      *process
				health string
			}{"Server": {s.h.server, s.h.health}, "Gate": {s.h.gate, s.h.gates}} {
				sample[name+" MiB"], sample[name+" files"] = each.p.resident(), each.p.files()
				if _, text := s.h.get(each.health + "/metrics"); goroutines.MatchString(text) {
					sample[name+" goroutines"], _ = strconv.Atoi(goroutines.FindStringSubmatch(text)[1])
				}
			}
			o.samples = append(o.samples, sample)
			time.Sleep(max(lasts/200, 200*time.Millisecond))
		}
	})
	return o
}

// flat holds that the last quarter is no higher than the second, but for what chance adds.
func (o *outline) flat(t *testing.T) {
	t.Helper()
	if len(o.samples) < 8 {
		t.Fatalf("only %d samples", len(o.samples))
	}
	quarter := len(o.samples) / 4
	median := func(name string, samples []map[string]int) int {
		var values []int
		for _, sample := range samples {
			values = append(values, sample[name])
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	for name := range o.samples[0] {
		early, late := median(name, o.samples[quarter:2*quarter]), median(name, o.samples[3*quarter:])
		t.Logf("%s: %d, then %d", name, early, late)
		chance := 20.0
		if strings.HasSuffix(name, "MiB") {
			chance = 40 // a busy node may hold that much garbage, and fills its caches for a while
		}
		if float64(late) > math.Max(1.25*float64(early), float64(early)+chance) {
			t.Errorf("%s grew from %d to %d", name, early, late)
		}
	}
}
