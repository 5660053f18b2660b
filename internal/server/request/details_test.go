package request_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/recipe"
)

const payment = `{"type":"payment","creditor":"Merchant A","amount":{"value":"123.50","currency":"EUR"}}`

// paying is a request of jar with authorization_details.
func paying(details string, changes ...string) string {
	return asking("jar", append([]string{
		"redirect_uri", "https://jar.example/cb", "scope", "openid payments.write", "authorization_details", details,
	}, changes...)...).Encode()
}

func TestP17DetailsObeyTheirSchema(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct{ details, code string }{
		"one":                     {"[" + payment + "]", ""},
		"two":                     {"[" + payment + " , " + strings.Replace(payment, "}}", `},"times":12}`, 1) + "]", ""},
		"at the API":              {strings.Replace("["+payment+"]", "{", `{"locations":["https://api.bank.example/payments"],`, 1), ""},
		"no array":                {payment, "invalid_authorization_details"},
		"empty":                   {"[]", "invalid_authorization_details"},
		"null":                    {"null", "invalid_authorization_details"},
		"null within":             {"[null]", "invalid_authorization_details"},
		"a text within":           {`["payment"]`, "invalid_authorization_details"},
		"no type":                 {`[{"creditor":"A"}]`, "invalid_authorization_details"},
		"unknown type":            {`[{"type":"root"}]`, "invalid_authorization_details"},
		"type in upper case":      {strings.ReplaceAll("["+payment+"]", `"type"`, `"Type"`), "invalid_authorization_details"},
		"two types":               {strings.Replace("["+payment+"]", "{", `{"type":"payment",`, 1), "invalid_authorization_details"},
		"a member more":           {strings.Replace("["+payment+"]", "{", `{"admin":true,`, 1), "invalid_authorization_details"},
		"a member more, deeper":   {strings.Replace("["+payment+"]", `"value"`, `"fee":"1.00","value"`, 1), "invalid_authorization_details"},
		"a member less":           {`[{"type":"payment","creditor":"A"}]`, "invalid_authorization_details"},
		"another currency":        {strings.Replace("["+payment+"]", "EUR", "XXX", 1), "invalid_authorization_details"},
		"another API":             {strings.Replace("["+payment+"]", "{", `{"locations":["https://evil.example"],`, 1), "invalid_authorization_details"},
		"too many times":          {strings.Replace("["+payment+"]", "}}", `},"times":13}`, 1), "invalid_authorization_details"},
		"a billion digits":        {strings.Replace("["+payment+"]", "}}", `},"times":1e999999999}`, 1), "invalid_authorization_details"},
		"many digits":             {strings.Replace("["+payment+"]", "}}", `},"times":`+strings.Repeat("1", 40)+`}`, 1), "invalid_authorization_details"},
		"a long text":             {strings.Replace("["+payment+"]", "Merchant A", strings.Repeat("x", 501), 1), "invalid_authorization_details"},
		"text that turns around":  {strings.Replace("["+payment+"]", "Merchant A", "Merchant \u202eA", 1), "invalid_authorization_details"},
		"text of nothing visible": {strings.Replace("["+payment+"]", "Merchant A", "A\u200bB", 1), "invalid_authorization_details"},
		"text of two lines":       {strings.Replace("["+payment+"]", "Merchant A", `A\nB`, 1), "invalid_authorization_details"},
		"eleven":                  {"[" + strings.Repeat(payment+",", 10) + payment + "]", "invalid_authorization_details"},
		"too long":                {"[" + strings.Repeat(" ", 17<<10) + payment + "]", "invalid_authorization_details"},
		"more behind it":          {"[" + payment + "]x", "invalid_authorization_details"},
		"nested too deep":         {strings.Repeat("[", 40) + strings.Repeat("]", 40), "invalid_authorization_details"},
	} {
		t.Run(name, func(t *testing.T) {
			asked, err := h.parse(t, paying(c.details))
			if oauth.CodeOf(err) != c.code || c.code == "" && err != nil {
				t.Fatalf("read as %+v, error %v", asked, err)
			}
			var refusal *request.Refusal
			if err != nil && (!errors.As(err, &refusal) || strings.Contains(err.Error(), "Merchant")) {
				t.Errorf("told as %v", err)
			}
			if err == nil {
				if again, err := h.parser.Again(t.Context(), asked.Query()); err != nil || again.Details != asked.Details || strings.Contains(asked.Details, " , ") {
					t.Errorf("kept as %s: %v", asked.Query(), err)
				}
			}
		})
	}
}

