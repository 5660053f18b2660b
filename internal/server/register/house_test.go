package register_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/internal/server/register"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

const rules = `
garde: 1
levels:
  - {name: basic, acr: "urn:basic", any: [password]}
scopes:
  accounts.read: {say: {en: See your balances}}
  accounts.write: {say: {en: Move your money}}
apis:
  accounts:
    at: https://api.bank.example/accounts
    upstream: http://127.0.0.1:7101
    operations:
      GET /balance: {for: [user], scope: accounts.read}
      POST /transfers: {for: [user], scope: accounts.write}
clients:
  own: {type: native, redirect_uris: ["com.example.bank:/cb"], scopes: [openid, accounts.read, accounts.write]}
registration:
  open:
    open: true
    types: [web, native, browser, service]
    scopes: [openid, profile, offline_access, accounts.read]
    grants: [authorization_code, refresh_token, client_credentials]
  invited: {scopes: [openid], trusted: true}
  vouched:
    software_statements: ["https://vouch.example=vouch.jwks.json"]
    scopes: [openid, accounts.read]
  strict: {open: true, types: [web], scopes: [openid], profile: fapi2-security}
  few: {open: true, scopes: [openid], most: 2, unused: 30d}
  pages:
    client_id_hosts: [127.0.0.1]
    types: [web, native, browser]
    scopes: [openid, accounts.read]
exceptions:
  secrets: {registration: open, allow: [client_secret_jwt, client_secret_post], why: tests, until: 2027-01-31}
`

var start = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// house is registration over real HTTP on a real engine, with a web of clients' hosts around it.
type house struct {
	*testing.T
	tenant *sqlstore.Tenant
	server *httptest.Server
	bundle atomic.Pointer[recipe.Bundle]
	rules  *register.Rules
	prover *clientauth.Prover
	known  *register.Documents
	usage  *register.Usage
	passed atomic.Int64
	files  map[string][]byte
	vouch  *jose.Signer

	outside *httptest.Server // where clients keep their documents
	mu      sync.Mutex
	pages   map[string]http.HandlerFunc
	hits    map[string]int
}

func (h *house) now() time.Time          { return start.Add(time.Duration(h.passed.Load())) }
func (h *house) pass(span time.Duration) { h.passed.Add(int64(span)) }

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) obey(text string) {
	h.Helper()
	files := h.files
	if !strings.Contains(text, "vouch.jwks.json") {
		files = nil
	}
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(text)}}, files, h.now())
	h.must(err)
	h.bundle.Store(bundle)
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{T: t, pages: map[string]http.HandlerFunc{}, hits: map[string]int{}, files: map[string][]byte{}}
	key, err := jose.GenerateKey(jose.ES256)
	h.must(err)
	h.vouch = &jose.Signer{Key: key, Alg: jose.ES256, KeyID: "v1"}
	set, err := jose.NewSet(jose.PublicKey{KeyID: "v1", Alg: jose.ES256, Key: key.Public()})
	h.must(err)
	h.files["vouch.jwks.json"], err = json.Marshal(set)
	h.must(err)
	h.obey(rules)
	h.openOutside()
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{Now: h.now})
	h.must(err)
	t.Cleanup(func() { _ = kept.Close() })
	h.tenant = kept.Tenant(iam.DefaultTenant)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.outside.Certificate().Raw})
	fetcher, err := fetch.New(fetch.Settings{AllowHosts: []string{h.outside.Listener.Addr().String()}, Authorities: authority})
	h.must(err)
	h.rules = &register.Rules{Bundle: h.bundle.Load, Fetcher: fetcher, Now: h.now}
	h.known = register.NewDocuments(h.tenant, h.tenant, h.rules, h.hosts())
	h.usage = &register.Usage{Store: h.tenant, Rules: h.rules, Lease: func(context.Context, time.Time, time.Time) (bool, error) { return true, nil }}
	h.prover = &clientauth.Prover{
		Clients: h.known, Now: h.now, Used: h.usage.Used,
		Methods: clientauth.All(clientauth.Needs{
			Issuer: "https://login.bank.example", Keys: &clientauth.Keys{Fetcher: fetcher, Now: h.now}, Once: once.NewNode(1000, h.now), Now: h.now,
		}),
	}
	h.openServer()
	return h
}

func (h *house) hosts() register.Limiter {
	return limit.New(limit.Rate{Burst: 20, Every: 3 * time.Second}, 1000, h.now)
}

func (h *house) openServer() {
	mux := http.NewServeMux()
	h.server = httptest.NewServer(mux)
	h.Cleanup(h.server.Close)
	h.rules.Issuer = h.server.URL
	endpoint := &register.Endpoint{
		Issuer: h.server.URL, Rules: h.rules, Store: h.tenant, Now: h.now,
		Seal: func(id, secret string) (string, error) { return "sealed:" + id + ":" + secret, nil },
	}
	face := web.Face{As: web.Bearer{}, Log: slog.New(slog.DiscardHandler)}
	mux.Handle(register.Place, face.Handle(endpoint.Register))
	mux.Handle(register.Place+"/{policy}", face.Handle(endpoint.Register))
	mux.Handle(register.Place+"/{policy}/{client}", face.Handle(endpoint.Manage))
}

func (h *house) openOutside() {
	h.outside = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.hits[r.URL.Path]++
		page := h.pages[r.URL.Path]
		h.mu.Unlock()
		if page == nil {
			http.NotFound(w, r)
			return
		}
		page(w, r)
	}))
	h.outside.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.outside.StartTLS()
	h.Cleanup(h.outside.Close)
}

// page puts a document on the outside and gives its address.
func (h *house) page(path, kind, body string, headers ...string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pages[path] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
	return h.outside.URL + path
}

func (h *house) asked(path string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hits[path]
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   map[string]any
}

func (a answer) text(name string) string {
	text, _ := a.body[name].(string)
	return text
}

func (a answer) json(name string) string {
	raw, _ := json.Marshal(a.body[name])
	return string(raw)
}

func (h *house) call(method, path, token, body string, headers ...string) answer {
	h.Helper()
	if strings.HasPrefix(path, "/") {
		path = h.server.URL + path
	}
	request, err := http.NewRequestWithContext(h.Context(), method, path, strings.NewReader(body))
	h.must(err)
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	h.must(err)
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	h.must(err)
	got := answer{status: response.StatusCode, header: response.Header}
	if len(bytes.TrimSpace(raw)) > 0 {
		h.must(json.Unmarshal(raw, &got.body))
	}
	return got
}

// register registers under a policy, or ends the test.
func (h *house) register(policy, body string) answer {
	h.Helper()
	got := h.call(http.MethodPost, "/register/"+policy, "", body)
	if got.status != http.StatusCreated {
		h.Fatalf("registration under %s: %d %v", policy, got.status, got.body)
	}
	return got
}

func (h *house) refused(got answer, status int, code string) {
	h.Helper()
	if got.status != status || got.text("error") != code {
		h.Errorf("answered %d %v, wanted %d %s", got.status, got.body, status, code)
	}
	if got.header.Get("Cache-Control") != "no-store" {
		h.Error("T24 the refusal may be kept by caches")
	}
}

// authenticate proves a client by Basic, as the token endpoint would.
func (h *house) authenticate(client, secret string) (iam.Client, error) {
	h.Helper()
	r := httptest.NewRequest(http.MethodPost, "/token", strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(client, secret)
	form, err := web.PostForm(r)
	h.must(err)
	return h.prover.Authenticate(r, form)
}
