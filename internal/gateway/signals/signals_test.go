package signals_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/enact"
	gate "github.com/gardeauth/garde/internal/gateway/signals"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/seal"
	server "github.com/gardeauth/garde/internal/server/signals"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

const rules = `
garde: 1
levels:
  - {name: basic, acr: "urn:basic", any: [password]}
scopes:
  accounts.read: {say: {en: See your balances}}
apis:
  accounts:
    at: https://api.bank.example/accounts
    upstream: http://127.0.0.1:7101
    operations:
      GET /balance: {for: [user], scope: accounts.read}
clients:
  web:
    type: browser
    redirect_uris: ["https://app.example/cb"]
    scopes: [openid, accounts.read]
`

// house is a Server's /signals/recipe on SQLite, and a Gate that follows it. What lies between can be altered.
type house struct {
	t      *testing.T
	mu     sync.Mutex
	tenant *sqlstore.Tenant
	force  *enact.Enactor
	keys   *keys.Ring
	front  *server.Recipes
	site   *httptest.Server
	alter  func([]byte) []byte
	gate   *gate.Recipes
	fails  error
	number int64
	after  string // epoch of a restored storage; empty: the storage's own
	bearer atomic.Pointer[verify.Claims]
}

// Bearer takes the token "good"; what a real one holds is inspect's matter.
func (h *house) Bearer(r *http.Request) (verify.Claims, error) {
	if claims := h.bearer.Load(); claims != nil && r.Header.Get("Authorization") == "Bearer good" {
		return *claims, nil
	}
	return verify.Claims{}, oauth.InvalidToken("unknown")
}

func (h *house) Key(_ context.Context, kid string) (jose.PublicKey, error) {
	if key, ok := h.keys.Find(kid); ok {
		return key, nil
	}
	return jose.PublicKey{}, verify.ErrUnknownKey
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) epoch(ctx context.Context) (string, error) {
	if h.after != "" {
		return h.after, nil
	}
	return h.tenant.Epoch(ctx)
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t}
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	h.must(err)
	t.Cleanup(func() { _ = kept.Close() })
	h.tenant = kept.Tenant(iam.DefaultTenant)
	master, err := seal.ParseMaster(seal.GenerateMaster())
	h.must(err)
	h.keys = &keys.Ring{Store: h.tenant, Sealer: seal.Sealer{Current: master}, Tenant: iam.DefaultTenant}
	h.must(h.keys.Ensure(t.Context(), jose.ES256))
	h.bearer.Store(&verify.Claims{ClientID: "gate", Scope: oauth.Scope{oauth.ScopeGate}})
	h.force = &enact.Enactor{Revisions: h.tenant}
	h.front = &server.Recipes{
		Tokens: h, Force: h.force.InForce, Signer: h.keys.Signer, Nodes: h.tenant, Epoch: h.epoch, Hold: 200 * time.Millisecond,
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	face := web.Face{As: web.Bearer{}, Log: quiet}
	h.site = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := httptest.NewRecorder()
		face.Handle(h.front.Recipe).ServeHTTP(out, r)
		body := out.Body.Bytes()
		if h.alter != nil && out.Code == http.StatusOK {
			body = h.alter(body)
		}
		w.WriteHeader(out.Code)
		_, _ = w.Write(body)
	}))
	t.Cleanup(h.site.Close)
	h.front.Issuer = h.site.URL
	h.gate = &gate.Recipes{
		Issuer: h.site.URL, Client: "gate", Node: "n-1", Name: "gate-1", Keys: h, HTTP: h.site.Client(), Log: quiet,
		Authorize: func(context.Context) (string, error) { return "Bearer good", nil },
		Ready:     func() bool { return true },
		Adopt: func(number int64, _ *recipe.Bundle) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.fails == nil {
				h.number = number
			}
			return h.fails
		},
	}
	h.apply(rules)
	return h
}

func jsonOf(t *testing.T, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (h *house) apply(text string) {
	h.t.Helper()
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(text)}}, nil, time.Now())
	h.must(err)
	_, _, err = h.force.Apply(h.t.Context(), enact.Proposal{Bundle: bundle, Expect: -1, By: "test"}, time.Now())
	h.must(err)
	h.must(h.force.Adopt(h.t.Context()))
}

func (h *house) obeyed() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.number
}

func (h *house) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = err
}

func (h *house) node() iam.Node {
	h.t.Helper()
	nodes, err := h.tenant.ListNodes(h.t.Context(), time.Now().Add(-time.Minute))
	h.must(err)
	if len(nodes) != 1 {
		h.t.Fatalf("%d nodes", len(nodes))
	}
	return nodes[0]
}

