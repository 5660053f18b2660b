package app

import (
	"net/http"

	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/session"
)

// guard asks what somebody must prove who changes what guards their account; wary: in a moment alone that may be somebody else's.
func (s *Server) guard(wary bool) func(*http.Request, iam.User, iam.Session) (*iam.Need, error) {
	guard := &decide.Guard{
		Desk: s.decisions, Passwords: s.House, Sets: s.sets, Resets: func() bool { return s.offers.value().Reset },
	}
	return func(r *http.Request, user iam.User, here iam.Session) (*iam.Need, error) {
		return guard.Need(r.Context(), decide.Ask{Session: here, Address: s.caller(r), Agent: session.Agent(r)}, user, wary)
	}
}
