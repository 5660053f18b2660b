package token

import (
	"maps"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
)

// ClaimNames lists every claim about a person that can be asked for, sorted, with those that tokens always carry.
func ClaimNames() []string {
	names := []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "sid", "at_hash"}
	for _, scope := range oauth.ClaimScopes() {
		names = append(names, oauth.ClaimsOf(scope)...)
	}
	slices.Sort(names)
	return names
}

// Wanted is the claims parameter: what userinfo and the ID token are asked for beyond the scopes.
type Wanted = iam.Wanted

// UserInfoClaims gives what userinfo answers about a person, whom the client knows as subject: sub, what the scopes open,
// and what was asked by name.
func UserInfoClaims(user iam.User, subject string, scope oauth.Scope, wanted Wanted) map[string]any {
	known := about(user)
	claims := map[string]any{"sub": subject}
	for _, name := range scope {
		pick(claims, known, oauth.ClaimsOf(name))
	}
	pick(claims, known, slices.Collect(maps.Keys(wanted.UserInfo)))
	return claims
}

// IDClaims gives what the ID token says of the person: what was asked by name, and what opened opens. Scopes open userinfo,
// so opened is empty but where no access token is given at all (OpenID Connect Core section 5.4).
func IDClaims(user iam.User, opened oauth.Scope, wanted Wanted) map[string]any {
	claims := map[string]any{}
	if len(opened) == 0 && len(wanted.IDToken) == 0 {
		return claims
	}
	known := about(user)
	for _, name := range opened {
		pick(claims, known, oauth.ClaimsOf(name))
	}
	pick(claims, known, slices.Collect(maps.Keys(wanted.IDToken)))
	return claims
}

func pick(into, from map[string]any, names []string) {
	for _, name := range names {
		if value, ok := from[name]; ok {
			into[name] = value
		}
	}
}

// about gathers what is known of a person under the names of OpenID Connect; claims without a value are left out.
func about(user iam.User) map[string]any {
	known := map[string]any{}
	for _, scope := range oauth.ClaimScopes() {
		pick(known, user.Claims, oauth.ClaimsOf(scope))
	}
	maps.DeleteFunc(known, func(_ string, value any) bool { return value == nil || value == "" })
	known["preferred_username"] = user.Username
	known["updated_at"] = user.Changed.Unix()
	delete(known, "email")
	delete(known, "email_verified")
	if user.Email != "" {
		known["email"], known["email_verified"] = user.Email, user.EmailVerified
	}
	if user.Name != "" {
		known["name"] = user.Name
	}
	if user.Locale != "" {
		known["locale"] = user.Locale
	}
	return known
}
