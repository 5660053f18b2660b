package assurance_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// bank is a recipe in which each operation asks for something else.
const bank = `garde: 1
levels:
  - {name: basic, acr: "urn:basic", any: [password, passkey]}
  - {name: strong, acr: "urn:strong", any: [passkey, password+totp]}
  - {name: highest, acr: "urn:highest", any: [passkey+totp, password+totp+approval]}
scopes:
  read: {say: {en: Read}}
  move: {say: {en: Move}}
  pay: {say: {en: Pay}}
  post: {say: {en: Post}}
raise:
  - {when: risk.score >= 90, deny: "this looks too unlike you, please call us"}
apis:
  bank:
    at: https://api.bank.example
    authorization_details:
      payment: {schema: payment.json, say: {en: "Pay {amount} to {to}"}, amount: amount, currency: currency, payee: to}
    operations:
      GET /rates: {open: public prices}
      GET /balance: {for: [user], scope: read}
      POST /transfers: {for: [user], scope: move, level: basic, fresh: 5m}
      POST /recipients:
        for: [user]
        scope: move
        level: strong
        fresh: 2m
        raise:
          - {when: risk.new_country || risk.impossible_travel, level: highest, fresh: 30s}
          - {when: "'blocked' in user.groups", deny: your account is under review}
      POST /payments:
        for: [user]
        scope: pay
        level: basic
        raise:
          - {when: amount > 100000, level: strong}
          - {when: "client.kind == 'native' && token.age > 3600", fresh: 10m}
          - {when: "values.memo == 'gift'", level: strong}
        details: payment
        match: {amount: body.amount, to: body.to, note.memo: body.memo}
        send: {memo: body.memo, to: body.to}
      POST /ledger:
        for: [client]
        scope: post
        raise: [{when: "now.getHours() < 6", deny: the books are closed}]
      POST /sealed:
        for: [user]
        scope: read
        raise: [{when: "client.kind == 'browser'", level: strong}, {when: "!known.country", fresh: 1m}]
  vault:
    at: https://vault.bank.example
    bound: required
    operations:
      GET /box: {for: [user], scope: read, level: basic}
clients:
  app: {type: native, redirect_uris: ["com.bank.app:/callback"], scopes: [openid, read, move, pay], authorization_details_types: [payment]}
  poster: {type: service, auth: client_secret_basic, scopes: [post]}
signin:
  factors: [password, passkey, totp, approval]
  enrol:
    - {level: strong, groups: [staff]}
    - {level: highest, groups: [staff], until: 2027-01-31}
`

