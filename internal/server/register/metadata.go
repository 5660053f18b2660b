package register

import (
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/text/language"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Metadata is what a client says of itself (RFC 7591 section 2, OpenID Connect Dynamic Client Registration section 2).
// Members that are not here are ignored, and neither kept nor answered.
type Metadata struct {
	RedirectURIs    []string        `json:"redirect_uris,omitempty"`
	Auth            string          `json:"token_endpoint_auth_method,omitempty"`
	Grants          []string        `json:"grant_types,omitempty"`
	Name            string          `json:"client_name,omitempty"`
	Scope           string          `json:"scope,omitempty"`
	JWKS            json.RawMessage `json:"jwks,omitempty"`
	JWKSURI         string          `json:"jwks_uri,omitempty"`
	LogoutURIs      []string        `json:"post_logout_redirect_uris,omitempty"`
	IDTokenAlg      string          `json:"id_token_signed_response_alg,omitempty"`
	ApplicationType string          `json:"application_type,omitempty"`
	SoftwareID      string          `json:"software_id,omitempty"`
	SoftwareVersion string          `json:"software_version,omitempty"`
	Statement       string          `json:"software_statement,omitempty"`
	recipe.Metadata

	ClientID string `json:"client_id,omitempty"` // of updates and documents

	names recipe.Text // client_name by language
	sent  map[string]json.RawMessage
}

const (
	maxBody   = 64 << 10
	maxNames  = 50
	nameStart = "client_name#"
	english   = "en"
)

// readBody gives the members of a request's JSON.
func readBody(r *http.Request) (map[string]json.RawMessage, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || r.Header.Get("Content-Encoding") != "" {
		return nil, oauth.InvalidClientMetadata("the content type must be application/json, not compressed")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, oauth.InvalidRequest("the body ended early").Because(err)
	}
	if len(body) > maxBody {
		return nil, &oauth.Error{Code: "invalid_client_metadata", Description: "the metadata is too large", Status: http.StatusRequestEntityTooLarge}
	}
	return members(body)
}

// members reads an object by the strict rules of jose.DecodeJSON, and leaves each value to be read once more.
func members(body []byte) (map[string]json.RawMessage, error) {
	var sent map[string]json.RawMessage
	if err := jose.DecodeJSON(body, &sent); err != nil {
		return nil, oauth.InvalidClientMetadata("%s", err)
	}
	return sent, nil
}

// parse reads metadata from its members.
func parse(sent map[string]json.RawMessage) (Metadata, error) {
	said := Metadata{sent: sent}
	joined, err := json.Marshal(sent)
	if err != nil {
		return said, oauth.InvalidClientMetadata("the metadata can't be read").Because(err)
	}
	if err := jose.DecodeJSON(joined, &said); err != nil {
		return said, oauth.InvalidClientMetadata("%s", err)
	}
	if string(said.JWKS) == "null" {
		said.JWKS = nil
	}
	if said.JWKS != nil && said.JWKSURI != "" {
		return said, oauth.InvalidClientMetadata("jwks_uri: the keys stand in two places; keep jwks or jwks_uri")
	}
	return said, said.readNames(sent)
}

// readNames gathers the names for people (RFC 7591 section 2.2). The one without a language is the English one, for which
// another stands in where there is none.
func (m *Metadata) readNames(sent map[string]json.RawMessage) error {
	m.names = recipe.Text{}
	for _, member := range slices.Sorted(maps.Keys(sent)) {
		tag, named := strings.CutPrefix(member, nameStart)
		if !named || string(sent[member]) == "null" {
			continue
		}
		parsed, err := language.Parse(tag)
		var name string
		if err != nil || jose.DecodeJSON(sent[member], &name) != nil {
			return oauth.InvalidClientMetadata("client_name# is followed by a language tag, and its value is a text")
		}
		if name != "" {
			m.names[parsed.String()] = name
		}
	}
	if len(m.names) > maxNames {
		return oauth.InvalidClientMetadata("client_name: there are more than %d languages", maxNames)
	}
	if m.Name != "" {
		m.names[english] = m.Name
	}
	if m.names[english] == "" && len(m.names) > 0 {
		m.names[english] = m.names[slices.Sorted(maps.Keys(m.names))[0]]
	}
	return nil
}

// client gives what is said in the words of the recipe, with the defaults that the specifications or the policy give.
func (m Metadata) client(policy recipe.Registration) (recipe.Client, error) {
	c := recipe.Client{
		Auth: m.Auth, JWKSURI: m.JWKSURI, RedirectURIs: m.RedirectURIs, LogoutURIs: m.LogoutURIs, IDTokenAlg: m.IDTokenAlg,
		Metadata: m.Metadata, Profile: policy.Profile,
	}
	if len(m.names) > 0 {
		c.Name = m.names
	}
	switch m.ApplicationType {
	case "", "web", "native":
	default:
		return c, oauth.InvalidClientMetadata("application_type: write web or native")
	}
	if c.Auth == "" {
		c.Auth = string(oauth.AuthBasic) // RFC 7591 section 2
		if m.ApplicationType == "native" {
			c.Auth = string(oauth.AuthNone)
		}
	}
	if c.Auth == string(oauth.AuthSecretJWT) && c.AuthAlg == string(jose.HS512) {
		return c, oauth.InvalidClientMetadata("token_endpoint_auth_signing_alg: the secrets of this server are too short for HS512; write HS256")
	}
	if err := m.flows(&c); err != nil {
		return c, err
	}
	c.Type = m.kind(c)
	if c.Type == recipe.Browser {
		c.Origins = originsOf(c.RedirectURIs)
	}
	var err error
	if c.Scopes, err = m.scopes(c, policy); err != nil {
		return c, oauth.InvalidClientMetadata("scope: is malformed").Because(err)
	}
	if c.IDTokenAlg == "" && slices.Contains(c.Scopes, oauth.ScopeOpenID) && len(policy.Profile.Demands().Algs) == 0 {
		c.IDTokenAlg = string(jose.RS256) // OpenID Connect Dynamic Client Registration section 2
	}
	return c, nil
}

// kind finds out which of the recipe's types a client is. Whoever shows nothing to prove itself is an application on
// people's devices: native if it says so, or if it says nothing and is reached at an address that is not https; else it
// is a page in a browser. Whoever does prove itself is a server, and one that nobody signs in through is a service.
func (m Metadata) kind(c recipe.Client) recipe.ClientType {
	local := slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !strings.HasPrefix(uri, "https://") })
	alone := !slices.ContainsFunc(c.Grants, func(grant string) bool {
		return grant != string(oauth.ClientCredentials) && grant != string(oauth.JWTBearer)
	})
	switch {
	case m.ApplicationType == "native":
		return recipe.Native
	case c.Auth == string(oauth.AuthNone) && m.ApplicationType == "" && local:
		return recipe.Native
	case c.Auth == string(oauth.AuthNone):
		return recipe.Browser
	case alone && len(c.RedirectURIs) == 0:
		return recipe.Service
	}
	return recipe.Web
}

