package recipe

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is one thing that is wrong in a recipe, where it stands, and what to write instead.
type Fault struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	Path   string `json:"path,omitempty"`
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"`
}

// String gives "file:line: path: text", and the hint on a line of its own.
func (f Fault) String() string {
	text := f.File + ":" + strconv.Itoa(f.Line) + ": "
	if f.Path != "" {
		text += f.Path + ": "
	}
	text += f.Text
	if f.Hint != "" {
		text += "\n    hint: " + f.Hint
	}
	return text
}

// Faults are all the faults of a bundle, in the order of the file. It is the error that Read, Load and Parse return; it
// holds no secret and no control character, whatever stood in the file.
type Faults []Fault

// Error gives every fault, one after the other.
func (f Faults) Error() string {
	texts := make([]string, len(f))
	for i, fault := range f {
		texts[i] = fault.String()
	}
	return strings.Join(texts, "\n")
}

// sorted orders faults by file and place and drops doubles.
func (f Faults) sorted() Faults {
	slices.SortFunc(f, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(f)
}

// FaultAt says that what stands at a place of the bundle is wrong, as Load says it of what it finds itself: for those who know
// what a value means better than this package.
func (b *Bundle) FaultAt(place, text, hint string) Fault {
	if len(b.Sources) == 0 {
		return Fault{File: "recipe", Line: 1, Column: 1, Path: place, Text: text, Hint: hint}
	}
	_, r, _ := gather(b.Sources, time.Time{})
	return r.locate(path(place), text, hint)
}

// RulePath is where the condition of a rule stands: of an operation, or of the whole recipe if api is empty.
func RulePath(api, operation string, i int) string {
	at := path("")
	if api != "" {
		at = path("apis").key(api).key("operations").key(operation)
	}
	return string(at.key("raise").index(i).key("when"))
}

// orNil keeps an empty list from becoming an error that is not nil.
func (f Faults) orNil() error {
	if len(f) == 0 {
		return nil
	}
	return f.sorted()
}

// Refusal says why a single value is refused and what to write instead. Both texts may be told to whoever wrote it.
type Refusal struct {
	Text string
	Hint string
}

// Error gives the text and the hint on one line.
func (r *Refusal) Error() string {
	if r.Hint == "" {
		return r.Text
	}
	return r.Text + "; " + r.Hint
}

func refuse(hint, format string, args ...any) error {
	return &Refusal{Text: fmt.Sprintf(format, args...), Hint: hint}
}

// maxShown bounds how much of a foreign value a fault repeats.
const maxShown = 60

// show quotes a foreign value: no control or direction character of it can reach a terminal or a log.
func show(text string) string {
	if len(text) > maxShown {
		cut := maxShown
		for cut > 0 && text[cut]&0xc0 == 0x80 {
			cut--
		}
		return strconv.Quote(text[:cut]) + "..."
	}
	return strconv.Quote(text)
}

// listed joins names for a hint.
func listed(names []string) string { return strings.Join(names, ", ") }
