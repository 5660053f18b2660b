package follow_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/follow"
	"github.com/gardeauth/garde/internal/iam"
)

// kept is a storage of one session and one grant, which counts how often it is asked.
type kept struct {
	session iam.Session
	grant   iam.Grant
	gone    bool
	asked   int
}

func (k *kept) LivingSession(context.Context, string, time.Time, time.Duration) (iam.Session, error) {
	k.asked++
	if k.gone {
		return iam.Session{}, iam.ErrNotFound
	}
	return k.session, nil
}

func (k *kept) Grant(context.Context, string) (iam.Grant, error) {
	k.asked++
	return k.grant, nil
}

func TestWhatHasEndedServesForHalfASecondAtMost(t *testing.T) {
	begun := time.Now()
	for name, c := range map[string]struct {
		at    time.Duration // after the first look
		hears iam.Change
		lives time.Duration // of the session, from its beginning
		looks bool
	}{
		"at once":                        {0, iam.Change{}, time.Hour, false},
		"a moment later":                 {499 * time.Millisecond, iam.Change{}, time.Hour, false},
		"half a second later":            {500 * time.Millisecond, iam.Change{}, time.Hour, true},
		"when the clock went back":       {-time.Second, iam.Change{}, time.Hour, true},
		"when it was heard":              {0, iam.Change{Kind: iam.ChangeSession, ID: "s"}, time.Hour, true},
		"when another was heard":         {0, iam.Change{Kind: iam.ChangeSession, ID: "other"}, time.Hour, false},
		"when the person changed":        {0, iam.Change{Kind: iam.ChangedUser, ID: "u"}, time.Hour, true},
		"when it has expired meanwhile":  {100 * time.Millisecond, iam.Change{}, 100 * time.Millisecond, true},
		"when it has idled out":          {100 * time.Millisecond, iam.Change{}, 0, true},
		"when a grant of its own ended":  {0, iam.Change{Kind: iam.ChangeGrant, ID: "g"}, time.Hour, false},
		"when all is said to be changed": {0, iam.Change{Kind: iam.ChangeUser, ID: "u"}, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			store, idle := &kept{session: iam.Session{ID: "s", User: "u", Seen: begun, Expires: begun.Add(c.lives)}}, time.Hour
			if c.lives == 0 {
				store.session.Expires, idle = begun.Add(time.Hour), 100*time.Millisecond
			}
			sessions, err := follow.NewSessions(store, 10)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sessions.LivingSession(t.Context(), "s", begun, idle); err != nil {
				t.Fatal(err)
			}
			store.gone = true
			sessions.Hear(t.Context(), c.hears)
			_, err = sessions.LivingSession(t.Context(), "s", begun.Add(c.at), idle)
			if ended := errors.Is(err, iam.ErrNotFound); ended != c.looks || store.asked > 2 {
				t.Errorf("%v after %d looks", err, store.asked)
			}
		})
	}
}

func TestAGrantIsLookedAtAgain(t *testing.T) {
	now := time.Now()
	store := &kept{grant: iam.Grant{ID: "g", User: "u", Client: "c"}}
	grants, err := follow.NewGrants(store, 10, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	looks := func(want int, when string) {
		t.Helper()
		if got, err := grants.Grant(t.Context(), "g"); err != nil || got.ID != "g" || store.asked != want {
			t.Errorf("%s: %d looks, %v", when, store.asked, err)
		}
	}
	looks(1, "first")
	looks(1, "again")
	grants.Hear(t.Context(), iam.Change{Kind: iam.ChangeGrant, ID: "other"})
	looks(1, "another has ended")
	for i, heard := range []iam.Change{{Kind: iam.ChangeGrant, ID: "g"}, {Kind: iam.ChangedUser, ID: "u"}, {Kind: iam.ChangeClient, ID: "c"}, {Kind: iam.ChangedRecipe}} {
		grants.Hear(t.Context(), heard)
		looks(i+2, string(heard.Kind))
	}
	now = now.Add(500 * time.Millisecond)
	looks(6, "half a second later")
}
