package decide_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// told is what the journal says of decisions: how many entries, and how many decisions they stand for.
func (h *house) told(verdict string) (entries, decisions int, all []journal.Event) {
	h.t.Helper()
	events, err := h.tenant.Events(h.t.Context(), iam.JournalQuery{Kind: "decision.made", Limit: 5000})
	h.must(err)
	for _, event := range events {
		var made journal.Decided
		h.must(json.Unmarshal(event.Detail, &made))
		if made.Verdict == verdict {
			entries, decisions, all = entries+1, decisions+int(max(made.Times, 1)), append(all, event)
		}
	}
	return entries, decisions, all
}

// running runs the desk at one moment, and gives what ends it.
func (h *house) running() (end func()) {
	now := time.Now()
	h.desk.Now = func() time.Time { return now }
	ctx, stop := context.WithCancel(h.t.Context())
	done := make(chan error, 1)
	go func() { done <- h.desk.Run(ctx) }()
	return func() { stop(); h.must(<-done) }
}

func TestDecisionsThatAreAlikeShareAnEntryAndAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		change             func(*decide.Call, int)
		verdict            string
		least, most, calls int
	}{
		"each payment has its own":          {func(*decide.Call, int) {}, "permit", 50, 50, 50},
		"nothing is paid, this time":        {func(c *decide.Call, _ int) { c.Values = map[string]any{"note": "x"}; c.ACR = "urn:strong" }, "permit", 50, 50, 50},
		"a look, again and again":           {func(c *decide.Call, _ int) { c.Operation, c.Values = "GET /look", nil }, "permit", 1, 2, 50},
		"looks at other things":             {func(c *decide.Call, n int) { c.Operation, c.Values = "GET /look", map[string]any{"n": n} }, "permit", 50, 50, 50},
		"looks of another who asks":         {func(c *decide.Call, n int) { c.Operation, c.Asker, c.Values = "GET /look", fmt.Sprint(n), nil }, "permit", 50, 50, 50},
		"a denied payment":                  {func(c *decide.Call, _ int) { c.Scope = nil }, "deny", 1, 2, 50},
		"denied payments, each of other":    {func(c *decide.Call, n int) { c.Scope, c.Values["amount"] = nil, n }, "deny", 9, 20, 50},
		"challenges, each of another payee": {func(c *decide.Call, n int) { c.Values = map[string]any{"amount": 5000, "payee": fmt.Sprint(n)} }, "step_up", 9, 20, 50},
		"denied to many":                    {func(c *decide.Call, n int) { c.Scope, c.Grant = nil, fmt.Sprint(n) }, "deny", 50, 50, 50},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.session("password")
			signedIn := time.Now()
			end := h.running()
			for n := range c.calls {
				h.call(func(call *decide.Call) { call.AuthTime = signedIn; c.change(call, n) })
			}
			end()
			if entries, decisions, _ := h.told(c.verdict); entries < c.least || entries > c.most || decisions != c.calls {
				t.Errorf("%d entries tell of %d decisions", entries, decisions)
			}
		})
	}
}

