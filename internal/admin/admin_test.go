package admin_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/enact"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/keys"
	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/internal/notary"
	"github.com/gardeauth/garde/internal/password"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/recipe"
)

const bank = `garde: 1
levels:
  - {name: basic, acr: urn:garde:loa:basic, any: [password]}
scopes:
  hello.read: {say: {en: See your greeting}}
apis:
  hello:
    at: https://api.example/hello
    upstream: http://127.0.0.1:9000
    operations:
      GET /greeting: {for: [user], scope: hello.read, level: basic}
clients:
  app: {type: native, redirect_uris: ["http://127.0.0.1/callback"], scopes: [openid, hello.read]}
signin: {password_list: refused.txt}
company: {name: Quetzalbank}
`

// refused is the password that the recipe's own list refuses.
const refused = "Vermilion-Okapi-41"

// house is the API over a real socket, on a storage of its own.
type house struct {
	t       testing.TB
	client  http.Client
	handler http.Handler
	desk    *manage.Desk
	store   *store.Store
	log     *bytes.Buffer
	path    string
	dir     string
}

func newHouse(t testing.TB) *house {
	t.Helper()
	dir, err := os.MkdirTemp("", "garde") // a short path: sockets need one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ctx := t.Context()
	opened, err := store.Open(ctx, "sqlite:"+filepath.Join(dir, "garde.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tenant := opened.Tenant(iam.DefaultTenant)
	master, err := seal.ParseMaster(seal.GenerateMaster())
	if err != nil {
		t.Fatal(err)
	}
	sealer := seal.Sealer{Current: master}
	ring := &keys.Ring{Store: tenant, Sealer: sealer, Tenant: iam.DefaultTenant}
	enactor := &enact.Enactor{Revisions: tenant, Issuer: "https://login.example"}
	h := &house{t: t, store: opened, log: &bytes.Buffer{}, dir: dir, path: filepath.Join(dir, "a.sock")}
	h.desk = manage.New(manage.Needs{House: tenant, Sealed: opened.Sealing(iam.DefaultTenant), Enactor: enactor, Ring: ring, Hasher: password.NewHasher(0, 0), Issuer: "https://login.example"})
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(bank)}},
		map[string][]byte{"refused.txt": []byte(refused + "\n")}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := enactor.Apply(ctx, enact.Proposal{Bundle: bundle, By: "test"}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(enactor.Adopt(ctx), ring.Ensure(ctx, "ES256")); err != nil {
		t.Fatal(err)
	}
	h.handler = admin.Handler(admin.Deps{
		Desk: h.desk, Notary: &notary.Notary{Tree: tenant, Sealer: sealer, Tenant: iam.DefaultTenant, Origin: "login.example"},
		Issuer: "https://login.example", Backup: opened.Backup, AdminsOnly: tenant.AdminsOnly,
		Refusal: func(string) (admin.Refusal, bool) { return admin.Refusal{}, false },
		Log:     slog.New(slog.NewJSONHandler(h.log, nil)),
	})
	h.serve()
	return h
}

func (h *house) serve() {
	socket := admin.Socket{Path: h.path, Handler: h.handler}
	listener, err := socket.Listen()
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- socket.Serve(ctx, listener) }()
	h.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
		h.store.Close()
	})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", h.path)
	}}
	h.client = http.Client{Transport: transport}
	h.t.Cleanup(transport.CloseIdleConnections)
}

