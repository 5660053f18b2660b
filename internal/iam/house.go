package iam

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/journal"
)

// Key is a signing key; its private part is sealed.
type Key struct {
	ID        string // kid
	Alg       string
	Public    string // JWK
	Sealed    string // private key, PKCS #8, sealed under (tenant, keys, kid)
	Created   time.Time
	Activates time.Time // signs from here on; published before
	Retires   time.Time // signs no more from here on; zero: until rotated
	Removed   time.Time // leaves the published set; zero: not planned
}

// Keys keeps signing keys.
type Keys interface {
	ListKeys(ctx context.Context) ([]Key, error)
	AddKey(ctx context.Context, key Key, events ...journal.Event) error
	// SetKey changes the times of a key, and nothing else.
	SetKey(ctx context.Context, key Key, events ...journal.Event) error
	// AddKeyOnce adds a key unless one of the same alg exists that has not retired; it tells whether it was added. Of many
	// nodes that start at once, one makes the key.
	AddKeyOnce(ctx context.Context, key Key, events ...journal.Event) (bool, error)
}

// Sealed is a value that storage keeps sealed, of whatever noun, and the place that it was sealed for.
type Sealed struct {
	Table, Row string
	Value      string
}

// Sealing reaches all that is sealed, for the day when the master key changes.
type Sealing interface {
	// Reseal asks again for each sealed value and puts the answer in its place, unless the value is gone meanwhile; it tells
	// how many it replaced. What again refuses stays as it is; the others go on, and the faults come together at the end.
	Reseal(ctx context.Context, again func(Sealed) (string, error)) (int, error)
}

// Revision is one applied recipe.
type Revision struct {
	Number  int64
	Digest  string
	Bundle  []byte // recipe.Bundle, as Marshal wrote it
	Applied time.Time
	By      string
	Note    string

	// Narrowed are registration policies that are gone, or give less than in the revision before; Dropped are those of them
	// that are gone. Only Apply asks for both, and nobody keeps them.
	Narrowed []string
	Dropped  []string
}

// Revisions keeps the recipes that were applied.
type Revisions interface {
	// InForce is the newest revision; ErrNotFound before the first.
	InForce(ctx context.Context) (Revision, error)
	Revision(ctx context.Context, number int64) (Revision, error)
	ListRevisions(ctx context.Context) ([]Revision, error) // without bundles, newest first
	// Apply makes revision the newest if expect is the number in force (0: none yet), else ErrRaced. In the same deed the
	// declared clients take the place of those declared before, keeping their state and generated secrets, and those no
	// longer declared end with their grants. It returns the revision's number.
	//
	// A new client that Was one no longer declared goes on in its place: it is disabled if that one was, and has its
	// generated secrets, consents, grants and refresh tokens. Codes and access tokens name the old id: they end with it.
	//
	// The access tokens of clients under a policy that is narrowed end: what their policy took away must be in none. Under one
	// that is dropped, all that clients were given ends, grants, refresh tokens and consents too: nothing of it works again if
	// the policy comes back.
	Apply(ctx context.Context, expect int64, revision Revision, declared []Client, events ...journal.Event) (int64, error)
}

// Node is a running process that follows this storage.
type Node struct {
	ID       string
	Name     string
	Role     string // server or gate
	Revision int64
	Ready    bool
	Problem  string // why it can't follow
	Seen     time.Time
}

// Nodes keeps who runs.
type Nodes interface {
	Beat(ctx context.Context, node Node) error
	ListNodes(ctx context.Context, since time.Time) ([]Node, error)
	LeaveNode(ctx context.Context, id string) error
	// Lease takes or renews the named lease for holder until then; it tells whether holder has it.
	Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
}

// ChangeKind is what a change in the outbox is about.
type ChangeKind string

// The first six end tokens (they are the revocation feed); the others only tell caches to look again.
const (
	ChangeToken   ChangeKind = "token"
	ChangeGrant   ChangeKind = "grant"
	ChangeSession ChangeKind = "session"
	ChangeUser    ChangeKind = "user"
	ChangeClient  ChangeKind = "client"
	ChangeKey     ChangeKind = "key"

	ChangedRecipe ChangeKind = "recipe-changed"
	ChangedClient ChangeKind = "client-changed"
	ChangedUser   ChangeKind = "user-changed"
	ChangedKeys   ChangeKind = "keys-changed"
)

