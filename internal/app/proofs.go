package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/server/proof"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// rememberedProofs is how many proofs a node holds against replay: some 15,000 a second, in a hundred megabytes at worst.
const rememberedProofs = 1 << 20

// serverNonces and gateNonces name the keys of two kinds of door: a nonce of one is none of the other (D14).
const (
	serverNonces = "dpop nonces of the server"
	gateNonces   = "dpop nonces of the gate"
)

// openProofs hangs up what finds out which keys a caller has proved.
func (s *Server) openProofs() error {
	key, err := s.Seal.Current.Subkey(serverNonces)
	if err != nil {
		return err
	}
	nonces, err := binding.NewNonces(key)
	if err != nil {
		return err
	}
	bases := []string{s.Node.Issuer}
	if s.Node.MTLS.URL != "" {
		bases = append(bases, s.Node.MTLS.URL)
	}
	s.proofs, err = proof.New(proof.Config{
		Judge: &binding.Judge{
			Once: proofOnce{
				sharedOnce: sharedOnce{node: once.NewNode(rememberedProofs, s.Lab.Now), shared: s.House, now: s.now},
				everywhere: func() bool { return s.proofRules().Shared },
			},
			Nonces: nonces, Demand: func() bool { return s.proofRules().Nonce }, Now: s.Lab.Now,
		},
		Bases: bases, Certificates: s.certificates(),
	})
	return err
}

func (s *Server) proofRules() recipe.Proofs {
	if force := s.Force.InForce(); force != nil {
		return force.Bundle.Recipe.Proofs
	}
	return recipe.Proofs{}
}

// proofOnce asks this node's memory, and that of all nodes where the recipe says so.
type proofOnce struct {
	sharedOnce
	everywhere func() bool
}

func (o proofOnce) Seen(ctx context.Context, kind once.Kind, issuer, id string, until time.Time) (bool, error) {
	if o.everywhere() {
		return o.sharedOnce.Seen(ctx, kind, issuer, id, until)
	}
	return o.node.Seen(ctx, kind, issuer, id, until)
}

// certificates are believed at the address for clients with certificates alone.
func (s *Server) certificates() web.Certificates {
	shown := shownCertificates(s.Node, s.proxies)
	if at, err := url.Parse(s.Node.MTLS.URL); err == nil {
		shown.Host = at.Host
	}
	return shown
}

func shownCertificates(node *config.Node, peers web.Proxies) web.Certificates {
	return web.Certificates{Header: node.Shown.Header, Format: web.CertificateFormat(node.Shown.Format), Peers: peers}
}

// clientAuthorities are the roots that are believed about the names of clients; none of the system is.
func clientAuthorities(node *config.Node) ([]*x509.Certificate, error) {
	if node.MTLS.Authorities == "" {
		return nil, nil
	}
	text, err := os.ReadFile(node.MTLS.Authorities)
	if err != nil {
		return nil, fmt.Errorf("mtls.authorities: %w", err)
	}
	var roots []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, errors.Join(errors.New("mtls.authorities: the file holds something else than certificates"), err)
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return nil, errors.New("mtls.authorities: the file holds no certificate")
	}
	return roots, nil
}

// asking has a listener ask clients for a certificate, and take whichever they show: their key is proved by the handshake,
// and what the certificate is worth is judged by the client's authentication (RFC 8705 section 2.2).
func asking(settings *tls.Config) *tls.Config {
	if settings == nil {
		return nil
	}
	with := settings.Clone()
	with.ClientAuth = tls.RequestClientCert
	return with
}

// forCertified opens the listener for clients with certificates; nil where there is none.
func (s *Server) forCertified() (*web.Server, error) {
	if s.Node.MTLS.Listen == "" {
		return nil, nil //nolint:nilnil // no listener is no fault
	}
	settings, err := certificate(s.Node.MTLSPair(), s.Log)
	if err != nil {
		return nil, err
	}
	listener, err := s.Lab.listen(s.Node.MTLS.Listen)
	if err != nil {
		return nil, err
	}
	s.Log.Info("listening for clients with certificates", slog.String("mtls", listener.Addr().String()))
	return &web.Server{Listener: listener, TLS: asking(settings), Log: s.Log, Handler: s.certified}, nil
}
