package decide_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/recipe"
)

const rules = `
garde: 1
levels:
  - {name: basic,  acr: "urn:basic",  any: [password, passkey]}
  - {name: strong, acr: "urn:strong", any: [passkey]}
scopes: {pay: {say: {en: Pay}}}
raise:
  - {when: "risk.new_device", level: strong}
apis:
  bank:
    at: https://api.example/bank
    operations:
      GET /look: {for: [user, client], scope: pay, level: basic}
      POST /pay: {for: [user, client], scope: pay, level: basic, send: {amount: body.amount, payee: body.to}, raise: [{when: "amount > 1000", level: strong}]}
clients:
  app: {type: browser, redirect_uris: ["https://app.example/cb"], scopes: [openid, pay]}
`

// plain is a recipe without a rule.
const plain = `garde: 1
levels: [{name: basic, acr: "urn:basic", any: [password]}]
scopes: {pay: {say: {en: Pay}}}
apis: {bank: {at: "https://api.example/bank", operations: {POST /pay: {for: [user], scope: pay, level: basic}}}}
clients: {app: {type: browser, redirect_uris: ["https://app.example/cb"], scopes: [openid, pay]}}
`

// house is a desk on SQLite whose facts say what a test says.
type house struct {
	t      testing.TB
	tenant *sqlstore.Tenant
	policy *assurance.Policy
	desk   *decide.Desk
	moment decide.Moment
	fails  error
	slow   bool
	scenes []decide.Scene
	learnt []decide.Scene
}

func (h *house) Moment(ctx context.Context, scene decide.Scene) (decide.Moment, error) {
	if h.slow {
		<-ctx.Done()
		time.Sleep(time.Second) // and does not even listen
		return decide.Moment{}, nil
	}
	h.scenes = append(h.scenes, scene)
	return h.moment, h.fails
}

func (h *house) Learn(_ context.Context, scene decide.Scene) { h.learnt = append(h.learnt, scene) }

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func open(t testing.TB) *house {
	t.Helper()
	h := &house{t: t}
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{})
	h.must(err)
	t.Cleanup(func() { _ = kept.Close() })
	h.tenant = kept.Tenant(iam.DefaultTenant)
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(rules)}}, nil, time.Now())
	h.must(err)
	h.policy, err = assurance.Assemble(bundle, 1, "https://id.example")
	h.must(err)
	h.desk = decide.New(decide.Desk{
		Policy: func() *assurance.Policy { return h.policy }, Users: h.tenant, Clients: h.tenant, Sessions: h.tenant, Journal: h.tenant, Facts: h,
		Factors: func(context.Context, iam.User) ([]string, error) { return []string{"password", "passkey"}, nil },
	})
	h.must(h.tenant.AddUser(t.Context(), iam.User{ID: "u-1", Username: "alice"}, iam.Password{User: "u-1"}))
	h.must(h.tenant.PutClient(t.Context(), iam.Client{ID: "app", Source: iam.FromAdmin, Kind: recipe.Browser, Scope: oauth.Scope{"openid", "pay"}}))
	return h
}

func (h *house) session(factors ...string) iam.Session {
	h.t.Helper()
	now := time.Now().UTC()
	made := iam.Session{
		ID: "s-1", Hash: iam.HashSession(iam.NewSecret(iam.PrefixSession)), User: "u-1", AuthTime: now, ACR: "urn:basic",
		Created: now, Seen: now, Expires: now.Add(time.Hour),
	}
	for _, factor := range factors {
		made.Proofs = append(made.Proofs, iam.Proved{Factor: factor, At: now, Begun: now, Methods: []string{"pwd"}})
	}
	h.must(h.tenant.StartSession(h.t.Context(), made, iam.SessionHash{}))
	return made
}

func (h *house) call(change func(*decide.Call)) assurance.Decision {
	h.t.Helper()
	call := decide.Call{
		API: "https://api.example/bank", Operation: "POST /pay", User: "u-1", Session: "s-1", Client: "app", Scope: oauth.Scope{"pay"},
		ACR: "urn:basic", AuthTime: time.Now(), Values: map[string]any{"amount": float64(10), "payee": "ACME"},
	}
	change(&call)
	decision, err := h.desk.Operation(h.t.Context(), call)
	h.must(err)
	return decision.Decision
}

