package page_test

import (
	"testing"

	"github.com/gardeauth/garde/internal/page"
)

func TestAnyAccentCanBeReadInBothSchemes(t *testing.T) {
	for _, accent := range []string{"#0b6e66", "#000000", "#ffffff", "#ffff00", "#808080", "#ff0000", "#0e5c4c"} {
		light, dark, err := page.Fit(accent)
		if err != nil {
			t.Fatalf("%s: %v", accent, err)
		}
		theme := page.Theme{Light: page.Palette{Accent: light}, Dark: page.Palette{Accent: dark}}
		if _, err := page.New(theme); err != nil {
			t.Errorf("%s gave %s and %s: %v", accent, light, dark, err)
		}
	}
	if light, _, _ := page.Fit("#0e5c4c"); light != "#0e5c4c" {
		t.Errorf("a colour that can be read was changed to %s", light)
	}
	if _, _, err := page.Fit("teal"); err == nil {
		t.Error("a word passed for a colour")
	}
}
