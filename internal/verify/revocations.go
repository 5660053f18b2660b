package verify

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

// Kind says what was revoked.
type Kind string

// The kinds of revocation. A token, grant, session or key that was revoked is dead for good; a user or client loses the
// tokens issued up to a moment, and may get new ones.
const (
	TokenRevoked   Kind = "token"   // ID is a jti
	GrantRevoked   Kind = "grant"   // ID is a grant_id
	SessionRevoked Kind = "session" // ID is a sid
	UserRevoked    Kind = "user"    // ID is a sub
	ClientRevoked  Kind = "client"  // ID is a client_id
	KeyRevoked     Kind = "key"     // ID is a kid
)

// Revocation is one fact that kills tokens.
type Revocation struct {
	Seq    int64  `json:"seq"`
	Kind   Kind   `json:"kind"`
	ID     string `json:"id"`
	Before int64  `json:"before,omitempty"` // user, client: tokens with iat <= Before are dead (Unix seconds)
	Until  int64  `json:"until"`            // no token that it could kill lives longer (Unix seconds)
}

// moment tells whether r kills only what is older than Before.
func (r Revocation) moment() bool { return r.Kind == UserRevoked || r.Kind == ClientRevoked }

// pruneEvery is how often Add looks for facts that have outlived what they kill.
const pruneEvery = 10 * time.Second

// Revocations is the set of facts that kill tokens before they expire, in memory. Reading takes no lock. It is bounded by
// forgetting each fact when the last token it could kill has expired. Its zero value is empty and ready.
type Revocations struct {
	Now func() time.Time // nil: time.Now

	facts  [6]factSet
	all    atomic.Int64 // tokens with iat <= all are dead, whatever they are (Unix seconds)
	mu     sync.Mutex   // one writer at a time
	pruned time.Time
}

// factSet holds the facts of one kind. The count lets readers pass over kinds of which nothing is revoked.
type factSet struct {
	count atomic.Int64
	byID  sync.Map // string -> Revocation
}

func (f *factSet) find(id string) (Revocation, bool) {
	if id == "" || f.count.Load() == 0 {
		return Revocation{}, false
	}
	found, ok := f.byID.Load(id)
	if !ok {
		return Revocation{}, false
	}
	return found.(Revocation), true
}

// place is where a kind's facts stand in the array; -1 for a kind that we don't know.
func place(kind Kind) int {
	switch kind {
	case TokenRevoked:
		return 0
	case GrantRevoked:
		return 1
	case SessionRevoked:
		return 2
	case UserRevoked:
		return 3
	case ClientRevoked:
		return 4
	case KeyRevoked:
		return 5
	}
	return -1
}

// Add remembers facts; when it returns, no reader misses them. Two facts about one thing become the stricter of both. A
// kind that we don't know, or an empty id, is an error: what it kills would live on.
func (r *Revocations) Add(facts ...Revocation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, fact := range facts {
		at := place(fact.Kind)
		if at < 0 || fact.ID == "" || fact.Until <= 0 || fact.moment() && fact.Before <= 0 {
			return fmt.Errorf("revocation %d: its kind, id or times are not known here", fact.Seq)
		}
		set := &r.facts[at]
		if old, ok := set.byID.Load(fact.ID); ok {
			fact.Before = max(fact.Before, old.(Revocation).Before)
			fact.Until = max(fact.Until, old.(Revocation).Until)
		} else {
			set.count.Add(1)
		}
		set.byID.Store(fact.ID, fact)
	}
	if now := r.now(); now.Sub(r.pruned) >= pruneEvery {
		r.prune(now)
	}
	return nil
}

// EndAll kills every token issued until then.
func (r *Revocations) EndAll(before time.Time) { r.all.Store(max(r.all.Load(), before.Unix())) }

// Prune forgets the facts that have nothing left to kill.
func (r *Revocations) Prune() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prune(r.now())
}

func (r *Revocations) prune(now time.Time) {
	r.pruned = now
	for i := range r.facts {
		set := &r.facts[i]
		set.byID.Range(func(id, fact any) bool {
			if fact.(Revocation).Until < now.Unix() {
				set.byID.Delete(id)
				set.count.Add(-1)
			}
			return true
		})
	}
}

// Dead gives an invalid_token error if a fact kills the token, else nil. It is keyed on what the verified token says, never
// on how the token is spelled (J22).
func (r *Revocations) Dead(claims Claims) error {
	if all := r.all.Load(); all > 0 && int64(claims.IssuedAt) <= all {
		return oauth.InvalidToken("the token was revoked")
	}
	for _, each := range [...]struct {
		at int
		id string
	}{{0, claims.ID}, {1, claims.Grant}, {2, claims.SessionID}, {5, claims.KeyID}} {
		if _, ok := r.facts[each.at].find(each.id); ok {
			return oauth.InvalidToken("the token was revoked")
		}
	}
	if r.before(UserRevoked, claims.Subject, claims.IssuedAt) || r.before(ClientRevoked, claims.ClientID, claims.IssuedAt) {
		return oauth.InvalidToken("the token was revoked")
	}
	return nil
}

func (r *Revocations) before(kind Kind, id string, issued jose.NumericDate) bool {
	fact, ok := r.facts[place(kind)].find(id)
	return ok && int64(issued) <= fact.Before
}

// Len counts the facts.
func (r *Revocations) Len() int {
	count := int64(0)
	for i := range r.facts {
		count += r.facts[i].count.Load()
	}
	return int(count)
}

func (r *Revocations) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}
