package request_test

import (
	"net/url"
	"regexp"
	"slices"
	"testing"

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
