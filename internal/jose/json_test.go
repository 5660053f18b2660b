package jose_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/jose"
)

// benchClaims is the payload of an access token as the house issues it.
var benchClaims = []byte(`{"iss":"https://id.bank.example","sub":"u_01J9ZQ7X5K8V3M2N4P6R8S0T2V","aud":"https://api.bank.example/accounts",` +
	`"client_id":"mobile","scope":"accounts.read transfers.write beneficiaries.write","jti":"7cX0pQ2mV9sK4tB1nH6yZw","iat":1790000000,` +
	`"exp":1790000300,"auth_time":1789999000,"acr":"urn:garde:loa:strong","amr":["pwd","otp"],"sid":"s_01J9ZQ7X5K8V3M2N4P6R8S0T2V",` +
	`"grant_id":"g_01J9ZQ7X5K8V3M2N4P6R8S0T2V","cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}`)

type sample struct {
	Sub  string           `json:"sub"`
	Exp  jose.NumericDate `json:"exp"`
	Deep struct {
		Sub string `json:"sub"`
	} `json:"deep"`
}

func TestDecodeJSONRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"J18 duplicate members":                    `{"sub":"a","sub":"b"}`,
		"J18 duplicate members further down":       `{"deep":{"sub":"a","sub":"b"}}`,
		"J18 duplicate members where nobody looks": `{"other":[{"x":1,"x":2}]}`,
		"J18 duplicate members in two spellings":   `{"sub":"a","\u0073ub":"b"}`,
		"J18 duplicate unknown members":            `{"x":1,"x":1}`,
		"J20 a second document":                    `{}{}`,
		"J20 a byte after it":                      `{"sub":"a"}x`,
		"J20 a byte order mark":                    "\ufeff{}",
		"J20 invalid UTF-8":                        "{\"sub\":\"\xff\"}",
		"J20 invalid UTF-8 where nobody looks":     "{\"other\":\"\xff\"}",
		"J20 half a surrogate pair":                `{"sub":"\ud800"}`,
		"J20 a control character":                  "{\"sub\":\"a\nb\"}",
		"J38 a hundred thousand brackets":          strings.Repeat("[", 100_000),
		"J38 nested objects where nobody looks":    strings.Repeat(`{"x":`, 40) + "1" + strings.Repeat("}", 40),
		"more than a megabyte":                     `{"x":"` + strings.Repeat("a", jose.MaxJSON) + `"}`,
		"nothing":                                  "",
		"null in place of a document":              " null ",
		"a list in place of an object":             `[]`,
		"a trailing comma":                         `{"sub":"a",}`,
		"a comment":                                `{/**/}`,
		"single quotes":                            `{'sub':'a'}`,
		"a number in place of a text":              `{"sub":1}`,
		"an unfinished document":                   `{"sub":"a"`,
		"a leading zero":                           `{"exp":01}`,
		"J13 a date as text":                       `{"exp":"9999999999"}`,
		"J13 a date beyond any clock":              `{"exp":1e300}`,
		"J13 a date beyond float64":                `{"exp":1e999}`,
		"J13 a negative date":                      `{"exp":-1}`,
		"J13 minus zero":                           `{"exp":-0}`,
		"J13 one more than doubles count":          `{"exp":9007199254740993}`,
		"J13 one more than 64 bits":                `{"exp":18446744073709551616}`,
		"J13 NaN":                                  `{"exp":NaN}`,
		"J13 Infinity":                             `{"exp":Infinity}`,
		"J13 null":                                 `{"exp":null}`,
		"J13 hexadecimal":                          `{"exp":0x10}`,
		"J13 a date of a hundred digits":           `{"exp":0.` + strings.Repeat("1", 100) + `}`,
		"J13 a date as list":                       `{"exp":[1]}`,
	} {
		t.Run(name, func(t *testing.T) {
			var v sample
			err := jose.DecodeJSON([]byte(text), &v)
			if err == nil {
				t.Fatalf("accepted: %+v", v)
			}
			if len(err.Error()) > 200 {
				t.Errorf("a long error: %d bytes", len(err.Error()))
			}
		})
	}
}

