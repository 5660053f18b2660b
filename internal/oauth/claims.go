package oauth

import "slices"

// ClaimsOf lists the claims about a person that a scope opens (OpenID Connect Core section 5.4); most scopes open none.
func ClaimsOf(scope string) []string {
	switch scope {
	case ScopeProfile:
		return []string{
			"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture",
			"website", "gender", "birthdate", "zoneinfo", "locale", "updated_at",
		}
	case ScopeEmail:
		return []string{"email", "email_verified"}
	case ScopeAddress:
		return []string{"address"}
	case ScopePhone:
		return []string{"phone_number", "phone_number_verified"}
	}
	return nil
}

// ClaimScopes are the scopes that open claims.
func ClaimScopes() Scope { return Scope{ScopeProfile, ScopeEmail, ScopeAddress, ScopePhone} }

// ScopeOfClaim gives the scope that opens a claim, "" for a claim that is not about a person or not known.
func ScopeOfClaim(claim string) string {
	for _, scope := range ClaimScopes() {
		if slices.Contains(ClaimsOf(scope), claim) {
			return scope
		}
	}
	return ""
}
