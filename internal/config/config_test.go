package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/config"
)

const good = `issuer: https://login.example.com
listen: 127.0.0.1:8080
metrics: 127.0.0.1:9090
storage: sqlite:garde.db
master_key: file:master.key
trusted_proxies: [10.0.0.0/8, "::1/128"]
gate: {listen: ":8081", client: gate, secret: "file:gate.secret", silence: 5s}
`

func load(t testing.TB, text string) (*config.Node, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path)
}

func TestPathsStartAtTheFile(t *testing.T) {
	node, err := load(t, good+"tls: {cert: a.crt, key: /b.key}\nmail: {folder: mails}\nrecipe: recipe.yaml\ngeoip: {city: city.mmdb, asn: /as.mmdb}\n")
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]string{
		"sqlite:" + filepath.Join(node.Dir, "garde.db"): node.Storage, filepath.Join(node.Dir, "a.crt"): node.TLS.Cert, "/b.key": node.TLS.Key,
		filepath.Join(node.Dir, "admin.sock"): node.Admin, filepath.Join(node.Dir, "mails"): node.Mail.Folder,
		filepath.Join(node.Dir, "recipe.yaml"): node.Recipe, "file:master.key": node.Master,
		filepath.Join(node.Dir, "city.mmdb"): node.GeoIP.City, "/as.mmdb": node.GeoIP.ASN,
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if !filepath.IsAbs(node.Dir) || node.Gate.Silence != 5*time.Second {
		t.Errorf("dir %s, silence %v", node.Dir, node.Gate.Silence)
	}
}

// TestEveryKeyHasAnExample holds the file from which docs/node.md takes its examples.
func TestEveryKeyHasAnExample(t *testing.T) {
	if _, err := config.Load("testdata/node.yaml"); err != nil {
		t.Error(err)
	}
}

