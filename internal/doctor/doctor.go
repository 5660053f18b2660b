// Package doctor examines a set-up and says of each fault why it matters and what to do. It looks from outside: at files,
// at addresses, at what the Server answers. It changes nothing and never shows a secret.
package doctor

import (
	"context"
	"fmt"
	"time"
)

// Verdict is what came of one examination.
type Verdict string

// The verdicts. The zero value is never given.
const (
	Good    Verdict = "good"
	Look    Verdict = "look" // deserves a look, and is no fault
	Bad     Verdict = "bad"
	Skipped Verdict = "skipped"
)

// Finding is what one examination found.
type Finding struct {
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`
	Why     string  `json:"why,omitempty"`
	Todo    string  `json:"todo,omitempty"`
}

// Check is one examination.
type Check struct {
	Name string
	Look func(context.Context, *Findings)
}

// Findings gathers what a check finds.
type Findings struct {
	check string
	all   []Finding
}

// Good says that something is as it should be.
func (f *Findings) Good(format string, args ...any) {
	f.all = append(f.all, Finding{Check: f.check, Verdict: Good, Text: fmt.Sprintf(format, args...)})
}

// Bad says what is wrong, why that matters, and what to do.
func (f *Findings) Bad(text, why, todo string) {
	f.all = append(f.all, Finding{f.check, Bad, text, why, todo})
}

// Look says what deserves a look.
func (f *Findings) Look(text, why, todo string) {
	f.all = append(f.all, Finding{f.check, Look, text, why, todo})
}

// Skip says why something was not examined.
func (f *Findings) Skip(format string, args ...any) {
	f.all = append(f.all, Finding{Check: f.check, Verdict: Skipped, Text: fmt.Sprintf(format, args...)})
}

// checkTime bounds one examination.
const checkTime = 10 * time.Second

// Examine makes all checks, in order, and tells whether none of them found a fault.
func Examine(ctx context.Context, checks []Check) (findings []Finding, healthy bool) {
	healthy = true
	for _, check := range checks {
		found := Findings{check: check.Name}
		bounded, cancel := context.WithTimeout(ctx, checkTime)
		check.Look(bounded, &found)
		cancel()
		for _, finding := range found.all {
			healthy = healthy && finding.Verdict != Bad
		}
		findings = append(findings, found.all...)
	}
	return findings, healthy
}
