package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// world is a Server under test with its counterpart, as a tester starts them for FAPI-CIBA.
type world struct {
	t                      *testing.T
	issuer, mtls, resource string
	client                 struct { // as the suite is told of it
		ID   string `json:"client_id"`
		JWKS struct {
			Keys []map[string]string `json:"keys"`
		} `json:"jwks"`
	}
	pair     tls.Certificate
	roots    *x509.CertPool
	password string
}

func build(t *testing.T) *world {
	t.Helper()
	var listeners []net.Listener
	for range 3 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		listeners = append(listeners, listener)
	}
	at := func(i int) string { return listeners[i].Addr().String() }
	w := &world{t: t, issuer: "https://" + at(0), mtls: "https://" + at(1), resource: "https://" + at(2), roots: x509.NewCertPool()}
	dir, program := filepath.Join(t.TempDir(), "all"), filepath.Join(t.TempDir(), "garde")
	for _, command := range [][]string{
		{"go", "build", "-o", program, "./cmd/garde"},
		{"go", "run", "./scripts/certification", "-issuer", w.issuer, "-mtls", w.mtls, "-resource", w.resource, "-listen", at(0), "-mtls-listen", at(1), dir},
	} {
		run := exec.CommandContext(t.Context(), command[0], command[1:]...)
		run.Dir = "../.."
		if out, err := run.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	must(t, listeners[0].Close())
	must(t, listeners[1].Close())
	folder := filepath.Join(dir, "fapi-ciba")
	authority, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	must(t, err)
	w.roots.AppendCertsFromPEM(authority)
	people, err := os.ReadFile(filepath.Join(dir, "people.yaml"))
	must(t, err)
	w.password = regexp.MustCompile(`password: (\S+)`).FindStringSubmatch(string(people))[1]
	w.told(filepath.Join(folder, "suite/fapi-ciba-id1-test-plan.poll.mtls.json"))

	serve := exec.CommandContext(t.Context(), program, "serve", "--config", filepath.Join(folder, "node.yaml"))
	serve.Stderr = t.Output()
	must(t, serve.Start())
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- counterpart{Issuer: w.issuer, Resource: w.resource, Dir: folder, Log: slog.New(slog.DiscardHandler)}.serve(ctx, listeners[2])
	}()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
		_ = serve.Process.Signal(os.Interrupt)
		_ = serve.Wait()
	})
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if answer, err := w.as(false).Get(w.issuer + "/jwks"); err == nil {
			_ = answer.Body.Close()
			return w
		}
	}
	t.Fatal("the Server is not ready within 20 s")
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) told(file string) {
	w.t.Helper()
	text, err := os.ReadFile(file)
	must(w.t, err)
	var all struct {
		Client json.RawMessage            `json:"client"`
		MTLS   struct{ Cert, Key string } `json:"mtls"`
	}
	must(w.t, json.Unmarshal(text, &all))
	must(w.t, json.Unmarshal(all.Client, &w.client))
	w.pair, err = tls.X509KeyPair([]byte(all.MTLS.Cert), []byte(all.MTLS.Key))
	must(w.t, err)
}

// as gives a client with cookies, which shows the certificate or not.
func (w *world) as(certified bool) *http.Client {
	settings := &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS12}
	if certified {
		settings.Certificates = []tls.Certificate{w.pair}
	}
	jar, err := cookiejar.New(nil)
	must(w.t, err)
	transport := &http.Transport{TLSClientConfig: settings}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Jar: jar, Timeout: 10 * time.Second}
}

