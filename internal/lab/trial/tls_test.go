package trial

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// authority is a certificate authority of the company's own.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
	last int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	mend(t, err)
	sheet := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "A trial's authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, sheet, sheet, &key.PublicKey, key)
	mend(t, err)
	cert, err := x509.ParseCertificate(der)
	mend(t, err)
	return &authority{t: t, cert: cert, key: key, last: 1, pem: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue makes a certificate for localhost and its key, in PEM; with rsa, an RSA key, which older suites would need.
func (a *authority) issue(withRSA bool) (cert, key string) {
	a.t.Helper()
	a.last++
	var public, private any
	if withRSA {
		pair, err := rsa.GenerateKey(rand.Reader, 2048)
		mend(a.t, err)
		public, private = &pair.PublicKey, pair
	} else {
		pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		mend(a.t, err)
		public, private = &pair.PublicKey, pair
	}
	sheet := &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, sheet, a.cert, public, a.key)
	mend(a.t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	mend(a.t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// secureHouse is a house whose every listener has TLS, and whose API has too.
func secureHouse(t testing.TB, a *authority) *house {
	t.Helper()
	h := setUp(t, nil)
	cert, key := a.issue(false)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	mend(t, err)
	api := httptest.NewUnstartedServer(h.api.Config.Handler)
	api.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	api.EnableHTTP2 = true
	api.StartTLS()
	t.Cleanup(api.Close)
	h.api.Close()
	h.api = api
	secure := func(base string) string { return strings.Replace(base, "http://127.0.0.1", "https://localhost", 1) }
	h.issuer, h.gateURL = secure(h.issuer), secure(h.gateURL)
	h.write("recipe.yaml", h.recipe())
	h.certify(a, "server", true)
	h.certify(a, "gate", false)
	h.write("ca.pem", a.pem)
	h.more, h.moreGate = "tls: {cert: server.crt, key: server.key}\nfetch: {authorities: ca.pem}", ", tls: {cert: gate.crt, key: gate.key}"
	h.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool()}, ForceAttemptHTTP2: true}
	return h
}

func (h *house) certify(a *authority, name string, withRSA bool) {
	h.t.Helper()
	cert, key := a.issue(withRSA)
	h.write(name+".key", key)
	h.write(name+".crt", cert)
}

func address(base string) string { _, rest, _ := strings.Cut(base, "://"); return rest }

// shake makes a handshake and says how it ended.
func shake(where string, settings *tls.Config) (tls.ConnectionState, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", where, settings)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

func TestTheHouseUnderTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	h := secureHouse(t, a)
	h.serve()
	h.open()
	t.Run("a person signs in and reaches an API behind https", func(t *testing.T) {
		v, got := h.signIn("openid accounts.read")
		if got.status != 200 {
			t.Fatalf("no tokens: %d %s", got.status, got.body)
		}
		for name := range v.cookies {
			if !strings.HasPrefix(name, "__Host-") {
				t.Errorf("S03 the cookie %s is not bound to its host", name)
			}
		}
		if got := h.call("GET", "/accounts/balance", h.mustToken("accounts.read")); got.status != 200 {
			t.Errorf("the Gate says %d %s", got.status, got.body)
		}
		if got := h.call("GET", "/vault/secrets", h.mustToken("vault.read")); got.status != 200 {
			t.Errorf("an opaque token: %d %s", got.status, got.body)
		}
	})
	t.Run("L03 browsers are told to come by https", func(t *testing.T) {
		got := do(h.client, request("GET", h.issuer+"/.well-known/openid-configuration", ""))
		if !strings.Contains(got.header.Get("Strict-Transport-Security"), "max-age=") {
			t.Errorf("no HSTS: %v", got.header)
		}
	})
	for name, where := range map[string]string{"the Server": address(h.issuer), "the Gate": address(h.gateURL)} {
		t.Run("L01 plain HTTP to "+name+" is answered by no redirect", func(t *testing.T) {
			got := do(newClient(t, 1), request("GET", "http://"+where+"/", ""))
			if got.status != 400 || got.header.Get("Location") != "" {
				t.Errorf("%d %v", got.status, got.header)
			}
		})
		t.Run("L02 "+name+" speaks TLS 1.3 and 1.2", func(t *testing.T) {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				state, err := shake(where, &tls.Config{RootCAs: a.pool(), MinVersion: version, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}})
				if err != nil || state.NegotiatedProtocol != "h2" {
					t.Errorf("version %x: %q %v", version, state.NegotiatedProtocol, err)
				}
			}
		})
		for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
			t.Run("L02 "+name+" refuses "+tls.VersionName(version), func(t *testing.T) {
				if state, err := shake(where, &tls.Config{RootCAs: a.pool(), MinVersion: version, MaxVersion: version}); err == nil {
					t.Errorf("agreed on %s", tls.VersionName(state.Version))
				}
			})
		}
		t.Run("L02 "+name+" takes no other suite than those of FAPI", func(t *testing.T) {
			agreed := 0
			for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
				if suite.SupportedVersions[0] == tls.VersionTLS13 {
					continue
				}
				_, err := shake(where, &tls.Config{RootCAs: a.pool(), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
				good := strings.HasPrefix(suite.Name, "TLS_ECDHE") && (strings.Contains(suite.Name, "GCM") || strings.Contains(suite.Name, "POLY1305"))
				if err == nil && !good {
					t.Errorf("agreed on %s", suite.Name)
				}
				if err == nil {
					agreed++
				}
			}
			if agreed != 3 { // AES-128-GCM, AES-256-GCM, ChaCha20 with the one kind of key
				t.Errorf("agreed on %d suites, want 3", agreed)
			}
		})
		t.Run("W21 "+name+" answers 421 when the name of the handshake is another", func(t *testing.T) {
			for _, proto := range []bool{false, true} {
				client := &http.Client{Transport: &http.Transport{
					TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "other.example"}, ForceAttemptHTTP2: proto,
				}}
				if got := do(client, request("GET", "https://"+where+"/accounts/rates", "")); got.status != http.StatusMisdirectedRequest {
					t.Errorf("h2 %t: %d %s", proto, got.status, got.body)
				}
				client.CloseIdleConnections()
			}
		})
	}
	t.Run("a new certificate is used without a restart, under load", func(t *testing.T) { renewed(t, a, h) })
	t.Run("a broken certificate leaves the old one in use", func(t *testing.T) {
		h.write("gate.crt", "no certificate at all\n")
		time.Sleep(2100 * time.Millisecond)
		if _, err := shake(address(h.gateURL), &tls.Config{RootCAs: a.pool()}); err != nil {
			t.Errorf("the old one is gone: %v", err)
		}
		h.gate.says("the old certificate stays in use")
	})
}