// Change is one row of the outbox. Seq has no gaps that fill later: whoever has read up to n has seen all up to n.
type Change struct {
	Seq    int64
	Kind   ChangeKind
	ID     string
	Before time.Time // tokens of that user, client or key issued at or before are dead; zero for token, grant, session
	Until  time.Time // after this no token it could end can be alive
	At     time.Time
}

// Changes is the outbox: the truth that every node follows.
type Changes interface {
	// ChangesAfter gives at most limit changes after seq, in order.
	ChangesAfter(ctx context.Context, seq int64, limit int) ([]Change, error)
	// Epoch is a random name of this storage's history; a restore begins a new one.
	Epoch(ctx context.Context) (string, error)
	// Wait returns when a change may have come, or when ctx ends. It is a hint.
	Wait(ctx context.Context) error
}

// JournalQuery selects events, newest first unless Oldest.
type JournalQuery struct {
	After, Before                             time.Time
	AfterID                                   string
	Kind, User, Client, Trace, Session, Grant string
	Oldest                                    bool
	Limit                                     int
}

// Journal reads the journal; writing happens within the deeds.
type Journal interface {
	Events(ctx context.Context, query JournalQuery) ([]journal.Event, error)
	// Record keeps events that belong to no other deed.
	Record(ctx context.Context, events ...journal.Event) error
	// ErasePersonal forgets the personal fields of events before then (zero user: of everyone).
	ErasePersonal(ctx context.Context, user string, before time.Time) (int64, error)
}

// TileSize is how many hashes a full tile holds.
const TileSize = 256

// Tile is a part of the Merkle tree: TileSize hashes of a level that stand side by side, fewer while it grows. Those of
// level 0 are leaves, with the event of each; one of a higher level is the root of a full tile of the level below.
type Tile struct {
	Level  int
	Number int64
	Hashes [][32]byte
	Events []string
}

// TreeHead says how far the tree has come, at one moment.
type TreeHead struct {
	Size       int64
	Checkpoint string // empty before the first
	Newest     string // the greatest event that is a leaf
}

// Tree keeps what the notary makes of the journal.
type Tree interface {
	Leaves
	Head(ctx context.Context) (TreeHead, error)
	// Append keeps tiles, in the place of those that have grown, and makes the tree so many leaves larger, if size is its
	// size, else ErrRaced.
	Append(ctx context.Context, size, more int64, tiles []Tile, checkpoint string) error
	// Tiles gives the tiles of a level with numbers in [from, to), in order; those that are not there are left out.
	Tiles(ctx context.Context, level int, from, to int64) ([]Tile, error)
	// Listed calls each for every event after, up to and with upto, that is a leaf; in no order.
	Listed(ctx context.Context, after, upto string, each func(event string)) error
}

// Leaves reads committed events as bytes for the tree.
type Leaves interface {
	// LeavesAfter gives at most limit events after, up to and with upto (empty: without end), in the order of their ids.
	LeavesAfter(ctx context.Context, after, upto string, limit int) ([]Leaf, error)
	// LeavesOf gives events by their ids, in any order, without those that are not there.
	LeavesOf(ctx context.Context, events []string) ([]Leaf, error)
	// Count tells how many events there are after, up to and with upto (empty: without end).
	Count(ctx context.Context, after, upto string) (int64, error)
}

// Leaf is an event with the bytes that the tree commits to: a canonical encoding with the salted commitment of its
// personal part.
type Leaf struct {
	Event string
	Data  string
}

// Once remembers one-time identifiers across nodes.
type Once interface {
	// Fresh tells whether (kind, issuer, id) is new, and remembers it until then.
	Fresh(ctx context.Context, kind, issuer, id string, now, until time.Time) (bool, error)
}

// Delivery is a message that waits to be sent. Its body is sealed: mails carry links.
type Delivery struct {
	ID     string
	Kind   string // mail
	Sealed string
	Tries  int
	Next   time.Time
	Made   time.Time
	Failed string // last failure, without secrets
}

// Deliveries is the queue of messages.
type Deliveries interface {
	Enqueue(ctx context.Context, delivery Delivery) error
	// Due takes at most limit deliveries whose time has come and hides them until hold, so that one node sends each.
	Due(ctx context.Context, now, hold time.Time, limit int) ([]Delivery, error)
	Delivered(ctx context.Context, id string) error
	Postpone(ctx context.Context, id string, next time.Time, why string) error
}
