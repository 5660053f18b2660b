package signal

import "slices"

// Signal is one kind of bad sign. It is a pure function of the facts.
type Signal interface {
	// Name is how the recipe (risk.points) and CEL (risk.NAME) know it.
	Name() string
	// Points is what it gives where the recipe says nothing.
	Points() int
	// Judge gives one English sentence, with the facts in it, or nothing when there is nothing to say.
	Judge(*Facts) string
}

// all lists every signal, in the order in which findings stand.
func all() [16]Signal {
	return [...]Signal{
		newDevice{},
		changedDevice{},
		newCountry{},
		newNetwork{},
		impossibleTravel{},
		unusualHour{},
		newClient{},
		unusualAmount{},
		newPayee{},
		frequent{},
		failures{},
		velocity{},
		badAddress{},
		youngAccount{},
		youngFactor{},
		unknown{},
	}
}

// All lists every signal, in the order in which findings stand.
func All() []Signal {
	list := all()
	return slices.Clone(list[:])
}

// Names lists the names of all signals.
func Names() []string {
	list := all()
	names := make([]string, len(list))
	for i, signal := range list {
		names[i] = signal.Name()
	}
	return names
}

// Judge asks every signal. points replaces the points of a signal by its name, from 0 (it counts nothing, and no rule hears
// it) to MaxScore. The same facts and points always give the same result. The facts are not changed and not kept.
func Judge(facts *Facts, points map[string]int) Result {
	var result Result
	list := all()
	for _, signal := range list {
		if say := signal.Judge(facts); say != "" {
			result.add(Finding{signal.Name(), signal.Points(), say}, points)
		}
	}
	return result
}

// Recount gives what the same signals would have found under other points. What spoke without points then has no sentence
// of its own any more.
func (r Result) Recount(points map[string]int) Result {
	var counted Result
	for _, finding := range r.Findings {
		for _, signal := range all() {
			if signal.Name() == finding.Name {
				finding.Points = signal.Points()
			}
		}
		counted.add(finding, points)
	}
	for _, signal := range all() {
		if slices.Contains(r.Silent, signal.Name()) {
			counted.add(Finding{signal.Name(), signal.Points(), "it spoke, and had no points then"}, points)
		}
	}
	return counted
}

// add counts what spoke.
func (r *Result) add(spoke Finding, points map[string]int) {
	if worth, set := points[spoke.Name]; set {
		spoke.Points = min(worth, MaxScore)
	}
	if spoke.Points <= 0 {
		r.Silent = append(r.Silent, spoke.Name)
		return
	}
	if r.Findings == nil {
		r.Findings = make([]Finding, 0, 4)
	}
	r.Findings = append(r.Findings, spoke)
	r.Score = min(r.Score+spoke.Points, MaxScore)
}

// cantTell is what a signal says when the facts it rests on could not be found out: it speaks then, since whoever can make
// a storage fail must not pass for somebody with good habits.
func cantTell(what, missing string) string {
	return "it can't be told whether " + what + ": the " + missing + " could not be read"
}
