package assurance_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// conditions are expressions that a generated rule may have. None of them negates a sign of risk: a recipe that asks for
// more when there is none means what it says.
var conditions = []string{
	"true", "risk.new_device", "risk.new_country || risk.failures", "risk.score >= 20", "amount > 1000", "known.amount && amount > 1000",
	"client.kind == 'native'", "'staff' in user.groups", "place.country == 'KP'", "values.memo == 'gift'", "token.age > 600", "payee == 'ACME'",
	"1 / 0 > 1", "api == 'bank' && risk.unknown", "door == 'operation'", "now > timestamp('2020-01-01T00:00:00Z')", "size(scopes) > 1",
}

var (
	genLevel = rapid.SampledFrom([]string{"", "basic", "strong", "highest"})
	genFresh = rapid.SampledFrom([]recipe.Duration{0, recipe.Duration(30 * time.Second), recipe.Duration(5 * minute), recipe.Duration(hour)})
	genAgo   = rapid.SampledFrom([]time.Duration{-2 * minute, 0, 20 * time.Second, minute, 4 * minute, 20 * minute, 3 * hour})
)

func genRule(t *rapid.T) recipe.Raise {
	rule := recipe.Raise{When: rapid.SampledFrom(conditions).Draw(t, "when")}
	if rapid.IntRange(0, 7).Draw(t, "kind") == 0 {
		rule.Deny = recipe.Words{"en": "no"}
		return rule
	}
	rule.Level, rule.Fresh = genLevel.Draw(t, "level"), genFresh.Draw(t, "fresh")
	return rule
}

func genRecipe(t *rapid.T) *recipe.Recipe {
	operation := func(scope string) recipe.Operation {
		return recipe.Operation{
			For: []recipe.Caller{recipe.ForUser}, Scope: scope, Level: genLevel.Draw(t, "operation's level"), Fresh: genFresh.Draw(t, "operation's fresh"),
			Raise: rapid.SliceOfN(rapid.Custom(genRule), 0, 3).Draw(t, "rules"),
		}
	}
	pay := operation("pay")
	pay.Details, pay.Match, pay.Send = "payment", map[string]string{"amount": "body.amount"}, map[string]string{"memo": "body.memo"}
	return &recipe.Recipe{
		Levels: []recipe.Level{
			{Name: "basic", ACR: "urn:basic", Any: []string{"password", "passkey"}},
			{Name: "strong", ACR: "urn:strong", Any: []string{"passkey", "password+totp"}},
			{Name: "highest", ACR: "urn:highest", Any: []string{"passkey+totp"}},
		},
		Raise: rapid.SliceOfN(rapid.Custom(genRule), 0, 2).Draw(t, "rules for all"),
		APIs: map[string]recipe.API{"bank": {
			At: home, Details: map[string]recipe.Detail{"payment": {Amount: "amount"}},
			Operations: map[string]recipe.Operation{"GET /a": operation("read"), "POST /b": operation("read"), "POST /pay": pay},
		}},
	}
}

