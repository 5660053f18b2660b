package trial

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

// refusedKindly holds what every answer must be while the storage is away: 503, when to come again, no word of the cause.
func refusedKindly(t *testing.T, what string, got reply) {
	t.Helper()
	if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
		t.Errorf("%s: got %d, Retry-After %q: %s", what, got.status, got.header.Get("Retry-After"), got.body)
	}
	for _, word := range []string{"SQL", "postgres", "the disk", "pgx", "dial ", "database"} {
		if strings.Contains(got.body, word) {
			t.Errorf("A09 %s: the answer tells of the inside: %s", what, got.body)
		}
	}
	if got.took > 6*time.Second {
		t.Errorf("%s: the refusal took %s", what, got.took)
	}
}

// collector asks for opaque tokens until it is stopped and keeps those that were answered.
type collector struct {
	mu       sync.Mutex
	answered []string
	others   map[int]int
	stop     func()
}

func (h *house) collect(callers int) *collector {
	c := &collector{others: map[int]int{}}
	var over atomic.Bool
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for !over.Load() {
				got := h.token("vault.read")
				c.mu.Lock()
				if got.status == 200 {
					c.answered = append(c.answered, got.text("access_token"))
				} else {
					c.others[got.status]++
				}
				c.mu.Unlock()
				if got.status != 200 {
					time.Sleep(2 * time.Millisecond)
				}
			}
		})
	}
	c.stop = func() { over.Store(true); group.Wait() }
	return c
}

func (c *collector) refusals() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.others[503]
}

// holds checks that every token that was answered is known, and that nothing was answered but tokens and 503.
func (c *collector) holds(h *house) {
	h.t.Helper()
	for status, times := range c.others {
		if status != http.StatusServiceUnavailable {
			h.t.Errorf("%d answers with status %d, want 503", times, status)
		}
	}
	if len(c.answered) == 0 {
		h.t.Error("nothing was answered at all")
	}
	var lost atomic.Int64
	var group sync.WaitGroup
	for part := range 8 {
		group.Go(func() {
			for i := part; i < len(c.answered); i += 8 {
				if got := h.as("vault-svc", "/introspect", lab.Form("token", c.answered[i])); !strings.Contains(got.body, `"active":true`) {
					lost.Add(1)
				}
			}
		})
	}
	group.Wait()
	if lost.Load() > 0 {
		h.t.Errorf("%d of %d tokens that were answered are not in the storage", lost.Load(), len(c.answered))
	}
}

func TestF13ALostDatabaseIsSaidAndComesBackByItself(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	dsn, err := server.Create(context.Background(), "trial")
	if err != nil {
		t.Fatal(err)
	}
	h := setUp(t, nil)
	h.storage = dsn
	h.serve()
	v, page := h.begin(h.client, "openid accounts.read", "")
	if page.status != 200 {
		t.Fatalf("no sign-in page: %d", page.status)
	}
	h.walk(v, h.client, h.prove(v, h.client, alice, password))
	load := h.collect(4)
	time.Sleep(300 * time.Millisecond)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "callers hear of it", func() bool { return load.refusals() > 3 })
	load.stop()

	refusedKindly(t, "client_credentials", h.token("vault.read"))
	refusedKindly(t, "the code", h.redeem(v.code))
	refusedKindly(t, "introspection", h.as("vault-svc", "/introspect", lab.Form("token", load.answered[0])))
	refusedKindly(t, "revocation", h.as("app", "/revoke", lab.Form("token", "rt_0000000000000000000000000000000000000000000")))
	refusedKindly(t, "authorize", do(h.client, request("GET", h.issuer+h.ask("openid"), "", v.headers()...)))
	if status, why := h.get(h.health + "/readyz"); status != 503 || !strings.Contains(why, "database") {
		t.Errorf("readyz says %d %s", status, why)
	}
	if status, _ := h.get(h.health + "/healthz"); status != 200 {
		t.Errorf("healthz says %d though the process lives", status)
	}
	if status, _ := h.get(h.issuer + "/jwks"); status != 200 {
		t.Errorf("keys that are in memory are not told: %d", status)
	}
	if err := server.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if took := h.ready(h.health); took > 5*time.Second {
		t.Errorf("it took %s to be ready again", took)
	}
	// Nothing was half-written: the code was not spent by the request that failed, and is spent once.
	within(t, 5*time.Second, "the code is redeemed", func() bool { return h.redeem(v.code).status == 200 })
	if got := h.redeem(v.code); got.text("error") != "invalid_grant" {
		t.Errorf("the code came twice: %d %s", got.status, got.body)
	}
	load.holds(h)
	if lines := strings.Count(h.server.text(), "can't be read"); lines > 5 {
		t.Errorf("the log repeats the outage %d times", lines)
	}
	neverAStack(t, h.server.text())
	if took := h.server.stop(syscall.SIGTERM); h.server.code != 0 {
		t.Errorf("it ended with %d after %s", h.server.code, took)
	}
}

