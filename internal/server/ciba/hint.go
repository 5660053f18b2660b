package ciba

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
)

// whom finds the person of a request. One who is unknown, disabled or can't be meant is refused in the same words, and each
// such name costs the client some of a budget of its own: it must not find out who has an account here (V11).
func (e *Endpoint) whom(ctx context.Context, client iam.Client, wish wish) (iam.User, error) {
	user, err := e.named(ctx, client, wish)
	if err == nil && !user.Disabled {
		return user, nil
	}
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return iam.User{}, err
	}
	if ok, wait := e.Limits.unknown.Allow(client.ID, 1); !ok {
		return iam.User{}, web.RetryAfter(oauth.TooManyRequests("too many people were named whom nobody knows"), wait)
	}
	return iam.User{}, oauth.UnknownUser().Because(errors.Join(iam.ErrNotFound, err))
}

func (e *Endpoint) named(ctx context.Context, client iam.Client, wish wish) (iam.User, error) {
	switch {
	case wish.login != "":
		return e.byName(ctx, wish.login)
	case wish.idToken != "":
		return e.byToken(ctx, client, wish.idToken)
	}
	return e.byHintToken(ctx, client, wish.hintToken)
}

// byName finds a person by username or verified mail address. Nobody has a name that is none: it is looked up all the same,
// so that the time of an answer tells nothing.
func (e *Endpoint) byName(ctx context.Context, typed string) (iam.User, error) {
	name, err := iam.Canonical(typed)
	if err != nil {
		name = "\x00"
	}
	return e.Users.UserByName(ctx, name)
}

// byToken finds the person of an ID token that this server gave to this client, an expired one too. The subject of a pairwise
// client leads back to nobody: such a client names people otherwise.
func (e *Endpoint) byToken(ctx context.Context, client iam.Client, text string) (iam.User, error) {
	hint, err := e.Parser.ReadHint(ctx, text)
	if err != nil {
		return iam.User{}, err
	}
	if hint.Client != client.ID {
		return iam.User{}, oauth.InvalidRequest("id_token_hint is another client's")
	}
	return e.bySubject(ctx, client, hint.Subject)
}

func (e *Endpoint) bySubject(ctx context.Context, client iam.Client, subject string) (iam.User, error) {
	if e.Subject != nil && e.Subject(client, subject) != subject {
		return iam.User{}, oauth.InvalidRequest("the subject of a pairwise client names nobody here: use login_hint")
	}
	return e.Users.User(ctx, subject)
}

// hinted is a login_hint_token: a JWT that the client signed, whose sub_id names a person (RFC 9493).
type hinted struct {
	Issuer   string           `json:"iss"`
	Audience json.RawMessage  `json:"aud"`
	Expires  jose.NumericDate `json:"exp"`
	IssuedAt jose.NumericDate `json:"iat"`
	Subject  identifier       `json:"sub_id"`
}

type identifier struct {
	Format  string `json:"format"`
	ID      string `json:"id"`    // opaque: what login_hint would say
	Email   string `json:"email"` // email
	Issuer  string `json:"iss"`   // iss_sub: this server
	Subject string `json:"sub"`
}

// The limits of a login_hint_token.
const (
	hintSkew = 10 * time.Second
	hintMost = time.Hour
	maxHint  = 16 << 10
)

// byHintToken believes a login_hint_token of the client, and no other's.
func (e *Endpoint) byHintToken(ctx context.Context, client iam.Client, text string) (iam.User, error) {
	if e.Keys == nil {
		return iam.User{}, oauth.InvalidRequest("the parameter login_hint_token is not supported")
	}
	said, err := e.readHintToken(ctx, client, text)
	if err != nil {
		return iam.User{}, err
	}
	switch id := said.Subject; {
	case id.Format == "opaque" && id.ID != "":
		return e.byName(ctx, id.ID)
	case id.Format == "email" && strings.Contains(id.Email, "@"):
		return e.byName(ctx, id.Email)
	case id.Format == "iss_sub" && id.Issuer == e.Issuer && id.Subject != "":
		return e.bySubject(ctx, client, id.Subject)
	}
	return iam.User{}, oauth.InvalidRequest("sub_id of login_hint_token must be opaque, email, or iss_sub of this server")
}

func (e *Endpoint) readHintToken(ctx context.Context, client iam.Client, text string) (hinted, error) {
	refuse := func(why string, cause error) (hinted, error) {
		return hinted{}, oauth.InvalidRequest("login_hint_token %s", why).Because(cause)
	}
	if len(text) > maxHint {
		return refuse("is too long", nil)
	}
	unverified, err := jose.Parse(text)
	if err != nil {
		return refuse("is not a signed JWT", err)
	}
	if typ := unverified.Header.Typ; typ != "" && !strings.EqualFold(typ, "JWT") { // a client assertion, a request object: another word of the client
		return refuse("is another kind of JWT", nil)
	}
	if algs := client.Demands().Algs; len(algs) > 0 && !slices.Contains(algs, string(unverified.Header.Alg)) {
		return refuse("is signed in a way that the client's profile does not allow", nil)
	}
	key, err := e.Keys.For(ctx, client, unverified.Header)
	if err != nil {
		return refuse("is not signed by a key of the client", err)
	}
	payload, err := key.Verify(unverified)
	if err != nil {
		return refuse("is not signed by a key of the client", err)
	}
	var said hinted
	if err := jose.DecodeJSON(payload, &said); err != nil {
		return refuse("is not the JSON that a hint is", err)
	}
	return said, e.fits(said, client)
}

func (e *Endpoint) fits(said hinted, client iam.Client) error {
	now, expires, issued := moment(e.Now), time.Unix(int64(said.Expires), 0), time.Unix(int64(said.IssuedAt), 0)
	var audience string
	switch {
	case json.Unmarshal(said.Audience, &audience) != nil || audience != e.Issuer:
		return oauth.InvalidRequest("aud of login_hint_token must be the issuer, alone and as a string")
	case said.Issuer != client.ID:
		return oauth.InvalidRequest("iss of login_hint_token must be the client's id")
	case said.Expires <= 0 || said.IssuedAt <= 0:
		return oauth.InvalidRequest("exp and iat of login_hint_token are needed")
	case !now.Before(expires):
		return oauth.ExpiredHint()
	case expires.Sub(now) > hintMost:
		return oauth.InvalidRequest("exp of login_hint_token is too far ahead")
	case issued.Sub(now) > hintSkew:
		return oauth.InvalidRequest("iat of login_hint_token is ahead")
	}
	return nil
}
