package route_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gardeauth/garde/internal/gateway/route"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

var forUser = []recipe.Caller{recipe.ForUser}

func bank() *recipe.Recipe {
	read := recipe.Operation{For: forUser, Scope: "accounts.read", Level: "basic"}
	return &recipe.Recipe{
		Levels: []recipe.Level{{Name: "basic", ACR: "urn:basic"}, {Name: "strong", ACR: "urn:strong"}},
		APIs: map[string]recipe.API{
			"accounts": {At: "https://api.bank.example/accounts", Upstream: "http://127.0.0.1:7101", Operations: map[string]recipe.Operation{
				"GET /":                  read,
				"GET /rates":             {Open: "public prices"},
				"GET /accounts/{id}":     read,
				"GET /accounts/me":       {For: forUser, Scope: "me"},
				"POST /accounts/{id}/in": {For: forUser, Scope: "in", Level: "strong", Fresh: recipe.Duration(time.Minute)},
				"GET /accounts/me/out":   {For: forUser, Scope: "out"},
				"GET /sums:all":          {For: forUser, Scope: "sums"},
				"GET /sums/{any}":        read,
				"GET /{any}":             read,
				"OPTIONS /rates":         {Open: "browsers ask first"},
			}},
			"root": {At: "https://api.bank.example", Upstream: "http://127.0.0.1:7102/base", Operations: map[string]recipe.Operation{
				"GET /":            {Open: "home"},
				"GET /{a}/secrets": {Open: "never below accounts"},
			}},
			"local":  {At: "http://localhost:8081/x", Upstream: "http://127.0.0.1:7103", Operations: map[string]recipe.Operation{"GET /y": read}},
			"behind": {At: "https://elsewhere.example", Operations: map[string]recipe.Operation{"GET /y": read}},
		},
	}
}

