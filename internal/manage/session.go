package manage

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// Sessions are the deeds about browser sessions. Sessions and People are required.
type Sessions struct {
	Sessions iam.Sessions
	People   *Users
	Now      func() time.Time // nil: time.Now
}

// Of gives a person's living sessions.
func (s *Sessions) Of(ctx context.Context, ref string) ([]iam.Session, error) {
	user, err := s.People.Find(ctx, ref)
	if err != nil {
		return nil, err
	}
	return s.Sessions.UserSessions(ctx, user.ID)
}

// longUnseen is how long a session may not have been seen and still be shown: what is listed can be looked at.
const longUnseen = 100 * 365 * 24 * time.Hour

// Find gives a living session, also under an id that it had before.
func (s *Sessions) Find(ctx context.Context, id string) (iam.Session, error) {
	session, err := s.Sessions.LivingSession(ctx, id, clock(s.Now), longUnseen)
	return session, missing(err, "session", id)
}

// Remove ends a session with what hangs on it. One that is not there is a fault: whoever mistyped an id must not believe
// that a session has ended which goes on.
func (s *Sessions) Remove(ctx context.Context, by, id string) error {
	if _, err := s.Find(ctx, id); err != nil {
		return err
	}
	ended := event(clock(s.Now), by, journal.Revoked{What: "session", ID: id, Reason: "ended by an administrator"})
	ended.Session = id
	return s.Sessions.EndSession(ctx, id, ended)
}

// RemoveAll signs a person out everywhere.
func (s *Sessions) RemoveAll(ctx context.Context, by, ref string) error {
	user, err := s.People.Find(ctx, ref)
	if err != nil {
		return err
	}
	ended := event(clock(s.Now), by, journal.Revoked{What: "user", ID: user.ID, Reason: "signed out everywhere by an administrator"})
	ended.User = user.ID
	return s.Sessions.EndUserSessions(ctx, user.ID, "", ended)
}
