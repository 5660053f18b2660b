package conform_test

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
)

// suite plays the OpenID Foundation's suite beside a Server that was started by the commands of docs/certification.md: each
// module under its name, driven by the configuration and the browser's commands that a tester would paste, over HTTPS, with
// the time of the wall. What the suite warns of fails here.
type suite struct {
	dir, program, counterpart string
	issuer, resource, address string
	roots                     *x509.CertPool
	outside                   *outside
}

// newSuite builds the programs and writes the folders.
func newSuite(t *testing.T) *suite {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a server for each plan, and waits as long as the suite does")
	}
	work := t.TempDir()
	s := &suite{dir: filepath.Join(work, "certification"), program: filepath.Join(work, "garde"), counterpart: filepath.Join(work, "counterpart"), outside: newOutside(t)}
	authority := lab.NewAuthority(t, "the suite")
	server := &http.Server{Handler: s.outside, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	listening := tls.NewListener(s.outside.listener, &tls.Config{Certificates: []tls.Certificate{authority.Server()}, MinVersion: tls.VersionTLS12})
	go func() { _ = server.Serve(listening) }()
	t.Cleanup(func() { _ = server.Close() })
	s.address = "https://" + s.outside.listener.Addr().String()
	ca := filepath.Join(work, "suite.pem")
	must(t, os.WriteFile(ca, authority.PEM, 0o600))
	var free []string
	for range 3 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer func() { _ = listener.Close() }()
		free = append(free, listener.Addr().String())
	}
	s.issuer, s.resource = "https://"+free[0], "https://"+free[2]
	for _, command := range [][]string{
		{"go", "build", "-o", s.program, "./cmd/garde"}, {"go", "build", "-o", s.counterpart, "./scripts/counterpart"},
		{"go", "run", "./scripts/certification", "-issuer", s.issuer, "-listen", free[0], "-mtls", "https://" + free[1], "-mtls-listen", free[1],
			"-resource", s.resource, "-suite", s.address, "-suite-ca", ca, s.dir},
	} {
		run := exec.CommandContext(t.Context(), command[0], command[1:]...)
		run.Dir = "../../.."
		if out, err := run.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "ca.pem"))
	must(t, err)
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM(text)
	return s
}

// client is one that shows a certificate or none, has cookies of its own, and follows nobody.
func (s *suite) client(t testing.TB, cert *tls.Certificate) *http.Client {
	t.Helper()
	settings := &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	if cert != nil {
		settings.Certificates = []tls.Certificate{*cert}
	}
	jar, err := cookiejar.New(nil)
	must(t, err)
	transport := &http.Transport{TLSClientConfig: settings}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Jar: jar, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// serve starts `garde serve` with a folder, with a new database, and the counterpart where a plan needs one.
func (s *suite) serve(t *testing.T, folder string) {
	t.Helper()
	dir := filepath.Join(s.dir, folder)
	old, err := filepath.Glob(filepath.Join(dir, "garde.db*"))
	must(t, err)
	for _, file := range old {
		must(t, os.Remove(file))
	}
	s.start(t, filepath.Join(dir, "log"), s.program, "serve", "--config", filepath.Join(dir, "node.yaml"))
	if strings.HasPrefix(folder, "fapi") {
		s.start(t, filepath.Join(dir, "counterpart.log"), s.counterpart, "-issuer", s.issuer, "-resource", s.resource,
			"-listen", strings.TrimPrefix(s.resource, "https://"), dir)
	}
	web := s.client(t, nil)
	s.await(t, web, s.issuer+"/jwks", `"RS256"`, filepath.Join(dir, "log"))
	if strings.HasPrefix(folder, "fapi") {
		s.await(t, web, s.resource+"/ready", "", filepath.Join(dir, "counterpart.log"))
	}
}

// await asks an address until it answers 200 with some words.
func (s *suite) await(t *testing.T, web *http.Client, address, words, log string) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if answer, err := web.Get(address); err == nil {
			text, err := io.ReadAll(answer.Body)
			must(t, err)
			must(t, answer.Body.Close())
			if answer.StatusCode == http.StatusOK && strings.Contains(string(text), words) {
				return
			}
		}
	}
	said, _ := os.ReadFile(log)
	t.Fatalf("%s is not ready within 30 s:\n%s", address, said)
}

