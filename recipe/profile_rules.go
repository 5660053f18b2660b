package recipe

import (
	"slices"
	"strings"
)

// Rule is one sentence of a profile.
type Rule struct {
	Name     string   // what it is called in tests and reports
	Section  string   // where it stands
	Say      string   // what it asks for, for whoever reads the refusal
	Excludes []string // exceptions that it does not know

	refuses func(Client) (key, text string) // "" if the client meets it; key is the member at fault
}

// Breach is a rule of a profile that a client does not meet.
type Breach struct {
	Rule
	Key  string // member of the client that is at fault
	Text string // what is wrong with it
}

// Error says what is wrong and which section says so.
func (b Breach) Error() string { return b.Text + ": " + b.Say + " (" + b.Section + ")" }

// Rules gives the rules that the profile asks of a client beside what everyone must do. What it asks of requests is in
// Demands. An unknown profile has one rule, which nobody meets.
func (p Profile) Rules() []Rule {
	switch p {
	case "":
		return nil
	case OAuth21:
		return slices.Clone(oauth21Rules)
	case FAPI2Security:
		return slices.Concat(oauth21Rules, fapiRules)
	case FAPI2Messages:
		return slices.Concat(oauth21Rules, fapiRules, messageRules)
	case IPSIEOpenIDSL1:
		return slices.Concat(oauth21Rules, ipsieRules)
	}
	return []Rule{{Name: "known", Section: "decision 0012", Say: "a profile has rules", refuses: func(Client) (string, string) {
		return "profile", "nobody knows this profile"
	}}}
}

// Refusals gives the rules of the profile that c does not meet, in the order of the table.
func (p Profile) Refusals(c Client) []Breach {
	var breaches []Breach
	for _, rule := range p.Rules() {
		if rule.refuses == nil {
			continue
		}
		if key, text := rule.refuses(c); text != "" {
			breaches = append(breaches, Breach{rule, key, text})
		}
	}
	return breaches
}

const (
	oauth21Draft  = "OAuth 2.1 "
	fapiSecurity  = "FAPI 2.0 Security Profile section "
	fapiMessages  = "FAPI 2.0 Message Signing section "
	fapiCIBA      = "FAPI: CIBA Profile section 5.2.2"
	ipsieSections = "IPSIE OpenID Connect SL1 section "
)

// oauth21Rules end what OAuth 2.1 left out and exceptions could bring back.
var oauth21Rules = []Rule{
	{
		Name: "no token through the browser", Section: oauth21Draft + "section 10.1", Say: "access tokens come from the token endpoint alone",
		Excludes: exceptionsWith(" token"), refuses: func(c Client) (string, string) {
			return responses(c, func(t string) bool { return strings.Contains(" "+t+" ", " token ") })
		},
	},
}

// fapiRules are FAPI 2.0 Security Profile.
var fapiRules = []Rule{
	{
		Name: "confidential", Section: fapiSecurity + "5.3.2.1", Say: "clients prove who they are",
		refuses: func(c Client) (string, string) {
			if c.Public() {
				return "type", "a " + string(c.Type) + " client can't"
			}
			return "", ""
		},
	},
	{
		Name: "proof by key", Section: fapiSecurity + "5.3.2.1", Say: "clients prove who they are by private_key_jwt or mutual TLS",
		Excludes: []string{AllowSecretPost, AllowSecretJWT}, refuses: func(c Client) (string, string) {
			if !c.Public() && !slices.Contains(fapiAuth, c.Auth) {
				return "auth", show(c.Auth) + " is neither"
			}
			return "", ""
		},
	},
	{
		Name: "the issuer as audience", Section: fapiSecurity + "5.3.2.1", Say: "an assertion names the issuer, as a string and alone",
		Excludes: []string{AllowAssertionAudience},
	},
	{
		Name: "no rotation", Section: fapiSecurity + "5.3.2.1", Say: "refresh tokens are not rotated",
		refuses: func(c Client) (string, string) {
			if c.Rotate {
				return "rotate", "asks for rotation"
			}
			return "", ""
		},
	},
	{
		Name: "code alone", Section: fapiSecurity + "5.3.2.2", Say: "the response type is code",
		Excludes: exceptionsWith(""), refuses: codeAlone,
	},
	{
		Name: "pushed requests", Section: fapiSecurity + "5.3.2.2", Say: "authorization requests are pushed",
		Excludes: []string{AllowRequestURI}, refuses: func(c Client) (string, string) {
			if len(c.RequestURIs) > 0 {
				return "request_uris", "requests of one's own addresses are not"
			}
			return "", ""
		},
	},
	{
		Name: "PKCE", Section: fapiSecurity + "5.3.2.2", Say: "every request has a code challenge, S256",
		Excludes: []string{AllowNoPKCE, AllowNoNonce},
	},
	{
		Name: "https redirects", Section: fapiSecurity + "5.3.2.2", Say: "authorization responses travel encrypted", refuses: plainRedirect,
	},
	{
		Name: "algorithms", Section: fapiSecurity + "5.4.1", Say: "JWTs are signed by PS256, ES256 or EdDSA", refuses: oddAlgorithm,
	},
	{
		Name: "no push", Section: fapiCIBA, Say: "tokens are fetched by whom they are for, not pushed",
		refuses: func(c Client) (string, string) {
			if c.CIBADelivery == "push" {
				return "backchannel_token_delivery_mode", "push sends them out"
			}
			return "", ""
		},
	},
}

