package web_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// pairOf makes a certificate that vouches for itself.
func pairOf(t testing.TB, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

func pemOf(certificate *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}))
}

func TestCertificatesAreForwardedByListedProxiesAlone(t *testing.T) {
	peers, err := web.ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	victim, other, own := pairOf(t, "victim").Leaf, pairOf(t, "other").Leaf, pairOf(t, "own").Leaf
	der := func(c *x509.Certificate) string { return ":" + base64.StdEncoding.EncodeToString(c.Raw) + ":" }
	escaped := url.PathEscape(pemOf(victim))
	element := `Hash=ab;Cert="` + escaped + `";Subject="CN=a,b;c=\"d\"";URI=spiffe://a`
	const proxy, stranger = "10.0.0.1:1", "203.0.113.5:1"
	for name, c := range map[string]struct {
		format web.CertificateFormat
		peer   string
		header http.Header
		want   string // common name; "": none; "error"
	}{
		"of the connection":                                {web.RFC9440, stranger, nil, "own"},
		"RFC 9440":                                         {web.RFC9440, proxy, http.Header{"X-Cert": {der(victim)}}, "victim"},
		"RFC 9440 with a chain":                            {web.RFC9440, proxy, http.Header{"X-Cert": {der(victim)}, "Client-Cert-Chain": {der(other) + ", " + der(own)}}, "victim"},
		"nginx":                                            {web.EscapedPEM, proxy, http.Header{"X-Cert": {escaped}}, "victim"},
		"nginx with its spelling":                          {web.EscapedPEM, proxy, http.Header{"X-Cert": {strings.ReplaceAll(url.QueryEscape(pemOf(victim)), "+", "%20")}}, "victim"},
		"Envoy":                                            {web.XFCC, proxy, http.Header{"X-Cert": {element}}, "victim"},
		"Envoy with a chain":                               {web.XFCC, proxy, http.Header{"X-Cert": {element + `;Chain="` + escaped + url.PathEscape(pemOf(other)) + `"`}}, "victim"},
		"a listed proxy says nothing":                      {web.RFC9440, proxy, nil, ""},
		"a listed proxy says that there is none":           {web.RFC9440, proxy, http.Header{"X-Cert": {""}}, ""},
		"D18 from a stranger":                              {web.RFC9440, stranger, http.Header{"X-Cert": {der(victim)}}, "own"},
		"D18 other headers from a listed proxy":            {web.RFC9440, proxy, http.Header{"X-Client-Cert": {der(victim)}, "Ssl-Client-Cert": {der(victim)}, "X-Forwarded-Client-Cert": {element}}, ""},
		"D18 the name with an underscore":                  {web.RFC9440, proxy, http.Header{"X_cert": {der(victim)}}, ""},
		"D18 doubled":                                      {web.RFC9440, proxy, http.Header{"X-Cert": {der(victim), der(other)}}, "error"},
		"D18 doubled in one line":                          {web.RFC9440, proxy, http.Header{"X-Cert": {der(victim) + ", " + der(other)}}, "error"},
		"D18 a doubled chain":                              {web.RFC9440, proxy, http.Header{"X-Cert": {der(victim)}, "Client-Cert-Chain": {der(other), der(other)}}, "error"},
		"D18 two hops of Envoy":                            {web.XFCC, proxy, http.Header{"X-Cert": {element + "," + element}}, "error"},
		"D18 two certificates in one hop":                  {web.XFCC, proxy, http.Header{"X-Cert": {element + ";" + element}}, "error"},
		"D18 two certificates in one PEM of Envoy":         {web.XFCC, proxy, http.Header{"X-Cert": {`Cert="` + escaped + escaped + `"`}}, "victim"},
		"D19 a victim's PEM from a stranger":               {web.EscapedPEM, stranger, http.Header{"X-Cert": {escaped}}, "own"},
		"Envoy without the certificate":                    {web.XFCC, proxy, http.Header{"X-Cert": {"Hash=ab;Subject=x"}}, "error"},
		"parameters behind the byte sequence":              {web.RFC9440, proxy, http.Header{"X-Cert": {der(victim) + ";a=b"}}, "error"},
		"PEM where bytes are expected":                     {web.RFC9440, proxy, http.Header{"X-Cert": {escaped}}, "error"},
		"a private key":                                    {web.EscapedPEM, proxy, http.Header{"X-Cert": {url.PathEscape("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}}, "error"},
		"text before the PEM":                              {web.EscapedPEM, proxy, http.Header{"X-Cert": {"x%0A" + escaped}}, "error"},
		"text behind the PEM":                              {web.EscapedPEM, proxy, http.Header{"X-Cert": {escaped + "x"}}, "error"},
		"(null), as some proxies write when there is none": {web.EscapedPEM, proxy, http.Header{"X-Cert": {"(null)"}}, "error"},
		"broken DER":                                       {web.RFC9440, proxy, http.Header{"X-Cert": {":AAAA:"}}, "error"},
		"a header of fifty kilobytes":                      {web.RFC9440, proxy, http.Header{"X-Cert": {":" + strings.Repeat("A", 50<<10) + ":"}}, "error"},
		"a format that is not known":                       {"", proxy, http.Header{"X-Cert": {der(victim)}}, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/token", nil)
			r.RemoteAddr, r.Header = c.peer, c.header
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{own}}
			chain, err := web.Certificates{Header: "X-Cert", Format: c.format, Peers: peers}.Of(r)
			got := ""
			switch {
			case err != nil:
				if got = "error"; oauth.CodeOf(err) != "invalid_request" {
					t.Error(err)
				}
			case len(chain) > 0:
				got = chain[0].Subject.CommonName
			}
			if got != c.want {
				t.Errorf("%q %v, want %q", got, err, c.want)
			}
		})
	}
}

func FuzzForwardedCertificates(f *testing.F) {
	leaf := pairOf(f, "client").Leaf
	escaped := url.PathEscape(pemOf(leaf))
	for _, seed := range []string{":" + base64.StdEncoding.EncodeToString(leaf.Raw) + ":", escaped, `Hash=a;Cert="` + escaped + `";Subject="\""`, "a=b,c=d", `a="`, ""} {
		f.Add(seed)
	}
	peers, err := web.ParseProxies([]string{"10.0.0.1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range web.CertificateFormats() {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr, r.Header = "10.0.0.1:1", http.Header{"X-Cert": {text}}
			chain, err := web.Certificates{Header: "X-Cert", Format: format, Peers: peers}.Of(r)
			if err != nil && len(chain) > 0 || err == nil && text != "" && len(chain) == 0 {
				t.Errorf("%s: %d certificates, %v", format, len(chain), err)
			}
		}
	})
}

// TestTLSIsAsFAPIWantsIt: FAPI 2.0 section 5.2.2.
func TestTLSIsAsFAPIWantsIt(t *testing.T) {
	dir, pair := t.TempDir(), pairOf(t, "server")
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files := web.Certificate{CertFile: filepath.Join(dir, "a.pem"), KeyFile: filepath.Join(dir, "a.key")}
	for name, content := range map[string]string{
		files.CertFile: pemOf(pair.Leaf), files.KeyFile: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings, err := files.Config()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: settings, ReadHeaderTimeout: time.Second, Handler: http.NotFoundHandler(), ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	dial := func(low, high uint16, suites ...uint16) (*tls.Conn, error) {
		return tls.Dial("tcp", listener.Addr().String(), &tls.Config{
			InsecureSkipVerify: true, MinVersion: low, MaxVersion: high, CipherSuites: suites,
		})
	}
	for name, c := range map[string]struct {
		low, high uint16
		suites    []uint16
		want      uint16 // 0: refused
	}{
		"TLS 1.0":                      {tls.VersionTLS10, tls.VersionTLS10, nil, 0},
		"TLS 1.1":                      {tls.VersionTLS11, tls.VersionTLS11, nil, 0},
		"TLS 1.2 with CBC":             {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA}, 0},
		"TLS 1.2 without ECDHE":        {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, 0},
		"TLS 1.2 with GCM":             {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}, tls.VersionTLS12},
		"TLS 1.2 with ChaCha20":        {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}, tls.VersionTLS12},
		"the newest where both are in": {tls.VersionTLS12, tls.VersionTLS13, nil, tls.VersionTLS13},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := dial(c.low, c.high, c.suites...)
			if err != nil {
				if c.want != 0 {
					t.Error(err)
				}
				return
			}
			defer func() { _ = conn.Close() }()
			if got := conn.ConnectionState().Version; got != c.want {
				t.Errorf("version %x, want %x", got, c.want)
			}
		})
	}
}

func TestD19AForwardedCertificateCountsAtItsOwnHostAlone(t *testing.T) {
	peers, err := web.ParseProxies([]string{"10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	shown := web.Certificates{Header: "Client-Cert", Format: web.RFC9440, Peers: peers, Host: "mtls.example"}
	victim := pairOf(t, "victim").Leaf
	for host, want := range map[string]int{"mtls.example": 1, "MTLS.example": 1, "login.example": 0, "": 0, "mtls.example:444": 0} {
		r := httptest.NewRequest(http.MethodPost, "/token", nil)
		r.Host, r.RemoteAddr = host, "10.0.0.1:1"
		r.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(victim.Raw)+":")
		if got, err := shown.Of(r); err != nil || len(got) != want {
			t.Errorf("%q: %d certificates, %v", host, len(got), err)
		}
	}
}