func TestAnOperationIsDecidedByWhatTheTokenSays(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*decide.Call)
		want   assurance.Verdict
	}{
		"enough":                             {func(*decide.Call) {}, assurance.Permit},
		"an unusual amount":                  {func(c *decide.Call) { c.Values["amount"] = 5000 }, assurance.StepUp},
		"and a token for it":                 {func(c *decide.Call) { c.Values["amount"], c.ACR = 5000, "urn:strong" }, assurance.Permit},
		"an amount that is none raises":      {func(c *decide.Call) { c.Values["amount"] = "10.50" }, assurance.StepUp},
		"no amount raises":                   {func(c *decide.Call) { c.Values = nil }, assurance.StepUp},
		"the session's proofs raise nobody":  {func(c *decide.Call) { c.Values["amount"] = 5000 }, assurance.StepUp}, // it holds a passkey
		"no level":                           {func(c *decide.Call) { c.ACR = "" }, assurance.StepUp},
		"another operation":                  {func(c *decide.Call) { c.Operation = "POST /other" }, assurance.Deny},
		"no scope":                           {func(c *decide.Call) { c.Scope = nil }, assurance.Deny},
		"a session that has ended":           {func(c *decide.Call) { c.Session = "s-gone" }, assurance.Deny},
		"somebody who is gone":               {func(c *decide.Call) { c.User = "u-gone" }, assurance.Deny},
		"an application that is gone":        {func(c *decide.Call) { c.Client = "gone" }, assurance.Deny},
		"a grant that outlives its session":  {func(c *decide.Call) { c.Session, c.Grant = "", "g-1" }, assurance.Permit},
		"a client for itself proves nothing": {func(c *decide.Call) { c.User, c.Session, c.ACR, c.Values["amount"] = "", "", "", 5000 }, assurance.Permit},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.session("password", "passkey")
			if got := h.call(c.change); got.Verdict != c.want {
				t.Errorf("%v: %+v", got.Verdict, got)
			}
			if permitted := c.want == assurance.Permit && name != "a client for itself proves nothing"; (len(h.learnt) == 1) != permitted {
				t.Errorf("it taught %d times", len(h.learnt))
			}
		})
	}
}

// Whoever holds a stolen token calls from their own place, with a program of their own: nobody authenticated there, so that
// calls never make a place, a device, an application or an hour usual. What was paid is, and where nothing was, nothing.
func TestNoCallTeachesWhereAPersonIs(t *testing.T) {
	h := open(t)
	h.session("password")
	h.call(func(c *decide.Call) { c.Address = netip.MustParseAddr("203.0.113.9") })
	if len(h.learnt) != 1 || !h.learnt[0].Paid || h.learnt[0].Transaction.Payee != "ACME" {
		t.Fatalf("%+v", h.learnt)
	}
	h.call(func(c *decide.Call) { c.Values, c.ACR = nil, "urn:strong" }) // nothing is paid
	h.call(func(c *decide.Call) { c.Session = "" })                      // nobody says of what sign-in or grant the token is
	if len(h.learnt) != 1 {
		t.Errorf("%+v", h.learnt[1:])
	}
	ask := decide.Ask{Door: decide.DoorAuthorize, Session: iam.Session{ID: "s-1", User: "u-1"}, Client: iam.Client{ID: "app"}, Scope: oauth.Scope{"openid"}}
	if h.desk.Learn(t.Context(), ask); len(h.learnt) != 2 || h.learnt[1].Paid {
		t.Errorf("a sign-in does not teach where it was: %+v", h.learnt)
	}
}

