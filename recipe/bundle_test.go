package recipe_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gardeauth/garde/recipe"
)

// plainURL: the standard library reads an admitted address as it is written.
func plainURL(t *testing.T, uri string) {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil || u.String() != uri || u.User != nil || u.Fragment != "" {
		t.Fatalf("%q is admitted and read as %v, %v", uri, u, err)
	}
	if u.Host != "" && !strings.HasPrefix(uri, u.Scheme+"://"+u.Host) {
		t.Fatalf("%q is admitted and goes to %q", uri, u.Host)
	}
}

func bank(t *testing.T, env string) *recipe.Bundle {
	t.Helper()
	bundle, err := recipe.Load("testdata/bank.yaml", env, today())
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func TestTheBankIsReadWhole(t *testing.T) {
	b := bank(t, "")
	accounts := b.Recipe.APIs["accounts"]
	if got := accounts.Operations["POST /transfers"]; got.Scope != "transfers.write" || got.Level != "basic" || got.Fresh.Std() != 5*time.Minute {
		t.Errorf("POST /transfers: %+v", got)
	}
	if accounts.Operations["GET /rates"].Open == "" || len(b.Findings) != 0 || len(b.Files["website.jwks.json"]) == 0 {
		t.Errorf("rates: %+v, findings: %v, files: %d", accounts.Operations["GET /rates"], b.Findings, len(b.Files))
	}
	if got := b.Recipe.Clients["mobile"]; got.AuthMethod() != "none" || !got.Public() || len(got.GrantTypes()) != 2 {
		t.Errorf("mobile: %+v", got)
	}
}

func TestAnOverlayChangesAddressesKeysBrandingRetention(t *testing.T) {
	b := bank(t, "prod")
	if got := b.Recipe.APIs["accounts"].Upstream; got != "http://accounts.internal:8080" {
		t.Errorf("upstream: %s", got)
	}
	if got := b.Recipe.Clients["budget"]; got.Secrets[0] != "file:/run/secrets/budget" || got.RedirectURIs[0] != "https://budget.example/callback" {
		t.Errorf("budget: %+v", got)
	}
	if got := b.Recipe.Lifetimes; got.Journal.String() != "3650d" || got.Access.String() != "5m" {
		t.Errorf("lifetimes: %+v", got)
	}
}

func TestOverlaysThatSayMore(t *testing.T) {
	base, err := os.ReadFile("testdata/bank.yaml")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := os.ReadFile("testdata/website.jwks.json")
	if err != nil {
		t.Fatal(err)
	}
	for over, want := range map[string]string{
		"levels: []": "recipe.test.yaml:1: levels: an overlay may not say this",
		"clients: {budget: {scopes: [transfers.write]}}":             "recipe.test.yaml:1: clients.budget.scopes: an overlay may not say this",
		"clients: {evil: {redirect_uris: [https://evil/cb]}}":        "recipe.test.yaml:1: clients.evil: the recipe has nothing of this name",
		"clients: {budget: nothing}":                                 "recipe.test.yaml:1: clients.budget: expected keys with values, found a text",
		"lifetimes: {access: 1h}":                                    "recipe.test.yaml:1: lifetimes.access: an overlay may not say this",
		"apis:\n  ledger: {at: 'https://api.bank.example/accounts'}": "recipe.test.yaml:2: apis.ledger.at: the API accounts has the same address",
		"clients:\n  mobile:\n    redirect_uris: ['http://evil/cb']": "recipe.test.yaml:3: clients.mobile.redirect_uris[0]: \"http://evil/cb\" is not https",
		"clients: {mobile: {secrets: [env:X]}}":                      "recipe.test.yaml:1: clients.mobile.secrets: a native client can't keep a secret or key",
		"company: {name: A}\ncompany: {name: B}":                     "recipe.test.yaml:2: company: the key already stands in line 1",
		"apis: {ledger: {at: &a 'https://x.example'}}":               "recipe.test.yaml:1: apis.ledger.at: anchors are not allowed",
		"": "recipe.test.yaml:1: the file is empty",
	} {
		sources := []recipe.Source{{Name: "recipe.yaml", Text: base}, {Name: "recipe.test.yaml", Text: []byte(over)}}
		_, err := recipe.Assemble("test", sources, map[string][]byte{"website.jwks.json": keys}, today())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\n got: %v\nwant: %s", over, err, want)
		}
	}
}

