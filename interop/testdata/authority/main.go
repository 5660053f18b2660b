// Command authority writes an authority of its own (ca.pem) and a certificate that it signed for this machine
// (server.pem, server.key), so that the real clients can be run over real HTTPS; and certificates of clients: one by an
// authority that vouches for clients (callers.pem, machine.pem, machine.key), and one that nobody signed (self.pem, self.key).
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: authority DIR")
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Garde interop authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, leafKey := key(), key()
	write("ca.pem", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)))
	write("server.pem", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), caKey)))
	write("server.key", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(leafKey)))

	callers, callersKey := *ca, key()
	callers.Subject.CommonName = "Who vouches for clients"
	write("callers.pem", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, &callers, &callers, callersKey.Public(), callersKey)))
	for name, signer := range map[string]*ecdsa.PrivateKey{"machine": callersKey, "self": nil} {
		own, ownKey := *leaf, key()
		own.Subject = pkix.Name{CommonName: name, Organization: []string{"Interop"}}
		own.DNSNames, own.IPAddresses, own.ExtKeyUsage = nil, nil, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		parent := &callers
		if signer == nil {
			parent, signer = &own, ownKey
		}
		write(name+".pem", "CERTIFICATE", must(x509.CreateCertificate(rand.Reader, &own, parent, ownKey.Public(), signer)))
		write(name+".key", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ownKey)))
	}
}

func key() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func write(name, kind string, der []byte) {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(filepath.Join(os.Args[1], name), text, 0o600); err != nil {
		log.Fatal(err)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
