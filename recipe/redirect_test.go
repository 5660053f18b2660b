package recipe_test

import (
	"strings"
	"testing"

	"github.com/gardeauth/garde/recipe"
)

// TestCheckRedirect holds the rule that recipes, the administrator's API and registration share. Refused spellings of
// the attack list are in testdata/faults (R05 to R18); here stands what is admitted, and for whom.
func TestCheckRedirect(t *testing.T) {
	const web, native, browser = "web ", "native ", "browser "
	for uri, may := range map[string]string{
		"https://app.example/cb":                         web + native + browser,
		"https://app.example":                            web + native + browser,
		"https://app.example:8443/cb?tenant=a":           web + native + browser,
		"https://xn--bcher-kva.example/cb":               web + native + browser,
		"https://app.example/a%20b/":                     web + native + browser,
		"https://192.0.2.1/cb":                           web + native + browser,
		"https://[2001:db8::1]:8443/cb":                  web + native + browser,
		"http://127.0.0.1/cb":                            web + native + browser, // R16
		"http://127.0.0.1:51004/cb":                      web + native + browser,
		"http://[::1]:51004/cb":                          web + native + browser,
		"http://localhost:51004/cb":                      native,
		"com.example.app:/callback":                      native, // R18
		"com.example.app://callback":                     native,
		"com.example.app://host/callback?a=b":            native,
		"http://app.example/cb":                          "", // R17
		"urn:ietf:wg:oauth:2.0:oob":                      "",
		"com.example.app:":                               "",
		"com.example.app:callback":                       "",
		"https://app.example/cb\n":                       "",
		"https://app.example/ cb":                        "",
		"https://app.example/cb\x00":                     "",
		"https://app.example/%0d%0aSet-Cookie:x":         "", // R34
		"https://app.example/%0D%0ASet-Cookie:x":         "",
		"https://" + strings.Repeat("a", 64) + "/":       "",
		"https://a.example/" + strings.Repeat("a", 2000): "",
		"": "",
	} {
		for _, kind := range []recipe.ClientType{recipe.Web, recipe.Native, recipe.Browser, recipe.Service, ""} {
			err := recipe.CheckRedirect(uri, kind)
			if wanted := kind != "" && strings.Contains(may, string(kind)+" "); (err == nil) != wanted {
				t.Errorf("%q for %q: admitted is %t, want %t (%v)", uri, kind, err == nil, wanted, err)
			}
		}
	}
}

// TestR09NoPattern: a registered address is bytes, so that a dot in it is a dot.
func TestR09NoPattern(t *testing.T) {
	for _, uri := range []string{`https://foo\.example/`, "https://foo.example/(a|b)", "https://foo.example/[a]", "https://foo.example/^a$", "https://foo.example/.*"} {
		if recipe.CheckRedirect(uri, recipe.Web) == nil {
			t.Errorf("%q is admitted", uri)
		}
	}
}

func FuzzCheckRedirect(f *testing.F) {
	for _, seed := range []string{"https://app.example/cb", "http://127.0.0.1:1/cb", "http://[::1]/cb", "com.app:/cb", "com.app://a/b?c=d",
		"https://a@b@evil", "https://app/cb#", "JaVaScRiPt://%0aalert(1)", "https://app.example。com", "https:///evil", "https://[::ffff:1.2.3.4]/", "a.0:/@/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		for _, kind := range []recipe.ClientType{recipe.Web, recipe.Native, recipe.Browser} {
			if recipe.CheckRedirect(uri, kind) != nil {
				continue
			}
			// Whatever is admitted has one reading for every parser.
			if strings.ContainsAny(uri, "#\\* \t\r\n\"<>[]") && !strings.Contains(uri, "://[") {
				t.Fatalf("%q is admitted for %s", uri, kind)
			}
			plainURL(t, uri)
		}
	})
}

func TestParsePattern(t *testing.T) {
	for key, want := range map[string]int{"GET /": 0, "GET /rates": 1, "POST /accounts/{id}/close": 3, "DELETE /a.b/~c/d:e": 3} {
		pattern, err := recipe.ParsePattern(key)
		if err != nil || len(pattern.Segments) != want || pattern.String() != key {
			t.Errorf("%q: %+v, %v", key, pattern, err)
		}
	}
}

func FuzzParsePattern(f *testing.F) {
	for _, seed := range []string{"GET /", "GET /a/{b}", "POST /a%2Fb", "GET //", "GET /{a}{b}", "get /a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		pattern, err := recipe.ParsePattern(key)
		if err != nil {
			return
		}
		if pattern.String() != key {
			t.Fatalf("%q is read as %q", key, pattern.String())
		}
		if strings.ContainsAny(key, "%?#;*\\") || strings.Contains(key, "//") || strings.Contains(key, "/./") || strings.Contains(key, "/../") {
			t.Fatalf("%q is admitted", key)
		}
	})
}
