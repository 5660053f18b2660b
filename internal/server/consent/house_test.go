package consent_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"html"
	"io"
	"log/slog"
	"net"
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
	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/deliver"
	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/passkey"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/server/account"
	"github.com/gardeauth/garde/internal/server/approve"
	"github.com/gardeauth/garde/internal/server/callback"
	"github.com/gardeauth/garde/internal/server/ciba"
	"github.com/gardeauth/garde/internal/server/clientauth"
	"github.com/gardeauth/garde/internal/server/consent"
	"github.com/gardeauth/garde/internal/server/device"
	"github.com/gardeauth/garde/internal/server/grant"
	"github.com/gardeauth/garde/internal/server/inspect"
	"github.com/gardeauth/garde/internal/server/login"
	"github.com/gardeauth/garde/internal/server/login/factor"
	"github.com/gardeauth/garde/internal/server/proof"
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
  - {name: basic, acr: "urn:garde:loa:basic", any: [password, passkey]}
  - {name: strong, acr: "urn:garde:loa:strong", any: [passkey]}
raise:
  - {when: "known.country && place.country == 'ATLANTIS'", deny: "We do not serve Atlantis."}
  - {when: "known.country && place.country == 'ELBONIA'", level: strong}
scopes:
  accounts.read: {say: {en: See your balances, fr: Voir vos soldes}}
  payees.write: {say: {en: Add recipients}}
apis:
  accounts:
    at: https://api.bank.example/accounts
    upstream: http://127.0.0.1:7101
    operations:
      GET /balance: {for: [user], scope: accounts.read}
      POST /payees: {for: [user], scope: payees.write, level: strong, fresh: 5m}
    authorization_details:
      payment: {schema: payment.json, say: {en: "Pay {amount} to {creditor}", fr: "Payer {amount} à {creditor}"}, scopes: [accounts.read]}
clients:
  cli: {type: native, grants: ["urn:ietf:params:oauth:grant-type:device_code"], scopes: [openid, accounts.read, payees.write, garde.approve], authorization_details_types: [payment]}
