package request

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// Details are the types of rich authorization requests that a recipe declares (RFC 9396), compiled. They never change;
// the zero value knows none.
type Details struct{ types map[string]detail }

type detail struct {
	at     string // address of the API that it is about
	schema *jsonschema.Schema
	say    recipe.Text
	scopes []string
}

// The limits of authorization_details and of their schemas.
const (
	maxDetails     = 16 << 10
	maxDetailCount = 10
	maxSchema      = 64 << 10
	maxDetailText  = 500 // characters of one text: all of it is shown to the person
	maxDetailDigit = 32  // characters of one number
)

// NewDetails compiles what a recipe declares. Its errors are for whoever wrote it: a schema that is none, that refers to
// another document, or that lets members through which it does not know; a type that two APIs declare.
func NewDetails(bundle *recipe.Bundle) (*Details, error) {
	all := &Details{types: map[string]detail{}}
	for _, name := range slices.Sorted(maps.Keys(bundle.Recipe.APIs)) {
		api := bundle.Recipe.APIs[name]
		for _, kind := range slices.Sorted(maps.Keys(api.Details)) {
			said := api.Details[kind]
			if _, twice := all.types[kind]; twice {
				return nil, fmt.Errorf("authorization_details %s: two APIs declare it", kind)
			}
			schema, err := compile(bundle.Files[said.Schema])
			if err != nil {
				return nil, fmt.Errorf("authorization_details %s: %s: %w", kind, said.Schema, err)
			}
			all.types[kind] = detail{api.At, schema, said.Say, said.Scopes}
		}
	}
	return all, nil
}

// nowhere loads nothing: a schema stands alone.
type nowhere struct{}

func (nowhere) Load(string) (any, error) {
	return nil, errors.New("a schema refers to no other document")
}

func compile(text []byte) (*jsonschema.Schema, error) {
	if len(text) > maxSchema {
		return nil, fmt.Errorf("the schema is longer than %d bytes", maxSchema)
	}
	var strict json.RawMessage
	if err := jose.DecodeJSON(text, &strict); err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	root, ok := document.(map[string]any)
	if !ok || root["properties"] == nil {
		return nil, errors.New("the schema of a detail is an object with properties")
	}
	if err := closed("the schema", root); err != nil {
		return nil, err
	}
	const place = "garde:detail"
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(nowhere{})
	compiler.AssertFormat()
	if err := compiler.AddResource(place, document); err != nil {
		return nil, err
	}
	return compiler.Compile(place)
}

// closed demands that every object whose properties a schema names says what becomes of others: RFC 9396 section 5 lets
// no unknown member pass, and a schema that forgets to say so would.
func closed(where string, schema map[string]any) error {
	properties, named := schema["properties"].(map[string]any)
	if named {
		_, additional := schema["additionalProperties"]
		_, unevaluated := schema["unevaluatedProperties"]
		if !additional && !unevaluated {
			return fmt.Errorf("%s lets unknown members pass: say additionalProperties: false", where)
		}
	}
	for name, each := range properties {
		if inner, ok := each.(map[string]any); ok {
			if err := closed(name, inner); err != nil {
				return err
			}
		}
	}
	if items, ok := schema["items"].(map[string]any); ok {
		return closed(where, items)
	}
	return nil
}

// Types lists the types, for discovery.
func (d *Details) Types() []string {
	if d == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(d.types))
}

// allowedDetails reads authorization_details: each of a type that the recipe knows and the client may use, each obeying
// the schema of its type, and each with the scopes that it needs. What the person sees and what tokens carry is exactly
// what is kept here (P17).
func allowedDetails(_ context.Context, p *Parser, r *reading) error {
	text := r.form.Value("authorization_details")
	if text == "" {
		return nil
	}
	var known *Details
	if p.Details != nil {
		known = p.Details()
	}
	kept, scopes, err := known.read(text, r.Client.Details)
	if err != nil {
		return err
	}
	for _, scope := range scopes {
		if !r.Scope.Has(scope) {
			return oauth.InvalidScope("the authorization_details need the scope %s", scope)
		}
	}
	r.Details = kept
	return nil
}

func (d *Details) read(text string, allowed []string) (kept string, scopes []string, err error) {
	if len(text) > maxDetails {
		return "", nil, oauth.InvalidDetails("authorization_details are longer than %d bytes", maxDetails)
	}
	var list []json.RawMessage
	if err := jose.DecodeJSON([]byte(text), &list); err != nil {
		return "", nil, oauth.InvalidDetails("authorization_details are no JSON array").Because(err)
	}
	if len(list) == 0 || len(list) > maxDetailCount {
		return "", nil, oauth.InvalidDetails("authorization_details hold from 1 to %d objects", maxDetailCount)
	}
	for i, raw := range list {
		kind, err := d.check(raw, allowed)
		if err != nil {
			return "", nil, oauth.InvalidDetails("authorization_details, object %d: %s", i+1, told(err)).Because(err)
		}
		scopes = append(scopes, kind.scopes...)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		return "", nil, oauth.InvalidDetails("authorization_details are no JSON array").Because(err)
	}
	return compact.String(), scopes, nil
}

// fault is what a client's developer may know of a detail that is refused.
type fault string

func (f fault) Error() string { return string(f) }

func told(err error) string {
	var said fault
	if errors.As(err, &said) {
		return string(said)
	}
	return "it does not obey the schema of its type"
}

func (d *Details) check(raw json.RawMessage, allowed []string) (detail, error) {
	var head struct {
		Type      string   `json:"type"`
		Locations []string `json:"locations"`
	}
	if err := jose.DecodeJSON(raw, &head); err != nil {
		return detail{}, errors.Join(fault("it is no object with a type"), err)
	}
	var kind detail
	known := false
	if d != nil {
		kind, known = d.types[head.Type]
	}
	if !known || !slices.Contains(allowed, head.Type) {
		return detail{}, fault("the type is unknown, or not for this client")
	}
	for _, location := range head.Locations {
		if location != kind.at {
			return detail{}, fault("locations may name only the API of the type")
		}
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return detail{}, err
	}
	// Before the schema is asked: it computes with numbers as they are written, and 1e999999999 has a billion digits.
	if err := modest(value); err != nil {
		return detail{}, err
	}
	return kind, kind.schema.Validate(value)
}

// unseen tells whether a character is not shown as itself: a person would allow another text than the one they read.
func unseen(c rune) bool {
	return !unicode.IsGraphic(c) || unicode.In(c, unicode.Cf, unicode.Co) || c != ' ' && unicode.IsSpace(c)
}

// modest bounds what stands in a detail to what a person can be shown, whole.
func modest(value any) error {
	switch value := value.(type) {
	case string:
		if utf8.RuneCountInString(value) > maxDetailText {
			return fault("a text is too long to be shown")
		}
		if strings.ContainsFunc(value, unseen) {
			return fault("a text holds characters that can't be seen")
		}
	case json.Number:
		if len(value) > maxDetailDigit || strings.ContainsAny(string(value), "eE") {
			return fault("a number is too long, or has an exponent")
		}
	case []any:
		for _, each := range value {
			if err := modest(each); err != nil {
				return err
			}
		}
	case map[string]any:
		for name, each := range value {
			if err := modest(name); err != nil {
				return err
			}
			if err := modest(each); err != nil {
				return err
			}
		}
	}
	return nil
}
