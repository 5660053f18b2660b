package login_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/deliver"
	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/passkey"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/server/authorize"
	"github.com/gardeauth/garde/internal/server/consent"
	"github.com/gardeauth/garde/internal/server/login"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

const rules = `
garde: 1
company: {name: Bank of Example}
levels:
  - {name: basic, acr: "urn:garde:loa:basic", any: [password]}
scopes:
  accounts.read: {say: {en: See your balances, fr: Voir vos soldes}}
apis:
  accounts:
    at: https://api.bank.example/accounts
    upstream: http://127.0.0.1:7101
    operations:
      GET /balance: {for: [user], scope: accounts.read}
clients:
  budget:
    type: browser
    name: {en: Budget, fr: Mon budget}
    redirect_uris: ["https://budget.example/callback"]
    post_logout_redirect_uris: ["https://budget.example/bye", "https://budget.example/bye?from=garde"]
    scopes: [openid, offline_access, accounts.read]
  own:
    type: browser
    redirect_uris: ["https://www.bank.example/callback"]
    post_logout_redirect_uris: ["https://www.bank.example/bye"]
    scopes: [openid, accounts.read]
    consent: implied
  app:
    type: native
    redirect_uris: ["com.bank.app:/callback"]
    scopes: [openid, accounts.read]
signin:
  signup: true
  signup_hosts: [bank.example]
`

// clock is the time of a house; it goes on by itself and can be moved.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) pass(span time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += span
}

// house is the doors for people on SQLite in a temporary folder, behind TLS.
type house struct {
	t        testing.TB
	clock    *clock
	store    *store.Store
	tenant   *sqlstore.Tenant
	server   *httptest.Server
	sessions *session.Keeper
	login    *login.Endpoint
	keys     *keys.Ring
	force    *enact.Enactor
	parser   *request.Parser
	hasher   *password.Hasher
	face     web.Face
	pages    func() *page.Pages
	mux      *http.ServeMux
	offers   login.Offers
	sets     []string                // of factors, each of which is enough to sign in
	vouches  func([]iam.Proved) bool // nil: every session may approve
	sealer   seal.Sealer
	box      *postbox
	queue    *deliver.Queue
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, clock: &clock{}, mux: http.NewServeMux(), hasher: password.NewHasher(0, 0)}
	h.server = httptest.NewUnstartedServer(web.Secured(true, web.Traced(h.mux)))
	h.server.StartTLS()
	t.Cleanup(h.server.Close)
	ctx := t.Context()
	var err error
	h.store, err = store.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{Now: h.clock.now})
	h.must(err)
	t.Cleanup(func() { _ = h.store.Close() })
	h.tenant = h.store.Tenant(iam.DefaultTenant)
	master, err := seal.ParseMaster(seal.GenerateMaster())
	h.must(err)
	h.sealer = seal.Sealer{Current: master}
	h.adopt(ctx)
	h.keys = &keys.Ring{Store: h.tenant, Sealer: h.sealer, Tenant: iam.DefaultTenant, Now: h.clock.now}
	h.must(h.keys.Ensure(ctx, keys.Defaults[0]))
	pages, err := page.New(page.Theme{Name: "Bank of Example"})
	h.must(err)
	h.pages = func() *page.Pages { return pages }
	h.face = web.Face{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), As: web.Page{Render: h.showError}}
	h.sessions = &session.Keeper{
		Sessions: h.tenant, Lives: func() recipe.Lives { return h.force.Policy().Lives }, Secure: true, Now: h.clock.now,
		Reached: func(proofs []iam.Proved) string { return h.force.Policy().ReachedBy(proofs) },
	}
	h.parser = &request.Parser{
		Issuer: h.server.URL, Clients: h.tenant, Policy: h.force.Policy, Keys: ownKeys{h.keys}, Steps: request.Standard,
	}
	h.offers = login.Offers{SignUp: true, SignUpHosts: []string{"bank.example"}, Reset: true, Factors: []string{"password", "passkey", "security_key", "totp", "recovery_code"}, Judge: func(secret string, names ...string) (page.Fault, error) {
		return factor.Judge(password.Policy{Company: "Bank of Example"}, secret, names...)
	}}
	h.sets = []string{"password"}
	h.doors()
	return h
}

type ownKeys struct{ ring *keys.Ring }

func (k ownKeys) Key(_ context.Context, kid string) (jose.PublicKey, error) {
	if key, ok := k.ring.Find(kid); ok {
		return key, nil
	}
	return jose.PublicKey{}, verify.ErrUnknownKey
}

func (h *house) adopt(ctx context.Context) {
	h.t.Helper()
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(rules)}}, nil, time.Now())
	h.must(err)
	h.force = &enact.Enactor{Revisions: h.tenant, Issuer: h.server.URL}
	_, _, err = h.force.Apply(ctx, enact.Proposal{Bundle: bundle, By: "test"}, time.Now())
	h.must(err)
	h.must(h.force.Adopt(ctx))
}

