// Package discovery tells clients what this server does (RFC 8414, OpenID Connect Discovery), generated from the lists
// that the endpoints really use, and publishes its keys.
package discovery

import (
	"encoding/json"
	"net/http"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/web"
)

// Places are the paths of the endpoints, one list for the router and for discovery.
type Places struct {
	Authorize, Token, UserInfo, Introspect, Revoke, Logout, JWKS string
	PAR, Device, Backchannel, CheckSession                       string
}

// Standard are the paths of Garde.
var Standard = Places{
	Authorize: "/authorize", Token: "/token", UserInfo: "/userinfo", Introspect: "/introspect", Revoke: "/revoke",
	Logout: "/logout", JWKS: "/jwks", PAR: "/par", Device: "/device_authorization", Backchannel: "/bc-authorize",
	CheckSession: "/check-session",
}

// Keys is what the server signs with.
type Keys interface {
	Published() []byte
}

// Endpoint is the metadata document, at both of its places, and the JWK Set.
type Endpoint struct {
	Issuer        string
	Places        Places
	Keys          Keys
	Policy        func() *assurance.Policy
	Grants        []oauth.GrantType
	ResponseTypes []string
	Modes         []oauth.ResponseMode
	Prompts       []string
	Auth          []oauth.AuthMethod
	AuthAlgs      []jose.Alg // of client assertions
	IDTokenAlgs   []string   // that a client may be registered for: a key is made when the first one needs it
	Locales       []string
}

// metadata is the document; members follow RFC 8414 section 2, OpenID Connect Discovery section 3 and their successors.
type metadata struct {
	Issuer              string               `json:"issuer"`
	Authorize           string               `json:"authorization_endpoint"`
	Token               string               `json:"token_endpoint"`
	UserInfo            string               `json:"userinfo_endpoint"`
	JWKS                string               `json:"jwks_uri"`
	Introspect          string               `json:"introspection_endpoint"`
	Revoke              string               `json:"revocation_endpoint"`
	Logout              string               `json:"end_session_endpoint"`
	Scopes              oauth.Scope          `json:"scopes_supported"`
	ResponseTypes       []string             `json:"response_types_supported"`
	Modes               []oauth.ResponseMode `json:"response_modes_supported"`
	Grants              []oauth.GrantType    `json:"grant_types_supported"`
	ACRs                []string             `json:"acr_values_supported"`
	Subjects            []string             `json:"subject_types_supported"`
	IDTokenAlgs         []string             `json:"id_token_signing_alg_values_supported"`
	Auth                []oauth.AuthMethod   `json:"token_endpoint_auth_methods_supported"`
	AuthAlgs            []jose.Alg           `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectAuth      []oauth.AuthMethod   `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectAuthAlgs  []jose.Alg           `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevokeAuth          []oauth.AuthMethod   `json:"revocation_endpoint_auth_methods_supported"`
	RevokeAuthAlgs      []jose.Alg           `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	Displays            []string             `json:"display_values_supported"`
	Prompts             []string             `json:"prompt_values_supported"`
	ClaimTypes          []string             `json:"claim_types_supported"`
	Claims              []string             `json:"claims_supported"`
	Locales             []string             `json:"ui_locales_supported"`
	ClaimsParameter     bool                 `json:"claims_parameter_supported"`
	RequestParameter    bool                 `json:"request_parameter_supported"`
	RequestURIParameter bool                 `json:"request_uri_parameter_supported"`
	RequireRequestURI   bool                 `json:"require_request_uri_registration"`
	ChallengeMethods    []string             `json:"code_challenge_methods_supported"`
	IssParameter        bool                 `json:"authorization_response_iss_parameter_supported"`
}

// Metadata answers the document. Anyone may read it, scripts included.
func (e *Endpoint) Metadata(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	return public(w, "public, max-age=300", e.document())
}

func (e *Endpoint) document() metadata {
	policy := e.Policy()
	acrs := []string{}
	for _, rung := range policy.Ladder {
		acrs = append(acrs, rung.ACR)
	}
	proven := make([]oauth.AuthMethod, 0, len(e.Auth))
	for _, method := range e.Auth {
		if method != oauth.AuthNone {
			proven = append(proven, method)
		}
	}
	return metadata{
		Issuer: e.Issuer, Authorize: e.Issuer + e.Places.Authorize, Token: e.Issuer + e.Places.Token,
		UserInfo: e.Issuer + e.Places.UserInfo, JWKS: e.Issuer + e.Places.JWKS,
		Introspect: e.Issuer + e.Places.Introspect, Revoke: e.Issuer + e.Places.Revoke, Logout: e.Issuer + e.Places.Logout,
		Scopes: policy.Scopes(), ResponseTypes: e.ResponseTypes, Modes: e.Modes, Grants: e.Grants, ACRs: acrs,
		Subjects: []string{"public"}, IDTokenAlgs: e.IDTokenAlgs,
		Auth: e.Auth, AuthAlgs: e.AuthAlgs, IntrospectAuth: proven, IntrospectAuthAlgs: e.AuthAlgs,
		RevokeAuth: e.Auth, RevokeAuthAlgs: e.AuthAlgs,
		Displays: []string{"page", "popup", "touch"}, Prompts: e.Prompts, ClaimTypes: []string{"normal"},
		Claims: token.ClaimNames(), Locales: e.Locales, ClaimsParameter: true,
		ChallengeMethods: []string{"S256"}, IssParameter: true,
	}
}

// JWKS answers the published keys (RFC 7517 section 5).
func (e *Endpoint) JWKS(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	return public(w, "public, max-age=300", json.RawMessage(e.Keys.Published()))
}

func public(w http.ResponseWriter, cache string, document any) error {
	header := w.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Cache-Control", cache)
	return web.JSON(w, http.StatusOK, false, document)
}
