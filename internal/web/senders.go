package web

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gardeauth/garde/internal/oauth"
)

// CertificateFormat is how a proxy writes the certificate that a client has shown to it.
type CertificateFormat string

// The formats. Each is written by a proxy that has itself made the TLS connection with the client, so that the client has
// proved the certificate's key to it; a header that something else writes must never be configured here.
const (
	RFC9440    CertificateFormat = "rfc9440" // Client-Cert and Client-Cert-Chain: a byte sequence of the DER form
	EscapedPEM CertificateFormat = "pem"     // percent-encoded PEM, as nginx writes $ssl_client_escaped_cert
	XFCC       CertificateFormat = "xfcc"    // x-forwarded-client-cert of Envoy, with Cert and perhaps Chain
)

// CertificateFormats lists the formats.
func CertificateFormats() []CertificateFormat { return []CertificateFormat{RFC9440, EscapedPEM, XFCC} }

// The bounds of what is forwarded.
const (
	maxForwarded = 24 << 10
	maxChain     = 8
)

// Certificates find the certificate whose key the sender of a request has proved. The zero value believes the connection
// alone.
type Certificates struct {
	// Header is the name by which a proxy forwards the certificate of a client, in Format; "": nothing is forwarded. It is
	// read from Peers alone and means nothing from anybody else (D18). The proxy must set it on every request, also when it
	// has nothing to say, so that a client can't say it instead.
	Header string
	Format CertificateFormat
	Peers  Proxies
	// Host is the only one under which the header counts: a proxy serves others as well, and need not mind it there. Empty:
	// any.
	Host string
}

// Of gives the certificate of the sender and what it sent along to have it verified, or nothing. From a listed proxy only
// the header counts, for the connection is the proxy's own. A header from there that stands twice or can't be read is an
// error: to go on without a certificate could give a bound token to nobody, or to the wrong one.
func (c Certificates) Of(r *http.Request) ([]*x509.Certificate, error) {
	if c.Header != "" {
		if peer, err := peerOf(r); err == nil && c.Peers.Trusts(peer) {
			if c.Host != "" && !strings.EqualFold(r.Host, c.Host) {
				return nil, nil
			}
			chain, err := c.forwarded(r.Header)
			if err != nil {
				return nil, oauth.InvalidRequest("the forwarded certificate can't be read").Because(err)
			}
			return chain, nil
		}
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) > maxChain {
		return nil, nil
	}
	return r.TLS.PeerCertificates, nil
}

func (c Certificates) forwarded(header http.Header) ([]*x509.Certificate, error) {
	text, err := single(header, c.Header)
	if err != nil || text == "" {
		return nil, err
	}
	if len(text) > maxForwarded {
		return nil, errors.New("it is too long")
	}
	switch c.Format {
	case RFC9440:
		chain, err := single(header, "Client-Cert-Chain")
		if err != nil {
			return nil, err
		}
		return readByteSequences(text, chain)
	case EscapedPEM:
		return readEscapedPEM(text)
	case XFCC:
		return readXFCC(text)
	}
	return nil, fmt.Errorf("the format %q is not known", c.Format)
}

// readByteSequences reads RFC 9440 section 2: an item with the client's own certificate, and a list with the others.
func readByteSequences(own, others string) ([]*x509.Certificate, error) {
	items := []string{own}
	if others != "" {
		items = append(items, strings.Split(others, ",")...)
	}
	if len(items) > maxChain {
		return nil, errors.New("the chain is too long")
	}
	var chain []*x509.Certificate
	for _, item := range items {
		item = strings.Trim(item, " \t")
		// A byte sequence of RFC 9651 section 3.3.5. Parameters would be something that we don't know.
		if len(item) < 2 || item[0] != ':' || item[len(item)-1] != ':' {
			return nil, errors.New("it is no byte sequence")
		}
		item = item[1 : len(item)-1]
		der, err := base64.StdEncoding.Strict().DecodeString(item)
		if err != nil || strings.ContainsAny(item, "\r\n") {
			return nil, errors.New("it is no byte sequence")
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, certificate)
	}
	return chain, nil
}

// readEscapedPEM reads one certificate or a chain.
func readEscapedPEM(text string) ([]*x509.Certificate, error) {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return nil, errors.New("it is not percent-encoded as it should be")
	}
	rest, chain := []byte(plain), []*x509.Certificate(nil)
	for len(bytes.TrimSpace(rest)) > 0 {
		// The decoder passes over what stands before a block; nothing does in what a proxy has written.
		if !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("-----BEGIN CERTIFICATE-----")) || len(chain) == maxChain {
			return nil, errors.New("it is not PEM of certificates alone")
		}
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			return nil, errors.New("it is not PEM of certificates alone")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, certificate)
	}
	if len(chain) == 0 {
		return nil, errors.New("it holds no certificate")
	}
	return chain, nil
}

// readXFCC reads the one element that a proxy writes which sanitises what clients send. A second one would tell of another
// hop, whose word nobody has vouched for.
func readXFCC(text string) ([]*x509.Certificate, error) {
	var own, others string
	for rest := text; ; {
		name, value, more, last, err := pairOfXFCC(rest)
		if err != nil {
			return nil, err
		}
		switch {
		case strings.EqualFold(name, "Cert") && own == "":
			own = value
		case strings.EqualFold(name, "Chain") && others == "":
			others = value
		case strings.EqualFold(name, "Cert"), strings.EqualFold(name, "Chain"):
			return nil, errors.New("an element names a certificate twice")
		}
		if last {
			break
		}
		rest = more
	}
	if own == "" {
		return nil, errors.New("it has no Cert: let the proxy set it")
	}
	leaf, err := readEscapedPEM(own)
	if err != nil || len(leaf) != 1 || others == "" {
		return leaf, err
	}
	chain, err := readEscapedPEM(others)
	if err != nil {
		return nil, err
	}
	if !chain[0].Equal(leaf[0]) { // Envoy's Chain begins with the certificate itself
		return append(leaf, chain...), nil
	}
	return chain, nil
}

// pairOfXFCC cuts key=value or key="value" off, and tells whether it was the last.
func pairOfXFCC(text string) (name, value, rest string, last bool, err error) {
	malformed := errors.New("it is no element of key=value pairs")
	name, rest, found := strings.Cut(text, "=")
	if !found || name == "" || strings.ContainsAny(name, " \t,;\"") {
		return "", "", "", false, malformed
	}
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		end := endOfQuoted(quoted)
		if end < 0 {
			return "", "", "", false, malformed
		}
		value, rest = quoted[:end], quoted[end+1:]
	} else {
		end := strings.IndexAny(rest, `,;"`)
		if end < 0 {
			end = len(rest)
		}
		value, rest = rest[:end], rest[end:]
	}
	switch {
	case rest == "":
		return name, value, "", true, nil
	case rest[0] == ',':
		return "", "", "", false, errors.New("it tells of more than one hop")
	case rest[0] != ';':
		return "", "", "", false, malformed
	}
	return name, value, rest[1:], false, nil
}

// endOfQuoted finds the closing quote; those behind a backslash are part of the text.
func endOfQuoted(text string) int {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}
