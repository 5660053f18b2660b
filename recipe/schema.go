package recipe

import (
	"encoding/json"
	"reflect"
	"strings"
)

// schema is the part of JSON Schema 2020-12 that editors need to complete and underline.
type schema struct {
	Dialect       string             `json:"$schema,omitempty"`
	ID            string             `json:"$id,omitempty"`
	Title         string             `json:"title,omitempty"`
	Description   string             `json:"description,omitempty"`
	Type          string             `json:"type,omitempty"`
	Enum          []any              `json:"enum,omitempty"`
	Pattern       string             `json:"pattern,omitempty"`
	Format        string             `json:"format,omitempty"`
	Minimum       *int               `json:"minimum,omitempty"`
	MinItems      int                `json:"minItems,omitempty"`
	MaxItems      int                `json:"maxItems,omitempty"`
	UniqueItems   bool               `json:"uniqueItems,omitempty"`
	Items         *schema            `json:"items,omitempty"`
	Properties    map[string]*schema `json:"properties,omitempty"`
	Required      []string           `json:"required,omitempty"`
	PropertyNames *schema            `json:"propertyNames,omitempty"`
	Additional    any                `json:"additionalProperties,omitempty"` // false, or a *schema
	AnyOf         []*schema          `json:"anyOf,omitempty"`
}

// Schema gives the JSON Schema (2020-12) of the recipe, for editors. It is made from the types and their tags. It says
// less than Read: what needs more than one place to judge is not in it.
func Schema() []byte {
	root := schemaOf(reflect.TypeFor[Recipe](), "")
	root.Dialect = schemaDialect
	root.Title = "Garde recipe"
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("recipe: a schema is strings and numbers: " + err.Error())
	}
	return append(text, '\n')
}

const (
	schemaDialect    = "https://json-schema.org/draft/2020-12/schema"
	namePattern      = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"
	operationKey     = "^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /[^ ?#%;*]*$"
	durationPattern  = "^[1-9][0-9]*[smhd]$"
	secretPattern    = "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$" //nolint:gosec // the shape of a reference, and no secret
	colourPattern    = "^#[0-9a-fA-F]{6}$"
	scopeNamePattern = "^[A-Za-z][A-Za-z0-9._:/*~+@-]{0,127}$"
)

// schemaOf walks the types as decode does. pattern is the path as in the table of verdicts.
func schemaOf(t reflect.Type, pattern string) *schema {
	s := &schema{}
	switch {
	case t == durationType:
		s.Type, s.Pattern = "string", durationPattern
	case t == wordsType:
		texts := &schema{Type: "object", Additional: &schema{Type: "string"}, Required: []string{"en"}}
		s.AnyOf = []*schema{{Type: "string"}, texts}
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem(), pattern)
	case t.Kind() == reflect.Struct:
		s.Type, s.Additional, s.Properties = "object", false, map[string]*schema{}
		for _, f := range fieldsOf(t) {
			property := schemaOf(t.FieldByIndex(f.index).Type, strings.TrimPrefix(pattern+"."+f.name, "."))
			property.Description = f.doc
			s.Properties[f.name] = property
			if f.required {
				s.Required = append(s.Required, f.name)
			}
		}
	case t.Kind() == reflect.Map:
		s.Type, s.Additional = "object", schemaOf(t.Elem(), pattern+".*")
	case t.Kind() == reflect.Slice:
		s.Type, s.Items = "array", schemaOf(t.Elem(), pattern+"[]")
		s.UniqueItems = t.Elem().Kind() == reflect.String
	case t.Kind() == reflect.Bool:
		s.Type = "boolean"
	case t.Kind() == reflect.String:
		s.Type = "string"
	default:
		s.Type = "integer"
	}
	narrow(s, pattern)
	narrowAssurance(s, pattern)
	switch last := pattern[strings.LastIndexByte(pattern, '.')+1:]; {
	case s.Enum != nil:
	case strings.HasSuffix(last, "_signed_response_alg"), strings.HasSuffix(last, "_signing_alg"):
		s.Enum = values(signatureAlgs)
	case strings.Contains(last, "encrypt") && strings.HasSuffix(last, "_alg"):
		s.Enum = values(wrapAlgs)
	case strings.Contains(last, "encrypt") && strings.HasSuffix(last, "_enc"):
		s.Enum = values(contentAlgs)
	}
	return s
}

