package authorize_test

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/recall"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/server/authorize"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/internal/server/consent"
	"github.com/gardeauth/garde/internal/server/par"
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
levels:
  - {name: basic,  acr: "urn:basic",  any: [password]}
scopes:
  accounts.read: {say: {en: See your balances}}
  payments.write: {say: {en: Pay}}
signin: {signup: true}
apis:
  payments:
    at: https://api.bank.example/payments
    upstream: http://127.0.0.1:7101
    operations:
      POST /payments: {for: [user], scope: payments.write}
    authorization_details:
      payment:
        schema: payment.json
        say: {en: "Pay {amount} EUR to {creditor}", fr: "Payer {amount} EUR à {creditor}"}
        scopes: [payments.write]
  accounts:
    at: https://api.bank.example/accounts
    upstream: http://127.0.0.1:7101
    operations:
      GET /balance: {for: [user], scope: accounts.read}
clients:
  web:
    type: browser
    redirect_uris: ["https://app.example/cb"]
    scopes: [openid, email, offline_access, accounts.read]
  own:
    type: browser
    redirect_uris: ["https://own.example/cb"]
    scopes: [openid, offline_access]
    consent: implied
  app:
    type: native
    redirect_uris: ["com.bank.app:/cb"]
    scopes: [openid]
    consent: implied
  pay:
    type: web
    auth: private_key_jwt
    jwks: keys.json
    redirect_uris: ["https://pay.example/cb"]
    scopes: [openid, payments.write]
    require_pushed_authorization_requests: true
    authorization_details_types: [payment]
    consent: implied
  front:
    type: web
    auth: private_key_jwt
    jwks: keys.json
    redirect_uris: ["https://front.example/cb"]
    scopes: [openid, email, offline_access, accounts.read]
    grants: [authorization_code, implicit, refresh_token]
    response_types: [code, id_token, id_token token, code id_token, code token, code id_token token]
    consent: implied
exceptions:
  front:
    client: front
    allow: [response_type.id_token, response_type.id_token+token, response_type.code+id_token, response_type.code+token, response_type.code+id_token+token]
    why: a test of each
    until: 2199-12-31
