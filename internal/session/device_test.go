package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/session"
)

// The cookie of a known device is changed at each sign-in. Whoever comes with one from before has a copy, or somebody else has
// one: nobody can tell, so all that began on the device ends, the thief's too.
func TestS36AnOldCookieOfADeviceEndsAllThatBeganOnIt(t *testing.T) {
	for name, c := range map[string]struct {
		thief bool // comes first with the copy
		after time.Duration
		ended bool
	}{
		"the owner goes on, and the thief comes with the copy": {after: time.Hour, ended: true},
		"the thief goes on, and the owner comes":               {thief: true, after: time.Hour, ended: true},
		"a tab whose request was under way":                    {after: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			devices := &session.Devices{Keeper: d.Keeper, Sealer: sealer(t), Tenant: iam.DefaultTenant, Kept: d.tenant}
			remember := func(cookies ...*httptest.ResponseRecorder) (session.Seen, *httptest.ResponseRecorder) {
				t.Helper()
				w := httptest.NewRecorder()
				seen, err := devices.Remember(w, with(cookies...), "alice", "192.0.2.0/24")
				if err != nil {
					t.Fatal(err)
				}
				return seen, w
			}
			begin := func(r *http.Request, device string) iam.Session {
				t.Helper()
				begun, err := d.Start(httptest.NewRecorder(), r, session.Proof{User: "alice", Device: device}, "trace")
				if err != nil {
					t.Fatal(err)
				}
				return begun
			}
			first, copied := remember()
			owners, theirs := remember(copied)
			one := begin(with(), owners.ID)
			d.time = d.time.Add(c.after)
			old := copied
			if c.thief { // the copy was of the newest, and served first
				_, _ = remember(theirs)
				old = theirs
				d.time = d.time.Add(c.after)
			}
			if known := devices.Known(with(old), "alice"); (known == "") != c.ended {
				t.Errorf("the old cookie is known as %q", known)
			}
			seen, _ := remember(old)
			if seen.New != c.ended || (seen.ID == first.ID) == c.ended {
				t.Errorf("it is taken for %+v", seen)
			}
			_, err := d.Sessions.LivingSession(t.Context(), one.ID, d.time, 30*24*time.Hour)
			if errors.Is(err, iam.ErrNotFound) != c.ended {
				t.Errorf("the session on it: %v", err)
			}
			events, err := d.tenant.Events(t.Context(), iam.JournalQuery{User: "alice", Limit: 50})
			if err != nil {
				t.Fatal(err)
			}
			told := false
			for _, event := range events {
				told = told || event.Kind == "device.forgotten"
			}
			if told != c.ended {
				t.Errorf("journaled: %v", told)
			}
		})
	}
}
