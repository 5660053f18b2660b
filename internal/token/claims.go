package token

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
)

// byScope lists the claims that each scope opens at userinfo (OpenID Connect Core section 5.4).
var byScope = map[string][]string{
	oauth.ScopeProfile: {
		"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
		"website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
	},
	oauth.ScopeEmail:   {"email", "email_verified"},
	oauth.ScopeAddress: {"address"},
	oauth.ScopePhone:   {"phone_number", "phone_number_verified"},
}

// ClaimNames lists every claim about a person that can be asked for, sorted, with those that tokens always carry.
func ClaimNames() []string {
	names := []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce", "sid", "at_hash"}
	for _, claims := range byScope {
		names = append(names, claims...)
	}
	slices.Sort(names)
	return names
}

// Wanted is the claims parameter (OpenID Connect Core section 5.5): what userinfo and the ID token are asked for beyond
// the scopes.
type Wanted struct {
	UserInfo map[string]json.RawMessage `json:"userinfo"`
	IDToken  map[string]json.RawMessage `json:"id_token"`
}

// UserInfoClaims gives what userinfo answers about a person: sub, what the scopes open, and what was asked by name.
func UserInfoClaims(user iam.User, scope oauth.Scope, wanted Wanted) map[string]any {
	known := about(user)
	claims := map[string]any{"sub": user.ID}
	for _, name := range scope {
		pick(claims, known, byScope[name])
	}
	pick(claims, known, slices.Collect(maps.Keys(wanted.UserInfo)))
	return claims
}

// IDClaims gives what the ID token says of the person: only what was asked by name, since scopes open userinfo.
func IDClaims(user iam.User, wanted Wanted) map[string]any {
	claims := map[string]any{}
	pick(claims, about(user), slices.Collect(maps.Keys(wanted.IDToken)))
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
	for _, names := range byScope {
		pick(known, user.Claims, names)
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
