package iam

import (
	"encoding/json"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

// Wanted is the claims parameter (OpenID Connect Core section 5.5): what userinfo and the ID token are asked for by name,
// beyond what the scopes open.
type Wanted struct {
	UserInfo map[string]json.RawMessage `json:"userinfo,omitempty"`
	IDToken  map[string]json.RawMessage `json:"id_token,omitempty"`
}

// ReadWanted reads a claims parameter by the strict rules of jose.DecodeJSON; an empty text wants nothing. It is the only
// reader, so that no two doors can understand one text differently.
func ReadWanted(text string) (Wanted, error) {
	var wanted Wanted
	if text == "" {
		return wanted, nil
	}
	err := jose.DecodeJSON([]byte(text), &wanted)
	return wanted, err
}

// Opened gives the scopes that open what is asked by name: a person who allows the claim allows as much.
func (w Wanted) Opened() oauth.Scope {
	var opened oauth.Scope
	for _, scope := range oauth.ClaimScopes() {
		for _, name := range oauth.ClaimsOf(scope) {
			_, inUserInfo := w.UserInfo[name]
			_, inIDToken := w.IDToken[name]
			if (inUserInfo || inIDToken) && !opened.Has(scope) {
				opened = append(opened, scope)
			}
		}
	}
	return opened
}

// Within leaves out what only scopes other than those of scope open. To name a claim must not be a way round the scopes
// that a client may have.
func (w Wanted) Within(scope oauth.Scope) Wanted {
	keep := func(claims map[string]json.RawMessage) map[string]json.RawMessage {
		var kept map[string]json.RawMessage
		for name, asked := range claims {
			if needed := oauth.ScopeOfClaim(name); needed != "" && !scope.Has(needed) {
				continue
			}
			if kept == nil {
				kept = map[string]json.RawMessage{}
			}
			kept[name] = asked
		}
		return kept
	}
	return Wanted{UserInfo: keep(w.UserInfo), IDToken: keep(w.IDToken)}
}

// String writes w in one way, for ReadWanted; nothing wanted is "".
func (w Wanted) String() string {
	if len(w.UserInfo) == 0 && len(w.IDToken) == 0 {
		return ""
	}
	text, err := json.Marshal(w)
	if err != nil { // what ReadWanted has read always encodes
		return ""
	}
	return string(text)
}