func TestJ19FoldedMembersAreOthers(t *testing.T) {
	for name, text := range map[string]string{
		"upper case":    `{"sub":"alice","SUB":"admin","Sub":"admin"}`,
		"long s":        `{"sub":"alice","ſub":"admin"}`,
		"folded alone":  `{"ſub":"admin","SUB":"admin","sub":"alice"}`,
		"with a space":  `{"sub":"alice","sub ":"admin"}`,
		"with a NUL":    `{"sub":"alice","sub\u0000":"admin"}`,
		"a Kelvin sign": `{"sub":"alice","deep":{"\u212aey":1}}`,
	} {
		var v sample
		if err := jose.DecodeJSON([]byte(text), &v); err != nil || v.Sub != "alice" {
			t.Errorf("%s: %q %v", name, v.Sub, err)
		}
	}
	var v sample
	if err := jose.DecodeJSON([]byte(`{"SUB":"admin","ſub":"admin"}`), &v); err != nil || v.Sub != "" {
		t.Errorf("a folded name filled the member: %q %v", v.Sub, err)
	}
}

func TestNumericDate(t *testing.T) {
	for text, want := range map[string]jose.NumericDate{
		"0": 0, "1790000000": 1790000000, "1790000000.9": 1790000000, "1.79e9": 1790000000, "9007199254740992": 1 << 53,
	} {
		var v sample
		if err := jose.DecodeJSON([]byte(`{"exp":`+text+`}`), &v); err != nil || v.Exp != want {
			t.Errorf("%s: %d %v", text, v.Exp, err)
		}
	}
}

func TestErrorsNeverShowValues(t *testing.T) {
	for _, text := range []string{`{"sub":{"a":"s3cret"}}`, `{"exp":"s3cret"}`, `{"sub":"s3cret","sub":"s3cret"}`, `{"sub":s3cret}`} {
		var v sample
		err := jose.DecodeJSON([]byte(text), &v)
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzDecodeJSON holds the strict decoder against the standard one: it may refuse more, and what it accepts it must read
// exactly as a plain map does.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"sub":"a","exp":12}`, `{"sub":"a","sub":"b"}`, `{"SUB":"a"}`, `{"ſub":"a"}`, `[1,2,{"a":null}]`, `"\ud83d\ude00"`,
		`"\ud800"`, "{\"sub\":\"\xff\"}", `{}{}`, "\ufeff{}", `[[[[[[[[[[]]]]]]]]]]`, `1e5`, `null`, `{"exp":1e300}`, `{"deep":{"sub":"x"}}`,
		string(benchClaims),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var strict any
		if jose.DecodeJSON(data, &strict) != nil {
			return
		}
		var plain any
		if err := json.Unmarshal(data, &plain); err != nil {
			t.Fatalf("only the strict decoder accepts it: %v", err)
		}
		if !reflect.DeepEqual(strict, plain) {
			t.Fatalf("strict %#v, plain %#v", strict, plain)
		}
		var v sample
		if jose.DecodeJSON(data, &v) != nil {
			return
		}
		members, ok := plain.(map[string]any)
		if !ok {
			t.Fatal("no object filled a struct")
		}
		if text, _ := members["sub"].(string); text != v.Sub {
			t.Fatalf("sub: %q in the struct, %v in the map", v.Sub, members["sub"])
		}
		if number, _ := members["exp"].(float64); jose.NumericDate(number) != v.Exp {
			t.Fatalf("exp: %d in the struct, %v in the map", v.Exp, members["exp"])
		}
	})
}

func BenchmarkDecodeJSON(b *testing.B) {
	var v struct {
		Iss, Sub, Aud string
		Scope         string           `json:"scope"`
		Exp           jose.NumericDate `json:"exp"`
		Amr           []string         `json:"amr"`
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := jose.DecodeJSON(benchClaims, &v); err != nil {
			b.Fatal(err)
		}
	}
}
