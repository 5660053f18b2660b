// Package binding finds out which keys the sender of a request has proved: by a DPoP proof (RFC 9449), or by the
// certificate of a TLS connection (RFC 8705). It knows no token but by its hash, and refuses to know what a proved key
// allows: that is for verify at an API, and for issue at the token endpoint.
package binding

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
)

// How old and how new a proof may be. Honest clocks differ by seconds (FAPI 2.0 section 5.3.2.1); a nonce of ours tells
// when a proof was made better than its sender's clock, which may then be wrong by minutes (RFC 9449 section 11.1).
const (
	MaxAge   = 60 * time.Second
	MaxAhead = 10 * time.Second
	MaxSkew  = 5 * time.Minute // either way, of a proof with a nonce of ours
)

// NonceHeader carries a nonce for the next proof (RFC 9449 section 8.1).
const NonceHeader = "DPoP-Nonce"

// header is how net/http spells DPoP.
const header = "Dpop"

// Algs lists the algorithms by which a proof may be signed, in the order in which metadata and challenges name them. RS256
// is not among them: no client needs it for a key that it makes itself, and FAPI 2.0 section 5.4.1 forbids it.
func Algs() []jose.Alg {
	var algs []jose.Alg
	for _, alg := range jose.Algs() {
		if alg != jose.RS256 {
			algs = append(algs, alg)
		}
	}
	return algs
}

// Judge checks the proofs that are shown at one kind of place: the doors of the Server, or the APIs behind a Gate. It is
// safe for concurrent use. Its zero value refuses every proof.
type Judge struct {
	Once   once.Checker // remembers proofs that were shown
	Nonces *Nonces      // nil: none are given out
	// Demand tells whether a proof must have a nonce; nil: it need not. It needs Nonces.
	Demand func() bool
	Now    func() time.Time // nil: time.Now

	keys keys
}

// Alone makes a judge with a memory of its own, for so many proofs in about 80 bytes each, and with nonces that nobody else
// knows. A nil now means time.Now. Until Demand is set, no nonce is asked for.
func Alone(remember int, now func() time.Time) (*Judge, error) {
	key := make([]byte, minKey)
	_, _ = rand.Read(key) // never fails since Go 1.24
	nonces, err := NewNonces(key)
	return &Judge{Once: once.NewNode(remember, now), Nonces: nonces, Now: now}, err
}

// Shown is a request as far as a proof speaks of it.
type Shown struct {
	Header http.Header
	Method string
	// Places are the URLs by which the request's own place is known outside, from configuration and the path of the
	// request line: never from a header (D06).
	Places []Place
	Token  string // the access token that is shown with the proof; "": none, as at the token endpoint
}

// Proof is a good proof that is not spent yet. The zero value is none.
type Proof struct {
	JKT string // RFC 7638 thumbprint of the proved key

	id    string // what tells it from all others
	until time.Time
}

// Shows tells whether a request has a DPoP header at all.
func Shows(h http.Header) bool { return len(h[header]) > 0 }

// Check reads the proof of a request and spends it. A request without a DPoP header gives the zero Proof and no error.
// Its errors are invalid_dpop_proof and use_dpop_nonce with status 400 (see Unauthorized), and temporarily_unavailable
// when it can't be known whether the proof was shown before.
func (j *Judge) Check(ctx context.Context, shown Shown) (Proof, error) {
	proof, err := j.Read(shown)
	if err != nil || proof == (Proof{}) {
		return Proof{}, err
	}
	if err := j.Spend(ctx, proof); err != nil {
		return Proof{}, err
	}
	return proof, nil
}

// Read is the part of Check that changes nothing: all points of RFC 9449 section 4.3 but replay. Who must do something
// else before a proof is worth remembering calls Spend after it.
func (j *Judge) Read(shown Shown) (Proof, error) {
	sent := shown.Header[header]
	if len(sent) == 0 {
		return Proof{}, nil
	}
	if len(sent) > 1 { // one reader takes the first, the next the last (D04)
		return Proof{}, oauth.InvalidProof("the header DPoP was sent more than once")
	}
	if j.Once == nil {
		return Proof{}, oauth.InvalidProof("no proof is accepted here")
	}
	read, err := j.parse(sent[0])
	if err != nil {
		return Proof{}, err
	}
	if err := read.fits(shown); err != nil {
		return Proof{}, err
	}
	until, err := j.timely(read)
	if err != nil {
		return Proof{}, err
	}
	return Proof{JKT: read.key.jkt, id: read.id(), until: until}, nil
}

// Spend notes that a proof was shown. Of any number of callers with the same proof one hears nil.
func (j *Judge) Spend(ctx context.Context, proof Proof) error {
	fresh, err := j.Once.Seen(ctx, once.Proof, proof.JKT, proof.id, proof.until)
	if err != nil {
		return oauth.Unavailable("it can't be known now whether the proof was shown before").Because(err)
	}
	if !fresh {
		return oauth.InvalidProof("the proof was shown before: make a new one for each request")
	}
	return nil
}

// Nonce gives the nonce that an answer should bring, or "" when proofs need none.
func (j *Judge) Nonce() string {
	if !j.demands() {
		return ""
	}
	return j.Nonces.Current(j.now())
}

func (j *Judge) demands() bool { return j.Nonces != nil && j.Demand != nil && j.Demand() }

func (j *Judge) now() time.Time {
	if j.Now != nil {
		return j.Now()
	}
	return time.Now()
}

// timely judges nonce and time of a proof, and says how long it must be remembered.
func (j *Judge) timely(read reading) (until time.Time, err error) {
	now, issued := j.now(), time.Unix(int64(read.claims.IssuedAt), 0)
	ours := j.Nonces != nil && j.Nonces.Good(read.claims.Nonce, now)
	if !ours && j.demands() {
		return time.Time{}, oauth.UseNonce()
	}
	oldest, newest := now.Add(-MaxAge), now.Add(MaxAhead)
	until = issued.Add(MaxAge)
	if ours {
		oldest, newest = now.Add(-MaxSkew), now.Add(MaxSkew)
		until = issued.Add(MaxSkew)
	}
	if issued.Before(oldest.Truncate(time.Second)) || issued.After(newest) {
		return time.Time{}, oauth.InvalidProof("the proof's iat is too far from the time here; it is checked to %s", MaxAge)
	}
	if !read.claims.within(now) {
		return time.Time{}, oauth.InvalidProof("the proof is not valid at this time, by its own word")
	}
	return until.Add(2 * time.Second), nil // iat has lost its fraction, and oldest too
}

// Unauthorized gives a refusal of a proof the status 401 that it has at an API (RFC 9449 sections 7.1 and 9). Any other
// error comes back as it is.
func Unauthorized(err error) error {
	var told *oauth.Error
	if !errors.As(err, &told) || told.Code != "invalid_dpop_proof" && told.Code != "use_dpop_nonce" {
		return err
	}
	with := *told
	with.Status = http.StatusUnauthorized
	return &with
}

// Challenge is the list of algorithms as challenges and metadata of an API name them.
func Challenge() string {
	var names []string
	for _, alg := range Algs() {
		names = append(names, string(alg))
	}
	return strings.Join(names, " ")
}

// Thumbprint is the x5t#S256 of a certificate (RFC 8705 section 3.1); "" without one.
func Thumbprint(certificate *x509.Certificate) string {
	if certificate == nil || len(certificate.Raw) == 0 {
		return ""
	}
	sum := sha256.Sum256(certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