// renewed changes the certificate of the Gate while callers call.
func renewed(t *testing.T, a *authority, h *house) {
	token := h.mustToken("accounts.read")
	serial := func() string {
		state, err := shake(address(h.gateURL), &tls.Config{RootCAs: a.pool()})
		if err != nil {
			t.Errorf("handshake: %v", err)
			return ""
		}
		return state.PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	load := storm(4, func(int, int) reply {
		time.Sleep(2 * time.Millisecond)
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool()}, DisableKeepAlives: true}}
		return do(client, request("GET", h.gateURL+"/accounts/balance", "", "Authorization", "Bearer "+token))
	})
	h.certify(a, "gate", false)
	within(t, 5*time.Second, "the new certificate is shown", func() bool { return serial() != before })
	load.stop().only(t, "a call while the certificate changes", 200)
}

// frame sends one HTTP/2 request, header by header as given, and says how it was answered: a status, or how it was cut off.
func frame(t *testing.T, a *authority, where string, fields [][2]string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", where, &tls.Config{RootCAs: a.pool(), NextProtos: []string{"h2"}})
	mend(t, err)
	defer conn.Close()
	mend(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = io.WriteString(conn, http2.ClientPreface)
	mend(t, err)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	mend(t, framer.WriteSettings())
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for _, field := range fields {
		mend(t, encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	mend(t, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte(block.String()), EndStream: true, EndHeaders: true}))
	for {
		got, err := framer.ReadFrame()
		if err != nil {
			return "closed"
		}
		switch got := got.(type) {
		case *http2.MetaHeadersFrame:
			return got.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return "reset"
		case *http2.GoAwayFrame:
			return "goaway"
		case *http2.SettingsFrame:
			if !got.IsAck() {
				mend(t, framer.WriteSettingsAck())
			}
		}
	}
}

func TestHTTP2AtTheGateIsReadStrictly(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	h := secureHouse(t, a)
	h.serve()
	h.open()
	where := address(h.gateURL)
	plain := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", where}, {":path", "/accounts/rates"}}
	with := func(more ...[2]string) [][2]string { return append(append([][2]string{}, plain...), more...) }
	instead := func(name, value string) [][2]string {
		var fields [][2]string
		for _, field := range plain {
			if field[0] == name {
				field[1] = value
			}
			fields = append(fields, field)
		}
		return fields
	}
	if got := frame(t, a, where, plain); got != "200" {
		t.Fatalf("the honest request: %s", got)
	}
	if got := frame(t, a, where, with([2]string{"te", "trailers"})); got != "200" {
		t.Errorf("te: trailers is allowed: %s", got)
	}
	for name, fields := range map[string][][2]string{
		"W01 an upper case name":               with([2]string{"X-Upper", "1"}),
		"W01 Transfer-Encoding":                with([2]string{"transfer-encoding", "chunked"}),
		"W01 Connection":                       with([2]string{"connection", "x-user"}),
		"W01 Keep-Alive":                       with([2]string{"keep-alive", "1"}),
		"W01 Proxy-Connection":                 with([2]string{"proxy-connection", "1"}),
		"W01 Upgrade":                          with([2]string{"upgrade", "websocket"}),
		"W01 another TE":                       with([2]string{"te", "gzip"}),
		"W01 a pseudo-header that is none":     with([2]string{":user", "admin"}),
		"W01 a pseudo-header of answers":       with([2]string{":status", "200"}),
		"W01 a second path":                    with([2]string{":path", "/accounts/balance"}),
		"W01 a second method":                  with([2]string{":method", "POST"}),
		"W01 a pseudo-header after the others": append(with([2]string{"x-a", "1"}), [2]string{":authority", "evil.example"}),
		"W01 a newline in a value":             with([2]string{"x-a", "1\r\nGarde-Subject: admin"}),
		"W01 a newline in a name":              with([2]string{"x-a\r\ngarde-subject", "admin"}),
		"W01 a space in a name":                with([2]string{"x a", "1"}),
		"W01 a colon in a name":                with([2]string{"garde-subject:", "1"}),
		"W01 NUL in a value":                   with([2]string{"x-a", "1\x00"}),
		"W01 no path":                          plain[:3],
		"W01 an empty path":                    instead(":path", ""),
		"W01 a path without a slash":           instead(":path", "accounts/rates"),
		"W01 a line end in the path":           instead(":path", "/accounts/rates HTTP/1.1\r\nX: y"),
		"W01 a space in the path":              instead(":path", "/accounts/rates x"),
		"W01 a line end in the method":         instead(":method", "GET /x HTTP/1.1\r\nX: y"),
		"W01 a whole URL as the path":          instead(":path", "https://evil.example/accounts/rates"),
		"W21 another authority":                instead(":authority", "evil.example"),
		"W21 an authority with a user":         instead(":authority", "user@"+where),
		"W21 Host beside another authority":    with([2]string{"host", "evil.example"}),
		"W01 CONNECT":                          {{":method", "CONNECT"}, {":authority", where}},
		"W01 extended CONNECT":                 append(instead(":method", "CONNECT"), [2]string{":protocol", "websocket"}),
		"W01 an unknown scheme":                instead(":scheme", "gopher"),
		"W01 a body length that is no number":  with([2]string{"content-length", "1x"}),
		"W01 a body length that is not true":   with([2]string{"content-length", "5"}),
		"W01 two authorizations":               with([2]string{"authorization", "Bearer a"}, [2]string{"authorization", "Bearer b"}),
	} {
		t.Run(name, func(t *testing.T) {
			got := frame(t, a, where, fields)
			if strings.HasPrefix(got, "2") || strings.HasPrefix(got, "3") || got == "500" || got == "502" {
				t.Errorf("it was answered by %s", got)
			}
		})
	}
	if got := frame(t, a, where, plain); got != "200" {
		t.Errorf("the honest request, afterwards: %s", got)
	}
}