// ask sends a body as it is and gives status and body of the answer.
func (h *house) ask(method, path, body string) (int, string) {
	h.t.Helper()
	request, err := http.NewRequest(method, "http://garde"+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := h.client.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	if response.StatusCode >= 400 && response.Header.Get("Content-Type") != "application/problem+json" && response.StatusCode != 405 && !strings.HasPrefix(path, "/nowhere") {
		h.t.Errorf("%s %s: a refusal of type %q", method, path, response.Header.Get("Content-Type"))
	}
	return response.StatusCode, string(raw)
}

func (h *house) must(method, path, body string, want int) string {
	h.t.Helper()
	status, answer := h.ask(method, path, body)
	if status != want {
		h.t.Fatalf("%s %s: %d %s, want %d", method, path, status, answer, want)
	}
	return answer
}

func TestBadRequests(t *testing.T) {
	h := newHouse(t)
	h.must("POST", "/users", `{"username":"ada"}`, 201)
	h.must("POST", "/groups", `{"name":"staff"}`, 201)
	deep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	for name, row := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"no body":                             {"POST", "/users", "", 400, "required"},
		"not JSON":                            {"POST", "/users", "username=x", 400, ""},
		"an empty object":                     {"POST", "/users", "{}", 422, "username"},
		"a list":                              {"POST", "/users", "[]", 422, ""},
		"null":                                {"POST", "/users", "null", 422, ""},
		"wrong type":                          {"POST", "/users", `{"username":7}`, 422, "body.username"},
		"unknown member":                      {"POST", "/users", `{"username":"x","colour":"red"}`, 422, "body.colour"},
		"J18 duplicate members":               {"POST", "/users", `{"username":"x","username":"y"}`, 400, ""},
		"J18 member in another case":          {"POST", "/users", `{"Username":"x"}`, 422, ""},
		"J18 trailing document":               {"POST", "/users", `{"username":"x"}{}`, 400, ""},
		"invalid UTF-8":                       {"POST", "/users", "{\"username\":\"\xff\"}", 400, ""},
		"deep nesting":                        {"POST", "/users", `{"username":` + deep + `}`, 400, ""},
		"oversized":                           {"POST", "/users", `{"username":"` + strings.Repeat("x", 2<<20) + `"}`, 413, ""},
		"wrong method":                        {"PUT", "/users", `{"username":"x"}`, 405, ""},
		"unknown path":                        {"GET", "/nowhere", "", 404, ""},
		"unknown query parameter":             {"GET", "/users?colour=red", "", 422, "query.colour"},
		"A16 a sort that is not on the list":  {"GET", "/users?sort=password", "", 422, "query.sort"},
		"A16 SQL in a sort":                   {"GET", "/users?sort=id;DROP%20TABLE%20users", "", 422, ""},
		"A16 SQL in an id":                    {"GET", "/users/x'%20OR%20'1'='1", "", 404, ""},
		"A04 a cursor that is none":           {"GET", "/users?after=x", "", 422, "cursor"},
		"A04 a cursor of another list":        {"GET", "/users?after=Z3JvdXBzOnN0YWZm", "", 422, "cursor"},
		"A04 another spelling of a cursor":    {"GET", "/users?after=dXNlcnM6YWI%3D", "", 422, "cursor"},
		"limit of nothing":                    {"GET", "/users?limit=0", "", 422, "limit"},
		"limit beyond the most":               {"GET", "/users?limit=501", "", 422, "limit"},
		"limit that is no number":             {"GET", "/users?limit=all", "", 422, ""},
		"A01 a user of nowhere":               {"GET", "/users/00000000-0000-4000-8000-000000000000", "", 404, "there is no user"},
		"A07 a path that is not canonical":    {"GET", "/users/../keys", "", 200, `"items"`}, // it is cleaned before it is routed
		"a taken name":                        {"POST", "/users", `{"username":"ADA"}`, 409, "taken"},
		"a group of nowhere":                  {"POST", "/users", `{"username":"x","groups":["nowhere"]}`, 422, "nowhere"},
		"A02 an administrator without a word": {"PATCH", "/users/ada", `{"admin":true,"sponsor":"ada"}`, 200, ""}, // the first one
		"a claim that is not known":           {"PATCH", "/users/ada", `{"claims":{"role":"root"}}`, 422, "claims.role"},
		"only a literal true is verified":     {"PATCH", "/users/ada", `{"claims":{"phone_number_verified":"true"}}`, 422, "phone_number_verified"},
		"a client of an unknown type":         {"POST", "/clients", `{"type":"robot"}`, 422, "body.type"},
		"R01 a wildcard redirect":             {"POST", "/clients", `{"type":"browser","redirect_uris":["https://*.example/cb"],"origins":["https://a.example"]}`, 422, "redirect_uris"},
		"a public client with a key":          {"POST", "/clients", `{"type":"native","redirect_uris":["http://127.0.0.1/cb"],"jwks":{"keys":[]}}`, 422, "jwks"},
		"a declared client can't be removed":  {"DELETE", "/clients/app", "", 409, "the recipe declares it"},
		"a secret for a public client":        {"POST", "/clients/app/secrets", "{}", 409, "has no secret"},
		"an algorithm of nowhere":             {"POST", "/keys", `{"alg":"none"}`, 422, "no algorithm"},
		"a key of nowhere":                    {"DELETE", "/keys/x", "", 404, "no key"},
		"a bundle that is none":               {"PUT", "/recipe", `{"bundle":"e30="}`, 422, "bundle"},
		"a bundle that is no base64":          {"PUT", "/recipe", `{"bundle":"***"}`, 422, ""},
		"a revision below zero":               {"GET", "/recipe/revisions/-1", "", 422, ""},
		"a revision of nowhere":               {"GET", "/recipe/revisions/99", "", 404, "no revision 99"},
		"a time that is none":                 {"GET", "/journal?since=yesterday", "", 422, "since"},
		"an order that is not on the list":    {"GET", "/journal?order=random", "", 422, "order"},
		"a backup to a relative path":         {"POST", "/backup", `{"path":"garde.backup"}`, 422, "absolute"},
		"an export from nowhere":              {"GET", "/journal/export?from=x", "", 422, "from"},
		"what this set-up can't do":           {"POST", "/restore/confirm", "", 501, ""},
		"a trace of nowhere":                  {"GET", "/refusals/x", "", 404, "remembers no refusal"},
		"an e-mail address of two":            {"POST", "/users", `{"username":"x","email":"a@b@c.example"}`, 422, "e-mail"},
		"a password that is tried first":      {"PUT", "/users/ada/password", `{"password":"password"}`, 422, "tried first"},
		"one that the recipe refuses":         {"PUT", "/users/ada/password", `{"password":"` + refused + `"}`, 422, "signin.password_list"},
		"one that is too short":               {"PUT", "/users/ada/password", `{"password":"Xk2-9"}`, 422, "shorter than 8 characters"},
		"one that is the company's name":      {"PUT", "/users/ada/password", `{"password":"quetzalbank1"}`, 422, "a name that others know"},
		"a newcomer with a refused password":  {"POST", "/users", `{"username":"x","password":"` + refused + `"}`, 422, "signin.password_list"},
		"an import with a refused password": {"POST", "/users/import",
			`{"name":"p.csv","content":"` + base64.StdEncoding.EncodeToString([]byte("username,password\nx,"+refused+"\n")) + `"}`, 422, "signin.password_list"},
		"an import that is no list":         {"POST", "/users/import", `{"name":"p.yaml","content":"dXNlcnM6IDc="}`, 422, ""},
		"a session of nowhere is not shown": {"GET", "/sessions/x", "", 404, "there is no session"},
		"a session of nowhere is not ended": {"DELETE", "/sessions/x", "", 404, "there is no session"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := h.ask(row.method, row.path, row.body)
			if status != row.status || !strings.Contains(answer, row.says) {
				t.Errorf("%d %s, want %d with %q", status, answer, row.status, row.says)
			}
		})
	}
}

