package register

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// statementClaims are about the statement and not about the client.
var statementClaims = []string{"iss", "aud", "exp", "nbf", "iat", "jti", "sub", "software_statement", "client_id", "client_secret"}

// vouched verifies the software statement among what was sent and puts its words before the client's own (RFC 7591 section
// 2.3). A statement is made to be shown by every instance of a software, so that it is good until it expires; the policy's
// quota bounds how many clients stand by it.
func (u *Rules) vouched(sent map[string]json.RawMessage, policy recipe.Registration) error {
	raw, there := sent["software_statement"]
	if !there || string(raw) == "null" {
		return nil
	}
	var text string
	if err := jose.DecodeJSON(raw, &text); err != nil || text == "" {
		return oauth.InvalidSoftwareStatement("the software statement is no text")
	}
	payload, err := u.verified(text, policy)
	if err != nil {
		return err
	}
	said, err := members(payload)
	if err != nil {
		return oauth.InvalidSoftwareStatement("the claims of the software statement can't be read").Because(err)
	}
	for name, value := range said {
		if !slices.Contains(statementClaims, name) {
			sent[name] = value
		}
	}
	return nil
}

type statement struct {
	Issuer    string           `json:"iss"`
	Audience  json.RawMessage  `json:"aud"`
	Expires   jose.NumericDate `json:"exp"`
	NotBefore jose.NumericDate `json:"nbf"`
	IssuedAt  jose.NumericDate `json:"iat"`
	Software  string           `json:"software_id"`
}

const statementSkew = 10 * time.Second

// verified gives the claims of a statement that one of the policy's issuers has signed (G12).
func (u *Rules) verified(text string, policy recipe.Registration) ([]byte, error) {
	unverified, err := jose.Parse(text)
	if err != nil {
		return nil, oauth.InvalidSoftwareStatement("the software statement is no signed JWT").Because(err)
	}
	if typ := unverified.Header.Typ; typ != "" && !strings.EqualFold(typ, "JWT") {
		return nil, oauth.InvalidSoftwareStatement("a JWT of this type is no software statement")
	}
	var claims statement
	if err := unverified.Peek(&claims); err != nil {
		return nil, oauth.InvalidSoftwareStatement("the claims of the software statement can't be read").Because(err)
	}
	file, known := policy.StatementKeys()[claims.Issuer]
	if !known || claims.Issuer == "" {
		return nil, oauth.UnapprovedSoftwareStatement("nobody here believes statements of this issuer")
	}
	keys, err := jose.ParseSet(u.Bundle().Files[file])
	if err != nil {
		return nil, err
	}
	key, found := keys.For(unverified.Header)
	if !found {
		return nil, oauth.InvalidSoftwareStatement("the issuer of the software statement has no such key")
	}
	payload, err := key.Verify(unverified)
	if err != nil {
		return nil, oauth.InvalidSoftwareStatement("the signature of the software statement is not valid").Because(err)
	}
	return payload, u.current(claims)
}

func (u *Rules) current(claims statement) error {
	now := u.now()
	at := func(date jose.NumericDate) time.Time { return time.Unix(int64(date), 0) }
	switch {
	case claims.Software == "": // an issuer signs other things too, such as assertions about people (J17)
		return oauth.InvalidSoftwareStatement("the software statement names no software_id")
	case claims.Expires != 0 && !now.Before(at(claims.Expires)):
		return oauth.InvalidSoftwareStatement("the software statement has expired")
	case claims.NotBefore != 0 && at(claims.NotBefore).Sub(now) > statementSkew, claims.IssuedAt != 0 && at(claims.IssuedAt).Sub(now) > statementSkew:
		return oauth.InvalidSoftwareStatement("the software statement is of the future")
	case claims.Audience == nil:
		return nil
	}
	var one string
	list := []string{}
	if json.Unmarshal(claims.Audience, &one) == nil {
		list = append(list, one)
	} else if json.Unmarshal(claims.Audience, &list) != nil {
		return oauth.InvalidSoftwareStatement("aud is neither a text nor a list of them")
	}
	if !slices.Contains(list, u.Issuer) {
		return oauth.InvalidSoftwareStatement("the software statement is for other servers")
	}
	return nil
}
