// Package policy lets people trust the policy: it asks a recipe the questions that stand in a file of cases, tells a whole
// decision in words, and decides again, under another recipe, what was decided before. It changes nothing.
package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/recipe"
)

// maxCases bounds a file of cases.
const (
	maxCases = 2000
	maxFile  = 4 << 20
)

// Case is one question to the policy and the answer that its company expects.
type Case struct {
	Name string `yaml:"name" json:"name,omitempty"`
	Line int    `yaml:"-" json:"line,omitempty"`

	// Operation, with API, is a call of an API, by a token with Scopes (empty: with the one that is needed) and Details.
	// Without them Scopes and Details are an authorization.
	API       string           `yaml:"api,omitempty" json:"api,omitempty"`
	Operation string           `yaml:"operation,omitempty" json:"operation,omitempty"`
	Scopes    []string         `yaml:"scopes,omitempty" json:"scopes,omitempty"`
	Details   []map[string]any `yaml:"details,omitempty" json:"details,omitempty"`

	Client string                     `yaml:"client,omitempty" json:"client,omitempty"`
	Bound  bool                       `yaml:"bound,omitempty" json:"bound,omitempty"`
	User   Person                     `yaml:"user,omitempty" json:"user,omitzero"`
	Proved map[string]recipe.Duration `yaml:"proved,omitempty" json:"proved,omitempty"` // factor to how long ago; none: nobody has signed in

	Risk     Risk           `yaml:"risk,omitempty" json:"risk,omitzero"`
	Place    Place          `yaml:"place,omitempty" json:"place,omitzero"`
	Amount   *int64         `yaml:"amount,omitempty" json:"amount,omitempty"` // minor units
	Currency string         `yaml:"currency,omitempty" json:"currency,omitempty"`
	Payee    string         `yaml:"payee,omitempty" json:"payee,omitempty"`
	Values   map[string]any `yaml:"values,omitempty" json:"values,omitempty"`
	Wish     Wish           `yaml:"wish,omitempty" json:"wish,omitzero"`
	At       time.Time      `yaml:"at,omitempty" json:"at,omitzero"`

	Expect Expected `yaml:"expect" json:"expect,omitzero"`
}

// Person is who asks in a case.
type Person struct {
	Groups  []string        `yaml:"groups,omitempty" json:"groups,omitempty"`
	Factors []string        `yaml:"factors,omitempty" json:"factors,omitempty"` // that they have
	Since   recipe.Duration `yaml:"since,omitempty" json:"since,omitzero"`      // age of the account
}

// Risk is how the moment looks.
type Risk struct {
	Score   int      `yaml:"score,omitempty" json:"score,omitempty"`
	Signals []string `yaml:"signals,omitempty" json:"signals,omitempty"`
}

// Place is where the question comes from.
type Place struct {
	Country string `yaml:"country,omitempty" json:"country,omitempty"`
	Network string `yaml:"network,omitempty" json:"network,omitempty"`
}

// Wish is what the client asks for beyond the policy.
type Wish struct {
	ACR       []string        `yaml:"acr,omitempty" json:"acr,omitempty"`
	Essential []string        `yaml:"essential,omitempty" json:"essential,omitempty"`
	MaxAge    recipe.Duration `yaml:"max_age,omitempty" json:"max_age,omitzero"`
}

// Expected is what the decision must be. What is not written is not compared.
type Expected struct {
	Verdict string          `yaml:"verdict" json:"verdict"` // permit, step_up or deny
	Level   string          `yaml:"level,omitempty" json:"level,omitempty"`
	Fresh   recipe.Duration `yaml:"fresh,omitempty" json:"fresh,omitzero"`
	Sets    []string        `yaml:"sets,omitempty" json:"sets,omitempty"` // each of which would be enough
	Enrol   []string        `yaml:"enrol,omitempty" json:"enrol,omitempty"`
	Rules   []string        `yaml:"rules,omitempty" json:"rules,omitempty"` // places of all the rules that apply
	Reason  string          `yaml:"reason,omitempty" json:"reason,omitempty"`
}