// Somebody who is refused for a day, ten times a second, fills no journal, and an auditor sees each hour how often it was.
func TestWhoHammersIsCountedAtGrowingIntervals(t *testing.T) {
	h := open(t)
	h.session("password")
	now, signedIn := time.Now(), time.Now()
	h.desk.Now = func() time.Time { return now }
	const calls = 3600
	for range calls {
		h.call(func(c *decide.Call) { c.Scope, c.AuthTime = nil, signedIn })
		now = now.Add(24 * time.Hour / calls)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	h.must(h.desk.Run(ctx))
	entries, decisions, all := h.told("deny")
	if entries < 24 || entries > 70 || decisions != calls {
		t.Errorf("%d entries tell of %d decisions", entries, decisions)
	}
	for _, event := range all {
		if event.Grant != "" || event.User != "u-1" || event.Personal[decide.PersonalFacts] == "" {
			t.Errorf("%+v", event)
		}
	}
}

// What is answered names a trace under which the journal tells of it.
func TestAnAnswerNamesWhereItIsFound(t *testing.T) {
	h := open(t)
	h.session("password")
	end := h.running()
	named, signedIn := map[string]bool{}, time.Now()
	for range 10 {
		call := decide.Call{API: "https://api.example/bank", Operation: "GET /look", User: "u-1", Session: "s-1", Client: "app", Scope: []string{"pay"}, ACR: "urn:basic", AuthTime: signedIn}
		web.Traced(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			answer, err := h.desk.Operation(r.Context(), call)
			h.must(err)
			named[answer.Trace] = true
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
	}
	end()
	_, _, all := h.told("permit")
	for _, event := range all {
		if !named[event.Trace] || event.Trace == "" {
			t.Errorf("nobody was told of %q", event.Trace)
		}
	}
	if len(named) != 1 || len(all) != 2 {
		t.Errorf("%d entries under %d traces", len(all), len(named))
	}
}

// broken is a journal that can't be written for a while.
type broken struct {
	decide.Recorder
	fails bool
}

func (b *broken) Record(ctx context.Context, events ...journal.Event) error {
	if b.fails {
		return errors.New("no disk")
	}
	return b.Recorder.Record(ctx, events...)
}

// A denial that could not be written is written by the next one like it: it never counts towards an entry that is not there.
func TestADenialThatCannotBeWrittenIsAFault(t *testing.T) {
	h := open(t)
	h.session("password")
	disk := &broken{Recorder: h.tenant, fails: true}
	desk := *h.desk
	desk.Journal = disk
	made := decide.New(desk)
	call := decide.Call{API: "https://api.example/bank", Operation: "POST /pay", User: "u-1", Client: "app"}
	for range 3 {
		if _, err := made.Operation(t.Context(), call); err == nil {
			t.Fatal("it was decided, and nobody knows")
		}
	}
	disk.fails = false
	if answer, err := made.Operation(t.Context(), call); err != nil || answer.Verdict != assurance.Deny {
		t.Fatal(answer, err)
	}
	if entries, decisions, _ := h.told("deny"); entries != 1 || decisions != 1 {
		t.Errorf("%d entries tell of %d decisions", entries, decisions)
	}
}

func TestWhatNeedsNoPolicyIsInTheJournalToo(t *testing.T) {
	h := open(t)
	answer, err := h.desk.Settle(t.Context(), decide.Call{Client: "app", Asker: "gate"}, assurance.Deny, assurance.Reason{Code: "unknown", Say: "no such operation"})
	h.must(err)
	if _, _, all := h.told("deny"); len(all) != 1 || all[0].Actor != "client:gate" || answer.Verdict != assurance.Deny {
		t.Errorf("%+v of %+v", all, answer)
	}
}

// What a node permits by its memory is in its journal too: once for a session, a client and a wish, and then counted.
func TestPermitsByMemoryAreCounted(t *testing.T) {
	h := open(t)
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(plain)}}, nil, time.Now())
	h.must(err)
	h.policy, err = assurance.Assemble(bundle, 7, "https://id.example")
	h.must(err)
	ask := decide.Ask{Door: decide.DoorAuthorize, Session: h.session("password"), Client: iam.Client{ID: "app"}, Scope: oauth.Scope{"openid", "pay"}}
	ask.Wish.MaxAge = -1
	end := h.running()
	for n := range 60 {
		ask.Scope = oauth.Scope{"openid", "pay"}[:1+n%2]
		if _, sure := h.desk.Guess(t.Context(), ask); !sure {
			t.Fatal("not sure")
		}
	}
	end()
	entries, decisions, all := h.told("permit")
	if entries > 4 || decisions != 60 || all[0].Session != "s-1" || all[0].User != "u-1" || all[0].Client != "app" || !strings.Contains(string(all[0].Detail), `"revision":7`) {
		t.Errorf("%d entries of %d decisions: %+v", entries, decisions, all)
	}
	for _, event := range all {
		before, err := decide.Unmarshal(event)
		h.must(err)
		if again := h.policy.Decide(&before.Question); again.Verdict != assurance.Permit {
			t.Errorf("decided again: %+v", again)
		}
	}
}
