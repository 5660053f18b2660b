package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// pairs are the certificates of one house, all from one authority of its own.
type pairs struct {
	client *tls.Config // shows the certificate of the client mutual, and believes the server's
	server [2]string   // files of certificate and key
}

// newPairs makes them and writes what a node needs of them into its folder.
func newPairs(dir string) (pairs, error) {
	made := pairs{server: [2]string{filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")}}
	root, rootKey, err := certificate("authority", nil, nil)
	if err != nil {
		return made, err
	}
	server, serverKey, err := certificate("server", root, rootKey)
	if err != nil {
		return made, err
	}
	client, clientKey, err := certificate("mutual", root, rootKey)
	if err != nil {
		return made, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return made, err
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(root)
	made.client = &tls.Config{
		RootCAs: trusted, MinVersion: tls.VersionTLS13, ServerName: "127.0.0.1",
		Certificates: []tls.Certificate{{Certificate: [][]byte{client.Raw}, PrivateKey: clientKey}},
	}
	return made, errors.Join(
		writePEM(filepath.Join(dir, "authority.crt"), "CERTIFICATE", root.Raw),
		writePEM(made.server[0], "CERTIFICATE", server.Raw),
		writePEM(made.server[1], "PRIVATE KEY", private),
	)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// certificate makes one; without a parent it signs itself.
func certificate(name string, parent *x509.Certificate, by crypto.Signer) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
	}
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		return nil, nil, err
	}
	made, err := x509.ParseCertificate(der)
	return made, key, err
}

// mutualListener asks clients for a certificate as the node does, and takes whichever they show.
func mutualListener(on net.Listener, cert, key string) (net.Listener, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return tls.NewListener(on, &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert,
	}), nil
}