func TestEachFaultHasItsSentence(t *testing.T) {
	swap := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the good file", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	for text, want := range map[string]string{
		swap("issuer: https://login.example.com\n", ""):                                                            "issuer: missing; write the public URL, such as https://login.example.com",
		swap("127.0.0.1:8080", ""):                                                                                 "listen: missing; write the address of the Server, such as 127.0.0.1:8080",
		swap("127.0.0.1:8080", "8080"):                                                                             `listen: "8080" is no address; write HOST:PORT`,
		swap("127.0.0.1:8080", "localhost:http"):                                                                   `listen: "localhost:http" is no address; write HOST:PORT`,
		swap("127.0.0.1:9090", "127.0.0.1:99999"):                                                                  `metrics: "127.0.0.1:99999" is no address; write HOST:PORT`,
		swap("sqlite:garde.db", "mysql://x"):                                                                       "storage: write sqlite:garde.db or postgres://user@host/database",
		swap("sqlite:garde.db", `"sqlite:"`):                                                                       "storage: write sqlite:garde.db or postgres://user@host/database",
		swap("file:master.key", "hunter2"):                                                                         "master_key: write a reference, file:master.key or env:NAME; the key itself never stands here",
		swap("file:master.key", `"file:"`):                                                                         "master_key: write a reference, file:master.key or env:NAME; the key itself never stands here",
		good + "previous_master_keys: [hunter2]\n":                                                                 "previous_master_keys[0]: write a reference, file:old.key or env:NAME; the key itself never stands here",
		good + "tls: {cert: a.crt}\n":                                                                              "tls: cert and key go together",
		swap("10.0.0.0/8", "10.0.0.1"):                                                                             `trusted_proxies: "10.0.0.1" is no network; write 10.0.0.0/8`,
		swap("silence: 5s", "silence: 2m"):                                                                         "gate.silence: at most 1m; a longer one would let revoked tokens live",
		swap("silence: 5s", "silence: 1s"):                                                                         "gate.silence: at least 3s; heartbeats come each second, and a shorter one would refuse honest calls",
		swap("silence: 5s", "silence: -1s"):                                                                        "gate.silence: at least 3s; heartbeats come each second, and a shorter one would refuse honest calls",
		swap("client: gate, ", "client: gate, decrypt: {accounts: keys.json}, "):                                   "gate.decrypt.accounts: write a reference, file:PATH or env:NAME; the keys themselves never stand here",
		swap("client: gate, ", ""):                                                                                 "gate: client and secret are needed, so that the Gate can follow what the Server revokes",
		swap(`listen: ":8081", `, ""):                                                                              "gate.listen: missing; write the address of the Gate, such as 127.0.0.1:8081",
		swap("file:gate.secret", "hunter2"):                                                                        "gate.secret: write a reference, file:PATH or env:NAME; the secret itself never stands here",
		swap("silence: 5s", "tls: {key: x}"):                                                                       "gate.tls: cert and key go together",
		good + "mail: {smtp: mail}\n":                                                                              `mail.smtp: "mail" is no address; write HOST:PORT`,
		good + "mail: {smtp: 'mail:25'}\n":                                                                         "mail.from: missing; write the address that mails come from, such as login@example.com",
		good + "mail: {password: hunter2}\n":                                                                       "mail.password: write a reference, file:PATH or env:NAME; the password itself never stands here",
		good + "mail: {smtp: 'm:25', from: a@b, folder: f}\n":                                                      "mail: smtp sends and folder keeps; write one of them",
		good + "fetch: {allow_hosts: [x]}\n":                                                                       `fetch.allow_hosts: "x" is no address; write HOST:PORT`,
		good + "mtls: {listen: 'x', url: https://mtls.example.com, tls: {cert: a, key: b}}\n":                      `mtls.listen: "x" is no address; write HOST:PORT`,
		good + "mtls: {listen: ':8443', tls: {cert: a, key: b}}\n":                                                 "mtls.url: missing",
		good + "mtls: {listen: ':8443', url: http://localhost:1, tls: {cert: a, key: b}}\n":                        "mtls.url: https is needed",
		good + "mtls: {listen: ':8443', url: https://login.example.com, tls: {cert: a, key: b}}\n":                 "mtls.url: it must be another one than the issuer",
		good + "mtls: {listen: ':8443', url: https://mtls.example.com}\n":                                          "mtls.tls: cert and key are needed where mtls listens",
		good + "mtls: {listen: ':8443', url: https://mtls.example.com, tls: {cert: a}}\n":                          "mtls.tls: cert and key go together",
		good + "mtls: {url: https://mtls.example.com}\n":                                                           "mtls.listen: missing; write an address, or forwarded_certificates where a proxy ends TLS",
		good + "forwarded_certificates: {header: X_Client_Cert, format: pem}\n":                                    "forwarded_certificates.header: write the name",
		good + "forwarded_certificates: {header: dpop, format: pem}\n":                                             "forwarded_certificates.header: write the name",
		good + "forwarded_certificates: {header: Client-Cert, format: der}\n":                                      "forwarded_certificates.format: write rfc9440, pem or xfcc",
		swap("trusted_proxies: [10.0.0.0/8, \"::1/128\"]\n", "forwarded_certificates: {header: A, format: pem}\n"): "forwarded_certificates: trusted_proxies is empty",
		swap("silence: 5s", "client_certificates: true"):                                                           "gate.client_certificates: gate.tls is needed",
		good + "colour: red\n":                                                                                     "line 8: field colour not found in node.yaml",
		good + "issuer: https://b.example\n":                                                                       `"issuer" already defined`,
		good + "---\nissuer: https://b.example\n":                                                                  "a second document begins at a line ---; write one",
		good + "mail: hunter2\n":                                                                                   "line 8: a value of the wrong kind",
		good + "\tx: y\n":                                                                                          "found character that cannot start any token",
		"":                                                                                                         "issuer: missing",
		"[]":                                                                                                       "line 1: a value of the wrong kind",
	} {
		_, err := load(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("said %v, want %s", err, want)
			continue
		}
		for _, never := range []string{"hunter2", " yaml:", "!!", "goroutine", "config.Node"} {
			if strings.Contains(err.Error(), never) {
				t.Errorf("%q says %q", err, never)
			}
		}
	}
}

