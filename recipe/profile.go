package recipe

// Profile names a set of rules that is switched on as a whole.
type Profile string

// The profiles. OAuth21 is what everyone gets.
const (
	OAuth21        Profile = "oauth21"
	FAPI2Security  Profile = "fapi2-security"
	FAPI2Messages  Profile = "fapi2-message-signing"
	IPSIEOpenIDSL1 Profile = "ipsie-sl1"
)

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
}

// Demands gives what the profile asks of requests. An unknown profile asks for what the strictest does.
func (p Profile) Demands() Demands {
	switch p {
	case "", OAuth21:
		return Demands{}
	}
	return Demands{PAR: true, SignedRequest: true, Bound: true, CodeOnly: true, PlainAudience: true, NoRotation: true, Confidential: true}
}