func genQuestion(t *rapid.T) *assurance.Question {
	q := person()
	for _, factor := range []string{"password", "passkey", "totp"} {
		if rapid.Bool().Draw(t, factor) {
			q.Proofs = append(q.Proofs, proved(factor, genAgo.Draw(t, "ago")))
		}
	}
	q.User.Factors = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"password", "passkey", "totp"}), rapid.ID[string]).Draw(t, "has")
	q.User.Groups = rapid.SliceOfN(rapid.SampledFrom([]string{"staff", "board"}), 0, 2).Draw(t, "groups")
	switch rapid.SampledFrom([]string{"call", "scope", "detail"}).Draw(t, "about") {
	case "call":
		q.Door, q.API, q.Operation, q.Scope = "operation", "bank", "GET /a", oauth.Scope{"read"}
		if rapid.Bool().Draw(t, "held") {
			q.Held = &assurance.Held{ACR: rapid.SampledFrom([]string{"", "urn:basic", "urn:strong", "urn:highest", "urn:moon"}).Draw(t, "acr"), AuthTime: noon.Add(-genAgo.Draw(t, "auth_time"))}
		}
	case "scope":
		q.Scope = rapid.SampledFrom([]oauth.Scope{{"openid"}, {"read"}, {"read", "pay"}}).Draw(t, "scope")
	case "detail":
		q.Scope, q.Details = oauth.Scope{"pay"}, []assurance.Detail{{Type: "payment", Values: map[string]any{"amount": int64(2000)}}}
	}
	q.Online = rapid.IntRange(0, 3).Draw(t, "online") > 0
	if rapid.Bool().Draw(t, "paid") {
		q.Transaction = signal.Transaction{Amount: rapid.Int64Range(0, 3000).Draw(t, "amount"), Priced: true, Payee: "ACME"}
	}
	q.Values = rapid.SampledFrom([]map[string]any{nil, {"memo": "gift"}, {"memo": int64(1)}}).Draw(t, "values")
	q.Risk = genRisk(t)
	if rapid.Bool().Draw(t, "challenged") {
		q.Since = noon.Add(-genAgo.Draw(t, "since"))
	}
	return q
}

func genRisk(t *rapid.T) signal.Result {
	names := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"new_device", "new_country", "failures", "unknown", "velocity"}), rapid.ID[string]).Draw(t, "signals")
	return fired(10*len(names), names...)
}

// notLess fails if a decision permits, or asks for less, where another did not.
func notLess(t *rapid.T, p *assurance.Policy, before, after assurance.Decision) {
	if after.Verdict == assurance.Permit && before.Verdict != assurance.Permit {
		t.Fatalf("it permits now\nbefore %+v\nafter  %+v", before, after)
	}
	if after.Verdict == assurance.Deny || before.Verdict == assurance.Deny {
		return
	}
	if before.ACR != "" && !p.Ladder.Satisfied(before.ACR, after.ACR) {
		t.Fatalf("the level fell from %q to %q", before.ACR, after.ACR)
	}
	if before.Fresh > 0 && (after.Fresh == 0 || after.Fresh > before.Fresh) {
		t.Fatalf("the freshness fell from %s to %s", before.Fresh, after.Fresh)
	}
}

// TestPolicyOnlyEverRaises: whatever rule, wish or sign is added, nobody may do more for it.
func TestPolicyOnlyEverRaises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, q := genRecipe(t), genQuestion(t)
		p := assurance.Compile(r, 1, issuer)
		before := p.Decide(q)

		wishes := *q
		wishes.Wish = assurance.Wish{
			ACR:       rapid.SliceOfN(rapid.SampledFrom([]string{"urn:basic", "urn:strong", "urn:highest", "urn:moon"}), 0, 2).Draw(t, "acr_values"),
			Essential: rapid.SliceOfN(rapid.SampledFrom([]string{"urn:basic", "urn:strong", "urn:highest", "urn:moon"}), 0, 2).Draw(t, "essential"),
			MaxAge:    rapid.SampledFrom([]time.Duration{-1, 0, time.Second, 10 * minute, 10 * hour}).Draw(t, "max_age"),
		}
		notLess(t, p, before, p.Decide(&wishes))

		risky := *q
		risky.Risk.Findings = slices.Concat(q.Risk.Findings, genRisk(t).Findings, fired(0, rapid.SampledFrom([]string{"bad_address", "unreachable"}).Draw(t, "more")).Findings)
		risky.Risk.Score = min(q.Risk.Score+30, signal.MaxScore)
		notLess(t, p, before, p.Decide(&risky))

		more := *r
		api := r.APIs["bank"]
		api.Operations = map[string]recipe.Operation{}
		for name, operation := range r.APIs["bank"].Operations {
			operation.Raise = append(slices.Clone(operation.Raise), genRule(t))
			api.Operations[name] = operation
		}
		more.APIs = map[string]recipe.API{"bank": api}
		more.Raise = append(slices.Clone(r.Raise), genRule(t))
		notLess(t, p, before, assurance.Compile(&more, 2, issuer).Decide(q))
	})
}

