package decide

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/assurance/signal"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// The personal fields of a journaled decision.
const (
	PersonalFacts  = "facts"   // what it rested on, as Marshal writes it
	PersonalSigns  = "signals" // what the signs of risk said, a sentence a line
	PersonalEnough = "enough"  // what would have been enough, in words
	personalPlace  = "address"
)

// kept is what a decision rested on, as far as its event does not say it elsewhere: the columns name who asked, for whom and
// when, the typed fields the operation. What is empty is left out, since each call of an API leaves one.
type kept struct {
	Form     int                `json:"v"` // keptForm
	Scope    string             `json:"scope,omitempty"`
	Details  []assurance.Detail `json:"details,omitempty"`
	Kind     recipe.ClientType  `json:"kind,omitempty"`
	Bound    bool               `json:"bound,omitempty"`
	Groups   []string           `json:"groups,omitempty"`
	Factors  []string           `json:"factors,omitempty"`
	Proofs   []iam.Proved       `json:"proofs,omitempty"`
	Held     *int64             `json:"held,omitempty"` // auth_time of the token that counted, in microseconds; its level is what was reached
	Answered []iam.Answer       `json:"answered,omitempty"`
	Since    time.Time          `json:"since,omitzero"`
	Spoke    []spoke            `json:"spoke,omitempty"`
	Silent   []string           `json:"silent,omitempty"`
	Paid     signal.Transaction `json:"paid,omitzero"`
	Place    assurance.Place    `json:"place,omitzero"`
	Values   map[string]any     `json:"values,omitempty"`
	Wish     *assurance.Wish    `json:"wish,omitempty"`
	Blind    bool               `json:"blind,omitempty"` // the facts were not asked
}

// spoke is a sign of risk and what it counted.
type spoke struct {
	Name   string `json:"n"`
	Points int    `json:"p"`
}

// keptForm is how facts are written now. Before it they were a whole question.
const keptForm = 1

// Marshal writes what a decision rests on beyond what its event says: see Unmarshal.
func Marshal(question *assurance.Question) (string, error) {
	facts := kept{
		Form: keptForm, Scope: question.Scope.String(), Details: question.Details, Kind: question.Client.Kind, Bound: question.Client.Bound,
		Groups: question.User.Groups, Factors: question.User.Factors, Proofs: question.Proofs, Answered: question.Answered, Since: question.Since,
		Silent: question.Risk.Silent, Paid: question.Transaction, Place: question.Place, Values: question.Values, Blind: !question.Online,
	}
	if question.Held != nil {
		at := question.Held.AuthTime.UnixMicro()
		facts.Held = &at
	}
	if wish := &question.Wish; len(wish.ACR) > 0 || len(wish.Essential) > 0 || wish.MaxAge >= 0 {
		facts.Wish = wish
	}
	for i := range question.Risk.Findings {
		facts.Spoke = append(facts.Spoke, spoke{question.Risk.Findings[i].Name, question.Risk.Findings[i].Points})
	}
	text, err := json.Marshal(&facts)
	return string(text), err
}

// Before is a decision that was made.
type Before struct {
	Question assurance.Question
	Made     journal.Decided
	Whole    bool // every signal that spoke is known, also those that counted nothing, so that other points can be counted
}

// ErrErased is the error where what a decision rested on has been erased.
var ErrErased = errors.New("what the decision rested on has been erased")

// Unmarshal reads what an event tells of a decision: the same policy decides the same of its question.
func Unmarshal(event journal.Event) (Before, error) {
	var before Before
	if err := json.Unmarshal(event.Detail, &before.Made); err != nil {
		return before, fmt.Errorf("the event %s: %w", event.ID, err)
	}
	text, there := event.Personal[PersonalFacts]
	if !there {
		return before, ErrErased
	}
	var how struct {
		Form int `json:"v"`
	}
	if err := read(text, &how); err != nil {
		return before, err
	}
	question := &before.Question
	switch how.Form {
	case 0: // a whole question
		if err := read(text, question); err != nil {
			return before, err
		}
	case keptForm:
		before.Whole = true
		var facts kept
		if err := read(text, &facts); err != nil {
			return before, err
		}
		if err := facts.into(question, event, &before.Made); err != nil {
			return before, err
		}
	default:
		return before, fmt.Errorf("the facts of a decision: nobody knows the form %d", how.Form)
	}
	question.Values = settled(question.Values)
	for i := range question.Details {
		question.Details[i].Values = settled(question.Details[i].Values)
	}
	return before, nil
}

func read(text string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("the facts of a decision: %w", err)
	}
	return nil
}

// into puts the facts, and what their event says elsewhere, into a question.
func (facts *kept) into(question *assurance.Question, event journal.Event, made *journal.Decided) error {
	scope, err := oauth.ParseScope(facts.Scope)
	if err != nil {
		return fmt.Errorf("the facts of a decision: %w", err)
	}
	*question = assurance.Question{
		Door: made.Door, API: made.API, Operation: made.Operation, Scope: scope, Details: facts.Details,
		Client: assurance.Client{ID: event.Client, Kind: facts.Kind, Bound: facts.Bound},
		User:   assurance.User{ID: event.User, Groups: facts.Groups, Factors: facts.Factors},
		Proofs: facts.Proofs, Answered: facts.Answered, Since: facts.Since, Transaction: facts.Paid, Place: facts.Place, Values: facts.Values,
		Risk: signal.Result{Score: int(made.Score), Silent: facts.Silent}, Wish: assurance.Wish{MaxAge: -1}, Online: !facts.Blind, Now: event.At.UTC(),
	}
	if facts.Held != nil {
		question.Held = &assurance.Held{ACR: made.Reached, AuthTime: time.UnixMicro(*facts.Held).UTC()}
	}
	if facts.Wish != nil {
		question.Wish = *facts.Wish
	}
	says := strings.Split(event.Personal[PersonalSigns], "\n")
	for i, each := range facts.Spoke {
		finding := signal.Finding{Name: each.Name, Points: each.Points}
		if i < len(says) {
			finding.Say = says[i]
		}
		question.Risk.Findings = append(question.Risk.Findings, finding)
	}
	return nil
}

// signs are the sentences of the signs of risk, a line each.
func signs(found signal.Result) string {
	said := make([]string, len(found.Findings))
	for i := range found.Findings {
		said[i] = strings.ReplaceAll(found.Findings[i].Say, "\n", " ")
	}
	return strings.Join(said, "\n")
}

// reasons are the sentences of a decision, but those of the signs of risk: they speak of a person's habits and places, and
// are erased in time.
func reasons(decision assurance.Decision) []string {
	var said []string
	for _, reason := range decision.Reasons {
		if reason.Code != assurance.ReasonSignal && !slices.Contains(said, reason.Say) {
			said = append(said, reason.Say)
		}
	}
	return said
}
