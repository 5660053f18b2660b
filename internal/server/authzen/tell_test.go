package authzen

import (
	"testing"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/recipe"
)

// An API may be told that more is asked for, and not what its people usually do: it could ask about anybody, from any place.
func TestAnAPIIsNotToldOfHabits(t *testing.T) {
	made := decide.Answer{Decision: assurance.Decision{Verdict: assurance.StepUp, ACR: "urn:strong", Reasons: []assurance.Reason{
		{Code: assurance.ReasonRule, Say: "a rule"}, {Code: assurance.ReasonSignal, Say: "from FR, where the person was never seen"},
	}}}
	for name, c := range map[string]struct {
		who  asker
		told int
	}{"a Gate": {asker{"gate", true, nil}, 2}, "an API's own client": {asker{"vault", false, nil}, 1}} {
		said := tell(c.who, made, recipe.Operation{}, false)
		if len(said.Context.Reasons) != c.told || said.Context.Reasons[0].Code != assurance.ReasonRule || said.Context.ACR != "urn:strong" {
			t.Errorf("%s is told %+v", name, said.Context)
		}
	}
}

// A refusal is told in the language that the asker accepts, since a person may read it; what operators are told stays English.
func TestAnAskerReadsARefusalInItsLanguage(t *testing.T) {
	made := decide.Answer{Decision: assurance.Decision{Verdict: assurance.Deny, Reasons: []assurance.Reason{
		{Code: assurance.ReasonDenied, Say: "Call us.", Words: recipe.Words{"en": "Call us.", "fr": "Appelez-nous."}},
		{Code: assurance.ReasonSignal, Say: "a new country"},
	}}}
	for name, c := range map[string]struct {
		speaks []string
		want   string
	}{
		"nothing said":         {nil, "Call us."},
		"French":               {[]string{"fr-CA", "fr"}, "Appelez-nous."},
		"a language of nobody": {[]string{"de"}, "Call us."},
	} {
		said := tell(asker{"gate", true, c.speaks}, made, recipe.Operation{}, false).Context.Reasons
		if len(said) != 2 || said[0].Say != c.want || said[1].Say != "a new country" {
			t.Errorf("%s is told %+v", name, said)
		}
	}
}