// TestS12NoProofsReachALevelWithoutItsFactors: a permit and its claim rest on factors that were proved, the oldest of which
// counts, whatever was asked and answered before.
func TestS12NoProofsReachALevelWithoutItsFactors(t *testing.T) {
	needs := map[string][][]string{"urn:basic": {{"password"}, {"passkey"}}, "urn:strong": {{"passkey"}, {"password", "totp"}}, "urn:highest": {{"passkey", "totp"}}}
	rapid.Check(t, func(t *rapid.T) {
		p, q := assurance.Compile(genRecipe(t), 1, issuer), genQuestion(t)
		first := p.Decide(q)
		q.Answered = []iam.Answer{{Cause: first.Cause, ACR: rapid.SampledFrom([]string{"urn:basic", "urn:highest"}).Draw(t, "answered"), At: noon}}
		got := p.Decide(q)
		if got.Verdict != assurance.Permit || q.Held != nil {
			return
		}
		at := map[string]time.Time{}
		for _, proof := range q.Proofs {
			at[proof.Factor] = proof.At
		}
		if got.ACR != "" && !p.Ladder.Satisfied(got.ACR, got.Claim.ACR) {
			t.Fatalf("it says %q and needs %q", got.Claim.ACR, got.ACR)
		}
		truthful := false
		for _, set := range needs[got.Claim.ACR] {
			oldest, whole := noon.Add(hour), true
			for _, factor := range set {
				when, there := at[factor]
				whole = whole && there
				if when.Before(oldest) {
					oldest = when
				}
			}
			truthful = truthful || whole && oldest.Equal(got.Claim.AuthTime)
		}
		if !truthful {
			t.Fatalf("%+v of %+v", got.Claim, q.Proofs)
		}
	})
}

// TestNobodyIsAskedInCircles plays what the login does: prove what is missing, and ask again.
func TestNobodyIsAskedInCircles(t *testing.T) {
	asked := 0
	rapid.Check(t, func(t *rapid.T) {
		p, q := assurance.Compile(genRecipe(t), 1, issuer), genQuestion(t)
		q.Held, q.Since = nil, time.Time{}
		q.Wish.MaxAge = rapid.SampledFrom([]time.Duration{-1, 0, 10 * minute}).Draw(t, "max_age")
		first := p.Decide(q)
		if first.Verdict != assurance.StepUp || len(first.Sets) == 0 {
			return
		}
		asked++
		need := iam.Need{ACR: first.ACR, Fresh: first.Fresh, Sets: first.Sets, Since: q.Now, Cause: first.Cause}
		chosen := rapid.IntRange(0, len(need.Sets)-1).Draw(t, "set")
		for pages := 0; ; pages++ { // a page for each factor, and one more for what grew old meanwhile
			missing := assurance.Missing(need, q.Proofs, q.Now)[chosen]
			if len(missing) == 0 {
				break
			}
			if pages == 4 {
				t.Fatalf("%v is asked for again and again", missing)
			}
			q.Proofs = slices.DeleteFunc(q.Proofs, func(proof iam.Proved) bool { return proof.Factor == missing[0] })
			proof := iam.Proved{Factor: missing[0], Begun: q.Now, Methods: missing[:1]}
			q.Now = q.Now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, 90 * time.Second}).Draw(t, "took"))
			proof.At = q.Now
			q.Proofs = append(q.Proofs, proof)
		}
		if !assurance.Satisfied(need.Sets[chosen], need, q.Proofs, q.Now) {
			t.Fatalf("%s is not satisfied by %+v", need.Sets[chosen], q.Proofs)
		}
		q.Since = need.Since
		if !need.Cause.Zero() {
			q.Answered = append(q.Answered, iam.Answer{Cause: need.Cause, ACR: p.ReachedBy(q.Proofs), At: q.Now})
		}
		second := p.Decide(q)
		if second.Verdict == assurance.StepUp {
			t.Fatalf("asked again\nfirst  %+v\nsecond %+v\nproofs %+v", first, second, q.Proofs)
		}
		// Later, in another flow of that session, what raised it stays answered.
		q.Now, q.Since, q.Wish.MaxAge = q.Now.Add(rapid.SampledFrom([]time.Duration{minute, hour}).Draw(t, "later")), time.Time{}, -1
		third := p.Decide(q)
		if third.Verdict == assurance.StepUp && !third.Cause.Zero() && third.Cause == need.Cause {
			for _, reason := range third.Reasons {
				if reason.Code == assurance.ReasonRule {
					t.Fatalf("asked again because of what was answered: %+v", third)
				}
			}
		}
	})
	if asked == 0 {
		t.Error("nobody was asked at all")
	}
}