// narrow adds what the types do not say.
func narrow(s *schema, pattern string) {
	zero := 0
	switch pattern {
	case "garde":
		s.Enum = []any{Format}
	case "levels":
		s.MinItems = 1
	case "levels[].name", "exceptions.*.client", "exceptions.*.registration", "apis.*.client", "clients.*.was", "issuers.*.clients[]":
		s.Pattern = namePattern
	case "levels[].any":
		s.MinItems = 1
	case "clients", "apis", "exceptions", "issuers", "registration":
		s.PropertyNames = &schema{Pattern: namePattern}
	case "scopes", "apis.*.authorization_details":
		s.PropertyNames = &schema{Pattern: scopeNamePattern}
	case "apis.*.operations":
		s.PropertyNames = &schema{Pattern: operationKey}
	case "apis.*.token":
		s.Enum = values([]string{string(TokenJWT), string(TokenOpaque)})
	case "apis.*.body":
		s.Minimum = &zero
	case operationPattern + ".for[]":
		s.Enum = values([]string{string(ForUser), string(ForClient)})
	case "clients.*.type", "registration.*.types[]":
		s.Enum = values([]string{string(Web), string(Native), string(Browser), string(Service)})
	case "clients.*.auth":
		s.Enum = values(authMethods)
	case "clients.*.consent":
		s.Enum = values([]string{string(ConsentAsk), string(ConsentImplied)})
	case "clients.*.grants[]", "registration.*.grants[]":
		s.Enum = values(grantsOf[Web])
	case "registration.*.software_statements[]":
		s.Pattern = "^.+=.+$"
	case "clients.*.profile", "registration.*.profile":
		s.Enum = values(profileNames)
	case "apis.*.profile":
		s.Enum = values(apiProfiles)
	case "apis.*.bound":
		s.Enum = values([]string{string(BoundOff), string(BoundOffered), string(BoundRequired)})
	case "issuers.*.subjects":
		s.Enum = values([]string{"user", "username", "client"})
	case "clients.*.response_types[]":
		s.Enum = values(append([]string{"code"}, frontTypes...))
	case "clients.*.subject_type":
		s.Enum = values([]string{"public", "pairwise"})
	case "clients.*.backchannel_token_delivery_mode":
		s.Enum = values([]string{"poll", "ping", "push"})
	case "clients.*.token_endpoint_auth_signing_alg":
		s.Enum = values(append(IDTokenAlgs(), secretAlgs...))
	case "clients.*.default_max_age":
		s.Minimum = &zero
	case "exceptions.*.allow[]":
		s.Enum = values(Exceptions())
	case "clients.*.secrets":
		s.MaxItems = 2
	case "clients.*.secrets[]":
		s.Pattern = secretPattern
	case "company.accent":
		s.Pattern = colourPattern
	case "exceptions.*.until":
		s.Format = "date"
	case "scopes.*.say", "apis.*.authorization_details.*.say":
		s.Required = []string{"en"}
	}
}

// narrowAssurance adds what the types do not say of rules, risk and factors.
func narrowAssurance(s *schema, pattern string) {
	zero := 0
	switch pattern {
	case "signin.factors[]":
		s.Enum = values(factors)
	case "signin.enrol[].level", "clients.*.apps", "raise[].level", operationPattern + ".raise[].level":
		s.Pattern = namePattern
	case "signin.enrol[].until":
		s.Format = "date"
	case "signin.passkeys.attestation":
		s.Enum = values([]string{AttestationOff, AttestationRequired})
	case "signin.passkeys.synced":
		s.Enum = values([]string{SyncedAllowed, SyncedRefused})
	case "risk.points":
		s.PropertyNames = &schema{Enum: values(signals)}
	case "risk.points.*":
		s.Minimum = &zero
	case operationPattern + ".match.*", operationPattern + ".send.*":
		s.Pattern = "^(body|path|query)\\.[A-Za-z0-9_.-]+$"
	}
}

func values(names []string) []any {
	all := make([]any, len(names))
	for i, name := range names {
		all[i] = name
	}
	return all
}
