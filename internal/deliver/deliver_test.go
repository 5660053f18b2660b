package deliver_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/deliver"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/store"
)

// house is a queue on SQLite, with a clock that the test moves.
type house struct {
	t     testing.TB
	queue *deliver.Queue
	store *store.Store
	mu    sync.Mutex
	now   time.Time
	seen  []string
	fail  error
}

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) pass(span time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(span)
}

func (h *house) work(_ context.Context, body []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen = append(h.seen, string(body))
	if string(body) == "panic" {
		panic("a bad message")
	}
	return h.fail
}

func (h *house) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.seen)
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, now: time.Now().UTC()}
	var err error
	h.store, err = store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{Now: h.clock})
	h.must(err)
	t.Cleanup(func() { _ = h.store.Close() })
	master, err := seal.ParseMaster(seal.GenerateMaster())
	h.must(err)
	tenant := h.store.Tenant(iam.DefaultTenant)
	h.queue = deliver.New(deliver.Queue{
		Deliveries: tenant, Journal: tenant, Sealer: seal.Sealer{Current: master}, Tenant: iam.DefaultTenant,
		Works: map[string]deliver.Work{"note": h.work}, Now: h.clock, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	return h
}

func (h *house) turn(want int) {
	h.t.Helper()
	got, err := h.queue.Turn(h.t.Context())
	h.must(err)
	if got != want {
		h.t.Fatalf("%d were due, want %d", got, want)
	}
}

func TestADeliveryIsDoneOnceAndSealed(t *testing.T) {
	h := open(t)
	h.must(h.queue.Enqueue(t.Context(), "note", []byte("ln_secret link")))
	tenant := h.store.Tenant(iam.DefaultTenant)
	raw, err := tenant.Due(t.Context(), h.clock(), h.clock(), 10)
	h.must(err)
	if len(raw) != 1 || strings.Contains(raw[0].Sealed, "secret") || strings.Contains(raw[0].Failed, "secret") {
		t.Errorf("kept as %+v", raw)
	}
	h.turn(1)
	h.turn(0)
	if h.count() != 1 || h.seen[0] != "ln_secret link" {
		t.Errorf("done: %v", h.seen)
	}
	if err := h.queue.Enqueue(t.Context(), "unknown", nil); err == nil {
		t.Error("work that nobody does was taken")
	}
	if err := h.queue.Enqueue(t.Context(), "note", make([]byte, deliver.MaxBody+1)); err == nil {
		t.Error("an endless body was taken")
	}
}

func TestWhatFailsIsTriedAgainAndGivenUp(t *testing.T) {
	h := open(t)
	h.fail = errors.New("the server says\r\n421 later")
	h.must(h.queue.Enqueue(t.Context(), "note", []byte("a")))
	h.turn(1)
	h.turn(0) // not at once
	h.pass(9 * time.Second)
	h.turn(0)
	for tries := 1; tries < deliver.MaxTries; tries++ {
		h.pass(time.Hour)
		h.turn(1)
	}
	h.pass(24 * time.Hour)
	h.turn(0)
	if h.count() != deliver.MaxTries {
		t.Errorf("%d tries", h.count())
	}
	events, err := h.store.Tenant(iam.DefaultTenant).Events(t.Context(), iam.JournalQuery{Kind: "delivery.given_up"})
	h.must(err)
	if len(events) != 1 || !strings.Contains(string(events[0].Detail), "the server says 421 later") {
		t.Errorf("the journal says %v", events)
	}
}

func TestWhatCanNeverWorkIsNotTriedAgain(t *testing.T) {
	h := open(t)
	h.fail = deliver.Never(errors.New("550 no such person"))
	h.must(h.queue.Enqueue(t.Context(), "note", []byte("a")))
	h.turn(1)
	h.fail = nil
	h.must(h.queue.Enqueue(t.Context(), "note", []byte("panic"))) // L rows: one bad message stops nothing
	h.must(h.queue.Enqueue(t.Context(), "note", []byte("b")))
	h.turn(2)
	h.pass(24 * time.Hour)
	h.turn(0)
	if h.count() != 3 {
		t.Errorf("done: %v", h.seen)
	}
}

func TestLaterIsLater(t *testing.T) {
	h := open(t)
	h.must(h.queue.Later(t.Context(), "note", []byte("a"), h.clock().Add(time.Hour)))
	h.turn(0)
	h.pass(time.Hour)
	h.turn(1)
}

func TestOneOfTwoNodesDelivers(t *testing.T) {
	h := open(t)
	for range 40 {
		h.must(h.queue.Enqueue(t.Context(), "note", []byte("a")))
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				done, err := h.queue.Turn(t.Context())
				if err != nil || done == 0 {
					return
				}
			}
		})
	}
	group.Wait()
	if h.count() != 40 {
		t.Errorf("%d were done, want 40", h.count())
	}
}

func TestRunWakesAtOnceAndStops(t *testing.T) {
	h := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.queue.Run(ctx) }()
	h.must(h.queue.Enqueue(t.Context(), "note", []byte("a")))
	for i := 0; h.count() == 0; i++ {
		if i > 100 {
			t.Fatal("nobody woke")
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	h.must(<-ended)
}

func TestAFolderHoldsWholeMailsForTheOwner(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "mails")
	work := deliver.MailWork(deliver.Folder{Path: folder, From: "Bank <no-reply@bank.example>"})
	send := func(mail deliver.Mail) error {
		body, err := json.Marshal(mail)
		if err != nil {
			t.Fatal(err)
		}
		return work(t.Context(), body)
	}
	good := deliver.Mail{To: "alice@bank.example", Subject: "Réglage", Text: "one https://id.bank.example/link/reset?token=x", HTML: "<p>two</p>"}
	if err := send(good); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(files) != 1 || !strings.HasSuffix(files[0], ".eml") {
		t.Fatalf("files %v, %v", files, err)
	}
	info, err := os.Stat(files[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"To: <alice@bank.example>", "From: \"Bank\" <no-reply@bank.example>", "text/plain", "text/html", "Auto-Submitted: auto-generated", "Message-ID: <"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the mail lacks %s:\n%s", part, text)
		}
	}
	for what, bad := range map[string]deliver.Mail{
		"a recipient with a second header": {To: "a@b.example\r\nBcc: c@d.example", Subject: "s", Text: "t"},
		"a subject with a second header":   {To: "a@b.example", Subject: "s\r\nBcc: c@d.example", Text: "t"},
		"no recipient":                     {Subject: "s", Text: "t"},
	} {
		if err := send(bad); err == nil {
			t.Errorf("%s was sent", what)
		}
	}
	if err := work(t.Context(), []byte("{")); err == nil {
		t.Error("rubbish was sent")
	}
}