func TestDigests(t *testing.T) {
	plain, prod := bank(t, ""), bank(t, "prod")
	if plain.Digest() != bank(t, "").Digest() || plain.Digest() == prod.Digest() {
		t.Error("a digest names one bundle")
	}
	again, err := recipe.Parse(prod.Marshal())
	if err != nil || again.Digest() != prod.Digest() || !bytes.Equal(again.Sources[0].Text, prod.Sources[0].Text) {
		t.Errorf("%v: the bundle comes back with its comments", err)
	}
	other := *plain
	other.Files = map[string][]byte{"website.jwks.json": append([]byte{' '}, plain.Files["website.jwks.json"]...)}
	if other.Digest() == plain.Digest() {
		t.Error("another key set has the same digest")
	}
}

func TestParseRefusesWhatMarshalDidNotWrite(t *testing.T) {
	encoded := string(bank(t, "").Marshal())
	for name, text := range map[string]string{
		"nothing": "", "no JSON": "bundle", "a space behind": encoded + " ", "another format": strings.Replace(encoded, `"bundle":1`, `"bundle":2`, 1),
		"an unknown member": strings.Replace(encoded, `{`, `{"x":1,`, 1), "a doubled member": strings.Replace(encoded, `"env":""`, `"env":"a","env":""`, 1),
		"another case": strings.Replace(encoded, `"env"`, `"Env"`, 1), "an overlay that is not there": strings.Replace(encoded, `"env":""`, `"env":"prod"`, 1),
		"a file that nothing names": strings.Replace(encoded, `"files":{`, `"files":{"a":"",`, 1),
		"a file that is missing":    encoded[:strings.Index(encoded, `"files":{`)] + `"files":{}}`,
		"a name with a way out":     strings.Replace(encoded, `bank.yaml`, `../bank.yaml`, 1),
	} {
		if _, err := recipe.Parse([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestNamedFiles: files are plain, bounded, below the recipe, and say what they are for.
func TestNamedFiles(t *testing.T) {
	key := `{"kty":"EC","crv":"P-256","x":"a","y":"b"}`
	for name, c := range map[string]struct{ content, want string }{
		"a set":                    {`{"keys":[` + key + `]}`, ""},
		"T23 a private key":        {`{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c"}]}`, "private or symmetric"},
		"T23 a symmetric key":      {`{"keys":[{"kty":"oct","k":"c"}]}`, "private or symmetric"},
		"T23 another kind":         {`{"keys":[{"kty":"oct"}]}`, "another kind"},
		"T22 too long":             {`{"keys":[` + key + `]` + strings.Repeat(" ", 64<<10) + `}`, "longer than"},
		"T22 too deep":             {strings.Repeat("[", 100) + strings.Repeat("]", 100), "not strict JSON"},
		"J18 duplicate members":    {`{"keys":[],"keys":[` + key + `]}`, "not strict JSON"},
		"J18 an escaped duplicate": {`{"keys":[],"k\u0065ys":[` + key + `]}`, "not strict JSON"},
		"something behind":         {`{"keys":[` + key + `]} {}`, "not strict JSON"},
		"another case":             {`{"Keys":[` + key + `]}`, "not a key set"},
		"no keys":                  {`{"keys":[]}`, "not a key set"},
		"a list":                   {`[]`, "not a key set"},
		"not UTF-8":                {"{\"keys\":[\"\xff\"]}", "not strict JSON"},
		"nothing":                  {"", "not strict JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, "jwks: keys.json")
			write(t, filepath.Join(dir, "keys.json"), c.content)
			expect(t, filepath.Join(dir, "recipe.yaml"), c.want)
		})
	}
}

func TestFilesOutsideTheFolder(t *testing.T) {
	for name, line := range map[string]string{
		"above": "jwks: ../keys.json", "absolute": "jwks: /etc/hostname", "a folder": "jwks: sub", "not there": "jwks: none.json",
		"a link that leads out": "jwks: link.json", "a backslash": `jwks: 'a\b.json'`, "dots": "jwks: sub/../keys.json", "a pipe": "jwks: pipe.json",
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, line)
			write(t, filepath.Join(filepath.Dir(dir), "keys.json"), `{"keys":[{"kty":"EC"}]}`)
			if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../keys.json", filepath.Join(dir, "link.json")); err != nil {
				t.Fatal(err)
			}
			pipe(t, filepath.Join(dir, "pipe.json"))
			expect(t, filepath.Join(dir, "recipe.yaml"), "recipe.yaml:10: clients.svc.jwks: ")
		})
	}
	for _, env := range []string{"../x", "a/b", "A", "..", "a.b"} {
		if _, err := recipe.Load("testdata/bank.yaml", env, today()); err == nil || !strings.Contains(err.Error(), "not the name of an environment") {
			t.Errorf("%q: %v", env, err)
		}
	}
}

