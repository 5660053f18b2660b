package iam

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/journal"
)

// Proved is one factor that a person proved.
type Proved struct {
	Factor     string    `json:"factor"`               // the recipe's name: password, passkey, totp …
	At         time.Time `json:"at"`                   // when, whole seconds
	Begun      time.Time `json:"begun"`                // when it was asked for: not before what it answers
	Credential string    `json:"credential,omitempty"` // id of the authenticator; empty: there is none, as for a password
	Methods    []string  `json:"methods"`              // RFC 8176 names
}

// Answer tells that a person authenticated because of something: what had raised a decision is answered, for that session
// and as long as what raised it is the same, so that nobody is asked again and again.
type Answer struct {
	Cause Digest    `json:"cause"` // of the rules that asked and what they asked about
	ACR   string    `json:"acr"`   // level that was reached then
	At    time.Time `json:"at"`
}

// FactorKind is a kind of authenticator: the name of a factor in the recipe.
type FactorKind string

// The kinds of authenticator that storage keeps. Passwords stand apart (Passwords), and so do recovery codes.
const (
	FactorPasskey     FactorKind = "passkey"
	FactorSecurityKey FactorKind = "security_key"
	FactorTOTP        FactorKind = "totp"
)

// Authenticator is what a person can prove a factor with.
type Authenticator struct {
	ID      string // random, for pages and the journal
	User    string
	Kind    FactorKind
	Name    string // what the person calls it
	Handle  Digest // hash of the WebAuthn credential id, unique; zero: none
	Model   string // AAGUID; empty: unknown
	Synced  bool   // it is, or may be, copied to other devices (backup eligible)
	Sealed  string // key material and flags, sealed under (tenant, authenticators, ID)
	Mark    int64  // signature counter, or last time step of a TOTP: only ever grows
	Created time.Time
	Used    time.Time // zero: never
}

// Left is what a person would still have to sign in with, but for what is used up or may not be there (recovery codes, other
// devices).
type Left struct {
	Password bool
	Mail     bool // a proved address
	Kinds    []FactorKind
}

// MaxAuthenticators is how many a person may have, MaxRecovery how many recovery codes.
const (
	MaxAuthenticators = 20
	MaxRecovery       = 50
)

// Authenticators keeps what people prove factors with.
type Authenticators interface {
	Recoveries

	// Authenticators lists those of a person, oldest first.
	Authenticators(ctx context.Context, user string) ([]Authenticator, error)
	// AuthenticatorOf finds by the hash of a WebAuthn credential id. ErrNotFound when unknown, or its person is disabled.
	AuthenticatorOf(ctx context.Context, handle Digest) (Authenticator, error)
	// AddAuthenticator keeps one more. ErrExists if the handle is taken, ErrFull if the person has MaxAuthenticators,
	// ErrRevoked if the person does not stand.
	AddAuthenticator(ctx context.Context, added Authenticator, events ...journal.Event) error
	// UseAuthenticator moves the mark from one value to another and keeps the new sealed state (empty: the old stays). Of
	// many with the same from one wins: the others get ErrSpent, and so does everybody when the mark moved meanwhile, or when
	// to is less than from. Where both are the same, as for a passkey that does not count, all of them win: its challenge
	// serves once. ErrNotFound when it was removed, or its person is disabled.
	UseAuthenticator(ctx context.Context, id string, from, to int64, sealed string, at time.Time) error
	// RenameAuthenticator names it anew. ErrNotFound unless it is that person's.
	RenameAuthenticator(ctx context.Context, user, id, name string, events ...journal.Event) error
	// RemoveAuthenticator forgets it and ends every session that rests on it, but keep. ErrNotFound unless it is that
	// person's; ErrLast if the person could not sign in any more with what is left, as wayIn has it, which is asked within the
	// deed: of two that remove the last two at once, one stays. The person's sign-ins
	// under way end, too, those within keep only if they rest on it. Once it has returned no session begins that rests on it
	// (see StartSession).
	RemoveAuthenticator(ctx context.Context, user, id, keep string, wayIn func(Left) bool, events ...journal.Event) error
}