`

const paymentSchema = `{
  "type": "object", "required": ["type", "amount", "creditor"], "additionalProperties": false,
  "properties": {"type": {"const": "payment"}, "amount": {"type": "string"}, "creditor": {"type": "string"}, "iban": {"type": "string"}}
}`

const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

// house is /authorize on SQLite behind TLS, with a sign-in and a consent page that only mark what was done.
type house struct {
	t        testing.TB
	mu       sync.Mutex
	ahead    time.Duration
	tenant   *sqlstore.Tenant
	server   *httptest.Server
	sessions *session.Keeper
	keys     *keys.Ring
	client   *jose.Signer // the key of every client that has one
	front    *authorize.Endpoint
	proofs   *proofs
	desk     *decide.Desk
	has      map[string][]string // factors of people
	moment   decide.Moment       // what the facts say
	learned  []decide.Scene
}

// Moment and Learn are the facts, as a test says them.
func (h *house) Moment(context.Context, decide.Scene) (decide.Moment, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.moment, nil
}

func (h *house) Learn(_ context.Context, scene decide.Scene) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.learned = append(h.learned, scene)
}

// proofs tells which key a caller proved: it is named in a header, since how it is proved is another room's matter.
type proofs struct{}

func (*proofs) Offered(_ http.ResponseWriter, r *http.Request) (iam.Binding, func() error, error) {
	return iam.Binding{JKT: r.Header.Get("Proved")}, func() error { return nil }, nil
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.ahead)
}

func (h *house) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ahead += d
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) Key(_ context.Context, kid string) (jose.PublicKey, error) {
	if key, ok := h.keys.Find(kid); ok {
		return key, nil
	}
	return jose.PublicKey{}, verify.ErrUnknownKey
}

func open(t testing.TB) *house {
	t.Helper()
	return openWith(t, rules)
}

func openWith(t testing.TB, text string) *house {
	t.Helper()
	h := &house{t: t, has: map[string][]string{"u-alice": {"password"}, "u-bob": {"password"}}}
	ctx := t.Context()
	mux := http.NewServeMux()
	h.server = httptest.NewTLSServer(web.Secured(true, web.Traced(mux)))
	t.Cleanup(h.server.Close)
	kept, err := store.Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{Now: h.now})
	h.must(err)
	t.Cleanup(func() { _ = kept.Close() })
	h.tenant = kept.Tenant(iam.DefaultTenant)
	files := map[string][]byte{"keys.json": h.keySet(), "payment.json": []byte(paymentSchema)}
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return !strings.Contains(text, name) })
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(text)}}, files, time.Now())
	h.must(err)
	force := &enact.Enactor{Revisions: h.tenant, Issuer: h.server.URL}
	_, _, err = force.Apply(ctx, enact.Proposal{Bundle: bundle, By: "test"}, time.Now())
	h.must(err)
	h.must(force.Adopt(ctx))
	master, err := seal.ParseMaster(seal.GenerateMaster())
	h.must(err)
	h.keys = &keys.Ring{Store: h.tenant, Sealer: seal.Sealer{Current: master}, Tenant: iam.DefaultTenant, Now: h.now}
	h.must(h.keys.Ensure(ctx, jose.ES256))
	pages, err := page.New(page.Theme{Name: "Bank"})
	h.must(err)
	face := web.Face{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), As: web.Page{
		Render: func(w http.ResponseWriter, r *http.Request, answer web.Answer) {
			_ = pages.Render(w, r, answer.Status, page.Error{
				Common: page.Common{Trace: answer.Trace}, Code: answer.Code, Reason: string(answer.Reason), Detail: answer.Description,
			})
		},
	}}
	// The node remembers, as it does in the house; what a test does to h.tenant is what another node does.
	node, err := recall.New(h.tenant, 100)
	h.must(err)
	h.sessions = &session.Keeper{
		Sessions: node, Recalled: node, Lives: func() recipe.Lives { return force.Policy().Lives }, Secure: true, Now: h.now,
		Reached: func(proofs []iam.Proved) string { return force.Policy().ReachedBy(proofs) },
	}
	details, err := request.NewDetails(bundle)
	h.must(err)
	parser := &request.Parser{
		Issuer: h.server.URL, Clients: h.tenant, Policy: force.Policy, Keys: h, Steps: request.Standard, Now: h.now,
		Waiting: h.tenant, ClientKeys: &clientauth.Keys{Now: h.now}, Once: once.NewNode(1000, h.now),
		Details: func() *request.Details { return details },
	}
	h.desk = decide.New(decide.Desk{
		Policy: force.Policy, Users: h.tenant, Clients: h.tenant, Sessions: h.tenant, Journal: h.tenant, Facts: h, Now: h.now,
		Factors: func(_ context.Context, user iam.User) ([]string, error) { return h.has[user.ID], nil },
	})
	desk := &issue.Desk{
		Issuer: h.server.URL, Deeds: h.tenant, Users: h.tenant, Consents: h.tenant, Keys: h.keys, Policy: force.Policy,
		Steps: issue.Standard, Now: h.now,
	}
	h.front = &authorize.Endpoint{
		Issuer: h.server.URL, Sessions: h.sessions, Flows: h.tenant, Codes: h.tenant, Consents: h.tenant,
		Assurance: h.desk, Address: func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") },
		Help:  func() string { return "https://bank.example/help" },
		Pages: func() *page.Pages { return pages }, Face: face, Now: h.now, Parser: parser, Desk: desk, Signer: desk, Waiting: h.tenant,
	}
	mux.Handle("/authorize", face.Handle(h.front.Authorize))
	mux.Handle("/enter", face.Handle(h.enter))
	asking := &consent.Endpoint{
		Sessions: h.sessions, Flows: h.tenant, Users: h.tenant, Clients: h.tenant, Consents: h.tenant, Now: h.now,
		Say: func(scope string) map[string]string { return bundle.Recipe.Scopes[scope].Say }, Details: details.Shown,
		Pages: func() *page.Pages { return pages },
	}
	mux.Handle("/consent", face.Handle(asking.Consent))
	h.pushing(mux, parser)
	for _, name := range []string{"alice", "bob"} {
		h.must(h.tenant.AddUser(ctx, iam.User{ID: "u-" + name, Username: name}, iam.Password{User: "u-" + name}))
	}
	return h
}

// pushing opens /par, and /token for what comes of it.
func (h *house) pushing(mux *http.ServeMux, parser *request.Parser) {
	plain := web.Face{As: web.OAuth{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	prover := &clientauth.Prover{Clients: h.tenant, Now: h.now, Methods: clientauth.All(clientauth.Needs{
		Issuer: h.server.URL, Keys: &clientauth.Keys{Now: h.now}, Once: once.NewNode(10_000, h.now), Now: h.now,
	})}
	push := &par.Endpoint{Clients: prover, Parser: parser, Pushed: h.tenant, Proofs: h.proofs, Most: 20, Now: h.now}
	mux.Handle("/par", plain.Handle(push.Push))
}

func (h *house) keySet() []byte {
	h.t.Helper()
	key, err := jose.GenerateKey(jose.ES256)
	h.must(err)
	h.client = &jose.Signer{KeyID: "k", Alg: jose.ES256, Key: key}
	set, err := jose.NewSet(h.client.Public())
	h.must(err)
	raw, err := set.MarshalJSON()
	h.must(err)
	return raw
}

// enter does what the sign-in and consent pages do, without asking: ?user= signs in, ?prove= says by which factors, ?did=
// marks the flow. What was proved before by the same person goes along, and a challenge is answered.
func (h *house) enter(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	current, err := h.sessions.Current(r)
	flow := iam.Flow{}
	if key := query.Get("flow"); key != "" {
		var ended error
		if flow, ended = h.sessions.Resume(r, h.tenant, key); ended != nil {
			return ended
		}
	}
	if user := query.Get("user"); user != "" {
		proof := session.Proof{User: user}
		if err == nil && current.User == user {
			proof.Proofs, proof.Answered = slices.Clone(current.Proofs), current.Answered
		}
		for _, factor := range strings.Split(cmp.Or(query.Get("prove"), "password"), "+") {
			proof.Proofs = slices.DeleteFunc(proof.Proofs, func(old iam.Proved) bool { return old.Factor == factor })
			method := map[string]string{"password": "pwd", "passkey": "hwk", "totp": "otp"}[factor]
			proof.Proofs = append(proof.Proofs, iam.Proved{Factor: factor, At: h.now().Truncate(time.Second), Begun: h.now(), Methods: []string{method}})
		}
		if flow.Need != nil && !flow.Need.Cause.Zero() {
			proof.Answered = append(proof.Answered, iam.Answer{Cause: flow.Need.Cause, ACR: flow.Need.ACR, At: h.now()})
		}
		current, err = h.sessions.Start(w, r, proof, "")
	}
	if err != nil || query.Get("did") == "" {
		return err
	}
	flow.Session, flow.User = current.ID, current.User
	flow.Asked = append(flow.Asked, strings.Fields(query.Get("did"))...)
	return h.tenant.SetFlow(r.Context(), flow)
}

// browser is one person's browser, which follows nothing by itself.
type browser struct {
	*house
	client *http.Client
}

func (h *house) browser() *browser {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	h.must(err)
	client := *h.server.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{h, &client}
}

// seen is an answer.
type seen struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

func (s seen) location() string { return s.header.Get("Location") }

// values reads what went back to the client, by query or fragment.
func (s seen) values() url.Values {
	s.t.Helper()
	target, err := url.Parse(s.location())
	if err != nil || s.status != http.StatusSeeOther {
		s.t.Fatalf("status %d, location %q", s.status, s.location())
	}
	text := target.RawQuery
	if text == "" {
		text = target.EscapedFragment()
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return values
}

func (b *browser) do(r *http.Request) seen {
	b.t.Helper()
	response, err := b.client.Do(r)
	b.must(err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	b.must(err)
	return seen{b.t, response.StatusCode, response.Header, string(body)}
}

func (b *browser) get(path string) seen {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.server.URL+path, nil)
	b.must(err)
	return b.do(r)
}

func (b *browser) post(path, body string) seen {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.server.URL+path, strings.NewReader(body))
	b.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// signIn signs a person in beside any flow.
func (b *browser) signIn(user string) *browser {
	b.t.Helper()
	if got := b.get("/enter?user=" + user); got.status != http.StatusOK {
		b.t.Fatal(got.body)
	}
	return b
}

// does goes to the step that an answer sends to, does it, and comes back.
func (b *browser) does(at seen, query string) seen {
	b.t.Helper()
	target, err := url.Parse(at.location())
	b.must(err)
	flow := target.Query().Get("flow")
	if at.status != http.StatusSeeOther || flow == "" {
		b.t.Fatalf("no step: status %d, location %q", at.status, at.location())
	}
	if got := b.get("/enter?" + query + "&flow=" + flow); got.status != http.StatusOK {
		b.t.Fatal(got.status, got.body)
	}
	return b.get("/authorize?flow=" + flow)
}

// redirects are where each client's answers go.
var redirects = map[string]string{"web": "https://app.example/cb", "own": "https://own.example/cb", "app": "com.bank.app:/cb",
	"pay": "https://pay.example/cb", "front": "https://front.example/cb", "c-self": "https://self.example/cb",
}

func ask(client string, changes ...string) string {
	values := url.Values{
		"client_id": {client}, "redirect_uri": {redirects[client]}, "response_type": {"code"}, "scope": {"openid"}, "state": {"st"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		values.Set(changes[i], changes[i+1])
	}
	return values.Encode()
}

// to fails the test unless the answer goes to a step of ours.
func (s seen) to(step string) seen {
	s.t.Helper()
	if s.status != http.StatusSeeOther || !strings.HasPrefix(s.location(), step+"?flow=") {
		s.t.Fatalf("status %d, location %q, want %s", s.status, s.location(), step)
	}
	return s
}

// gives fails the test unless the answer goes to the client and carries name, iss and state.
func (s seen) gives(name, value string) seen {
	s.t.Helper()
	values := s.values()
	if got := values.Get(name); got == "" || value != "" && got != value {
		s.t.Fatalf("location %q, want %s=%s", s.location(), name, value)
	}
	if !slices.Equal(values["state"], []string{"st"}) || len(values["iss"]) != 1 {
		s.t.Errorf("R25 R26 location %q", s.location())
	}
	return s
}

func (h *house) hint(user string) string {
	h.t.Helper()
	signer, err := h.keys.Signer(jose.ES256)
	h.must(err)
	text, err := signer.Sign("JWT", map[string]any{"iss": h.server.URL, "sub": user, "aud": "own", "iat": h.now().Unix(), "exp": 1})
	h.must(err)
	return text
}

func (h *house) consent(user, client, scope string) {
	h.t.Helper()
	names, err := oauth.ParseScope(scope)
	h.must(err)
	h.must(h.tenant.GiveConsent(h.t.Context(), iam.Consent{User: user, Client: client, Scope: names}))
}
