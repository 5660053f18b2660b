package binding

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"
)

// slot is how long one nonce is given out. It is good for this slot and the next.
const slot = time.Minute

// minKey is the least length of a key for nonces.
const minKey = 32

// Nonces are what proves that a proof was made lately (RFC 9449 section 8). A nonce is a function of the time and of a key,
// so that all nodes with the same key give and take the same ones, and none remembers any. Whoever has another key, such as
// another kind of door, refuses them (D14).
type Nonces struct {
	key  []byte
	last atomic.Pointer[[3]given] // of the slot before, this one and the next, as they were last asked for
}

type given struct {
	slot  int64
	nonce string
}

// NewNonces makes nonces under a key of at least 32 bytes that nobody outside knows.
func NewNonces(key []byte) (*Nonces, error) {
	if len(key) < minKey {
		return nil, errors.New("binding: a key for nonces has at least 32 bytes")
	}
	return &Nonces{key: append([]byte(nil), key...)}, nil
}

// Current gives the nonce of the moment.
func (n *Nonces) Current(now time.Time) string { return n.around(now)[1].nonce }

// Good tells whether nonce was given out in this slot or the one before. Clocks of nodes differ, so the next one is good
// shortly before its slot begins.
func (n *Nonces) Good(nonce string, now time.Time) bool {
	if nonce == "" {
		return false
	}
	near := n.around(now)
	return equal(nonce, near[1].nonce) || equal(nonce, near[0].nonce) ||
		equal(nonce, near[2].nonce) && slotOf(now.Add(MaxAhead)) == near[2].slot
}

func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

func slotOf(now time.Time) int64 { return now.Unix() / int64(slot/time.Second) }

func (n *Nonces) around(now time.Time) *[3]given {
	at := slotOf(now)
	if known := n.last.Load(); known != nil && known[1].slot == at {
		return known
	}
	made := &[3]given{}
	for i := range made {
		number := at - 1 + int64(i)
		made[i] = given{number, n.make(number)}
	}
	n.last.Store(made)
	return made
}

func (n *Nonces) make(number int64) string {
	mac := hmac.New(sha256.New, n.key)
	_, _ = mac.Write([]byte("garde dpop nonce 1"))                       // a hash never fails
	_, _ = mac.Write(binary.BigEndian.AppendUint64(nil, uint64(number))) //nolint:gosec // a time since 1970
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:18])
}
