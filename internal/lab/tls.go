package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/config"
)

// Authority is a certificate authority of a test.
type Authority struct {
	Certificate *x509.Certificate
	PEM         []byte

	t   testing.TB
	key *ecdsa.PrivateKey
}

// NewAuthority makes one that nobody else trusts.
func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{t: t}
	template := certificateFor(t, pkix.Name{CommonName: name})
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	pair := a.sign(template)
	a.Certificate, a.key = pair.Leaf, pair.PrivateKey.(*ecdsa.PrivateKey) //nolint:forcetypeassert // made so below
	a.PEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate.Raw})
	return a
}

func certificateFor(t testing.TB, subject pkix.Name) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial, Subject: subject, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(48 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// sign signs with the authority's key, or, before it has one, with the certificate's own.
func (a *Authority) sign(template *x509.Certificate) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := template, key
	if a.key != nil {
		parent, signer = a.Certificate, a.key
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

// Client issues a certificate for a client; twist may add other names.
func (a *Authority) Client(subject pkix.Name, twist func(*x509.Certificate)) tls.Certificate {
	a.t.Helper()
	template := certificateFor(a.t, subject)
	if twist != nil {
		twist(template)
	}
	return a.sign(template)
}

// Server issues a certificate for loopback.
func (a *Authority) Server() tls.Certificate {
	a.t.Helper()
	template := certificateFor(a.t, pkix.Name{CommonName: "127.0.0.1"})
	template.IPAddresses, template.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}
	return a.sign(template)
}

// SelfSigned makes a certificate that only its own key vouches for.
func SelfSigned(t testing.TB, subject pkix.Name) tls.Certificate {
	t.Helper()
	return (&Authority{t: t}).sign(certificateFor(t, subject))
}

// Pool trusts the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// certify writes the house's certificate into its folder, for every listener, and at which addresses certificates of clients
// are asked for.
func (h *House) certify(asking []string) {
	h.Authority = NewAuthority(h.t, "the lab's authority")
	pair := h.Authority.Server()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	h.must(err)
	h.files["authority.pem"] = h.Authority.PEM
	h.files["tls.pem"] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	h.files["tls-key.pem"] = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	if h.options.MTLS {
		h.Callers = NewAuthority(h.t, "who vouches for the lab's clients")
		h.files["callers.pem"] = h.Callers.PEM
		h.MTLSURL = "https://" + asking[0]
	}
	h.transport(h.client).TLSClientConfig = &tls.Config{RootCAs: h.Authority.Pool(), MinVersion: tls.VersionTLS12}
}

func (h *House) transport(client *http.Client) *http.Transport {
	transport, ok := client.Transport.(*http.Transport)
	if !ok {
		h.t.Fatal("lab: another kind of transport")
	}
	return transport
}

// certificates says where the house's certificate stands; nothing in a house without TLS.
func (h *House) certificates() config.TLS {
	if h.Authority == nil {
		return config.TLS{}
	}
	return config.TLS{Cert: h.path("tls.pem"), Key: h.path("tls-key.pem")}
}

// With is a client that shows a certificate; it follows no redirect.
func (h *House) With(certificate *tls.Certificate) *http.Client {
	h.t.Helper()
	settings := &tls.Config{RootCAs: h.Authority.Pool(), MinVersion: tls.VersionTLS12}
	if certificate != nil {
		settings.Certificates = []tls.Certificate{*certificate}
	}
	transport := &http.Transport{TLSClientConfig: settings, ForceAttemptHTTP2: true}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: h.client.Timeout, CheckRedirect: h.client.CheckRedirect,
	}
}

// Listening speaks TLS on a listener of somebody else, under the house's authority.
func (h *House) Listening(listener net.Listener) net.Listener {
	h.t.Helper()
	return tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{h.Authority.Server()}, MinVersion: tls.VersionTLS12})
}

// Cleanup does something when the house's test ends, before the house does.
func (h *House) Cleanup(do func()) { h.t.Cleanup(do) }