func TestTheServerEndsWellWhileItsDatabaseIsAway(t *testing.T) {
	t.Parallel()
	server := pgtest.Private(t)
	dsn, err := server.Create(context.Background(), "trial")
	if err != nil {
		t.Fatal(err)
	}
	h := setUp(t, nil)
	h.storage = dsn
	h.serve()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	refusedKindly(t, "client_credentials", h.token("vault.read"))
	if took := h.server.stop(syscall.SIGTERM); took > 4*time.Second {
		t.Errorf("it took %s to end", took)
	}
	neverAStack(t, h.server.text())
}

func TestF13AFullDiskIsSaidAndRoomIsFoundAgain(t *testing.T) {
	t.Parallel()
	linuxOnly(t)
	h := setUp(t, nil)
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("only root can mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	h.storage = "sqlite:" + filepath.Join(disk, "garde.db")
	h.serve()
	v, _ := h.begin(h.client, "openid accounts.read", "")
	h.walk(v, h.client, h.prove(v, h.client, alice, password))
	load := h.collect(4)
	time.Sleep(200 * time.Millisecond)
	filler := filepath.Join(disk, "filler")
	fill(filler)
	within(t, 20*time.Second, "callers hear of it", func() bool { return load.refusals() > 3 })
	within(t, 5*time.Second, "readyz says that the disk is full", func() bool {
		fill(filler) // a commit that failed may have given a page back
		status, why := h.get(h.health + "/readyz")
		return status == 503 && strings.Contains(why, "disk")
	})
	load.stop()
	var refused reply
	within(t, 5*time.Second, "a token is refused", func() bool {
		fill(filler) // as above: what still found room was answered, and rightly
		refused = h.token("vault.read")
		return refused.status != 200
	})
	refusedKindly(t, "client_credentials", refused)
	_ = h.redeem(v.code) // it may be told 503; then it was not spent
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if took := h.ready(h.health); took > 5*time.Second {
		t.Errorf("it took %s to be ready again", took)
	}
	if got := h.redeem(v.code); got.status != 200 {
		t.Errorf("the code was spent by a request that failed: %d %s", got.status, got.body)
	}
	neverAStack(t, h.server.text())
	// What was answered is on disk: another process finds it.
	h.server.stop(syscall.SIGKILL)
	h.serve()
	load.holds(h)
	if got := h.redeem(v.code); got.text("error") != "invalid_grant" {
		t.Errorf("the code came twice: %d %s", got.status, got.body)
	}
}

// fill writes until nothing more fits.
func fill(path string) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	defer file.Close()
	for _, size := range []int{256 << 10, 4 << 10, 1} {
		block := make([]byte, size)
		for {
			if _, err := file.Write(block); err != nil {
				break
			}
		}
	}
}

