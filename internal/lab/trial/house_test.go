package trial

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/internal/seal"
)

// house is a Server and a Gate as an operator runs them: two processes, a folder, an API behind.
type house struct {
	t        testing.TB
	dir      string
	issuer   string
	gateURL  string
	health   string // of the Server: base URL
	gates    string // of the Gate: base URL of its health
	storage  string
	more     string // further lines of node.yaml
	moreGate string // further settings of its part gate
	level    string // of the log
	limit    string // words before the command of the Server, such as prlimit
	secrets  map[string]string
	api      *httptest.Server
	server   *process
	gate     *process
	client   *http.Client
}

const (
	alice    = "alice"
	password = "an honest pass phrase of alice"
	redirect = "https://app.example/cb"
)

// shortDir makes a folder whose path leaves room for the names of sockets, whatever a test is called.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(folder, "")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// setUp writes the folder of a house and starts nothing.
func setUp(t testing.TB, handler http.Handler) *house {
	t.Helper()
	if handler == nil {
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"reached":true}`)
		})
	}
	h := &house{
		t: t, dir: shortDir(t), api: httptest.NewServer(handler), client: newClient(t, 64), secrets: map[string]string{}, level: "info",
		storage: "sqlite:garde.db",
	}
	t.Cleanup(h.api.Close)
	h.issuer, h.gateURL = "http://"+freePort(t), "http://"+freePort(t)
	h.health, h.gates = "http://"+freePort(t), "http://"+freePort(t)
	h.write("master.key", seal.GenerateMaster().Reveal()+"\n")
	for _, client := range []string{"app", "job", "gate", "vault-svc"} {
		h.secrets[client] = iam.NewSecret(iam.PrefixClient)
		h.write(client+".secret", h.secrets[client]+"\n")
	}
	h.write("people.yaml", "users:\n  - {username: alice, name: Alice, email: alice@people.example, email_verified: true, password: "+password+"}\n")
	h.write("recipe.yaml", h.recipe())
	return h
}

func (h *house) recipe() string {
	return fmt.Sprintf(`garde: 1
levels:
  - {name: basic, acr: urn:test:basic, any: [password]}
scopes:
  accounts.read: {say: {en: See balances}}
  ledger.post:   {say: {en: Post entries}}
  vault.read:    {say: {en: Open the vault}}
apis:
  accounts:
    at: %[1]s/accounts
    upstream: %[2]s
    operations:
      GET /rates:    {open: public prices}
      GET /balance:  {for: [user, client], scope: accounts.read}
      POST /entries: {for: [client], scope: ledger.post}
      GET /stream:   {open: a long answer}
      GET /slow:     {open: a late answer}
  vault:
    at: %[1]s/vault
    upstream: %[2]s
    client: vault-svc
    token: opaque
    operations:
      GET /secrets: {for: [user, client], scope: vault.read}
clients:
  app:       {type: web, auth: client_secret_basic, consent: implied, secrets: ["file:app.secret"], redirect_uris: ["%[3]s"], scopes: [openid, offline_access, accounts.read, vault.read]}
  job:       {type: service, auth: client_secret_basic, secrets: ["file:job.secret"], scopes: [accounts.read, ledger.post, vault.read]}
  vault-svc: {type: service, auth: client_secret_basic, secrets: ["file:vault-svc.secret"]}
  gate:      {type: service, auth: client_secret_basic, secrets: ["file:gate.secret"], scopes: [garde.gate]}
signin:
  signup: true
`, h.gateURL, h.api.URL, redirect)
}

func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// settings writes node.yaml.
func (h *house) settings() string {
	host := func(base string) string { _, rest, _ := strings.Cut(base, "://"); return rest }
	h.write("node.yaml", fmt.Sprintf(`issuer: %s
listen: %s
metrics: %s
storage: %s
master_key: file:master.key
recipe: recipe.yaml
seed: people.yaml
mail: {folder: mails}
gate: {listen: %s, metrics: %s, client: gate, secret: "file:gate.secret", silence: 3s%s}
trusted_proxies: [127.0.0.1/32]
%s
`, h.issuer, host(h.issuer), host(h.health), h.storage, host(h.gateURL), host(h.gates), h.moreGate, h.more))
	return filepath.Join(h.dir, "node.yaml")
}

func (h *house) command(words ...string) *exec.Cmd {
	args := append(strings.Fields(h.limit), program(h.t))
	args = append(args, words...)
	args = append(args, "--config", h.settings(), "--log-level", h.level)
	return exec.Command(args[0], args[1:]...)
}

// serve starts the Server and waits until it is ready.
func (h *house) serve() {
	h.t.Helper()
	h.server = launch(h.t, h.command("serve"))
	h.server.says(`"msg":"ready"`)
	h.ready(h.health)
}

// open starts the Gate too.
func (h *house) open() {
	h.t.Helper()
	limit := h.limit
	h.limit = ""
	h.gate = launch(h.t, h.command("gate"))
	h.limit = limit
	h.gate.says(`"msg":"ready"`)
}

func (h *house) ready(health string) time.Duration {
	h.t.Helper()
	return within(h.t, 15*time.Second, "ready", func() bool { status, _ := h.get(health + "/readyz"); return status == 200 })
}

func (h *house) get(where string) (int, string) {
	answer, err := h.client.Get(where)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body)
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
	took   time.Duration
}

func (r reply) text(name string) string {
	var members map[string]any
	if json.Unmarshal([]byte(r.body), &members) != nil {
		return ""
	}
	text, _ := members[name].(string)
	return text
}

// do sends a request; a status of 0 says that no answer came, and the body why.
func do(client *http.Client, r *http.Request) reply {
	begun := time.Now()
	answer, err := client.Do(r)
	if err != nil {
		return reply{body: err.Error(), header: http.Header{}, took: time.Since(begun)}
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return reply{body: err.Error(), header: answer.Header, took: time.Since(begun)}
	}
	return reply{answer.StatusCode, answer.Header, string(body), time.Since(begun)}
}

func request(method, where, body string, headers ...string) *http.Request {
	r, err := http.NewRequest(method, where, strings.NewReader(body))
	if err != nil {
		panic("trial: " + err.Error()) // a test wrote it
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// as sends a form as a client.
func (h *house) as(client, path string, form url.Values) reply {
	return do(h.client, request("POST", h.issuer+path, form.Encode(), "Content-Type", lab.FormType, "Authorization", lab.BasicAuth(client, h.secrets[client])))
}

// token asks for the job's own token.
func (h *house) token(scope string) reply {
	return h.as("job", "/token", lab.Form("grant_type", "client_credentials", "scope", scope))
}

// call calls through the Gate.
func (h *house) call(method, path, token string) reply {
	var headers []string
	if token != "" {
		headers = []string{"Authorization", "Bearer " + token}
	}
	return do(h.client, request(method, h.gateURL+path, "", headers...))
}

// visit is one browser at the sign-in: its cookies, and the transaction that it is in.
type visit struct {
	cookies map[string]string
	flow    string
	csrf    string
	code    string
	from    string // the address that a proxy says it comes from
}

var (
	hiddenCSRF = regexp.MustCompile(`name="csrf" value="([^"]+)"`)
	hiddenFlow = regexp.MustCompile(`name="flow" value="([^"]+)"`)
)

