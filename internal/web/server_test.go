package web_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/web"
)

// writePair makes a self-signed pair for a name and writes it over the files.
func writePair(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	write(t, keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
	return certFile, keyFile
}

func write(t *testing.T, path string, body []byte) {
	t.Helper()
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
}

// serve runs a server until the test ends and gives its address.
func serve(t *testing.T, server *web.Server) (address string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server.Listener, server.Log = listener, slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return listener.Addr().String(), stop
}

func TestL02OnlyModernTLS(t *testing.T) {
	certFile, keyFile := writePair(t, t.TempDir(), "one")
	config, err := (&web.Certificate{CertFile: certFile, KeyFile: keyFile}).Config()
	if err != nil {
		t.Fatal(err)
	}
	if config.MinVersion != tls.VersionTLS12 {
		t.Error("the least version is not TLS 1.2")
	}
	address, _ := serve(t, &web.Server{Handler: http.HandlerFunc(answering), TLS: config})
	for name, row := range map[string]struct {
		min, max uint16
		suites   []uint16
		ok       bool
	}{
		"TLS 1.3":         {tls.VersionTLS13, tls.VersionTLS13, nil, true},
		"TLS 1.2 GCM":     {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, true},
		"TLS 1.2 CBC":     {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}, false},
		"TLS 1.2 RSA key": {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}, false},
		"TLS 1.2 3DES":    {tls.VersionTLS12, tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA}, false},
		"TLS 1.1":         {tls.VersionTLS11, tls.VersionTLS11, nil, false},
		"TLS 1.0":         {tls.VersionTLS10, tls.VersionTLS10, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", address, &tls.Config{
				MinVersion: row.min, MaxVersion: row.max, CipherSuites: row.suites, InsecureSkipVerify: true,
			})
			if err == nil {
				_ = conn.Close()
			}
			if (err == nil) != row.ok {
				t.Errorf("handshake: %v", err)
			}
		})
	}
}

func TestCertificatesAreReloaded(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	certFile, keyFile := writePair(t, dir, "one")
	certificate := &web.Certificate{CertFile: certFile, KeyFile: keyFile, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
	config, err := certificate.Config()
	if err != nil {
		t.Fatal(err)
	}
	want := func(name, when string) {
		t.Helper()
		pair, err := config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil || leaf.Subject.CommonName != name {
			t.Errorf("%s: %v is in use, want %s", when, leaf.Subject, name)
		}
	}
	want("one", "at first")
	writePair(t, dir, "two")
	later := now.Add(time.Minute)
	_ = os.Chtimes(certFile, later, later)
	want("one", "within the age")
	now = now.Add(time.Minute)
	want("two", "after it")
	write(t, keyFile, []byte("broken"))
	now = now.Add(time.Minute)
	want("two", "with a broken file")
	_ = os.Remove(keyFile)
	now = now.Add(time.Minute)
	want("two", "without a file")
	writePair(t, dir, "three")
	now = now.Add(time.Minute)
	want("three", "when it is mended")
	if _, err := (&web.Certificate{CertFile: "none", KeyFile: keyFile}).Config(); err == nil {
		t.Error("a server starts without its certificate")
	}
}

func TestAGracefulEndWaitsForRequests(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	address, stop := serve(t, &web.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		_, _ = io.WriteString(w, "whole")
	})})
	body := make(chan string, 1)
	go func() {
		answer, err := http.Get("http://" + address)
		if err != nil {
			body <- err.Error()
			return
		}
		defer func() { _ = answer.Body.Close() }()
		all, _ := io.ReadAll(answer.Body)
		body <- string(all)
	}()
	<-begun
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	time.Sleep(50 * time.Millisecond)
	close(finish)
	if got := <-body; got != "whole" {
		t.Errorf("the answer was %q", got)
	}
	if err := <-ended; err != nil {
		t.Errorf("the end was not graceful: %v", err)
	}
}

func TestAnEndDoesNotWaitForEver(t *testing.T) {
	begun := make(chan struct{})
	address, stop := serve(t, &web.Server{Grace: 50 * time.Millisecond, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	})})
	go func() {
		if answer, err := http.Get("http://" + address); err == nil {
			_ = answer.Body.Close()
		}
	}()
	<-begun
	began := time.Now()
	if err := stop(); err != nil || time.Since(began) > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestL04HugeHeadersAreRefused(t *testing.T) {
	address, _ := serve(t, &web.Server{Handler: http.HandlerFunc(answering)})
	r, _ := http.NewRequest(http.MethodGet, "http://"+address, nil)
	r.Header.Set("X-Long", strings.Repeat("x", 64<<10))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return // closed while it was sent: refused as well
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", answer.StatusCode)
	}
}

func TestW27NoH2C(t *testing.T) {
	address, _ := serve(t, &web.Server{Handler: http.HandlerFunc(answering)})
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	line, _ := bufio.NewReader(conn).ReadString('\n')
	if !strings.HasPrefix(line, "HTTP/1.1 4") && !strings.HasPrefix(line, "HTTP/1.1 5") && line != "" {
		t.Errorf("answer %q", line)
	}
}

func TestL05OverloadIsRefusedAtOnceAndPasses(t *testing.T) {
	release := make(chan struct{})
	began := make(chan struct{}, 8)
	handler := web.Overload{Running: 2, Waiting: 1, Patience: 5 * time.Second, Face: quiet}.Wrap(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			began <- struct{}{}
			<-release
		}))
	codes := make(chan *httptest.ResponseRecorder, 8)
	ask := func() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		codes <- w
	}
	go ask()
	go ask()
	<-began
	<-began
	asked := time.Now()
	for range 4 { // one waits, three are refused
		go ask()
	}
	for range 3 {
		w := <-codes
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
	}
	if took := time.Since(asked); took > time.Second {
		t.Errorf("the refusal took %v", took)
	}
	close(release)
	for range 3 {
		if w := <-codes; w.Code != http.StatusOK {
			t.Errorf("who was served or waited got %d", w.Code)
		}
	}
	ask()
	if w := <-codes; w.Code != http.StatusOK {
		t.Errorf("after the load: %d", w.Code)
	}
}

func TestOverloadPatienceEnds(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	began := make(chan struct{})
	handler := web.Overload{Running: 1, Waiting: 1, Patience: 20 * time.Millisecond, Face: quiet}.Wrap(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(began)
			<-release
		}))
	go handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	<-began
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", w.Code)
	}
}
