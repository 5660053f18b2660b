package iam

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/journal"
)

// Registered is a client that registered itself, with what its management needs (RFC 7592).
type Registered struct {
	Client
	Keeper   KeeperHash // of its registration access token
	Document string     // the metadata as it was answered, JSON
	Created  time.Time
	Used     time.Time // last time that it proved itself or began a sign-in, within a day
}

// Registrations keeps clients that register themselves. Every change also tells the other nodes. The secrets of a client
// that is registered are exactly those of registered.Secrets, before and after a change.
type Registrations interface {
	// Register keeps a new client and uses its initial token (zero: none). ErrExists when policy has most clients already;
	// ErrNotFound (also for one of another policy), ErrExpired or ErrSpent about the initial token.
	Register(ctx context.Context, registered Registered, initial InitialHash, most int, events ...journal.Event) error
	// Registered finds a client of that kind by its id and token; ErrNotFound also for a wrong token.
	Registered(ctx context.Context, id string, keeper KeeperHash) (Registered, error)
	// Reregister replaces a client whose token is old; a zero Keeper leaves it so. A client that may have less loses its tokens, as with PutClient.
	Reregister(ctx context.Context, registered Registered, old KeeperHash, events ...journal.Event) error
	// Unregister ends a client and everything that it was given.
	Unregister(ctx context.Context, id string, keeper KeeperHash, events ...journal.Event) error
	// UseClient remembers that it was used; it may be late or lost.
	UseClient(ctx context.Context, id string, at time.Time) error
}

// Room is how many clients may stand under a policy.
type Room struct {
	Most   int    // in all
	Site   string // whose the document of the client is; "": that is not told
	OfSite int    // of one site
}

// SelfMade keeps what clients that came by themselves need beyond their own management: those of source registration, and
// those of source document, which have no token.
type SelfMade interface {
	// PutDocument keeps what the document of a client said, whether it is new, changed or was removed before; Used is now.
	// ErrExists when client.Policy has no room and the client is not among its own, and when the id is one of another source.
	// A client that may have less loses its tokens, as with PutClient.
	PutDocument(ctx context.Context, client Client, room Room, events ...journal.Event) error
	// ListSelfMade gives a page of both sources by id, without keepers and documents; an empty policy means any.
	ListSelfMade(ctx context.Context, policy string, page Page) ([]Registered, error)
	// Unused gives the ids of at most limit clients of both sources under policy that nobody used since then.
	Unused(ctx context.Context, policy string, since time.Time, limit int) ([]string, error)
	// RemoveUnused ends such a client and everything that it was given; ErrNotFound also when it was used since then.
	RemoveUnused(ctx context.Context, id string, since time.Time, events ...journal.Event) error
}

// Initial is an initial access token (RFC 7591 section 3): whoever holds it may register clients under a policy.
type Initial struct {
	ID      string
	Hash    InitialHash
	Policy  string
	Left    int // how many clients it may still register
	Note    string
	Created time.Time
	Expires time.Time
}

// Initials keeps initial access tokens.
type Initials interface {
	AddInitial(ctx context.Context, initial Initial, events ...journal.Event) error
	ListInitials(ctx context.Context) ([]Initial, error)
	RemoveInitial(ctx context.Context, id string, events ...journal.Event) error
	// Initial finds a living one without using it: ErrNotFound, ErrExpired, ErrSpent.
	Initial(ctx context.Context, hash InitialHash, now time.Time) (Initial, error)
}

// Cursors remembers how far a reader of the outbox has come, so that a message is made of each change though nodes come
// and go.
type Cursors interface {
	// Cursor is 0 before the first SetCursor.
	Cursor(ctx context.Context, name string) (int64, error)
	// SetCursor moves forward only, and keeps deliveries in the same deed; ErrRaced, and neither, when another has come as far.
	SetCursor(ctx context.Context, name string, seq int64, deliveries ...Delivery) error
}

// Hearer is a client that must hear of a sign-out, under the sid that its ID tokens bore.
type Hearer struct{ Client, SID string }

// LogoutReads tells who must hear of a sign-out.
type LogoutReads interface {
	// Hearers gives the person of a session, living or ended, and who got grants that began in it, ended or not, without
	// doubles. A session that was renamed by a new sign-in of the same person (StartSession) has those of its former ids
	// too, each under the sid that its client knows (Grant.Login). No grants: no person and nobody.
	Hearers(ctx context.Context, session string) (user string, hearers []Hearer, err error)
}
