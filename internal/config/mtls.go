package config

import (
	"net/http"
	"slices"
	"strings"
)

// MTLSPair gives the certificate of the listener for clients with certificates: its own, or else that of the Server.
func (n *Node) MTLSPair() TLS {
	if n.MTLS.TLS.Cert != "" {
		return n.MTLS.TLS
	}
	return n.TLS
}

func (f *faults) mtls(n *Node) {
	m := n.MTLS
	if m == (MTLS{}) {
		return
	}
	f.address("mtls.listen", m.Listen)
	f.pair("mtls.tls", m.TLS)
	switch err := CheckIssuer(m.URL); {
	case err != nil:
		f.add("mtls.url: %v", err)
	case !strings.HasPrefix(m.URL, "https://"):
		f.add("mtls.url: https is needed: without TLS there is no certificate")
	case m.URL == n.Issuer:
		f.add("mtls.url: it must be another one than the issuer, or browsers would ask people for certificates")
	}
	if m.Listen != "" && n.MTLSPair().Cert == "" {
		f.add("mtls.tls: cert and key are needed where mtls listens")
	}
	if m.Listen == "" && n.Shown == (Shown{}) {
		f.add("mtls.listen: missing; write an address, or forwarded_certificates where a proxy ends TLS")
	}
}

// formats are those of web.CertificateFormats.
var formats = []string{"rfc9440", "pem", "xfcc"}

func (f *faults) forwarded(n *Node) {
	s := n.Shown
	if s == (Shown{}) {
		return
	}
	if name := http.CanonicalHeaderKey(s.Header); !plainHeader(s.Header) || slices.Contains(taken, name) {
		f.add("forwarded_certificates.header: write the name of a header of its own, of letters, digits and hyphens, such as Client-Cert")
	}
	if !slices.Contains(formats, s.Format) {
		f.add("forwarded_certificates.format: write rfc9440, pem or xfcc")
	}
	if len(n.Proxies) == 0 {
		f.add("forwarded_certificates: trusted_proxies is empty, so nobody's header would count; list the proxy there")
	}
}

// taken are headers that say something else.
var taken = []string{"Authorization", "Cookie", "Dpop", "Host", "Content-Type", "Content-Length", "Origin", "Forwarded", "X-Forwarded-For"}

func plainHeader(name string) bool {
	// An underscore would be read as a hyphen by some proxies, and then anybody could send the header (D18).
	return name != "" && strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
