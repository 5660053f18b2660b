package iam

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/journal"
)

// Habits are what is kept of a person's ways, for the risk of a moment: bounded, sealed, and theirs to switch off, to take
// with them and to erase.
type Habits struct {
	User    string
	Sealed  string // under (tenant, habits, User); empty: nothing yet
	Version int64  // counts the writes
	Off     bool   // nothing is learned, and nothing kept
	Changed time.Time
}

// MaxHabits bounds what is kept of one person, in bytes of Sealed.
const MaxHabits = 16 << 10

// HabitKeeping keeps habits.
type HabitKeeping interface {
	// Habits is ErrNotFound when nothing was learned and nothing switched off. What was erased is found, empty: its version
	// goes on, so that what was read before it is not written back.
	Habits(ctx context.Context, user string) (Habits, error)
	// LearnHabits keeps what was learned on top of version from (0: nothing was there). ErrRaced if another was faster:
	// read again; ErrRevoked if learning is off, or the person does not stand; ErrFull beyond MaxHabits.
	LearnHabits(ctx context.Context, habits Habits, from int64) error
	// SwitchHabits switches learning on or off; off erases.
	SwitchHabits(ctx context.Context, user string, on bool, events ...journal.Event) error
	// EraseHabits forgets what was learned.
	EraseHabits(ctx context.Context, user string, events ...journal.Event) error
}

// Use is one use of something that serves once: a detail of a token.
type Use struct {
	Key     Digest // of grant and detail
	Grant   string
	Expires time.Time // when it need not be remembered any more: the token is dead by then
}

// Uses keeps what was used.
type Uses interface {
	// ReserveUse tells whether it is the first: of many callers at once one is. It is as durable as a token.
	ReserveUse(ctx context.Context, use Use) (bool, error)
	// ReleaseUse makes it free again: nothing was done with it. Of what is unknown it is no error.
	ReleaseUse(ctx context.Context, key Digest) error
}

// DeviceSecret is the secret that apps of one family on one device share, so that a sign-in in one serves the others
// (OpenID Native SSO section 3.3). It lives as long as its session.
type DeviceSecret struct {
	Hash    DeviceSecretHash
	User    string
	Session string // it ends with it
	Family  string // of apps, as the recipe groups them
	Client  string // that got it
	JKT     string // DPoP key that must be proved with it; empty: none
	Created time.Time
	Expires time.Time
}

// DeviceSecrets finds device secrets.
type DeviceSecrets interface {
	// DeviceSecret finds a living one: ErrNotFound when unknown, expired, or its session, person or client no longer stands.
	// How long its session was unseen is the caller's to judge. Issue.NewDevice keeps one; it ends with its session, and goes
	// on with it under its next id.
	DeviceSecret(ctx context.Context, hash DeviceSecretHash, now time.Time) (DeviceSecret, Session, error)
}