// Recoveries keeps recovery codes.
type Recoveries interface {
	// SetRecovery replaces the recovery codes of a person, given as their hashes; none: they have none. ErrFull beyond
	// MaxRecovery, ErrRevoked if the person does not stand.
	SetRecovery(ctx context.Context, user string, codes []Digest, events ...journal.Event) error
	// UseRecovery spends one. ErrNotFound: unknown or spent, or the person is disabled. Of many callers at once one wins.
	UseRecovery(ctx context.Context, user string, code Digest, events ...journal.Event) error
	// RecoveryLeft counts those that were not spent.
	RecoveryLeft(ctx context.Context, user string) (int, error)
}

// MaxDevices is how many known devices are kept of a person: beyond it, the one that was not seen for longest is unknown
// again.
const MaxDevices = 100

// Device is a browser or an installation from which a person has signed in. Two people on one device may share its id: to
// each it is a device of their own.
type Device struct {
	ID      string // random; its sealed cookie holds it
	User    string
	Name    string // what the person calls it, else its label, such as "Firefox on Linux"
	Agent   string // label at the last sign-in
	Address string // network at the last sign-in
	Created time.Time
	Seen    time.Time
	Expires time.Time // it is unknown again from here on
	Turn    int64     // how often its cookie was changed; the cookie holds the same number
}

// Devices keeps known devices.
type Devices interface {
	// KeepDevice adds a device or brings what is known of it up to date; Created and Name of a known one stay. ErrRevoked if
	// the person does not stand, or has forgotten it: what was forgotten is known again only under another id. ErrSpent if its
	// cookie was changed more often than Turn says: of many callers at once with the same Turn all keep it.
	KeepDevice(ctx context.Context, device Device) error
	// Device finds a living one of that person. ErrNotFound when unknown, expired or forgotten.
	Device(ctx context.Context, user, id string, now time.Time) (Device, error)
	UserDevices(ctx context.Context, user string, now time.Time) ([]Device, error)
	// RenameDevice names it anew. ErrNotFound unless it is that person's.
	RenameDevice(ctx context.Context, user, id, name string) error
	// ForgetDevice makes it unknown and ends every session on it, with the grants, tokens and device secrets born of them,
	// also those that were to outlive it, and those of sessions that ended before: it may be lost. Once it has returned no
	// session begins on it (see StartSession). ErrNotFound unless it is that person's.
	ForgetDevice(ctx context.Context, user, id string, events ...journal.Event) error
}

// Approval is a question to a person on their other devices: are you signing in over there?
type Approval struct {
	ID      string
	User    string
	Flow    FlowHash // the sign-in that waits
	Number  string   // two digits that the waiting page shows and the approving person chooses
	Agent   string   // of the waiting browser
	Address string   // its network
	Created time.Time
	Expires time.Time
	Decided time.Time // zero: not yet
	Allowed bool
	By      string // session that decided
}

// MaxApprovals is how many may wait for one person.
const MaxApprovals = 3

// Approvals keeps them. A question ends with its flow, and an approval that was not taken with the session that gave it.
type Approvals interface {
	// AskApproval keeps a question and ends earlier ones of the same flow. ErrFull if MaxApprovals wait for that
	// person already, also for sign-ins that were given up; ErrRevoked if the person does not stand.
	AskApproval(ctx context.Context, asked Approval) error
	// WaitingApprovals lists what waits for a person's decision.
	WaitingApprovals(ctx context.Context, user string, now time.Time) ([]Approval, error)
	// DecideApproval decides once, in a session that is not the waiting flow's. ErrNotFound: unknown, decided, expired,
	// another person's, or asked by that very session's flow; ErrRevoked: the session no longer lives.
	DecideApproval(ctx context.Context, id, user, session string, allowed bool, now time.Time, events ...journal.Event) error
	// TakeApproval gives what was decided about a flow, once: ErrNotFound when nothing was asked or it was taken or expired,
	// ErrPending while nobody has decided.
	TakeApproval(ctx context.Context, flow FlowHash, now time.Time) (Approval, error)
}