`

const schema = `{"type":"object","additionalProperties":false,"required":["type","amount","creditor"],
	"properties":{"type":{"const":"payment"},"amount":{"type":"string"},"creditor":{"type":"string"},"iban":{"type":"string"}}}`

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

// house is every door at which what waits elsewhere is asked for, decided and fetched, on SQLite, behind TLS.
type house struct {
	t        testing.TB
	clock    *clock
	tenant   *sqlstore.Tenant
	server   *httptest.Server
	mux      *http.ServeMux
	force    *enact.Enactor
	keys     *keys.Ring
	sealer   seal.Sealer
	sessions *session.Keeper
	pages    *page.Pages
	hasher   *password.Hasher
	queue    *deliver.Queue
	callback *receiver
	limits   *ciba.Limits
	details  *request.Details
	signer   *jose.Signer // key of the client "signed"
	rsa      *jose.Signer // of the client "rsa"
	secret   string       // of every client that has one
	country  string       // where the facts say that everybody is
	has      []string     // factors that everybody has
	dies     bool         // right after a decision is kept
	learnt   int          // moments that the facts were taught
}

// mortal is a node that may die once it has kept a decision.
type mortal struct {
	consent.Teller
	dies *bool
}

func (m mortal) Kept(asked iam.Asked, allowed bool) {
	if !*m.dies {
		m.Teller.Kept(asked, allowed)
	}
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func open(t testing.TB) *house { return openOn(t, "sqlite:"+filepath.Join(t.TempDir(), "garde.db")) }

func openOn(t testing.TB, dsn string) *house {
	t.Helper()
	h := &house{t: t, clock: &clock{}, mux: http.NewServeMux(), hasher: password.NewHasher(0, 0), secret: iam.NewSecret(iam.PrefixClient), country: "FR", has: []string{"password", "passkey"}}
	h.server = httptest.NewUnstartedServer(web.Secured(true, web.Traced(h.mux)))
	h.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	h.server.StartTLS()
	t.Cleanup(h.server.Close)
	ctx := t.Context()
	kept, err := store.Open(ctx, dsn, store.Options{Now: h.clock.now})
	h.must(err)
	t.Cleanup(func() { _ = kept.Close() })
	h.tenant = kept.Tenant(iam.DefaultTenant)
	master, err := seal.ParseMaster(seal.GenerateMaster())
	h.must(err)
	h.sealer = seal.Sealer{Current: master}
	bundle := h.reads(rules)
	h.details, err = request.NewDetails(bundle)
	h.must(err)
	h.force = &enact.Enactor{Revisions: h.tenant, Issuer: h.server.URL}
	h.adopt(bundle)
	h.keys = &keys.Ring{Store: h.tenant, Sealer: h.sealer, Tenant: iam.DefaultTenant, Now: h.clock.now}
	h.must(h.keys.Ensure(ctx, jose.ES256))
	h.pages, err = page.New(page.Theme{Name: "Bank of Example"})
	h.must(err)
	h.sessions = &session.Keeper{
		Sessions: h.tenant, Lives: func() recipe.Lives { return h.force.Policy().Lives }, Secure: true, Now: h.clock.now,
		Reached: func(proofs []iam.Proved) string { return h.force.Policy().ReachedBy(proofs) },
	}
	h.callback = newReceiver(t)
	h.clients()
	for _, name := range []string{"alice", "bob"} {
		phc, err := h.hasher.Hash(ctx, right)
		h.must(err)
		user := iam.User{ID: "u-" + name, Username: name, Email: name + "@bank.example", EmailKey: name + "@bank.example", EmailVerified: true}
		h.must(h.tenant.AddUser(ctx, user, iam.Password{User: user.ID, PHC: phc}))
	}
	h.doors()
	return h
}

const right = "a lamp beside seven rivers"

// clients adds one of each kind.
func (h *house) clients() {
	h.t.Helper()
	key, err := jose.GenerateKey(jose.ES256)
	h.must(err)
	h.signer = &jose.Signer{Key: key, Alg: jose.ES256, KeyID: "k"}
	set, err := jose.NewSet(jose.PublicKey{KeyID: "k", Alg: jose.ES256, Key: key.Public()})
	h.must(err)
	jwks, err := json.Marshal(set)
	h.must(err)
	native := func(client *iam.Client) {
		client.Kind, client.Auth, client.Grants = recipe.Native, oauth.AuthNone, []oauth.GrantType{oauth.DeviceCode, oauth.RefreshToken}
	}
	for id, change := range map[string]func(*iam.Client){
		"tv": func(c *iam.Client) {
			native(c)
			c.Name = recipe.Text{"en": "Budget on TV", "fr": "Budget à la télé"}
		},
		"radio":    native,
		"stranger": func(c *iam.Client) { native(c); c.Unverified = true },
		"own":      func(c *iam.Client) { native(c); c.Consent = recipe.ConsentImplied },
		"wallet":   func(c *iam.Client) { native(c); c.Scope = append(c.Scope, oauth.ScopeApprove) },
		"signing":  func(c *iam.Client) { native(c); c.SignedRequest = true },
		"codeless": func(c *iam.Client) { native(c); c.Grants = []oauth.GrantType{oauth.AuthorizationCode} },
		"shop":     func(c *iam.Client) { c.Name = recipe.Text{"en": "Corner Shop"} },
		"other":    func(*iam.Client) {},
		"ping":     func(c *iam.Client) { c.CIBADelivery, c.CIBANotify = "ping", h.callback.server.URL },
		"push":     func(c *iam.Client) { c.CIBADelivery, c.CIBANotify = "push", h.callback.server.URL },
		"pushtls": func(c *iam.Client) {
			c.CIBADelivery, c.CIBANotify, c.TLSBound = "push", h.callback.server.URL, true
		},
		"rsa":    func(c *iam.Client) { c.JWKS, c.CIBAAlg = h.rsaKeys(), "RS256" },
		"signed": func(c *iam.Client) { c.JWKS, c.CIBAAlg = string(jwks), "ES256" },
		"bank": func(c *iam.Client) {
			c.Profile, c.Auth, c.JWKS = recipe.FAPI2Security, oauth.AuthPrivateKey, string(jwks)
		},
		"hints": func(c *iam.Client) { c.JWKS = string(jwks) },
	} {
		client := iam.Client{
			ID: id, Source: iam.FromAdmin, Kind: recipe.Web, Auth: oauth.AuthBasic, Scope: oauth.Scope{"openid", "email", "offline_access", "accounts.read", "payees.write"},
			Grants: []oauth.GrantType{oauth.CIBA, oauth.RefreshToken},
		}
		client.Details = []string{"payment"}
		change(&client)
		h.must(h.tenant.PutClient(h.t.Context(), client))
		if client.Auth == oauth.AuthBasic {
			h.must(h.tenant.AddClientSecret(h.t.Context(), id, iam.ClientSecret{ID: id, Hash: iam.Hash(h.secret), Created: h.clock.now()}))
		}
	}
}

type ownKeys struct{ ring *keys.Ring }

func (k ownKeys) Key(_ context.Context, kid string) (jose.PublicKey, error) {
	if key, ok := k.ring.Find(kid); ok {
		return key, nil
	}
	return jose.PublicKey{}, verify.ErrUnknownKey
}

func network(r *http.Request) string {
	if said := r.Header.Get("Test-Network"); said != "" { // a test is on one machine
		return said
	}
	return "127.0.0.1/32"
}

func address(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.7") }

// Moment and Learn are the facts, as a test says them.
func (h *house) Moment(context.Context, decide.Scene) (decide.Moment, error) {
	return decide.Moment{Place: assurance.Place{Country: h.country}}, nil
}

// Learn counts.
func (h *house) Learn(context.Context, decide.Scene) { h.learnt++ }

func say(scope string) map[string]string {
	if scope == "accounts.read" {
		return recipe.Text{"en": "See your balances", "fr": "Voir vos soldes"}
	}
	return nil
}

func (h *house) showError(w http.ResponseWriter, r *http.Request, answer web.Answer) {
	err := h.pages.Render(w, r, answer.Status, page.Error{
		Common: page.Common{Trace: answer.Trace}, Code: answer.Code, Reason: string(answer.Reason), Detail: answer.Description,
	})
	if err != nil {
		h.t.Errorf("render an error: %v", err)
	}
}

// doors puts together what app does.
func (h *house) doors() {
	now, secretless := h.clock.now, slog.New(slog.NewTextHandler(io.Discard, nil))
	policy, pages := h.force.Policy, func() *page.Pages { return h.pages }
	people := web.Face{Log: secretless, As: web.Page{Render: h.showError}}
	programs, bearer := web.Face{Log: secretless, As: web.OAuth{}}, web.Face{Log: secretless, As: web.Bearer{DPoP: binding.Challenge()}}
	clientKeys := &clientauth.Keys{Now: now}
	desk, err := proof.New(proof.Config{Judge: &binding.Judge{Once: once.NewNode(1000, now), Now: now}, Bases: []string{h.server.URL}})
	h.must(err)
	clients := &clientauth.Prover{Clients: h.tenant, Now: now, Methods: clientauth.All(clientauth.Needs{
		Issuer: h.server.URL, Secrets: func(string) (iam.Digest, error) { return iam.Digest{}, errors.New("none") }, Keys: clientKeys,
		Once: once.NewNode(1000, now), Now: now,
	})}
	parser := &request.Parser{
		Issuer: h.server.URL, Clients: h.tenant, Policy: policy, Keys: ownKeys{h.keys}, Steps: request.Standard, ClientKeys: clientKeys,
		Once: once.NewNode(1000, now), Details: func() *request.Details { return h.details }, Now: now,
	}
	mint := &issue.Desk{
		Issuer: h.server.URL, Deeds: h.tenant, Users: h.tenant, Consents: h.tenant, Keys: h.keys, Policy: policy, Steps: issue.Standard, Now: now,
	}
	needs := grant.Needs{Codes: h.tenant, Refreshes: h.tenant, Policy: policy, Asking: h.tenant, Users: h.tenant, Now: now}
	redeeming := &grant.Endpoint{Clients: clients, Grants: grant.All(needs), Issuer: mint, Proofs: desk}
	codeKey, err := h.sealer.Current.Subkey("user codes")
	h.must(err)

	h.limits = ciba.NewLimits(ciba.Budgets{}, now)
	fetcher, err := fetch.New(fetch.Settings{AllowHosts: []string{h.callback.host()}, Authorities: h.callback.authority()})
	h.must(err)
	notices := callback.Notices{Sealer: h.sealer, Tenant: iam.DefaultTenant}
	teller := &callback.Teller{
		Notices: notices, Clients: h.tenant, Sender: fetcher, Orders: grant.Decided{Needs: needs}, Issuer: mint, Grants: h.tenant,
		Denied: h.limits.Denied, Now: now,
	}
	h.queue = deliver.New(deliver.Queue{
		Deliveries: h.tenant, Journal: h.tenant, Sealer: h.sealer, Tenant: iam.DefaultTenant, Now: now, Log: secretless,
		Works: map[string]deliver.Work{callback.KindDecided: teller.Work, callback.KindPush: teller.Push, callback.KindLapsed: teller.Lapse},
	})
	teller.Queue = h.queue
	elsewhere := &consent.Elsewhere{
		Asking: h.tenant, Clients: h.tenant, Parser: parser, Life: func() time.Duration { return policy().Lives.Refresh }, Say: say,
		Details: h.details.Shown, Teller: mortal{teller, &h.dies}, Now: now, Pages: pages, Help: func() string { return "mailto:help@bank.example" },
		Desk: decide.New(decide.Desk{
			Policy: policy, Users: h.tenant, Clients: h.tenant, Sessions: h.tenant, Journal: h.tenant, Facts: h, Now: now,
			Factors: func(context.Context, iam.User) ([]string, error) { return h.has, nil },
		}),
	}
	asking := &device.Endpoint{
		Issuer: h.server.URL, Clients: clients, Parser: parser, Asking: h.tenant, Key: codeKey, Network: network, Proofs: desk, Now: now,
		Complete: func(client iam.Client) bool { return client.ID == "own" },
		Throttle: limit.New(limit.Rate{Burst: 60, Every: time.Second}, 1000, now),
	}
	calling := &ciba.Endpoint{
		Issuer: h.server.URL, Clients: clients, Parser: parser, Asking: h.tenant, Users: h.tenant, Notices: notices, Limits: h.limits,
		Network: network, Proofs: desk, Keys: clientKeys, Lapsed: h.queue, Now: now,
	}
	tokens, err := inspect.New(inspect.Config{
		Issuer: h.server.URL, Keys: ownKeys{h.keys}, Audience: func(audience string) bool { return audience == h.server.URL }, Opaque: h.tenant,
		Revocations: &verify.Revocations{Now: now}, Fresh: func() bool { return true }, Proofs: desk, Now: now,
	})
	h.must(err)
	api := &approve.Approvals{Tokens: tokens, Grants: h.tenant, Users: h.tenant, Elsewhere: elsewhere, Address: address}
	holds := factor.Needs{Passwords: h.tenant, Hasher: h.hasher, Authenticators: h.tenant, Approvals: h.tenant, Sessions: h.tenant, Party: func() (passkey.Party, bool) { return passkey.Party{}, false }}
	signing := &login.Endpoint{
		Issuer: h.server.URL, People: h.tenant, Clients: h.tenant, Sessions: h.sessions,
		Devices: &session.Devices{Keeper: h.sessions, Sealer: h.sealer, Tenant: iam.DefaultTenant, Kept: h.tenant},
		Factors: factor.All(holds), Holds: holds, Missing: assurance.Missing, Hasher: h.hasher,
		Tries:    &limit.Tries{Throttle: limit.NewThrottle(limit.Budgets{}, now), Further: limit.New(limit.Rate{Burst: 10, Every: time.Minute}, 1000, now)},
		Failures: login.NewFailures(h.tenant, now), Network: network,
		Mails:  limit.New(limit.Rate{Burst: 20, Every: time.Minute}, 1000, now),
		Post:   h.queue,
		Sets:   func() []string { return []string{"password"} },
		Offers: func() login.Offers { return login.Offers{Factors: []string{"password"}} }, Pages: pages, Face: people, Now: now,
	}
	typing := &device.Pages{
		Sessions: h.sessions, Flows: h.tenant, Users: h.tenant, Elsewhere: elsewhere, Key: codeKey, Tries: device.NewTries(device.Budgets{}, h.tenant, now),
		Network: network, Address: address, Locked: signing.Locked, Pages: pages, Face: people, Now: now,
	}
	deciding := &approve.Pages{Sessions: h.sessions, Flows: h.tenant, Users: h.tenant, Elsewhere: elsewhere, Address: address, Pages: pages}
	mine := &account.Endpoint{
		Keeping: h.tenant, Access: h.tenant, Clients: h.tenant, Sessions: h.sessions, Devices: signing.Devices, Hasher: h.hasher,
		Tries: signing.Tries, Network: network, Say: say, Waits: elsewhere.Any, Pages: pages, Face: people, Now: now,
	}
	consents := &consent.Endpoint{Sessions: h.sessions, Flows: h.tenant, Users: h.tenant, Clients: h.tenant, Consents: h.tenant, Say: say, Pages: pages, Now: now}
	for path, handler := range map[string]http.Handler{
		"/device_authorization": programs.Handle(asking.Authorize), "/bc-authorize": programs.Handle(calling.Authorize),
		"/token": programs.Handle(redeeming.Token), "/requests": bearer.Handle(api.List), "/requests/{id}": bearer.Handle(api.Decide),
		"/device": people.Handle(typing.Enter), "/device/confirm": people.Handle(typing.Confirm), "/device/done": people.Handle(typing.Done),
		"/account/requests": people.Handle(deciding.Requests), "/account": people.Handle(mine.Account), "/signin": people.Handle(signing.SignIn),
		"/passkey": people.Handle(h.passkey), "/account/everywhere": people.Handle(mine.Everywhere), "/consent": people.Handle(consents.Consent),
	} {
		h.mux.Handle(path, handler)
	}
}

// receiver is the notification endpoint of a client.
type receiver struct {
	server *httptest.Server
	mu     sync.Mutex
	got    []notification
	answer func(w http.ResponseWriter)
}

type notification struct {
	bearer string
	body   map[string]any
}

func newReceiver(t testing.TB) *receiver {
	r := &receiver{answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }}
	r.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		one := notification{bearer: request.Header.Get("Authorization")}
		if err := json.NewDecoder(request.Body).Decode(&one.body); err != nil || request.Header.Get("Content-Type") != "application/json" {
			t.Errorf("a notification that is no JSON: %v", err)
		}
		r.got = append(r.got, one)
		r.answer(w)
	}))
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) host() string { return r.server.Listener.Addr().(*net.TCPAddr).String() }

func (r *receiver) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})
}

func (r *receiver) take() []notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

func (r *receiver) answers(answer func(http.ResponseWriter)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// deliveries does what is due, until nothing is.
func (h *house) deliveries() {
	h.t.Helper()
	for {
		done, err := h.queue.Turn(h.t.Context())
		h.must(err)
		if done == 0 {
			return
		}
	}
}

// seen is an answer that was read.
type seen struct {
	t        testing.TB
	status   int
	header   http.Header
	body     string
	location string
}

// calls is a program: it sends a form, as a client with a secret where it has one.
func (h *house) calls(client, path string, fields ...string) seen {
	h.t.Helper()
	return h.callsWith(nil, client, path, fields...)
}

func (h *house) assertion(client string) string {
	h.t.Helper()
	text, err := h.signer.Sign("client-authentication+jwt", map[string]any{
		"iss": client, "sub": client, "aud": h.server.URL, "jti": iam.NewSecret("j"), "iat": h.clock.now().Unix(), "exp": h.clock.now().Add(time.Minute).Unix(),
	})
	h.must(err)
	return text
}

func (h *house) callsWith(key *prover.Key, client, path string, fields ...string) seen {
	h.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	known, err := h.tenant.Client(h.t.Context(), client)
	if err == nil && known.Auth == oauth.AuthNone {
		form.Set("client_id", client)
	}
	if err == nil && known.Auth == oauth.AuthPrivateKey {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", h.assertion(client))
	}
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.server.URL+path, strings.NewReader(form.Encode()))
	h.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if known.Auth == oauth.AuthBasic {
		r.SetBasicAuth(client, h.secret)
	}
	if key != nil {
		text, err := key.Proof(http.MethodPost, h.server.URL+path, "", nil)
		h.must(err)
		r.Header.Set("DPoP", text)
	}
	return h.send(h.server.Client(), r)
}

func (h *house) send(client *http.Client, r *http.Request) seen {
	h.t.Helper()
	response, err := client.Do(r)
	h.must(err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	h.must(err)
	return seen{h.t, response.StatusCode, response.Header, string(text), response.Header.Get("Location")}
}

// json gives the members of an answer.
func (s seen) json(status int) map[string]any {
	s.t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(s.body), &members); err != nil || s.status != status {
		s.t.Fatalf("status %d, want %d: %s", s.status, status, s.body)
	}
	if s.header.Get("Cache-Control") != "no-store" {
		s.t.Errorf("Cache-Control %q", s.header.Get("Cache-Control"))
	}
	return members
}

// told fails the test unless the answer is an error of the protocol with exactly that status, code and text.
func (s seen) told(status int, code, description string) {
	s.t.Helper()
	var body struct{ Error, Description, Trace string }
	members := map[string]*string{"error": &body.Error, "error_description": &body.Description, "trace": &body.Trace}
	var raw map[string]string
	err := json.Unmarshal([]byte(s.body), &raw)
	for name, value := range raw {
		if members[name] == nil {
			s.t.Errorf("a member %s: %s", name, s.body)
			continue
		}
		*members[name] = value
	}
	if err != nil || s.status != status || body.Error != code || body.Description != description {
		s.t.Errorf("status %d, %s; want %d %s %q", s.status, s.body, status, code, description)
	}
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

func (b *browser) do(method, path, body string) seen {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.server.URL+strings.TrimPrefix(path, b.server.URL), strings.NewReader(body))
	b.must(err)
	for name, values := range b.header {
		r.Header[name] = values
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return b.send(b.client, r)
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

// follow goes where redirects lead.
func (b *browser) follow(at seen) seen {
	b.t.Helper()
	for range 10 {
		if at.status != http.StatusSeeOther {
			return at
		}
		at = b.get(at.location)
	}
	b.t.Fatal("redirects without an end")
	return at
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

// signIn goes through the sign-in page and gives what follows it.
func (b *browser) signIn(at seen, name string) seen {
	b.t.Helper()
	at = b.follow(at).is(http.StatusOK, `id="login-submit"`)
	return b.follow(b.post("/signin", "flow", at.hidden("flow"), "csrf", at.hidden("csrf"), "username", name, "password", right))
}

func (h *house) reads(rules string) *recipe.Bundle {
	h.t.Helper()
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(rules)}}, map[string][]byte{"payment.json": []byte(schema)}, time.Now())
	h.must(err)
	return bundle
}

// adopt puts a recipe in force.
func (h *house) adopt(bundle *recipe.Bundle) {
	h.t.Helper()
	_, _, err := h.force.Apply(h.t.Context(), enact.Proposal{Bundle: bundle, Expect: -1, By: "test"}, time.Now())
	h.must(err)
	h.must(h.force.Adopt(h.t.Context()))
}
