// Package proof finds out, for the doors of the Server, which keys the sender of a request has proved: the key of a DPoP
// proof (RFC 9449) and the certificate of the connection (RFC 8705). It says nothing of what a key allows.
package proof

import (
	"crypto/x509"
	"fmt"
	"net/http"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// Desk is where the doors of the Server ask. New makes one.
type Desk struct {
	judge        *binding.Judge
	bases        []string
	certificates web.Certificates
}

// Config is what a Desk stands on.
type Config struct {
	Judge        *binding.Judge
	Bases        []string // URLs of the Server as it is known outside: the issuer, and where it is asked by mutual TLS
	Certificates web.Certificates
}

// New makes a desk, or says what is wrong.
func New(c Config) (*Desk, error) {
	if c.Judge == nil || len(c.Bases) == 0 {
		return nil, fmt.Errorf("proof: a judge and the Server's own address are needed")
	}
	for _, base := range c.Bases {
		if _, err := binding.PlaceOf(base); err != nil {
			return nil, fmt.Errorf("proof: %q: %w", base, err)
		}
	}
	return &Desk{judge: c.Judge, bases: c.Bases, certificates: c.Certificates}, nil
}

// Offered gives what the sender of a request has proved, which may be nothing. A proof that is no good is an error, never
// nothing. It sets DPoP-Nonce on the answer when nonces are asked for. The door finds out first whether the proof is worth
// remembering, else whoever has a client's name could fill the memory of all; it calls spend before anything comes of the
// request, and of many callers with one proof one hears nil.
func (d *Desk) Offered(w http.ResponseWriter, r *http.Request) (proven iam.Binding, spend func() error, err error) {
	if nonce := d.judge.Nonce(); nonce != "" {
		w.Header().Set(binding.NonceHeader, nonce)
	}
	proof, by, err := d.prove(r, "")
	if err != nil {
		return iam.Binding{}, nil, err
	}
	return iam.Binding{JKT: by.JKT, X5T: by.X5T}, func() error { return d.spend(r, proof) }, nil
}

// Present implements inspect.Proofs: it finds out what the sender of an access token has proved. With dpop there must be a
// proof for this very token; without, a header DPoP means nothing, because a Bearer token is bound to no such key. Its
// refusals, and those of spend, have the status of an API, and bring a nonce where one is asked for.
func (d *Desk) Present(r *http.Request, token string, dpop bool) (proven verify.Proof, spend func() error, err error) {
	proof, proven, err := d.present(r, token, dpop)
	if err != nil {
		return verify.Proof{}, nil, d.unauthorized(err)
	}
	return proven, func() error { return d.unauthorized(d.spend(r, proof)) }, nil
}

func (d *Desk) unauthorized(err error) error {
	if err == nil {
		return nil
	}
	err = binding.Unauthorized(err)
	if nonce := d.judge.Nonce(); nonce != "" {
		err = web.WithHeader(err, binding.NonceHeader, nonce)
	}
	return err
}

func (d *Desk) present(r *http.Request, token string, dpop bool) (binding.Proof, verify.Proof, error) {
	if dpop && !binding.Shows(r.Header) {
		return binding.Proof{}, verify.Proof{}, oauth.InvalidProof("the scheme DPoP needs a proof in the header DPoP")
	}
	if dpop {
		return d.prove(r, token)
	}
	x5t, err := d.thumbprint(r)
	return binding.Proof{}, verify.Proof{X5T: x5t}, err
}

func (d *Desk) prove(r *http.Request, token string) (binding.Proof, verify.Proof, error) {
	proof, err := d.judge.Read(binding.Shown{
		Header: r.Header, Method: r.Method, Places: d.places(r), Token: token,
	})
	if err != nil {
		return binding.Proof{}, verify.Proof{}, err
	}
	x5t, err := d.thumbprint(r)
	if err != nil {
		return binding.Proof{}, verify.Proof{}, err
	}
	return proof, verify.Proof{JKT: proof.JKT, X5T: x5t}, nil
}

func (d *Desk) spend(r *http.Request, proof binding.Proof) error {
	if proof == (binding.Proof{}) {
		return nil
	}
	return d.judge.Spend(r.Context(), proof)
}

// places are the addresses of this request. The path is that of the request line, which led to the door; the rest is
// configuration (D06).
func (d *Desk) places(r *http.Request) []binding.Place {
	if !binding.Shows(r.Header) {
		return nil
	}
	var places []binding.Place
	for _, base := range d.bases {
		if place, err := binding.PlaceOf(base + r.URL.EscapedPath()); err == nil {
			places = append(places, place)
		}
	}
	return places
}

// Chain gives the certificate whose key the sender has proved, with what it sent along to have it verified, or nothing. An
// error means that a trusted proxy says something about a certificate that can't be read: then nobody may guess.
func (d *Desk) Chain(r *http.Request) ([]*x509.Certificate, error) { return d.certificates.Of(r) }

func (d *Desk) thumbprint(r *http.Request) (string, error) {
	chain, err := d.Chain(r)
	if err != nil || len(chain) == 0 {
		return "", err
	}
	return binding.Thumbprint(chain[0]), nil
}

// Fresh gives answers of next the nonce of the moment, so that a client that goes on asking never needs to be refused for
// an old one (RFC 9449 section 8.2). It is for doors that don't call Offered.
func (d *Desk) Fresh(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if nonce := d.judge.Nonce(); nonce != "" {
			w.Header().Set(binding.NonceHeader, nonce)
		}
		next.ServeHTTP(w, r)
	})
}
