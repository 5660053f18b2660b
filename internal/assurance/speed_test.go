package assurance_test

import (
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/recipe"
)

// weighed is a question to ten rules with a finding of each signal; loud: every rule applies.
func weighed(tb testing.TB, loud bool) (*assurance.Policy, *assurance.Question) {
	rules := []string{
		"risk.new_device && risk.score > 10", "risk.impossible_travel || risk.new_country", "amount > 100000", "risk.unusual_amount && risk.new_payee",
		"!(place.country in ['FR', 'DE', 'IT'])", "'staff' in user.groups && place.network != 'AS64500'", "values.memo.startsWith('gift')",
		"client.kind == 'native' && !client.bound", "token.age > 3600", "now.getHours() < 6",
	}
	var list []string
	for _, rule := range rules {
		if loud {
			rule = "(" + rule + ") || risk.score >= 0"
		}
		list = append(list, `          - {when: "`+rule+`", level: strong}`)
	}
	text := strings.Replace(bank, "          - {when: amount > 100000, level: strong}\n", strings.Join(list, "\n")+"\n", 1)
	for _, old := range []string{"          - {when: \"client.kind == 'native' && token.age > 3600\", fresh: 10m}\n", "          - {when: \"values.memo == 'gift'\", level: strong}\n"} {
		text = strings.Replace(text, old, "", 1)
	}
	p := compiled(tb, strings.Replace(text, "raise:\n  - {when: risk.score >= 90, deny: \"this looks too unlike you, please call us\"}\n", "", 1))
	q := call("POST /payments", "pay", proved("passkey", minute), proved("password", hour))
	for _, name := range recipe.Signals() {
		if loud || !strings.HasPrefix(name, "new_") && name != "impossible_travel" {
			q.Risk.Findings = append(q.Risk.Findings, signal.Finding{Name: name, Points: 5, Say: name + " spoke"})
		} else {
			q.Risk.Findings = append(q.Risk.Findings, signal.Finding{Name: name + "_", Points: 5, Say: name + " spoke"})
		}
	}
	q.Risk.Score = 80
	q.Transaction = signal.Transaction{Amount: 50_000, Priced: true, Currency: "EUR", Payee: "ACME"}
	q.Values = map[string]any{"memo": "rent"}
	q.User.Groups = []string{"staff", "branch"}
	return p, q
}

// TestADecisionIsCheap holds the bound on a decision with ten rules and all signals, whether they apply or not.
func TestADecisionIsCheap(t *testing.T) {
	for name, loud := range map[string]bool{"no rule applies": false, "every rule applies": true} {
		p, q := weighed(t, loud)
		got := p.Decide(q)
		if got.Verdict != assurance.Permit || (len(got.Rules) == 10) != loud || (len(got.Rules) == 0) == loud {
			t.Fatalf("%s: %+v", name, got)
		}
		if allocs := testing.AllocsPerRun(200, func() { p.Decide(q) }); allocs > 60 {
			t.Errorf("%s: %.0f allocations", name, allocs)
		} else {
			t.Logf("%s: %.0f allocations", name, allocs)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for name, loud := range map[string]bool{"silent": false, "loud": true} {
		p, q := weighed(b, loud)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(q)
			}
		})
	}
}
