package lab_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/store/deeds"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
	"github.com/gardeauth/garde/recipe"
)

// outage is a storage that a test takes away from under a running house, and gives back.
type outage struct {
	storage    string
	begin, end func()
	says       string // in the answer of /readyz
}

// TestF13StorageThatFailsWhileTheHouseRuns: nothing is answered that was not kept, whoever asks is told when to come again,
// the node says that it is not ready, and all goes on by itself when the storage is back.
func TestF13StorageThatFailsWhileTheHouseRuns(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T) outage{
		"SQLite on a full disk":               fullDisk,
		"SQLite with files nobody may change": immutableFiles,
		"PostgreSQL that takes no writes":     readOnlyDatabase,
		"PostgreSQL that crashes":             func(t *testing.T) outage { return endedDatabase(t, (*pgtest.Server).Kill) },
		"PostgreSQL that is started again":    func(t *testing.T) outage { return endedDatabase(t, (*pgtest.Server).Stop) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			survive(t, prepare(t))
		})
	}
}

func survive(t *testing.T, o outage) {
	metrics := freeAddress(t)
	h := lab.New(t, lab.Options{
		Partner: true, Settings: func(node *config.Node) { node.Storage, node.Metrics = o.storage, metrics },
		Recipe: func(r *recipe.Recipe) {
			r.Registration = map[string]recipe.Registration{"open": {Open: true, Scopes: []string{"openid"}}}
		},
	})
	ready := func() lab.Reply { return h.Do(lab.Request("GET", "http://"+metrics+"/readyz", "")) }
	alice := h.NewPerson("alice")
	code, tokens := h.Code(alice, lab.Plant{}), h.Tokens(alice, lab.Plant{Client: lab.Native})
	opaque := h.Tokens(alice, lab.Plant{Scope: "openid vault.read"})
	asking := begins(h, alice)
	load := begin(h)
	defer load.stop()
	h.Within(10*time.Second, "tokens are given", func() bool { return load.given() > 20 })

	o.begin()
	h.Within(20*time.Second, "the node says that it is not ready", func() bool { return ready().Status == http.StatusServiceUnavailable })
	if said := string(ready().Body); !strings.Contains(said, o.says) {
		t.Errorf("not ready says %q", said)
	}
	for what, ask := range map[string]func() lab.Reply{
		"redeem a code":  func() lab.Reply { return h.Redeem(code) },
		"refresh":        func() lab.Reply { return h.Refresh(lab.Native, tokens.RefreshToken) },
		"revoke a token": func() lab.Reply { return h.As(lab.WebA, "/revoke", lab.Form("token", opaque.AccessToken)) },
		"credentials":    func() lab.Reply { return h.Credentials(lab.Job, "scope", "ledger.post") },
		"push a request": asking.push, "ask for a device": asking.device, "ask a person": asking.person, "register": asking.register,
	} {
		if reply := ask(); !comeAgain(reply) || reply.Header.Get("Cache-Control") != "no-store" ||
			reply.Text("error") != "temporarily_unavailable" || reply.Text("error_description") != "the server can't answer now; try again" {
			t.Errorf("%s: %d, Retry-After %q, %s", what, reply.Status, reply.Header.Get("Retry-After"), reply.Body)
		}
	}

	o.end()
	h.Within(20*time.Second, "the node is ready again", func() bool { return ready().Status == http.StatusOK })
	before := load.given()
	h.Within(5*time.Second, "tokens are given again", func() bool { return load.given() > before+20 })
	load.stop()
	// What was refused was not done in any part.
	granted(t, h.Redeem(code))
	granted(t, h.Refresh(lab.Native, tokens.RefreshToken))
	if !h.Introspect(lab.Vault, opaque.AccessToken).True("active") {
		t.Error("a token is dead, and its revocation was refused")
	}
	if waiting, err := h.Store().AskedOf(t.Context(), alice.ID, h.Clock.Now()); err != nil || len(waiting) != 0 {
		t.Errorf("%d requests wait for a person, and all were refused: %v", len(waiting), err)
	}
	for what, again := range map[string]struct {
		ask    func() lab.Reply
		status int
	}{
		"push a request": {asking.push, 201}, "ask for a device": {asking.device, 200}, "ask a person": {asking.person, 200}, "register": {asking.register, 201},
	} {
		if reply := again.ask(); reply.Status != again.status {
			t.Errorf("%s, once more: %d %s", what, reply.Status, reply.Body)
		}
	}
	load.judge(t)
	if strings.HasPrefix(o.storage, "sqlite:") {
		whole(t, h)
	}
}

