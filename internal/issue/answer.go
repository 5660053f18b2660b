package issue

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/token"
)

// responseLife is how long a signed authorization response may be under way (JARM section 2.1 asks for less than ten minutes).
const responseLife = 5 * time.Minute

// SignResponse gives an authorization response as one JWT, signed and if registered encrypted for the client (JARM section
// 2.1). iss, aud and exp are the house's own, whatever params say.
func (d *Desk) SignResponse(ctx context.Context, client iam.Client, params map[string]string) (string, error) {
	claims := make(map[string]any, len(params)+3)
	for name, value := range params {
		claims[name] = value
	}
	maps.Copy(claims, map[string]any{"iss": d.Issuer, "aud": client.ID, "exp": d.now().Add(responseLife).Unix()})
	return d.writer().Write(ctx, client, token.ResponseForm(client), claims)
}

// logoutLife is how long a logout token is good (OpenID Back-Channel Logout section 2.4 asks for two minutes at most).
const logoutLife = 2 * time.Minute

// logoutEvent is the only event that a logout token tells.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logout are the claims of a logout token (OpenID Back-Channel Logout section 2.4): never a nonce, so that none passes for
// an ID token.
type logout struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub,omitempty"`
	Audience string              `json:"aud"`
	IssuedAt int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	Session  string              `json:"sid,omitempty"`
	Events   map[string]struct{} `json:"events"`
}

// LogoutToken tells a client that a session of a person, or with an empty sid all of them, has ended. user is the person's
// id: the client reads the name that it knows. It is signed, and encrypted, as the client's ID tokens are.
func (d *Desk) LogoutToken(ctx context.Context, client iam.Client, user, sid string) (string, error) {
	subject := token.Subject(d.salt(), client, user)
	if subject == "" && (user != "" || sid == "") {
		return "", errors.New("issue: a logout token would name nobody")
	}
	form, now := token.IDForm(client), d.now()
	form.Typ = token.TypeLogout
	return d.writer().Write(ctx, client, form, logout{
		Issuer: d.Issuer, Subject: subject, Audience: client.ID, IssuedAt: now.Unix(), Expires: now.Add(logoutLife).Unix(),
		ID: uuid.NewString(), Session: sid, Events: map[string]struct{}{logoutEvent: {}},
	})
}
