package request_test

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
)

var (
	registeredOfCLI = []string{"http://127.0.0.1/cb", "http://[::1]/cb", "com.bank.app:/cb"}
	anyPort         = regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\])):[1-9][0-9]{0,4}(/cb)$`)
)

// FuzzRedirect: what is accepted has the bytes of what was registered; of a native client's loopback the port may differ.
func FuzzRedirect(f *testing.F) {
	for _, uri := range []string{
		"http://127.0.0.1/cb", "http://127.0.0.1:8080/cb", "http://[::1]:1/cb", "com.bank.app:/cb", "https://app.example/cb",
		"https://app.example/cb?tenant=1", "http://127.0.0.1:0/cb", "http://127.0.0.1:00080/cb", "http://127.0.0.1.evil/cb",
		"http://127.0.0.1:80@evil/cb", "http://127.0.0.1@evil/cb", "http://127.0.0.1:8080", "http://localhost:1/cb",
		"https://app.example/cb/..;/x", "https://a@app.example@evil/cb", "https://app.example。com/cb", "http://[::1]:1:/cb",
	} {
		f.Add(uri)
	}
	h := open(f)
	f.Fuzz(func(t *testing.T, uri string) {
		if asked, err := h.parse(t, asking("cli", "redirect_uri", uri).Encode()); err == nil {
			if !slices.Contains(registeredOfCLI, anyPort.ReplaceAllString(uri, "$1$2")) || asked.RedirectURI != uri {
				t.Errorf("a native client: %q", uri)
			}
		}
		if _, err := h.parse(t, asking("web", "redirect_uri", uri).Encode()); err == nil {
			if uri != "https://app.example/cb" && uri != "https://app.example/cb?tenant=1" {
				t.Errorf("a browser client: %q", uri)
			}
		}
	})
}

// FuzzParse: whatever comes, nothing breaks; what is accepted is read the same when it is kept, and can be answered.
func FuzzParse(f *testing.F) {
	for _, changes := range [][]string{
		nil, {"claims", `{"id_token":{"acr":{"essential":true,"values":["a"]},"sub":{"value":"u"}},"userinfo":{"email":null}}`},
		{"response_mode", "form_post", "state", "a b+c\r\n"}, {"prompt", "login consent", "max_age", "0"}, {"id_token_hint", "a.b.c"},
		{"resource", "https://api.bank.example/accounts", "scope", "accounts.read openid"}, {"request", "x"},
	} {
		f.Add(asking("web", changes...).Encode())
	}
	h := open(f)
	f.Fuzz(func(t *testing.T, query string) {
		asked, err := h.parse(t, query)
		if err != nil {
			if oauth.CodeOf(err) == "" {
				t.Errorf("%q: a fault of ours: %v", query, err)
			}
			return
		}
		again, err := h.parser.Again(t.Context(), asked.Query())
		if err != nil || again.Query() != asked.Query() || again.State != asked.State || again.Subject != asked.Subject ||
			!slices.Equal(again.Essential, asked.Essential) || again.Allowance().String() != asked.Allowance().String() {
			t.Fatalf("%q is kept as %q and read otherwise: %v", query, asked.Query(), err)
		}
		location := asked.Location(url.Values{"state": {asked.State}})
		for i := range len(location) {
			if location[i] <= ' ' || location[i] > '~' {
				t.Fatalf("%q in a header", location)
			}
		}
	})
}

// FuzzObject: whatever a client signs, nothing breaks; what is accepted is read the same when it is kept.
func FuzzObject(f *testing.F) {
	for _, payload := range []string{
		`{"iss":"jar","aud":"` + issuer + `","redirect_uri":"https://jar.example/cb","response_type":"code","scope":"openid","code_challenge":"` +
			challenge + `","code_challenge_method":"S256"}`,
		`{}`, `[]`, `null`, `{"iss":"jar","aud":["` + issuer + `"]}`, `{"iss":"jar","aud":"` + issuer + `","state":{"a":[1]},"max_age":1e3,"resource":["a","b"]}`,
		`{"iss":"jar","iss":"rs"}`, `{"exp":-1}`, `{"exp":1e308}`, `{"iss":"jar","aud":"` + issuer + `","":"x"}`, `{"iss":"jar","aud":"` + issuer + `","resource":[]}`,
	} {
		f.Add(payload)
	}
	h := open(f)
	f.Fuzz(func(t *testing.T, payload string) {
		text, err := h.signer[jose.ES256].SignBytes(typObject, []byte(payload))
		if err != nil {
			t.Skip()
		}
		asked, err := h.parse(t, jar("jar", text))
		if err != nil {
			if oauth.CodeOf(err) == "" {
				t.Errorf("%q: a fault of ours: %v", payload, err)
			}
			return
		}
		var said struct {
			Issuer string `json:"iss"`
		}
		if err := json.Unmarshal([]byte(payload), &said); err != nil || said.Issuer != "jar" || !asked.Signed {
			t.Fatalf("%q is accepted", payload)
		}
		if again, err := h.parser.Again(t.Context(), asked.Query()); err != nil || again.Query() != asked.Query() {
			t.Fatalf("%q is kept as %q and read otherwise: %v", payload, asked.Query(), err)
		}
	})
}

