package clientauth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// certificates is how the methods of mutual TLS find what the connection showed (RFC 8705 section 2).
type certificates struct {
	of func(r *http.Request) ([]*x509.Certificate, error)
}

func (c certificates) Read(r *http.Request, form web.Form) (Shown, bool, error) {
	if !onlyNamed(r, form) {
		return Shown{}, false, nil
	}
	chain, err := c.of(r)
	return Shown{Client: form.Value("client_id"), Chain: chain}, len(chain) > 0, err
}

// tlsClient shows a certificate that an authority of this node vouches for, with the one name that the client is registered
// under (RFC 8705 section 2.1).
type tlsClient struct {
	certificates
	authorities *authorities
	now         func() time.Time
}

func (tlsClient) Name() oauth.AuthMethod { return oauth.AuthTLS }

func (m tlsClient) Verify(_ context.Context, client iam.Client, shown Shown) error {
	if len(shown.Chain) == 0 {
		return errors.New("the connection shows no certificate")
	}
	name, err := nameOf(client)
	if err != nil {
		return err
	}
	return m.authorities.vouch(shown.Chain, name, m.now())
}

// expected is the name that a client is registered under, and how to look for it.
type expected struct {
	what, value string
	bears       func(*x509.Certificate, string) (bool, error)
}

// nameOf is the one subject that the client is registered with. None, or more than one, fits nothing.
func nameOf(client iam.Client) (expected, error) {
	var one expected
	for _, each := range [...]expected{
		{"tls_client_auth_subject_dn", client.SubjectDN, bearsSubject},
		{"tls_client_auth_san_dns", client.SANDNS, bearsHost},
		{"tls_client_auth_san_uri", client.SANURI, bearsURI},
		{"tls_client_auth_san_ip", client.SANIP, bearsIP},
		{"tls_client_auth_san_email", client.SANEmail, bearsEmail},
	} {
		if each.value == "" {
			continue
		}
		if one.value != "" {
			return expected{}, errors.New("the client is registered with more than one name for its certificate")
		}
		one = each
	}
	if one.value == "" {
		return expected{}, errors.New("the client is registered with no name for its certificate")
	}
	return one, nil
}

// in compares the name with a certificate's.
func (e expected) in(leaf *x509.Certificate) error {
	bears, err := e.bears(leaf, e.value)
	if err != nil {
		return fmt.Errorf("%s: %w", e.what, err)
	}
	if !bears {
		return fmt.Errorf("the certificate does not bear the registered %s", e.what)
	}
	return nil
}

func bearsSubject(leaf *x509.Certificate, wanted string) (bool, error) {
	expected, err := ParseName(wanted)
	if err != nil {
		return false, err
	}
	subject, err := readName(leaf.RawSubject)
	return err == nil && expected.Equal(subject), err
}

// bearsHost compares names of hosts without regard to case; a wildcard is a name like any other, and stands for none.
func bearsHost(leaf *x509.Certificate, wanted string) (bool, error) {
	return bearsAlternative(leaf, tagDNS, func(value []byte) bool {
		return lowerASCII(string(value)) == lowerASCII(wanted)
	})
}

func bearsURI(leaf *x509.Certificate, wanted string) (bool, error) {
	return bearsAlternative(leaf, tagURI, func(value []byte) bool { return string(value) == wanted })
}

func bearsIP(leaf *x509.Certificate, wanted string) (bool, error) {
	address, err := netip.ParseAddr(wanted)
	if err != nil || address.Zone() != "" {
		return false, errors.New("is no IP address")
	}
	return bearsAlternative(leaf, tagIP, func(value []byte) bool { return bytes.Equal(value, address.AsSlice()) })
}

// bearsEmail compares the host without regard to case and what stands before it exactly (RFC 5280 section 7.5).
func bearsEmail(leaf *x509.Certificate, wanted string) (bool, error) {
	name, host, _ := strings.Cut(wanted, "@")
	return bearsAlternative(leaf, tagEmail, func(value []byte) bool {
		local, domain, found := strings.Cut(string(value), "@")
		return found && local == name && lowerASCII(domain) == lowerASCII(host)
	})
}

// The kinds of subjectAltName (RFC 5280 section 4.2.1.6).
const (
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
	tagIP    = 7
)

// bearsAlternative looks at the names as they stand in the certificate: what a parser has made of a URI is not what its
// authority signed.
func bearsAlternative(leaf *x509.Certificate, tag int, fits func([]byte) bool) (bool, error) {
	for _, extension := range leaf.Extensions {
		if !extension.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(extension.Value, &names); err != nil || len(rest) > 0 {
			return false, errors.New("the certificate's names can't be read")
		}
		for _, name := range names {
			if name.Class == asn1.ClassContextSpecific && name.Tag == tag && fits(name.Bytes) {
				return true, nil
			}
		}
	}
	return false, nil
}

// authorities verify names and chains, and remember for a while which ones were good: connections are kept alive, and each
// request on one shows the same certificate.
type authorities struct {
	roots *x509.CertPool

	mu   sync.Mutex
	good map[vouched]time.Time // until when
}

// vouched is a certificate under a name that it bears.
type vouched struct {
	mark        [sha256.Size]byte
	what, value string
}

const (
	vouchFor = 5 * time.Minute
	maxChain = 10
)

func newAuthorities(trusted []*x509.Certificate) *authorities {
	roots := x509.NewCertPool()
	for _, authority := range trusted {
		roots.AddCert(authority)
	}
	return &authorities{roots: roots}
}

func (a *authorities) vouch(chain []*x509.Certificate, name expected, now time.Time) error {
	leaf := chain[0]
	mark := vouched{sha256.Sum256(leaf.Raw), name.what, name.value}
	a.mu.Lock()
	until, known := a.good[mark]
	a.mu.Unlock()
	if known && now.Before(until) && !now.Before(leaf.NotBefore) {
		return nil
	}
	if err := name.in(leaf); err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, certificate := range chain[1:min(len(chain), maxChain)] {
		between.AddCert(certificate)
	}
	verified, err := leaf.Verify(x509.VerifyOptions{
		Roots: a.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("no authority of this node vouches for the certificate: %w", err)
	}
	until = now.Add(vouchFor)
	for _, certificate := range verified[0] {
		if certificate.NotAfter.Before(until) {
			until = certificate.NotAfter
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.good == nil || len(a.good) >= most {
		a.good = map[vouched]time.Time{}
	}
	a.good[mark] = until
	return nil
}