func (v *visit) keep(r reply) {
	answer := http.Response{Header: r.header}
	for _, cookie := range answer.Cookies() {
		if cookie.MaxAge < 0 || cookie.Value == "" {
			delete(v.cookies, cookie.Name)
			continue
		}
		v.cookies[cookie.Name] = cookie.Value
	}
}

func (v *visit) headers() []string {
	var all []string
	for name, value := range v.cookies {
		all = append(all, name+"="+value)
	}
	headers := []string{"Cookie", strings.Join(all, "; "), "User-Agent", "a trial"}
	if v.from != "" {
		headers = append(headers, "X-Forwarded-For", v.from)
	}
	return headers
}

func (h *house) ask(scope string) string {
	return "/authorize?" + lab.Form("client_id", "app", "redirect_uri", redirect, "response_type", "code", "scope", scope, "state", "a-state",
		"nonce", "a-nonce", "code_challenge", lab.Challenge(lab.Verifier), "code_challenge_method", "S256").Encode()
}

// go_ follows the redirects of the house, and stops at a page or at the client's code.
func (h *house) walk(v *visit, client *http.Client, next reply) reply {
	for next.status == http.StatusSeeOther {
		v.keep(next)
		to := next.header.Get("Location")
		if strings.HasPrefix(to, redirect) {
			at, err := url.Parse(to)
			if err == nil {
				v.code = at.Query().Get("code")
			}
			return next
		}
		if strings.HasPrefix(to, "/") {
			to = h.issuer + to
		}
		next = do(client, request("GET", to, "", v.headers()...))
	}
	v.keep(next)
	if found := hiddenCSRF.FindStringSubmatch(next.body); found != nil {
		v.csrf = found[1]
	}
	if found := hiddenFlow.FindStringSubmatch(next.body); found != nil {
		v.flow = found[1]
	}
	return next
}

// begin opens the sign-in page of a browser.
func (h *house) begin(client *http.Client, scope, from string) (*visit, reply) {
	v := &visit{cookies: map[string]string{}, from: from}
	return v, h.walk(v, client, do(client, request("GET", h.issuer+h.ask(scope), "", v.headers()...)))
}

// prove sends the sign-in form.
func (h *house) prove(v *visit, client *http.Client, name, secret string) reply {
	form := lab.Form("flow", v.flow, "csrf", v.csrf, "username", name, "password", secret)
	return do(client, request("POST", h.issuer+"/signin", form.Encode(), append(v.headers(), "Content-Type", lab.FormType)...))
}

// signIn goes from the request to the tokens of alice.
func (h *house) signIn(scope string) (*visit, reply) {
	v, page := h.begin(h.client, scope, "")
	if page.status != 200 || v.flow == "" {
		h.t.Fatalf("no sign-in page: %d %s", page.status, page.body)
	}
	h.walk(v, h.client, h.prove(v, h.client, alice, password))
	return v, h.redeem(v.code)
}

func (h *house) redeem(code string) reply {
	return h.as("app", "/token", lab.Form("grant_type", "authorization_code", "code", code, "redirect_uri", redirect, "code_verifier", lab.Verifier))
}

func (h *house) mustToken(scope string) string {
	h.t.Helper()
	got := h.token(scope)
	if got.status != 200 {
		h.t.Fatalf("no token: %d %s", got.status, got.body)
	}
	return got.text("access_token")
}
