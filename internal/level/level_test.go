package level_test

import (
	"testing"

	"github.com/gardeauth/garde/internal/level"
)

var ladder = level.Ladder{{Name: "basic", ACR: "urn:basic"}, {Name: "strong", ACR: "urn:strong"}, {Name: "best", ACR: "urn:best"}}

func TestSatisfied(t *testing.T) {
	for name, row := range map[string]struct {
		need, have string
		want       bool
	}{
		"the same level":                 {"urn:basic", "urn:basic", true},
		"a stronger level":               {"urn:basic", "urn:best", true},
		"a weaker level":                 {"urn:strong", "urn:basic", false},
		"an unknown level is had":        {"urn:basic", "urn:other", false},
		"an unknown level is needed":     {"urn:other", "urn:best", false},
		"the same unknown level":         {"urn:other", "urn:other", false},
		"nothing is had":                 {"urn:basic", "", false},
		"nothing is needed, by mistake":  {"", "urn:best", false},
		"two empty values are not equal": {"", "", false},
		"a name is not an acr":           {"basic", "basic", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ladder.Satisfied(row.need, row.have); got != row.want {
				t.Errorf("Satisfied(%q, %q) = %v", row.need, row.have, got)
			}
		})
	}
	if (level.Ladder)(nil).Satisfied("urn:basic", "urn:basic") || (level.Ladder{{}}).Satisfied("", "") {
		t.Error("an empty ladder satisfied something")
	}
}

func TestLookups(t *testing.T) {
	if got, ok := ladder.Named("strong"); !ok || got.ACR != "urn:strong" {
		t.Errorf("Named: %v %v", got, ok)
	}
	if got, ok := ladder.WithACR("urn:best"); !ok || got.Name != "best" {
		t.Errorf("WithACR: %v %v", got, ok)
	}
	for _, unknown := range []string{"", "urn:strong ", "Strong"} {
		if _, ok := ladder.Named(unknown); ok {
			t.Errorf("Named(%q) found a level", unknown)
		}
		if _, ok := ladder.WithACR(unknown); ok {
			t.Errorf("WithACR(%q) found a level", unknown)
		}
	}
	for _, row := range [][3]string{{"urn:basic", "urn:strong", "urn:strong"}, {"urn:best", "urn:basic", "urn:best"}, {"urn:best", "x", ""}, {"", "", ""}} {
		if got := ladder.Highest(row[0], row[1]); got != row[2] {
			t.Errorf("Highest(%q, %q) = %q", row[0], row[1], got)
		}
	}
}

func TestCheck(t *testing.T) {
	if err := ladder.Check(); err != nil {
		t.Error(err)
	}
	for name, bad := range map[string]level.Ladder{
		"no level":       {},
		"no name":        {{ACR: "a"}},
		"no acr":         {{Name: "a"}},
		"the same name":  {{Name: "a", ACR: "1"}, {Name: "a", ACR: "2"}},
		"the same value": {{Name: "a", ACR: "1"}, {Name: "b", ACR: "1"}},
	} {
		if bad.Check() == nil {
			t.Errorf("%s: passed", name)
		}
	}
}
