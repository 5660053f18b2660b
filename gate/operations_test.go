package gate_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gardeauth/garde/gate"
)

// listed is a list of operations as the Server writes it.
func listed(operations ...string) string {
	return `{"api":"accounts","resource":"` + audience + `","bound":false,"levels":[{"name":"basic","acr":"urn:basic"},{"name":"strong","acr":"urn:strong"}],
		"operations":[` + strings.Join(operations, ",") + `]}`
}

const (
	balance  = `{"operation":"GET /balance","for":["user"],"scope":"accounts.read"}`
	transfer = `{"operation":"POST /transfers","for":["user"],"scope":"accounts.read","level":"strong","acr":"urn:strong","max_age":60}`
	report   = `{"operation":"GET /report","for":["client"],"scope":"accounts.read"}`
	rates    = `{"operation":"GET /rates","open":true}`
	ruled    = `{"operation":"GET /history","for":["user"],"scope":"accounts.read","rules":true}`
	once     = `{"operation":"POST /recipients","for":["user"],"scope":"accounts.read","authorization_details_type":"recipient"}`
)

// following runs a Gate that takes its operations from an issuer.
func following(t *testing.T, i *issuer, change func(*gate.Config)) *gate.Gate {
	t.Helper()
	config := gate.Config{Issuer: i.URL, Operations: gate.FromServer("accounts")}
	config.Operations.Every = 20 * time.Millisecond
	if change != nil {
		change(&config)
	}
	g := open(t, config)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return g
}

// within waits until a handler answers so.
func within(t *testing.T, h http.Handler, status int, credentials ...string) {
	t.Helper()
	begun := time.Now()
	for {
		w := ask(h, "/", credentials...)
		if w.Code == status {
			return
		}
		if time.Since(begun) > 3*time.Second {
			t.Fatalf("%d %s, and not %d", w.Code, w.Body, status)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

var reached = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })

func TestTheRecipeSaysWhatAHandlerAsksFor(t *testing.T) {
	i := newIssuer(t)
	list := listed(balance, transfer, report, rates, ruled, once)
	i.list.Store(&list)
	g := following(t, i, nil)
	token, own := i.token(t, "at+jwt", nil), i.token(t, "at+jwt", map[string]any{"sub": "batch", "client_id": "batch", "auth_time": nil, "acr": nil})
	within(t, g.Protect(reached, gate.Operation("GET /balance")), 200, "Bearer "+token)
	for name, c := range map[string]struct {
		operation, token string
		status           int
		challenge        string
	}{
		"a person":                           {"GET /balance", token, 200, ""},
		"no token":                           {"GET /balance", "", 401, "resource_metadata"},
		"a client where people are meant":    {"GET /balance", own, 403, "insufficient_scope"},
		"a person where clients are meant":   {"GET /report", token, 403, "insufficient_scope"},
		"a client":                           {"GET /report", own, 200, ""},
		"W42 too low":                        {"POST /transfers", token, 401, `acr_values="urn:strong", max_age="60"`},
		"W42 high enough":                    {"POST /transfers", i.token(t, "at+jwt", map[string]any{"acr": "urn:strong"}), 200, ""},
		"W42 too long ago":                   {"POST /transfers", i.token(t, "at+jwt", map[string]any{"acr": "urn:strong", "auth_time": time.Now().Unix() - 90}), 401, "max_age"},
		"open":                               {"GET /rates", "", 200, ""},
		"one that has rules":                 {"GET /history", token, 503, ""},
		"one that serves once":               {"POST /recipients", token, 503, ""},
		"W03 one that the list does not say": {"GET /other", token, 503, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var credentials []string
			if c.token != "" {
				credentials = []string{"Bearer " + c.token}
			}
			w := ask(g.Protect(reached, gate.Operation(c.operation)), "/", credentials...)
			if w.Code != c.status || !strings.Contains(w.Header().Get("WWW-Authenticate"), c.challenge) {
				t.Errorf("%d %q %s", w.Code, w.Header().Get("WWW-Authenticate"), w.Body)
			}
		})
	}
}