// beginnings are requests at the doors beside the token endpoint.
type beginnings struct{ push, device, person, register func() lab.Reply }

func begins(h *lab.House, person *lab.Person) beginnings {
	return beginnings{
		push:   func() lab.Reply { return h.As(lab.WebA, "/par", lab.Ask(lab.WebA)) },
		device: func() lab.Reply { return h.As(lab.WebA, "/device_authorization", lab.Form("scope", "accounts.read")) },
		person: func() lab.Reply {
			return h.As(lab.WebA, "/bc-authorize", lab.Form("scope", "openid", "login_hint", person.Username))
		},
		register: func() lab.Reply {
			return h.Do(lab.Request("POST", h.Issuer+"/register/open", `{"redirect_uris":["https://late.example/cb"]}`, "Content-Type", "application/json"))
		},
	}
}

// comeAgain tells whether an answer says that the server can't now, and when to ask again.
func comeAgain(reply lab.Reply) bool {
	wait, err := strconv.Atoi(reply.Header.Get("Retry-After"))
	return reply.Status == http.StatusServiceUnavailable && err == nil && wait >= 1
}

// whole asks SQLite whether its file is sound.
func whole(t *testing.T, h *lab.House) {
	t.Helper()
	err := h.Server.Store.Engine.Read(t.Context(), func(tx deeds.Tx) error {
		return tx.Query("PRAGMA integrity_check", nil, func(row deeds.Row) error {
			var said string
			err := row.Scan(&said)
			if said != "ok" {
				t.Error(said)
			}
			return err
		})
	})
	if err != nil {
		t.Error(err)
	}
}

// load is clients that ask for tokens all the time.
type load struct {
	h    *lab.House
	once sync.Once
	end  chan struct{}
	all  sync.WaitGroup

	mu     sync.Mutex
	tokens []string
	wrong  []string
}

func begin(h *lab.House) *load {
	l := &load{h: h, end: make(chan struct{})}
	for range 4 {
		l.all.Go(l.ask)
	}
	return l
}

func (l *load) ask() {
	for {
		select {
		case <-l.end:
			return
		case <-time.After(2 * time.Millisecond):
		}
		reply := l.h.Credentials(lab.Job, "scope", "ledger.post")
		l.mu.Lock()
		switch {
		case reply.Status == http.StatusOK:
			l.tokens = append(l.tokens, reply.Text("access_token"))
		case !comeAgain(reply) && len(l.wrong) < 10:
			l.wrong = append(l.wrong, strconv.Itoa(reply.Status)+" "+string(reply.Body))
		}
		l.mu.Unlock()
	}
}

func (l *load) given() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tokens)
}

func (l *load) stop() {
	l.once.Do(func() { close(l.end) })
	l.all.Wait()
}

