package iam

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/journal"
)

// Pushed is an authorization request that a client pushed (RFC 9126).
type Pushed struct {
	Hash    PushedHash
	Client  string
	Query   string // the request as request.Parser reads it again, form-encoded
	Created time.Time
	Expires time.Time // for the first arrival at /authorize
}

// PushedRequests keeps pushed requests until an authorization ends them (Code.Pushed, Issue.Pushed) or time does.
type PushedRequests interface {
	// Push keeps a request; ErrExists when the client has most of them waiting already, ErrRevoked when it does not stand. Of
	// those that come at the very same moment to several nodes a few more than most may be kept.
	Push(ctx context.Context, pushed Pushed, most int) error
	// Arrive finds the living request of that client. The first arrival lets it live until then, so that a person has time
	// for the login; a later one changes nothing. ErrNotFound when there is none, or it is another client's; ErrExpired.
	Arrive(ctx context.Context, hash PushedHash, client string, now, until time.Time) (Pushed, error)
	// EndPushed ends one without a code (the person said no). Ending it again is no error.
	EndPushed(ctx context.Context, hash PushedHash) error
}

// AskedKind tells how an authorization was asked for that the person decides elsewhere.
type AskedKind string

// The kinds.
const (
	AskedDevice AskedKind = "device" // RFC 8628
	AskedCIBA   AskedKind = "ciba"   // OpenID CIBA Core
)

// AskedState is how far the person has come.
type AskedState string

// The states. Waiting is followed by one of the others, once.
const (
	AskedWaiting  AskedState = "waiting"
	AskedApproved AskedState = "approved"
	AskedDenied   AskedState = "denied"
)

// Asked is an authorization that a client waits for while the person decides on another device.
type Asked struct {
	Hash     AskedHash
	Kind     AskedKind
	ID       string // names it on pages and in the journal; not secret, and opens nothing
	Client   string
	UserCode UserHash // device: what the person types; zero: none
	User     string   // CIBA: who is asked; device: who approved
	Query    string   // scope, resource, authorization_details, acr_values, as request.Parser reads them
	Message  string   // binding_message
	Address  string   // network address of the device that asks, for the person to compare
	Agent    string
	JKT      string // DPoP key that the client showed when it asked, and must show when it polls; empty: any
	Delivery string // CIBA: poll, ping, push
	Notify   string // CIBA: the client's notification token, sealed under (tenant, asked, ID)
	State    AskedState
	Grant    Grant         // of the approval
	Interval time.Duration // between polls
	Created  time.Time
	Expires  time.Time
}

// Verdict is what a person said of an authorization that waits. Its zero value is a no of which nobody is told.
type Verdict struct {
	Approved bool
	Grant    Grant      // of the approval
	Consent  *Consent   // that goes with it; nil: none
	Told     []Delivery // who does not ask is told
}

// AskedProof is what a client shows to get what was approved.
type AskedProof struct {
	Hash   AskedHash
	Kind   AskedKind
	Client string
	JKT    string // DPoP key that was proved; empty: none
}

// Asking keeps authorizations that wait for a person elsewhere.
type Asking interface {
	// Ask keeps one; ErrExists when its user code is one that waits already; ErrRevoked when user or client do not stand.
	Ask(ctx context.Context, asked Asked, events ...journal.Event) error
	// AskedByCode finds a waiting one by its user code: ErrNotFound, ErrExpired.
	AskedByCode(ctx context.Context, code UserHash, now time.Time) (Asked, error)
	// AskedOf lists those that wait for a person, newest first. Those of devices wait for nobody in particular.
	AskedOf(ctx context.Context, user string, now time.Time) ([]Asked, error)
	// Decide ends the waiting, and keeps what is to be told of it or nothing at all. ErrSpent when it was decided before,
	// ErrExpired, ErrNotFound (also with another client's grant, or another person's than who was asked), ErrRevoked when
	// user, client or session (Grant.Session, else Grant.Login) no longer stand.
	Decide(ctx context.Context, id string, verdict Verdict, now time.Time, events ...journal.Event) error
	// Poll reads one for the client that asked. Too soon after the last poll it is ErrRaced, and its Interval is five
	// seconds longer from then on, and comes along; ErrMismatch for another client or key, which changes nothing; ErrExpired; ErrNotFound
	// when there is none of that kind, or everything of its person has ended; ErrSpent when it gave its tokens already.
	Poll(ctx context.Context, proof AskedProof, now time.Time) (Asked, error)
}
