package decide_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// stalling is a journal whose storage can't for a while, or that does not know whether it could.
type stalling struct {
	decide.Recorder
	can      atomic.Bool
	unsure   atomic.Bool
	tries    atomic.Int64
	unworthy string // the trace of an event that can't be kept at all
}

func (s *stalling) Record(ctx context.Context, events ...journal.Event) error {
	s.tries.Add(1)
	if !s.can.Load() {
		return fmt.Errorf("%w: no disk", iam.ErrUnavailable)
	}
	for _, event := range events {
		if s.unworthy != "" && strings.Contains(event.Personal[decide.PersonalFacts], s.unworthy) {
			return errors.New("this can't be kept")
		}
	}
	err := s.Recorder.Record(ctx, events...)
	if err == nil && s.unsure.Swap(false) {
		return fmt.Errorf("%w: the answer was lost", iam.ErrUnavailable)
	}
	return err
}

// stall opens a house whose journal stalls.
func stall(t *testing.T) (*house, *stalling) {
	h := open(t)
	h.session("password")
	disk := &stalling{Recorder: h.tenant}
	desk := *h.desk
	desk.Journal = disk
	h.desk = decide.New(desk)
	return h, disk
}

// pay asks whether something may be paid, with a note.
func (h *house) pay(note string) (decide.Answer, error) {
	return h.desk.Operation(h.t.Context(), decide.Call{
		API: "https://api.example/bank", Operation: "POST /pay", User: "u-1", Session: "s-1", Client: "app", Scope: []string{"pay"},
		ACR: "urn:basic", AuthTime: time.Now(), Values: map[string]any{"amount": 5, "payee": "x", "note": note},
	})
}

func (h *house) toldOf(t *testing.T, want int) {
	t.Helper()
	if entries, decisions, _ := h.told("permit"); entries != want || decisions != want {
		t.Errorf("%d entries tell of %d decisions, %d were made", entries, decisions, want)
	}
}

// Whoever was permitted to pay while the storage stalled is in the journal when it goes on, once.
func TestPermitsOutliveAStorageThatStalls(t *testing.T) {
	for name, goOn := range map[string]func(*stalling){
		"and goes on":                          func(s *stalling) { s.can.Store(true) },
		"and first does what it can't tell of": func(s *stalling) { s.unsure.Store(true); s.can.Store(true) },
		"and one of them can't be kept at all": func(s *stalling) { s.unworthy = "note 7!"; s.can.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			h, disk := stall(t)
			end := h.running()
			for n := range 50 {
				if answer, err := h.pay(fmt.Sprintf("note %d!", n)); err != nil || answer.Verdict != assurance.Permit {
					t.Fatal(answer, err)
				}
			}
			for until := time.Now().Add(20 * time.Second); disk.tries.Load() < 2; time.Sleep(time.Millisecond) {
				if time.Now().After(until) {
					t.Fatal("what could not be kept is not tried again")
				}
			}
			if entries, _, _ := h.told("permit"); entries != 0 {
				t.Fatal("it did not stall")
			}
			goOn(disk)
			want := 50
			if disk.unworthy != "" {
				want--
			}
			for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
				if entries, _, _ := h.told("permit"); entries >= want {
					break
				}
			}
			h.toldOf(t, want)
			end()
			h.toldOf(t, want)
		})
	}
}

// When more wait than fit, what can't be in any journal is not permitted, and is again as soon as there is room.
func TestWhatCannotBeJournaledIsNotPermitted(t *testing.T) {
	for name, note := range map[string]string{"many": "", "much": strings.Repeat("x", 64<<10)} {
		t.Run(name, func(t *testing.T) {
			h, disk := stall(t)
			end := h.running()
			given := 0
			for ; given < 10_000; given++ {
				answer, err := h.pay(note)
				if errors.Is(err, iam.ErrUnavailable) && answer.Verdict != assurance.Permit {
					break
				}
				h.must(err)
			}
			if most := 8 << 20 / max(len(note), 2<<10); given > most || given < most/3 {
				t.Errorf("%d wait, %d may", given, most)
			}
			disk.can.Store(true)
			for until := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				if _, err := h.pay(note); err == nil {
					given++
					break
				} else if time.Now().After(until) {
					t.Fatal(err)
				}
			}
			end()
			h.toldOf(t, given)
		})
	}
}

// What is counted of large calls fills no memory: what finds no room has its own entry.
func TestWhatIsCountedIsBoundedInBytes(t *testing.T) {
	h := open(t)
	h.session("password")
	now, signedIn := time.Now(), time.Now()
	h.desk.Now = func() time.Time { return now }
	large := strings.Repeat("x", 1<<20)
	const grants, calls = 20, 3
	for n := range grants * calls {
		h.call(func(c *decide.Call) {
			c.Scope, c.Grant, c.AuthTime, c.Values = nil, fmt.Sprint(n%grants), signedIn, map[string]any{"note": large}
		})
	}
	const fit = 7 // in 8 MiB
	if entries, _, _ := h.told("deny"); entries != grants+(grants-fit)*(calls-1) {
		t.Errorf("%d entries", entries)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	h.must(h.desk.Run(ctx))
	if _, decisions, _ := h.told("deny"); decisions != grants*calls {
		t.Errorf("%d decisions are told", decisions)
	}
}