// messageRules are what FAPI 2.0 Message Signing adds.
var messageRules = []Rule{
	{
		Name: "keys for requests", Section: fapiMessages + "5.3.1", Say: "authorization requests are signed",
		refuses: func(c Client) (string, string) {
			if c.uses("authorization_code") && c.JWKS == "" && c.JWKSURI == "" {
				return "jwks", "there are no keys to check them with"
			}
			return "", ""
		},
	},
	{
		Name: "signed backchannel requests", Section: fapiCIBA, Say: "backchannel requests are signed",
		refuses: func(c Client) (string, string) {
			if c.uses(grantCIBA) && c.CIBAAlg == "" {
				return "backchannel_authentication_request_signing_alg", "nothing says by which algorithm"
			}
			return "", ""
		},
	},
}

// ipsieRules are the session profile SL1 of IPSIE for OpenID Connect.
var ipsieRules = []Rule{
	{
		Name: "people", Section: ipsieSections + "3.3.2", Say: "the authorization code grant is used",
		refuses: func(c Client) (string, string) {
			for _, grant := range c.GrantTypes() {
				if grant != "authorization_code" && grant != "refresh_token" {
					return "grants", grant + " is another grant"
				}
			}
			return "", ""
		},
	},
	{
		Name: "the issuer as audience", Section: ipsieSections + "3.3.1", Say: "an assertion names the issuer, as a string and alone",
		Excludes: []string{AllowAssertionAudience},
	},
	{
		Name: "claims alone", Section: ipsieSections + "3.3.1", Say: "access tokens fetch claims from the provider and open no API",
		refuses: func(c Client) (string, string) {
			for _, scope := range c.Scopes {
				if !slices.Contains(standardScopes, scope) {
					return "scopes", "the scope " + shown(scope) + " opens an API"
				}
			}
			if len(c.Details) > 0 {
				return "authorization_details_types", "rich requests open APIs"
			}
			return "", ""
		},
	},
	{
		Name: "bound by DPoP", Section: ipsieSections + "3.3.1", Say: "access tokens are bound by DPoP",
		refuses: func(c Client) (string, string) {
			if c.TLSBound {
				return "tls_client_certificate_bound_access_tokens", "a certificate binds otherwise"
			}
			return "", ""
		},
	},
	{
		Name: "code alone", Section: ipsieSections + "3.3.1", Say: "the response type is code",
		Excludes: exceptionsWith(""), refuses: codeAlone,
	},
	{
		Name: "PKCE", Section: ipsieSections + "3.3.1", Say: "every request has a code challenge, S256",
		Excludes: []string{AllowNoPKCE, AllowNoNonce},
	},
	{
		Name: "https redirects", Section: ipsieSections + "3.3.1", Say: "authorization responses travel encrypted", refuses: plainRedirect,
	},
	{
		Name: "begun by others", Section: ipsieSections + "3.3.2", Say: "a third party may begin a sign-in",
		refuses: func(c Client) (string, string) {
			if c.InitiateLogin == "" {
				return "initiate_login_uri", "nothing says where"
			}
			return "", ""
		},
	},
	{
		Name: "algorithms", Section: ipsieSections + "3.2", Say: "JWTs are signed by PS256, ES256 or EdDSA", refuses: oddAlgorithm,
	},
}

// exceptionsWith names the exceptions for the response types that hold a word; "" is all of them.
func exceptionsWith(word string) []string {
	var names []string
	for _, responseType := range frontTypes {
		if strings.Contains(" "+responseType, word) {
			names = append(names, AllowResponseType(responseType))
		}
	}
	return names
}

// responses finds a response type that a rule is against.
func responses(c Client, against func(string) bool) (key, text string) {
	for _, responseType := range c.ResponseTypes {
		if against(responseType) {
			return "response_types", show(responseType) + " gives more"
		}
	}
	return "", ""
}

func codeAlone(c Client) (key, text string) {
	if key, text = responses(c, func(t string) bool { return t != "code" }); text == "" && c.uses(grantImplicit) {
		return "grants", "implicit gives more"
	}
	return key, text
}

func plainRedirect(c Client) (key, text string) {
	for _, uri := range c.RedirectURIs {
		if !strings.HasPrefix(uri, "https://") {
			return "redirect_uris", show(uri) + " is not https"
		}
	}
	return "", ""
}

func oddAlgorithm(c Client) (key, text string) {
	for _, s := range append(c.signatures(), signed{"token_endpoint_auth_signing_alg", c.AuthAlg}) {
		if s.alg != "" && !slices.Contains(fapiAlgs, s.alg) {
			return s.key, show(s.alg) + " is none of them"
		}
	}
	return "", ""
}