func TestP17WhoMayAskForDetails(t *testing.T) {
	h := open(t)
	for name, c := range map[string]struct{ query, code string }{
		"without the scope it needs": {paying("["+payment+"]", "scope", "openid"), "invalid_scope"},
		"a client that has no types": {asking("web", "authorization_details", "["+payment+"]").Encode(), "invalid_authorization_details"},
	} {
		if _, err := h.parse(t, c.query); oauth.CodeOf(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.parser.Details = nil
	if _, err := h.parse(t, paying("["+payment+"]")); oauth.CodeOf(err) != "invalid_authorization_details" {
		t.Errorf("where no recipe has any: %v", err)
	}
}

// schemaOf compiles a recipe's only type with a schema.
func schemaOf(schema string) (*request.Details, error) {
	return request.NewDetails(&recipe.Bundle{
		Files: map[string][]byte{"s.json": []byte(schema)},
		Recipe: &recipe.Recipe{APIs: map[string]recipe.API{"a": {At: "https://a.example", Details: map[string]recipe.Detail{
			"t": {Schema: "s.json", Say: recipe.Text{"en": "Say {x.y}, {list} and {yes}", "fr": "Dire {x.y}"}},
		}}}},
	})
}

func TestP17SchemasThatLetThingsThrough(t *testing.T) {
	for name, schema := range map[string]string{
		"none":                  ``,
		"no JSON":               `x`,
		"true":                  `true`,
		"no properties":         `{"type":"object"}`,
		"open":                  `{"properties":{"type":{"const":"t"}}}`,
		"open within":           `{"properties":{"x":{"properties":{"y":{}}}},"additionalProperties":false}`,
		"open within a list":    `{"properties":{"x":{"items":{"properties":{"y":{}}}}},"additionalProperties":false}`,
		"a reference outside":   `{"properties":{"x":{"$ref":"https://evil.example/s"}},"additionalProperties":false}`,
		"a reference to a file": `{"properties":{"x":{"$ref":"file:///etc/passwd"}},"additionalProperties":false}`,
		"a dialect of others":   `{"$schema":"https://evil.example/s","properties":{},"additionalProperties":false}`,
		"a broken pattern":      `{"properties":{"x":{"pattern":"("}},"additionalProperties":false}`,
		"doubled members":       `{"properties":{},"properties":{},"additionalProperties":false}`,
		"too long":              `{"properties":{},"additionalProperties":false,"x":"` + strings.Repeat("y", 65<<10) + `"}`,
	} {
		if _, err := schemaOf(schema); err == nil {
			t.Errorf("%s: compiled", name)
		}
	}
	if _, err := schemaOf(`{"$defs":{"n":{"type":"string"}},"properties":{"x":{"$ref":"#/$defs/n"}},"additionalProperties":false}`); err != nil {
		t.Errorf("a reference inside: %v", err)
	}
	details := map[string]recipe.Detail{"t": {Schema: "s.json"}}
	twice := &recipe.Bundle{Files: map[string][]byte{"s.json": []byte(`{"properties":{},"additionalProperties":false}`)}, Recipe: &recipe.Recipe{
		APIs: map[string]recipe.API{"a": {Details: details}, "b": {Details: details}},
	}}
	if _, err := request.NewDetails(twice); err == nil {
		t.Error("two APIs declare one type")
	}
}

func TestP17AnAmountThatASentenceFormatsIsShownOnce(t *testing.T) {
	compiled, err := request.NewDetails(&recipe.Bundle{Files: map[string][]byte{"s.json": []byte(`{"properties":{},"additionalProperties":false}`)}, Recipe: &recipe.Recipe{
		APIs: map[string]recipe.API{"a": {Details: map[string]recipe.Detail{
			"t": {Schema: "s.json", Say: recipe.Text{"en": "Pay {cents:EUR}", "fr": "Payer {cents:EUR} {fee:eur}"}},
		}}},
	}})
	must(t, err)
	shown := compiled.Shown(`[{"type":"t","cents":2500,"fee":1}]`)
	if want := []page.Member{{Name: "fee", Value: "1"}}; len(shown) != 1 || !slices.Equal(shown[0].Rest, want) || shown[0].Values["cents"] != "2500" {
		t.Errorf("shown %+v", shown)
	}
}

func TestP17NothingOfADetailIsHidden(t *testing.T) {
	compiled, err := schemaOf(`{"properties":{},"additionalProperties":false}`)
	must(t, err)
	shown := compiled.Shown(`[{"type":"t","x":{"y":1.50},"list":["a","b",{"c":[1]}],"yes":true,"hidden":{"deep":null},"all":{},"any":[],"a.b":1,"a":{"b":2}},{"type":"gone","a":"b"}]`)
	if len(shown) != 2 {
		t.Fatalf("shown %+v", shown)
	}
	first, second := shown[0], shown[1]
	if first.Values["x.y"] != "1.50" || first.Values["list"] != `a, b, {"c":[1]}` || first.Values["yes"] != "true" || first.Say["fr"] == "" {
		t.Errorf("the sentence is filled with %+v", first)
	}
	if want := []page.Member{{Name: "a.b", Value: "2, 1"}, {Name: "all", Value: "{}"}, {Name: "any", Value: "[]"}, {Name: "hidden.deep", Value: "null"}, {Name: "list", Value: `a, b, {"c":[1]}`}, {Name: "yes", Value: "true"}}; !slices.Equal(first.Rest, want) {
		t.Errorf("beside it stands %+v", first.Rest)
	}
	if second.Say != nil || !slices.Equal(second.Rest, []page.Member{{Name: "a", Value: "b"}, {Name: "type", Value: "gone"}}) {
		t.Errorf("a type that is gone is shown as %+v", second)
	}
	for _, text := range []string{"", "x", "{}", "null"} {
		if got := compiled.Shown(text); got != nil {
			t.Errorf("%q is shown as %+v", text, got)
		}
	}
	if !slices.Equal(compiled.Types(), []string{"t"}) || (*request.Details)(nil).Types() != nil {
		t.Error("types")
	}
}
