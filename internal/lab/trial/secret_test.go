package trial

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/lab"
)

// vault keeps every secret that passed by, with what it was.
type vault struct {
	mu   sync.Mutex
	seen map[string]string
}

func (v *vault) put(what, secret string) {
	if len(secret) < 12 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seen[secret] = what
}

// take puts what an answer holds.
func (v *vault) take(got reply) {
	var members map[string]any
	if json.Unmarshal([]byte(got.body), &members) == nil {
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			text, _ := members[name].(string)
			v.put(name, text)
		}
	}
	for _, cookie := range (&http.Response{Header: got.header}).Cookies() {
		v.put("cookie "+cookie.Name, cookie.Value)
	}
	if to, err := url.Parse(got.header.Get("Location")); err == nil {
		v.put("code", to.Query().Get("code"))
		v.put("flow", to.Query().Get("flow"))
	}
	for _, hidden := range [][]string{hiddenCSRF.FindStringSubmatch(got.body), hiddenFlow.FindStringSubmatch(got.body)} {
		if hidden != nil {
			v.put("a hidden field", hidden[1])
		}
	}
}

// watched lets every answer that this client gets go through the vault.
type watched struct {
	next  http.RoundTripper
	vault *vault
}

func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.next.RoundTrip(r)
	if err == nil {
		var body bytes.Buffer
		_, _ = body.ReadFrom(answer.Body)
		_ = answer.Body.Close()
		w.vault.take(reply{header: answer.Header, body: body.String()})
		answer.Body = nopCloser{bytes.NewReader(body.Bytes())}
	}
	return answer, err
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

// shapes of secrets of ours: nothing of the kind stands anywhere, known or not.
var shapes = regexp.MustCompile(`\b(?:ac|rt|at|se|fl|ln|cs|pr|dc|ar|ra|ia)_[A-Za-z0-9_-]{30,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{20,}`)

// TestJ37A08NoSecretIsWrittenInClear runs every flow with the log at its most talkative and searches everything that was written.
func TestJ37A08NoSecretIsWrittenInClear(t *testing.T) {
	t.Parallel()
	h := setUp(t, nil)
	h.level = "debug"
	v := &vault{seen: map[string]string{}}
	h.client.Transport = watched{h.client.Transport, v}
	h.serve()
	h.open()
	for client, secret := range h.secrets {
		v.put("secret of "+client, secret)
	}
	v.put("password", password)
	mixed(t, h, v)
	master, err := os.ReadFile(filepath.Join(h.dir, "master.key"))
	mend(t, err)
	v.put("master key", strings.TrimSpace(string(master)))
	// As it stands on disk while it runs, with the log of the engine, and after an orderly end.
	search(t, "the storage, running", v, h.storageFiles(), false)
	h.gate.stop(syscall.SIGTERM)
	h.server.stop(syscall.SIGTERM)
	search(t, "the storage", v, h.storageFiles(), false)
	search(t, "the log of the Server", v, []byte(h.server.text()), true)
	search(t, "the log of the Gate", v, []byte(h.gate.text()), true)
	if !strings.Contains(h.server.text(), `"level":"DEBUG"`) && !strings.Contains(h.server.text(), `"msg":"refused"`) {
		t.Error("the log says nothing at all: nothing was searched")
	}
	if len(v.seen) < 40 {
		t.Errorf("only %d secrets passed by", len(v.seen))
	}
}

