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
	// SetKey changes the times of a key, or its sealed part (rewrap).
	SetKey(ctx context.Context, key Key, events ...journal.Event) error
	// AddKeyOnce adds a key unless one of the same alg exists that has not retired; it tells whether it was added. Of many
	// nodes that start at once, one makes the key.
	AddKeyOnce(ctx context.Context, key Key, events ...journal.Event) (bool, error)
}

// Revision is one applied recipe.
type Revision struct {
	Number  int64
	Digest  string
	Bundle  []byte // recipe.Bundle, as Marshal wrote it
	Applied time.Time
	By      string
	Note    string
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

// Leaf is an event's place in the Merkle tree.
type Leaf struct {
	Index int64
	Event string
	Hash  [32]byte
}

// Journal reads the journal; writing happens within the deeds.
type Journal interface {
	Events(ctx context.Context, query JournalQuery) ([]journal.Event, error)
	// Record keeps events that belong to no other deed.
	Record(ctx context.Context, events ...journal.Event) error
	// ErasePersonal forgets the personal fields of events before then (zero user: of everyone).
	ErasePersonal(ctx context.Context, user string, before time.Time) (int64, error)
}

// Tree is what the notary needs: rows that are not yet leaves, and the tree's own bytes.
type Tree interface {
	// Unlisted gives committed events that are not yet leaves, oldest first, with their leaf bytes (canonical encoding
	// with the salted commitment of the personal part).
	Unlisted(ctx context.Context, limit int) ([]Unlisted, error)
	// Append adds leaves and tree hashes if size is the tree's size, else ErrRaced.
	Append(ctx context.Context, size int64, leaves []Leaf, hashes map[int64][32]byte, checkpoint string) error
	Size(ctx context.Context) (int64, error)
	Hashes(ctx context.Context, indexes []int64) ([][32]byte, error)
	Checkpoint(ctx context.Context) (string, error)
	// LeafData gives the leaf bytes of the events at [from, to), recomputed from the rows, beside the hashes kept.
	LeafData(ctx context.Context, from, to int64) ([]Unlisted, []Leaf, error)
}

// Unlisted is an event with the bytes that its leaf commits to.
type Unlisted struct {
	Event string
	Data  []byte
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