// A program that calls says nothing of the browser that the person signed in with; and where a server calls from is not
// where they are.
func TestACallIsSeenFromWhereThePersonIs(t *testing.T) {
	caller, signedIn := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("192.0.2.10")
	for name, c := range map[string]struct {
		kind    recipe.ClientType
		session string
		signed  string
		want    netip.Addr
	}{
		"a server":                          {recipe.Web, "s-2", "192.0.2.10/32", signedIn},
		"a server, by its plain address":    {recipe.Web, "s-2", "192.0.2.10", signedIn},
		"a server, from nobody knows where": {recipe.Web, "s-2", "unknown", netip.Addr{}},
		"a server without a session":        {recipe.Web, "", "", netip.Addr{}},
		"a browser":                         {recipe.Browser, "s-2", "192.0.2.10/32", caller},
		"an app":                            {recipe.Native, "s-2", "192.0.2.10/32", caller},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.must(h.tenant.PutClient(t.Context(), iam.Client{ID: "app", Source: iam.FromAdmin, Kind: c.kind, Scope: oauth.Scope{"openid", "pay"}}))
			session := h.session("password")
			old := session.Hash
			session.ID, session.Hash = "s-2", iam.HashSession(iam.NewSecret(iam.PrefixSession))
			session.Address, session.Agent = c.signed, "Firefox on Linux"
			h.must(h.tenant.StartSession(t.Context(), session, old))
			h.call(func(call *decide.Call) { call.Session, call.Address, call.Grant = c.session, caller, "g-1" })
			if got := h.scenes[0]; got.Address != c.want || c.session != "" && got.Agent != "Firefox on Linux" || c.session == "" && got.Agent != "" {
				t.Errorf("%v, %q", got.Address, got.Agent)
			}
		})
	}
}

// Who has stolen a password signs in where it is enough, to make their own place usual before they go where it is not.
func TestWhatIsUnlikeAPersonIsLearnedAtTheLevelThatItTakes(t *testing.T) {
	strange := signal.Result{Score: 25, Findings: []signal.Finding{{Name: "new_country", Points: 25, Say: "s"}}}
	for name, c := range map[string]struct {
		acr     string
		risk    signal.Result
		fails   error
		teaches bool
	}{
		"as ever":                     {"urn:basic", signal.Result{}, nil, true},
		"a new country by a password": {"urn:basic", strange, nil, false},
		"a new country by a passkey":  {"urn:strong", strange, nil, true},
		"nobody knows":                {"urn:basic", signal.Result{}, errors.New("no disk"), false},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.moment.Risk, h.fails = c.risk, c.fails
			session := h.session("password")
			session.ACR = c.acr
			ask := decide.Ask{Door: decide.DoorAuthorize, Session: session, Client: iam.Client{ID: "app"}, Scope: oauth.Scope{"openid"}}
			if h.desk.Learn(t.Context(), ask); (len(h.learnt) == 1) != c.teaches {
				t.Errorf("it taught %d times", len(h.learnt))
			}
		})
	}
}