// TestVerdictsAreTheSameEachTime: a decision can be made again from the same question.
func TestVerdictsAreTheSameEachTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, q := genRecipe(t), genQuestion(t)
		one, other := assurance.Compile(r, 1, issuer).Decide(q), assurance.Compile(r, 1, issuer).Decide(q)
		if answer(one) != answer(other) || one.Cause != other.Cause || !slices.Equal(one.Rules, other.Rules) {
			t.Fatalf("%+v\n%+v", one, other)
		}
	})
}

// FuzzRule: whatever is written as a rule is refused, or decides without end or panic, and never lets anybody in who would
// stay out without it.
func FuzzRule(f *testing.F) {
	for _, when := range conditions {
		f.Add(when)
	}
	for _, when := range []string{"", "(", "risk", "risk.new_device", "values.a.b.c", "values['a'][0]", "[1,2,3].all(x, x > 0)", "has(values.memo)",
		"'a'.matches('(a+)+$')", "1/0 == 1", "dyn(1) == 'a'", "{'a': 1}.a == 1", "now - timestamp('2020-01-01T00:00:00Z') > duration('1h')", "payee\n==\n'x'", "\x00", "'\\u202e'"} {
		f.Add(when)
	}
	f.Fuzz(func(t *testing.T, when string) {
		r := &recipe.Recipe{
			Levels: []recipe.Level{{Name: "basic", ACR: "urn:basic", Any: []string{"password"}}, {Name: "strong", ACR: "urn:strong", Any: []string{"passkey+password"}}},
			APIs:   map[string]recipe.API{"bank": {At: home, Operations: map[string]recipe.Operation{"GET /a": {For: []recipe.Caller{recipe.ForUser}, Scope: "read", Level: "basic"}}}},
		}
		q := call("GET /a", "read", proved("password", 0))
		q.Values = map[string]any{"memo": "gift", "a": []any{int64(1), map[string]any{"b": 1.5}}}
		plain := assurance.Compile(r, 1, issuer).Decide(q)
		r.Raise = []recipe.Raise{{When: when, Level: "strong"}}
		bundle := &recipe.Bundle{Recipe: r}
		if err := assurance.Check(bundle); err != nil && (strings.Contains(err.Error(), "\x1b") || strings.Contains(err.Error(), "\u202e") || len(err.Error()) > 1200) {
			t.Errorf("%q", err)
		}
		got := assurance.Compile(r, 1, issuer).Decide(q)
		if plain.Verdict != assurance.Permit || got.Verdict == assurance.Permit && got.Rules != nil {
			t.Errorf("%q: %+v", when, got)
		}
	})
}

// FuzzDecide decides whole questions as rapid makes them of bytes.
func FuzzDecide(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		r := genRecipe(t)
		p, q := assurance.Compile(r, 1, issuer), genQuestion(t)
		got := p.Decide(q)
		switch {
		case got.Verdict == assurance.Permit && got.Ask, got.Ask && q.Online:
			t.Fatalf("%+v", got)
		case got.Verdict == assurance.StepUp && q.Online && len(got.Sets) == 0 && len(got.Enrol) == 0:
			t.Fatalf("there is no way on: %+v", got)
		case len(got.Sets) != len(got.Missing):
			t.Fatalf("%+v", got)
		}
	}))
}