func TestAListThatIsNotKnownOpensNothing(t *testing.T) {
	for name, list := range map[string]string{
		"none":                    "",
		"no JSON":                 "yes",
		"of another API":          strings.Replace(listed(balance), `"accounts"`, `"ledger"`, 1),
		"of another audience":     strings.Replace(listed(balance), audience, "https://evil.example", 1),
		"J18 doubled":             strings.Replace(listed(balance), `"bound"`, `"api":"accounts","bound"`, 1),
		"an operation twice":      listed(balance, balance),
		"open and asking":         listed(`{"operation":"GET /balance","open":true,"scope":"accounts.read"}`),
		"for nobody":              listed(`{"operation":"GET /balance","scope":"accounts.read"}`),
		"without scope":           listed(`{"operation":"GET /balance","for":["user"]}`),
		"a level without value":   listed(`{"operation":"GET /balance","for":["user"],"scope":"accounts.read","level":"strong"}`),
		"a level of no ladder":    listed(`{"operation":"GET /balance","for":["user"],"scope":"accounts.read","level":"x","acr":"urn:x"}`),
		"a time before any":       listed(`{"operation":"GET /balance","for":["user"],"scope":"accounts.read","max_age":-1}`),
		"a time beyond all":       listed(`{"operation":"GET /balance","for":["user"],"scope":"accounts.read","max_age":1e18}`),
		"one that is unfinished":  listed(balance)[:200],
		"nothing of an operation": listed(`{}`),
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			if list != "" {
				i.list.Store(&list)
			}
			g := following(t, i, nil)
			h := g.Protect(reached, gate.Operation("GET /balance"))
			before := i.asked.Load()
			for i.asked.Load() < before+2 { // it has read the list, and once more
				time.Sleep(time.Millisecond)
			}
			if w := ask(h, "/", "Bearer "+i.token(t, "at+jwt", nil)); w.Code != 503 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	t.Run("one that was not read for long", func(t *testing.T) {
		i := newIssuer(t)
		list := listed(balance)
		i.list.Store(&list)
		g, token := following(t, i, nil), i.token(t, "at+jwt", nil)
		h := g.Protect(reached, gate.Operation("GET /balance"))
		within(t, h, 200, "Bearer "+token)
		i.list.Store(nil)
		within(t, h, 503, "Bearer "+token)
		i.list.Store(&list)
		within(t, h, 200, "Bearer "+token)
		raised := listed(strings.Replace(balance, `"scope"`, `"level":"strong","acr":"urn:strong","scope"`, 1))
		i.list.Store(&raised)
		within(t, h, 401, "Bearer "+token)
	})
}

func TestTheProgramMayApplyTheRules(t *testing.T) {
	i := newIssuer(t)
	list := listed(balance, ruled, once)
	i.list.Store(&list)
	var says atomic.Pointer[error]
	g := following(t, i, func(c *gate.Config) {
		c.Operations.Rules = func(_ *http.Request, operation string, facts gate.Facts) error {
			if facts.Subject != "user-1" || operation == "GET /balance" {
				t.Errorf("%s %+v", operation, facts)
			}
			return *says.Load()
		}
	})
	token := "Bearer " + i.token(t, "at+jwt", nil)
	within(t, g.Protect(reached, gate.Operation("GET /balance")), 200, token)
	for name, c := range map[string]struct {
		err       error
		status    int
		challenge string
	}{
		"permitted":             {nil, 200, ""},
		"refused":               {&gate.Refused{Say: "not from there"}, 403, "not from there"},
		"more is asked for":     {&gate.Refused{ACR: "urn:strong", MaxAge: time.Minute}, 401, `acr_values="urn:strong", max_age="60"`},
		"only a newer sign-in":  {&gate.Refused{MaxAge: time.Minute}, 401, `description="this operation needs more at this moment: ask for a token with the acr_values and max_age of this answer", max_age="60"`},
		"it could not be asked": {errors.New("no answer"), 503, ""},
	} {
		says.Store(&c.err)
		for _, operation := range []string{"GET /history", "POST /recipients"} {
			if w := ask(g.Protect(reached, gate.Operation(operation)), "/", token); w.Code != c.status || !strings.Contains(w.Header().Get("WWW-Authenticate"), c.challenge) {
				t.Errorf("%s: %d %q %s", name, w.Code, w.Header().Get("WWW-Authenticate"), w.Body)
			}
		}
	}
}

func TestOperationStandsForItself(t *testing.T) {
	i := newIssuer(t)
	with, without := open(t, gate.Config{Issuer: i.URL, Operations: gate.FromServer("accounts")}), open(t, gate.Config{Issuer: i.URL})
	for name, protect := range map[string]func(){
		"no list":         func() { without.Protect(reached, gate.Operation("GET /balance")) },
		"a scope beside":  func() { with.Protect(reached, gate.Operation("GET /balance"), gate.Scope("a")) },
		"a level beside":  func() { with.Protect(reached, gate.Operation("GET /balance"), gate.Level("urn:basic")) },
		"people beside":   func() { with.Protect(reached, gate.Operation("GET /balance"), gate.People()) },
		"a time beside":   func() { with.Protect(reached, gate.Operation("GET /balance"), gate.Fresh(time.Minute)) },
		"neither of both": func() { with.Protect(reached) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			protect()
		}()
	}
	if w := ask(with.Protect(reached, gate.Operation("GET /balance")), "/", "Bearer "+i.token(t, "at+jwt", nil)); w.Code != 503 {
		t.Errorf("before Run: %d", w.Code)
	}
}
