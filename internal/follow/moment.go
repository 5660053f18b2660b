package follow

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// lasts is how long what was read of a session or a grant serves where the outbox says nothing: whatever changes takes
// effect within a second everywhere, also where a session went on under another name, of which nobody is told.
const lasts = 500 * time.Millisecond

// read is a noun as it was read at a moment.
type read[T any] struct {
	noun T
	at   time.Time
}

// serves tells whether it still does. A clock that went back makes nothing last longer.
func (r read[T]) serves(now time.Time) bool { return now.Sub(r.at) < lasts && !now.Before(r.at) }

// Sessions remembers for a moment the living sessions that calls are decided by, so that one person's many calls ask the
// storage once. It is bounded, and forgets at once what the outbox says has ended. It is for questions about tokens: who
// signs in, or is given something, is looked up as they are.
type Sessions struct {
	store  iam.LivingSessions
	memory *memory[read[iam.Session]]
}

// NewSessions remembers at most size sessions of store.
func NewSessions(store iam.LivingSessions, size int) (*Sessions, error) {
	memory, err := newMemory[read[iam.Session]](size, nil)
	return &Sessions{store, memory}, err
}

// LivingSession finds a session like iam.LivingSessions does. Callers must not change what it holds.
func (s *Sessions) LivingSession(ctx context.Context, id string, now time.Time, idle time.Duration) (iam.Session, error) {
	known, ok := s.memory.cache.GetIfPresent(id)
	if ok && known.serves(now) && known.noun.Expires.After(now) && now.Sub(known.noun.Seen) < idle {
		return known.noun, nil
	}
	session, err := s.memory.ask(id, func() (read[iam.Session], error) {
		noun, err := s.store.LivingSession(ctx, id, now, idle)
		return read[iam.Session]{noun, now}, err
	})
	return session.noun, err
}

// Hear forgets what has ended. It is a listener of Follower.
func (s *Sessions) Hear(_ context.Context, change iam.Change) {
	switch change.Kind {
	case iam.ChangeSession:
		s.memory.forget(change.ID)
	case iam.ChangeUser, iam.ChangedUser: // all of their sessions, under any name; what it costs is one look-up each
		s.memory.forgetAll()
	case iam.ChangeToken, iam.ChangeGrant, iam.ChangeClient, iam.ChangeKey, iam.ChangedClient, iam.ChangedRecipe, iam.ChangedKeys:
	}
}

// grants is what Grants asks.
type grants interface {
	Grant(ctx context.Context, id string) (iam.Grant, error)
}

// Grants remembers for a moment the grants that calls are decided by, as Sessions does with sessions. It tells of a grant
// that was revoked, too: see iam.Grant.
type Grants struct {
	store  grants
	memory *memory[read[iam.Grant]]
	now    func() time.Time
}

// NewGrants remembers at most size grants of store. A nil now means time.Now.
func NewGrants(store grants, size int, now func() time.Time) (*Grants, error) {
	if now == nil {
		now = time.Now
	}
	memory, err := newMemory[read[iam.Grant]](size, nil)
	return &Grants{store, memory, now}, err
}

// Grant finds a grant. Callers must not change what it holds.
func (g *Grants) Grant(ctx context.Context, id string) (iam.Grant, error) {
	now := g.now()
	if known, ok := g.memory.cache.GetIfPresent(id); ok && known.serves(now) {
		return known.noun, nil
	}
	grant, err := g.memory.ask(id, func() (read[iam.Grant], error) {
		noun, err := g.store.Grant(ctx, id)
		return read[iam.Grant]{noun, now}, err
	})
	return grant.noun, err
}

// Hear forgets what has ended. It is a listener of Follower.
func (g *Grants) Hear(_ context.Context, change iam.Change) {
	switch change.Kind {
	case iam.ChangeGrant:
		g.memory.forget(change.ID)
	case iam.ChangeUser, iam.ChangedUser, iam.ChangeClient, iam.ChangedClient, iam.ChangedRecipe: // many grants, none of them named
		g.memory.forgetAll()
	case iam.ChangeToken, iam.ChangeSession, iam.ChangeKey, iam.ChangedKeys:
	}
}
