package lab_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// inner is what stands in the company's own network and must hear nothing: it counts who knocks, before a byte is said.
type inner struct {
	net.Listener
	knocks atomic.Int32
}

func (i *inner) Accept() (net.Conn, error) {
	conn, err := i.Listener.Accept()
	if err == nil {
		i.knocks.Add(1)
	}
	return conn, err
}

func newInner(t *testing.T) *inner {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	return &inner{Listener: listener}
}

// serve answers at the listener of inner, over https as the house trusts it.
func (i *inner) serve(t *testing.T, h *lab.House, handle http.HandlerFunc) {
	t.Helper()
	server := &http.Server{Handler: handle, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(h.Listening(i)) }()
	t.Cleanup(func() {
		must(t, server.Close())
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// TestS34ASignOutReachesNobodyInside: a client says where it is told of sign-outs, and the Server connects there. An address
// inside the company, spelled or resolved, is never connected to unless the node's own settings name it; why stands in the log
// at once, and in the journal when it was given up.
func TestS34ASignOutReachesNobodyInside(t *testing.T) {
	closed, open := newInner(t), newInner(t)
	h := lab.New(t, lab.Options{TLS: true, Reach: []string{open.Addr().String()}})
	var told atomic.Int32
	closed.serve(t, h, func(http.ResponseWriter, *http.Request) {})
	open.serve(t, h, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/back" {
			told.Add(1)
		} else {
			http.Redirect(w, r, "https://"+closed.Addr().String()+"/", http.StatusTemporaryRedirect)
		}
	})
	_, port, err := net.SplitHostPort(closed.Addr().String())
	must(t, err)
	inside := map[string]struct{ uri, why string }{
		"c-spelled":   {"https://127.0.0.1:" + port + "/back", "is not a public one"},
		"c-resolved":  {"https://localhost:" + port + "/back", "is not a public one"},
		"c-mapped":    {"https://[::ffff:127.0.0.1]:" + port + "/back", "is not a public one"},
		"c-six":       {"https://[::1]:" + port + "/back", "is not a public one"},
		"c-metadata":  {"https://169.254.169.254/latest/meta-data/", "is not a public one"},
		"c-clear":     {"http://127.0.0.1:" + port + "/back", "the URL is not https"},
		"c-forwarded": {"https://" + open.Addr().String() + "/elsewhere", "answered with status 307"},
	}
	alice := h.NewPerson("alice")
	hearers := []listener{newListener(t, h, "c-allowed", recipe.Metadata{BackLogoutURI: "https://" + open.Addr().String() + "/back"})}
	for id, row := range inside {
		hearers = append(hearers, newListener(t, h, id, recipe.Metadata{BackLogoutURI: row.uri}))
	}
	leave := func(who ...listener) {
		t.Helper()
		var hint string
		for _, each := range who {
			hint = each.tokens(alice, "openid accounts.read").IDToken
		}
		if reply := h.Get("/logout?"+lab.Form("id_token_hint", hint).Encode(), "Cookie", alice.Cookie); reply.Status != 200 && reply.Status != 303 {
			t.Fatalf("%d %s", reply.Status, reply.Body)
		}
	}

	leave(hearers...)
	for id, row := range inside {
		h.Within(10*time.Second, "why "+id+" was not told stands in the log", func() bool { return logged(h, id, row.why) })
	}
	h.Within(5*time.Second, "the journal tells of the one that was told", func() bool {
		events, err := h.Store().Events(t.Context(), iam.JournalQuery{Kind: "logout.told", Limit: 10})
		return err == nil && len(events) == 1 && events[0].Client == "c-allowed"
	})

	missing := func() (ids []string) {
		events, err := h.Store().Events(t.Context(), iam.JournalQuery{Kind: "delivery.given_up", Limit: 100})
		must(t, err)
		for id, row := range inside {
			if !gaveUp(events, id, row.why) {
				ids = append(ids, id)
			}
		}
		return ids
	}
	for round := int32(2); len(missing()) > 0; round++ {
		if round > 30 {
			t.Fatalf("not in the journal: %v", missing())
		}
		h.Pass(2 * time.Hour)
		h.SignIn(alice)
		leave(hearers[0]) // which wakes the queue
		h.Within(10*time.Second, "the address that the settings name hears", func() bool { return told.Load() == round })
	}
	if n := closed.knocks.Load(); n != 0 {
		t.Errorf("%d connections to the address inside", n)
	}
}

// logged tells whether one record of the log has a delivery of a client that failed so.
func logged(h *lab.House, client, why string) bool {
	for line := range strings.Lines(h.Log.String()) {
		if strings.Contains(line, "a delivery failed") && strings.Contains(line, "the client "+client+" ") && strings.Contains(line, why) {
			return true
		}
	}
	return false
}

func gaveUp(events []journal.Event, client, why string) bool {
	for _, event := range events {
		var said struct{ What, Why string }
		if json.Unmarshal(event.Detail, &said) == nil && said.What == "logout" && strings.Contains(said.Why, "the client "+client+" ") && strings.Contains(said.Why, why) {
			return true
		}
	}
	return false
}