// A02: who is no administrator can't be made one without the word of one who stands.
func TestA02NobodyMakesThemselvesAdministrator(t *testing.T) {
	h := newHouse(t)
	h.must("POST", "/users", `{"username":"ada","admin":true}`, 201)
	h.must("POST", "/users", `{"username":"eve"}`, 201)
	for _, sponsor := range []string{"", "eve", "nobody"} {
		h.must("PATCH", "/users/eve", `{"admin":true,"sponsor":"`+sponsor+`"}`, 409)
	}
	h.must("PATCH", "/users/eve", `{"admin":true,"sponsor":"ada"}`, 200)
	h.must("PATCH", "/users/ada", `{"disabled":true}`, 200)
	h.must("PATCH", "/users/eve", `{"admin":false}`, 409) // the last one stays
	h.must("DELETE", "/users/eve", "", 409)
}

// A30: an administrator who has a password gets no further link but at the word of one.
func TestA30TheFirstSetUpNeverOpensAgain(t *testing.T) {
	h := newHouse(t)
	h.must("POST", "/users", `{"username":"ada","admin":true}`, 201)
	h.must("POST", "/users/ada/invitation", "{}", 201) // not enrolled yet: the link may have expired
	h.must("PUT", "/users/ada/password", `{"password":"Xk29-plum-Tango77"}`, 204)
	h.must("POST", "/users/ada/invitation", "{}", 409)
	h.must("PUT", "/users/ada/password", `{"password":"Zk31-pear-Samba88"}`, 409)
	h.must("POST", "/users/ada/invitation", `{"sponsor":"ada"}`, 201)
}

