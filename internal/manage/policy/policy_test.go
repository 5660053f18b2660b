package policy_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/manage/policy"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

const text = `garde: 1
levels:
  - {name: basic,  acr: urn:x:basic,  any: [password, passkey]}
  - {name: strong, acr: urn:x:strong, any: [passkey, password+totp]}
scopes:
  read: {say: {en: Read}}
  move: {say: {en: Move}}
apis:
  bank:
    at: https://api.example
    upstream: http://127.0.0.1:1
    operations:
      GET /balance:    {for: [user], scope: read, level: basic}
      POST /transfers:
        for: [user]
        scope: move
        level: basic
        fresh: 5m
        send: {amount: body.cents}
        raise:
          - {when: amount > 50000, level: strong, fresh: 2m}
          - {when: risk.score >= 80, deny: too risky}
clients:
  app: {type: native, redirect_uris: ["http://127.0.0.1/callback"], scopes: [openid, read, move]}
`

func compiled(t *testing.T, text string) *assurance.Policy {
	t.Helper()
	file := filepath.Join(t.TempDir(), "recipe.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bundle, err := recipe.Load(file, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	made, err := assurance.Assemble(bundle, 1, "https://as.example")
	if err != nil {
		t.Fatal(err)
	}
	return made
}

const cases = `cases:
  - name: a balance long after the sign-in
    {api: bank, operation: GET /balance}
`

const good = `cases:
  - name: a balance long after the sign-in
    api: bank
    operation: GET /balance
    client: app
    proved: {password: 3h}
    expect: {verdict: permit, level: basic}
  - name: a transfer long after the sign-in
    api: bank
    operation: POST /transfers
    proved: {password: 3h}
    amount: 100
    expect: {verdict: step_up, level: basic, fresh: 5m}
  - name: much money
    api: bank
    operation: POST /transfers
    user: {factors: [password, totp]}
    proved: {password: 1m}
    amount: 60000
    expect:
      verdict: step_up
      level: strong
      fresh: 2m
      sets: [password+totp]
      rules: ["apis.bank.operations.POST /transfers.raise[0]"]
  - name: an unlikely moment
    api: bank
    operation: POST /transfers
    proved: {passkey: 1m}
    amount: 100
    risk: {score: 90, signals: [new_country]}
    expect: {verdict: deny, reason: too risky}
  - name: a token that is for something else
    api: bank
    operation: GET /balance
    scopes: [move]
    proved: {password: 3h}
    expect: {verdict: deny}
  - name: an authorization for both
    scopes: [read, move]
    proved: {password: 3h}
    expect: {verdict: permit}
`

func TestCasesAreAskedAndCompared(t *testing.T) {
	made := compiled(t, text)
	read, err := policy.Read("recipe.cases.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	tested := policy.Test(made, read, time.Now())
	for _, outcome := range tested.Outcomes {
		if !outcome.Good() {
			t.Errorf("%s: %v, %+v", outcome.Case.Name, outcome.Wrong, outcome.Decision)
		}
	}
	if len(tested.Unasked) != 0 {
		t.Errorf("nobody looked at %v", tested.Unasked)
	}
	t.Run("each expectation can fail", func(t *testing.T) {
		for from, to := range map[string]string{
			"verdict: permit, level: basic": "verdict: deny, level: basic", "level: basic, fresh: 5m": "level: basic, fresh: 6m",
			"sets: [password+totp]": "sets: [passkey]", "raise[0]": "raise[1]", "reason: too risky": "reason: too late",
			"fresh: 2m\n      sets": "fresh: 3m\n      sets", "expect: {verdict: permit}": "expect: {verdict: step_up}",
		} {
			read, err := policy.Read("cases", []byte(strings.Replace(good, from, to, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if tested := policy.Test(made, read, time.Now()); tested.Failed != 1 {
				t.Errorf("%s: %d failed", to, tested.Failed)
			}
		}
	})
	t.Run("what no case looks at is told", func(t *testing.T) {
		tested := policy.Test(made, read[:1], time.Now())
		want := "apis.bank.operations.POST /transfers, apis.bank.operations.POST /transfers.raise[0], apis.bank.operations.POST /transfers.raise[1]"
		if got := strings.Join(tested.Unasked, ", "); got != want {
			t.Errorf("%s", got)
		}
	})
}

func TestFaultsOfAFileOfCases(t *testing.T) {
	for what, row := range map[string]struct{ text, says string }{
		"nothing":              {"", "there is no case: write cases"},
		"no YAML":              {"cases:\n - name: x\n   foo: [\n", "cases:3: did not find"},
		"no case":              {"cases: []", "no case"},
		"a key that is none":   {"cases:\n  - {name: a, operaton: x, expect: {verdict: permit}}", "cases:2: field operaton not found"},
		"two documents":        {"cases: [{name: a, scopes: [x], expect: {verdict: permit}}]\n---\ncases: []", "more than one document"},
		"no verdict":           {"cases:\n  - {name: a, scopes: [x], expect: {level: basic}}", "expect.verdict"},
		"an unknown factor":    {"cases:\n  - {name: a, scopes: [x], proved: {pin: 1m}, expect: {verdict: permit}}", `no factor "pin"`},
		"a factor of nobody":   {"cases:\n  - {name: a, scopes: [x], user: {factors: [pasword]}, expect: {verdict: permit}}", `user.factors: there is no factor "pasword"`},
		"an unknown signal":    {"cases:\n  - {name: a, scopes: [x], risk: {signals: [new_contry]}, expect: {verdict: permit}}", `risk.signals: there is no signal "new_contry"`},
		"too much risk":        {"cases:\n  - {name: a, scopes: [x], risk: {score: 400}, expect: {verdict: permit}}", "risk.score is a number from 0 to 100"},
		"a country by name":    {"cases:\n  - {name: a, scopes: [x], place: {country: Japan}, expect: {verdict: permit}}", "place.country is two capital letters"},
		"a duration that is 0": {"cases:\n  - {name: a, scopes: [x], proved: {totp: 0}, expect: {verdict: permit}}", "duration"},
		"nothing is asked":     {"cases:\n  - {name: a, expect: {verdict: permit}}", "asks for nothing"},
		"half an operation":    {"cases:\n  - {name: a, api: bank, expect: {verdict: permit}}", "belong together"},
		"a detail of no type":  {"cases:\n  - {name: a, details: [{a: 1}], expect: {verdict: permit}}", "no type"},
		"one name twice":       {"cases:\n  - {name: a, scopes: [x], expect: {verdict: permit}}\n  - {name: a, scopes: [x], expect: {verdict: permit}}", "line 2 has this name"},
	} {
		t.Run(what, func(t *testing.T) {
			if _, err := policy.Read("cases", []byte(row.text)); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("what the recipe does not know", func(t *testing.T) {
		for _, said := range []string{
			"cases: [{name: a, api: bank, operation: GET /nowhere, expect: {verdict: deny}}]",
			"cases: [{name: a, api: moon, operation: GET /balance, expect: {verdict: deny}}]",
			"cases: [{name: a, client: nobody, scopes: [read], expect: {verdict: deny}}]",
			"cases: [{name: a, client: app, scopes: [openid, reed], expect: {verdict: step_up}}]",
			"cases: [{name: a, client: app, details: [{type: payment}], expect: {verdict: step_up}}]",
			"cases: [{name: a, client: app, scopes: [read], expect: {verdict: step_up, level: gold}}]",
		} {
			read, err := policy.Read("cases", []byte(said))
			if err != nil {
				t.Fatal(err)
			}
			if tested := policy.Test(compiled(t, text), read, time.Now()); tested.Failed != 1 || !strings.Contains(tested.Outcomes[0].Wrong[0], "the recipe has no") {
				t.Errorf("%s: %+v", said, tested.Outcomes[0].Wrong)
			}
		}
	})
}

// A program of its own has no person: a case that says nothing of one is asked for the program itself, as its tokens are.
func TestAProgramAsksForItself(t *testing.T) {
	made := compiled(t, strings.NewReplacer(
		"clients:\n", "clients:\n  nightly: {type: service, auth: client_secret_basic, secrets: [\"env:NIGHTLY\"], scopes: [read]}\n",
		"GET /balance:    {for: [user], scope: read, level: basic}", "GET /balance:    {for: [user], scope: read, level: basic}\n      GET /statement: {for: [client], scope: read}",
	).Replace(text))
	read, err := policy.Read("cases", []byte(`cases:
  - {name: its own,           api: bank, operation: GET /statement, client: nightly, expect: {verdict: permit}}
  - {name: of people,         api: bank, operation: GET /balance, client: nightly, expect: {verdict: deny, reason: closed}}
  - {name: a person with it,  api: bank, operation: GET /statement, client: nightly, user: {factors: [password]}, expect: {verdict: deny, reason: closed}}
  - {name: proved with it,    api: bank, operation: GET /statement, client: nightly, proved: {password: 1m}, expect: {verdict: deny, reason: closed}}
  - {name: no program at all, api: bank, operation: GET /statement, client: app, expect: {verdict: deny, reason: closed}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, outcome := range policy.Test(made, read, time.Now()).Outcomes {
		if !outcome.Good() {
			t.Errorf("%s: %v", outcome.Case.Name, outcome.Wrong)
		}
	}
}

// What is said of a moment in words that nobody knows is refused in words that people read.
func TestFaultsOfAMoment(t *testing.T) {
	for said, says := range map[string]string{
		"amount=12.50": "amount=12.50: write a whole number", "score=high": "score=high: write a whole number", "bound=maybe": "bound=maybe: write true or false",
		"at=yesterday": "at=yesterday: write a time as 2026-01-31T09:30:00Z", "weather=bad": "nothing of a moment is called weather",
	} {
		name, value, _ := strings.Cut(said, "=")
		if err := new(policy.Case).Set(name, value); err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%s: %v", said, err)
		}
	}
}

func FuzzCases(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(cases))
	f.Add([]byte("cases: [{name: a, at: 2026-01-01T00:00:00Z, values: {a: {b: [1]}}, scopes: [x], expect: {verdict: deny}}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		read, err := policy.Read("f", text)
		if err == nil && len(read) == 0 {
			t.Error("no case and no fault")
		}
		for _, one := range read {
			if err == nil && one.Check() != nil {
				t.Errorf("%+v", one)
			}
		}
	})
}

func TestReplayTellsWhoIsTouched(t *testing.T) {
	before := compiled(t, text)
	read, err := policy.Read("cases", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	var made []policy.Made
	for i, one := range read {
		question, err := one.Question(before, now)
		if err != nil {
			t.Fatal(err)
		}
		if question.Risk.Score > 0 { // what really speaks has points
			question.Risk = signal.Result{Findings: []signal.Finding{{Name: "impossible_travel"}, {Name: "new_device"}, {Name: "new_country"}}}.Recount(nil)
		}
		decision := before.Decide(&question)
		told := policy.Tell(before, decision)
		made = append(made, policy.Made{At: now.Add(time.Duration(i) * time.Minute), User: "u", Verdict: told.Verdict, ACR: told.ACR, Whole: true, Question: question})
	}
	if same := policy.Replay(before, made, 10); same.Same != len(made) || len(same.Changes) != 0 {
		t.Errorf("under the same recipe: %+v", same)
	}
	for what, row := range map[string]struct {
		from, to              string
		asked, refused, eased int
	}{
		"a stricter balance":    {"GET /balance:    {for: [user], scope: read, level: basic}", "GET /balance:    {for: [user], scope: read, level: strong}", 1, 0, 0},
		"an operation is gone":  {"GET /balance:    {for: [user], scope: read, level: basic}", "GET /rates: {for: [user], scope: read}", 0, 1, 0},
		"a limit is lifted":     {"amount > 50000", "amount > 90000", 0, 0, 1},
		"a refusal is taken in": {"risk.score >= 80, deny: too risky", "risk.score >= 95, deny: too risky", 0, 0, 1},
	} {
		t.Run(what, func(t *testing.T) {
			got := policy.Replay(compiled(t, strings.Replace(text, row.from, row.to, 1)), made, 10)
			if got.Asked != row.asked || got.Refused != row.refused || got.Eased != row.eased || got.People != 1 || got.Same+len(got.Changes) != len(made) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Other points, thresholds and signals that count nothing are judged as if the decision were made now; where that can't be
// known, it is said and not guessed.
func TestReplayCountsTheRiskAnew(t *testing.T) {
	const rules = `
garde: 1
risk: {points: {new_device: 0, new_country: 25}}
levels: [{name: basic, acr: "urn:basic", any: [password, passkey]}, {name: strong, acr: "urn:strong", any: [passkey]}]
scopes: {pay: {say: {en: Pay}}}
apis: {bank: {at: "https://api.example/bank", operations: {POST /pay: {for: [user], scope: pay, level: basic, raise: [{when: "risk.score >= 50", level: strong}]}}}}
clients: {app: {type: browser, redirect_uris: ["https://app.example/cb"], scopes: [openid, pay]}}
`
	facts := signal.Facts{Now: time.Now(), Place: signal.Place{Country: "FR"}, Device: signal.Device{Others: 1}, History: signal.History{Visits: 1, Countries: 1, Country: 0}}
	question := assurance.Question{
		Door: "operation", API: "bank", Operation: "POST /pay", Scope: oauth.Scope{"pay"}, User: assurance.User{ID: "u"},
		Held: &assurance.Held{ACR: "urn:basic"}, Wish: assurance.Wish{MaxAge: -1}, Online: true, Now: time.Now(),
		Risk: signal.Judge(&facts, map[string]int{"new_device": 0, "new_country": 25}),
	}
	if question.Risk.Score != 25 || !slices.Equal(question.Risk.Silent, []string{"new_device"}) {
		t.Fatalf("%+v", question.Risk)
	}
	made := policy.Made{User: "u", Verdict: "permit", ACR: "urn:basic", Times: 3, Whole: true, Question: question}
	for what, row := range map[string]struct {
		from, to string
		whole    bool
		want     policy.Replayed
	}{
		"the same":                             {"", "", true, policy.Replayed{Decisions: 3, Same: 3}},
		"a signal that was switched off":       {"new_device: 0", "new_device: 25", true, policy.Replayed{Decisions: 3, Asked: 3, Supposed: 3, People: 1}},
		"its own points":                       {"new_device: 0, ", "", true, policy.Replayed{Decisions: 3, Asked: 3, Supposed: 3, People: 1}},
		"more points":                          {"new_country: 25", "new_country: 50", true, policy.Replayed{Decisions: 3, Asked: 3, Supposed: 3, People: 1}},
		"none at all":                          {"new_country: 25", "new_country: 0", true, policy.Replayed{Decisions: 3, Same: 3}},
		"another threshold":                    {">= 50", ">= 20", true, policy.Replayed{Decisions: 3, Asked: 3, Supposed: 3, People: 1}},
		"noted before":                         {">= 50", ">= 20", false, policy.Replayed{Unweighed: 3}},
		"noted before, and no rule reads it":   {"risk.score >= 50", "client.id == 'x'", false, policy.Replayed{Decisions: 3, Same: 3}},
		"noted before, refused for the client": {`risk.score >= 50", level: strong`, `client.id == ''", deny: no`, false, policy.Replayed{Decisions: 3, Refused: 3, People: 1}},
	} {
		t.Run(what, func(t *testing.T) {
			made.Whole = row.whole
			got := policy.Replay(compiled(t, strings.Replace(rules, row.from, row.to, 1)), []policy.Made{made}, 0)
			row.want.Changes = []policy.Change{}
			if !reflect.DeepEqual(got, row.want) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// What guards an account is judged anew as well: no operation names it, and yet whatever the recipe asks in such a moment counts.
func TestReplayOfWhatGuardsAnAccount(t *testing.T) {
	const rules = `
garde: 1
levels: [{name: basic, acr: "urn:basic", any: [password, passkey]}, {name: strong, acr: "urn:strong", any: [passkey]}]
scopes: {pay: {say: {en: Pay}}}
apis: {bank: {at: "https://api.example/bank", operations: {POST /pay: {for: [user], scope: pay, level: basic, raise: [{when: "place.country == 'JP'", level: strong}]}}}}
clients: {app: {type: browser, redirect_uris: ["https://app.example/cb"], scopes: [openid, pay]}}
`
	now := time.Now()
	before := compiled(t, rules)
	made := func(proved string, held ...string) policy.Made {
		question := assurance.Question{
			Door: assurance.DoorAccount, User: assurance.User{ID: "u", Factors: held}, Proofs: []iam.Proved{{Factor: proved, At: now.Add(-time.Minute)}},
			Wish: assurance.Wish{MaxAge: -1}, Online: true, Now: now, Place: assurance.Place{Country: "FR"},
		}
		told := policy.Tell(before, before.Decide(&question))
		return policy.Made{User: "u", Verdict: told.Verdict, ACR: told.ACR, Whole: true, Question: question}
	}
	weak, strong, between := made("password", "password"), made("passkey", "passkey", "password"), made("password", "passkey", "password")
	if weak.Verdict != "permit" || strong.Verdict != "permit" || between.Verdict != "step_up" {
		t.Fatalf("%s, %s, %s", weak.Verdict, strong.Verdict, between.Verdict)
	}
	for what, row := range map[string]struct {
		from, to       string
		asked, refused int
	}{
		"the same":                           {"", "", 0, 0},
		"a rule that speaks in such moments": {"'JP'", "'FR'", 0, 1},
		"a level that takes more":            {"any: [passkey]", "any: [password+passkey]", 1, 0},
	} {
		t.Run(what, func(t *testing.T) {
			got := policy.Replay(compiled(t, strings.Replace(rules, row.from, row.to, 1)), []policy.Made{weak, strong, between}, 5)
			if got.Asked != row.asked || got.Refused != row.refused || got.Asked+got.Refused+got.Same != 3 {
				t.Errorf("%+v", got)
			}
		})
	}
}
