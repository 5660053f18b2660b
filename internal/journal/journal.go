// Package journal holds the words of the operator's memory: typed events that say what changed about who may do what.
// It knows no store and no tree. An event never holds a token, a code or a secret.
package journal

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Kind names what happened, as noun.verb in the past.
type Kind string

// Event is one entry. The columns are searchable; Detail is the typed rest; Personal stands apart, so that it can be
// erased without breaking the proof over the journal.
type Event struct {
	ID       string    // UUIDv7: sorts by time
	At       time.Time // microseconds are kept
	Kind     Kind
	Actor    string // who did it: user:ID, client:ID, operator:NAME or system
	Client   string
	User     string
	Session  string
	Grant    string
	Trace    string
	Detail   json.RawMessage   // the typed fields of the kind, as JSON
	Personal map[string]string // network address, device label, name: erasable
}

// Detail is the typed part of an event. Each kind has one struct.
type Detail interface{ Kind() Kind }

// New makes an event of detail at now. Callers fill the columns that they know.
func New(now time.Time, detail Detail) Event {
	fields, err := json.Marshal(detail)
	if err != nil { // a detail is a struct of strings and numbers: it always encodes
		fields = json.RawMessage(`{}`)
	}
	return Event{ID: uuid.Must(uuid.NewV7()).String(), At: now, Kind: detail.Kind(), Detail: fields}
}