// judge looks whether the journal holds every token that was given, and nothing but 503 was said beside.
func (l *load) judge(t *testing.T) {
	t.Helper()
	for _, wrong := range l.wrong {
		t.Errorf("while the storage failed, a client was told %s", wrong)
	}
	kept := map[string]int{}
	for query := (iam.JournalQuery{Oldest: true, Kind: "token.issued", Limit: 1000}); ; {
		events, err := l.h.Store().Events(t.Context(), query)
		must(t, err)
		if len(events) == 0 {
			break
		}
		for _, event := range events {
			var issued journal.TokenIssued
			must(t, json.Unmarshal(event.Detail, &issued))
			kept[issued.TokenID]++
		}
		query.AfterID = events[len(events)-1].ID
	}
	for _, token := range l.tokens {
		_, claims := peek(t, token)
		if id, _ := claims["jti"].(string); kept[id] != 1 {
			t.Fatalf("a token was given that the journal holds %d times", kept[id])
		}
	}
	t.Logf("%d tokens were given, all are in the journal", len(l.tokens))
}

// unable ends a test that this machine can't run; where all must run, it fails.
func unable(t *testing.T, why error) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("GARDE_TEST_ALL") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// fullDisk is a small file system of its own, which another's file fills.
func fullDisk(t *testing.T) outage {
	folder := t.TempDir()
	if err := syscall.Mount("garde-test", folder, "tmpfs", 0, "size=16m"); err != nil {
		if errors.Is(err, syscall.EPERM) { // nobody but root may, and no container without the right
			t.Skipf("NOT PROVED here: a full disk needs a file system of its own, and this user may not mount one: %v", err)
		}
		unable(t, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(folder, "filler")
	return outage{
		storage: "sqlite:" + filepath.Join(folder, "garde.db"), says: "disk",
		begin: func() {
			file, err := os.Create(filler)
			must(t, err)
			for err == nil { // to the last byte
				_, err = file.Write(make([]byte, 4096))
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			must(t, file.Close())
		},
		end: func() { must(t, os.Remove(filler)) },
	}
}

// immutableFiles are those that even root may not write, though they are open.
func immutableFiles(t *testing.T) outage {
	folder := t.TempDir()
	change := func(flag string) error {
		files, err := filepath.Glob(filepath.Join(folder, "garde.db*"))
		if err != nil {
			return err
		}
		return exec.Command("chattr", append([]string{flag}, files...)...).Run()
	}
	probe := filepath.Join(folder, "garde.db-probe")
	file, err := os.Create(probe)
	must(t, err)
	err = change("+i")
	if err == nil {
		if _, err = file.WriteString("x"); err == nil {
			err = errors.New("an open file can still be written")
		} else {
			err = nil
		}
	}
	_ = change("-i") // it may not know the flag at all
	must(t, file.Close())
	must(t, os.Remove(probe))
	if err != nil {
		t.Skipf("NOT PROVED here: this file system can't make an open file unchangeable: %v", err)
	}
	t.Cleanup(func() { _ = change("-i") }) // again, where the test ended early
	return outage{
		storage: "sqlite:" + filepath.Join(folder, "garde.db"), says: "not ready",
		begin: func() { must(t, change("+i")) },
		end:   func() { must(t, change("-i")) },
	}
}

func readOnlyDatabase(t *testing.T) outage {
	server := pgtest.Private(t)
	set := func(value string) func() {
		return func() {
			ctx := context.Background()
			conn, err := pgx.Connect(ctx, server.DSN("postgres"))
			must(t, err)
			defer conn.Close(ctx)
			for _, sql := range []string{"SET default_transaction_read_only = off", "ALTER SYSTEM SET default_transaction_read_only = " + value, "SELECT pg_reload_conf()"} {
				_, err := conn.Exec(ctx, sql)
				must(t, err)
			}
		}
	}
	return outage{storage: server.DSN("postgres"), begin: set("on"), end: set("off"), says: "takes no writes"}
}

func endedDatabase(t *testing.T, end func(*pgtest.Server) error) outage {
	server := pgtest.Private(t)
	return outage{
		storage: server.DSN("postgres"), says: "database",
		begin: func() { must(t, end(server)) },
		end:   func() { must(t, server.Run(context.Background())) },
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, listener.Close())
	return listener.Addr().String()
}
