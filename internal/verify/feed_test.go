package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/verify"
)

// server speaks the feed: script says what it writes on each connection, and the connection ends with it.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // "after" and credential of each connection
}

type connection struct {
	http.ResponseWriter
	*http.Request
	number int
}

func (c connection) say(lines ...string) {
	for _, line := range lines {
		fmt.Fprintln(c.ResponseWriter, line)
	}
	_ = http.NewResponseController(c.ResponseWriter).Flush()
}

// stay holds the line until the Gate or the test hangs up.
func (c connection) stay() { <-c.Request.Context().Done() }

func serve(t *testing.T, script func(connection)) *server {
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.Query().Get("after")+" "+r.Header.Get("Authorization"))
		number := len(s.asked)
		s.mu.Unlock()
		script(connection{w, r, number})
	}))
	t.Cleanup(s.Server.Close)
	return s
}

func (s *server) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

func line(t testing.TB, l verify.Line) string {
	t.Helper()
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func epoch(t testing.TB, name string) string {
	return line(t, verify.Line{Reset: &verify.Reset{Epoch: name}})
}

func beat(t testing.TB, seq int64) string {
	return line(t, verify.Line{Heartbeat: &verify.Heartbeat{Seq: seq, Time: jose.NumericDate(time.Now().Unix())}})
}

func gone(t testing.TB, seq int64, id string) string {
	return line(t, verify.Line{Revocation: &verify.Revocation{Seq: seq, Kind: verify.TokenRevoked, ID: id, Until: time.Now().Unix() + 300}})
}

// follow runs a feed of s until the test ends.
func follow(t *testing.T, s *server, change func(*verify.Feed)) (*verify.Feed, *verify.Revocations) {
	t.Helper()
	dead := &verify.Revocations{}
	feed := &verify.Feed{URL: s.URL, Revocations: dead, Silence: 300 * time.Millisecond}
	if change != nil {
		change(feed)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- feed.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return feed, dead
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func isDead(r *verify.Revocations, id string) bool { return r.Dead(verify.Claims{ID: id}) != nil }

func TestFreshOnlyWhenEverythingWasHeard(t *testing.T) {
	next := make(chan struct{})
	s := serve(t, func(c connection) {
		c.say(epoch(t, "e1"), gone(t, 1, "a"), gone(t, 2, "b"))
		select {
		case <-next:
		case <-c.Request.Context().Done():
			return
		}
		c.say(beat(t, 2))
		c.stay()
	})
	feed, dead := follow(t, s, func(f *verify.Feed) { f.Silence = 10 * time.Second })
	if feed.Fresh() {
		t.Error("fresh before anything was heard")
	}
	eventually(t, "the backlog", func() bool { return isDead(dead, "b") })
	if !isDead(dead, "a") || feed.Fresh() {
		t.Error("fresh in the middle of the backlog")
	}
	close(next)
	eventually(t, "fresh after the heartbeat", feed.Fresh)
}

func TestSilenceAndResumption(t *testing.T) {
	s := serve(t, func(c connection) {
		switch c.number {
		case 1:
			c.say(epoch(t, "e1"), gone(t, 5, "a"), beat(t, 7))
			c.stay() // and says nothing more
		case 2:
			c.say(epoch(t, "e1"), gone(t, 8, "b"), beat(t, 8))
		default:
			c.stay()
		}
	})
	feed, dead := follow(t, s, func(f *verify.Feed) {
		f.Authorize = func(context.Context) (string, error) { return "Bearer gate", nil }
	})
	eventually(t, "fresh", feed.Fresh)
	eventually(t, "a second connection", func() bool { return isDead(dead, "b") })
	if got := s.questions(); got[0] != "0 Bearer gate" || got[1] != "7 Bearer gate" {
		t.Errorf("asked %q", got)
	}
	eventually(t, "not fresh after silence", func() bool { return !feed.Fresh() })
	if !isDead(dead, "a") {
		t.Error("what was dead lives again")
	}
}

func TestRevokedIsDeadWithinASecond(t *testing.T) {
	tell := make(chan string)
	s := serve(t, func(c connection) {
		c.say(epoch(t, "e1"), beat(t, 0))
		for {
			select {
			case text := <-tell:
				c.say(text)
			case <-c.Request.Context().Done():
				return
			}
		}
	})
	feed, dead := follow(t, s, nil)
	eventually(t, "fresh", feed.Fresh)
	start := time.Now()
	tell <- gone(t, 1, "t")
	eventually(t, "W24 dead", func() bool { return isDead(dead, "t") })
	if spent := time.Since(start); spent > time.Second {
		t.Errorf("W24 took %s", spent)
	}
}

func TestNewEpochIsReadFromTheStart(t *testing.T) {
	s := serve(t, func(c connection) {
		after := c.URL.Query().Get("after")
		switch {
		case c.number == 1:
			c.say(epoch(t, "e1"), gone(t, 900, "before the restore"), beat(t, 900))
			return
		case after == "0":
			c.say(epoch(t, "e2"), gone(t, 3, "after the restore"), beat(t, 3))
		default:
			c.say(epoch(t, "e2"), beat(t, 900)) // a naive server: nothing above 900
		}
		c.stay()
	})
	feed, dead := follow(t, s, func(f *verify.Feed) { f.Silence = 10 * time.Second })
	eventually(t, "what was revoked in the new epoch", func() bool { return isDead(dead, "after the restore") })
	eventually(t, "fresh", feed.Fresh)
	if !isDead(dead, "before the restore") {
		t.Error("a restore brought a token back to life")
	}
	if got := s.questions(); got[len(got)-1] != "0 " {
		t.Errorf("asked %q", got)
	}
}

func TestLivelyConnectionIsKept(t *testing.T) {
	t.Parallel()
	s := serve(t, func(c connection) {
		c.say(epoch(t, "e"))
		for c.Request.Context().Err() == nil {
			c.say(beat(t, 1))
			time.Sleep(20 * time.Millisecond)
		}
	})
	feed, _ := follow(t, s, func(f *verify.Feed) { f.Silence = time.Second })
	eventually(t, "fresh", feed.Fresh)
	time.Sleep(1500 * time.Millisecond)
	if !feed.Fresh() || len(s.questions()) != 1 {
		t.Errorf("fresh %v after %d connections", feed.Fresh(), len(s.questions()))
	}
}

func TestCredentialGoesNowhereElse(t *testing.T) {
	other := serve(t, func(c connection) { c.say(epoch(t, "e"), beat(t, 1)); c.stay() })
	s := serve(t, func(c connection) {
		http.Redirect(c.ResponseWriter, c.Request, other.URL, http.StatusTemporaryRedirect)
	})
	feed, _ := follow(t, s, nil)
	eventually(t, "a second try", func() bool { return len(s.questions()) > 1 })
	if feed.Fresh() || len(other.questions()) > 0 {
		t.Error("a redirect was followed")
	}
}

// Whatever is strange ends the connection, and the Gate is not fresh.
func TestFeedFailsClosed(t *testing.T) {
	hour := jose.NumericDate(time.Now().Unix() - 3600)
	for name, script := range map[string]func(connection){
		"a refusal": func(c connection) { c.WriteHeader(http.StatusUnauthorized) },
		"a fault":   func(c connection) { c.WriteHeader(http.StatusInternalServerError) },
		"a redirect": func(c connection) {
			http.Redirect(c.ResponseWriter, c.Request, "https://evil.example", http.StatusFound)
		},
		"no epoch":        func(c connection) { c.say(beat(t, 1)); c.stay() },
		"an empty epoch":  func(c connection) { c.say(epoch(t, ""), beat(t, 1)); c.stay() },
		"nothing":         func(c connection) { c.say(epoch(t, "e")); c.stay() },
		"a page":          func(c connection) { c.say("<html>"); c.stay() },
		"an empty object": func(c connection) { c.say(epoch(t, "e"), "{}", beat(t, 1)); c.stay() },
		"an unknown line": func(c connection) { c.say(epoch(t, "e"), `{"purge":{}}`, beat(t, 1)); c.stay() },
		"two in one line": func(c connection) {
			c.say(epoch(t, "e"), `{"heartbeat":{"seq":1,"time":1},"reset":{"epoch":"x"}}`, beat(t, 1))
			c.stay()
		},
		"J18 a doubled member": func(c connection) { c.say(epoch(t, "e"), `{"reset":{"epoch":"e","epoch":"f"}}`, beat(t, 1)); c.stay() },
		"J19 a folded member":  func(c connection) { c.say(epoch(t, "e"), `{"Heartbeat":{"seq":1}}`, beat(t, 1)); c.stay() },
		"an unknown kind": func(c connection) {
			c.say(epoch(t, "e"), `{"revocation":{"seq":1,"kind":"device","id":"x","until":9999999999}}`, beat(t, 1))
			c.stay()
		},
		"an endless line": func(c connection) {
			c.say(epoch(t, "e"), strings.Repeat(" ", verify.MaxFeedLine+1), beat(t, 1))
			c.stay()
		},
		"an old heartbeat": func(c connection) {
			c.say(epoch(t, "e"), line(t, verify.Line{Heartbeat: &verify.Heartbeat{Seq: 1, Time: hour}}))
			c.stay()
		},
		"counting backwards": func(c connection) { c.say(epoch(t, "e"), gone(t, 9, "x"), beat(t, 8)); c.stay() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, script)
			feed, _ := follow(t, s, nil)
			eventually(t, "a second try", func() bool { return len(s.questions()) > 1 })
			if feed.Fresh() {
				t.Error("fresh")
			}
		})
	}
	t.Run("no credential", func(t *testing.T) {
		s := serve(t, func(connection) { t.Error("asked without a credential") })
		feed, _ := follow(t, s, func(f *verify.Feed) {
			f.Authorize = func(context.Context) (string, error) { return "", errors.New("no token") }
		})
		time.Sleep(100 * time.Millisecond)
		if feed.Fresh() {
			t.Error("fresh")
		}
	})
}

// FuzzFeed asks that no line makes the feed fresh but a heartbeat after an epoch.
func FuzzFeed(f *testing.F) {
	for _, seed := range []string{
		epoch(f, "e"), beat(f, 1), gone(f, 1, "x"), `{"revocation":null}`, `{"heartbeat":{"seq":-1,"time":0}}`, "{}", "[]", "", "\xff",
		`{"reset":{"epoch":"a"},"heartbeat":{"seq":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		dead := &verify.Revocations{}
		feed := &verify.Feed{URL: "http://feed.invalid", Revocations: dead, Client: &http.Client{Transport: answer(string(text))}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		if err := feed.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if feed.Fresh() && !(strings.Contains(string(text), "reset") && strings.Contains(string(text), "heartbeat")) &&
			!strings.Contains(string(text), `\u`) {
			t.Fatal("fresh without epoch or heartbeat")
		}
	})
}

// answer is a network on which everybody says the same.
type answer string

func (a answer) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	_, _ = w.WriteString(string(a))
	return w.Result(), nil
}
