package verify

import (
	"context"
	"errors"
	"slices"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

// Step is one check of a token. Fact says that its answer can't change for the same bytes, so that a remembered verdict
// stands for it; every other step runs at every use, remembered or not.
type Step struct {
	Name  string
	Fact  bool
	Check func(context.Context, *Config, *presented) error
}

// Steps is an ordered table of checks.
type Steps []Step

// Standard is what every token goes through. "signature" comes before all that reads claims: what an unsigned text says
// about itself must not shape the answer (J29).
var Standard = Steps{
	{"type", true, rightType},
	{"signature", true, rightSignature},
	// Not a fact: an API may ask for encryption while verdicts of signed tokens are remembered.
	{"encryption", false, sealedWhereAsked},
	{"issuer", false, rightIssuer},
	{"audience", false, rightAudience},
	{"required", false, requiredClaims},
	{"expiry", false, notExpired},
	{"issued", false, alreadyIssued},
	{"confirmation", false, boundKeyProven},
	{"fresh", false, revocationsFresh},
	{"revocation", false, notRevoked},
}

// Without is the table less one step, for labs and mutation tests only. An unknown name panics: a test that takes nothing
// away would prove nothing.
func (s Steps) Without(name string) Steps {
	less := slices.DeleteFunc(slices.Clone(s), func(step Step) bool { return step.Name == name })
	if len(less) == len(s) {
		panic("verify: there is no step " + name)
	}
	return less
}

// rightType keeps ID tokens, logout tokens and assertions out, which the same issuer signs with the same keys
// (RFC 9068 section 4, RFC 8725 section 3.11).
func rightType(_ context.Context, _ *Config, p *presented) error {
	if typ := p.token.Header.Typ; typ != "at+jwt" && typ != "application/at+jwt" {
		return oauth.InvalidToken("the token is not an access token")
	}
	return nil
}

func rightSignature(ctx context.Context, c *Config, p *presented) error {
	key, err := c.Keys.Key(ctx, p.token.Header.KeyID)
	if errors.Is(err, ErrUnknownKey) {
		return oauth.InvalidToken("the token was not signed by a key of its issuer").Because(err)
	}
	if err != nil {
		// Not the token's fault: a 401 would make clients throw good tokens away.
		return oauth.Unavailable("the keys of the issuer are not known yet").Because(err)
	}
	if _, err := key.Verify(*p.token); err != nil {
		return oauth.InvalidToken("the token was not signed by a key of its issuer").Because(err)
	}
	return nil
}

// sealedWhereAsked holds an API to what it says: a token that its client could read is none of an API whose tokens it can't.
func sealedWhereAsked(_ context.Context, c *Config, p *presented) error {
	if p.sealed != (c.Openers.Len() > 0) {
		return oauth.InvalidToken("the tokens of this API are encrypted, and this one was not")
	}
	return nil
}

func rightIssuer(_ context.Context, c *Config, p *presented) error {
	if p.Issuer != c.Issuer {
		return oauth.InvalidToken("the token is of another issuer")
	}
	return nil
}

func rightAudience(_ context.Context, c *Config, p *presented) error {
	if len(p.Audience) == 0 {
		return oauth.InvalidToken("the token names no audience")
	}
	if len(p.Audience) > 1 && !c.Several {
		return oauth.InvalidToken("the token names several audiences")
	}
	for _, each := range p.Audience {
		if slices.Contains(c.Audiences, each) || c.AudienceIs != nil && c.AudienceIs(each) {
			return nil
		}
	}
	return oauth.InvalidToken("the token is meant for another audience")
}

// requiredClaims asks for all that RFC 9068 section 2.2 requires: what is absent is not valid.
func requiredClaims(_ context.Context, _ *Config, p *presented) error {
	for _, claim := range []struct {
		name   string
		absent bool
	}{
		{"sub", p.Subject == ""}, {"client_id", p.ClientID == ""}, {"jti", p.ID == ""},
		{"exp", p.Expires == 0}, {"iat", p.IssuedAt == 0},
	} {
		if claim.absent {
			return oauth.InvalidToken("the token lacks %s", claim.name)
		}
	}
	return nil
}

func notExpired(_ context.Context, _ *Config, p *presented) error {
	if p.expired() {
		return oauth.InvalidToken("the token has expired")
	}
	return nil
}

func alreadyIssued(_ context.Context, c *Config, p *presented) error {
	latest := jose.NumericDate(p.now.Add(c.Leeway).Unix())
	if p.IssuedAt > latest || p.NotBefore > latest {
		return oauth.InvalidToken("the token is not valid yet")
	}
	if p.IssuedAt > p.Expires {
		return oauth.InvalidToken("the token expires before it was issued")
	}
	return nil
}

func boundKeyProven(_ context.Context, _ *Config, p *presented) error {
	if !p.Confirmation.ProvenBy(p.proof) {
		return oauth.InvalidToken("the key that the token is bound to was not proved")
	}
	return nil
}

// revocationsFresh stands before notRevoked: "not in the list" means nothing when the list is old.
func revocationsFresh(_ context.Context, c *Config, _ *presented) error {
	if c.Fresh != nil && !c.Fresh() {
		return oauth.Unavailable("what was revoked is not known at the moment")
	}
	return nil
}

func notRevoked(_ context.Context, c *Config, p *presented) error {
	if c.Revocations == nil {
		return nil
	}
	return c.Revocations.Dead(*p.Claims)
}