func (s *suite) start(t *testing.T, output, name string, args ...string) {
	t.Helper()
	command := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	file, err := os.OpenFile(output, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	command.Stdout, command.Stderr = file, file
	must(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
		_ = file.Close()
		if said, _ := os.ReadFile(output); t.Failed() && len(said) > 0 {
			t.Logf("%s said:\n%s", filepath.Base(name), said[max(0, len(said)-6000):])
		}
	})
}

// told is a client as a configuration tells the suite of it.
type told struct {
	ID        string `json:"client_id"`
	Secret    string `json:"client_secret"`
	Scope     string `json:"scope"`
	HintType  string `json:"hint_type"`
	HintValue string `json:"hint_value"`
	DPoPAlg   string `json:"dpop_signing_alg"`
	JWKS      struct {
		Keys []map[string]string `json:"keys"`
	} `json:"jwks"`

	auth, uri, keeper, manage string
	signer                    *jose.Signer
	cert                      *tls.Certificate
}

// configuration is what a tester pastes. Members that the suite reads, and no other.
type configuration struct {
	Alias       string `json:"alias"`
	Description string `json:"description"`
	Server      struct {
		DiscoveryURL string `json:"discoveryUrl"`
	} `json:"server"`
	Client   told `json:"client"`
	Client2  told `json:"client2"`
	Post     told `json:"client_secret_post"`
	MTLS     pair `json:"mtls"`
	MTLS2    pair `json:"mtls2"`
	Resource struct {
		URL     string          `json:"resourceUrl"`
		Details json.RawMessage `json:"richAuthorizationRequest"`
	} `json:"resource"`
	Approval string      `json:"automated_ciba_approval_url"`
	Browser  []navigated `json:"browser"`
	Override map[string]struct {
		Browser []navigated `json:"browser"`
	} `json:"override"`
}

type pair struct{ Cert, Key string }

// navigated is what the browser does where it is sent to an address.
type navigated struct {
	Match string `json:"match"`
	Limit int    `json:"match-limit"`
	Tasks []struct {
		Task     string  `json:"task"`
		Match    string  `json:"match"`
		Optional bool    `json:"optional"`
		Commands [][]any `json:"commands"`
	} `json:"tasks"`
}

// run is a plan under way, in one combination of its variants.
type run struct {
	*suite
	configuration
	about members
	raw   []byte // of the metadata
	keys  *oidc.RemoteKeySet
}

// paste reads a configuration, strictly, and what the server says of itself.
func (s *suite) paste(t *testing.T, folder, name string) *run {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, folder, "suite", name+".json"))
	must(t, err)
	r := &run{suite: s, about: members{}}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.DisallowUnknownFields()
	must(t, decoder.Decode(&r.configuration))
	for each, own := range map[*told]pair{&r.Client: r.MTLS, &r.Client2: r.MTLS2, &r.Post: {}} {
		each.uri = s.address + "/test/a/" + r.Alias + "/callback"
		each.equip(t, own)
	}
	r.Client2.uri += "?dummy1=lorem&dummy2=ipsum"
	answer, err := s.client(t, nil).Get(r.Server.DiscoveryURL)
	must(t, err)
	r.raw, err = io.ReadAll(answer.Body)
	must(t, err)
	must(t, answer.Body.Close())
	if answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v", answer.StatusCode, answer.Header)
	}
	must(t, json.Unmarshal(r.raw, &r.about))
	r.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.WithoutCancel(t.Context()), s.client(t, nil)), r.at("jwks_uri"))
	return r
}

// at is an endpoint.
func (r *run) at(name string) string { address, _ := r.about[name].(string); return address }

// equip reads keys and certificate, as the suite is told of them.
func (c *told) equip(t *testing.T, own pair) {
	t.Helper()
	if len(c.JWKS.Keys) == 1 {
		jwk := c.JWKS.Keys[0]
		number := func(name string) *big.Int {
			raw, err := base64.RawURLEncoding.DecodeString(jwk[name])
			must(t, err)
			return new(big.Int).SetBytes(raw)
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}, D: number("d"), Primes: []*big.Int{number("p"), number("q")}}
		key.Precompute()
		must(t, key.Validate())
		c.signer = &jose.Signer{KeyID: jwk["kid"], Alg: jose.Alg(jwk["alg"]), Key: key}
	}
	if own.Cert != "" {
		cert, err := tls.X509KeyPair([]byte(own.Cert), []byte(own.Key))
		must(t, err)
		if block, rest := pem.Decode([]byte(own.Cert)); block == nil || len(rest) > 0 {
			t.Error("mtls.cert is one PEM block")
		}
		c.cert = &cert
	}
}

