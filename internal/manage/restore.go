package manage

import (
	"time"

	"github.com/gardeauth/garde/internal/journal"
)

// RestoreConfirmed: an administrator has seen to what a restore could not know, and everyone is admitted again.
type RestoreConfirmed struct{}

// Kind is store.confirmed.
func (RestoreConfirmed) Kind() journal.Kind { return "store.confirmed" }

// Confirmed is the journal's entry of it.
func Confirmed(now time.Time, by string) journal.Event {
	return event(now.UTC(), by, RestoreConfirmed{})
}
