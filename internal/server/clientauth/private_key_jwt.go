package clientauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/web"
)

// privateKeyJWT shows a signed assertion (RFC 7523 section 3, OpenID Connect Core section 9).
type privateKeyJWT struct {
	issuer string
	keys   *Keys
	once   once.Checker
	now    func() time.Time
}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	typAssertion  = "client-authentication+jwt"
	assertionSkew = 10 * time.Second // how far iat and nbf may be ahead (FAPI 2.0 section 5.3.2.1)
	assertionMost = time.Hour        // how far exp may be ahead: it bounds what replay detection remembers
)

// The algorithms that a client may sign with: RS256 is not among them (FAPI 2.0 section 5.4).
var assertionAlgs = map[jose.Alg]bool{
	jose.ES256: true, jose.ES384: true, jose.ES512: true, jose.EdDSA: true, jose.Ed25519: true,
	jose.PS256: true, jose.PS384: true, jose.PS512: true,
}

type assertion struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  json.RawMessage  `json:"aud"`
	ID        string           `json:"jti"`
	Expires   jose.NumericDate `json:"exp"`
	NotBefore jose.NumericDate `json:"nbf"`
	IssuedAt  jose.NumericDate `json:"iat"`
}

func (privateKeyJWT) Name() oauth.AuthMethod { return oauth.AuthPrivateKey }

// Read finds out whom the assertion claims to be from. Nothing of it is believed before Verify.
func (privateKeyJWT) Read(_ *http.Request, form web.Form) (Shown, bool, error) {
	if !form.Has("client_assertion") && !form.Has("client_assertion_type") {
		return Shown{}, false, nil
	}
	if form.Value("client_assertion_type") != assertionType {
		return Shown{}, false, oauth.InvalidRequest("client_assertion_type must be %s", assertionType)
	}
	if id := form.Value("client_id"); id != "" {
		return Shown{Client: id, Proof: form.Value("client_assertion")}, true, nil
	}
	unverified, err := jose.Parse(form.Value("client_assertion"))
	if err != nil {
		return Shown{}, false, oauth.InvalidClient().Because(err)
	}
	var claims assertion
	if err := unverified.Peek(&claims); err != nil {
		return Shown{}, false, oauth.InvalidClient().Because(err)
	}
	return Shown{Client: claims.Subject, Proof: form.Value("client_assertion")}, true, nil
}

func (m privateKeyJWT) Verify(ctx context.Context, client iam.Client, shown Shown) error {
	unverified, err := jose.Parse(shown.Proof)
	if err != nil {
		return err
	}
	header := unverified.Header
	if !assertionAlgs[header.Alg] {
		return fmt.Errorf("a client assertion may not be signed with %q", header.Alg)
	}
	if header.Typ != "" && !strings.EqualFold(header.Typ, "JWT") && header.Typ != typAssertion {
		return fmt.Errorf("a token of type %q is no client assertion", header.Typ)
	}
	key, err := m.keys.For(ctx, client, header)
	if err != nil {
		return err
	}
	payload, err := key.Verify(unverified)
	if err != nil {
		return err
	}
	var claims assertion
	if err := jose.DecodeJSON(payload, &claims); err != nil {
		return err
	}
	if err := m.fits(claims, client); err != nil {
		return err
	}
	fresh, err := m.once.Seen(ctx, once.Assertion, client.ID, claims.ID, when(claims.Expires))
	if err != nil {
		return fmt.Errorf("check assertion for replay: %w", err)
	}
	if !fresh {
		return errors.New("the assertion came before")
	}
	return nil
}

func (m privateKeyJWT) fits(claims assertion, client iam.Client) error {
	now := m.now()
	var audience string
	if err := json.Unmarshal(claims.Audience, &audience); err != nil || audience != m.issuer {
		return errors.New("aud must be the issuer, alone and as a string")
	}
	switch {
	case claims.Issuer != client.ID || claims.Subject != client.ID:
		return errors.New("iss and sub must both be the client's id")
	case claims.ID == "" || len(claims.ID) > 256:
		return errors.New("jti is missing or too long")
	case claims.Expires == 0 || !now.Before(when(claims.Expires)):
		return errors.New("exp is missing or past")
	case when(claims.Expires).Sub(now) > assertionMost:
		return errors.New("exp is too far ahead")
	case claims.NotBefore != 0 && when(claims.NotBefore).Sub(now) > assertionSkew:
		return errors.New("nbf is ahead")
	case claims.IssuedAt != 0 && when(claims.IssuedAt).Sub(now) > assertionSkew:
		return errors.New("iat is ahead")
	}
	return nil
}

func when(date jose.NumericDate) time.Time { return time.Unix(int64(date), 0) }

// Algs lists the algorithms that an assertion may be signed by, for discovery.
func Algs() []jose.Alg {
	return slices.DeleteFunc(jose.Algs(), func(alg jose.Alg) bool { return !assertionAlgs[alg] })
}
