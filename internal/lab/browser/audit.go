package browser

import (
	_ "embed"
	"encoding/json"
)

//go:embed audit.js
var audit string

// Faults are what any page of ours must not have, whatever it says: no language, title or main heading, an id twice, a field
// or button without a name, headings out of order, anything wider than the screen or cut, a target too small for a thumb,
// and text or fields that can't be told from their ground (WCAG 2.2, AA, and 2.5.5). What the console said is in Complaints.
func (p *Page) Faults() []string {
	p.t.Helper()
	var faults []string
	if err := json.Unmarshal([]byte(p.Evaluate(audit)), &faults); err != nil {
		p.t.Fatalf("look the page over: %v", err)
	}
	return faults
}
