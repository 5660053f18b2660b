package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/doctor"
)

func look(t *testing.T, check doctor.Check) ([]doctor.Finding, bool) {
	t.Helper()
	return doctor.Examine(t.Context(), []doctor.Check{check})
}

// wants one finding of a verdict that says something; a bad one says why and what to do.
func wants(t *testing.T, check doctor.Check, verdict doctor.Verdict, says string) {
	t.Helper()
	findings, healthy := look(t, check)
	for _, finding := range findings {
		if finding.Verdict == doctor.Bad && (healthy || finding.Why == "" || finding.Todo == "") {
			t.Errorf("a fault without why or what to do: %+v", finding)
		}
		if finding.Verdict == verdict && strings.Contains(finding.Text, says) {
			return
		}
	}
	t.Errorf("no %s finding with %q in %+v", verdict, says, findings)
}

func TestPrivate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	wants(t, doctor.Private("file", file, "why"), doctor.Skipped, "not there")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, doctor.Private("file", file, "why"), doctor.Good, "alone")
	for _, mode := range []os.FileMode{0o604, 0o640, 0o620, 0o602} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		wants(t, doctor.Private("file", file, "why"), doctor.Bad, "may be used by others")
	}
}

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	wants(t, doctor.Writable("folder", dir), doctor.Good, dir)
	wants(t, doctor.Writable("folder", filepath.Join(dir, "nowhere")), doctor.Bad, "no file can be made")
	wants(t, doctor.Space("space", filepath.Join(dir, "nowhere")), doctor.Skipped, "")
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the doctor left %v", left)
	}
}

func TestCertificates(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	for name, row := range map[string]struct {
		host        string
		from, until time.Duration
		verdict     doctor.Verdict
		says        string
	}{
		"good":         {"login.example", -time.Hour, 90 * 24 * time.Hour, doctor.Good, "lasts until"},
		"ended":        {"login.example", -2 * time.Hour, -time.Hour, doctor.Bad, "ended on"},
		"ends soon":    {"login.example", -time.Hour, 7 * 24 * time.Hour, doctor.Look, "ends on"},
		"not yet":      {"login.example", time.Hour, 90 * 24 * time.Hour, doctor.Bad, "begins on"},
		"another host": {"other.example", -time.Hour, 90 * 24 * time.Hour, doctor.Bad, "other.example"},
	} {
		t.Run(name, func(t *testing.T) {
			cert, key := pair(t, now.Add(row.from), now.Add(row.until))
			wants(t, doctor.Certificate("tls", cert, key, row.host, clock), row.verdict, row.says)
		})
	}
	wants(t, doctor.Certificate("tls", "nowhere", "nowhere", "", clock), doctor.Bad, "nowhere")
}

func pair(t *testing.T, from, until time.Time) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, DNSNames: []string{"login.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// answers is an issuer that says what a row wants it to.
type answers struct {
	metadata, keys, token, feed string
	status, feedStatus          int
	date                        string
}

func (a answers) serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	say := func(w http.ResponseWriter, status int, body string) {
		if a.date != "" {
			w.Header().Set("Date", a.date)
		}
		if status != 0 {
			w.WriteHeader(status)
		}
		w.Write([]byte(strings.ReplaceAll(body, "ISSUER", server.URL)))
	}
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { say(w, a.status, a.metadata) })
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) { say(w, 0, a.keys) })
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if id, secret, ok := r.BasicAuth(); !ok || id != "gate" || secret != "s3cret" || r.PostFormValue("scope") != "garde.gate" {
			say(w, 401, `{"error":"invalid_client"}`)
			return
		}
		say(w, 0, a.token)
	})
	mux.HandleFunc("/signals/revocations", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer t" {
			a.feedStatus = 401
		}
		say(w, a.feedStatus, a.feed)
	})
	return server.URL
}

const (
	goodMetadata = `{"issuer":"ISSUER","jwks_uri":"ISSUER/jwks"}`
	goodKeys     = `{"keys":[{"kty":"EC"}]}`
)

