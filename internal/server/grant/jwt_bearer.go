package grant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/recipe"
)

// Issuers finds the keys of the issuers that the recipe trusts, by their name in it.
type Issuers interface {
	Key(ctx context.Context, issuer string, header jose.Header) (jose.PublicKey, error)
}

// jwtBearer exchanges the assertion of another issuer for a token (RFC 7523 section 2.1). The recipe says which issuers,
// for which clients, and how much.
type jwtBearer struct {
	issuer string
	keys   Issuers
	users  iam.Users
	once   once.Checker
	policy func() *assurance.Policy
	now    func() time.Time
}

func (jwtBearer) Type() oauth.GrantType { return oauth.JWTBearer }
func (jwtBearer) Params() []string      { return []string{"assertion", "scope", "resource"} }

// The limits of an assertion.
const (
	bearerSkew = 10 * time.Second
	bearerMost = time.Hour // how far exp may be ahead: it bounds what replay detection remembers
)

type bearerClaims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  json.RawMessage  `json:"aud"`
	ID        string           `json:"jti"`
	Expires   jose.NumericDate `json:"exp"`
	NotBefore jose.NumericDate `json:"nbf"`
	IssuedAt  jose.NumericDate `json:"iat"`
	AuthTime  jose.NumericDate `json:"auth_time"`
}

func (g jwtBearer) Redeem(ctx context.Context, r Request) (token.Order, error) {
	if !r.Form.Has("assertion") {
		return token.Order{}, oauth.InvalidRequest("assertion is missing")
	}
	claims, trusted, err := g.read(ctx, r.Client, r.Form.Value("assertion"))
	if err != nil {
		return token.Order{}, err
	}
	scope, err := g.scope(r, trusted)
	if err != nil {
		return token.Order{}, err
	}
	subject, err := g.subject(ctx, r.Client, trusted, claims.Subject)
	if err != nil {
		return token.Order{}, err
	}
	// Last of all, so that a request which is refused for something else may be sent again.
	fresh, err := g.once.Seen(ctx, once.Bearer, claims.Issuer, claims.ID, when(claims.Expires))
	if err != nil {
		return token.Order{}, fmt.Errorf("check assertion for replay: %w", err)
	}
	if !fresh {
		return token.Order{}, issue.Refused(errors.New("the assertion came before"))
	}
	target, err := g.policy().Target(scope, r.Form.Values("resource"))
	order := token.Order{
		GrantType: oauth.JWTBearer, Client: r.Client, Subject: subject,
		Audience: target.Audience, Kind: target.Kind, Scope: target.Scope,
	}
	if subject != "" {
		now := g.now().UTC()
		order.Begins = true
		order.Grant = iam.Grant{
			ID: uuid.Must(uuid.NewV7()).String(), Client: r.Client.ID, User: subject, Scope: target.Scope,
			Resource: r.Form.Values("resource"), Created: now, Expires: now.Add(g.policy().Lives.Access),
		}
		if claims.AuthTime > 0 {
			order.Grant.AuthTime = when(claims.AuthTime).UTC()
		}
	}
	return order, err
}

// read believes an assertion, or says in the log alone what is wrong with it: whoever holds one learns nothing of others.
func (g jwtBearer) read(ctx context.Context, client iam.Client, text string) (bearerClaims, recipe.Issuer, error) {
	refuse := func(cause error) (bearerClaims, recipe.Issuer, error) {
		return bearerClaims{}, recipe.Issuer{}, issue.Refused(cause)
	}
	unverified, err := jose.Parse(text)
	if err != nil {
		return refuse(err)
	}
	var claims bearerClaims
	if err := unverified.Peek(&claims); err != nil {
		return refuse(err)
	}
	name, trusted, err := g.trusted(claims.Issuer, client)
	if err != nil {
		return refuse(err)
	}
	if typ := unverified.Header.Typ; typ != "" && !strings.EqualFold(typ, "JWT") {
		return refuse(fmt.Errorf("a token of type %q is no assertion", typ))
	}
	key, err := g.keys.Key(ctx, name, unverified.Header)
	if err != nil {
		return refuse(err)
	}
	if _, err := key.Verify(unverified); err != nil {
		return refuse(err)
	}
	if err := g.fits(claims); err != nil {
		return refuse(err)
	}
	return claims, trusted, nil
}

func (g jwtBearer) trusted(issuer string, client iam.Client) (string, recipe.Issuer, error) {
	policy := g.policy()
	if policy == nil || policy.Recipe == nil {
		return "", recipe.Issuer{}, errors.New("no recipe is in force yet")
	}
	for name, each := range policy.Recipe.Issuers {
		if each.At != issuer {
			continue
		}
		if !slices.Contains(each.Clients, client.ID) {
			return "", recipe.Issuer{}, errors.New("the client may not show assertions of this issuer")
		}
		return name, each, nil
	}
	return "", recipe.Issuer{}, errors.New("the recipe names no such issuer")
}

func (g jwtBearer) fits(claims bearerClaims) error {
	now := g.now()
	var audience string
	if err := json.Unmarshal(claims.Audience, &audience); err != nil || audience != g.issuer {
		return errors.New("aud must be the issuer of this server, alone and as a string")
	}
	switch {
	case claims.Subject == "":
		return errors.New("sub is missing")
	case claims.ID == "" || len(claims.ID) > 256:
		return errors.New("jti is missing or too long")
	case claims.Expires == 0 || !now.Before(when(claims.Expires)):
		return errors.New("exp is missing or past")
	case when(claims.Expires).Sub(now) > bearerMost:
		return errors.New("exp is too far ahead")
	case claims.NotBefore != 0 && when(claims.NotBefore).Sub(now) > bearerSkew:
		return errors.New("nbf is ahead")
	case claims.IssuedAt != 0 && when(claims.IssuedAt).Sub(now) > bearerSkew:
		return errors.New("iat is ahead")
	case claims.AuthTime < 0 || claims.AuthTime != 0 && when(claims.AuthTime).Sub(now) > bearerSkew:
		return errors.New("auth_time is ahead")
	}
	return nil
}

func when(date jose.NumericDate) time.Time { return time.Unix(int64(date), 0) }

// scope is what was asked, or all of it, within what the recipe gives to the issuer's assertions.
func (g jwtBearer) scope(r Request, trusted recipe.Issuer) (oauth.Scope, error) {
	most := oauth.Scope(trusted.Scopes).And(r.Client.Scope)
	scope, err := oauth.ParseScope(r.Form.Value("scope"))
	switch {
	case err != nil:
		return nil, err
	case !scope.Within(most):
		return nil, oauth.InvalidScope("more than an assertion of this issuer may give")
	case len(scope) == 0:
		scope = most
	}
	return scope, nil
}

// subject finds whom the assertion names; empty is the client itself.
func (g jwtBearer) subject(ctx context.Context, client iam.Client, trusted recipe.Issuer, named string) (string, error) {
	var user iam.User
	var err error
	switch trusted.Subjects {
	case "client":
		if named != client.ID {
			return "", issue.Refused(errors.New("sub names another client"))
		}
		return "", nil
	case "user":
		user, err = g.users.User(ctx, named)
	case "username":
		user, err = g.users.UserByName(ctx, named)
	default:
		return "", issue.Refused(errors.New("the recipe does not say whom sub names"))
	}
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		return "", issue.Refused(iam.ErrRevoked)
	}
	return user.ID, err
}