func TestAllFaultsComeAtOnceInOneOrder(t *testing.T) {
	text := "listen: x\nmetrics: y\ngate: {listen: z, metrics: m}\nstorage: q\n"
	_, first := load(t, text)
	if first == nil {
		t.Fatal("accepted")
	}
	_, told, _ := strings.Cut(first.Error(), ":\n")
	for _, part := range []string{"issuer:", "listen:", "metrics:", "storage:", "master_key:", "gate.listen:", "gate.metrics:", "gate: client"} {
		at := strings.Index(told, part)
		if at < 0 {
			t.Fatalf("%s is missing, or too early, in:\n%s", part, first)
		}
		told = told[at:]
	}
	for range 20 {
		_, again := load(t, text)
		_, a, _ := strings.Cut(first.Error(), ":\n")
		if _, b, _ := strings.Cut(again.Error(), ":\n"); a != b {
			t.Fatalf("another order:\n%s", again)
		}
	}
}

func TestAMissingFileIsExplained(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"))
	if err == nil || !strings.Contains(err.Error(), "garde init DIR") {
		t.Error(err)
	}
}

func TestCheckIssuer(t *testing.T) {
	for issuer, ok := range map[string]bool{
		"https://login.example.com": true, "https://login.example.com:8443": true, "http://localhost:8080": true, "http://127.0.0.1:8080": true,
		"http://[::1]:8080": true, "https://[2001:db8::1]": true, "https://xn--bcher-kva.example": true,

		"": false, "login.example.com": false, "https:login.example.com": false, "https://": false, "https://login.example.com/": false,
		"https://login.example.com/tenant": false, "https://login.example.com?x": false, "https://login.example.com?": false,
		"https://login.example.com#": false, "https://LOGIN.example.com": false, "HTTPS://login.example.com": false,
		"https://login.example.com:443": false, "http://localhost:80": false, "https://login.example.com:": false,
		"https://login.example.com:08443": false, "https://login.example.com:99999": false, "https://login.example.com:0": false,
		"https://a@login.example.com": false, "https://@login.example.com": false, "http://login.example.com": false,
		"http://localhost.evil.example": false, "http://127.0.0.1.evil.example": false, "https://login.example.com.": false,
		"https://bücher.example": false, "https://login。example": false, "https://login example": false, "https://a%2eb": false,
		"http://[::1%25lo]:8080": false, "https://[0:0:0:0:0:0:0:1]": false, "ftp://login.example.com": false, "javascript:alert(1)": false,
		"https://login_x.example": false, "https://login.example.com\n": false, "http://10.0.0.1": false,
	} {
		if err := config.CheckIssuer(issuer); (err == nil) != ok {
			t.Errorf("%q: %v", issuer, err)
		}
	}
}

// FuzzLoad: no file breaks the reader, and none that it accepts has an issuer, a key or a silence that is not allowed.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		good, "", "---\n---\n", "issuer: &a [*a]", "a: &x {<<: *x}", "issuer: !!binary aGk=\n", good + "tls: {cert: a, key: b}\n",
		strings.Replace(good, "https://login.example.com", "https://a@b", 1), "gate: {silence: 1e9}", "\xff\xfe", "x: \"\\ud800\"",
	} {
		f.Add(text)
	}
	path := filepath.Join(f.TempDir(), "node.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		node, err := config.Load(path)
		if err != nil {
			return
		}
		if config.CheckIssuer(node.Issuer) != nil || node.Listen == "" || !strings.Contains(node.Master, ":") || node.Gate.Silence > time.Minute {
			t.Errorf("accepted: %+v", node)
		}
	})
}
