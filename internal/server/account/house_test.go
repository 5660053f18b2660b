package account_test

import (
	"context"
	"crypto/rand"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/facts"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/limit"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/otp"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/passkey"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/server/account"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

const origin = "https://id.bank.example"

// house is the pages of accounts on SQLite in a temporary folder, behind TLS. Nobody signs in here: the door /in begins the
// session that a test wants.
type house struct {
	t        *testing.T
	mu       sync.Mutex
	ahead    time.Duration
	tenant   *sqlstore.Tenant
	server   *httptest.Server
	sessions *session.Keeper
	pages    *page.Pages
	sealer   seal.Sealer
	own      *account.Endpoint
	desk     *facts.Desk
	mails    []page.MailKind
	offered  []string
	due      []string
	until    time.Time
	stopped  error // what the moment says to who changes anything; nil: nothing
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Add(h.ahead)
}

func (h *house) pass(span time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ahead += span
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, offered: []string{"password", "passkey", "security_key", "totp", "recovery_code", "email", "approval"}}
	mux := http.NewServeMux()
	h.server = httptest.NewTLSServer(web.Secured(true, web.Traced(mux)))
	t.Cleanup(h.server.Close)
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{Now: h.now})
	h.must(err)
	t.Cleanup(func() { _ = kept.Close() })
	h.tenant = kept.Tenant(iam.DefaultTenant)
	master, err := seal.ParseMaster(seal.GenerateMaster())
	h.must(err)
	h.sealer = seal.Sealer{Current: master}
	h.pages, err = page.New(page.Theme{Name: "Bank of Example"})
	h.must(err)
	h.sessions = &session.Keeper{
		Sessions: h.tenant, Lives: func() recipe.Lives { return recipe.Lifetimes{}.Lives() }, Secure: true, Now: h.now,
	}
	h.desk = &facts.Desk{
		Habits: h.tenant, Devices: h.tenant, Authenticators: h.tenant, Sealer: h.sealer, Tenant: iam.DefaultTenant,
		Risk: func() recipe.Risk { return recipe.Risk{} }, Failures: facts.NewFailures(h.now), Now: h.now,
	}
	h.doors(mux)
	return h
}

func (h *house) doors(mux *http.ServeMux) {
	face := web.Face{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), As: web.Page{Render: func(w http.ResponseWriter, r *http.Request, answer web.Answer) {
		h.must(h.pages.Render(w, r, answer.Status, page.Error{
			Common: page.Common{Trace: answer.Trace}, Code: answer.Code, Reason: string(answer.Reason), Detail: answer.Description,
		}))
	}}}
	h.own = &account.Endpoint{
		Keeping: h.tenant, Access: h.tenant, Clients: h.tenant, Sessions: h.sessions,
		Devices: &session.Devices{Keeper: h.sessions, Sealer: h.sealer, Tenant: iam.DefaultTenant, Kept: h.tenant},
		Hasher:  password.NewHasher(0, 0), Tries: tries(h),
		Network: func(*http.Request) string { return "192.0.2.1/32" },
		Say:     func(string) map[string]string { return nil }, Pages: func() *page.Pages { return h.pages }, Face: face,
		Factors: &account.Factors{
			Kept: h.tenant, Makes: makes{h}, Offered: func() []string { return h.offered },
			Notes: session.Notes{Sealer: h.sealer, Tenant: iam.DefaultTenant}, Demand: h.demand, WayIn: wayIn,
			Due: func(context.Context, iam.User) ([]string, time.Time, error) { return h.due, h.until, nil },
			Tell: func(_ *http.Request, _ iam.User, kind page.MailKind) error {
				h.mails = append(h.mails, kind)
				return nil
			},
		},
		Known: h.tenant, Habits: &account.Habits{Kept: h.tenant, Learning: h.desk}, Approvals: h.tenant,
		Accounts: &session.Accounts{Keeper: h.sessions, Sealer: h.sealer, Tenant: iam.DefaultTenant}, Now: h.now,
	}
	doors := map[string]web.Handler{
		"/account": h.own.Account, "/account/signout": h.own.SignOut, "/account/everywhere": h.own.Everywhere, "/account/notme": h.own.NotMe,
		"/account/sessions": h.own.EndSession, "/account/password": h.own.Password, "/account/security": h.own.Security, "/account/security/factor": h.own.Factor,
		"/account/security/codes": h.own.Codes, "/account/devices": h.own.DevicesPage, "/account/habits": h.own.HabitsPage,
		"/account/approvals": h.own.ApprovalsPage, "/choose": h.own.Choose, "/signin/enrol": h.own.Enrol, "/in": h.in,
	}
	for _, kind := range account.Kinds() {
		doors["/account/security/"+kind] = h.own.Add(kind)
	}
	for path, door := range doors {
		mux.Handle(path, face.Handle(door))
	}
}

