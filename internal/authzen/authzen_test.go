package authzen_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/authzen"
)

const (
	alice = `"subject":{"type":"user","id":"alice"}`
	read  = `"action":{"name":"GET /balance"}`
	bank  = `"resource":{"type":"api","id":"https://api.bank.example"}`
)

func object(members ...string) string { return "{" + strings.Join(members, ",") + "}" }

func TestOneQuestion(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		good bool
	}{
		"a plain one":                       {object(alice, read, bank), true},
		"members in another order":          {object(bank, alice, read), true},
		"members that nobody knows":         {object(alice, read, bank, `"more":{"a":[1]}`), true},
		"an unknown member of the subject":  {object(`"subject":{"type":"user","id":"alice","x":1}`, read, bank), true},
		"a context of null":                 {object(alice, read, bank, `"context":null`), true},
		"no subject":                        {object(read, bank), false},
		"no action":                         {object(alice, bank), false},
		"no resource":                       {object(alice, read), false},
		"a subject of null":                 {object(`"subject":null`, read, bank), false},
		"a subject without id":              {object(`"subject":{"type":"user"}`, read, bank), false},
		"a subject with an empty id":        {object(`"subject":{"type":"user","id":""}`, read, bank), false},
		"a subject whose id is a number":    {object(`"subject":{"type":"user","id":7}`, read, bank), false},
		"a subject that is a text":          {object(`"subject":"alice"`, read, bank), false},
		"a resource without type":           {object(alice, read, `"resource":{"id":"x"}`), false},
		"an action without name":            {object(alice, `"action":{}`, bank), false},
		"a context that is a list":          {object(alice, read, bank, `"context":[]`), false},
		"properties that are a text":        {object(`"subject":{"type":"user","id":"alice","properties":"x"}`, read, bank), false},
		"J18 two subjects":                  {object(alice, alice, read, bank), false},
		"J18 doubled far below":             {object(alice, read, bank, `"context":{"values":{"a":1,"a":2}}`), false},
		"J18 doubled where nobody looks":    {object(alice, read, bank, `"more":{"a":1,"a":2}`), false},
		"J19 a folded name is another":      {object(`"Subject":{"type":"user","id":"alice"}`, read, bank), false},
		"J20 something after it":            {object(alice, read, bank) + "{}", false},
		"J20 invalid UTF-8":                 {object("\"subject\":{\"type\":\"user\",\"id\":\"\xff\"}", read, bank), false},
		"J38 deeper than anyone needs":      {object(alice, read, bank, `"context":`+strings.Repeat(`{"a":`, 40)+"1"+strings.Repeat("}", 40)), false},
		"an id that is too long":            {object(`"subject":{"type":"user","id":"`+strings.Repeat("a", 600)+`"}`, read, bank), false},
		"a number that no clock could hold": {object(alice, read, bank, `"context":{"a":1e999}`), false},
		"a list":                            {"[]", false},
		"a text":                            {`"x"`, false},
		"nothing":                           {"", false},
		"null":                              {"null", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := authzen.ReadEvaluation([]byte(c.text))
			if (err == nil) != c.good {
				t.Fatalf("%+v %v", got, err)
			}
			if c.good && (got.Subject.ID != "alice" || got.Action.Name != "GET /balance" || got.Resource.Type != "api") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestNumbersKeepTheirValue(t *testing.T) {
	got, err := authzen.ReadEvaluation([]byte(object(alice, read, bank, `"context":{"values":{"a":9007199254740993,"b":1.5,"c":[1e2],"d":"7"}}`)))
	want := map[string]any{"values": map[string]any{"a": int64(9007199254740993), "b": 1.5, "c": []any{100.0}, "d": "7"}}
	if err != nil || !reflect.DeepEqual(got.Context, want) {
		t.Errorf("%#v %v", got.Context, err)
	}
}

func TestSeveralQuestions(t *testing.T) {
	write := `"action":{"name":"POST /transfers"}`
	for name, c := range map[string]struct {
		text     string
		good     bool
		actions  string // of the items, - for a fault
		semantic authzen.Semantic
		alone    bool
	}{
		"no list":                          {object(alice, read, bank), true, "GET /balance", authzen.ExecuteAll, true},
		"an empty list":                    {object(alice, read, bank, `"evaluations":[]`), true, "GET /balance", authzen.ExecuteAll, true},
		"no list and no action":            {object(alice, bank), false, "", "", false},
		"defaults for all":                 {object(alice, read, bank, `"evaluations":[{},{}]`), true, "GET /balance,GET /balance", authzen.ExecuteAll, false},
		"one with its own action":          {object(alice, read, bank, `"evaluations":[{`+write+`},{}]`), true, "POST /transfers,GET /balance", authzen.ExecuteAll, false},
		"one that lacks an action":         {object(alice, bank, `"evaluations":[{},{`+write+`}]`), true, "-,POST /transfers", authzen.ExecuteAll, false},
		"a default is never mixed":         {object(alice, read, bank, `"evaluations":[{"subject":{"type":"user"}}]`), true, "-", authzen.ExecuteAll, false},
		"a null keeps the default":         {object(alice, read, bank, `"evaluations":[{"action":null}]`), true, "GET /balance", authzen.ExecuteAll, false},
		"all":                              {object(alice, read, bank, `"evaluations":[{}],"options":{"evaluations_semantic":"execute_all"}`), true, "GET /balance", authzen.ExecuteAll, false},
		"the first denial":                 {object(alice, read, bank, `"evaluations":[{}],"options":{"evaluations_semantic":"deny_on_first_deny","x":1}`), true, "GET /balance", authzen.DenyOnFirstDeny, false},
		"the first permit":                 {object(alice, read, bank, `"evaluations":[{}],"options":{"evaluations_semantic":"permit_on_first_permit"}`), true, "GET /balance", authzen.PermitOnFirstPermit, false},
		"a semantic that does not exist":   {object(alice, read, bank, `"evaluations":[{}],"options":{"evaluations_semantic":"any"}`), false, "", "", false},
		"an empty semantic":                {object(alice, read, bank, `"evaluations":[{}],"options":{"evaluations_semantic":""}`), false, "", "", false},
		"a list that is none":              {object(alice, read, bank, `"evaluations":{}`), false, "", "", false},
		"a question that is a text":        {object(alice, read, bank, `"evaluations":["x"]`), false, "", "", false},
		"too many":                         {object(alice, read, bank, `"evaluations":[{}`+strings.Repeat(",{}", authzen.MaxEvaluations)+`]`), false, "", "", false},
		"J18 a doubled member of one":      {object(alice, read, bank, `"evaluations":[{"a":1,"a":1}]`), false, "", "", false},
		"options that are a list":          {object(alice, read, bank, `"options":[]`), false, "", "", false},
		"J19 evaluations in other letters": {object(alice, read, bank, `"Evaluations":[{},{}]`), true, "GET /balance", authzen.ExecuteAll, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := authzen.ReadEvaluations([]byte(c.text))
			if (err == nil) != c.good {
				t.Fatalf("%+v %v", got, err)
			}
			var actions []string
			for _, each := range got.Items {
				if each.Err != nil {
					actions = append(actions, "-")
					continue
				}
				actions = append(actions, each.Evaluation.Action.Name)
			}
			if strings.Join(actions, ",") != c.actions || got.Semantic != c.semantic || got.Alone != c.alone {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAnAnswerThatIsUnclearIsNone(t *testing.T) {
	for text, want := range map[string]string{
		`{"decision":true}`: "permit", `{"decision":false}`: "deny", `{"decision":true,"context":{"lifetime":3,"x":{"y":1}}}`: "permit",
		`{"decision":true,"context":null}`: "permit", `{"decision":false,"context":{"acr_values":"a b","max_age":60,"reasons":[{"code":"a","say":"b"}]}}`: "deny",
		`{}`: "error", `{"decision":null}`: "error", `{"decision":"true"}`: "error", `{"decision":1}`: "error", `{"Decision":true}`: "error",
		`{"decision":true,"decision":false}`: "error", `{"decision":true}{}`: "error", `{"decision":true,"context":[]}`: "error", `true`: "error",
		`{"decision":true,"context":{"lifetime":-1}}`: "error", `{"decision":true,"context":{"lifetime":1.5}}`: "error",
		`{"decision":true,"context":{"max_age":-1}}`: "error", `{"decision":true,"context":{"lifetime":"1"}}`: "error", ``: "error",
	} {
		got, err := authzen.ReadDecision([]byte(text))
		said := "deny"
		switch {
		case err != nil:
			said = "error"
		case got.Decision:
			said = "permit"
		}
		if said != want || err != nil && got.Decision {
			t.Errorf("%s: %s %v", text, said, err)
		}
	}
}

func TestSemanticsEnd(t *testing.T) {
	for semantic, want := range map[authzen.Semantic][2]bool{ // after a denial, after a permit
		authzen.ExecuteAll: {false, false}, authzen.DenyOnFirstDeny: {true, false}, authzen.PermitOnFirstPermit: {false, true},
	} {
		if got := [2]bool{semantic.Ends(false), semantic.Ends(true)}; got != want {
			t.Errorf("%s: %v", semantic, got)
		}
	}
}

func TestValuesAreReadAsTheyStand(t *testing.T) {
	got, err := authzen.Values([]byte(`{"amount":100.50,"big":123456789012345678901234567890}`))
	if err != nil || got["amount"] != json.Number("100.50") || got["big"] != json.Number("123456789012345678901234567890") {
		t.Errorf("%v %v", got, err)
	}
	if _, err := authzen.Values([]byte(`[1]`)); err == nil {
		t.Error("a list was read as an object")
	}
}

// FuzzRead: what is read is complete, and reads the same when it is written again.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		object(alice, read, bank), object(alice, read, bank, `"evaluations":[{},{"action":{"name":"x"}}]`), `{"decision":true,"context":{"lifetime":1}}`,
		object(alice, read, bank, `"context":{"values":{"a":1.5e3,"b":[null,true]}}`), `{`, `[]`, `{"evaluations":[{}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = authzen.ReadDecision(data)
		batch, err := authzen.ReadEvaluations(data)
		if err == nil {
			for _, each := range batch.Items {
				complete(t, each.Evaluation, each.Err)
			}
		}
		one, err := authzen.ReadEvaluation(data)
		complete(t, one, err)
		if err != nil {
			return
		}
		again, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := authzen.ReadEvaluation(again); err != nil && len(again) <= 1<<20 || err == nil && got.Subject.ID != one.Subject.ID {
			t.Errorf("%s: %v", again, err)
		}
	})
}

func complete(t *testing.T, e authzen.Evaluation, err error) {
	t.Helper()
	if err == nil && (e.Subject.Type == "" || e.Subject.ID == "" || e.Action.Name == "" || e.Resource.Type == "" || e.Resource.ID == "") {
		t.Errorf("incomplete: %+v", e)
	}
	if errors.Is(err, authzen.ErrSubject) && e.Subject.ID != "" {
		t.Errorf("refused, and yet it says %+v", e)
	}
}

// FuzzValues: what is read of a strict object is what the reader of the standard library finds there.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{`{"a":1.50,"b":[null,true,{"c":"\u00e9\\n\""}],"":-1e+5}`, ` { "a" : [ ] , "b" : { } } `, `{"\ud83d\ude00":"\ud83d\ude00"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := authzen.Values(data)
		if err != nil {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		var want map[string]any
		if err := decoder.Decode(&want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, and not %v (%v)", data, got, want, err)
		}
	})
}

func BenchmarkReadEvaluation(b *testing.B) {
	text := []byte(object(`"subject":{"type":"user","id":"alice","properties":{"client_id":"web","scope":"openid a","acr":"urn:x","auth_time":1764000000,"sid":"s-1"}}`,
		read, bank, `"context":{"address":"127.0.0.1","values":{"sum":120}}`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := authzen.ReadEvaluation(text); err != nil {
			b.Fatal(err)
		}
	}
}
