package iam

import (
	"context"
	"slices"
	"time"

	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
)

// Grant is what one authorization gave: the family of its refresh tokens and the root of its access tokens.
type Grant struct {
	ID       string
	Client   string
	User     string // empty: the client itself
	Session  string // empty: outlives the session (offline_access)
	Scope    oauth.Scope
	Resource []string // audiences that tokens of this grant may have
	Nonce    string
	Claims   string // the claims parameter as it came, JSON
	Details  string // authorization_details that the person allowed, a JSON array (RFC 9396); empty: none
	Login    string // session in which it began, also when it outlives it: the sid of its ID tokens; empty: none
	// Binding is the key that refresh tokens of a public client are bound to, fixed when the grant began (RFC 9449 section
	// 5). Confidential clients are bound by their own proof and may change keys.
	Binding  Binding
	AuthTime time.Time
	AMR      []string
	ACR      string
	Created  time.Time
	Expires  time.Time // absolute end of its refresh tokens
	Revoked  time.Time // zero: stands
}

// Binding is which key a token or grant is bound to. The zero value is a plain bearer.
type Binding struct {
	JKT string `json:"jkt,omitempty"`      // thumbprint of a DPoP key (RFC 9449 section 6.1)
	X5T string `json:"x5t#S256,omitempty"` // thumbprint of a certificate (RFC 8705 section 3.1)
}

// Bound tells whether there is a key at all.
func (b Binding) Bound() bool { return b != Binding{} }

// ProvenBy tells whether whoever proved other has proved what b asks for. What asks for nothing is proven by anyone.
func (b Binding) ProvenBy(other Binding) bool {
	return (b.JKT == "" || b.JKT == other.JKT) && (b.X5T == "" || b.X5T == other.X5T)
}

// For tells whether tokens of the grant may be for resource. A grant without resources leaves it to its scopes.
func (g Grant) For(resource string) bool {
	return len(g.Resource) == 0 || slices.Contains(g.Resource, resource)
}

// Code is an authorization code as storage keeps it, with the grant that it will become.
type Code struct {
	Hash        CodeHash
	RedirectURI string
	Challenge   string // S256 challenge of RFC 7636; empty: by exception, none
	JKT         string // DPoP key that must redeem it (RFC 9449 section 10); empty: any
	Grant       Grant
	// Pushed is the pushed request that this code ends, so that it gives one; zero: none. Only AddCode asks for it.
	Pushed PushedHash
	// From is the session in which the code is given, also when its grant is to outlive it; empty: Grant.Session. Only
	// AddCode asks for it, and nobody keeps it.
	From string
	// Allowed is the consent that the code is given by: AddCode is ErrRevoked unless it still stands, word for word. Nil: by
	// none. Nobody keeps it.
	Allowed *Consent
	Created time.Time
	Expires time.Time
}

// MaxCodeTries is how many wrong clients, redirect URIs or verifiers a code survives; the next kills it.
const MaxCodeTries = 4

// CodeProof is what a client shows to redeem a code.
type CodeProof struct {
	Hash        CodeHash
	Client      string
	RedirectURI string // empty: not sent, which OAuth 2.1 allows
	Challenge   string // S256 of the verifier that was shown; empty: none was
	JKT         string // DPoP key that was proved; empty: none
}

// Fits tells whether the proof is that of the client, redirect URI, verifier and key that the code was given for.
func (c Code) Fits(proof CodeProof) bool {
	return c.Grant.Client == proof.Client && c.Challenge == proof.Challenge && (c.JKT == "" || c.JKT == proof.JKT) &&
		(proof.RedirectURI == "" || c.RedirectURI == proof.RedirectURI)
}

// Codes keeps authorization codes until they are redeemed through Issuing.
type Codes interface {
	// AddCode keeps a code, ends the flow and the pushed request it came from (zero: none) and gives consent (nil: none), at once. ErrRevoked if
	// the user, the client or the session in which it is given no longer stands, so that a sign-out that was faster leaves
	// no code; ErrNotFound if the flow has ended, so that it gives one code.
	AddCode(ctx context.Context, code Code, flow FlowHash, consent *Consent, events ...journal.Event) error
	// Try compares a proof like Issue does, but spends nothing: a wrong proof is counted and answered ErrMismatch, a code
	// that is spent comes back as ErrSpent after its grant has ended (only by the right proof), too late is ErrExpired. The
	// code that it gives is only worth reading: Issue compares again, in the update that spends.
	Try(ctx context.Context, proof CodeProof, now time.Time) (Code, error)
}