// A30: an administrator who signs in by a passkey alone is one who can sign in: a link, or a password, would take them over.
func TestA30NobodyTakesOverAnAdministratorWithAPasskey(t *testing.T) {
	h := newHouse(t)
	h.must("POST", "/users", `{"username":"ada","admin":true}`, 201)
	ada, err := h.desk.Users.Find(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	key := iam.Authenticator{ID: "key", User: ada.ID, Kind: iam.FactorPasskey, Handle: iam.Hash("key")}
	if err := h.store.Tenant(iam.DefaultTenant).AddAuthenticator(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	h.must("POST", "/users/ada/invitation", "{}", 409)
	h.must("PUT", "/users/ada/password", `{"password":"Xk29-plum-Tango77"}`, 409)
	h.must("POST", "/users/ada/invitation", `{"sponsor":"ada"}`, 201)
}

// A08: secrets go in and never come out, neither in an answer nor in the log; those that are made are told once.
func TestA08SecretsAreWriteOnly(t *testing.T) {
	h := newHouse(t)
	const marker = "Xk29-plum-Tango77"
	h.must("POST", "/users", `{"username":"ada","password":"`+marker+`"}`, 201)
	_, wrong := h.ask("PUT", "/users/ada/password", `{"passwort":"`+marker+`"}`)
	made := h.must("POST", "/clients", `{"type":"web","auth":"client_secret_basic","redirect_uris":["https://a.example/cb"],"scopes":["openid"]}`, 201)
	var added struct {
		Client struct{ ID string }
		Secret struct{ Secret string }
	}
	if err := json.Unmarshal([]byte(made), &added); err != nil || !iam.WellFormed(iam.PrefixClient, added.Secret.Secret) {
		t.Fatal(made, err)
	}
	all := wrong + h.log.String()
	for _, path := range []string{"/users", "/users/ada", "/clients", "/clients/" + added.Client.ID, "/keys", "/journal", "/journal/export", "/sessions", "/recipe/revisions/0"} {
		all += h.must("GET", path, "", 200)
	}
	for _, secret := range []string{marker, added.Secret.Secret, "argon2", "sealed", `"d":`, iam.Hash(added.Secret.Secret).String()} {
		if strings.Contains(all, secret) {
			t.Errorf("%q came out", secret)
		}
	}
}

// A09: what the storage says stays here; the caller gets a trace id.
func TestA09FaultsOfTheStorageAreNotTold(t *testing.T) {
	h := newHouse(t)
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	status, answer := h.ask("GET", "/users", "")
	if status != 503 || !strings.Contains(answer, "urn:garde:trace:") || strings.Contains(answer, "sql") || strings.Contains(answer, "closed") {
		t.Errorf("%d %s", status, answer)
	}
	if !strings.Contains(h.log.String(), "trace") {
		t.Error("nothing in the log")
	}
}

// A06: the socket is for this user alone; without an operator nobody is served, and no public listener serves the API.
func TestA06OnlyTheOperatorIsServed(t *testing.T) {
	h := newHouse(t)
	info, err := os.Stat(h.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	recorder := httptest.NewRecorder()
	h.handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/users", nil))
	if recorder.Code != http.StatusForbidden {
		t.Errorf("without an operator: %d", recorder.Code)
	}
	if _, err := (admin.Socket{Path: h.path}).Listen(); err == nil {
		t.Error("a socket that answers was taken over")
	}
	file := filepath.Join(h.dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (admin.Socket{Path: file}).Listen(); err == nil {
		t.Error("a file was replaced by a socket")
	}
	if _, err := (admin.Socket{Path: "/tmp/" + strings.Repeat("x", 200)}).Listen(); err == nil {
		t.Error("a path that the kernel cuts off was taken")
	}
}

// A11: every deed stands in the journal, with the user who did it.
func TestA11EveryDeedIsJournalled(t *testing.T) {
	h := newHouse(t)
	h.must("POST", "/groups", `{"name":"staff"}`, 201)
	h.must("POST", "/users", `{"username":"ada","groups":["staff"]}`, 201)
	h.must("PATCH", "/users/ada", `{"disabled":true}`, 200)
	h.must("DELETE", "/groups/staff/members/ada", "", 204)
	h.must("PUT", "/clients/app/state", `{"disabled":true}`, 204)
	h.must("POST", "/keys", `{"alg":"EdDSA"}`, 201)
	ada, err := h.desk.Users.Find(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	h.must("PATCH", "/users/ada", `{"disabled":false}`, 200)
	session := iam.Session{ID: "s", User: ada.ID, Created: time.Now(), AuthTime: time.Now(), Seen: time.Now(), Expires: time.Now().Add(time.Hour)}
	if err := h.store.Tenant(iam.DefaultTenant).StartSession(t.Context(), session, iam.SessionHash{}); err != nil {
		t.Fatal(err)
	}
	h.must("DELETE", "/sessions/s", "", 204)
	h.must("DELETE", "/sessions/s", "", 404)
	h.must("DELETE", "/users/ada", "", 204)
	journal := h.must("GET", "/journal?limit=500", "", 200)
	for _, what := range []string{"group.changed", `"added"`, `"disabled"`, "member removed", "client.changed", "key.changed", "access.revoked", `"removed"`} {
		if !strings.Contains(journal, what) {
			t.Errorf("no %s in the journal", what)
		}
	}
	if strings.Count(journal, `"actor":"operator:`) < 8 {
		t.Errorf("deeds without an operator: %s", journal)
	}
	if report := h.must("POST", "/journal/verification", "{}", 200); !strings.Contains(report, `"ok":true`) {
		t.Error(report)
	}
}

func TestListsComeInParts(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		h.must("POST", "/users", `{"username":"`+name+`x"}`, 201)
		h.must("POST", "/groups", `{"name":"`+name+`"}`, 201)
	}
	for _, list := range []string{"/users", "/groups", "/journal"} {
		seen, after := 0, ""
		for part := 0; part < 20; part++ {
			var answer struct {
				Items []json.RawMessage `json:"items"`
				Next  string            `json:"next"`
			}
			if err := json.Unmarshal([]byte(h.must("GET", list+"?limit=2"+after, "", 200)), &answer); err != nil {
				t.Fatal(err)
			}
			seen += len(answer.Items)
			if answer.Next == "" {
				break
			}
			if len(answer.Items) != 2 {
				t.Errorf("%s: a part of %d", list, len(answer.Items))
			}
			after = "&after=" + answer.Next
		}
		if seen < 5 {
			t.Errorf("%s: %d rows in all parts", list, seen)
		}
	}
}

// The description names every operation, and its problems as RFC 9457 has them.
func TestDescription(t *testing.T) {
	h := newHouse(t)
	text := h.must("GET", "/openapi.json", "", 200)
	for _, word := range []string{`"openapi":"3.1.0"`, `"add-user"`, `"apply-recipe"`, "application/problem+json", `"writeOnly":true`} {
		if !strings.Contains(text, word) {
			t.Errorf("no %s", word)
		}
	}
	if strings.Contains(text, "PHC") || strings.Contains(text, "Sealed") {
		t.Error("the description shows what is kept")
	}
}

// A20: a broken handler ends its request and nothing else.
func TestA20PanicsEndOneRequest(t *testing.T) {
	handler := admin.Handler(admin.Deps{Log: slog.New(slog.DiscardHandler)}) // no desk: every deed panics
	for range 2 {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest("GET", "/users", nil)
		handler.ServeHTTP(recorder, request.WithContext(admin.As(request.Context(), "me")))
		if recorder.Code != http.StatusInternalServerError || strings.Contains(recorder.Body.String(), "panic") {
			t.Errorf("%d %s", recorder.Code, recorder.Body)
		}
	}
}
