package proxy

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/maypok86/otter/v2"

	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
)

// verdicts remembers what the issuer said of opaque tokens. Like those of verify.Cache they hold claims only, and each use
// judges them anew: audience, expiry and revocation. So a token dies here as quickly as a signed one.
type verdicts struct {
	known *otter.Cache[[sha256.Size]byte, *verify.Claims]
}

func newVerdicts(c Config) (*verdicts, error) {
	size := c.Cache
	if size == 0 {
		size = verify.DefaultCacheSize
	}
	known, err := otter.New(&otter.Options[[sha256.Size]byte, *verify.Claims]{MaximumSize: size})
	if err != nil {
		return nil, err
	}
	return &verdicts{known: known}, nil
}

// opaque judges the opaque tokens of one API.
type opaque struct {
	config   *Config
	verdicts *verdicts
	audience string
}

// VerifyProven asks the issuer about a token that is not known yet, and judges what it knows.
func (o *opaque) VerifyProven(ctx context.Context, token string, proof verify.Proof) (verify.Claims, error) {
	id := sha256.Sum256([]byte(token))
	if known, ok := o.verdicts.known.GetIfPresent(id); ok {
		err := o.judge(*known, proof)
		if err != nil {
			if known.Confirmation.ProvenBy(proof) { // else a thief could have the issuer asked for each try
				o.forget(id, err)
			}
			return verify.Claims{}, err
		}
		return *known, nil
	}
	claims, err := o.config.Introspect.Introspect(ctx, token)
	if err != nil {
		return verify.Claims{}, unknown(err)
	}
	if err := o.judge(claims, proof); err != nil {
		return verify.Claims{}, err
	}
	// Without an id no revocation could ever find it again.
	if claims.ID != "" {
		o.verdicts.known.Set(id, &claims)
	}
	return claims, nil
}

// forget drops a verdict that is dead, but not one that could not be judged.
func (o *opaque) forget(id [sha256.Size]byte, err error) {
	var told *oauth.Error
	if errors.As(err, &told) && told.Code == "invalid_token" {
		o.verdicts.known.Invalidate(id)
	}
}

// unknown keeps a refusal of the token and makes everything else our own trouble: a fault of the issuer, whatever status
// it has, must not make clients throw good tokens away.
func unknown(err error) error {
	var told *oauth.Error
	if errors.As(err, &told) && told.Code == "invalid_token" {
		return told
	}
	return oauth.Unavailable("the issuer can't be asked about the token at the moment").Because(err)
}

func (o *opaque) judge(claims verify.Claims, proof verify.Proof) error {
	switch {
	case claims.Issuer != o.config.Issuer:
		return oauth.InvalidToken("the token is of another issuer")
	case !slices.Equal(claims.Audience, []string{o.audience}):
		return oauth.InvalidToken("the token is meant for another audience")
	case claims.Subject == "" || claims.ClientID == "" || claims.IssuedAt == 0:
		return oauth.InvalidToken("the issuer says too little about the token")
	case int64(claims.Expires) <= o.config.Now().Unix():
		return oauth.InvalidToken("the token has expired")
	case !claims.Confirmation.ProvenBy(proof):
		return oauth.InvalidToken("the key that the token is bound to was not proved")
	case !o.config.Fresh():
		return oauth.Unavailable("what was revoked is not known at the moment")
	}
	return o.config.Revocations.Dead(claims)
}