// flows fills in grants and response types, each of which follows from the other (RFC 7591 section 2.1).
func (m Metadata) flows(c *recipe.Client) error {
	c.Grants = slices.Clone(m.Grants)
	front, code := false, len(m.ResponseTypes) == 0
	for _, wanted := range m.ResponseTypes {
		words := strings.Fields(wanted)
		front = front || slices.Contains(words, "token") || slices.Contains(words, "id_token")
		code = code || slices.Contains(words, "code")
	}
	if len(c.Grants) == 0 {
		if code {
			c.Grants = append(c.Grants, string(oauth.AuthorizationCode))
		}
		if front {
			c.Grants = append(c.Grants, string(oauth.Implicit))
		}
	}
	if front && !slices.Contains(c.Grants, string(oauth.Implicit)) {
		return oauth.InvalidClientMetadata("grant_types: response types with token or id_token need implicit")
	}
	redeems := slices.Contains(c.Grants, string(oauth.AuthorizationCode))
	if len(m.ResponseTypes) > 0 && code && !redeems {
		return oauth.InvalidClientMetadata("grant_types: response types with code need authorization_code")
	}
	if len(m.ResponseTypes) == 0 && redeems {
		c.ResponseTypes = []string{"code"}
	}
	return nil
}

// scopes gives what is asked for; without a word of it, all that the policy gives and the client can use.
func (m Metadata) scopes(c recipe.Client, policy recipe.Registration) (oauth.Scope, error) {
	if m.Scope != "" {
		return oauth.ParseScope(m.Scope)
	}
	var given oauth.Scope
	personal := append(oauth.ClaimScopes(), oauth.ScopeOpenID, oauth.ScopeOffline)
	for _, scope := range policy.Scopes {
		switch {
		case c.Type == recipe.Service && personal.Has(scope):
		case scope == oauth.ScopeOffline && !slices.Contains(c.Grants, string(oauth.RefreshToken)):
		default:
			given = append(given, scope)
		}
	}
	return given, nil
}

func originsOf(uris []string) []string {
	var origins []string
	for _, uri := range uris {
		parsed, err := url.Parse(uri)
		if err != nil || parsed.Host == "" {
			continue
		}
		if origin := parsed.Scheme + "://" + parsed.Host; !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}

// kept writes the metadata of a client as every answer tells it: what is kept, and nothing else. The words about its software
// are for the next reader; nothing is decided by them.
func kept(client iam.Client, said Metadata) (string, error) {
	told := Metadata{
		RedirectURIs: client.RedirectURIs, Auth: string(client.Auth), Scope: client.Scope.String(), JWKS: json.RawMessage(client.JWKS),
		JWKSURI: client.JWKSURI, LogoutURIs: client.LogoutURIs, IDTokenAlg: client.IDTokenAlg, ApplicationType: "web",
		SoftwareID: said.SoftwareID, SoftwareVersion: said.SoftwareVersion, Statement: said.Statement, Metadata: client.Metadata,
	}
	if client.Kind == recipe.Native {
		told.ApplicationType = "native"
	}
	if told.IDTokenAlg == "" && client.Scope.Has(oauth.ScopeOpenID) {
		told.IDTokenAlg = string(jose.ES256)
	}
	for _, grant := range client.Grants {
		told.Grants = append(told.Grants, string(grant))
	}
	raw, err := json.Marshal(told)
	if err != nil {
		return "", err
	}
	all := map[string]any{}
	var plain map[string]json.RawMessage
	if err := json.Unmarshal(raw, &plain); err != nil {
		return "", err
	}
	for name, value := range plain {
		all[name] = value
	}
	for tag, name := range client.Name {
		if tag == english {
			all["client_name"] = name
		} else {
			all[nameStart+tag] = name
		}
	}
	raw, err = json.Marshal(all)
	return string(raw), err
}
