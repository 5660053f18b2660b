// Package verify turns an access token into claims that may be believed (RFC 9068 section 4), for the Gate, for the public
// middleware and for the Server's own endpoints. It knows no store, no recipe and no handler; scopes, levels and operations
// are judged by others, from the claims.
package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

// The bounds of Config.Leeway (FAPI 2.0 section 5.3.2.1 accepts 10 s and refuses more than 60 s).
const (
	DefaultLeeway = 10 * time.Second
	MaxLeeway     = 60 * time.Second
)

// Config says which tokens are ours. Issuer, Keys and one way to judge the audience must be set: New refuses less,
// because a verifier that forgot one of them accepts the tokens of others.
type Config struct {
	Issuer string    // compared byte by byte
	Keys   KeySource // of this issuer and no other

	// Audiences are the names of the API. AudienceIs is for who serves many (the Server, asked for tokens of all its
	// APIs) and can't list them at the start; it is called with each audience of the token. Exactly one of both is set.
	Audiences  []string
	AudienceIs func(string) bool
	// Several accepts tokens that name other audiences beside ours. Our own never do; some foreign issuers can't do
	// without, and then every API they name can use the token at the others.
	Several bool

	// Openers decrypt the tokens of an API that has keys for that (RFC 9068 section 4). With them, only what came encrypted is
	// accepted; without, nothing encrypted is.
	Openers Openers

	Leeway time.Duration // how far iat and nbf may be ahead of our clock; 0: DefaultLeeway. exp has none.

	// Revocations kills tokens before they expire; nil: they live until then. Fresh tells whether the revocations are
	// being followed; while it says no, every token is answered with 503. nil: not followed.
	Revocations *Revocations
	Fresh       func() bool

	Cache *Cache           // nil: every token is verified each time
	Steps Steps            // nil: Standard
	Now   func() time.Time // nil: time.Now
}

// Openers are the private keys of an API.
type Openers = jose.Openers

// Verifier verifies the tokens of one issuer. It is safe for concurrent use. Its zero value refuses everything.
type Verifier struct {
	config Config
	facts  Steps // true of the same bytes for ever
	checks Steps // asked again at every use
}

// New makes a verifier, or says what the configuration lacks.
func New(c Config) (*Verifier, error) {
	switch {
	case c.Issuer == "":
		return nil, errors.New("verify: no issuer is configured")
	case c.Keys == nil:
		return nil, errors.New("verify: no keys are configured")
	case len(c.Audiences) == 0 && c.AudienceIs == nil, slices.Contains(c.Audiences, ""):
		return nil, errors.New("verify: no audience is configured")
	case len(c.Audiences) > 0 && c.AudienceIs != nil:
		return nil, errors.New("verify: the audience is configured twice")
	case c.Leeway < 0 || c.Leeway > MaxLeeway:
		return nil, fmt.Errorf("verify: the leeway must be between 0 and %s", MaxLeeway)
	}
	c.Audiences = slices.Clone(c.Audiences)
	if c.Leeway == 0 {
		c.Leeway = DefaultLeeway
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Steps == nil {
		c.Steps = Standard
	}
	v := &Verifier{config: c}
	for _, step := range c.Steps {
		if step.Fact {
			v.facts = append(v.facts, step)
		} else {
			v.checks = append(v.checks, step)
		}
	}
	return v, nil
}

// Verify gives the claims of a token that was presented as a Bearer token. A token that is bound to a key is refused.
// Every refusal is an *oauth.Error: invalid_token, or temporarily_unavailable while keys or revocations can't be known.
func (v *Verifier) Verify(ctx context.Context, token string) (Claims, error) {
	return v.VerifyProven(ctx, token, Proof{})
}

// VerifyProven is Verify for a token whose presenter has proved keys. The claims may be shared with other requests: read
// them, don't change what they point to.
func (v *Verifier) VerifyProven(ctx context.Context, token string, proof Proof) (Claims, error) {
	if v.config.Keys == nil {
		return Claims{}, oauth.InvalidToken("no token is accepted here")
	}
	id := digest{}
	if v.config.Cache != nil {
		id = digestOf(token)
		if known, ok := v.config.Cache.find(id); ok {
			p := presented{Claims: known, proof: proof, now: v.config.Now()}
			err := v.run(ctx, v.checks, &p)
			if p.expired() {
				v.config.Cache.drop(id)
			}
			if err != nil {
				return Claims{}, err
			}
			return *known, nil
		}
	}
	parsed, sealed, err := v.open(token)
	if err != nil {
		return Claims{}, err
	}
	claims, err := readClaims(parsed)
	if err != nil {
		return Claims{}, oauth.InvalidToken("the token has malformed claims").Because(err)
	}
	claims.sealed = sealed
	p := presented{Claims: &claims, token: &parsed, proof: proof, now: v.config.Now()}
	if err := v.run(ctx, v.facts, &p); err != nil {
		return Claims{}, err
	}
	if err := v.run(ctx, v.checks, &p); err != nil {
		return Claims{}, err
	}
	if v.config.Cache != nil {
		v.config.Cache.admit(id, &claims)
	}
	return claims, nil
}

// open gives the signed token, and tells whether it came encrypted. Whatever can't be opened reads the same (J27): not for us,
// changed on its way, or by a key that is gone.
func (v *Verifier) open(token string) (signed jose.Unverified, sealed bool, err error) {
	if sealed = v.config.Openers.Len() > 0 && strings.Count(token, ".") == 4; sealed {
		if token, err = v.config.Openers.Nested(token); err != nil {
			return signed, sealed, oauth.InvalidToken("the token is not encrypted to this API").Because(err)
		}
	}
	if signed, err = jose.Parse(token); err != nil {
		return signed, sealed, oauth.InvalidToken("the token is malformed").Because(err)
	}
	return signed, sealed, nil
}

// Read gives the claims of a good token to who must know what it says without being shown it by its holder: for an
// introspection or a revocation it does not matter whether a key was proved (RFC 9449 section 6.2). It never stands for
// VerifyProven where a token opens something.
func (v *Verifier) Read(ctx context.Context, token string) (Claims, error) {
	return v.VerifyProven(ctx, token, Proof{reading: true})
}

func (v *Verifier) run(ctx context.Context, steps Steps, p *presented) error {
	for _, step := range steps {
		if err := step.Check(ctx, &v.config, p); err != nil {
			return err
		}
	}
	return nil
}

// presented is one token at one use.
type presented struct {
	*Claims
	token *jose.Unverified // nil when the verdict was remembered
	proof Proof
	now   time.Time
}

func (p *presented) expired() bool { return int64(p.Expires) <= p.now.Unix() }
