// Package token turns an order into claims and signatures. An order says whom a token is for, what proof it spends and
// what else to give; this room decides nothing about whether it may be given: that is issue's.
package token

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Order is what a door asks of issue.
type Order struct {
	GrantType oauth.GrantType
	Client    iam.Client
	Subject   string    // user id; empty: the client itself
	Grant     iam.Grant // zero: none (client_credentials)
	Audience  string    // exactly one
	Kind      recipe.TokenKind
	Scope     oauth.Scope // of this access token

	Details string // authorization_details of this access token, a JSON array (RFC 9396); empty: none

	Proven iam.Binding // keys that the caller proved with this request; issue decides which of them the token is bound to

	Code    *iam.CodeProof    // proof that is spent
	Refresh *iam.RefreshProof // proof that is used
	Asked   *iam.AskedProof   // proof that is spent: what the person approved elsewhere
	Begins  bool              // Grant begins here, with no proof in storage: front channel, assertion
	Flow    iam.FlowHash      // ends with the answer
	Pushed  iam.PushedHash    // ends with the answer

	Spend func(context.Context) error // spends a proof that the deed of storage does not, once nothing else is wrong; nil: none

	// Of a client in a family of apps whose Scope has device_sso, with GiveID (OpenID Native SSO section 3.4):
	Device     string // a device secret that was shown, and is good: it is given back, and the ID token is bound to it
	GiveDevice bool   // without Device: a new one

	GiveRefresh bool      // a first refresh token, with Code, Asked or Begins
	GiveID      bool      // an ID token
	IssuedType  string    // of an exchange: the answer says what was given (RFC 8693 section 2.2.1)
	NoAccess    bool      // no access token: response_type=id_token and code id_token
	GiveCode    *iam.Code // hybrid flow: a code of the same grant; issue fills in its hash
	Nonce       string    // of the ID token
	State       string    // of a front-channel request, for s_hash (FAPI 1.0); empty: none
	Claims      string    // the claims parameter, JSON
}

// Answer is the body of a successful token response (RFC 6749 section 5.1, OpenID Connect Core section 3.1.3.3).
type Answer struct {
	AccessToken  string `json:"access_token,omitempty"`
	TokenType    string `json:"token_type,omitempty"`
	ExpiresIn    int64  `json:"expires_in,omitempty"` // seconds
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	Code         string `json:"-"` // of the hybrid flow

	DeviceSecret string `json:"device_secret,omitempty"`     // OpenID Native SSO section 3.4
	IssuedType   string `json:"issued_token_type,omitempty"` // of an exchange (RFC 8693 section 2.2.1)

	Details json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396 section 7
}

// TypeAccess is the typ of a signed access token (RFC 9068 section 2.1).
const TypeAccess = "at+jwt"

// The other typs of what is signed here.
const (
	TypeID            = "JWT"
	TypeLogout        = "logout+jwt"              // OpenID Back-Channel Logout section 2.4
	TypeIntrospection = "token-introspection+jwt" // RFC 9701 section 5
)

// The token types of RFC 6749 section 7.1 and RFC 9449 section 5. A token bound to a certificate is shown as Bearer.
const (
	Bearer = "Bearer"
	DPoP   = "DPoP"
)

// TypeOf gives the token_type of what is bound so.
func TypeOf(binding iam.Binding) string {
	if binding.JKT != "" {
		return DPoP
	}
	return Bearer
}

// Access are the claims of a signed access token (RFC 9068 section 2.2).
type Access struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  string   `json:"aud"`
	ClientID  string   `json:"client_id"`
	Scope     string   `json:"scope,omitempty"`
	ID        string   `json:"jti"`
	IssuedAt  int64    `json:"iat"`
	Expires   int64    `json:"exp"`
	AuthTime  int64    `json:"auth_time,omitempty"`
	ACR       string   `json:"acr,omitempty"`
	AMR       []string `json:"amr,omitempty"`
	SessionID string   `json:"sid,omitempty"`
	GrantID   string   `json:"grant_id,omitempty"`

	Confirmation *iam.Binding    `json:"cnf,omitempty"`                   // RFC 9449 section 6.1, RFC 8705 section 3.1
	Details      json.RawMessage `json:"authorization_details,omitempty"` // RFC 9396 section 9.1
}

// Stamp is what every token of one answer shares.
type Stamp struct {
	Issuer  string
	ID      string
	Now     time.Time
	Life    time.Duration
	Subject string      // as the client knows the person (see Subject); empty: by the id
	Binding iam.Binding // of the access token
	Details string      // of the access token
}

// subject is the name for the person of an order, who is not the client itself.
func (s Stamp) subject(order Order) string {
	if s.Subject != "" {
		return s.Subject
	}
	return order.Subject
}

