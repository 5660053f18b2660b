package iam

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
)

// Session is a person's presence in one browser.
type Session struct {
	ID       string      // the sid of tokens; random, not the cookie
	Hash     SessionHash // of the cookie's value
	User     string
	AuthTime time.Time // of the newest proof
	AMR      []string  // methods of all proofs, RFC 8176 names
	ACR      string    // highest level that all proofs together reach, however old they are
	Proofs   []Proved  // what was proved, oldest first, each factor once
	Answered []Answer  // what its authentications answered
	Device   string    // id of the known device; empty: none
	Agent    string    // label of the browser
	Address  string    // network address at sign-in
	Created  time.Time
	Seen     time.Time
	Expires  time.Time // absolute end
}

// Sessions keeps browser sessions.
type Sessions interface {
	LivingSessions

	// Session finds a living session of a standing user: ErrNotFound when ended, past its absolute end, or unseen for idle.
	Session(ctx context.Context, hash SessionHash, now time.Time, idle time.Duration) (Session, error)
	// StartSession keeps a session. It replaces the one whose hash is old (zero: none): sign-in rotates the cookie; when
	// both are the same person's, grants, device secrets and decided approvals of the old one go on under the new ID. Proofs,
	// Answered and Device are kept as they are given: what the old one proved is merged by the caller. ErrRevoked if the
	// person no longer stands, has forgotten the device, or has removed an authenticator that a proof names (but for one
	// that the old session rested on already).
	StartSession(ctx context.Context, session Session, old SessionHash, events ...journal.Event) error
	// TouchSession remembers that it was seen; it may be late or lost, it is no promise.
	TouchSession(ctx context.Context, id string, at time.Time) error
	// EndSession ends it, its flows, its grants without offline_access and their tokens. Ending it again is no error.
	EndSession(ctx context.Context, id string, events ...journal.Event) error
	UserSessions(ctx context.Context, user string) ([]Session, error)
	// EndUserSessions ends all sessions of a person but keep, all grants and all tokens: sign out everywhere.
	EndUserSessions(ctx context.Context, user, keep string, events ...journal.Event) error
}

// LivingSessions finds sessions for decisions about tokens.
type LivingSessions interface {
	// LivingSession finds like Sessions.Session, but by its ID: tokens name it by sid. An ID that was given
	// up for another finds the session that went on.
	LivingSession(ctx context.Context, id string, now time.Time, idle time.Duration) (Session, error)
}

// SessionListing is what administration needs beyond Sessions.
type SessionListing interface {
	ListSessions(ctx context.Context, page Page) ([]Session, error)
}

// Flow is a login transaction: an authorization request that waits for a person. State stands here and never in the
// browser, which holds only two random values.
type Flow struct {
	Hash    FlowHash
	Browser Digest // of the cookie that binds it to one browser
	Client  string
	Query   string   // the authorization request as it came, form-encoded
	User    string   // who has signed in within this flow, if anyone
	Session string   // in which session
	Asked   []string // what was shown and answered: login, consent, select_account
	Proofs  []Proved // what was proved within this flow, before or since a session began: half a sign-in is worth nothing elsewhere
	Need    *Need    // what the dispatcher sent the person to prove; nil: to sign in, by any way
	State   string   // what a page of the login must see again, such as a WebAuthn challenge; only SwapState changes it
	Created time.Time
	Expires time.Time
}

// Need is what a person was sent to prove.
type Need struct {
	ACR     string        `json:"acr"`
	Fresh   time.Duration `json:"fresh,omitempty"`   // 0: however long ago
	Sets    []string      `json:"sets"`              // sets of factors, each of which is enough, as password+totp
	Since   time.Time     `json:"since"`             // what was begun from here on answers it
	Cause   Digest        `json:"cause"`             // of what raised it; zero: the operation itself
	Reasons []string      `json:"reasons,omitempty"` // words of the catalogue, for the page
	Enrol   bool          `json:"enrol,omitempty"`   // nothing the person has reaches it: a factor is to be added first
	Vouch   bool          `json:"vouch,omitempty"`   // the mailbox vouches for them, whether people sign in by it or not
}

// Flows keeps login transactions.
type Flows interface {
	AddFlow(ctx context.Context, flow Flow) error
	// Flow finds a living flow of that browser; ErrNotFound for any other browser.
	Flow(ctx context.Context, hash FlowHash, browser Digest, now time.Time) (Flow, error)
	// SetFlow keeps what was answered, but not State. ErrNotFound when it ended meanwhile.
	SetFlow(ctx context.Context, flow Flow) error
	// SwapState replaces State if it is still old, so that a challenge serves once and a try is counted: of many callers at
	// once one wins, the others get ErrRaced. ErrNotFound when the flow ended.
	SwapState(ctx context.Context, hash FlowHash, old, state string) error
	EndFlow(ctx context.Context, hash FlowHash) error
}

// Consent is what a person allowed a client.
type Consent struct {
	User, Client string
	Scope        oauth.Scope
	Given        time.Time
}

// Consents keeps what people allowed.
type Consents interface {
	// Consent is ErrNotFound when nothing was allowed.
	Consent(ctx context.Context, user, client string) (Consent, error)
	UserConsents(ctx context.Context, user string) ([]Consent, error)
	// GiveConsent adds the scopes to what was allowed before.
	GiveConsent(ctx context.Context, consent Consent, events ...journal.Event) error
	// RevokeConsent forgets it and ends the client's grants and tokens for that person.
	RevokeConsent(ctx context.Context, user, client string, events ...journal.Event) error
}

// RecalledSessions is what one node remembers of sessions. It is a guess: only a deed that asks for the session again may
// rest on it.
type RecalledSessions interface {
	// Known gives a session as it was a moment ago, if it is remembered and can't have run out.
	Known(hash SessionHash, now time.Time, idle time.Duration) (Session, bool)
	// Forget: it has proved wrong.
	Forget(hash SessionHash)
}

// RecalledConsents is what one node remembers of consents. It is a guess: only a deed that asks for the consent again may
// rest on it.
type RecalledConsents interface {
	// Allowed gives what the person had allowed the client, if it is remembered and covers scope.
	Allowed(user, client string, scope oauth.Scope) (Consent, bool)
}