func (h *house) showError(w http.ResponseWriter, r *http.Request, answer web.Answer) {
	err := h.pages().Render(w, r, answer.Status, page.Error{
		Common: page.Common{Trace: answer.Trace}, Code: answer.Code, Reason: string(answer.Reason), Detail: answer.Description,
	})
	if err != nil {
		h.t.Errorf("render an error: %v", err)
	}
}

func network(r *http.Request) string {
	if said := r.Header.Get("Test-Network"); said != "" { // a test is on one machine
		return said
	}
	return "127.0.0.1/32"
}

func say(scope string) map[string]string {
	if scope == "accounts.read" {
		return recipe.Text{"en": "See your balances", "fr": "Voir vos soldes"}
	}
	return nil
}

// holds is what people have to prove something with, at a server whose address is one that browsers take part at.
func (h *house) holds() factor.Needs {
	return factor.Needs{
		Passwords: h.tenant, Hasher: h.hasher, Authenticators: h.tenant, Approvals: h.tenant, Sessions: h.tenant,
		Party: func() (passkey.Party, bool) { return h.party(), true }, Sealer: h.sealer, Tenant: iam.DefaultTenant,
		Vouches: func(proofs []iam.Proved) bool { return h.vouches == nil || h.vouches(proofs) },
	}
}

func (h *house) party() passkey.Party {
	return passkey.Party{
		ID: "id.bank.example", Origin: "https://id.bank.example", Name: "Bank of Example", Sealer: h.sealer, Tenant: iam.DefaultTenant,
		Now: h.clock.now,
	}
}

// able names the factors that a person could prove.
func (h *house) able(ctx context.Context, user iam.User) ([]string, error) {
	held, err := h.holds().HeldBy(ctx, user, true, "")
	return factor.Able(factor.All(h.holds()), held), err
}

// Moment says that nothing is unusual.
func (h *house) Moment(context.Context, decide.Scene) (decide.Moment, error) {
	return decide.Moment{}, nil
}

// Learn takes nothing.
func (h *house) Learn(context.Context, decide.Scene) {}

func (h *house) doors() {
	desk := decide.New(decide.Desk{
		Policy: h.force.Policy, Users: h.tenant, Clients: h.tenant, Sessions: h.tenant, Journal: h.tenant, Factors: h.able, Facts: h, Now: h.clock.now,
	})
	h.run(desk.Run)
	front := &authorize.Endpoint{
		Issuer: h.server.URL, Parser: h.parser, Sessions: h.sessions, Flows: h.tenant, Codes: h.tenant, Consents: h.tenant,
		Assurance: desk, Address: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") },
		Pages: h.pages, Face: h.face, Now: h.clock.now,
	}
	failures := login.NewFailures(h.tenant, h.clock.now)
	h.run(failures.Run)
	h.login = &login.Endpoint{
		Issuer: h.server.URL, People: h.tenant, Clients: h.tenant, Sessions: h.sessions,
		Devices: &session.Devices{Keeper: h.sessions, Sealer: h.sealer, Tenant: iam.DefaultTenant, Kept: h.tenant},
		Factors: factor.All(h.holds()), Holds: h.holds(), Missing: assurance.Missing, Sets: func() []string { return h.sets },
		Hasher: h.hasher,
		Tries: &limit.Tries{
			Throttle: limit.NewThrottle(limit.Budgets{}, h.clock.now), Further: limit.New(limit.Rate{Burst: 10, Every: 5 * time.Minute}, 1000, h.clock.now),
			Shared: h.tenant, Now: h.clock.now,
		},
		Failures: failures, Network: network,
		Mails:  limit.New(limit.Rate{Burst: 20, Every: time.Minute}, 1000, h.clock.now),
		Offers: func() login.Offers { return h.offers }, Pages: h.pages, Face: h.face, Now: h.clock.now,
	}
	asking := &consent.Endpoint{
		Sessions: h.sessions, Flows: h.tenant, Users: h.tenant, Clients: h.tenant, Consents: h.tenant, Say: say, Pages: h.pages, Now: h.clock.now,
	}
	for path, handler := range map[string]web.Handler{
		"/authorize": front.Authorize, "/signin": h.login.SignIn, "/signin/next": h.login.Next, "/consent": asking.Consent,
	} {
		h.mux.Handle(path, h.face.Handle(handler))
	}
	h.more()
}

// run starts what runs in the background, and ends it with the test.
func (h *house) run(background func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- background(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			h.t.Errorf("in the background: %v", err)
		}
	})
}

const right = "a lamp beside seven rivers"

