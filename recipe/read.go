package recipe

import (
	"errors"
	"reflect"
	"time"

	"go.yaml.in/yaml/v3"
)

// place is where a value stands.
type place struct {
	file         string
	line, column int
}

// reading is one reading of a recipe: what was found, where, and what is wrong with it.
type reading struct {
	main    string                // name of the base file
	overlay map[*yaml.Node]string // nodes that came from another file
	places  map[path]place
	faulty  map[path]bool // places that could not be read; checks say nothing more about them
	recipe  Recipe
	now     time.Time // zero: dates are not compared with today
	factors []string  // the factors that exist
	policy  string    // registration policy of the only client; "": it is declared, or an administrator's
	unnamed bool      // the only client stands in no recipe

	faults   Faults
	findings Faults
}

func newReading(main string, now time.Time) *reading {
	return &reading{
		main: main, now: now, factors: factors,
		overlay: map[*yaml.Node]string{}, places: map[path]place{}, faulty: map[path]bool{},
	}
}

// Read reads a recipe strictly and checks its meaning: unknown and duplicate keys, wrong types, references to nothing,
// operations and levels that nobody can reach. All faults come at once, as Faults, each with its line and a hint; then
// the recipe is nil. It opens no file and compares no date with today: Load does both.
func Read(name string, src []byte) (*Recipe, error) {
	bundle, _, err := gather([]Source{{name, src}}, time.Time{})
	if err != nil {
		return nil, err
	}
	return bundle.Recipe, nil
}

// ReadClient reads one client as strictly as Read does, in the words that a recipe has for it: a file that holds what would
// stand under the client's name. Its meaning is judged by CheckClient.
func ReadClient(name string, src []byte) (Client, error) {
	r := newReading(name, time.Time{})
	var client Client
	if root := r.parse(name, src); root != nil {
		r.places[""] = place{name, root.Line, root.Column}
		r.decode(root, reflect.ValueOf(&client).Elem(), "")
	}
	if err := r.faults.orNil(); err != nil {
		return Client{}, err
	}
	return client, nil
}

// gather reads base and overlay into one recipe and runs every check on it.
func gather(sources []Source, now time.Time) (*Bundle, *reading, error) {
	r := newReading(sources[0].Name, now)
	root := r.parse(r.main, sources[0].Text)
	for _, over := range sources[1:] {
		if laid := r.parse(over.Name, over.Text); root != nil && laid != nil {
			r.lay(over.Name, root, laid)
		}
	}
	if root == nil {
		return nil, r, r.faults.orNil()
	}
	r.places[""] = place{r.main, root.Line, root.Column}
	r.decode(root, reflect.ValueOf(&r.recipe).Elem(), "")
	whole := len(r.faults) == 0
	for _, c := range checks {
		if whole || !c.whole {
			c.find(r)
		}
	}
	bundle := &Bundle{Recipe: &r.recipe, Sources: sources, Findings: r.findings.sorted()}
	return bundle, r, r.faults.orNil()
}

// fileOf gives the file that n stands in.
func (r *reading) fileOf(n *yaml.Node) string {
	if file, ok := r.overlay[n]; ok {
		return file
	}
	return r.main
}

// mark notes where at stands.
func (r *reading) mark(n *yaml.Node, at path) {
	r.places[at] = place{r.fileOf(n), n.Line, n.Column}
}

// add keeps a fault, up to maxFaults: nobody mends more at once, and a hostile file costs no more.
func (r *reading) add(f Fault) {
	if len(r.faults) < maxFaults {
		r.faults = append(r.faults, f)
	}
}

func (r *reading) locate(at path, text, hint string) Fault {
	where, ok := r.places[at]
	for up := at; !ok; {
		if up == "" {
			where = place{r.main, 1, 1}
			break
		}
		up = up.parent()
		where, ok = r.places[up]
	}
	return Fault{File: where.file, Line: where.line, Column: where.column, Path: string(at), Text: text, Hint: hint}
}

// fault says that what stands at a path is wrong, unless it could not even be read.
func (r *reading) fault(at path, text, hint string) {
	if !r.unread(at) {
		r.add(r.locate(at, text, hint))
	}
}

// finding says that what stands at a path is allowed and deserves a look.
func (r *reading) finding(at path, text, hint string) {
	if len(r.findings) < maxFaults && !r.unread(at) {
		r.findings = append(r.findings, r.locate(at, text, hint))
	}
}

// refused turns the error of a rule into a fault.
func (r *reading) refused(at path, err error) {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		r.fault(at, refusal.Text, refusal.Hint)
	} else if err != nil {
		r.fault(at, err.Error(), "")
	}
}

func (r *reading) unread(at path) bool {
	for {
		if r.faulty[at] {
			return true
		}
		if at == "" {
			return false
		}
		at = at.parent()
	}
}
