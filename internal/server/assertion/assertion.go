// Package assertion reads what another issuer says about one of its subjects (RFC 7523 section 3), and believes it as far
// as the recipe trusts that issuer. It finds out whom and how much; what is given for it is the grant's to say.
package assertion

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/once"
	"github.com/gardeauth/garde/recipe"
)

// Keys finds the key that a header means among those of an issuer, by its name in the recipe. A key of another issuer is
// never found.
type Keys interface {
	Issuer(ctx context.Context, name string, header jose.Header) (jose.PublicKey, error)
}

// Reader reads assertions. All fields but Now are required.
type Reader struct {
	Issuer string // of this server: the only audience
	Keys   Keys
	Users  iam.Users
	Once   once.Checker
	Recipe func() *recipe.Recipe // in force; it may give nil, and then nobody is trusted
	Now    func() time.Time      // nil: time.Now
}

// Said is an assertion that is believed.
type Said struct {
	User     string      // whom it names; empty: the client itself
	Scope    oauth.Scope // the most that may be given for it
	AuthTime time.Time   // when the person authenticated there; zero: it does not say

	claims Claims
}

// ErrRefused is wrapped by every refusal of an assertion; its cause is for the log alone, since whoever shows one of
// another's learns nothing.
var ErrRefused = errors.New("the assertion is not believed")

func refuse(cause error) error { return fmt.Errorf("%w: %w", ErrRefused, cause) }

// Read believes an assertion that a client shows, or refuses it (ErrRefused). It does not spend it: see Spend.
func (r *Reader) Read(ctx context.Context, client iam.Client, text string) (Said, error) {
	unverified, err := jose.Parse(text)
	if err != nil {
		return Said{}, refuse(err)
	}
	var said Claims
	if err := unverified.Peek(&said); err != nil {
		return Said{}, refuse(err)
	}
	name, trusted, err := r.trusted(said.Issuer, client)
	if err != nil {
		return Said{}, refuse(err)
	}
	if typ := unverified.Header.Typ; typ != "" && !strings.EqualFold(typ, "JWT") {
		return Said{}, refuse(fmt.Errorf("a token of type %q is no assertion", typ))
	}
	key, err := r.Keys.Issuer(ctx, name, unverified.Header)
	if err != nil {
		return Said{}, refuse(err)
	}
	if _, err := key.Verify(unverified); err != nil {
		return Said{}, refuse(err)
	}
	if err := r.fits(said); err != nil {
		return Said{}, refuse(err)
	}
	found := Said{Scope: oauth.Scope(trusted.Scopes).And(client.Scope), claims: said}
	if said.AuthTime > 0 {
		found.AuthTime = when(said.AuthTime).UTC()
	}
	found.User, err = r.subject(ctx, client, trusted, said.Subject)
	return found, err
}

// Spend notes that the assertion was used; ErrRefused when it was used before. Whoever reads one spends it last, so that a
// request which is refused for something else may be sent again.
func (r *Reader) Spend(ctx context.Context, said Said) error {
	err := said.claims.SpendIn(ctx, r.Once, once.Bearer)
	if errors.Is(err, errBefore) {
		return refuse(err)
	}
	return err
}

func (r *Reader) trusted(issuer string, client iam.Client) (string, recipe.Issuer, error) {
	inForce := r.Recipe()
	if inForce == nil {
		return "", recipe.Issuer{}, errors.New("no recipe is in force yet")
	}
	for name, each := range inForce.Issuers {
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

func (r *Reader) fits(said Claims) error {
	now := time.Now()
	if r.Now != nil {
		now = r.Now()
	}
	if !said.For(r.Issuer) {
		return errors.New("aud must be the issuer of this server, alone and as a string")
	}
	return said.Timely(now)
}

// subject finds whom the assertion names, as the recipe reads its sub.
func (r *Reader) subject(ctx context.Context, client iam.Client, trusted recipe.Issuer, named string) (string, error) {
	var user iam.User
	var err error
	switch trusted.Subjects {
	case "client":
		if named != client.ID {
			return "", refuse(errors.New("sub names another client"))
		}
		return "", nil
	case "user":
		user, err = r.Users.User(ctx, named)
	case "username":
		canonical, odd := iam.Canonical(named)
		if odd != nil {
			return "", refuse(odd)
		}
		user, err = r.Users.UserByName(ctx, canonical)
	default:
		return "", refuse(errors.New("the recipe does not say whom sub names"))
	}
	if errors.Is(err, iam.ErrNotFound) || err == nil && user.Disabled {
		return "", refuse(iam.ErrRevoked)
	}
	return user.ID, err
}