// mixed goes through every door, with good requests and bad ones.
func mixed(t *testing.T, h *house, v *vault) {
	signed, tokens := h.signIn("openid offline_access accounts.read")
	if tokens.status != 200 {
		t.Fatalf("no tokens: %d %s", tokens.status, tokens.body)
	}
	access, refresh := tokens.text("access_token"), tokens.text("refresh_token")
	_, opaque := h.signIn("openid offline_access vault.read")
	for _, token := range []string{access, access + "x", refresh, h.mustToken("ledger.post"), opaque.text("access_token"), signed.code, h.secrets["job"]} {
		for _, path := range []string{"/accounts/balance", "/accounts/entries", "/vault/secrets", "/accounts/" + token, "/accounts/balance?access_token=" + token, "/nowhere?x=" + token} {
			h.call("GET", path, token)
		}
		do(h.client, request("GET", h.issuer+"/userinfo", "", "Authorization", "Bearer "+token))
		do(h.client, request("GET", h.issuer+"/userinfo?access_token="+token, ""))
		do(h.client, request("GET", h.issuer+"/"+token, ""))
		do(h.client, request("GET", h.issuer+"/authorize?client_id="+token+"&state="+token, ""))
		do(h.client, request("GET", h.issuer+"/signin?flow="+token, ""))
		do(h.client, request("GET", h.issuer+"/link/reset?token="+token, ""))
		do(h.client, request("GET", h.issuer+"/logout?id_token_hint="+token, ""))
		for _, form := range []url.Values{
			lab.Form("token", token), lab.Form("grant_type", token), lab.Form("grant_type", "authorization_code", "code", token, "redirect_uri", redirect, "code_verifier", lab.Verifier),
			lab.Form("grant_type", "refresh_token", "refresh_token", token), lab.Form("grant_type", "client_credentials", "scope", token),
		} {
			for _, path := range []string{"/introspect", "/token", "/revoke"} {
				h.as("app", path, form)
				h.as("vault-svc", path, form)
			}
		}
		// As what it is not: a client's name, a user's name, a password.
		do(h.client, request("POST", h.issuer+"/token", "grant_type=client_credentials", "Content-Type", lab.FormType, "Authorization", lab.BasicAuth(token, token)))
		do(h.client, request("POST", h.issuer+"/token", "grant_type=client_credentials", "Content-Type", lab.FormType, "Authorization", lab.BasicAuth("job", token)))
		visit, _ := h.begin(h.client, "openid", "")
		h.prove(visit, h.client, token, token)
		h.prove(visit, h.client, alice, token)
	}
	v.put("a wrong password", "a wrong pass phrase nobody chose")
	wrong, _ := h.begin(h.client, "openid", "")
	h.prove(wrong, h.client, alice, "a wrong pass phrase nobody chose")
	h.prove(wrong, h.client, "a wrong pass phrase nobody chose", password) // typed into the wrong field
	_, again := h.signIn("openid offline_access accounts.read")            // what was shown to /revoke above is dead
	refresh = again.text("refresh_token")
	rotated := h.as("app", "/token", lab.Form("grant_type", "refresh_token", "refresh_token", refresh))
	if rotated.status != 200 {
		t.Errorf("refresh: %d %s", rotated.status, rotated.body)
	}
	h.reset(t, v)
	h.as("app", "/revoke", lab.Form("token", refresh))
}

var link = regexp.MustCompile(`/link/[a-z]+\?token=3?D?=?\s*([A-Za-z0-9_-]{20,})`)

// reset asks for a mail with a link, finds it in the folder of mails, and opens the link.
func (h *house) reset(t *testing.T, v *vault) {
	visit, _ := h.begin(h.client, "openid", "")
	page := do(h.client, request("GET", h.issuer+"/forgot?flow="+url.QueryEscape(visit.flow), "", visit.headers()...))
	csrf := hiddenCSRF.FindStringSubmatch(page.body)
	if csrf == nil {
		t.Fatalf("no page for who forgot: %d", page.status)
	}
	form := lab.Form("flow", visit.flow, "csrf", csrf[1], "email", "alice@people.example", "username", alice)
	do(h.client, request("POST", h.issuer+"/forgot", form.Encode(), append(visit.headers(), "Content-Type", lab.FormType)...))
	var secret string
	within(t, 5*time.Second, "the mail comes", func() bool {
		_ = filepath.WalkDir(filepath.Join(h.dir, "mails"), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return nil
			}
			raw, _ := os.ReadFile(path)
			text := strings.ReplaceAll(strings.ReplaceAll(string(raw), "=\r\n", ""), "=\n", "")
			if found := link.FindStringSubmatch(strings.ReplaceAll(text, "=3D", "=")); found != nil {
				secret = found[1]
			}
			return nil
		})
		return secret != ""
	})
	v.put("link", secret)
	do(h.client, request("GET", h.issuer+"/link/reset?token="+secret, "", visit.headers()...))
}