// AccessOf gives the claims of the order's access token.
func AccessOf(order Order, stamp Stamp) Access {
	claims := Access{
		Issuer: stamp.Issuer, Subject: order.Client.ID, Audience: order.Audience, ClientID: order.Client.ID,
		Scope: order.Scope.String(), ID: stamp.ID,
		IssuedAt: stamp.Now.Unix(), Expires: stamp.Now.Add(stamp.Life).Unix(), GrantID: order.Grant.ID,
	}
	if stamp.Binding.Bound() {
		claims.Confirmation = &stamp.Binding
	}
	if stamp.Details != "" {
		claims.Details = json.RawMessage(stamp.Details)
	}
	if order.Subject != "" {
		claims.Subject = stamp.subject(order)
		claims.AuthTime = seconds(order.Grant.AuthTime)
		claims.ACR, claims.AMR, claims.SessionID = order.Grant.ACR, order.Grant.AMR, order.Grant.Session
	}
	return claims
}

// OpaqueOf gives the row of the order's opaque access token. It names the person by the id: introspection says who that is
// to whom.
func OpaqueOf(order Order, stamp Stamp, secret string) iam.Access {
	return iam.Access{
		Hash: iam.HashAccess(secret), ID: stamp.ID, Grant: order.Grant.ID, Client: order.Client.ID, User: order.Subject,
		Session: order.Grant.Session, Audience: order.Audience, Scope: order.Scope, AuthTime: order.Grant.AuthTime,
		AMR: order.Grant.AMR, ACR: order.Grant.ACR, Binding: stamp.Binding, Details: stamp.Details, Issued: stamp.Now, Expires: stamp.Now.Add(stamp.Life),
	}
}

// Beside is what an ID token is given along with; it holds the left half of the hash of each (OpenID Connect Core sections
// 3.1.3.6 and 3.3.2.11, FAPI 1.0 part 2 section 5.1.1), and DeviceHash of Device. What is not given is empty.
type Beside struct{ Access, Code, State, Device string }

// DeviceHash is the ds_hash that binds an ID token to a device secret (OpenID Native SSO section 3.4.1). A device secret
// has 256 random bits: its hash tells nothing of it, and is not the one that storage knows it by.
func DeviceHash(secret string) string {
	sum := sha256.Sum256([]byte("ds_hash\x00" + secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// IDOf gives the claims of an ID token (OpenID Connect Core section 2) that alg signs. Extra claims that the request asked
// for can't replace any that are set here (J36). sid is the session in which the grant began, also when it outlives it.
func IDOf(order Order, stamp Stamp, alg string, beside Beside, extra map[string]any) map[string]any {
	claims := make(map[string]any, 12+len(extra))
	maps.Copy(claims, extra)
	maps.Copy(claims, map[string]any{
		"iss": stamp.Issuer, "sub": stamp.subject(order), "aud": order.Client.ID,
		"iat": stamp.Now.Unix(), "exp": stamp.Now.Add(stamp.Life).Unix(),
	})
	for _, name := range []string{"auth_time", "amr"} {
		delete(claims, name)
	}
	if !order.Grant.AuthTime.IsZero() { // else nobody signed in here (an assertion): nothing is said of it
		claims["auth_time"], claims["amr"] = seconds(order.Grant.AuthTime), order.Grant.AMR
	}
	set := func(name, value string) {
		if delete(claims, name); value != "" {
			claims[name] = value
		}
	}
	hash := func(name, value string) {
		if delete(claims, name); value != "" {
			claims[name] = LeftHash(alg, value)
		}
	}
	hash("at_hash", beside.Access)
	hash("c_hash", beside.Code)
	hash("s_hash", beside.State)
	delete(claims, "ds_hash")
	if beside.Device != "" {
		claims["ds_hash"] = DeviceHash(beside.Device)
	}
	set("nonce", order.Nonce)
	set("acr", order.Grant.ACR)
	set("sid", cmp.Or(order.Grant.Login, order.Grant.Session))
	delete(claims, "azp")
	return claims
}

// seconds is a time as claims write it; the zero time is 0.
func seconds(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}

// LeftHash is the hash of value beside an ID token signed by alg: the left half of the hash that alg itself uses
// (OpenID Connect Core section 3.1.3.6).
func LeftHash(alg, value string) string {
	var sum []byte
	switch {
	case strings.HasSuffix(alg, "384"):
		half := sha512.Sum384([]byte(value))
		sum = half[:]
	case strings.HasSuffix(alg, "512"), strings.HasPrefix(alg, "Ed"):
		half := sha512.Sum512([]byte(value))
		sum = half[:]
	default:
		half := sha256.Sum256([]byte(value))
		sum = half[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
