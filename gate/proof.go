package gate

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
)

// remembered is how many proofs are held against replay: some 3,000 a second, in twenty megabytes at worst.
const remembered = 1 << 18

// judge makes what judges DPoP proofs.
func (c *Config) judge() (*binding.Judge, error) {
	judge, err := binding.Alone(remembered, c.Now)
	if err != nil {
		return nil, err
	}
	if c.NonceKey != nil {
		if judge.Nonces, err = binding.NewNonces(c.NonceKey); err != nil {
			return nil, fmt.Errorf("gate: %w", err)
		}
	}
	asked := c.Nonce
	judge.Demand = func() bool { return asked }
	return judge, nil
}

// proven finds out which keys the sender has proved: that of the certificate, and in the scheme DPoP that of a proof for
// this request and this token. In the scheme Bearer a proof says nothing: a token that needs one may not be sent so.
func (g *Gate) proven(r *http.Request, token string, dpop bool) (verify.Proof, binding.Proof, error) {
	keys := verify.Proof{X5T: binding.Thumbprint(g.certificate(r))}
	if !dpop {
		return keys, binding.Proof{}, nil
	}
	if !binding.Shows(r.Header) {
		return verify.Proof{}, binding.Proof{}, oauth.InvalidProof("the scheme DPoP needs a proof in the header DPoP")
	}
	// Scheme and host are those of the configuration: no header has a say in it (D06). The path is that of the request line,
	// also where a handler before this one has cut something off it.
	path := r.URL.EscapedPath()
	if strings.HasPrefix(r.RequestURI, "/") {
		path = r.RequestURI
	}
	place, err := binding.PlaceOf(g.at.Scheme + "://" + g.at.Host + path)
	if err != nil {
		return verify.Proof{}, binding.Proof{}, oauth.InvalidRequest("the address can't be compared with that of a proof").Because(err)
	}
	proof, err := g.judge.Read(binding.Shown{Header: r.Header, Method: r.Method, Places: []binding.Place{place}, Token: token})
	keys.JKT = proof.JKT
	return keys, proof, err
}

func (g *Gate) spend(ctx context.Context, proof binding.Proof) error {
	if proof == (binding.Proof{}) {
		return nil
	}
	return g.judge.Spend(ctx, proof)
}

func (g *Gate) certificate(r *http.Request) *x509.Certificate {
	switch {
	case g.config.Certificate != nil:
		return g.config.Certificate(r)
	case r.TLS != nil && len(r.TLS.PeerCertificates) > 0:
		return r.TLS.PeerCertificates[0]
	}
	return nil
}
