// Package discovery tells clients what this server does (RFC 8414, OpenID Connect Discovery), generated from the lists
// that the endpoints really use, and publishes its keys.
package discovery

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

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

// Keys is what the server signs with, and what strangers encrypt to.
type Keys interface {
	Published() []byte
	OpenerAlgs() []jose.KeyAlg
}

// Endpoint is the metadata document, at both of its places, and the JWK Set. All fields but Alias and Now are required.
type Endpoint struct {
	Issuer    string
	Alias     string // base address for clients with certificates (RFC 8705 section 5); empty: there is none
	Places    Places
	Keys      Keys
	Policy    func() *assurance.Policy
	Grants    []oauth.GrantType
	Modes     []oauth.ResponseMode
	Prompts   func() []string
	Auth      []oauth.AuthMethod
	AuthAlgs  []jose.Alg // of client assertions
	ProofAlgs []jose.Alg // of DPoP proofs
	SignAlgs  []string   // that answers to a client may be registered for: a key is made when the first one needs it
	Locales   []string
	Register  func() string    // address of registration; empty: there is none
	Now       func() time.Time // nil: time.Now
}

// Metadata answers the document. Anyone may read it, scripts included.
func (e *Endpoint) Metadata(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	return public(w, "public, max-age=300", e.document())
}

// members are those of RFC 8414 section 2, OpenID Connect Discovery section 3 and their successors, by name.
type members map[string]any

func (e *Endpoint) document() members {
	all := members{}
	policy := e.Policy()
	for _, part := range []func(*assurance.Policy) members{e.core, e.requests, e.clients, e.answers, e.people, e.bound, e.others} {
		maps.Copy(all, part(policy))
	}
	return all
}

func (e *Endpoint) core(policy *assurance.Policy) members {
	acrs := []string{}
	for _, rung := range policy.Ladder {
		acrs = append(acrs, rung.ACR)
	}
	return members{
		"issuer": e.Issuer, "authorization_endpoint": e.Issuer + e.Places.Authorize, "token_endpoint": e.Issuer + e.Places.Token,
		"userinfo_endpoint": e.Issuer + e.Places.UserInfo, "jwks_uri": e.Issuer + e.Places.JWKS,
		"introspection_endpoint": e.Issuer + e.Places.Introspect, "revocation_endpoint": e.Issuer + e.Places.Revoke,
		"scopes_supported": policy.Scopes(), "acr_values_supported": acrs, "grant_types_supported": e.grants(policy),
		"response_types_supported": e.responseTypes(policy), "response_modes_supported": e.Modes,
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	}
}

// allowed tells which exceptions stand by the recipe at this moment, for whomever: what nobody may do is not offered.
func (e *Endpoint) allowed(policy *assurance.Policy) func(string) bool {
	names, now := map[string]bool{}, e.now()
	if policy.Recipe != nil {
		for _, exception := range policy.Recipe.Exceptions {
			if !now.Before(exception.End()) {
				continue
			}
			for _, name := range exception.Allow {
				names[name] = true
			}
		}
	}
	return func(name string) bool { return names[name] }
}

func (e *Endpoint) now() time.Time {
	if e.Now != nil {
		return e.Now()
	}
	return time.Now()
}

func (e *Endpoint) responseTypes(policy *assurance.Policy) []string {
	types, may := []string{string(oauth.TypeCode)}, e.allowed(policy)
	for _, each := range []oauth.ResponseType{
		oauth.TypeIDToken, oauth.TypeIDTokenToken, oauth.TypeCodeIDToken, oauth.TypeCodeToken, oauth.TypeCodeIDTokenToken,
	} {
		if may("response_type." + strings.ReplaceAll(string(each), " ", "+")) {
			types = append(types, string(each))
		}
	}
	return types
}

func (e *Endpoint) grants(policy *assurance.Policy) []oauth.GrantType {
	var grants []oauth.GrantType
	for _, grant := range e.Grants {
		switch {
		case grant == oauth.JWTBearer && (policy.Recipe == nil || len(policy.Recipe.Issuers) == 0):
		case grant == oauth.TokenExchange && !e.nativeSSO(policy):
		default:
			grants = append(grants, grant)
		}
	}
	if len(e.responseTypes(policy)) > 1 {
		grants = append(grants, oauth.Implicit)
	}
	return grants
}

// nativeSSO tells whether apps of a family share a sign-in: the one exchange that there is (OpenID Native SSO section 5).
func (e *Endpoint) nativeSSO(policy *assurance.Policy) bool {
	return slices.Contains(e.Grants, oauth.TokenExchange) && policy.NativeSSO()
}

func (e *Endpoint) requests(policy *assurance.Policy) members {
	said := members{
		"pushed_authorization_request_endpoint":       e.Issuer + e.Places.PAR,
		"require_pushed_authorization_requests":       false,
		"request_parameter_supported":                 true,
		"request_uri_parameter_supported":             e.allowed(policy)("request_uri"),
		"require_request_uri_registration":            true,
		"request_object_signing_alg_values_supported": e.AuthAlgs,
		"claims_parameter_supported":                  true,
		"prompt_values_supported":                     e.Prompts(),
		"display_values_supported":                    []string{"page", "popup", "touch"},
	}
	if algs := e.Keys.OpenerAlgs(); len(algs) > 0 { // the first keys of a new house are being made: nobody can encrypt to it yet
		said["request_object_encryption_alg_values_supported"] = algs
		said["request_object_encryption_enc_values_supported"] = jose.ContentAlgs()
	}
	var types []string
	if policy.Recipe != nil {
		for _, api := range policy.Recipe.APIs {
			types = append(types, slices.Collect(maps.Keys(api.Details))...)
		}
	}
	if slices.Sort(types); len(types) > 0 {
		said["authorization_details_types_supported"] = types
	}
	return said
}

