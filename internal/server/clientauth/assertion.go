package clientauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/web"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	typAssertion  = "client-authentication+jwt"
	assertionSkew = 10 * time.Second // how far iat and nbf may be ahead (FAPI 2.0 section 5.3.2.1)
	assertionMost = time.Hour        // how far exp may be ahead: it bounds what replay detection remembers
)

// anyAudience is the exception under which an assertion may name what older clients name.
const anyAudience = "assertion_audience"

// assertions are what the two methods share that show a signed assertion (RFC 7523 section 3, OpenID Connect Core
// section 9): how it is read, and what it must say once its signature is known to be good.
type assertions struct {
	issuer    string
	endpoints []string // whose addresses are good under anyAudience
	once      once.Checker
	now       func() time.Time
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

// readAssertion finds out whom the assertion claims to be from. Nothing of it is believed before Verify.
func readAssertion(form web.Form) (Shown, bool, error) {
	if !form.Has("client_assertion") && !form.Has("client_assertion_type") {
		return Shown{}, false, nil
	}
	if form.Value("client_assertion_type") != assertionType {
		return Shown{}, false, oauth.InvalidRequest("client_assertion_type must be %s", assertionType)
	}
	shown := Shown{Client: form.Value("client_id"), By: inAssertion, Proof: form.Value("client_assertion")}
	if shown.Client != "" {
		return shown, true, nil
	}
	var err error
	if shown.Client, err = subjectOf(shown.Proof); err != nil {
		return Shown{}, false, oauth.InvalidClient().Because(err)
	}
	return shown, true, nil
}

// subjectOf reads sub of an assertion by either kind of signature: whose it is decides which is looked for.
func subjectOf(token string) (string, error) {
	var claims assertion
	unverified, err := jose.Parse(token)
	if err == nil {
		err = unverified.Peek(&claims)
		return claims.Subject, err
	}
	shared, other := jose.ParseShared(token)
	if other != nil {
		return "", err
	}
	err = shared.Peek(&claims)
	return claims.Subject, err
}

// believe judges the claims of an assertion whose signature is good, and lets it in once.
func (a assertions) believe(ctx context.Context, client iam.Client, typ string, payload []byte) error {
	if typ != "" && !strings.EqualFold(typ, "JWT") && typ != typAssertion {
		return fmt.Errorf("a token of type %q is no client assertion", typ)
	}
	var claims assertion
	if err := jose.DecodeJSON(payload, &claims); err != nil {
		return err
	}
	if err := a.fits(claims, client); err != nil {
		return err
	}
	fresh, err := a.once.Seen(ctx, once.Assertion, client.ID, claims.ID, when(claims.Expires))
	if err != nil {
		return fmt.Errorf("check assertion for replay: %w", err)
	}
	if !fresh {
		return errors.New("the assertion came before")
	}
	return nil
}

func (a assertions) fits(claims assertion, client iam.Client) error {
	now := a.now()
	if err := a.audience(claims.Audience, client, now); err != nil {
		return err
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

// audience admits the issuer alone: whatever else an assertion names, some other server may have asked for it (T18). By
// exception it may name one of the endpoints, or several audiences with one of ours among them; a profile can forbid that.
func (a assertions) audience(sent json.RawMessage, client iam.Client, now time.Time) error {
	var one string
	if json.Unmarshal(sent, &one) == nil && one == a.issuer {
		return nil
	}
	if client.Demands().PlainAudience || !client.Allows(anyAudience, now) {
		return errors.New("aud must be the issuer, alone and as a string")
	}
	list := []string{one}
	if one == "" {
		if err := json.Unmarshal(sent, &list); err != nil {
			return errors.New("aud is neither a string nor a list of them")
		}
	}
	if !slices.ContainsFunc(list, func(name string) bool {
		return name == a.issuer || name != "" && slices.Contains(a.endpoints, name)
	}) {
		return errors.New("aud must be the issuer or the address of an endpoint that takes assertions")
	}
	return nil
}

func when(date jose.NumericDate) time.Time { return time.Unix(int64(date), 0) }