func TestDiscovery(t *testing.T) {
	for name, row := range map[string]struct {
		answers
		verdict doctor.Verdict
		says    string
	}{
		"good":               {answers{metadata: goodMetadata, keys: goodKeys}, doctor.Good, "1 keys are served"},
		"another issuer":     {answers{metadata: `{"issuer":"https://evil.example"}`}, doctor.Bad, "evil.example"},
		"a slash too much":   {answers{metadata: `{"issuer":"ISSUER/"}`}, doctor.Bad, "the metadata says issuer"},
		"an error":           {answers{status: 502}, doctor.Bad, "502"},
		"something else":     {answers{metadata: "<html>"}, doctor.Bad, "can't be read"},
		"no keys":            {answers{metadata: goodMetadata, keys: `{"keys":[]}`}, doctor.Bad, "serves no keys"},
		"keys that are none": {answers{metadata: goodMetadata, keys: `x`}, doctor.Bad, "serves no keys"},
		"clocks apart":       {answers{metadata: goodMetadata, keys: goodKeys, date: "Mon, 02 Jan 2006 15:04:05 GMT"}, doctor.Bad, "apart"},
	} {
		t.Run(name, func(t *testing.T) {
			wants(t, doctor.Discovery("issuer", row.serve(t), http.DefaultClient, time.Now), row.verdict, row.says)
		})
	}
	wants(t, doctor.Discovery("issuer", "http://127.0.0.1:1", http.DefaultClient, time.Now), doctor.Bad, "refused")
}

// TestWhatTheFeedsAdviceRestsOn: a Server that is down or unwell is no reason to change the recipe.
func TestWhatTheFeedsAdviceRestsOn(t *testing.T) {
	unwell := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, `{"error":"temporarily_unavailable"}`, http.StatusServiceUnavailable)
	}))
	t.Cleanup(unwell.Close)
	for name, row := range map[string]struct{ issuer, secret, says string }{
		"nobody answers":        {"http://127.0.0.1:1", "s3cret", "start garde serve"},
		"it can't answer now":   {unwell.URL, "s3cret", "the log of the Server"},
		"the secret is another": {answers{}.serve(t), "wr0ng", "declare the client gate"},
	} {
		findings, _ := look(t, doctor.Feed("gate", row.issuer, "gate", func() (string, error) { return row.secret, nil }, http.DefaultClient))
		if len(findings) != 1 || !strings.Contains(findings[0].Todo, row.says) {
			t.Errorf("%s: %+v", name, findings)
		}
	}
}

func TestFeed(t *testing.T) {
	secret := func() (string, error) { return "s3cret", nil }
	wrong := func() (string, error) { return "wr0ng", nil }
	missing := func() (string, error) { return "", os.ErrNotExist }
	good := answers{token: `{"access_token":"t"}`}
	wants(t, doctor.Feed("gate", good.serve(t), "gate", secret, http.DefaultClient), doctor.Good, "may follow")
	wants(t, doctor.Feed("gate", good.serve(t), "gate", wrong, http.DefaultClient), doctor.Bad, "invalid_client")
	wants(t, doctor.Feed("gate", good.serve(t), "gate", missing, http.DefaultClient), doctor.Bad, "not exist")
	wants(t, doctor.Feed("gate", answers{token: `{}`}.serve(t), "gate", secret, http.DefaultClient), doctor.Bad, "gets no token")
	refused := answers{token: `{"access_token":"t"}`, feedStatus: 403}
	wants(t, doctor.Feed("gate", refused.serve(t), "gate", secret, http.DefaultClient), doctor.Bad, "403")
	findings, _ := look(t, doctor.Feed("gate", good.serve(t), "gate", wrong, http.DefaultClient))
	for _, finding := range findings {
		if strings.Contains(finding.Text, "wr0ng") {
			t.Error("the secret is shown")
		}
	}
}

func TestReachable(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wants(t, doctor.Reachable("mail", listener.Addr().String(), "why", "do"), doctor.Good, "answers")
	listener.Close()
	wants(t, doctor.Reachable("mail", listener.Addr().String(), "why", "do"), doctor.Bad, "refused")
}

func TestOneFaultIsEnough(t *testing.T) {
	good := doctor.Check{Name: "a", Look: func(_ context.Context, f *doctor.Findings) { f.Good("fine") }}
	bad := doctor.Check{Name: "b", Look: func(_ context.Context, f *doctor.Findings) { f.Bad("broken", "why", "do") }}
	findings, healthy := doctor.Examine(t.Context(), []doctor.Check{bad, good})
	if healthy || len(findings) != 2 || findings[0].Check != "b" {
		t.Errorf("%v %+v", healthy, findings)
	}
	if _, healthy := doctor.Examine(t.Context(), []doctor.Check{good}); !healthy {
		t.Error("all good, and not healthy")
	}
}