const home = "https://api.bank.example"

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func compiled(t testing.TB, text string) *assurance.Policy {
	t.Helper()
	files := map[string][]byte{}
	if strings.Contains(text, "payment.json") {
		files["payment.json"] = []byte(`{"type":"object"}`)
	}
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(text)}}, files, noon)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := assurance.Assemble(bundle, 1, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// proved is a factor that was proved some time before noon.
func proved(factor string, ago time.Duration) iam.Proved {
	methods := map[string][]string{"password": {"pwd"}, "passkey": {"swk", "user", "mfa"}, "totp": {"otp"}, "approval": {"mca"}}[factor]
	return iam.Proved{Factor: factor, At: noon.Add(-ago), Begun: noon.Add(-ago - 5*time.Second), Methods: methods}
}

// person asks with everything that a person may have and nothing odd about the moment.
func person(proofs ...iam.Proved) *assurance.Question {
	return &assurance.Question{
		Door: "authorize", Client: assurance.Client{ID: "app", Kind: recipe.Native, Bound: true},
		User:   assurance.User{ID: "ada", Factors: []string{"password", "passkey", "totp"}, Created: noon.AddDate(-1, 0, 0)},
		Proofs: proofs, Place: assurance.Place{Country: "FR", Network: "AS64500"}, Wish: assurance.Wish{MaxAge: -1}, Online: true, Now: noon,
	}
}

func call(operation, scope string, proofs ...iam.Proved) *assurance.Question {
	q := person(proofs...)
	q.Door, q.API, q.Operation, q.Scope = "operation", home, operation, oauth.Scope{scope}
	return q
}

func with(q *assurance.Question, change func(q *assurance.Question)) *assurance.Question {
	change(q)
	return q
}

func fired(score int, names ...string) signal.Result {
	result := signal.Result{Score: score}
	for _, name := range names {
		result.Findings = append(result.Findings, signal.Finding{Name: name, Points: 10, Say: name + " spoke"})
	}
	return result
}

// answer is a decision in one line: verdict, acr, freshness, sets, claim.
func answer(d assurance.Decision) string {
	words := []string{d.Verdict.String()}
	if d.Ask {
		words = append(words, "ask")
	}
	if d.ACR != "" {
		words = append(words, d.ACR)
	}
	if d.Fresh > 0 {
		words = append(words, d.Fresh.String())
	}
	for i, set := range d.Sets {
		words = append(words, set+"-"+strings.Join(d.Missing[i], "+"))
	}
	for _, set := range d.Enrol {
		words = append(words, "enrol:"+set)
	}
	if d.Claim.ACR != "" {
		words = append(words, "says", d.Claim.ACR, noon.Sub(d.Claim.AuthTime).String(), strings.Join(d.Claim.AMR, ","))
	}
	for _, reason := range d.Reasons {
		if reason.Code == assurance.ReasonClosed || reason.Code == assurance.ReasonUnreachable || reason.Code == assurance.ReasonDenied {
			words = append(words, reason.Code)
		}
	}
	return strings.Join(words, " ")
}

const (
	hour   = time.Hour
	minute = time.Minute
)

func TestWhatADecisionAsksFor(t *testing.T) {
	p := compiled(t, bank)
	scope := func(scopes string, proofs ...iam.Proved) *assurance.Question {
		return with(person(proofs...), func(q *assurance.Question) { q.Scope = oauth.Scope(strings.Fields(scopes)) })
	}
	payment := func(amount any, proofs ...iam.Proved) *assurance.Question {
		return with(scope("pay", proofs...), func(q *assurance.Question) {
			q.Details = []assurance.Detail{{Type: "payment", Values: map[string]any{"amount": amount, "to": "ACME", "note": map[string]any{"memo": "rent"}}}}
			q.Transaction = p.TransactionOf(q.Details[0])
		})
	}
	for name, row := range map[string]struct {
		ask  *assurance.Question
		want string
	}{
		// At authorize: the lowest level that a scope opens.
		"a session opens the lowest":                   {scope("openid read", proved("password", 9*hour)), "permit urn:basic says urn:basic 9h0m0s pwd"},
		"of several scopes the least counts":           {scope("move read", proved("password", 9*hour)), "permit urn:basic says urn:basic 9h0m0s pwd"},
		"of one scope the least of its operations":     {scope("move", proved("password", minute)), "permit urn:basic 5m0s says urn:basic 1m0s pwd"},
		"a scope whose operations all ask to be fresh": {scope("move", proved("password", hour)), "step_up urn:basic 5m0s password-password passkey-passkey"},
		"nobody has signed in":                         {scope("openid"), "step_up urn:basic password-password passkey-passkey"},
		"S12 proofs of a level say the level":          {scope("read", proved("password", hour), proved("totp", 2*hour)), "permit urn:basic says urn:strong 2h0m0s pwd,otp,mfa"},
		"a proof from the future is none":              {scope("read", proved("password", -2*minute)), "step_up urn:basic password-password passkey-passkey"},
		"clocks of nodes differ a little":              {scope("read", proved("password", -30*time.Second)), "permit urn:basic says urn:basic -30s pwd"},
		"wished: a level that is there":                {with(scope("read", proved("passkey", hour)), func(q *assurance.Question) { q.Wish.ACR = []string{"urn:strong"} }), "permit urn:strong says urn:strong 1h0m0s swk,user,mfa"},
		"wished: a higher level":                       {with(scope("read", proved("password", hour)), func(q *assurance.Question) { q.Wish.ACR = []string{"urn:strong"} }), "step_up urn:strong passkey-passkey password+totp-totp"},
		"wished: the lowest of several that can be":    {with(scope("read", proved("password", hour)), func(q *assurance.Question) { q.Wish.ACR = []string{"urn:highest", "urn:basic"} }), "permit urn:basic says urn:basic 1h0m0s pwd"},
		"wished: a level that nobody knows":            {with(scope("read", proved("password", hour)), func(q *assurance.Question) { q.Wish.ACR = []string{"urn:moon"} }), "permit urn:basic says urn:basic 1h0m0s pwd"},
		"essential: a level that nobody knows":         {with(scope("read", proved("password", hour)), func(q *assurance.Question) { q.Wish.Essential = []string{"urn:moon"} }), "deny unreachable"},
		"essential: one that is there":                 {with(scope("read", proved("passkey", hour)), func(q *assurance.Question) { q.Wish.Essential = []string{"urn:moon", "urn:strong"} }), "permit urn:strong says urn:strong 1h0m0s swk,user,mfa"},
		"essential: one that a factor would have to be added for": {with(scope("read", proved("password", hour)), func(q *assurance.Question) {
			q.Wish.Essential, q.User.Factors = []string{"urn:strong"}, []string{"password"}
		}), "step_up urn:strong enrol:passkey enrol:password+totp"},
		"max_age: old":   {with(scope("read", proved("password", hour)), func(q *assurance.Question) { q.Wish.MaxAge = 10 * minute }), "step_up urn:basic 10m0s password-password passkey-passkey"},
		"max_age: young": {with(scope("read", proved("password", minute)), func(q *assurance.Question) { q.Wish.MaxAge = 10 * minute }), "permit urn:basic 10m0s says urn:basic 1m0s pwd"},
		"max_age: a wish for less changes nothing":          {with(scope("move", proved("password", hour)), func(q *assurance.Question) { q.Wish.MaxAge = 10 * hour }), "step_up urn:basic 5m0s password-password passkey-passkey"},
		"S12 max_age=0: never without a challenge":          {with(scope("read", proved("password", time.Second)), func(q *assurance.Question) { q.Wish.MaxAge = 0 }), "step_up urn:basic 1ns password-password passkey-passkey"},
		"S12 max_age=0: what was begun after the challenge": {with(scope("read", proved("password", time.Second)), func(q *assurance.Question) { q.Wish.MaxAge, q.Since = 0, noon.Add(-minute) }), "permit urn:basic 1ns says urn:basic 1s pwd"},
		"a challenge that was answered too slowly":          {with(scope("read", proved("password", 6*minute)), func(q *assurance.Question) { q.Wish.MaxAge, q.Since = 0, noon.Add(-hour) }), "step_up urn:basic 1ns password-password passkey-passkey"},
		"what was begun before the challenge":               {with(scope("read", proved("password", 2*minute)), func(q *assurance.Question) { q.Wish.MaxAge, q.Since = 0, noon.Add(-2*minute) }), "step_up urn:basic 1ns password-password passkey-passkey"},

		// The oldest factor counts.
		"S12 an old passkey is not passed off with a new password": {with(scope("read", proved("passkey", 3*hour), proved("password", 0)), func(q *assurance.Question) {
			q.Wish.ACR, q.Wish.MaxAge = []string{"urn:strong"}, 10*minute
		}), "step_up urn:strong 10m0s passkey-passkey password+totp-totp"},
		"S12 a fresh need is served by the newer claim": {scope("move", proved("passkey", 3*hour), proved("password", 0)), "permit urn:basic 5m0s says urn:basic 0s pwd"},

		// Details ask for exactly their operations.
		"a small payment":                   {payment(int64(500), proved("password", hour)), "permit urn:basic says urn:basic 1h0m0s pwd"},
		"a large payment":                   {payment(int64(100001), proved("password", hour)), "step_up urn:strong passkey-passkey password+totp-totp"},
		"S11 an amount that is none":        {payment("12.50", proved("password", hour)), "step_up urn:strong passkey-passkey password+totp-totp"},
		"an amount that is no whole number": {payment(1.5, proved("passkey", hour)), "permit urn:strong says urn:strong 1h0m0s swk,user,mfa"},
		"a gift":                            {with(payment(int64(1), proved("password", hour)), func(q *assurance.Question) { q.Details[0].Values["note"] = map[string]any{"memo": "gift"} }), "step_up urn:strong passkey-passkey password+totp-totp"},
		"two details that do not agree on a memo": {with(payment(int64(1), proved("password", hour)), func(q *assurance.Question) {
			q.Details = append(q.Details, assurance.Detail{Type: "payment", Values: map[string]any{"note": map[string]any{"memo": "x"}}})
		}), "step_up urn:strong passkey-passkey password+totp-totp"},
		"two details that agree on a memo":  {with(payment(int64(1), proved("password", hour)), func(q *assurance.Question) { q.Details = append(q.Details, q.Details[0]) }), "permit urn:basic says urn:basic 1h0m0s pwd"},
		"no memo at all":                    {with(payment(int64(1), proved("password", hour)), func(q *assurance.Question) { delete(q.Details[0].Values, "note") }), "step_up urn:strong passkey-passkey password+totp-totp"},
		"a large payment on an old session": {payment(int64(100001), proved("passkey", 2*hour)), "step_up urn:strong 10m0s passkey-passkey password+totp-password+totp"},

		// Operations.
		"an open operation":                    {with(call("GET /rates", ""), func(q *assurance.Question) { q.User = assurance.User{} }), "permit"},
		"an operation that is not there":       {call("GET /nothing", "read", proved("password", 0)), "deny closed"},
		"an API by its name":                   {with(call("GET /balance", "read", proved("password", hour)), func(q *assurance.Question) { q.API = "bank" }), "permit says urn:basic 1h0m0s pwd"},
		"an API that is not there":             {with(call("GET /balance", "read", proved("password", 0)), func(q *assurance.Question) { q.API = "" }), "deny closed"},
		"a token with another scope":           {call("GET /balance", "move", proved("passkey", 0)), "deny closed"},
		"a client where people are asked":      {with(call("GET /balance", "read"), func(q *assurance.Question) { q.User = assurance.User{} }), "deny closed"},
		"a person where clients are asked":     {call("POST /ledger", "post", proved("passkey", 0)), "deny closed"},
		"a client for itself":                  {with(call("POST /ledger", "post"), func(q *assurance.Question) { q.User = assurance.User{} }), "permit"},
		"a client for itself by night":         {with(call("POST /ledger", "post"), func(q *assurance.Question) { q.User, q.Now = assurance.User{}, noon.Add(-7*hour) }), "deny denied"},
		"a token that is bound to no key":      {with(call("GET /box", "read", proved("password", 0)), func(q *assurance.Question) { q.API, q.Client.Bound = "vault", false }), "deny closed"},
		"a token that is bound":                {with(call("GET /box", "read", proved("password", 0)), func(q *assurance.Question) { q.API = "vault" }), "permit urn:basic says urn:basic 0s pwd"},
		"a recipient at home":                  {call("POST /recipients", "move", proved("passkey", minute)), "permit urn:strong 2m0s says urn:strong 1m0s swk,user,mfa"},
		"a recipient in another country":       {with(call("POST /recipients", "move", proved("passkey", minute)), func(q *assurance.Question) { q.Risk = fired(20, "new_country") }), "step_up urn:highest 30s passkey+totp-passkey+totp"},
		"a recipient, too risky":               {with(call("POST /recipients", "move", proved("passkey", minute)), func(q *assurance.Question) { q.Risk = fired(95, "failures") }), "deny denied"},
		"a recipient of somebody under review": {with(call("POST /recipients", "move", proved("passkey", 0)), func(q *assurance.Question) { q.User.Groups = []string{"blocked"} }), "deny denied"},
		"S11 nothing could be found out":       {with(call("POST /recipients", "move", proved("passkey", 0)), func(q *assurance.Question) { q.Risk = fired(40, "unreachable") }), "step_up urn:highest 30s passkey+totp-totp"},
		"a rule raises beyond what somebody has: no factor is added": {with(call("POST /recipients", "move", proved("passkey", 0)), func(q *assurance.Question) {
			q.Risk, q.User.Factors = fired(20, "new_country"), []string{"password", "passkey"}
		}), "deny urn:highest 30s unreachable"},
		"the operation asks beyond what somebody has": {with(call("POST /recipients", "move", proved("password", 0)), func(q *assurance.Question) { q.User.Factors = []string{"password"} }), "step_up urn:strong 2m0s enrol:passkey enrol:password+totp"},
		"a factor that the recipe does not offer":     {with(call("POST /recipients", "move", proved("password", 0)), func(q *assurance.Question) { q.User.Factors = []string{"password", "security_key"} }), "step_up urn:strong 2m0s enrol:passkey enrol:password+totp"},
		"a memo": {with(call("POST /payments", "pay", proved("password", 0)), func(q *assurance.Question) {
			q.Transaction, q.Values = signal.Transaction{Amount: 1, Priced: true}, map[string]any{"memo": "gift"}
		}), "step_up urn:strong passkey-passkey password+totp-totp"},
		"another memo": {with(call("POST /payments", "pay", proved("password", 0)), func(q *assurance.Question) {
			q.Transaction, q.Values = signal.Transaction{Amount: 1, Priced: true}, map[string]any{"memo": "rent"}
		}), "permit urn:basic says urn:basic 0s pwd"},
		"no memo": {with(call("POST /payments", "pay", proved("password", 0)), func(q *assurance.Question) {
			q.Transaction, q.Values = signal.Transaction{Amount: 1, Priced: true}, map[string]any{}
		}), "step_up urn:strong passkey-passkey password+totp-totp"},
		"an odd memo": {with(call("POST /payments", "pay", proved("password", 0)), func(q *assurance.Question) {
			q.Transaction, q.Values = signal.Transaction{Amount: 1, Priced: true}, map[string]any{"memo": []any{int64(1)}}
		}), "permit urn:basic says urn:basic 0s pwd"},
		"S11 an unknown place": {with(call("POST /sealed", "read", proved("password", hour)), func(q *assurance.Question) { q.Place = assurance.Place{} }), "step_up 1m0s password-password passkey-passkey"},

		// Tokens.
		"a token that says enough":         {with(call("POST /transfers", "move"), func(q *assurance.Question) { q.Held = &assurance.Held{ACR: "urn:strong", AuthTime: noon.Add(-minute)} }), "permit urn:basic 5m0s says urn:strong 1m0s "},
		"a token that was fresh":           {with(call("POST /transfers", "move"), func(q *assurance.Question) { q.Held = &assurance.Held{ACR: "urn:strong", AuthTime: noon.Add(-hour)} }), "step_up urn:basic 5m0s password-password passkey-passkey"},
		"a token of an unknown level":      {with(call("POST /transfers", "move"), func(q *assurance.Question) { q.Held = &assurance.Held{ACR: "urn:moon", AuthTime: noon} }), "step_up urn:basic 5m0s password-password passkey-passkey"},
		"a token without a time":           {with(call("POST /transfers", "move"), func(q *assurance.Question) { q.Held = &assurance.Held{ACR: "urn:basic"} }), "step_up urn:basic 5m0s password-password passkey-passkey"},
		"a token does not lend proofs":     {with(call("POST /recipients", "move", proved("passkey", 0)), func(q *assurance.Question) { q.Held = &assurance.Held{ACR: "urn:basic", AuthTime: noon} }), "step_up urn:strong 2m0s passkey- password+totp-password+totp"},
		"a token where no level is needed": {with(call("GET /balance", "read"), func(q *assurance.Question) { q.Held = &assurance.Held{} }), "permit"},
		"a refresh does not ask how fresh": {with(scope("move"), func(q *assurance.Question) {
			q.Door, q.Online, q.Held = "token", false, &assurance.Held{ACR: "urn:basic", AuthTime: noon.Add(-9 * hour)}
		}), "permit urn:basic says urn:basic 9h0m0s "},
		"a refresh by a lower level": {with(scope("move"), func(q *assurance.Question) { q.Door, q.Online, q.Held = "token", false, &assurance.Held{} }), "step_up urn:basic password-password passkey-passkey"},

		// The Gate, offline.
		"offline: enough, but a rule might refuse": {offline(with(call("POST /transfers", "move"), held("urn:basic", minute))), "deny ask urn:basic 5m0s"},
		"offline: not enough in any case":          {offline(with(call("POST /transfers", "move"), held("urn:basic", hour))), "step_up urn:basic 5m0s password-password passkey-passkey"},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.Decide(row.ask)
			if answer(got) != row.want {
				t.Errorf("got  %s\nwant %s\n%+v", answer(got), row.want, got)
			}
			if (got.Verdict == assurance.Permit || got.Ask) == (len(got.Reasons) > 0) {
				t.Errorf("reasons: %+v", got.Reasons)
			}
		})
	}
}

