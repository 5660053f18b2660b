// Package limit slows down whoever asks too often: a rate limiter over keys, and the throttle of failed sign-ins that is
// built on it. It never locks anybody out for good, and its memory is bounded whatever a flood of keys brings.
package limit

import (
	"crypto/sha256"
	"hash/maphash"
	"sync"
	"time"
)

// Rate allows Burst units at once and one more every Every.
type Rate struct {
	Burst int
	Every time.Duration
}

const (
	shards = 64
	// maxKey bounds what one key keeps; longer ones are kept by their hash.
	maxKey = 64
	// crowd is how many times the rate of one key all newcomers share while a shard is full.
	crowd = 16
)

// Limiter is a GCRA rate limiter: it keeps one moment per key, the moment when the key's debt is paid.
//
// It holds at most about MaxKeys keys. When it is full, the least recently used key without debt makes room. When there
// is none, which takes a flood of keys, those in debt stay known (a flood must not wash out its own traces) and keys that
// are not known share one budget, sixteen times that of a single key. The zero Rate allows nothing.
type Limiter struct {
	rate   Rate
	now    func() time.Time
	seed   maphash.Seed
	shards [shards]shard
}

// New makes a limiter of at most about maxKeys keys. A nil now means time.Now.
func New(rate Rate, maxKeys int, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	limiter := &Limiter{rate: rate, now: now, seed: maphash.MakeSeed()}
	for i := range limiter.shards {
		limiter.shards[i].most = max(1, (maxKeys+shards-1)/shards)
		limiter.shards[i].known = map[string]*entry{}
	}
	return limiter
}

// Allow takes cost units from the budget of key, all or none. When they are not there, it tells how long it takes until
// they are. A cost above the burst is never allowed; a cost below one counts as one.
func (l *Limiter) Allow(key string, cost int) (ok bool, retryAfter time.Duration) {
	cost = max(1, cost)
	if cost > l.rate.Burst || l.rate.Every <= 0 {
		return false, max(time.Second, l.rate.Every)
	}
	part, key := l.shard(key)
	part.mutex.Lock()
	defer part.mutex.Unlock()
	now := l.now().UnixNano()
	paid, rate := part.find(key, now), l.rate
	if paid == nil {
		paid, rate = &part.crowd, Rate{l.rate.Burst * crowd, max(1, l.rate.Every/crowd)}
	}
	return take(paid, rate, cost, now)
}

// Return gives cost units back to key.
func (l *Limiter) Return(key string, cost int) {
	part, key := l.shard(key)
	part.mutex.Lock()
	defer part.mutex.Unlock()
	if known := part.known[key]; known != nil {
		known.paid -= int64(max(1, cost)) * int64(l.rate.Every)
	}
}

// Clear forgets the debt of key.
func (l *Limiter) Clear(key string) {
	part, key := l.shard(key)
	part.mutex.Lock()
	defer part.mutex.Unlock()
	if known := part.known[key]; known != nil {
		part.drop(known)
	}
}

// take is the generic cell rate algorithm: paid is when the debt will be paid, and may lie one burst ahead of now.
func take(paid *int64, rate Rate, cost int, now int64) (bool, time.Duration) {
	next := max(*paid, now) + int64(cost)*int64(rate.Every)
	if ahead := next - now - int64(rate.Burst)*int64(rate.Every); ahead > 0 {
		return false, time.Duration(ahead)
	}
	*paid = next
	return true, 0
}

func (l *Limiter) shard(key string) (*shard, string) {
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		key = "\x00" + string(sum[:])
	}
	// Seeded, so that nobody can choose keys that crowd one shard.
	return &l.shards[maphash.String(l.seed, key)%shards], key
}

type shard struct {
	mutex          sync.Mutex
	most           int
	known          map[string]*entry
	newest, oldest *entry // by last use
	crowd          int64
}

type entry struct {
	key          string
	paid         int64
	newer, older *entry
}

// find gives the moment of key, which it makes where there is room, or nil.
func (s *shard) find(key string, now int64) *int64 {
	known := s.known[key]
	switch {
	case known != nil:
		s.unlink(known)
	case len(s.known) < s.most || s.makeRoom(now):
		known = &entry{key: key}
		s.known[key] = known
	default:
		return nil
	}
	s.link(known)
	return &known.paid
}

// makeRoom drops the least recently used key that owes nothing. It looks at a few only: the last used is about the last
// to pay, and a flood must not make each request walk through all keys.
func (s *shard) makeRoom(now int64) bool {
	looked := 0
	for old := s.oldest; old != nil && looked < 8; old, looked = old.newer, looked+1 {
		if old.paid <= now {
			s.drop(old)
			return true
		}
	}
	return false
}

func (s *shard) drop(e *entry) {
	s.unlink(e)
	delete(s.known, e.key)
}

func (s *shard) link(e *entry) {
	e.older, e.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = e
	} else {
		s.oldest = e
	}
	s.newest = e
}

func (s *shard) unlink(e *entry) {
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		s.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		s.oldest = e.newer
	}
}
