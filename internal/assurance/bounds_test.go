package assurance_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
)

// ruled is the bank whose payments have one rule of their own.
func ruled(t testing.TB, when string) *assurance.Policy {
	t.Helper()
	return compiled(t, strings.Replace(bank, "when: amount > 100000,", `when: "`+when+`",`, 1))
}

// Rules read the hour where the company is, and no file for it at each decision.
func TestRulesReadTheTimeOfAPlace(t *testing.T) {
	now := time.Date(2026, 7, 31, 23, 30, 15, 0, time.UTC) // 01:30 of Saturday, 1 August in Paris
	for when, applies := range map[string]bool{
		"now.getHours('Europe/Paris') == 1": true, "now.getDayOfMonth('Europe/Paris') == 0": true, "now.getDate('Europe/Paris') == 1": true,
		"now.getMonth('Europe/Paris') == 7": true, "now.getDayOfWeek('Europe/Paris') == 6": true, "now.getMinutes('Asia/Kolkata') == 0": true,
		"now.getHours('+02:00') == 1": true, "now.getHours('02:00') == 1": true, "now.getHours('-09:30') == 14": true, "now.getHours('UTC') == 23": true, "now.getHours('') == 23": true,
		"now.getHours() == 23": true, "now.getHours('America/New_York') == 1": false, "now.getSeconds('Europe/Paris') == 15": true,
		"now.getFullYear('Pacific/Auckland') == 2026": true, "now.getDayOfYear('Europe/Paris') == 212": true,
	} {
		q := call("POST /payments", "pay", proved("passkey", minute))
		q.Now = now
		if got := ruled(t, when).Decide(q); hasRule(got, "POST /payments.raise[0]") != applies {
			t.Errorf("%s: %v", when, got.Rules)
		}
	}
	costs := func(when string) float64 {
		p, q := ruled(t, when), call("POST /payments", "pay", proved("passkey", minute))
		return testing.AllocsPerRun(100, func() { p.Decide(q) })
	}
	if here, there := costs("now.getHours() == 99"), costs("now.getHours('Europe/Paris') == 99"); there > here+2 {
		t.Errorf("%.0f allocations, and %.0f with a time zone: it reads a file", here, there)
	}
}

func TestNobodyMakesAPatternSlow(t *testing.T) {
	p := ruled(t, "values.memo.matches('^(a|aa)+$') || matches(values.memo, 'gift')")
	for memo, applies := range map[any]bool{
		"rent": false, "aaaa": true, "a gift": true, int64(7): true, // no text
		strings.Repeat("a", 4095) + "b": false,
		strings.Repeat("x", 4097):       true, // too long to be told
	} {
		q := call("POST /payments", "pay", proved("passkey", minute))
		q.Values = map[string]any{"memo": memo}
		if got := p.Decide(q); hasRule(got, "POST /payments.raise[0]") != applies {
			t.Errorf("%.20v: %v", memo, got.Rules)
		}
	}
}

func TestWaryIsTheHighestLevelBehindSigns(t *testing.T) {
	for when, want := range map[string]string{
		"risk.new_country": "urn:highest", "risk.score > 50": "urn:highest", "place.country == 'XX'": "", "true": "",
	} {
		text := strings.Replace(bank, "risk.new_country || risk.impossible_travel", "\""+when+"\"", 1)
		if got := compiled(t, text).Wary(); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	denies := strings.Replace(bank, "'blocked' in user.groups", "risk.impossible_travel", 1)
	denies = strings.Replace(denies, "when: risk.new_country || risk.impossible_travel,", "when: 'true',", 1)
	if got := compiled(t, denies).Wary(); got != "urn:strong" { // what the operation asks for, and then refuses
		t.Errorf("%q", got)
	}
	if got := (*assurance.Policy)(nil).Wary(); got != "" {
		t.Errorf("%q", got)
	}
}

// hasRule tells whether a rule of an operation applied.
func hasRule(got assurance.Decision, place string) bool {
	return slices.ContainsFunc(got.Rules, func(rule string) bool { return strings.HasSuffix(rule, place) })
}