func held(acr string, ago time.Duration) func(q *assurance.Question) {
	return func(q *assurance.Question) { q.Held = &assurance.Held{ACR: acr, AuthTime: noon.Add(-ago)} }
}

// offline is what a Gate can ask.
func offline(q *assurance.Question) *assurance.Question {
	q.Online, q.User.Factors, q.User.Groups, q.Place = false, nil, nil, assurance.Place{}
	return q
}

func TestWhatAGateCanTell(t *testing.T) {
	for name, row := range map[string]struct {
		rule string // of the operation
		held string
		want string
	}{
		"nothing to know":  {`{when: "client.kind == 'browser'", level: strong}`, "urn:basic", "permit urn:basic says urn:basic 1m0s "},
		"it applies":       {`{when: "client.kind == 'native'", level: strong}`, "urn:basic", "step_up urn:strong passkey-passkey password+totp-password+totp"},
		"it can't be told": {`{when: risk.new_device, level: strong}`, "urn:basic", "deny ask urn:basic"},
		"it can't be told and would be satisfied": {`{when: risk.new_device, level: strong}`, "urn:strong", "permit urn:basic says urn:strong 1m0s "},
		"it can't be told and might refuse":       {`{when: risk.score > 50, deny: no}`, "urn:strong", "deny ask urn:basic"},
		"what is unknown does not matter":         {`{when: "client.kind == 'browser' && risk.new_device", deny: no}`, "urn:basic", "permit urn:basic says urn:basic 1m0s "},
		"what is unknown does not help":           {`{when: "client.kind == 'native' || risk.new_device", deny: no}`, "urn:basic", "deny denied"},
		"an amount":                               {`{when: amount > 5, level: strong}`, "urn:basic", "deny ask urn:basic"},
		"groups":                                  {`{when: "!('staff' in user.groups)", deny: no}`, "urn:basic", "deny ask urn:basic"},
		"a fault of its own is not the Server's":  {`{when: "1 / (token.age - 60) > 0", deny: no}`, "urn:basic", "deny denied"},
		"a value of the request":                  {`{when: "values.to == 'x'", fresh: 30s}`, "urn:basic", "deny ask urn:basic"},
		"the age of the token":                    {`{when: token.age > 30, level: strong}`, "urn:basic", "step_up urn:strong passkey-passkey password+totp-password+totp"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(bank, "POST /transfers: {for: [user], scope: move, level: basic, fresh: 5m}",
				"POST /transfers: {for: [user], scope: move, level: basic, raise: ["+row.rule+"]}", 1)
			p := compiled(t, strings.Replace(text, "raise:\n  - {when: risk.score >= 90, deny: \"this looks too unlike you, please call us\"}\n", "", 1))
			q := offline(with(call("POST /transfers", "move"), held(row.held, minute)))
			got := p.Decide(q)
			if got.Rules != nil && strings.Contains(row.want, "permit") {
				t.Errorf("rules: %v", got.Rules)
			}
			if answer(got) != row.want {
				t.Errorf("got  %s\nwant %s", answer(got), row.want)
			}
		})
	}
}

