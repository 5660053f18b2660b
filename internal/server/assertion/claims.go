package assertion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/once"
)

// The limits of an assertion.
const (
	skew  = 10 * time.Second // how far nbf, iat and auth_time may be ahead (FAPI 2.0 section 5.3.2.1)
	most  = time.Hour        // how far exp may be ahead: it bounds what replay detection remembers
	maxID = 256
)

// Claims are what an assertion says (RFC 7523 section 3): of a client that proves itself by it, or of whom an issuer tells.
// What they mean beyond that is their reader's to judge.
type Claims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  json.RawMessage  `json:"aud"`
	ID        string           `json:"jti"`
	Expires   jose.NumericDate `json:"exp"`
	NotBefore jose.NumericDate `json:"nbf"`
	IssuedAt  jose.NumericDate `json:"iat"`
	AuthTime  jose.NumericDate `json:"auth_time"`
}

// For tells whether the assertion is for the server of that name and for nobody else: in a list, or under another name, some
// other server may have asked for it (T18).
func (c Claims) For(issuer string) bool {
	var audience string
	return json.Unmarshal(c.Audience, &audience) == nil && audience == issuer
}

// Timely tells what keeps the assertion from standing at a moment: nil if it has begun, has not ended, and can be remembered
// until it does.
func (c Claims) Timely(now time.Time) error {
	ahead := func(date jose.NumericDate) time.Duration { return when(date).Sub(now) }
	switch {
	case c.Subject == "":
		return errors.New("sub is missing")
	case c.ID == "" || len(c.ID) > maxID:
		return errors.New("jti is missing or too long")
	case c.Expires == 0 || ahead(c.Expires) <= 0:
		return errors.New("exp is missing or past")
	case ahead(c.Expires) > most:
		return errors.New("exp is too far ahead")
	case c.NotBefore != 0 && ahead(c.NotBefore) > skew:
		return errors.New("nbf is ahead")
	case c.IssuedAt != 0 && ahead(c.IssuedAt) > skew:
		return errors.New("iat is ahead")
	case c.AuthTime != 0 && ahead(c.AuthTime) > skew:
		return errors.New("auth_time is ahead")
	}
	return nil
}

// errBefore says that an assertion was used up.
var errBefore = errors.New("the assertion came before")

// SpendIn notes among those of a kind that the assertion was used: an error when it was before, or when nobody can tell.
func (c Claims) SpendIn(ctx context.Context, seen once.Checker, kind once.Kind) error {
	fresh, err := seen.Seen(ctx, kind, c.Issuer, c.ID, when(c.Expires))
	switch {
	case err != nil:
		return fmt.Errorf("check assertion for replay: %w", err)
	case !fresh:
		return errBefore
	}
	return nil
}

func when(date jose.NumericDate) time.Time { return time.Unix(int64(date), 0) }
