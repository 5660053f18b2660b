package binding

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

// proofType is the typ of a proof (RFC 9449 section 4.2).
const proofType = "dpop+jwt"

// The bounds of a proof. Whatever is longer no honest client makes.
const (
	MaxProof = 8 << 10
	maxID    = 512 // bytes of jti
)

// claims are what a proof says (RFC 9449 section 4.2). Others are ignored.
type claims struct {
	ID       string           `json:"jti"`
	Method   string           `json:"htm"`
	URL      string           `json:"htu"`
	IssuedAt jose.NumericDate `json:"iat"`
	Ath      string           `json:"ath"`
	Nonce    string           `json:"nonce"`

	// RFC 9449 asks for neither, but who writes them means them (RFC 7519 sections 4.1.4 and 4.1.5).
	Expires   jose.NumericDate `json:"exp"`
	NotBefore jose.NumericDate `json:"nbf"`
}

// within tells whether the proof says of itself that it is valid now.
func (c claims) within(now time.Time) bool {
	return (c.Expires == 0 || int64(c.Expires) > now.Add(-MaxAhead).Unix()) &&
		(c.NotBefore == 0 || int64(c.NotBefore) <= now.Add(MaxAhead).Unix())
}

// reading is a proof that its key has signed.
type reading struct {
	key    proofKey
	claims claims
	place  Place
}

// proofKey is a key with its name.
type proofKey struct {
	public jose.PublicKey
	jkt    string
}

// parse reads form, key, signature and what must be there: points 2 to 7 of RFC 9449 section 4.3.
func (j *Judge) parse(text string) (reading, error) {
	if len(text) > MaxProof {
		return reading{}, oauth.InvalidProof("the proof is longer than %d bytes", MaxProof)
	}
	token, err := jose.Parse(text, "jwk")
	if err != nil {
		return reading{}, oauth.InvalidProof("the proof is malformed").Because(err)
	}
	switch {
	case token.Header.Typ != proofType:
		return reading{}, oauth.InvalidProof("the proof's typ is not %s", proofType)
	case !slices.Contains(algs, token.Header.Alg):
		return reading{}, oauth.InvalidProof("the proof's alg must be one of: %s", strings.ReplaceAll(Challenge(), " ", ", "))
	case token.Header.JWK == nil:
		return reading{}, oauth.InvalidProof("the proof's header has no jwk")
	}
	key, err := j.keys.read(token.Header.JWK)
	if err != nil {
		return reading{}, oauth.InvalidProof("the proof's jwk is no public key of a kind and strength that is accepted").Because(err)
	}
	if _, err := key.public.Verify(token); err != nil {
		return reading{}, oauth.InvalidProof("the proof is not signed by its jwk").Because(err)
	}
	j.keys.keep(token.Header.JWK, key)
	read := reading{key: key}
	if err := token.Peek(&read.claims); err != nil {
		return reading{}, oauth.InvalidProof("the proof has malformed claims").Because(err)
	}
	return read, read.complete()
}

// algs is Algs, made once: it is looked at for every proof.
var algs = Algs()

// complete asks for every claim that a proof must have: what is absent is not valid (D03).
func (r *reading) complete() error {
	for _, claim := range []struct {
		name   string
		absent bool
	}{
		{"jti", r.claims.ID == ""}, {"htm", r.claims.Method == ""}, {"htu", r.claims.URL == ""}, {"iat", r.claims.IssuedAt == 0},
	} {
		if claim.absent {
			return oauth.InvalidProof("the proof lacks %s", claim.name)
		}
	}
	if len(r.claims.ID) > maxID {
		return oauth.InvalidProof("the proof's jti is longer than %d bytes", maxID)
	}
	place, err := PlaceOf(r.claims.URL)
	if err != nil {
		return oauth.InvalidProof("the proof's htu is not a plain http URL").Because(err)
	}
	r.place = place
	return nil
}

// fits compares the proof with the request: points 8, 9 and 12 of RFC 9449 section 4.3.
func (r *reading) fits(shown Shown) error {
	switch {
	case r.claims.Method != shown.Method: // methods have case (RFC 9110 section 9.1)
		return oauth.InvalidProof("the proof's htm is not the method of this request")
	case !slices.Contains(shown.Places, r.place):
		return oauth.InvalidProof("the proof's htu is not the address of this request, as it is known outside")
	}
	if shown.Token == "" {
		return nil
	}
	if r.claims.Ath == "" {
		return oauth.InvalidProof("the proof lacks ath")
	}
	sum := sha256.Sum256([]byte(shown.Token))
	if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(r.claims.Ath)) != 1 {
		return oauth.InvalidProof("the proof's ath is not the hash of the token")
	}
	return nil
}

// id tells this proof from others of its key. A jti is unique for one method at one place (RFC 9449 section 11.1), and none
// of the parts before it can hold a line end, so that no two proofs read alike.
func (r *reading) id() string { return r.claims.Method + "\n" + string(r.place) + "\n" + r.claims.ID }