// in begins a session: /in?user=U&factors=password,totp&ago=1h&device=D&credential=C, which is that of a passkey.
func (h *house) in(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	ago, _ := time.ParseDuration(query.Get("ago"))
	at := h.now().Add(-ago).Truncate(time.Second)
	proof := session.Proof{User: query.Get("user"), Device: query.Get("device"), Agent: session.Agent(r), Address: "192.0.2.1/32"}
	for factor := range strings.SplitSeq(query.Get("factors"), ",") {
		proved := iam.Proved{Factor: factor, At: at, Begun: at, Methods: []string{"pwd"}}
		if factor == "passkey" {
			proved.Credential, proved.Methods = query.Get("credential"), []string{"hwk", "user", "mfa"}
		}
		proof.Proofs = append(proof.Proofs, proved)
	}
	if _, err := h.sessions.Start(w, r, proof, "trace"); err != nil {
		return err
	}
	h.sessions.Browser(w, r)
	session.SeeOther(w, "/account")
	return nil
}

// wayIn is what this house lets in.
func wayIn(left iam.Left) bool {
	return left.Password || left.Mail || slices.Contains(left.Kinds, iam.FactorPasskey)
}

// ladder is that of the plan: a password is basic, a passkey, or a password and a one-time password, is strong.
var ladder = []struct {
	acr  string
	sets []string
}{{"strong", []string{"passkey", "password+totp", "password+recovery_code"}}, {"basic", []string{"password"}}}

// demand is the rule that app puts together from the policy.
func (h *house) demand(r *http.Request, user iam.User, here iam.Session) (*iam.Need, error) {
	if h.stopped != nil {
		return nil, h.stopped
	}
	ctx, proofs := r.Context(), here.Proofs
	held := []string{"password"}
	kept, err := h.tenant.Authenticators(ctx, user.ID)
	for _, one := range kept {
		held = append(held, string(one.Kind))
	}
	for _, rung := range ladder {
		need := iam.Need{ACR: rung.acr, Fresh: 10 * time.Minute, Since: h.now()}
		for _, set := range rung.sets {
			whole := !slices.ContainsFunc(strings.Split(set, "+"), func(factor string) bool { return !slices.Contains(held, factor) })
			fresh := !slices.ContainsFunc(strings.Split(set, "+"), func(factor string) bool {
				return !slices.ContainsFunc(proofs, func(one iam.Proved) bool { return one.Factor == factor && h.now().Sub(one.At) <= need.Fresh })
			})
			if whole && fresh {
				return nil, err
			}
			if whole {
				need.Sets = append(need.Sets, set)
			}
		}
		if len(need.Sets) > 0 {
			return &need, err
		}
	}
	return nil, oauth.UnmetAuthentication("nothing")
}

// makes makes factors as the Server does.
type makes struct{ *house }

func (m makes) party() passkey.Party {
	return passkey.Party{ID: "id.bank.example", Origin: origin, Name: "Bank", Sealer: m.sealer, Tenant: iam.DefaultTenant, Now: m.now}
}

func (m makes) BeginKey(user iam.User, kind iam.FactorKind, have []iam.Authenticator) (options, state string, err error) {
	asked, err := m.party().BeginRegistration(user, kind, have)
	return asked.Options, asked.State, err
}

func (m makes) FinishKey(state, answer, name string) (iam.Authenticator, page.Fault, error) {
	made, err := m.party().FinishRegistration(state, answer, name)
	if errors.Is(err, passkey.ErrRefused) || errors.Is(err, passkey.ErrStale) {
		return made, page.FaultKey, err
	}
	return made, "", err
}

func (m makes) ShowTOTP(user iam.User, secret string) (account.TOTP, error) {
	if secret == "" {
		secret = otp.NewSecret()
	}
	made := account.TOTP{Secret: secret, URI: otp.URI("Bank", user.Username, secret)}
	var err error
	made.Picture, made.Size, err = otp.QR(made.URI)
	return made, err
}

func (m makes) FinishTOTP(user iam.User, secret, code, name string) (iam.Authenticator, page.Fault, error) {
	step, ok := otp.Verify(secret, code, 0, m.now())
	if !ok {
		return iam.Authenticator{}, page.FaultNewCode, nil
	}
	made := iam.Authenticator{ID: rand.Text(), User: user.ID, Kind: iam.FactorTOTP, Name: name, Mark: step, Created: m.now()}
	var err error
	made.Sealed, err = otp.Seal(m.sealer, iam.DefaultTenant, made.ID, secret)
	return made, "", err
}