// FuzzDetails: what is accepted holds no member that the schema does not name, and is shown whole.
func FuzzDetails(f *testing.F) {
	for _, text := range []string{
		"[" + payment + "]", "[]", "[null]", `[{"type":"payment"}]`, `[{"type":"payment","creditor":"A","amount":{"value":"1.00","currency":"EUR"},"times":1.0}]`,
		`[{"type":"payment","creditor":"A","amount":{"value":"1.00","currency":"EUR"},"notes":["a","b"]}]`,
		`[{"type":"payment","creditor":"A","amount":{"value":"1.00","currency":"EUR"},"times":-0}]`, `[1e9999999999]`, `[{"type":"payment","creditor":"\u202e"}]`,
	} {
		f.Add(text)
	}
	h := open(f)
	known := []string{"type", "locations", "amount.value", "amount.currency", "creditor", "times", "notes"}
	f.Fuzz(func(t *testing.T, text string) {
		asked, err := h.parse(t, paying(text))
		if err != nil {
			if oauth.CodeOf(err) == "" {
				t.Errorf("%q: a fault of ours: %v", text, err)
			}
			return
		}
		if asked.Details == "" {
			return
		}
		shown := h.parser.Details().Shown(asked.Details)
		if len(shown) == 0 {
			t.Fatalf("%q is allowed and shows nothing", text)
		}
		for _, each := range shown {
			for name := range each.Values {
				if !slices.Contains(known, name) {
					t.Errorf("%q brings in %q", text, name)
				}
			}
		}
	})
}

// FuzzMode: a token never travels by query, whatever is asked.
func FuzzMode(f *testing.F) {
	for _, types := range []string{"code", "id_token", "code id_token token", "token", "", "code  code"} {
		for _, mode := range []string{"", "query", "query.jwt", "jwt", "fragment", "form_post.jwt", "QUERY", ".jwt", "form_post"} {
			f.Add(types, mode)
		}
	}
	h := open(f)
	f.Fuzz(func(t *testing.T, types, mode string) {
		asked, err := h.parse(t, front("response_type", types, "response_mode", mode))
		if err != nil {
			if oauth.CodeOf(err) == "" {
				t.Errorf("a fault of ours: %v", err)
			}
			return
		}
		if asked.Type.Front() && asked.Mode.Plain() == oauth.ModeQuery || asked.Mode == oauth.ModeJWT || asked.Type == "" ||
			!strings.Contains(asked.Location(url.Values{"code": {"c"}}), "#") {
			t.Errorf("%q by %q is answered by %s", types, mode, asked.Mode)
		}
	})
}