func (w *world) do(client *http.Client, request *http.Request) (int, string, http.Header) {
	w.t.Helper()
	answer, err := client.Do(request)
	must(w.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(w.t, err)
	return answer.StatusCode, string(text), answer.Header
}

func (w *world) post(address string, form url.Values, into any) int {
	w.t.Helper()
	request, err := http.NewRequest(http.MethodPost, address, strings.NewReader(form.Encode()))
	must(w.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, text, _ := w.do(w.as(true), request)
	must(w.t, json.Unmarshal([]byte(text), into))
	return status
}

func (w *world) get(client *http.Client, address string, headers ...string) (int, string, http.Header) {
	w.t.Helper()
	request, err := http.NewRequest(http.MethodGet, address, nil)
	must(w.t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return w.do(client, request)
}

// signed makes a request object by PS256, as the suite does.
func (w *world) signed(claims map[string]any) string {
	w.t.Helper()
	jwk := w.client.JWKS.Keys[0]
	number := func(name string) *big.Int {
		raw, err := base64.RawURLEncoding.DecodeString(jwk[name])
		must(w.t, err)
		return new(big.Int).SetBytes(raw)
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}, D: number("d"), Primes: []*big.Int{number("p"), number("q")}}
	key.Precompute()
	part := func(value any) string {
		text, err := json.Marshal(value)
		must(w.t, err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	content := part(map[string]string{"alg": "PS256", "kid": jwk["kid"], "typ": "oauth-authz-req+jwt"}) + "." + part(claims)
	digest := sha256.Sum256([]byte(content))
	signature, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	must(w.t, err)
	return content + "." + base64.RawURLEncoding.EncodeToString(signature)
}

var (
	action = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// signIn is what a tester does once at /device.
func (w *world) signIn() {
	w.t.Helper()
	browser := w.as(false)
	answer, err := browser.Get(w.resource + "/device")
	must(w.t, err)
	defer answer.Body.Close()
	page, err := io.ReadAll(answer.Body)
	must(w.t, err)
	form := url.Values{"username": {"buffy"}, "password": {w.password}}
	for _, field := range hidden.FindAllStringSubmatch(string(page), -1) {
		form.Set(field[1], field[2])
	}
	to, err := answer.Request.URL.Parse(strings.ReplaceAll(action.FindStringSubmatch(string(page))[1], "&amp;", "&"))
	must(w.t, err)
	request, err := http.NewRequest(http.MethodPost, to.String(), strings.NewReader(form.Encode()))
	must(w.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if status, text, _ := w.do(browser, request); status != http.StatusOK || !strings.HasPrefix(text, "Signed in.") {
		w.t.Fatalf("the device signs in: %d %s", status, text)
	}
}

// ask begins a request over the backchannel.
func (w *world) ask(message string) string {
	w.t.Helper()
	now := time.Now().Unix()
	object := w.signed(map[string]any{
		"iss": w.client.ID, "aud": w.issuer, "iat": now, "nbf": now, "exp": now + 300, "jti": rand.Text(), "scope": "openid accounts",
		"login_hint": "buffy", "binding_message": message,
	})
	var begun struct {
		ID    string `json:"auth_req_id"`
		Error string `json:"error_description"`
	}
	if status := w.post(w.mtls+"/bc-authorize", url.Values{"client_id": {w.client.ID}, "request": {object}}, &begun); status != http.StatusOK {
		w.t.Fatalf("bc-authorize: %d %s", status, begun.Error)
	}
	return begun.ID
}

type answered struct {
	Access string `json:"access_token"`
	Error  string `json:"error"`
}

func (w *world) poll(id string) (got answered) {
	w.t.Helper()
	w.post(w.mtls+"/token", url.Values{"client_id": {w.client.ID}, "grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {id}}, &got)
	return got
}

// TestTheCounterpartOfAFAPICIBATest goes the way of the suite: what is asked over the backchannel is decided by the device,
// and the token opens the resource to the connection that it is bound to, and to no other.
func TestTheCounterpartOfAFAPICIBATest(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	w := build(t)
	if status, _, _ := w.get(w.as(false), w.resource+"/device/decide?action=allow"); status != http.StatusConflict {
		t.Errorf("before anybody signed in: %d", status)
	}
	w.signIn()
	if status, _, _ := w.get(w.as(false), w.resource+"/device/decide?action=perhaps"); status != http.StatusBadRequest {
		t.Errorf("neither yes nor no: %d", status)
	}
	if status, _, _ := w.get(w.as(false), w.resource+"/device/decide?action=allow"); status != http.StatusBadGateway {
		t.Errorf("nothing waits: %d", status)
	}
	for range 8 { // more than wait for anybody else at once
		w.ask("many")
	}
	denied := w.ask("one")
	if status, text, _ := w.get(w.as(false), w.resource+"/device/decide?auth_req_id="+denied+"&action=deny"); status != http.StatusOK {
		t.Fatalf("deny: %d %s", status, text)
	}
	if got := w.poll(denied); got.Error != "access_denied" {
		t.Errorf("denied: %+v", got)
	}
	id := w.ask("two")
	if got := w.poll(id); got.Error != "authorization_pending" {
		t.Errorf("pending: %+v", got)
	}
	if status, text, _ := w.get(w.as(false), w.resource+"/device/decide?auth_req_id="+id+"&action=allow"); status != http.StatusOK {
		t.Fatalf("allow: %d %s", status, text)
	}
	time.Sleep(5 * time.Second) // as long as a client waits between polls
	got := w.poll(id)
	if got.Access == "" {
		t.Fatalf("allowed: %+v", got)
	}
	bearer := []string{"Authorization", "bearer " + got.Access, "X-Fapi-Interaction-Id", "c770aef3-6784-41f7-8e0e-ff5f97bddb3a"}
	status, text, header := w.get(w.as(true), w.resource+"/accounts", bearer...)
	if status != http.StatusOK || !strings.Contains(text, `"savings"`) || header.Get("X-Fapi-Interaction-Id") != bearer[3] {
		t.Errorf("the resource: %d %s %v", status, text, header)
	}
	if status, _, _ := w.get(w.as(false), w.resource+"/accounts", bearer...); status != http.StatusUnauthorized {
		t.Errorf("without the certificate: %d", status)
	}
	if status, _, header := w.get(w.as(true), w.resource+"/accounts"); status != http.StatusUnauthorized || header.Get("X-Fapi-Interaction-Id") == "" {
		t.Errorf("without a token: %d %v", status, header)
	}
}