func TestAnAnswerEndsWhatRaised(t *testing.T) {
	p := compiled(t, bank)
	q := func(change func(*assurance.Question)) *assurance.Question {
		return with(call("POST /recipients", "move", proved("passkey", 90*time.Second), proved("totp", 90*time.Second)), func(q *assurance.Question) {
			q.Risk = fired(20, "new_country", "unusual_hour")
			change(q)
		})
	}
	first := p.Decide(q(func(*assurance.Question) {}))
	if first.Verdict != assurance.StepUp || first.Cause.Zero() || !slices.Equal(first.Rules, []string{"apis.bank.operations.POST /recipients.raise[0]"}) {
		t.Fatalf("%+v", first)
	}
	answered := func(q *assurance.Question) {
		q.Answered = []iam.Answer{{Cause: first.Cause, ACR: "urn:highest", At: noon}}
	}
	for name, row := range map[string]struct {
		change func(*assurance.Question)
		want   assurance.Verdict
	}{
		"the same":                      {func(*assurance.Question) {}, assurance.Permit},
		"a sign that no rule reads":     {func(q *assurance.Question) { q.Risk = fired(50, "new_country", "new_client") }, assurance.Permit},
		"another sign":                  {func(q *assurance.Question) { q.Risk = fired(20, "new_country", "impossible_travel") }, assurance.StepUp},
		"another country":               {func(q *assurance.Question) { q.Place.Country = "DE" }, assurance.StepUp},
		"another payee":                 {func(q *assurance.Question) { q.Transaction.Payee = "ACME" }, assurance.StepUp},
		"another person":                {func(q *assurance.Question) { q.User.ID = "bob" }, assurance.StepUp},
		"another operation":             {func(q *assurance.Question) { q.API = "bank" }, assurance.StepUp},
		"an answer at a lower level":    {func(q *assurance.Question) { q.Answered[0].ACR = "urn:strong" }, assurance.StepUp},
		"an answer at an unknown level": {func(q *assurance.Question) { q.Answered[0].ACR = "urn:moon" }, assurance.StepUp},
		"an answer to nothing":          {func(q *assurance.Question) { q.Answered[0].Cause = iam.Digest{} }, assurance.StepUp},
		"the level is no longer there":  {func(q *assurance.Question) { q.Proofs = q.Proofs[:1] }, assurance.StepUp},
		"what the operation asks is old": {func(q *assurance.Question) {
			q.Proofs = []iam.Proved{proved("passkey", 3*minute), proved("totp", 3*minute)}
		}, assurance.StepUp},
		"a refusal is never answered": {func(q *assurance.Question) { q.Risk.Score = 95 }, assurance.Deny},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.Decide(q(func(q *assurance.Question) { answered(q); row.change(q) }))
			if got.Verdict != row.want {
				t.Errorf("%s: %+v", answer(got), got.Reasons)
			}
		})
	}
}