func (makes) Codes(user string) (shown []string, kept []iam.Digest) {
	shown = otp.NewRecovery()
	for _, code := range shown {
		kept = append(kept, otp.HashRecovery(user, code))
	}
	return shown, kept
}

// person adds somebody with a password.
func (h *house) person(id string) {
	h.t.Helper()
	user := iam.User{ID: id, Username: id, Email: id + "@bank.example", EmailKey: id + "@bank.example", EmailVerified: true, Name: "Dr " + id}
	h.must(h.tenant.AddUser(h.t.Context(), user, iam.Password{User: id, PHC: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"}))
}

// journaled tells how often a kind of event with that word was journalled about a person.
func (h *house) journaled(user, kind, what string) (times int) {
	h.t.Helper()
	events, err := h.tenant.Events(h.t.Context(), iam.JournalQuery{User: user, Limit: 200})
	h.must(err)
	for _, event := range events {
		if string(event.Kind) == kind && strings.Contains(string(event.Detail), `"`+what+`"`) {
			times++
		}
	}
	return times
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
	return &browser{h, &client, http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}}}
}

// as is a browser in which somebody is signed in by these factors.
func (h *house) as(user, factors string, more ...string) *browser {
	h.t.Helper()
	b := h.browser()
	b.enter(user, factors, more...)
	return b
}

func (b *browser) enter(user, factors string, more ...string) {
	b.t.Helper()
	b.get("/in?user=" + user + "&factors=" + factors + strings.Join(append([]string{""}, more...), "&")).to("/account")
}

// seen is an answer that was read.
type seen struct {
	t        *testing.T
	status   int
	header   http.Header
	body     string
	location string
}

func (b *browser) do(method, path, body string) seen {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.server.URL+path, strings.NewReader(body))
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

// cookie gives the value of a cookie, "" if there is none.
func (b *browser) cookie(name string) string {
	at, err := url.Parse(b.server.URL)
	b.must(err)
	for _, cookie := range b.client.Jar.Cookies(at) {
		if cookie.Name == "__Host-"+name {
			return cookie.Value
		}
	}
	return ""
}

// plant sets a cookie.
func (b *browser) plant(name, value string) {
	at, err := url.Parse(b.server.URL)
	b.must(err)
	b.client.Jar.SetCookies(at, []*http.Cookie{{Name: "__Host-" + name, Value: value, Path: "/", Secure: true}})
}

// csrf is the token of the forms of the account.
func (b *browser) csrf() string { b.t.Helper(); return b.get("/account").is(200).hidden("csrf") }

// flow gives the transaction that an answer leads to.
func (b *browser) flow(at seen) iam.Flow {
	b.t.Helper()
	address, err := url.Parse(at.location)
	b.must(err)
	flow, err := b.tenant.Flow(b.t.Context(), iam.HashFlow(address.Query().Get("flow")), iam.Hash(b.cookie("garde-browser")), b.now())
	b.must(err)
	return flow
}

// begin keeps a transaction of an application for this browser, as the dispatcher does.
func (b *browser) begin(flow iam.Flow) string {
	b.t.Helper()
	key := iam.NewSecret(iam.PrefixFlow)
	flow.Hash, flow.Browser = iam.HashFlow(key), iam.Hash(b.cookie("garde-browser"))
	flow.Created, flow.Expires = b.now(), b.now().Add(time.Hour)
	b.must(b.tenant.AddFlow(b.t.Context(), flow))
	return key
}

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

func (s seen) lacks(texts ...string) seen {
	s.t.Helper()
	for _, text := range texts {
		if strings.Contains(html.UnescapeString(s.body), text) {
			s.t.Fatalf("the page holds %q:\n%s", text, s.body)
		}
	}
	return s
}

func (s seen) to(prefix string) seen {
	s.t.Helper()
	if s.status != http.StatusSeeOther || !strings.HasPrefix(s.location, prefix) {
		s.t.Fatalf("status %d to %q, want 303 to %s; body:\n%s", s.status, s.location, prefix, s.body)
	}
	return s
}

// hidden gives a hidden field; attribute gives the first attribute of that name.
func (s seen) hidden(name string) string {
	s.t.Helper()
	return s.match(`type="hidden" name="` + name + `" value="([^"]*)"`)
}

func (s seen) match(pattern string) string {
	s.t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(s.body)
	if found == nil {
		s.t.Fatalf("the page has no %s:\n%s", pattern, s.body)
	}
	return html.UnescapeString(found[1])
}

// tries are counted as app does.
func tries(h *house) *limit.Tries {
	return &limit.Tries{
		Throttle: limit.NewThrottle(limit.Budgets{}, h.now), Further: limit.New(limit.Rate{Burst: 10, Every: 5 * time.Minute}, 1000, h.now),
		Shared: h.tenant, Now: h.now,
	}
}
