package signals_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/server/signals"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// one is the token that the door takes.
type one struct{ claims verify.Claims }

func (o one) Bearer(r *http.Request) (verify.Claims, error) {
	if r.Header.Get("Authorization") != "Bearer good" {
		return verify.Claims{}, oauth.InvalidToken("unknown")
	}
	return o.claims, nil
}

type house struct {
	t      *testing.T
	tenant *sqlstore.Tenant
	site   *httptest.Server
	dead   atomic.Bool
}

func open(t *testing.T, scope ...string) *house {
	t.Helper()
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	h := &house{t: t, tenant: kept.Tenant(iam.DefaultTenant)}
	door := &signals.Endpoint{
		Tokens: one{verify.Claims{ClientID: "gate", Scope: scope}}, Changes: h.tenant, Beat: 50 * time.Millisecond,
		Dead: func(verify.Claims) error {
			if h.dead.Load() {
				return errors.New("revoked")
			}
			return nil
		},
	}
	face := web.Face{As: web.Bearer{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	h.site = httptest.NewServer(face.Handle(door.Revocations))
	t.Cleanup(h.site.Close)
	return h
}

func (h *house) ask(ctx context.Context, method, query, token string) *http.Response {
	h.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, h.site.URL+query, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", token)
	response, err := h.site.Client().Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func (h *house) revoke(id string) {
	h.t.Helper()
	if err := h.tenant.RevokeToken(h.t.Context(), id, time.Now().Add(time.Hour)); err != nil {
		h.t.Fatal(err)
	}
}

// feed reads lines until one fits.
func feed(t *testing.T, lines *bufio.Scanner, fits func(verify.Line) bool) verify.Line {
	t.Helper()
	for lines.Scan() {
		var line verify.Line
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if fits(line) {
			return line
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return verify.Line{}
}

func TestTheFeedIsWholeOrderedAndResumable(t *testing.T) {
	h := open(t, oauth.ScopeGate)
	const many = 620 // more than one reading
	for i := range many {
		h.revoke(strconv.Itoa(i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	answer := h.ask(ctx, http.MethodGet, "/", "Bearer good")
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Cache-Control") != "no-store" || answer.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("status %d, %v", answer.StatusCode, answer.Header)
	}
	lines := bufio.NewScanner(answer.Body)
	if first := feed(t, lines, func(verify.Line) bool { return true }); first.Reset == nil || first.Reset.Epoch == "" {
		t.Errorf("it begins with %+v", first)
	}
	var seqs []int64
	beat := feed(t, lines, func(line verify.Line) bool {
		if line.Revocation != nil {
			if line.Revocation.ID != strconv.Itoa(len(seqs)) || len(seqs) > 0 && line.Revocation.Seq <= seqs[len(seqs)-1] {
				t.Fatalf("%+v after %d", line.Revocation, len(seqs))
			}
			seqs = append(seqs, line.Revocation.Seq)
		}
		return line.Heartbeat != nil
	})
	if len(seqs) != many || beat.Heartbeat.Seq != seqs[many-1] {
		t.Fatalf("%d revocations before the heartbeat of %d", len(seqs), beat.Heartbeat.Seq)
	}
	began := time.Now()
	h.revoke("late")
	feed(t, lines, func(line verify.Line) bool { return line.Revocation != nil && line.Revocation.ID == "late" })
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %v", took)
	}
	rest := bufio.NewScanner(h.ask(ctx, http.MethodGet, "/?after="+strconv.FormatInt(seqs[many-2], 10), "Bearer good").Body)
	if next := feed(t, rest, func(line verify.Line) bool { return line.Revocation != nil }); next.Revocation.Seq != seqs[many-1] {
		t.Errorf("resumed at %d", next.Revocation.Seq)
	}
	h.dead.Store(true) // the Gate's own token
	for lines.Scan() {
		if ctx.Err() != nil {
			t.Fatal("the stream goes on for a Gate that was revoked")
		}
	}
}

func TestWhoMayFollow(t *testing.T) {
	gate, other := open(t, oauth.ScopeGate), open(t, "openid")
	for name, c := range map[string]struct {
		house                *house
		method, query, token string
		want                 int
	}{
		"nobody":           {gate, http.MethodGet, "/", "", 401},
		"another token":    {gate, http.MethodGet, "/", "Bearer bad", 401},
		"no Gate":          {other, http.MethodGet, "/", "Bearer good", 403},
		"by POST":          {gate, http.MethodPost, "/", "Bearer good", 405},
		"after a word":     {gate, http.MethodGet, "/?after=x", "Bearer good", 400},
		"after less":       {gate, http.MethodGet, "/?after=-1", "Bearer good", 400},
		"after, twice":     {gate, http.MethodGet, "/?after=1&after=2", "Bearer good", 400},
		"after too much":   {gate, http.MethodGet, "/?after=99999999999999999999", "Bearer good", 400},
		"token in a query": {gate, http.MethodGet, "/?access_token=good", "", 401},
	} {
		if got := c.house.ask(t.Context(), c.method, c.query, c.token).StatusCode; got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestFacts(t *testing.T) {
	at := time.Unix(1000, 900_000_000)
	for kind, ends := range map[iam.ChangeKind]bool{
		iam.ChangeToken: true, iam.ChangeGrant: true, iam.ChangeSession: true, iam.ChangeUser: true, iam.ChangeClient: true, iam.ChangeKey: true,
		iam.ChangedRecipe: false, iam.ChangedClient: false, iam.ChangedUser: false, iam.ChangedKeys: false, "unknown": false,
	} {
		fact, got := signals.Fact(iam.Change{Seq: 3, Kind: kind, ID: "x", Before: at, Until: at})
		if got != ends || ends && (fact.Seq != 3 || fact.ID != "x" || fact.Until != 1001) {
			t.Errorf("%s: %+v %v", kind, fact, got)
		}
		if cutoff := kind == iam.ChangeUser || kind == iam.ChangeClient; cutoff != (fact.Before == 1000) {
			t.Errorf("%s: before %d", kind, fact.Before)
		}
	}
}
