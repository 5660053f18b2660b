package journal_test

import (
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/journal"
)

func TestATraceTellsWhereItsEventsAre(t *testing.T) {
	now := time.Now()
	trace := journal.NewTrace(now)
	if at, ok := journal.TraceTime(trace); !ok || at.UnixMilli() != now.UnixMilli() {
		t.Errorf("%s tells %v, %v", trace, at, ok)
	}
	if journal.NewTrace(now) == trace {
		t.Error("two requests of one moment have one trace")
	}
	for _, foreign := range []string{"", "short", "abcdefghijklmnopqrstuvwxyz", trace + "A", "00000000000000000000000001"} {
		if _, ok := journal.TraceTime(foreign); ok {
			t.Errorf("%q passed for a trace of ours", foreign)
		}
	}
	event := journal.New(now, journal.SignedOut{})
	if first, last := journal.FirstID(now.Add(-time.Second)), journal.FirstID(now.Add(time.Minute)); event.ID < first || event.ID >= last {
		t.Errorf("the event %s is not between %s and %s", event.ID, first, last)
	}
}
