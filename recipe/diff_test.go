package recipe_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/recipe"
)

// small is a recipe that each row of TestVerdicts changes by one replacement.
const small = `garde: 1
company: {name: Bank, accent: "#102030"}
levels:
  - {name: basic, acr: "urn:example:basic", any: [password]}
  - {name: strong, acr: "urn:example:strong", any: [password]}
scopes:
  read: {say: {en: Read}}
  write: {say: {en: Write}}
apis:
  api:
    at: https://api.example
    upstream: https://inner.example
    client: svc
    token: opaque
    body: 1000
    operations:
      GET /rates: {open: public prices}
      GET /balance: {for: [user], scope: read, level: basic, fresh: 5m}
      POST /move: {for: [user], scope: write, level: strong}
clients:
  app:
    type: native
    redirect_uris: ["com.bank.app:/callback"]
    scopes: [openid, read, write]
  site:
    type: web
    auth: private_key_jwt
    jwks: site.json
    redirect_uris: [https://site.example/cb]
    scopes: [read]
    rotate: true
  svc: {type: service, auth: client_secret_basic, secrets: [env:SVC], scopes: [write]}
signin: {signup: true, signup_hosts: [bank.example], password_list: list.txt}
lifetimes: {access: 5m}
`

func smallFiles() map[string][]byte {
	return map[string][]byte{"site.json": []byte(`{"keys":[{"kty":"EC"}]}`), "list.txt": []byte("one\ntwo\n")}
}