func TestWrongSetUpsAreExplainedInOneSentence(t *testing.T) {
	t.Parallel()
	taken := freePort(t)
	for name, row := range map[string]struct {
		prepare func(h *house)
		words   []string // of the command
		says    []string
		code    int
	}{
		"the port is taken": {func(h *house) {
			listener, err := occupy(h.issuer)
			if err != nil {
				h.t.Fatal(err)
			}
			h.t.Cleanup(func() { _ = listener.Close() })
		}, []string{"serve"}, []string{"listen on", "taken"}, 1},
		"the port of the metrics is taken": {func(h *house) {
			listener, err := occupy(h.health)
			if err != nil {
				h.t.Fatal(err)
			}
			h.t.Cleanup(func() { _ = listener.Close() })
		}, []string{"serve"}, []string{"listen on", "taken"}, 1},
		"the port of the Gate is taken": {func(h *house) {
			listener, err := occupy(h.gateURL)
			if err != nil {
				h.t.Fatal(err)
			}
			h.t.Cleanup(func() { _ = listener.Close() })
		}, []string{"gate"}, []string{"listen on", "taken"}, 1},
		"there is no master key": {func(h *house) { h.remove("master.key") }, []string{"serve"}, []string{"master key", "master.key", "no such file"}, 1},
		"others can read the master key": {func(h *house) { h.mode("master.key", 0o644) },
			[]string{"serve"}, []string{"master key", "0644", "make it 0600"}, 1},
		"the master key is no key": {func(h *house) { h.write("master.key", "abc\n") }, []string{"serve"}, []string{"master key"}, 1},
		"the master key is another": {func(h *house) {
			h.serve()
			h.server.stop(syscall.SIGTERM)
			other := setUp(h.t, nil)
			raw, err := os.ReadFile(filepath.Join(other.dir, "master.key"))
			if err != nil {
				h.t.Fatal(err)
			}
			h.write("master.key", string(raw))
		}, []string{"serve"}, []string{"master key"}, 1},
		"there is no recipe":        {func(h *house) { h.remove("recipe.yaml") }, []string{"serve"}, []string{"recipe.yaml"}, 1},
		"the recipe is a folder":    {func(h *house) { h.remove("recipe.yaml"); h.folder("recipe.yaml") }, []string{"serve"}, []string{"recipe.yaml"}, 1},
		"the recipe has a fault":    {func(h *house) { h.write("recipe.yaml", h.recipe()+"signon: {}\n") }, []string{"serve"}, []string{"recipe.yaml:", "signon"}, 1},
		"a setting is unknown":      {func(h *house) { h.more = "listne: 1" }, []string{"serve"}, []string{"node.yaml", "listne"}, 1},
		"there are no settings":     {nil, []string{"serve", "--config", "/nonexistent/node.yaml"}, []string{"node.yaml", "garde init"}, 1},
		"there is no certificate":   {func(h *house) { h.more = "tls: {cert: no.crt, key: no.key}" }, []string{"serve"}, []string{"certificate", "no.crt"}, 1},
		"the storage has no folder": {func(h *house) { h.storage = "sqlite:people.yaml/garde.db" }, []string{"serve"}, []string{"storage", "people.yaml"}, 1},
		"the storage is damaged": {func(h *house) {
			h.serve()
			h.server.stop(syscall.SIGTERM)
			h.write("garde.db", strings.Repeat("this was a storage once. ", 4000))
			h.remove("garde.db-wal")
		}, []string{"serve"}, []string{"storage", "damaged", "restore a backup"}, 1},
		"the storage has lost its middle": {func(h *house) {
			h.serve()
			h.server.stop(syscall.SIGTERM)
			h.spoil("garde.db")
		}, []string{"serve"}, []string{"damaged", "restore a backup"}, 1},
		"the storage is another program's": {func(h *house) { h.serve() }, []string{"serve"}, []string{"storage", "another"}, 1},
		"no database answers": {func(h *house) { h.storage = "postgres://garde:hunter2secret@" + taken + "/garde?sslmode=disable" },
			[]string{"serve"}, []string{"storage", "can't be reached"}, 1},
		"the Gate has no secret": {func(h *house) { h.remove("gate.secret") }, []string{"gate"}, []string{"gate.secret"}, 1},
		"there are no people":    {func(h *house) { h.remove("people.yaml") }, []string{"serve"}, []string{"people.yaml"}, 1},
		"people are no people":   {func(h *house) { h.write("people.yaml", "users: [{nickname: x}]\n") }, []string{"serve"}, []string{"people.yaml:1", "nickname"}, 1},
		"a word too many":        {nil, []string{"serve", "now"}, []string{"takes no"}, 2},
		"a flag that is none":    {nil, []string{"serve", "--insecure"}, []string{"--insecure"}, 2},
		"a level that is none":   {func(h *house) { h.level = "loud" }, []string{"serve"}, []string{"loud"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setUp(t, nil)
			if row.prepare != nil {
				row.prepare(h)
			}
			command := h.command(row.words...)
			if strings.Contains(strings.Join(row.words, " "), "--config") {
				command.Args = append([]string{command.Args[0]}, row.words...)
			}
			p := launch(t, command)
			select {
			case <-p.ended:
			case <-time.After(10 * time.Second):
				t.Fatal("it runs on")
			}
			text := p.text()
			if p.code != row.code {
				t.Errorf("exit code %d, want %d", p.code, row.code)
			}
			for _, words := range row.says {
				if !strings.Contains(text, words) {
					t.Errorf("it does not say %q: %s", words, text)
				}
			}
			if strings.Contains(text, "hunter2secret") {
				t.Errorf("A08 it tells a password: %s", text)
			}
			if lines := strings.Count(strings.TrimSpace(text), "\n"); lines > 3 {
				t.Errorf("%d lines are no sentence: %s", lines+1, text)
			}
			neverAStack(t, text)
		})
	}
}
