package authzen

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/gardeauth/garde/internal/jose"
)

// The bounds of what is read.
const (
	MaxBody        = 64 << 10 // bytes of a request
	MaxEvaluations = 50       // questions at once
	maxText        = 512      // bytes of a type, id or name
	maxNumber      = 40       // bytes of a number as it is written
)

// The faults of a question that is well-formed JSON and yet none.
var (
	ErrSubject  = errors.New("subject must have a type and an id")
	ErrAction   = errors.New("action must have a name")
	ErrResource = errors.New("resource must have a type and an id")
)

// asked is a question as it is written.
type asked struct {
	Subject  json.RawMessage `json:"subject"`
	Action   json.RawMessage `json:"action"`
	Resource json.RawMessage `json:"resource"`
	Context  json.RawMessage `json:"context"`
}

// ReadEvaluation reads one question. Members that nobody knows are ignored, as section 10.1.1 demands; doubled ones, at any
// depth, and everything else that two readers could read in two ways is refused. Its errors may be told.
func ReadEvaluation(data []byte) (Evaluation, error) {
	var said asked
	if err := decode(data, &said); err != nil {
		return Evaluation{}, err
	}
	return said.read()
}

// Item is one of several questions, or why it is none.
type Item struct {
	Evaluation Evaluation
	Err        error
}

// Batch is several questions. Alone says that there was no list: it is one question and answered as one (section 7.1).
type Batch struct {
	Items    []Item
	Semantic Semantic
	Alone    bool
}

// ReadEvaluations reads several questions, each completed by the defaults beside the list (section 7.1.1). A default is
// replaced whole, never mixed. A question that lacks something is a fault of its own; an error means that the whole can't
// be read.
func ReadEvaluations(data []byte) (Batch, error) {
	var said struct {
		asked
		Evaluations []asked `json:"evaluations"`
		Options     struct {
			Semantic *Semantic `json:"evaluations_semantic"`
		} `json:"options"`
	}
	if err := decode(data, &said); err != nil {
		return Batch{}, err
	}
	batch := Batch{Semantic: ExecuteAll, Alone: len(said.Evaluations) == 0}
	if wanted := said.Options.Semantic; wanted != nil {
		switch batch.Semantic = *wanted; *wanted {
		case ExecuteAll, DenyOnFirstDeny, PermitOnFirstPermit:
		default:
			return Batch{}, errors.New("options.evaluations_semantic is execute_all, deny_on_first_deny or permit_on_first_permit")
		}
	}
	if len(said.Evaluations) > MaxEvaluations {
		return Batch{}, fmt.Errorf("more than %d evaluations at once", MaxEvaluations)
	}
	if batch.Alone {
		said.Evaluations = []asked{{}}
	}
	for _, each := range said.Evaluations {
		one, err := each.or(said.asked).read()
		if batch.Alone && err != nil {
			return Batch{}, err
		}
		batch.Items = append(batch.Items, Item{one, err})
	}
	return batch, nil
}

// or fills what is not said from defaults.
func (a asked) or(defaults asked) asked {
	for _, pair := range [...]struct {
		own   *json.RawMessage
		other json.RawMessage
	}{{&a.Subject, defaults.Subject}, {&a.Action, defaults.Action}, {&a.Resource, defaults.Resource}, {&a.Context, defaults.Context}} {
		if absent(*pair.own) {
			*pair.own = pair.other
		}
	}
	return a
}

// absent tells whether a member is not there; null says the same (section 14.5).
func absent(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

// read takes a question out of its parts, which were read strictly as a part of the whole.
func (a asked) read() (Evaluation, error) {
	subject, err := entityOf(a.Subject, ErrSubject)
	if err != nil {
		return Evaluation{}, err
	}
	resource, err := entityOf(a.Resource, ErrResource)
	if err != nil {
		return Evaluation{}, err
	}
	action, _ := scan(a.Action).(map[string]any)
	name, said := action["name"].(string)
	if !said || !named(name) {
		return Evaluation{}, ErrAction
	}
	evaluation := Evaluation{Subject: Subject(subject), Resource: Resource(resource), Action: Action{Name: name}}
	if evaluation.Action.Properties, err = values(action["properties"], "properties"); err != nil {
		return Evaluation{}, err
	}
	if !absent(a.Context) {
		evaluation.Context, err = values(scan(a.Context), "context")
	}
	return evaluation, err
}

// entity is a subject or a resource.
type entity struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Properties map[string]any `json:"properties,omitempty"`
}

func entityOf(raw json.RawMessage, fault error) (entity, error) {
	said, _ := scan(raw).(map[string]any)
	kind, typed := said["type"].(string)
	id, known := said["id"].(string)
	if !typed || !known || !named(kind) || !named(id) {
		return entity{}, fault
	}
	properties, err := values(said["properties"], "properties")
	return entity{kind, id, properties}, err
}

func named(text string) bool { return text != "" && len(text) <= maxText }

// ReadDecision reads an answer. It must say decision in so many words: what is unclear is an error, never a permit.
func ReadDecision(data []byte) (Decision, error) {
	var said struct {
		Decision *bool           `json:"decision"`
		Context  json.RawMessage `json:"context"`
	}
	if err := decode(data, &said); err != nil {
		return Decision{}, err
	}
	if said.Decision == nil {
		return Decision{}, errors.New("the answer holds no decision")
	}
	answer := Decision{Decision: *said.Decision}
	if absent(said.Context) {
		return answer, nil
	}
	answer.Context = &Context{}
	if err := jose.DecodeJSON(said.Context, answer.Context); err != nil {
		return Decision{}, fmt.Errorf("context: %w", err)
	}
	if answer.Context.Lifetime < 0 || answer.Context.MaxAge != nil && *answer.Context.MaxAge < 0 {
		return Decision{}, errors.New("context: a time is negative")
	}
	return answer, nil
}

func decode(data []byte, into any) error {
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) == 0 || first[0] != '{' {
		return errors.New("it is not a JSON object")
	}
	return jose.DecodeJSON(data, into)
}

// values makes an object of values one that rules count with; nil where it is absent.
func values(said any, what string) (map[string]any, error) {
	if said == nil {
		return nil, nil //nolint:nilnil // nothing was said, and that is no fault
	}
	read, ok := said.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: the JSON can't be read", what)
	}
	if _, err := plain(read); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return read, nil
}

// Values reads a JSON object as strictly as all that decides something. Its numbers are json.Number, exactly as written.
func Values(data []byte) (map[string]any, error) {
	var strict json.RawMessage
	if err := decode(data, &strict); err != nil {
		return nil, err
	}
	read, ok := scan(data).(map[string]any)
	if !ok {
		return nil, errors.New("the JSON can't be read")
	}
	return read, nil
}

// plain turns numbers into those that rules count with.
func plain(value any) (any, error) {
	var err error
	switch v := value.(type) {
	case json.Number:
		return Number(string(v))
	case map[string]any:
		for name, each := range v {
			if v[name], err = plain(each); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, each := range v {
			if v[i], err = plain(each); err != nil {
				return nil, err
			}
		}
	}
	return value, nil
}

// Number gives the value of a JSON number: an int64 where it is whole and fits, else a float64.
func Number(text string) (any, error) {
	if whole, err := strconv.ParseInt(text, 10, 64); err == nil {
		return whole, nil
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || len(text) > maxNumber || math.IsInf(number, 0) || math.IsNaN(number) {
		return nil, errors.New("a number is out of range")
	}
	return number, nil
}
