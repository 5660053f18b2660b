package factors_test

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/factors"
)

// TestS12NowIsNotKeptAsAnyTime: a client that asks for a sign-in of this very moment (max_age=0) asks for less than a
// microsecond. Kept as nothing it would mean any age, and the login would send the person back to a dispatcher that sends
// them to the login, for ever.
func TestS12NowIsNotKeptAsAnyTime(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		0: 0, time.Nanosecond: time.Microsecond, time.Microsecond: time.Microsecond, 1500 * time.Nanosecond: 2 * time.Microsecond, 5 * time.Minute: 5 * time.Minute,
	} {
		text, err := factors.NeedText(&iam.Need{ACR: "urn:strong", Fresh: asked})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := factors.NeedOf(text)
		if err != nil || kept.Fresh != want {
			t.Errorf("%s is kept as %s: %v", asked, kept.Fresh, err)
		}
	}
}