// What can't be found out raises, and is not waited for.
func TestFactsThatFailRaise(t *testing.T) {
	for name, change := range map[string]func(*house){
		"they fail":     func(h *house) { h.fails = errors.New("no disk") },
		"they are slow": func(h *house) { h.slow = true },
		"they speak": func(h *house) {
			h.moment.Risk = signal.Result{Score: 30, Findings: []signal.Finding{{Name: "new_device", Points: 30}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			change(h)
			ask := decide.Ask{Door: decide.DoorAuthorize, Session: h.session("password"), Client: iam.Client{ID: "app"}, Scope: oauth.Scope{"openid"}}
			ask.Wish.MaxAge = -1
			begun := time.Now()
			decision, err := h.desk.Authorization(t.Context(), ask)
			h.must(err)
			if decision.Verdict != assurance.StepUp || decision.ACR != "urn:strong" || !slices.Equal(decision.Sets, []string{"passkey"}) {
				t.Errorf("%+v", decision)
			}
			if waited := time.Since(begun); waited > 900*time.Millisecond {
				t.Errorf("it waited %v", waited)
			}
			if sure := h.desk.Offline(ask); sure.Verdict == assurance.Permit {
				t.Error("a guess permits what only the facts can tell")
			}
		})
	}
}

func TestAQuestionIsDecidedAgainAsItWas(t *testing.T) {
	h := open(t)
	question := &assurance.Question{
		Door: "operation", API: "https://api.example/bank", Operation: "POST /pay", Scope: oauth.Scope{"pay"},
		Details: []assurance.Detail{{Type: "x", Values: map[string]any{"a": int64(math.MaxInt64), "b": 1.5, "c": []any{int64(1), "s"}, "d": map[string]any{"e": true}}}},
		Client:  assurance.Client{ID: "app", Kind: recipe.Browser}, User: assurance.User{ID: "u-1", Groups: []string{"g"}, Factors: []string{"passkey"}},
		Held: &assurance.Held{ACR: "urn:basic", AuthTime: time.Now().UTC().Truncate(time.Second)}, Answered: []iam.Answer{{Cause: iam.Hash("x"), ACR: "urn:basic", At: time.Now().UTC()}},
		Risk: signal.Result{Score: 5, Findings: []signal.Finding{{Name: "new_hour", Points: 5, Say: "s"}}, Silent: []string{"new_client"}}, Values: map[string]any{"amount": int64(5000)},
		Transaction: signal.Transaction{Amount: 5000, Priced: true, Payee: "ACME"}, Place: assurance.Place{Country: "FR"},
		Wish: assurance.Wish{MaxAge: -1}, Online: true, Now: time.Now().UTC().Truncate(time.Microsecond),
	}
	text, err := decide.Marshal(question)
	h.must(err)
	if strings.Contains(text, "ACME") && strings.Count(text, "urn:basic") > 1 || strings.Contains(text, "null") {
		t.Errorf("something is said twice, or nothing is said: %s", text)
	}
	event := journal.New(question.Now, journal.Decided{Door: question.Door, API: question.API, Operation: question.Operation, Reached: "urn:basic", Score: 5})
	event.Client, event.User = "app", "u-1"
	event.Personal = map[string]string{decide.PersonalFacts: text, decide.PersonalSigns: "s"}
	before, err := decide.Unmarshal(event)
	h.must(err)
	again := &before.Question
	if !reflect.DeepEqual(question, again) || !before.Whole {
		t.Errorf("%+v\n%+v", question, again)
	}
	whole, err := json.Marshal(question) // as it was written before
	h.must(err)
	event.Personal[decide.PersonalFacts] = string(whole)
	if old, err := decide.Unmarshal(event); err != nil || !reflect.DeepEqual(question, &old.Question) || old.Whole {
		t.Errorf("%v: %+v", err, old)
	}
	if one, two := h.policy.Decide(question), h.policy.Decide(again); !reflect.DeepEqual(one, two) || one.Verdict != assurance.StepUp {
		t.Errorf("%+v\n%+v", one, two)
	}
	for _, bad := range []string{"", "{", "[]", `{"Now":3}`, `{"v":2}`, `{"v":1,"scope":"\u0000"}`} {
		event.Personal[decide.PersonalFacts] = bad
		if _, err := decide.Unmarshal(event); err == nil || errors.Is(err, decide.ErrErased) {
			t.Errorf("%q is read", bad)
		}
	}
	event.Personal = nil
	if _, err := decide.Unmarshal(event); !errors.Is(err, decide.ErrErased) {
		t.Errorf("%v of what is erased", err)
	}
}

func TestPermitsAreJournaledSoonAndAtTheEnd(t *testing.T) {
	h := open(t)
	h.session("password")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.desk.Run(ctx) }()
	for range 300 {
		h.call(func(*decide.Call) {})
	}
	stop()
	h.must(<-done)
	events, err := h.tenant.Events(t.Context(), iam.JournalQuery{Kind: "decision.made", Limit: 500})
	h.must(err)
	if len(events) != 300 {
		t.Errorf("%d are kept", len(events))
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(`{"Door":"authorize","Values":{"a":1e400,"b":[1,{"c":0.5}]}}`)
	f.Add(`{"v":1,"scope":"pay","held":5,"spoke":[{"n":"x","p":3}],"values":{"a":1},"wish":{"MaxAge":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		before, err := decide.Unmarshal(journal.Event{Detail: []byte("{}"), Personal: map[string]string{decide.PersonalFacts: text}})
		if err != nil {
			return
		}
		question := &before.Question
		if _, err := decide.Marshal(question); err != nil && question.Now.Year() < 9999 && question.Now.Year() >= 0 {
			t.Skip(err)
		}
	})
}

// BenchmarkOffline is what /authorize pays for a decision where the recipe has no rule.
func BenchmarkOffline(b *testing.B) {
	h := open(b)
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(plain)}}, nil, time.Now())
	h.must(err)
	h.policy, err = assurance.Assemble(bundle, 1, "https://id.example")
	h.must(err)
	ask := decide.Ask{Door: decide.DoorAuthorize, Session: h.session("password"), Client: iam.Client{ID: "app"}, Scope: oauth.Scope{"openid", "pay"}}
	ask.Wish.MaxAge = -1
	b.ReportAllocs()
	for b.Loop() {
		if _, sure := h.desk.Guess(b.Context(), ask); !sure {
			b.Fatal("not sure")
		}
	}
}