func (e *Endpoint) clients(policy *assurance.Policy) members {
	may := e.allowed(policy)
	var all, proven []oauth.AuthMethod
	for _, method := range e.Auth {
		if (method == oauth.AuthPost || method == oauth.AuthSecretJWT) && !may(string(method)) {
			continue
		}
		if all = append(all, method); method != oauth.AuthNone {
			proven = append(proven, method)
		}
	}
	algs := make([]string, 0, len(e.AuthAlgs))
	for _, alg := range e.AuthAlgs {
		algs = append(algs, string(alg))
	}
	if may(string(oauth.AuthSecretJWT)) {
		for _, alg := range jose.SharedAlgs() {
			algs = append(algs, string(alg))
		}
	}
	return members{
		"token_endpoint_auth_methods_supported":                    all,
		"token_endpoint_auth_signing_alg_values_supported":         algs,
		"introspection_endpoint_auth_methods_supported":            proven,
		"introspection_endpoint_auth_signing_alg_values_supported": algs,
		"revocation_endpoint_auth_methods_supported":               all,
		"revocation_endpoint_auth_signing_alg_values_supported":    algs,
	}
}

// answers are the forms that a client may register for what it is told.
func (e *Endpoint) answers(*assurance.Policy) members {
	said := members{}
	for _, answer := range []string{"id_token", "userinfo", "introspection", "authorization"} {
		said[answer+"_signing_alg_values_supported"] = e.SignAlgs
		said[answer+"_encryption_alg_values_supported"] = jose.KeyAlgs()
		said[answer+"_encryption_enc_values_supported"] = jose.ContentAlgs()
	}
	return said
}

func (e *Endpoint) people(*assurance.Policy) members {
	return members{
		"subject_types_supported": []string{"public", "pairwise"}, "claim_types_supported": []string{"normal"},
		"claims_supported": token.ClaimNames(), "ui_locales_supported": e.Locales, "claims_locales_supported": e.Locales,
		"end_session_endpoint":                  e.Issuer + e.Places.Logout,
		"check_session_iframe":                  e.Issuer + e.Places.CheckSession,
		"backchannel_logout_supported":          true,
		"backchannel_logout_session_supported":  true,
		"frontchannel_logout_supported":         true,
		"frontchannel_logout_session_supported": true,
	}
}

// bound is about tokens that only the holder of a key can use (RFC 9449 section 5.1, RFC 8705 section 3.3).
func (e *Endpoint) bound(*assurance.Policy) members {
	said := members{"dpop_signing_alg_values_supported": e.ProofAlgs}
	if e.Alias == "" {
		return said
	}
	aliases := members{
		"token_endpoint": e.Alias + e.Places.Token, "userinfo_endpoint": e.Alias + e.Places.UserInfo,
		"introspection_endpoint": e.Alias + e.Places.Introspect, "revocation_endpoint": e.Alias + e.Places.Revoke,
		"pushed_authorization_request_endpoint": e.Alias + e.Places.PAR,
	}
	if slices.Contains(e.Grants, oauth.DeviceCode) {
		aliases["device_authorization_endpoint"] = e.Alias + e.Places.Device
	}
	if slices.Contains(e.Grants, oauth.CIBA) {
		aliases["backchannel_authentication_endpoint"] = e.Alias + e.Places.Backchannel
	}
	said["mtls_endpoint_aliases"], said["tls_client_certificate_bound_access_tokens"] = aliases, true
	return said
}

// others are the doors that stand only where the recipe opens them.
func (e *Endpoint) others(policy *assurance.Policy) members {
	said := members{}
	if slices.Contains(e.Grants, oauth.DeviceCode) {
		said["device_authorization_endpoint"] = e.Issuer + e.Places.Device
	}
	if slices.Contains(e.Grants, oauth.CIBA) {
		said["backchannel_authentication_endpoint"] = e.Issuer + e.Places.Backchannel
		said["backchannel_token_delivery_modes_supported"] = []string{"poll", "ping", "push"}
		said["backchannel_authentication_request_signing_alg_values_supported"] = e.AuthAlgs
		said["backchannel_user_code_parameter_supported"] = false
	}
	if e.nativeSSO(policy) {
		said["native_sso_supported"] = true
	}
	if address := e.Register(); address != "" {
		said["registration_endpoint"] = address
	}
	if policy.Recipe == nil {
		return said
	}
	resources := []string{}
	for _, api := range policy.Recipe.APIs {
		resources = append(resources, api.At)
	}
	slices.Sort(resources)
	said["protected_resources"] = resources // RFC 9728 section 4
	for _, registration := range policy.Recipe.Registration {
		if len(registration.Documents) > 0 {
			said["client_id_metadata_document_supported"] = true
		}
	}
	return said
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