func compiled(t testing.TB) *route.Table {
	t.Helper()
	table, err := route.Compile(bank())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func status(err error) int {
	answer, _ := web.Judge(err)
	return answer.Status
}

func TestARequestLineMeansOneOperation(t *testing.T) {
	table := compiled(t)
	for name, c := range map[string]struct{ method, host, target, api, operation, path string }{
		"parameter":             {"GET", "api.bank.example", "/accounts/accounts/42", "accounts", "GET /accounts/{id}", "/accounts/42"},
		"text before parameter": {"GET", "api.bank.example", "/accounts/accounts/me", "accounts", "GET /accounts/me", "/accounts/me"},
		"back to the parameter": {"POST", "api.bank.example", "/accounts/accounts/me/in", "accounts", "POST /accounts/{id}/in", "/accounts/me/in"},
		"query":                 {"GET", "api.bank.example", "/accounts/rates?a=/accounts/../x&b=%2F", "accounts", "GET /rates", "/rates"},
		"the base itself":       {"GET", "api.bank.example", "/accounts", "accounts", "GET /", ""},
		"the root":              {"GET", "api.bank.example", "/", "root", "GET /", ""},
		"host in capitals":      {"GET", "API.Bank.Example", "/accounts/rates", "accounts", "GET /rates", "/rates"},
		"default port":          {"GET", "api.bank.example:443", "/accounts/rates", "accounts", "GET /rates", "/rates"},
		"port":                  {"GET", "localhost:8081", "/x/y", "local", "GET /y", "/y"},
		"HEAD follows GET":      {"HEAD", "api.bank.example", "/accounts/rates", "accounts", "GET /rates", "/rates"},
		"OPTIONS where listed":  {"OPTIONS", "api.bank.example", "/accounts/rates", "accounts", "OPTIONS /rates", "/rates"},
		"encoded at sign":       {"GET", "api.bank.example", "/accounts/accounts/a%40b", "accounts", "GET /accounts/{id}", "/accounts/a%40b"},
		"encoded space":         {"GET", "api.bank.example", "/accounts/accounts/a%20b", "accounts", "GET /accounts/{id}", "/accounts/a%20b"},
		"encoded é, small hex":  {"GET", "api.bank.example", "/accounts/accounts/%c3%a9", "accounts", "GET /accounts/{id}", "/accounts/%c3%a9"},
		"W19 encoded text":      {"GET", "api.bank.example", "/accounts/sums%3Aall", "accounts", "GET /sums:all", "/sums%3Aall"},
	} {
		t.Run(name, func(t *testing.T) {
			match, err := table.Match(c.method, c.host, c.target)
			if err != nil {
				t.Fatal(err)
			}
			if match.API.Name != c.api || match.Operation.Name != c.operation || match.Path != c.path {
				t.Errorf("it means %s, %s, %q", match.API.Name, match.Operation.Name, match.Path)
			}
		})
	}
}

func TestWhatIsNotListedOrNotPlainIsRefused(t *testing.T) {
	table := compiled(t)
	for name, c := range map[string]struct {
		method, host, target string
		status               int
	}{
		"W36 unknown path":               {"GET", "api.bank.example", "/accounts/debug/pprof", 404},
		"W36 other version":              {"GET", "api.bank.example", "/v1", 404},
		"W02 other method":               {"DELETE", "api.bank.example", "/accounts/accounts/42", 405},
		"W02 a parameter's method":       {"POST", "api.bank.example", "/accounts/accounts/me/out", 405},
		"W02 OPTIONS where not listed":   {"OPTIONS", "api.bank.example", "/accounts/accounts/42", 405},
		"W02 slash at the end":           {"GET", "api.bank.example", "/accounts/rates/", 400},
		"W02 small method":               {"get", "api.bank.example", "/accounts/rates", 405},
		"W19 a longer base owns it":      {"GET", "api.bank.example", "/accounts/secrets/x", 404},
		"W19 no way back to a base":      {"GET", "api.bank.example", "/accounts/x/secrets", 404},
		"W19 capitals":                   {"GET", "api.bank.example", "/ACCOUNTS/rates", 404},
		"W19 dot segments":               {"GET", "api.bank.example", "/accounts/rates/../accounts/1", 400},
		"W19 dot at the end":             {"GET", "api.bank.example", "/accounts/rates/.", 400},
		"W19 encoded dots":               {"GET", "api.bank.example", "/accounts/rates/%2e%2e/x", 400},
		"W19 encoded slash":              {"GET", "api.bank.example", "/accounts/rates%2fx", 400},
		"W19 capital encoded slash":      {"GET", "api.bank.example", "/accounts/..%2Fx", 400},
		"W19 encoded backslash":          {"GET", "api.bank.example", "/accounts/a%5cb", 400},
		"W19 backslash":                  {"GET", "api.bank.example", `/accounts/a\b`, 400},
		"W19 twice encoded":              {"GET", "api.bank.example", "/accounts/%252e%252e", 400},
		"W19 two slashes":                {"GET", "api.bank.example", "//accounts/rates", 400},
		"W19 inner empty segment":        {"GET", "api.bank.example", "/accounts//rates", 400},
		"W19 path parameters":            {"GET", "api.bank.example", "/accounts/..;/rates", 400},
		"W19 encoded semicolon":          {"GET", "api.bank.example", "/accounts/a%3Bb", 400},
		"W19 NUL":                        {"GET", "api.bank.example", "/accounts/a%00", 400},
		"W19 encoded line feed":          {"GET", "api.bank.example", "/accounts/a%0a", 400},
		"W19 needless encoding":          {"GET", "api.bank.example", "/accounts/r%61tes", 400},
		"W19 overlong dot":               {"GET", "api.bank.example", "/accounts/%c0%ae", 400},
		"W19 overlong slash":             {"GET", "api.bank.example", "/accounts/%e0%80%af", 400},
		"W19 surrogate":                  {"GET", "api.bank.example", "/accounts/%ed%a0%80", 400},
		"W19 cut UTF-8":                  {"GET", "api.bank.example", "/accounts/%c3", 400},
		"W19 full-width slash":           {"GET", "api.bank.example", "/accounts/a%ef%bc%8fb", 400},
		"W19 raw bytes":                  {"GET", "api.bank.example", "/accounts/\xc3\xa9", 400},
		"W19 broken encoding":            {"GET", "api.bank.example", "/accounts/%zz", 400},
		"W19 IIS encoding":               {"GET", "api.bank.example", "/accounts/%u002e", 400},
		"W20 raw fragment":               {"GET", "api.bank.example", "/accounts/a#/rates", 400},
		"W20 encoded fragment":           {"GET", "api.bank.example", "/accounts/a%23/rates", 400},
		"W20 encoded question mark":      {"GET", "api.bank.example", "/accounts/a%3F/rates", 400},
		"W20 fragment in the query":      {"GET", "api.bank.example", "/accounts/rates?a#b", 400},
		"W21 unknown host":               {"GET", "evil.example", "/accounts/rates", 421},
		"W21 dot behind the host":        {"GET", "api.bank.example.", "/accounts/rates", 421},
		"W21 other port":                 {"GET", "api.bank.example:80", "/accounts/rates", 421},
		"W21 no host":                    {"GET", "", "/accounts/rates", 421},
		"W21 user before the host":       {"GET", "a@api.bank.example", "/accounts/rates", 421},
		"W21 Kelvin sign":                {"GET", "api.ban\u212a.example", "/accounts/rates", 421},
		"W21 API without an upstream":    {"GET", "elsewhere.example", "/y", 421},
		"W33 absolute form":              {"GET", "api.bank.example", "http://api.bank.example/accounts/rates", 400},
		"W33 authority form":             {"GET", "api.bank.example", "api.bank.example:443", 400},
		"asterisk":                       {"OPTIONS", "api.bank.example", "*", 400},
		"nothing":                        {"GET", "api.bank.example", "", 400},
		"too long a path":                {"GET", "api.bank.example", "/accounts/" + strings.Repeat("a", route.MaxPath), 414},
		"too long a query":               {"GET", "api.bank.example", "/accounts/rates?" + strings.Repeat("a", route.MaxTarget), 414},
		"broken encoding in the query":   {"GET", "api.bank.example", "/accounts/rates?a=%", 400},
		"space in the query":             {"GET", "api.bank.example", "/accounts/rates?a= b", 400},
		"parameter that would be empty":  {"GET", "api.bank.example", "/accounts/accounts/", 400},
		"many segments, nothing at last": {"GET", "api.bank.example", strings.Repeat("/a", 1000), 404},
	} {
		t.Run(name, func(t *testing.T) {
			match, err := table.Match(c.method, c.host, c.target)
			if err == nil {
				t.Fatalf("it passes as %s", match.Operation.Name)
			}
			if status(err) != c.status {
				t.Errorf("status %d (%v), want %d", status(err), err, c.status)
			}
		})
	}
}

func TestAllowNamesTheMethods(t *testing.T) {
	_, err := compiled(t).Match("POST", "api.bank.example", "/accounts/rates")
	if _, header := web.Judge(err); header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("Allow is %q", header.Get("Allow"))
	}
}