func TestAGateFollowsTheRecipe(t *testing.T) {
	h := open(t)
	h.must(h.gate.Once(t.Context()))
	if h.obeyed() != 1 {
		t.Fatalf("it obeys %d", h.obeyed())
	}
	h.must(h.gate.Once(t.Context())) // 304
	if node := h.node(); node.Role != "gate" || node.Revision != 1 || !node.Ready || node.ID != "gate/n-1" {
		t.Errorf("known as %+v", node)
	}
	go func() {
		time.Sleep(50 * time.Millisecond)
		h.apply(strings.Replace(rules, "web:\n    type", "web:\n    name: {en: Bank}\n    type", 1))
	}()
	h.must(h.gate.Once(t.Context())) // waits for it
	if h.obeyed() != 2 {
		t.Errorf("it obeys %d", h.obeyed())
	}
}

// Each token is a row of the journal: a Gate that fetched one for each wait of eight seconds would fill it.
func TestTheGatesTokenIsKeptUntilItIsNoLongerTaken(t *testing.T) {
	h := open(t)
	fetched := 0
	h.gate.Authorize = func(context.Context) (string, error) {
		fetched++
		return "Bearer good", nil
	}
	for range 3 {
		h.must(h.gate.Once(t.Context()))
	}
	if fetched != 1 {
		t.Errorf("three waits took %d tokens", fetched)
	}
	old := h.bearer.Swap(nil)
	if err := h.gate.Once(t.Context()); err == nil || fetched != 2 {
		t.Errorf("after the token died and no other was taken: %v, %d tokens", err, fetched)
	}
	h.bearer.Store(old)
	h.must(h.gate.Once(t.Context()))
	if fetched != 3 {
		t.Errorf("what was refused is sent again: %d tokens", fetched)
	}
}

func TestAfterARestoreAnEarlierRevisionIsObeyed(t *testing.T) {
	h := open(t)
	h.apply(strings.Replace(rules, "web:\n    type", "web:\n    name: {en: Bank}\n    type", 1))
	h.must(h.gate.Once(t.Context()))
	if h.obeyed() != 2 {
		t.Fatalf("it obeys %d", h.obeyed())
	}
	earlier, err := h.tenant.Revision(t.Context(), 1)
	h.must(err)
	bundle, err := recipe.Parse(earlier.Bundle)
	h.must(err)
	h.front.Force = func() *enact.Force { return &enact.Force{Number: 1, Digest: earlier.Digest, Bundle: bundle} }
	h.must(h.gate.Once(t.Context())) // the same history: 304
	if h.obeyed() != 2 {
		t.Errorf("an older revision of the same history is obeyed: %d", h.obeyed())
	}
	h.after = "restored"
	h.must(h.gate.Once(t.Context()))
	if h.obeyed() != 1 {
		t.Errorf("after the restore it obeys %d", h.obeyed())
	}
}

