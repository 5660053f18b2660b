package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gardeauth/garde/internal/seal"
)

// life is how long certificates last: longer than a certification, and not for ever.
const life = 90 * 24 * time.Hour

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key, block("CERTIFICATE", der)}, err
}

// sign gives a certificate and its key, PEM.
func (a *authority) sign(template *x509.Certificate) (cert, key []byte, err error) {
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = serial(), time.Now().Add(-time.Hour), time.Now().Add(life)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, pair.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(pair)
	return block("CERTIFICATE", der), block("PRIVATE KEY", private), err
}

// server writes the certificate of all listeners.
func (a *authority) server(dir string, names []string) error {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: names[0]}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	cert, key, err := a.sign(template)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "server.pem"), cert, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "server.key"), key, 0o600)
}

func serial() *big.Int {
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic("certification: no randomness: " + err.Error())
	}
	return number
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func masterKey() []byte { return []byte(seal.GenerateMaster().Reveal() + "\n") }

// identity is what a client proves itself with, as the suite wants to be told.
type identity struct {
	secret    string
	keys      json.RawMessage // private JWK Set
	cert, key string          // PEM
	scopes    []string
	notified  bool // hears of answers, and does not ask for them
}

// clientOf is what is read of a client in a recipe.
type clientOf struct {
	Auth     string   `yaml:"auth"`
	Secrets  []string `yaml:"secrets"`
	JWKS     string   `yaml:"jwks"`
	Subject  string   `yaml:"tls_client_auth_subject_dn"`
	Scopes   []string `yaml:"scopes"`
	Delivery string   `yaml:"backchannel_token_delivery_mode"`
}

// identities makes the files that the recipe of a folder names, and gives what belongs to them.
func identities(folder string, callers *authority) (map[string]identity, error) {
	text, err := os.ReadFile(filepath.Join(folder, "recipe.yaml"))
	if err != nil {
		return nil, err
	}
	var read struct {
		Clients map[string]clientOf `yaml:"clients"`
	}
	if err := yaml.Unmarshal(text, &read); err != nil {
		return nil, err
	}
	all := map[string]identity{}
	for name, client := range read.Clients {
		if all[name], err = client.make(folder, name, callers); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (c clientOf) make(folder, name string, callers *authority) (identity, error) {
	own := identity{scopes: c.Scopes, notified: c.Delivery == "ping"}
	for _, reference := range c.Secrets {
		own.secret = rand.Text() + rand.Text()
		if err := os.WriteFile(filepath.Join(folder, strings.TrimPrefix(reference, "file:")), []byte(own.secret), 0o600); err != nil {
			return own, err
		}
	}
	if c.JWKS == "" {
		return own, nil
	}
	// RSA, although EC is better: the suite tries RS256 with the same key, to see it refused.
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return own, err
	}
	public, private := jwks(key, name)
	own.keys = private
	if err := os.WriteFile(filepath.Join(folder, c.JWKS), public, 0o600); err != nil {
		return own, err
	}
	// Every client with a key has a certificate, since tokens may be bound to one that does not prove who the client is.
	cert, certKey, err := callers.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: []string{"Certification"}},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	own.cert, own.key = string(cert), string(certKey)
	return own, err
}

// jwks writes a key as the server may know it, and as only its owner may.
func jwks(key *rsa.PrivateKey, name string) (public, private []byte) {
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	jwk := map[string]string{
		"kty": "RSA", "use": "sig", "alg": "PS256", "kid": name, "n": number(key.N), "e": number(big.NewInt(int64(key.E))),
	}
	set := func() []byte {
		text, err := json.Marshal(map[string]any{"keys": []any{jwk}})
		if err != nil {
			panic("certification: texts have JSON: " + err.Error())
		}
		return text
	}
	public = set()
	for member, n := range map[string]*big.Int{
		"d": key.D, "p": key.Primes[0], "q": key.Primes[1], "dp": key.Precomputed.Dp, "dq": key.Precomputed.Dq, "qi": key.Precomputed.Qinv,
	} {
		jwk[member] = number(n)
	}
	return public, set()
}
