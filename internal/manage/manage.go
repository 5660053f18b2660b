// Package manage holds the deeds of administrators: each is validated whole, done in one deed of the storage, and
// journalled there with who did it. It knows no HTTP and no command line; its refusals say what is wrong, why, and what
// to do instead, and may be told to an administrator word by word.
package manage

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// Reason says of which kind a refusal is.
type Reason int

// The reasons. The zero value stands for none and is never used.
const (
	Invalid  Reason = iota + 1 // what was asked makes no sense
	Missing                    // it is about something that does not exist
	Conflict                   // what exists speaks against it
)

// Fault is one thing that is wrong in what was asked.
type Fault struct {
	Place string `json:"place,omitempty"` // field, or file:line of an import
	Text  string `json:"text"`
	Hint  string `json:"hint,omitempty"`
}

// String gives "place: text (hint)".
func (f Fault) String() string {
	text := f.Text
	if f.Place != "" {
		text = f.Place + ": " + text
	}
	if f.Hint != "" {
		text += " (" + f.Hint + ")"
	}
	return text
}

// Refusal is a deed that was refused, and not done in any part.
type Refusal struct {
	Reason Reason
	Faults []Fault
}

// Error gives every fault on a line of its own.
func (r *Refusal) Error() string {
	lines := make([]string, len(r.Faults))
	for i, fault := range r.Faults {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// Is says that a missing noun is iam.ErrNotFound.
func (r *Refusal) Is(target error) bool { return r.Reason == Missing && target == iam.ErrNotFound }

func refuse(reason Reason, place, hint, format string, args ...any) error {
	return &Refusal{reason, []Fault{{place, fmt.Sprintf(format, args...), hint}}}
}

// faults gathers what is wrong, so that all of it is told at once.
type faults []Fault

func (f *faults) add(place, hint, format string, args ...any) {
	*f = append(*f, Fault{place, fmt.Sprintf(format, args...), hint})
}

func (f *faults) orNil() error {
	if len(*f) == 0 {
		return nil
	}
	return &Refusal{Invalid, *f}
}

// maxShown bounds how much of a foreign value a fault repeats.
const maxShown = 80

func show(text string) string {
	if runes := []rune(text); len(runes) > maxShown {
		return fmt.Sprintf("%q...", string(runes[:maxShown]))
	}
	return fmt.Sprintf("%q", text)
}

// missing turns the engine's answer about a noun that was named into a refusal.
func missing(err error, noun, name string) error {
	if errors.Is(err, iam.ErrNotFound) {
		return refuse(Missing, "", "garde "+noun+" list shows those that exist", "there is no %s %s", noun, show(name))
	}
	return err
}

// event makes a journal event of what somebody did.
func event(now time.Time, by string, detail journal.Detail) journal.Event {
	made := journal.New(now, detail)
	made.Actor = by
	return made
}

func clock(now func() time.Time) time.Time {
	if now != nil {
		return now().UTC()
	}
	return time.Now().UTC()
}

// shortID is random, and short enough to be typed.
func shortID() string { return strings.ToLower(rand.Text()[:13]) }