func TestWhatCanNotBeAdoptedIsTriedAgain(t *testing.T) {
	h := open(t)
	h.must(h.gate.Once(t.Context()))
	h.fail(errors.New("no such file"))
	h.apply(strings.Replace(rules, "web:\n    type", "web:\n    name: {en: Bank}\n    type", 1))
	for range 2 {
		if err := h.gate.Once(t.Context()); err == nil {
			t.Fatal("adopted")
		}
	}
	if node := h.node(); node.Revision != 1 || node.Ready || !strings.Contains(node.Problem, "no such file") {
		t.Errorf("the Server is told %+v", node)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.gate.Run(ctx) }()
	h.fail(nil)
	for range 100 {
		if h.obeyed() == 2 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if h.obeyed() != 2 {
		t.Error("it was never tried again")
	}
	cancel()
	h.must(<-done)
}

func TestAForgedRecipeIsNotObeyed(t *testing.T) {
	h := open(t)
	signer, err := h.keys.Signer(jose.ES256)
	h.must(err)
	forger := open(t)
	foreign, err := forger.keys.Signer(jose.ES256)
	h.must(err)
	honest := func() server.Statement {
		return server.Statement{
			Issuer: h.site.URL, Audience: "gate", IssuedAt: time.Now().Unix(), Expires: time.Now().Add(time.Minute).Unix(), Revision: 1,
			Epoch: "e", Digest: h.force.InForce().Digest,
		}
	}
	says := func(by *jose.Signer, typ string, change func(*server.Statement)) func([]byte) []byte {
		statement := honest()
		change(&statement)
		text, err := by.Sign(typ, statement)
		h.must(err)
		return func(body []byte) []byte {
			var document server.Document
			h.must(jose.DecodeJSON(body, &document))
			return []byte(strings.Replace(string(body), document.Statement, text, 1))
		}
	}
	same := func(*server.Statement) {}
	for name, alter := range map[string]func([]byte) []byte{
		"signed by another server": says(foreign, server.TypeRecipe, same),
		"another kind of token":    says(signer, "at+jwt", same),
		"for another Gate":         says(signer, server.TypeRecipe, func(s *server.Statement) { s.Audience = "gate-2" }),
		"from another issuer":      says(signer, server.TypeRecipe, func(s *server.Statement) { s.Issuer = "https://evil" }),
		"expired":                  says(signer, server.TypeRecipe, func(s *server.Statement) { s.Expires = time.Now().Unix() }),
		"without end":              says(signer, server.TypeRecipe, func(s *server.Statement) { s.Expires = 0 }),
		"of another bundle":        says(signer, server.TypeRecipe, func(s *server.Statement) { s.Digest = "sha256:0" }),
		"not newer":                says(signer, server.TypeRecipe, func(s *server.Statement) { s.Revision = 0 }),
		"of no epoch":              says(signer, server.TypeRecipe, func(s *server.Statement) { s.Epoch = "" }),
		"no statement":             func([]byte) []byte { return []byte(`{"bundle":""}`) },
		"no JSON":                  func([]byte) []byte { return []byte("<html>") },
		"an altered bundle": func(body []byte) []byte {
			var document, other server.Document
			h.must(jose.DecodeJSON(body, &document))
			bundle, err := recipe.Assemble("", []recipe.Source{{Name: "r", Text: []byte(strings.Replace(rules, "7101", "7102", 1))}}, nil, time.Now())
			h.must(err)
			other = server.Document{Statement: document.Statement, Bundle: bundle.Marshal()}
			return jsonOf(t, other)
		},
		"garbage for a bundle": func(body []byte) []byte {
			var document server.Document
			h.must(jose.DecodeJSON(body, &document))
			return jsonOf(t, server.Document{Statement: document.Statement, Bundle: []byte("{")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h.alter = alter
			if err := h.gate.Once(t.Context()); err == nil || h.obeyed() != 0 {
				t.Errorf("obeyed: %d, error %v", h.obeyed(), err)
			}
		})
	}
	h.alter = says(signer, server.TypeRecipe, same)
	h.must(h.gate.Once(t.Context()))
	if h.obeyed() != 1 {
		t.Error("an honest one is refused too: the table proves nothing")
	}
}

func TestWhoMayReadTheRecipe(t *testing.T) {
	h := open(t)
	epoch, err := h.epoch(t.Context())
	h.must(err)
	ask := func(query, authorization string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.site.URL+"/signals/recipe"+query, nil)
		h.must(err)
		r.Header.Set("Authorization", authorization)
		response, err := h.site.Client().Do(r)
		h.must(err)
		h.must(response.Body.Close())
		return response.StatusCode
	}
	for name, c := range map[string]struct {
		query, authorization string
		want                 int
	}{
		"a Gate":                      {"?node=n", "Bearer good", 200},
		"nobody":                      {"?node=n", "Bearer bad", 401},
		"no node":                     {"", "Bearer good", 400},
		"a long node":                 {"?node=" + strings.Repeat("n", 65), "Bearer good", 400},
		"after a word":                {"?node=n&after=x", "Bearer good", 400},
		"after below 0":               {"?node=n&after=-1", "Bearer good", 400},
		"after doubled":               {"?node=n&after=1&after=0", "Bearer good", 400},
		"nothing newer":               {"?node=n&after=1&epoch=" + epoch, "Bearer good", 304},
		"a number of another history": {"?node=n&after=1&epoch=other", "Bearer good", 200},
	} {
		if got := ask(c.query, c.authorization); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	h.front.Hold = 150 * time.Millisecond
	go func() {
		time.Sleep(50 * time.Millisecond)
		h.bearer.Store(nil)
	}()
	if got := ask("?node=n&after=1&epoch="+epoch, "Bearer good"); got != 401 {
		t.Errorf("a token that died during the wait: %d", got)
	}
	h.bearer.Store(&verify.Claims{ClientID: "web", Scope: oauth.Scope{"openid"}})
	if got := ask("?node=n", "Bearer good"); got != 403 {
		t.Errorf("a token that is no Gate's: %d", got)
	}
}