func TestLogos(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"shapes":          {`<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>`, ""},
		"a PNG":           {"\x89PNG\r\n\x1a\n...", ""},
		"a script":        {`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`, "has a script"},
		"an event":        {`<svg onload="alert(1)"/>`, "has a script"},
		"a foreign image": {`<svg><image href="https://evil/x.png"/></svg>`, "has a script"},
		"a foreign style": {`<svg><path fill="url(https://evil/x)"/></svg>`, "has a script"},
		"an entity":       {`<!DOCTYPE svg [<!ENTITY a "b">]><svg/>`, "DOCTYPE"},
		"HTML":            {`<html/>`, "neither"},
		"nothing":         {``, "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, "jwks: keys.json\ncompany: {logo: logo.svg}")
			write(t, filepath.Join(dir, "keys.json"), `{"keys":[{"kty":"EC"}]}`)
			write(t, filepath.Join(dir, "logo.svg"), c.content)
			expect(t, filepath.Join(dir, "recipe.yaml"), c.want)
		})
	}
}

// folder makes a recipe with one client; line says what it names.
func folder(t *testing.T, line string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "recipe.yaml"), `garde: 1
levels: [{name: basic, acr: "urn:example:basic", any: [password]}]
scopes: {read: {say: {en: Read}}}
apis:
  api: {at: https://api.example, operations: {GET /x: {for: [client], scope: read}}}
clients:
  svc:
    type: service
    scopes: [read]
    `+strings.Replace(line, "\n", "\n    auth: private_key_jwt\n", 1)+"\n")
	if !strings.Contains(line, "\n") {
		appendTo(t, filepath.Join(dir, "recipe.yaml"), "    auth: private_key_jwt\n")
	}
	return dir
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	held, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(held)+text)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, file, want string) {
	t.Helper()
	_, err := recipe.Load(file, "", today())
	switch {
	case want == "" && err != nil:
		t.Fatal(err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Fatalf("got %v, want %q", err, want)
	case err != nil && strings.Contains(err.Error(), filepath.Dir(file)):
		t.Fatalf("the fault tells where the machine keeps its files: %v", err)
	}
}

func TestSchema(t *testing.T) {
	golden(t, "testdata/recipe.schema.json", string(recipe.Schema()))
	var schema map[string]any
	if err := json.Unmarshal(recipe.Schema(), &schema); err != nil || schema["additionalProperties"] != false {
		t.Errorf("the schema admits unknown keys: %v", err)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"90s": 90 * time.Second, "5m": 5 * time.Minute, "12h": 12 * time.Hour, "30d": 720 * time.Hour, "3650d": 87600 * time.Hour} {
		d, err := recipe.ParseDuration(text)
		if err != nil || d.Std() != want {
			t.Errorf("%s: %s, %v", text, d.Std(), err)
		}
	}
	for _, text := range []string{"", "s", "0s", "-1s", "+1s", "01s", "1", "1.5h", "1h30m", "1 h", "1ms", "1w", "1D", "3651d", "99999999999s", "\u0661s"} {
		if d, err := recipe.ParseDuration(text); err == nil {
			t.Errorf("%q is read as %s", text, d)
		}
	}
	written, err := json.Marshal(recipe.Lifetimes{Access: recipe.Duration(90 * time.Second), Refresh: recipe.Duration(48 * time.Hour)})
	if err != nil || string(written) != `{"access":"90s","refresh":"2d"}` {
		t.Errorf("%s, %v", written, err)
	}
	var read recipe.Lifetimes
	if err := json.Unmarshal(written, &read); err != nil || read.Access.Std() != 90*time.Second {
		t.Errorf("%+v, %v", read, err)
	}
}

func TestOversizedAndHostileFiles(t *testing.T) {
	for name, text := range map[string]string{
		"longer than 1 MiB":         "garde: 1\n#" + strings.Repeat("x", 1<<20),
		"deep":                      "a: " + strings.Repeat("[", 1<<19),
		"deep blocks":               strings.Repeat("- ", 1<<18),
		"many aliases":              "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\n",
		"many unknown keys":         manyKeys(),
		"many scopes of one client": many("clients:\n  a:\n    type: web\n    scopes:\n", 70000, "    - s#\n"),
		"many declared scopes":      many("clients: {a: {type: web, scopes: [x, y, z]}}\nscopes:\n", 25000, "  s#: {say: {en: S}}\n"),
		"many redirect URIs":        many("clients:\n  a:\n    type: web\n    redirect_uris:\n", 25000, "    - https://a.example/#\n"),
		"many operations":           many("apis:\n  a:\n    at: https://a.example\n    operations:\n", 490, "      GET /{x}/a#/{y}: {open: a}\n      GET /a#/{x}/b: {open: a}\n"),
		"many APIs":                 many("apis:\n", 15000, "  a#: {at: 'https://a.example/#', operations: {}}\n"),
		"many levels":               many("levels:\n", 10000, "  - {name: l#, acr: 'a#', any: [password]}\n"),
		"many sets of factors":      many("levels:\n  - {name: a, acr: a, any: [password]}\n  - name: b\n    acr: b\n    any:\n", 60000, "    - password\n"),
		"many dangling scopes":      "clients:\n  a:\n    type: web\n    scopes: [" + strings.Repeat("x, ", 100000) + "x]\n",
	} {
		t.Run(name, func(t *testing.T) {
			if long := len(text) > 1<<20; long != (name == "longer than 1 MiB") {
				t.Fatalf("the text has %d bytes", len(text))
			}
			begin := time.Now()
			_, err := recipe.Read("recipe.yaml", []byte(text))
			if err == nil || len(err.Error()) > 1<<20 {
				t.Fatal("accepted, or a flood of faults")
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// many joins n lines, each with its number in place of #, behind a head.
func many(head string, n int, line string) string {
	var b strings.Builder
	b.WriteString(head)
	for i := range n {
		b.WriteString(strings.ReplaceAll(line, "#", strconv.Itoa(i)))
	}
	return b.String()
}

func manyKeys() string {
	var b strings.Builder
	for i := range 40000 {
		b.WriteString("k" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String() + ": 1\n")
	}
	return b.String()
}

// FuzzRead (A20): the reader never panics, its faults are plain, and what it accepts means the same when it is written again.
func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	more, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(files, more...) {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		read, err := recipe.Read("recipe.yaml", src)
		if err != nil {
			if text := err.Error(); strings.ContainsAny(text, "\x1b\r\x00") || read != nil {
				t.Fatalf("%q", text)
			}
			return
		}
		written, err := yaml.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		again, err := recipe.Read("recipe.yaml", written)
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		if one, two := meaning(t, read), meaning(t, again); one != two {
			t.Fatalf("%s\n%s", one, two)
		}
		if bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: src}}, nil, time.Time{}); err == nil {
			parsed, err := recipe.Parse(bundle.Marshal())
			if err != nil || parsed.Digest() != bundle.Digest() {
				t.Fatalf("the bundle does not come back: %v", err)
			}
		}
	})
}

func meaning(t *testing.T, read *recipe.Recipe) string {
	t.Helper()
	text, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestA18ABundleHoldsNoSecret: secrets are references, and what they refer to is never read here.
func TestA18ABundleHoldsNoSecret(t *testing.T) {
	t.Setenv("BUDGET_SECRET", "hunter2hunter2hunter2hunter2hunter2")
	if encoded := bank(t, "").Marshal(); bytes.Contains(encoded, []byte("hunter2")) || bytes.Contains(encoded, []byte("aHVudGVyM")) {
		t.Error("the secret is in the bundle")
	}
}
