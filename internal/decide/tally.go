package decide

import (
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// How calls that are decided alike share an entry of the journal (decision 0018). Each is decided by itself; what is shared is
// what is written of it.
const (
	// PermitLife is for how long a permit serves again for the very same question. Who asks again meanwhile is answered as
	// if they had kept it, and counted.
	PermitLife = time.Second

	firstWait = time.Second // after a denial, or a permit by memory, until the next like it is written; it doubles each time
	longest   = time.Hour
	maxKinds  = 8       // denials of one operation with other facts that are each written at once
	maxTally  = 20_000  // beyond it nothing is shared: each has its own entry
	maxHeld   = 8 << 20 // bytes of what was counted and not written; what finds no room there is written at once
)

// tally counts calls that were decided alike. Its zero value is ready.
type tally struct {
	mu      sync.Mutex
	entries map[iam.Digest]*tallied
	held    int // bytes of the newest of all entries
}

// tallied is what is written once and counted from then on.
type tallied struct {
	newest  journal.Event
	held    int // its bytes
	decided journal.Decided
	more    int64 // that no entry tells yet
	trace   string
	until   time.Time // what comes before is counted
	wait    time.Duration
	grows   bool // the wait doubles each time
	kinds   int  // with other facts
}

// take counts a decision about a call, or gives what is to be written of it and of those that were only counted. trace is
// that under which it is found, and undo says that it could not be written. grows says that the wait doubles each time, until
// the next like it is written.
func (t *tally) take(event journal.Event, decided journal.Decided, now time.Time, grows bool) (trace string, write *journal.Event, undo func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries == nil {
		t.entries = map[iam.Digest]*tallied{}
	}
	denied := decided.Verdict != assurance.Permit.String()
	alike := alike(event, decided)
	full := digest(alike, string(event.Detail), event.Personal[PersonalFacts], event.Personal[PersonalSigns], event.Personal[personalPlace])
	one := t.entries[full]
	if one == nil && denied {
		one = t.kind(digest(alike))
	}
	switch {
	case one == nil && len(t.entries) >= maxTally:
		return event.Trace, &event, func() {}
	case one == nil:
		one = &tallied{grows: grows, wait: firstWait}
		t.entries[full] = one
	case now.Before(one.until) && !now.Before(one.until.Add(-one.wait)):
		if t.hold(one, event) {
			one.more++
			one.decided = decided
			return one.trace, nil, func() {}
		}
	default:
		one.grow()
	}
	before, newest := one.more, event
	one.trace = event.Trace
	if before > 0 {
		one.newest, one.decided = event, decided
		one.more++
		event = one.owed()
	}
	t.release(one)
	if !grows {
		one.wait = PermitLife
	}
	one.until = now.Add(one.wait)
	return one.trace, &event, func() { t.undo(one, before, newest) }
}

// undo makes the next one like it be written, with what was only counted before.
func (t *tally) undo(one *tallied, before int64, newest journal.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one.until = time.Time{}
	if one.more += before; before > 0 && one.held == 0 && !t.hold(one, newest) {
		newest.Personal = nil // there is no room for it now; the number counts more
		one.newest = newest
	}
}

// hold keeps the newest of what is only counted, if there is room for it.
func (t *tally) hold(one *tallied, newest journal.Event) bool {
	bytes := weight(newest)
	if t.held-one.held+bytes > maxHeld {
		return false
	}
	t.held += bytes - one.held
	one.newest, one.held = newest, bytes
	return true
}

// release holds nothing of what is written already: whoever sends much with each call would fill the memory with it.
func (t *tally) release(one *tallied) {
	t.held -= one.held
	one.newest, one.held = journal.Event{}, 0
}

// kind gives the entry that takes in a denial with facts that were not seen yet, once there were enough of them; nil: it has
// one of its own.
func (t *tally) kind(key iam.Digest) *tallied {
	all := t.entries[key]
	if all == nil {
		if len(t.entries) >= maxTally {
			return nil
		}
		all = &tallied{grows: true, wait: firstWait}
		t.entries[key] = all
	}
	if all.kinds < maxKinds {
		all.kinds++
		return nil
	}
	return all
}

// owed is the entry that tells of what was only counted, found where the first of them is.
func (one *tallied) owed() journal.Event {
	event := one.newest
	one.decided.Times = one.more
	detail, err := json.Marshal(one.decided)
	if err == nil { // it is a struct of texts and numbers
		event.Detail = detail
	}
	event.Trace, one.more = one.trace, 0
	return event
}

func (one *tallied) grow() {
	if one.grows {
		one.wait = min(2*one.wait, longest)
	}
}

// due gives the entries that tell of what was counted long enough, and forgets what has not come again; all: of everything.
func (t *tally) due(now time.Time, all bool) []journal.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	var events []journal.Event
	for key, one := range t.entries {
		if now.Before(one.until) && !all {
			continue
		}
		if one.more > 0 {
			events = append(events, one.owed())
			t.release(one)
			if one.grows && !all {
				one.grow()
				one.until = now.Add(one.wait)
				continue
			}
		}
		// A denial is remembered for as long again as was waited for it, so that a pause does not begin anew.
		if !one.grows || all || now.Sub(one.until) >= max(one.wait, time.Minute) {
			delete(t.entries, key)
		}
	}
	return events
}

// digest names texts, so that no two lists look the same: none of them holds a NUL.
func digest(texts ...string) iam.Digest {
	return sha256.Sum256([]byte(strings.Join(texts, "\x00")))
}

// alike is the same for decisions about calls of one grant, or session, that came out alike for the same rules, whatever their
// facts: who is refused may vary these at will.
func alike(event journal.Event, decided journal.Decided) string {
	return strings.Join(append([]string{
		decided.Verdict, event.Actor, event.Client, event.User, event.Session, event.Grant, decided.API, decided.Operation, decided.Level,
		strconv.FormatInt(decided.Revision, 10),
	}, decided.Rules...), "\x00")
}