// module is one test of the suite: it begins signed out, in a browser without script (but for the one line that sends a form
// of form_post, which every browser of the suite runs).
type module struct {
	*testing.T
	*run
	c      *told
	b      *browser
	kind   string // response_type
	mode   string // response_mode
	posted url.Values
	seen   []page // where the browser stood

	commands []navigated
}

func (r *run) module(t *testing.T, c *told, kind, mode string) *module {
	t.Helper()
	m := &module{T: t, run: r, c: c, kind: kind, mode: mode, commands: r.Browser}
	if name := t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]; len(r.Override[name].Browser) > 0 {
		m.commands = r.Override[name].Browser
	}
	m.open()
	return m
}

// open gives the module another browser, with no cookies.
func (m *module) open() {
	m.Helper()
	issuer, err := url.Parse(m.issuer)
	must(m.T, err)
	m.b = &browser{m.T, issuer, m.client(m.T, nil)}
}

// fits compares an address with a pattern of the configuration.
func fits(pattern, address string) bool {
	quoted := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*")
	return regexp.MustCompile("^" + quoted + "$").MatchString(address)
}

// visit sends the browser to an address, and does on the pages what the configuration says.
func (m *module) visit(address string) page {
	m.Helper()
	return m.drive(address, m.b.open(address))
}

// drive goes on from a page.
func (m *module) drive(address string, on page) page {
	m.Helper()
	m.posted = nil
	known := slices.IndexFunc(m.commands, func(each navigated) bool { return fits(each.Match, address) })
	if known < 0 {
		m.Fatalf("the browser has no commands for %s", address)
	}
	tasks := m.commands[known].Tasks
	if m.commands[known].Limit == 1 {
		m.commands = slices.Delete(slices.Clone(m.commands), known, known+1)
	}
	on = m.script(on)
	for _, task := range tasks {
		m.seen = append(m.seen, on)
		here := on.at.String()
		if on.left != "" {
			here = on.left
		}
		if !fits(task.Match, here) {
			if !task.Optional {
				m.Fatalf("%s: the browser stands at %s", task.Task, here)
			}
			continue
		}
		if on.left != "" {
			continue // the suite's own page waits for itself
		}
		var filled []string
		for _, command := range task.Commands {
			words := make([]string, len(command))
			for i, word := range command {
				words[i] = fmt.Sprint(word)
			}
			optional := words[len(words)-1] == "optional"
			switch {
			case words[1] != "id":
				m.Fatalf("%v: pages have ids", words)
			case !on.has(words[2]):
				if !optional {
					m.Fatalf("%s: no %s at %s: %d\n%s", task.Task, words[2], on.at, on.status, on.body)
				}
			case words[0] == "text":
				filled = append(filled, words[2], words[3])
			case words[0] == "click":
				on, filled = m.script(m.b.press(on, words[2], filled...)), nil
			}
		}
	}
	m.seen = append(m.seen, on)
	return on
}

// script sends the form of form_post.
func (m *module) script(on page) page {
	m.Helper()
	found, ok := formOf(m.T, on.body, "hand-over")
	if !ok || on.left != "" {
		return on
	}
	if !on.has("formpost-submit") {
		m.Error("without script nobody gets on from the form")
	}
	m.posted, on.left = found.fields, found.action
	return on
}

// asked tells whether the browser stood on a page with an element.
func (m *module) asked(id string) bool {
	return slices.ContainsFunc(m.seen, func(on page) bool { return on.left == "" && on.has(id) })
}

// entropy is what the suite's estimate gives for a value: bits a character by Shannon, times its length.
func entropy(value string) (bits float64) {
	counts := map[rune]float64{}
	for _, r := range value {
		counts[r]++
	}
	for _, count := range counts {
		bits -= count * math.Log2(count/float64(len(value)))
	}
	return bits
}

// random holds a value to what the suite wants of one that nobody guesses.
func (m *module) random(name, value string) {
	m.Helper()
	if bits := entropy(value); bits <= 96 || len(value)*6 < 128 {
		m.Errorf("%s has %.0f bits by Shannon's estimate in %d characters", name, bits, len(value))
	}
}