// Read reads a file of cases. Its error names every fault with its line.
func Read(name string, text []byte) ([]Case, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxFile)
	}
	var shape struct {
		Cases []yaml.Node `yaml:"cases"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&shape); err != nil && !errors.Is(err, io.EOF) { // an empty file has no case, and is told so
		line, text := told(err)
		return nil, errors.New(name + ":" + line + " " + text)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: it holds more than one document", name)
	}
	switch {
	case len(shape.Cases) == 0:
		return nil, fmt.Errorf("%s: there is no case: write cases: [{name: …, expect: {verdict: permit}}]", name)
	case len(shape.Cases) > maxCases:
		return nil, fmt.Errorf("%s: there are more than %d cases", name, maxCases)
	}
	cases, faults, known := make([]Case, 0, len(shape.Cases)), []error(nil), map[string]int{}
	for i := range shape.Cases {
		node := &shape.Cases[i]
		one, err := readCase(node)
		if before := known[one.Name]; err == nil && before > 0 {
			err = fmt.Errorf("the case of line %d has this name too", before)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", name, node.Line, err))
			continue
		}
		known[one.Name] = node.Line
		cases = append(cases, one)
	}
	return cases, errors.Join(faults...)
}

// readCase decodes by way of text, because a node has no strict decoder of its own.
func readCase(node *yaml.Node) (Case, error) {
	text, err := yaml.Marshal(node)
	if err != nil {
		return Case{}, plain(err)
	}
	one := Case{Wish: Wish{}, Line: node.Line}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&one); err != nil {
		return Case{}, plain(err)
	}
	return one, one.Check()
}

// plain takes the position out of what yaml says: it counts within the case.
func plain(err error) error {
	_, text := told(err)
	return errors.New(text)
}

// told gives what yaml says without its own words, and the line, as "4:", where it names one.
func told(err error) (line, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	if before, after, found := strings.Cut(text, ": "); found && strings.HasPrefix(before, "line ") {
		line, text = strings.TrimPrefix(before, "line ")+":", after
	}
	return line, strings.NewReplacer("policy.", "", "!!", "").Replace(text)
}

var verdicts = []string{"permit", "step_up", "deny"}

// Check tells what keeps c from being a question.
func (c Case) Check() error {
	switch {
	case c.Name == "":
		return errors.New("it has no name")
	case (c.API == "") != (c.Operation == ""):
		return errors.New("api and operation belong together")
	case c.Operation == "" && len(c.Scopes) == 0 && len(c.Details) == 0:
		return errors.New("it asks for nothing: write api and operation, or scopes, or details")
	case !slices.Contains(verdicts, c.Expect.Verdict):
		return fmt.Errorf("expect.verdict is one of %s", strings.Join(verdicts, ", "))
	}
	if err := c.checkWords(); err != nil {
		return err
	}
	for i, detail := range c.Details {
		if kind, _ := detail["type"].(string); kind == "" {
			return fmt.Errorf("details[%d] has no type", i)
		}
	}
	return nil
}

// checkWords tells which word of c is none. A misspelt sign of risk is one that never speaks: the case would hold, and say
// nothing.
func (c Case) checkWords() error {
	for _, list := range []struct {
		at, kind    string
		said, known []string
	}{
		{"proved", "factor", slices.Sorted(maps.Keys(c.Proved)), recipe.Factors()},
		{"user.factors", "factor", c.User.Factors, recipe.Factors()},
		{"risk.signals", "signal", c.Risk.Signals, recipe.Signals()},
	} {
		for _, word := range list.said {
			if !slices.Contains(list.known, word) {
				return fmt.Errorf("%s: there is no %s %q, but %s", list.at, list.kind, word, strings.Join(list.known, ", "))
			}
		}
	}
	country := c.Place.Country
	switch {
	case c.Risk.Score < 0 || c.Risk.Score > signal.MaxScore:
		return fmt.Errorf("risk.score is a number from 0 to %d", signal.MaxScore)
	case country != "" && (len(country) != 2 || strings.Trim(country, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != ""):
		return errors.New("place.country is two capital letters of ISO 3166, such as FR")
	}
	return nil
}
