package admin

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
)

// Session is a person's presence in one browser. The cookie is no part of it.
type Session struct {
	ID       string    `json:"id"`
	User     string    `json:"user"`
	Methods  []string  `json:"methods"`
	Level    string    `json:"level"`
	Agent    string    `json:"agent,omitempty"`
	Address  string    `json:"address,omitempty"`
	SignedIn time.Time `json:"signed_in"`
	Seen     time.Time `json:"seen"`
	Expires  time.Time `json:"expires"`
}

func sessionView(session iam.Session) Session {
	return Session{
		ID: session.ID, User: session.User, Methods: append([]string{}, session.AMR...), Level: session.ACR, Agent: session.Agent,
		Address: session.Address, SignedIn: session.AuthTime, Seen: session.Seen, Expires: session.Expires,
	}
}

func (a *api) sessions() {
	id := func(session iam.Session) string { return session.ID }
	op(a, route("GET", "/sessions", "list-sessions", "List living sessions"), func(ctx context.Context, in *Paging) (*some[paged[Session]], error) {
		page, err := in.page("sessions")
		if err != nil {
			return nil, err
		}
		rows, err := more(page, func(page iam.Page) ([]iam.Session, error) { return a.Desk.House.ListSessions(ctx, page) }, id)
		return answer(part("sessions", in.Limit, rows, id, sessionView), err)
	})
	op(a, route("GET", "/users/{user}/sessions", "list-user-sessions", "List a person's living sessions"),
		func(ctx context.Context, in *UserRef) (*some[paged[Session]], error) {
			rows, err := a.Desk.Sessions.Of(ctx, in.User)
			return answer(part("sessions", len(rows), rows, id, sessionView), err)
		})
	type ref struct {
		Session string `path:"session" maxLength:"200"`
	}
	op(a, route("GET", "/sessions/{session}", "show-session", "Show a living session"), func(ctx context.Context, in *ref) (*some[Session], error) {
		session, err := a.Desk.Sessions.Find(ctx, in.Session)
		return answer(sessionView(session), err)
	})
	op(a, route("DELETE", "/sessions/{session}", "remove-session", "End a session and what hangs on it"), func(ctx context.Context, in *ref) (*none, error) {
		return nothing(a.Desk.Sessions.Remove(ctx, Operator(ctx), in.Session))
	})
	op(a, route("DELETE", "/users/{user}/sessions", "remove-user-sessions", "Sign a person out everywhere"), func(ctx context.Context, in *UserRef) (*none, error) {
		return nothing(a.Desk.Sessions.RemoveAll(ctx, Operator(ctx), in.User))
	})
}