func TestWhatIsMissing(t *testing.T) {
	need := iam.Need{ACR: "urn:strong", Fresh: 2 * minute, Sets: []string{"passkey", "password+totp"}, Since: noon.Add(-4 * minute)}
	got := assurance.Missing(need, []iam.Proved{proved("password", 3*minute), proved("totp", hour), proved("passkey", 4*minute)}, noon)
	if len(got) != 2 || !slices.Equal(got[0], []string{"passkey"}) || !slices.Equal(got[1], []string{"totp"}) {
		t.Errorf("%v", got)
	}
	for set, want := range map[string]bool{"password": true, "": false, "totp": false, "password+totp": false} {
		if assurance.Satisfied(set, need, []iam.Proved{proved("password", 3*minute), proved("totp", hour)}, noon) != want {
			t.Errorf("%q is satisfied: %v", set, !want)
		}
	}
}

func TestClaimsNeverMix(t *testing.T) {
	p := compiled(t, bank)
	proofs := []iam.Proved{proved("passkey", 3*hour), proved("password", minute), proved("password", hour), proved("totp", 2*minute)}
	for name, row := range map[string]struct {
		need iam.Need
		want assurance.Claim
	}{
		"nothing in particular": {iam.Need{}, assurance.Claim{ACR: "urn:highest", AMR: []string{"swk", "user", "mfa", "otp"}, AuthTime: noon.Add(-3 * hour)}},
		"fresh":                 {iam.Need{Fresh: 5 * minute}, assurance.Claim{ACR: "urn:strong", AMR: []string{"pwd", "otp", "mfa"}, AuthTime: noon.Add(-2 * minute)}},
		"fresher":               {iam.Need{Fresh: 90 * time.Second}, assurance.Claim{ACR: "urn:basic", AMR: []string{"pwd"}, AuthTime: noon.Add(-minute)}},
		"the highest and fresh": {iam.Need{ACR: "urn:highest", Fresh: minute}, assurance.Claim{}},
		"an unknown level":      {iam.Need{ACR: "urn:moon"}, assurance.Claim{}},
	} {
		got := p.ClaimOf(proofs, row.need, noon)
		if got.ACR != row.want.ACR || !got.AuthTime.Equal(row.want.AuthTime) || !slices.Equal(got.AMR, row.want.AMR) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if p.ReachedBy(proofs) != "urn:highest" || p.ReachedBy(proofs[1:3]) != "urn:basic" || p.ReachedBy(nil) != "" || (*assurance.Policy)(nil).ReachedBy(proofs) != "" {
		t.Error("reached by")
	}
}

func TestTheZeroPolicyDecidesNo(t *testing.T) {
	for name, p := range map[string]*assurance.Policy{"none": nil, "zero": {}, "no level": assurance.Compile(&recipe.Recipe{}, 1, issuer)} {
		for _, q := range []*assurance.Question{person(proved("passkey", 0)), call("GET /balance", "read", proved("passkey", 0)), {}} {
			if got := p.Decide(q); got.Verdict == assurance.Permit && (q.User.ID != "" || name != "no level") {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if p.NeedsOnline("bank", "GET /balance") || p.Operations("bank") != nil {
			t.Errorf("%s knows operations", name)
		}
	}
}

func TestTheListOfOperations(t *testing.T) {
	p := compiled(t, bank)
	all := p.Operations("bank")
	if len(all) != 7 || !slices.EqualFunc(all, p.Operations(home), func(a, b assurance.OperationInfo) bool { return a.Name == b.Name }) {
		t.Fatalf("%d operations", len(all))
	}
	info, known := p.OperationOf("bank", "POST /recipients")
	if !known || info.Level != "strong" || info.ACR != "urn:strong" || info.Fresh != 2*minute || info.Rules != 3 || !info.Online || info.Scope != "move" || info.API != "bank" {
		t.Errorf("%+v", info)
	}
	if info, _ := p.OperationOf(home, "GET /rates"); info.Open == "" || info.Rules != 0 || info.Online {
		t.Errorf("%+v", info)
	}
	if _, known := p.OperationOf("vault", "GET /rates"); known {
		t.Error("an operation of another API")
	}
	if send, match := p.Mapped("bank", "POST /payments"); send["memo"] != "body.memo" || match["to"] != "body.to" {
		t.Errorf("%v, %v", send, match)
	}
	paid := p.TransactionOf(assurance.Detail{Type: "payment", Values: map[string]any{"amount": 12.0, "currency": "EUR", "to": "ACME"}})
	if paid != (signal.Transaction{Amount: 12, Priced: true, Currency: "EUR", Payee: "ACME"}) {
		t.Errorf("%+v", paid)
	}
}

func TestWhoMustAddAFactor(t *testing.T) {
	p := compiled(t, bank)
	for name, row := range map[string]struct {
		groups, factors []string
		level           string
		now             bool
	}{
		"nobody is meant":       {nil, []string{"password"}, "", false},
		"what can't be put off": {[]string{"staff"}, []string{"password"}, "strong", true},
		"what can be put off":   {[]string{"x", "staff"}, []string{"passkey"}, "highest", false},
		"who has everything":    {[]string{"staff"}, []string{"passkey", "totp"}, "", false},
	} {
		due, found := p.EnrolDue(row.groups, row.factors, noon)
		if found != (row.level != "") || due.Level != row.level || due.Now != row.now || found && len(due.Sets) == 0 {
			t.Errorf("%s: %+v", name, due)
		}
	}
	if due, found := p.EnrolDue([]string{"staff"}, []string{"passkey"}, time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)); !found || !due.Now {
		t.Errorf("after the last day: %+v", due)
	}
}

func TestRulesThatCanNotBeCompiled(t *testing.T) {
	for name, row := range map[string]struct{ when, want string }{
		"a name that nobody knows": {"risk.new_devise", "column 5: undeclared reference to 'risk.new_devise'"},
		"a type that does not fit": {"risk.score > 'high'", "column 12: found no matching overload"},
		"not true or false":        {"risk.score", "column 1: a rule is true or false, and this is int"},
		"something broken":         {"risk.score >", "column 13: Syntax error"},
		"a pattern of a caller":    {"values.memo.matches(values.pattern)", "column 27: a pattern must be written in the rule itself"},
		"a pattern of parts":       {"matches(payee, 'a' + currency)", "column 20: a pattern must be written in the rule itself"},
		"a pattern without end":    {"payee.matches('(.{0,900}x)')", "column 15: the pattern is too large"},
		"a pattern that is none":   {"payee.matches('(')", "error parsing regexp"},
		"a time zone of a caller":  {"now.getHours(values.zone) < 6", "column 20: a time zone must be written in the rule itself"},
		"the zone of a machine":    {"now.getHours('Local') < 6", "column 14: the time zone of a machine is nobody's"},
		"a zone that is none":      {"now.getHours('Europe/Nowhere') < 6", "column 14: the time zone Europe/Nowhere is not known"},
		"no file of a machine":     {"now.getHours('../../etc/passwd') < 6", "column 14: the time zone ../../etc/passwd is not known"},
		"an offset that is none":   {"now.getHours('+25:00') < 6", "column 14: the time zone +25:00 is neither"},
		"too deep":                 {strings.Repeat("(", 60) + "true" + strings.Repeat(")", 60), "expression recursion limit exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(bank, "risk.new_country || risk.impossible_travel", "\""+row.when+"\"", 1)
			bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(text)}}, map[string][]byte{"payment.json": []byte(`{"type":"object"}`)}, noon)
			if err != nil {
				t.Fatal(err)
			}
			_, err = assurance.Assemble(bundle, 1, issuer)
			if err == nil || !strings.Contains(err.Error(), "recipe.yaml:28: apis.bank.operations[POST /recipients].raise[0].when: ") || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v", err)
			}
			if check := assurance.Check(bundle); check == nil || check.Error() != err.Error() {
				t.Errorf("check says %v", check)
			}
			p := assurance.Compile(bundle.Recipe, 1, issuer) // without Assemble such a rule applies
			if p.Err() == nil || compiled(t, bank).Err() != nil {
				t.Errorf("%v", p.Err())
			}
			if got := p.Decide(call("POST /recipients", "move", proved("passkey", 0))); got.ACR != "urn:highest" {
				t.Errorf("%+v", got)
			}
		})
	}
}
