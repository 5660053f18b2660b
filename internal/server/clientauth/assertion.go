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
	"github.com/gardeauth/garde/internal/server/assertion"
	"github.com/gardeauth/garde/internal/web"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	typAssertion  = "client-authentication+jwt"
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
	var claims assertion.Claims
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
	var claims assertion.Claims
	if err := jose.DecodeJSON(payload, &claims); err != nil {
		return err
	}
	if err := a.fits(claims, client); err != nil {
		return err
	}
	return claims.SpendIn(ctx, a.once, once.Assertion) // whose iss is the client's id by now
}

func (a assertions) fits(claims assertion.Claims, client iam.Client) error {
	now := a.now()
	if err := a.audience(claims, client, now); err != nil {
		return err
	}
	if claims.Issuer != client.ID || claims.Subject != client.ID {
		return errors.New("iss and sub must both be the client's id")
	}
	return claims.Timely(now)
}

// audience admits the issuer alone: whatever else an assertion names, some other server may have asked for it (T18). By
// exception it may name one of the endpoints, or several audiences with one of ours among them; a profile can forbid that.
func (a assertions) audience(claims assertion.Claims, client iam.Client, now time.Time) error {
	if claims.For(a.issuer) {
		return nil
	}
	if client.Demands().PlainAudience || !client.Allows(anyAudience, now) {
		return errors.New("aud must be the issuer, alone and as a string")
	}
	list := make([]string, 1)
	if json.Unmarshal(claims.Audience, &list[0]) != nil && json.Unmarshal(claims.Audience, &list) != nil {
		return errors.New("aud is neither a string nor a list of them")
	}
	if !slices.ContainsFunc(list, func(name string) bool {
		return name == a.issuer || name != "" && slices.Contains(a.endpoints, name)
	}) {
		return errors.New("aud must be the issuer or the address of an endpoint that takes assertions")
	}
	return nil
}
