package cli

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/journal"
)

func TestADecisionIsExplained(t *testing.T) {
	facts, err := decide.Marshal(&assurance.Question{Risk: signal.Result{Score: 30, Findings: []signal.Finding{{Name: "new_device", Points: 30, Say: "a device that is new"}}}})
	if err != nil {
		t.Fatal(err)
	}
	made := journal.Decided{
		Door: "operation", API: "https://api.bank.example", Operation: "POST /payees", Verdict: "step_up", Level: "urn:strong", Reached: "urn:basic",
		Fresh: 300, Score: 30, Signals: []string{"new_device"}, Say: []string{"a device that is new"}, Rules: []string{"raise[0]"},
	}
	detail, err := json.Marshal(made)
	if err != nil {
		t.Fatal(err)
	}
	event := admin.Event{At: time.Now(), Kind: string(made.Kind()), User: "u-1", Client: "app", Detail: detail, Personal: map[string]string{
		decide.PersonalFacts: facts, decide.PersonalEnough: "passkey, or password+totp",
	}}
	for _, row := range []struct {
		name string
		want []string
	}{
		{"whole", []string{"more had to be proved", "POST /payees", "urn:strong, proved within 5m0s", "urn:basic", "30 of 100: new_device +30", "raise[0]", "a device that is new", "passkey, or password+totp"}},
		{"erased", []string{"30 of 100: new_device", "raise[0]"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.name == "erased" {
				event.Personal = nil
			}
			var out bytes.Buffer
			p := &program{stdout: &out}
			if err := p.sayExplanation(explanation{Trace: "t", Events: []admin.Event{event}}); err != nil {
				t.Fatal(err)
			}
			for _, text := range row.want {
				if !strings.Contains(out.String(), text) {
					t.Errorf("it says no %q:\n%s", text, out.String())
				}
			}
		})
	}
}
