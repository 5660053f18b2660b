package authenticator

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"time"
)

// Maker is a company that makes authenticators and vouches for their model.
type Maker struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewMaker makes a maker with a root certificate of its own.
func NewMaker() (*Maker, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Root of a maker", Organization: []string{"A maker"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	return &Maker{root, key}, err
}

// Roots is a pool with the maker's root.
func (m *Maker) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(m.root)
	return pool
}

// PEM is the maker's root as a file holds it.
func (m *Maker) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.root.Raw})
}

// statement is a packed attestation over signed by a certificate for that model (WebAuthn section 8.2).
func (m *Maker) statement(over []byte, model [16]byte) (map[string]any, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	named, err := asn1.Marshal(model[:])
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		Subject: pkix.Name{
			Country: []string{"FR"}, Organization: []string{"A maker"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Batch 1",
		},
		BasicConstraintsValid: true,
		ExtraExtensions:       []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}, Value: named}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, m.root, &key.PublicKey, m.key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(over)
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return map[string]any{"alg": -7, "sig": signature, "x5c": [][]byte{der}}, nil
}
