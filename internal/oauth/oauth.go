// Package oauth holds the words of the protocol: grant types, scopes, parameters and the errors that may be told to a
// client. It knows no store, no HTTP handler and no configuration.
package oauth

import (
	"slices"
	"strings"
)

// GrantType names a grant at the token endpoint (OAuth 2.1 section 4).
type GrantType string

// The grants that Garde knows. The list that discovery prints comes from the members of the grant family, not from here.
const (
	AuthorizationCode GrantType = "authorization_code"
	RefreshToken      GrantType = "refresh_token"
	ClientCredentials GrantType = "client_credentials"
	DeviceCode        GrantType = "urn:ietf:params:oauth:grant-type:device_code"    // RFC 8628
	CIBA              GrantType = "urn:openid:params:grant-type:ciba"               // OpenID CIBA Core
	JWTBearer         GrantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"     //nolint:gosec // RFC 7523 section 2.1: a name, and no secret
	TokenExchange     GrantType = "urn:ietf:params:oauth:grant-type:token-exchange" //nolint:gosec // RFC 8693 section 2.1: a name, and no secret
	Implicit          GrantType = "implicit"                                        // what the front channel gives, by exception
)

// AuthMethod names how a client proves itself at the token endpoint (OpenID Connect Core section 9).
type AuthMethod string

// The client authentication methods that Garde knows.
const (
	AuthNone       AuthMethod = "none"
	AuthBasic      AuthMethod = "client_secret_basic"
	AuthPost       AuthMethod = "client_secret_post"
	AuthPrivateKey AuthMethod = "private_key_jwt"
	AuthSecretJWT  AuthMethod = "client_secret_jwt"           // by exception
	AuthTLS        AuthMethod = "tls_client_auth"             // RFC 8705 section 2.1
	AuthSelfSigned AuthMethod = "self_signed_tls_client_auth" // RFC 8705 section 2.2
)

// ResponseMode names how an authorization response travels (OAuth Multiple Response Types section 2.1, Form Post).
type ResponseMode string

// The response modes that Garde knows.
const (
	ModeQuery    ResponseMode = "query"
	ModeFragment ResponseMode = "fragment"
	ModeFormPost ResponseMode = "form_post"

	ModeJWT         ResponseMode = "jwt" // JARM: signed, in the mode that the response type has by default
	ModeQueryJWT    ResponseMode = "query.jwt"
	ModeFragmentJWT ResponseMode = "fragment.jwt"
	ModeFormPostJWT ResponseMode = "form_post.jwt"
)

// Signed tells whether the mode carries one JWT in place of the parameters (JARM section 2.3).
func (m ResponseMode) Signed() bool { return m == ModeJWT || strings.HasSuffix(string(m), ".jwt") }

// Plain is the way that the answer travels, signed or not; empty for ModeJWT, which leaves it to the response type.
func (m ResponseMode) Plain() ResponseMode {
	if m == ModeJWT {
		return ""
	}
	return ResponseMode(strings.TrimSuffix(string(m), ".jwt"))
}

// ResponseType is a set of what the authorization endpoint gives, in the order of OAuth Multiple Response Types.
type ResponseType string

// The response types that Garde knows. All but code need a named exception (OpenID Connect Core sections 3.2 and 3.3).
const (
	TypeCode             ResponseType = "code"
	TypeIDToken          ResponseType = "id_token"
	TypeIDTokenToken     ResponseType = "id_token token"
	TypeCodeIDToken      ResponseType = "code id_token"
	TypeCodeToken        ResponseType = "code token"
	TypeCodeIDTokenToken ResponseType = "code id_token token"
)

// Gives tells whether the set holds code, id_token or token.
func (t ResponseType) Gives(what string) bool {
	return slices.Contains(strings.Fields(string(t)), what)
}

// Front tells whether something else than a code comes back through the browser.
func (t ResponseType) Front() bool { return t != TypeCode }

// Scopes with a meaning of their own.
const (
	ScopeOpenID  = "openid"
	ScopeProfile = "profile"
	ScopeEmail   = "email"
	ScopeAddress = "address"
	ScopePhone   = "phone"
	ScopeOffline = "offline_access"
)

// ScopeGate is for Gates alone: to follow what the Server revokes, and to ask it about opaque tokens of any API.
const ScopeGate = "garde.gate"

// ScopeApprove lets an application of a person list what waits for them and decide it in their name: the device on which
// they approve what was asked by CIBA. Only clients that the recipe declares can have it.
const ScopeApprove = "garde.approve"

// ScopeDevice asks for a device secret, by which the apps of one family on one device share a sign-in (OpenID Native SSO
// section 3.1).
const ScopeDevice = "device_sso"

// The token types that an exchange names (RFC 8693 section 3, OpenID Native SSO section 4.1).
const (
	TokenTypeAccess = "urn:ietf:params:oauth:token-type:access_token" //nolint:gosec // a name, and no secret
	TokenTypeID     = "urn:ietf:params:oauth:token-type:id_token"     //nolint:gosec // a name, and no secret
	TokenTypeDevice = "urn:openid:params:token-type:device-secret"    //nolint:gosec // a name, and no secret
)

// MaxScope bounds the bytes of a scope parameter; anything longer is an attack, not a request.
const MaxScope = 4096

// Scope is an ordered set of scope names without doubles.
type Scope []string

// ParseScope reads a space separated scope (RFC 6749 section 3.3). Doubles are dropped, order is kept. A name with a
// character outside the grammar, or a text longer than MaxScope, is an invalid_scope error.
func ParseScope(text string) (Scope, error) {
	if len(text) > MaxScope {
		return nil, InvalidScope("the scope is longer than %d bytes", MaxScope)
	}
	var scope Scope
	for name := range strings.SplitSeq(text, " ") {
		if name == "" || slices.Contains(scope, name) {
			continue
		}
		if !ValidScopeName(name) {
			return nil, InvalidScope("a scope name holds a character that RFC 6749 section 3.3 forbids")
		}
		scope = append(scope, name)
	}
	return scope, nil
}

// ValidScopeName tells whether name is a scope-token of RFC 6749 section 3.3.
func ValidScopeName(name string) bool {
	for _, c := range []byte(name) {
		if c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return name != ""
}

// String joins the names by spaces, as tokens and answers carry them.
func (s Scope) String() string { return strings.Join(s, " ") }

// Has tells whether name is in s.
func (s Scope) Has(name string) bool { return slices.Contains(s, name) }

// Within tells whether every name of s is in other.
func (s Scope) Within(other Scope) bool {
	for _, name := range s {
		if !other.Has(name) {
			return false
		}
	}
	return true
}

// And keeps the names of s that are also in other, in the order of s.
func (s Scope) And(other Scope) Scope {
	var both Scope
	for _, name := range s {
		if other.Has(name) {
			both = append(both, name)
		}
	}
	return both
}

// Or adds to s the names of other that it lacks. Neither argument is changed.
func (s Scope) Or(other Scope) Scope {
	all := slices.Clone(s)
	for _, name := range other {
		if !all.Has(name) {
			all = append(all, name)
		}
	}
	return all
}