// Refresh is a refresh token as storage keeps it.
type Refresh struct {
	Hash    RefreshHash
	Grant   string
	Created time.Time
	Idle    time.Time // end without use
}

// Grace is how long a rotated refresh token may come again while its successor is unused: a lost answer is not a theft.
const Grace = 10 * time.Second

// RefreshProof is what a client shows to refresh.
type RefreshProof struct {
	Hash   RefreshHash
	Client string
}

// Refreshes reads refresh tokens.
type Refreshes interface {
	// Refresh finds the token and its grant without using it, also when it was replaced. ErrNotFound when unknown.
	Refresh(ctx context.Context, hash RefreshHash) (Refresh, Grant, error)
}

// Access is an opaque access token as storage keeps it.
type Access struct {
	Hash     AccessHash
	ID       string // jti
	Grant    string
	Client   string
	User     string
	Session  string
	Audience string
	Scope    oauth.Scope
	AuthTime time.Time
	AMR      []string
	ACR      string
	Binding  Binding
	Details  string // authorization_details, a JSON array
	Issued   time.Time
	Expires  time.Time
}

// Accesses finds opaque access tokens.
type Accesses interface {
	// Access finds a living token: ErrNotFound when unknown, expired or revoked, with its grant, session, user or client.
	Access(ctx context.Context, hash AccessHash, now time.Time) (Access, error)
}

// Issue is the deed behind every answer that carries tokens. All of it happens, or nothing but the counting of a try.
type Issue struct {
	Now     time.Time
	Client  string // must stand
	User    string // must stand, unless empty
	Session string // must live, unless empty

	// Allowed is the consent that was relied on: ErrRaced unless it still stands, word for word. Nil: none was.
	Allowed *Consent

	Code    *CodeProof    // spends a code: its Grant begins
	Asked   *AskedProof   // spends what a person approved elsewhere (device, backchannel): its Grant begins
	Begin   *Grant        // a grant that begins here: of the front channel, of an assertion
	NewCode *Code         // with Begin: a code of that same grant, which redeems without beginning it again (hybrid flow)
	Flow    FlowHash      // ends: ErrNotFound when it has ended already, and nothing is done
	Pushed  PushedHash    // ends: as Flow
	Refresh *RefreshProof // uses a refresh token
	Replace *Refresh      // with Refresh: the successor (rotation); nil: the same token lives on
	Idle    time.Time     // with Refresh and without Replace: the token's new idle end
	Binding Binding       // with Code or Asked: becomes the Binding of the grant, also of one that its front channel began

	NewRefresh *Refresh      // first refresh token of a grant
	NewAccess  *Access       // opaque access token
	NewDevice  *DeviceSecret // device secret (OpenID Native SSO); its session must live
	Events     []journal.Event
}

// Issuing is the one deed that makes tokens durable.
type Issuing interface {
	// Issue does the deed. Its answers:
	//   - ErrNotFound: no such code, refresh token, asked authorization, flow or pushed request;
	//   - ErrMismatch: wrong client, redirect URI, verifier or key, or not the grant's user. A code stays and the try is counted, a refresh token stays;
	//   - ErrSpent: a code or a rotated refresh token came again, rightly bound: its grant has ended with all it gave.
	//     A predecessor within Grace whose successor is unused is not spent: the successor is replaced;
	//   - ErrExpired: too late; ErrRevoked: the grant, user, client or session no longer stands;
	//   - ErrRaced: Allowed, or that the grant is of Session, is no longer so; what was read is to be read again;
	//   - ErrUnavailable: not done, or not known to be done.
	Issue(ctx context.Context, issue Issue) error
}

// Grants keeps grants.
type Grants interface {
	Grant(ctx context.Context, id string) (Grant, error)
	UserGrants(ctx context.Context, user string) ([]Grant, error)
	// RevokeGrant ends a grant: its refresh tokens, opaque tokens, and, by the feed, its signed tokens.
	RevokeGrant(ctx context.Context, id string, events ...journal.Event) error
	// RevokeToken ends one access token by its id until it would have expired anyway.
	RevokeToken(ctx context.Context, id string, until time.Time, events ...journal.Event) error
}
