package doctor_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/doctor"
	"github.com/gardeauth/garde/recipe"
)

func TestExceptionsAreNamedBeforeTheyEnd(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		until string
		want  doctor.Verdict
	}{
		"ended yesterday":            {"2026-11-22", doctor.Bad},
		"today is its last day":      {"2026-11-23", doctor.Look},
		"the thirtieth day from now": {"2026-12-22", doctor.Look},
		"later":                      {"2026-12-23", ""},
	} {
		t.Run(name, func(t *testing.T) {
			rules := &recipe.Recipe{Exceptions: map[string]recipe.Exception{
				"shop": {Client: "shop", Allow: []string{"no_pkce"}, Why: "old library", Until: row.until},
			}}
			found, healthy := doctor.Examine(t.Context(), []doctor.Check{{Name: "exceptions", Look: func(_ context.Context, f *doctor.Findings) {
				f.Exceptions(rules, now)
			}}})
			if row.want == "" {
				if len(found) > 0 {
					t.Errorf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Verdict != row.want || healthy == (row.want == doctor.Bad) ||
				!strings.Contains(found[0].Text, "no_pkce") || !strings.Contains(found[0].Todo, "old library") {
				t.Errorf("found %+v", found)
			}
		})
	}
}