func assemble(t *testing.T, text string, files map[string][]byte) *recipe.Bundle {
	t.Helper()
	bundle, err := recipe.Assemble("", []recipe.Source{{Name: "recipe.yaml", Text: []byte(text)}}, files, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

func TestVerdicts(t *testing.T) {
	const write = "POST /move: {for: [user], scope: write, level: strong}"
	for name, c := range map[string]struct {
		old, new string // what is replaced in small
		want     string // verdict and path of every change
	}{
		"nothing":                              {"", "", ""},
		"a comment":                            {"garde: 1\n", "garde: 1 # one\n", ""},
		"a default written out":                {"type: native\n", "type: native\n    auth: none\n    consent: ask\n    grants: [refresh_token, authorization_code]\n", ""},
		"the order of a set":                   {"[openid, read, write]", "[write, openid, read]", ""},
		"a name that people read":              {"name: Bank", "name: Banque", "neutral company.name"},
		"an operation becomes open":            {"{for: [user], scope: read, level: basic, fresh: 5m}", "{open: why not}", "weaker apis.api.operations[GET /balance].open"},
		"an open operation becomes guarded":    {"{open: public prices}", "{for: [user], scope: read}", "stronger apis.api.operations[GET /rates].open"},
		"another reason to be open":            {"public prices", "prices", "neutral apis.api.operations[GET /rates].open"},
		"a removed operation":                  {write, "", "stronger apis.api.operations[POST /move]"},
		"a new guarded operation":              {write, write + "\n      GET /new: {for: [user], scope: read}", "neutral apis.api.operations[GET /new]"},
		"a new open operation":                 {write, write + "\n      GET /new: {open: news}", "weaker apis.api.operations[GET /new]"},
		"a new API with an open operation":     {"clients:\n", "  two: {at: https://two.example, operations: {GET /new: {open: news}, GET /my: {for: [user], scope: read}}}\nclients:\n", "neutral apis.two; weaker apis.two.operations[GET /new]"},
		"a level is raised":                    {"level: basic", "level: strong", "stronger apis.api.operations[GET /balance].level"},
		"a level is lowered":                   {"level: strong", "level: basic", "weaker apis.api.operations[POST /move].level"},
		"a level is no longer asked for":       {"level: basic, ", "", "weaker apis.api.operations[GET /balance].level"},
		"levels change places":                 {"name: basic, acr: \"urn:example:basic\", any: [password]}\n  - {name: strong, acr: \"urn:example:strong\"", "name: strong, acr: \"urn:example:strong\", any: [password]}\n  - {name: basic, acr: \"urn:example:basic\"", "weaker levels"},
		"fresher":                              {"fresh: 5m", "fresh: 1m", "stronger apis.api.operations[GET /balance].fresh"},
		"less fresh":                           {"fresh: 5m", "fresh: 1h", "weaker apis.api.operations[GET /balance].fresh"},
		"not fresh":                            {", fresh: 5m", "", "weaker apis.api.operations[GET /balance].fresh"},
		"another scope opens":                  {"scope: read, level: basic", "scope: write, level: basic", "weaker apis.api.operations[GET /balance].scope"},
		"another caller":                       {"for: [user], scope: write", "for: [user, client], scope: write", "weaker apis.api.operations[POST /move].for[client]"},
		"the upstream without TLS":             {"https://inner", "http://inner", "weaker apis.api.upstream"},
		"another upstream":                     {"inner.example", "inner2.example", "neutral apis.api.upstream"},
		"tokens become readable":               {"token: opaque", "token: jwt", "weaker apis.api.token"},
		"larger bodies":                        {"body: 1000", "body: 2000", "weaker apis.api.body"},
		"the body's bound is left to default":  {"    body: 1000\n", "", "weaker apis.api.body"},
		"the API introspects no more":          {"    client: svc\n", "", "stronger apis.api.client"},
		"a new client":                         {"clients:\n", "clients:\n  new: {type: native, redirect_uris: [\"com.bank.new:/cb\"]}\n", "weaker clients.new"},
		"a renamed client":                     {"  app:\n", "  app-two:\n    was: app\n", "neutral clients.app-two.was"},
		"a renamed client that may do more":    {"  app:\n    type: native\n", "  app-two:\n    was: app\n    type: native\n    post_logout_redirect_uris: [\"com.bank.app:/bye\"]\n", "weaker clients.app-two.post_logout_redirect_uris[com.bank.app:/bye]; neutral clients.app-two.was"},
		"a new scope of a client":              {"scopes: [read]\n", "scopes: [read, write]\n", "weaker clients.site.scopes[write]"},
		"a scope less":                         {"[openid, read, write]", "[read, write]", "stronger clients.app.scopes[openid]"},
		"a new redirect URI":                   {"[https://site.example/cb]", "[https://site.example/cb, https://site.example/two]", "weaker clients.site.redirect_uris[https://site.example/two]"},
		"another redirect URI":                 {"site.example/cb", "site.example/c", "weaker clients.site.redirect_uris[https://site.example/c]; stronger clients.site.redirect_uris[https://site.example/cb]"},
		"a secret instead of a key":            {"auth: private_key_jwt\n    jwks: site.json", "auth: client_secret_basic", "weaker clients.site.auth; stronger clients.site.jwks"},
		"keys from an address":                 {"jwks: site.json", "jwks_uri: https://site.example/jwks", "stronger clients.site.jwks; weaker clients.site.jwks_uri"},
		"another secret beside the old":        {"[env:SVC]", "[env:SVC, env:SVC2]", "weaker clients.svc.secrets[env:SVC2]"},
		"another grant":                        {"    rotate: true\n", "    rotate: true\n    grants: [authorization_code, refresh_token, client_credentials]\n", "weaker clients.site.grants[client_credentials]"},
		"a grant less":                         {"    rotate: true\n", "    rotate: true\n    grants: [authorization_code]\n", "stronger clients.site.grants[refresh_token]"},
		"the code of a device in an address":   {"    scopes: [openid, read, write]\n", "    scopes: [openid, read, write]\n    grants: [authorization_code, refresh_token, \"urn:ietf:params:oauth:grant-type:device_code\"]\n    verification_uri_complete: true\n", "weaker clients.app.grants[urn:ietf:params:oauth:grant-type:device_code]; weaker clients.app.verification_uri_complete"},
		"rotation ends":                        {"    rotate: true\n", "", "weaker clients.site.rotate"},
		"consent is implied":                   {"    rotate: true\n", "    rotate: true\n    consent: implied\n", "weaker clients.site.consent"},
		"an older signature":                   {"    rotate: true\n", "    rotate: true\n    id_token_signed_response_alg: RS256\n", "weaker clients.site.id_token_signed_response_alg"},
		"another strong signature":             {"    rotate: true\n", "    rotate: true\n    id_token_signed_response_alg: EdDSA\n", "neutral clients.site.id_token_signed_response_alg"},
		"a longer life":                        {"access: 5m", "access: 10m", "weaker lifetimes.access"},
		"a shorter life":                       {"access: 5m", "access: 1m", "stronger lifetimes.access"},
		"a default life written out":           {"access: 5m", "refresh: 30d", ""},
		"sign-up for all mail domains":         {"signup_hosts: [bank.example], ", "", "weaker signin.signup_hosts[bank.example]"},
		"sign-up for one more mail domain":     {"[bank.example]", "[bank.example, two.example]", "weaker signin.signup_hosts[two.example]"},
		"no sign-up":                           {"signup: true, signup_hosts: [bank.example], ", "", "stronger signin.signup; weaker signin.signup_hosts[bank.example]"},
		"no reset":                             {"signup: true,", "signup: true, reset: false,", "stronger signin.reset"},
		"a scope that nothing asks for so far": {"scopes:\n  read", "scopes:\n  new: {say: {en: New}}\n  read", "neutral scopes.new"},
		"the words of a scope":                 {"en: Write", "en: Write all", "neutral scopes.write.say.en"},
		"a rule of an operation":               {write, write[:len(write)-1] + ", raise: [{when: risk.new_device, fresh: 1m}]}", "stronger apis.api.operations[POST /move].raise[risk.new_device]"},
		"a rule for everything":                {"clients:\n", "raise: [{when: risk.score > 80, deny: no}]\nclients:\n", "stronger raise[risk.score > 80]"},
		"a signal weighs less":                 {"clients:\n", "risk: {points: {failures: 0}}\nclients:\n", "weaker risk.points.failures"},
		"a signal weighs most":                 {"clients:\n", "risk: {points: {failures: 100}}\nclients:\n", "stronger risk.points.failures"},
		"habits are kept longer":               {"clients:\n", "risk: {forget: 365d}\nclients:\n", "weaker risk.forget"},
		"the default of habits":                {"clients:\n", "risk: {forget: 180d}\nclients:\n", ""},
		"a family of apps":                     {"    scopes: [openid, read, write]\n", "    scopes: [openid, read, write]\n    apps: bank\n", "weaker clients.app.apps"},
		"a value is sent that no rule reads":   {write, write[:len(write)-1] + ", send: {amount: body.amount}}", "neutral apis.api.operations[POST /move].send.amount"},
		"factors by default, written out":      {"signin: {", "signin: {factors: [totp, password, passkey, security_key, recovery_code], passkeys: {attestation: off, synced: allowed}, ", ""},
		"one more factor":                      {"signin: {", "signin: {factors: [totp, password, passkey, security_key, recovery_code, email], ", "weaker signin.factors[email]"},
		"a factor less":                        {"signin: {", "signin: {factors: [totp, password, passkey, security_key], ", "stronger signin.factors[recovery_code]"},
		"a duty to add a factor":               {"signin: {", "signin: {enrol: [{level: strong, until: 2030-01-01}], ", "stronger signin.enrol.strong"},
		"only models that are proved":          {"signin: {", "signin: {passkeys: {attestation: required, roots: [makers.pem], synced: refused, models: [fbfc3007-154e-4ecc-8c0b-6e020557d7bd]}, ", "stronger signin.passkeys.attestation; stronger signin.passkeys.models[fbfc3007-154e-4ecc-8c0b-6e020557d7bd]; neutral signin.passkeys.roots[makers.pem]; stronger signin.passkeys.synced"},
		"another way to a level":               {"strong\", any: [password]", "strong\", any: [password, password+totp]", "weaker levels.strong.any[password+totp]"},
		"another acr value":                    {"example:strong", "example:stronger", "neutral levels.strong.acr"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(small, c.old) {
				t.Fatal("the row replaces nothing")
			}
			files := smallFiles()
			text := strings.Replace(small, c.old, c.new, 1)
			if !strings.Contains(text, "jwks: site.json") {
				delete(files, "site.json")
			}
			if strings.Contains(text, "makers.pem") {
				files["makers.pem"] = certificate(t)
			}
			verdicts(t, assemble(t, small, smallFiles()), assemble(t, text, files), c.want)
		})
	}
}

func verdicts(t *testing.T, old, now *recipe.Bundle, want string) {
	t.Helper()
	var got, weaker []string
	for _, change := range recipe.Diff(old, now) {
		got = append(got, string(change.Verdict)+" "+change.Path)
		if change.Verdict == recipe.Weaker {
			weaker = append(weaker, change.Path)
		}
		if change.Why == "" || change.Old == change.New {
			t.Errorf("an incomplete change: %+v", change)
		}
	}
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if !slices.Equal(weaker, recipe.Weakenings(recipe.Diff(old, now))) {
		t.Error("the weakenings are not the weaker changes")
	}
}

func TestVerdictsOnFiles(t *testing.T) {
	for name, c := range map[string]struct{ file, content, want string }{
		"other keys":              {"site.json", `{"keys":[{"kty":"RSA"}]}`, "weaker clients.site.jwks"},
		"more refused passwords":  {"list.txt", "one\ntwo\nthree\n", "stronger signin.password_list"},
		"fewer refused passwords": {"list.txt", "one\nthree\n", "weaker signin.password_list"},
	} {
		t.Run(name, func(t *testing.T) {
			files := smallFiles()
			files[c.file] = []byte(c.content)
			verdicts(t, assemble(t, small, smallFiles()), assemble(t, small, files), c.want)
		})
	}
	verdicts(t, nil, assemble(t, small, smallFiles()), "")
}

func TestTombstones(t *testing.T) {
	text := strings.NewReplacer("  app:\n", "  app-two:\n    was: app\n", "    client: svc\n", "", "      POST /move: {for: [user], scope: write, level: strong}\n", "",
		"  write: {say: {en: Write}}\n", "", "[openid, read, write]", "[openid, read]", "  - {name: strong, acr: \"urn:example:strong\", any: [password]}\n", "",
		"  svc: {type: service, auth: client_secret_basic, secrets: [env:SVC], scopes: [write]}\n", "").Replace(small)
	old, now := assemble(t, small, smallFiles()), assemble(t, text, smallFiles())
	want := []recipe.Tombstone{{Kind: "client", Name: "svc"}, {Kind: "level", Name: "strong"}, {Kind: "scope", Name: "write"}}
	if got := recipe.Tombstones(old, now); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	verdicts(t, old, now, "stronger apis.api.client; stronger apis.api.operations[POST /move]; stronger clients.app-two.scopes[write]; "+
		"neutral clients.app-two.was; stronger clients.svc; neutral levels.strong; stronger scopes.write")
	// The way back names no former key, so it is another client.
	if back := recipe.Tombstones(now, old); !slices.Equal(back, []recipe.Tombstone{{Kind: "client", Name: "app-two"}}) {
		t.Errorf("%+v", back)
	}
}

func TestFindings(t *testing.T) {
	text := strings.NewReplacer("  read: {say", "  spare: {say: {en: Spare}}\n  read: {say", "com.bank.app:/callback", "http://localhost:5000/cb",
		"https://site.example/cb", "http://127.0.0.1:5000/cb").Replace(small)
	bundle := assemble(t, text, smallFiles())
	var got []string
	for _, f := range bundle.Findings {
		got = append(got, f.Path)
	}
	want := "levels[1].any scopes.spare clients.app.redirect_uris[0] clients.site.redirect_uris[0]"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestTheExampleIsReadByPeople: the example has a comment for every section.
func TestTheExampleIsReadByPeople(t *testing.T) {
	src, err := os.ReadFile("testdata/bank.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(src), "#") < 20 {
		t.Error("the example explains too little")
	}
}
