package recipe

import "slices"

// Profile names a set of rules that is switched on as a whole.
type Profile string

// The profiles. Without one, a client obeys what everyone must and may be given exceptions.
const (
	OAuth21        Profile = "oauth21"
	FAPI2Security  Profile = "fapi2-security"
	FAPI2Messages  Profile = "fapi2-message-signing"
	IPSIEOpenIDSL1 Profile = "ipsie-sl1"
)

// profileNames are the profiles that a recipe can name.
var profileNames = []string{string(OAuth21), string(FAPI2Security), string(FAPI2Messages), string(IPSIEOpenIDSL1)}

// Meets tells whether a client of profile p obeys all that the other profile asks for: fapi2-message-signing is
// fapi2-security and more, and every profile is oauth21 and more. A profile that nobody knows meets nothing but itself.
func (p Profile) Meets(other Profile) bool {
	switch other {
	case "", p:
		return true
	case OAuth21:
		return slices.Contains(profileNames, string(p))
	case FAPI2Security:
		return p == FAPI2Messages
	case FAPI2Messages, IPSIEOpenIDSL1:
	}
	return false
}

// Demands are what a profile asks of the requests of a client. The zero value asks for no more than everyone must do.
type Demands struct {
	PAR            bool     // the authorization request is pushed
	SignedRequest  bool     // ... and signed (RFC 9101)
	Bound          bool     // access tokens are bound to a key
	CodeOnly       bool     // nothing but a code comes back through the browser
	PlainAudience  bool     // an assertion names the issuer as its only audience; no exception
	NoRotation     bool     // refresh tokens live on
	Confidential   bool     // the client proves itself
	Auth           []string // the only ways to prove itself; empty: any
	Algs           []string // the only signatures, of the client and for it; empty: any
	FreshRequest   bool     // a request object lives for at most 60 minutes, and has nbf and exp
	RedirectsHTTPS bool     // redirect URIs are https
	DPoPOnly       bool     // ... and the key they are bound to is one of DPoP, not of a certificate
}

var (
	// fapiAuth are the two ways of FAPI 2.0 Security Profile section 5.3.2.1, the second with its two forms of RFC 8705.
	fapiAuth = []string{"private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth"}
	// fapiAlgs: FAPI 2.0 Security Profile section 5.4.1 and IPSIE section 3.2 name the same three.
	fapiAlgs = []string{"PS256", "ES256", "EdDSA"}
)

// Demands gives what the profile asks of requests. An unknown profile asks for what the strictest does.
func (p Profile) Demands() Demands {
	switch p {
	case "", OAuth21:
		return Demands{} // what OAuth 2.1 asks for is asked of everyone
	case IPSIEOpenIDSL1:
		return Demands{Bound: true, DPoPOnly: true, CodeOnly: true, PlainAudience: true, RedirectsHTTPS: true, Algs: slices.Clone(fapiAlgs)}
	case FAPI2Security, FAPI2Messages:
	}
	strict := Demands{
		PAR: true, Bound: true, CodeOnly: true, PlainAudience: true, NoRotation: true, Confidential: true, RedirectsHTTPS: true,
		Auth: slices.Clone(fapiAuth), Algs: slices.Clone(fapiAlgs),
	}
	strict.SignedRequest = p != FAPI2Security
	strict.FreshRequest = strict.SignedRequest
	return strict
}
