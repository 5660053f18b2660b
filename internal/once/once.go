// Package once remembers what may be seen only once: ids of client assertions, DPoP proofs, request objects, logout
// tokens. It knows nothing of what it remembers but kind, issuer, id and the moment when it may forget.
package once

import (
	"container/heap"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// Kind says what an id is an id of. Ids of different kinds never meet (a flat key space is how CVE-2026-4282 forged codes).
type Kind string

// The kinds that Garde checks.
const (
	Assertion     Kind = "client assertion"
	Proof         Kind = "dpop proof"
	GateProof     Kind = "dpop proof at a gate"
	RequestObject Kind = "request object"
	LogoutToken   Kind = "logout token"
	Bearer        Kind = "bearer assertion" // RFC 7523 section 2.1
)

// Checker is the contract of every replay check.
//
// Seen notes that id, of this kind and from this issuer, was shown, and tells whether this was the first time: of any
// number of callers at once exactly one hears true. The note holds until the moment given, after which whatever bears the
// id must be refused by its own expiry; an id whose moment has passed is never fresh. An error means that nothing is
// known, and the caller must refuse. An engine that is shared by nodes implements the same contract.
type Checker interface {
	Seen(ctx context.Context, kind Kind, issuer, id string, until time.Time) (fresh bool, err error)
}

// The faults of Node; each means that the caller must refuse.
var (
	ErrFull error = fault{"too many ids are remembered", true}
	ErrFar  error = fault{"the id would have to be remembered for too long", false}
	ErrNoID error = fault{"an empty id can't be told from another", false}
)

type fault struct {
	text      string
	temporary bool
}

func (f fault) Error() string { return f.text }

// Unavailable tells that the same request may succeed later.
func (f fault) Unavailable() bool { return f.temporary }

// Horizon is the longest time that an id is remembered; whoever asks for more has a token that lives too long.
const Horizon = 24 * time.Hour

const shards = 64

// Node is the Checker of a single node, in memory. It never forgets an id before its moment: when it is full it refuses
// with ErrFull rather than let an old one in again. The zero value is not usable; see NewNode.
type Node struct {
	now    func() time.Time
	salt   [16]byte // ids can't be chosen to crowd one shard
	shards [shards]shard
}

// NewNode remembers up to about most ids at once, in about 80 bytes each. A nil now means time.Now.
func NewNode(most int, now func() time.Time) *Node {
	if now == nil {
		now = time.Now
	}
	node := &Node{now: now}
	_, _ = rand.Read(node.salt[:])
	for i := range node.shards {
		node.shards[i].most = max(1, (most+shards-1)/shards)
		node.shards[i].known = map[sum]struct{}{}
	}
	return node
}

// Seen implements Checker.
func (n *Node) Seen(ctx context.Context, kind Kind, issuer, id string, until time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if id == "" || kind == "" {
		return false, ErrNoID
	}
	now := n.now()
	if !until.After(now) {
		return false, nil
	}
	if until.Sub(now) > Horizon {
		return false, ErrFar
	}
	key := n.sum(kind, issuer, id)
	return n.shards[key[0]%shards].note(key, now, until)
}

type sum [16]byte

// sum names kind, issuer and id in 128 bits; each part bears its length, so that no two triples read alike.
func (n *Node) sum(kind Kind, issuer, id string) sum {
	text := make([]byte, 0, len(n.salt)+24+len(kind)+len(issuer)+len(id))
	text = append(text, n.salt[:]...)
	for _, part := range []string{string(kind), issuer, id} {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	full := sha256.Sum256(text)
	return sum(full[:16])
}

type shard struct {
	mutex sync.Mutex
	most  int
	known map[sum]struct{}
	queue queue
}

func (s *shard) note(key sum, now, until time.Time) (bool, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for len(s.queue) > 0 && s.queue[0].until <= now.UnixNano() {
		delete(s.known, heap.Pop(&s.queue).(entry).key)
	}
	if _, known := s.known[key]; known {
		return false, nil
	}
	if len(s.queue) >= s.most {
		return false, ErrFull
	}
	s.known[key] = struct{}{}
	heap.Push(&s.queue, entry{key, until.UnixNano()})
	return true, nil
}

type entry struct {
	key   sum
	until int64
}

// queue is a heap with the first to forget on top.
type queue []entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(a, b int) bool { return q[a].until < q[b].until }
func (q queue) Swap(a, b int)      { q[a], q[b] = q[b], q[a] }
func (q *queue) Push(x any)        { *q = append(*q, x.(entry)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