// person adds somebody; an empty password means none.
func (h *house) person(id, name, email, secret string) iam.User {
	h.t.Helper()
	user := iam.User{ID: id, Username: name, Email: email, EmailKey: email, EmailVerified: email != "", Name: "Dr " + name}
	kept := iam.Password{User: id}
	if secret != "" {
		var err error
		kept.PHC, err = h.hasher.Hash(h.t.Context(), secret)
		h.must(err)
	}
	h.must(h.tenant.AddUser(h.t.Context(), user, kept))
	return user
}

// browser is a person's browser: cookies, and no redirect that is not looked at.
type browser struct {
	*house
	client *http.Client
	header http.Header
}

func (h *house) browser() *browser {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	h.must(err)
	client := *h.server.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{h, &client, http.Header{}}
}

// seen is an answer that was read.
type seen struct {
	t        testing.TB
	status   int
	header   http.Header
	body     string
	location string
}

func (b *browser) do(method, path, body string) seen {
	b.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = b.server.URL + path
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
	b.must(err)
	for name, values := range b.header {
		r.Header[name] = values
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := b.client.Do(r)
	b.must(err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	b.must(err)
	return seen{b.t, response.StatusCode, response.Header, string(text), response.Header.Get("Location")}
}

func (b *browser) get(path string) seen { b.t.Helper(); return b.do(http.MethodGet, path, "") }

func (b *browser) post(path string, fields ...string) seen {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.do(http.MethodPost, path, form.Encode())
}

// follow goes where redirects lead, as long as they stay in the house.
func (b *browser) follow(at seen) seen {
	b.t.Helper()
	for range 10 {
		if at.status != http.StatusSeeOther || !strings.HasPrefix(at.location, "/") && !strings.HasPrefix(at.location, b.server.URL) {
			return at
		}
		at = b.get(at.location)
	}
	b.t.Fatal("redirects without an end")
	return at
}

func (b *browser) cookie(name string) string {
	address, err := url.Parse(b.server.URL)
	b.must(err)
	for _, cookie := range b.client.Jar.Cookies(address) {
		if cookie.Name == name {
			return cookie.Value
		}
	}
	return ""
}

// is fails unless the answer has that status and its body holds every text.
func (s seen) is(status int, texts ...string) seen {
	s.t.Helper()
	if s.status != status {
		s.t.Fatalf("status %d, want %d; location %q, body:\n%s", s.status, status, s.location, s.body)
	}
	for _, text := range texts {
		if !strings.Contains(html.UnescapeString(s.body), text) {
			s.t.Fatalf("the page lacks %q:\n%s", text, s.body)
		}
	}
	return s
}

// lacks fails if the body holds any of the texts.
func (s seen) lacks(texts ...string) seen {
	s.t.Helper()
	for _, text := range texts {
		if strings.Contains(s.body, text) {
			s.t.Fatalf("the page holds %q:\n%s", text, s.body)
		}
	}
	return s
}

// to fails unless the answer redirects to an address that begins so.
func (s seen) to(prefix string) seen {
	s.t.Helper()
	if s.status != http.StatusSeeOther || !strings.HasPrefix(s.location, prefix) {
		s.t.Fatalf("status %d to %q, want 303 to %s; body:\n%s", s.status, s.location, prefix, s.body)
	}
	return s
}

// hidden gives a hidden field.
func (s seen) hidden(name string) string {
	s.t.Helper()
	found := regexp.MustCompile(`type="hidden" name="` + name + `" value="([^"]*)"`).FindStringSubmatch(s.body)
	if found == nil {
		s.t.Fatalf("the page has no hidden field %s:\n%s", name, s.body)
	}
	return html.UnescapeString(found[1])
}

// param gives a parameter of the address that the answer redirects to.
func (s seen) param(name string) string {
	s.t.Helper()
	address, err := url.Parse(s.location)
	if err != nil {
		s.t.Fatal(err)
	}
	return address.Query().Get(name)
}

var verifier = strings.Repeat("v", 43)

// request is the address of an authorization request; extra overrides.
func ask(client string, extra ...string) string {
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"client_id": {client}, "response_type": {"code"}, "scope": {"openid accounts.read"}, "state": {"st"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		"redirect_uri": {map[string]string{
			"budget": "https://budget.example/callback", "own": "https://www.bank.example/callback", "app": "com.bank.app:/callback",
		}[client]},
	}
	for i := 0; i < len(extra); i += 2 {
		query.Set(extra[i], extra[i+1])
	}
	return "/authorize?" + query.Encode()
}

// signIn goes through the sign-in page and gives what follows it.
func (b *browser) signIn(at seen, name, secret string) seen {
	b.t.Helper()
	at = b.follow(at).is(http.StatusOK, `id="login-submit"`)
	return b.post("/signin", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "username", name, "password", secret)
}

// decide answers the consent page.
func (b *browser) decide(at seen, decision string) seen {
	b.t.Helper()
	at = b.follow(at).is(http.StatusOK, `id="consent-allow"`)
	return b.post("/consent", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "decision", decision)
}