func TestDocumentsStandAtTheirWellKnownPlaces(t *testing.T) {
	table := compiled(t)
	for target, want := range map[string]string{
		"/.well-known/oauth-protected-resource/accounts": "accounts",
		"/.well-known/oauth-protected-resource":          "root",
	} {
		api, ok := table.Document("api.bank.example", target)
		if !ok || api.Name != want || api.Metadata != "https://api.bank.example"+target {
			t.Errorf("%s: %v %v", target, api, ok)
		}
	}
	for _, target := range []string{"/.well-known/oauth-protected-resource/none", "/.well-known/oauth-protected-resource/accounts?x", "/accounts"} {
		if _, ok := table.Document("api.bank.example", target); ok {
			t.Errorf("%s has a document", target)
		}
	}
}

func TestARecipeThatAdmitsUnclearlyIsNotCompiled(t *testing.T) {
	for name, change := range map[string]func(*recipe.API){
		"nobody named": func(a *recipe.API) { a.Operations["GET /n"] = recipe.Operation{} },
		"no scope":     func(a *recipe.API) { a.Operations["GET /n"] = recipe.Operation{For: forUser} },
		"no caller":    func(a *recipe.API) { a.Operations["GET /n"] = recipe.Operation{Scope: "x"} },
		"strange caller": func(a *recipe.API) {
			a.Operations["GET /n"] = recipe.Operation{For: []recipe.Caller{"all"}, Scope: "x"}
		},
		"open and scoped": func(a *recipe.API) { a.Operations["GET /n"] = recipe.Operation{Open: "why", Scope: "x"} },
		"unknown level": func(a *recipe.API) {
			a.Operations["GET /n"] = recipe.Operation{For: forUser, Scope: "x", Level: "none"}
		},
		"same path, other names": func(a *recipe.API) { a.Operations["GET /accounts/{number}"] = a.Operations["GET /accounts/{id}"] },
		"no path":                func(a *recipe.API) { a.Operations["GET"] = a.Operations["GET /"] },
		"TRACE":                  func(a *recipe.API) { a.Operations["TRACE /x"] = a.Operations["GET /"] },
		"address taken":          func(a *recipe.API) { a.At = "https://api.bank.example" },
		"user in the address":    func(a *recipe.API) { a.At = "https://a:b@api.bank.example/accounts" },
		"dots in the base":       func(a *recipe.API) { a.At = "https://api.bank.example/a/../b" },
		"upstream not http":      func(a *recipe.API) { a.Upstream = "file:///etc/passwd" },
	} {
		t.Run(name, func(t *testing.T) {
			r := bank()
			api := r.APIs["accounts"]
			change(&api)
			r.APIs["accounts"] = api
			if _, err := route.Compile(r); err == nil {
				t.Error("it compiles")
			}
		})
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	table := compiled(t)
	for _, target := range []string{"/accounts/accounts/42?x=y", "/accounts/sums%3Aall", "/accounts/accounts/%c3%a9"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = table.Match("GET", "api.bank.example", target) }); n != 0 {
			t.Errorf("%s: %v allocations", target, n)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	table := compiled(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.Match("GET", "api.bank.example", "/accounts/accounts/8f2c1b7e-0a55?limit=20"); err != nil {
			b.Fatal(err)
		}
	}
}

// What passes is a part of what came in, means the same to a reader that decodes as to one that compares bytes, and can't
// be read as another path of the table.
func FuzzAPathHasOneReading(f *testing.F) {
	for _, seed := range []string{"/accounts/rates", "/accounts/..;/x", "/accounts/%2e%2e/x", "/accounts/sums%3Aall", "/accounts//x", "/",
		"/accounts/accounts/%c3%a9", "/accounts/%ef%bc%8f", "/accounts/a%00", "/accounts/rates?a=b", "/accounts/%252e", "http://h/accounts"} {
		f.Add(seed)
	}
	table := compiled(f)
	f.Fuzz(func(t *testing.T, target string) {
		match, err := table.Match("GET", "api.bank.example", target)
		if err != nil {
			var told *oauth.Error
			if !errors.As(err, &told) {
				t.Fatalf("%q: the refusal can't be told: %v", target, err)
			}
			return
		}
		path, _, _ := strings.Cut(target, "?")
		base := strings.TrimPrefix(match.API.Audience, "https://api.bank.example")
		if base+match.Path != path && base+match.Path+"/" != path {
			t.Fatalf("%q was matched as %q", path, match.Path)
		}
		plain, err := url.PathUnescape(path)
		if err != nil || !utf8.ValidString(plain) {
			t.Fatalf("%q has no plain reading", path)
		}
		if strings.Count(plain, "/") != strings.Count(path, "/") || strings.ContainsAny(plain, "\\;%?#\x00\r\n") || strings.Contains(plain, "//") ||
			strings.Contains(plain+"/", "/./") || strings.Contains(plain+"/", "/../") {
			t.Fatalf("%q reads %q", path, plain)
		}
		// The one spelling that needs no encoding where none is needed must mean the same operation.
		again := (&url.URL{Path: plain}).EscapedPath()
		other, err := table.Match("GET", "api.bank.example", strings.ReplaceAll(again, ";", "%3B"))
		if err != nil || other.Operation != match.Operation {
			t.Fatalf("%q and %q have different meanings: %v", path, again, err)
		}
	})
}