func (h *house) storageFiles() []byte {
	h.t.Helper()
	var all []byte
	for _, suffix := range []string{"", "-wal"} {
		raw, err := os.ReadFile(filepath.Join(h.dir, "garde.db"+suffix))
		if err == nil {
			all = append(all, raw...)
		}
	}
	if len(all) < 10_000 {
		h.t.Error("there is no storage to search")
	}
	return all
}

// search holds that no secret stands in content, as it is or in another common spelling.
func search(t *testing.T, where string, v *vault, content []byte, shaped bool) {
	t.Helper()
	for secret, what := range v.seen {
		for spelling, text := range map[string]string{
			"": secret, "in base64": base64.RawStdEncoding.EncodeToString([]byte(secret)), "in hex": hex.EncodeToString([]byte(secret)),
			"escaped": url.QueryEscape(secret),
		} {
			if i := bytes.Index(content, []byte(text)); i >= 0 {
				t.Errorf("%s: %s stands there %s: %.60q", where, what, spelling, content[max(0, i-60):i])
				break
			}
		}
	}
	if found := shapes.Find(content); shaped && found != nil {
		t.Errorf("%s: something like a secret: %.12s...", where, found)
	}
}

// TestJ37TheJournalHoldsNoSecret searches the journal as it is exported too, on PostgreSQL as on SQLite.
func TestJ37TheJournalHoldsNoSecret(t *testing.T) {
	t.Parallel()
	for _, engine := range []string{lab.SQLite, lab.Postgres} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			h := lab.New(t, lab.Options{Engine: engine, Gate: true})
			p := h.NewPerson("gina")
			v := &vault{seen: map[string]string{}}
			v.put("session", strings.TrimPrefix(p.Cookie, "garde-session="))
			for _, client := range h.Clients() {
				v.put("secret of "+client, h.Secret(client))
			}
			for _, plant := range []lab.Plant{{Client: lab.WebA, Scope: "openid offline_access accounts.read"}, {Client: lab.Native, Scope: "openid offline_access vault.read"}, {Client: lab.WebKey, Scope: "openid offline_access accounts.read"}} {
				code := h.Code(p, plant)
				v.put("code", code.Value)
				got := lab.Tokens{}
				h.Redeem(code).Into(&got.Answer)
				h.Redeem(code) // a replay is an event
				again := h.Tokens(p, plant)
				for what, secret := range map[string]string{"access": got.AccessToken, "refresh": got.RefreshToken, "refresh 2": again.RefreshToken, "id": got.IDToken} {
					v.put(what, secret)
				}
				next := h.Refresh(plant.Client, again.RefreshToken)
				v.put("rotated", next.Text("refresh_token"))
				h.Refresh(plant.Client, again.RefreshToken)
				h.As(plant.Client, "/revoke", lab.Form("token", again.AccessToken))
				h.Call("GET", "/accounts/balance", again.AccessToken)
			}
			entries, err := h.Store().Events(context.Background(), iam.JournalQuery{})
			mend(t, err)
			raw, err := json.Marshal(entries)
			mend(t, err)
			if len(entries) < 6 {
				t.Errorf("the journal has %d entries", len(entries))
			}
			search(t, "the journal", v, raw, true)
			search(t, "the log", v, []byte(h.Log.String()), true)
		})
	}
}
