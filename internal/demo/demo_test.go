package demo_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gardeauth/garde/internal/demo"
	"github.com/gardeauth/garde/recipe"
)

func TestTheSite(t *testing.T) {
	site, err := demo.At("localhost:7777")
	want := demo.Site{Issuer: "http://localhost:7777", Gate: "http://localhost:7778", Bank: "http://127.0.0.1:7779", Budget: "http://127.0.0.1:7780",
		IssuerListen: "localhost:7777", GateListen: "localhost:7778", BankListen: "127.0.0.1:7779", BudgetListen: "127.0.0.1:7780"}
	if err != nil || site != want {
		t.Errorf("%+v, %v", site, err)
	}
	for _, listen := range []string{"", "localhost", "localhost:0", "localhost:65533", "localhost:http", "0.0.0.0:7777", ":7777", "example.com:7777", "192.168.1.4:7777"} {
		if _, err := demo.At(listen); err == nil {
			t.Errorf("%q was taken", listen)
		}
	}
}

// theRecipe is the bank's, as the product reads it.
func theRecipe(t *testing.T) *recipe.Recipe {
	t.Helper()
	site, err := demo.At(demo.DefaultListen)
	if err != nil {
		t.Fatal(err)
	}
	text, err := demo.Recipe(site, "http://127.0.0.1:7101")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := demo.Furnish(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "recipe.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	bundle, err := recipe.Load(filepath.Join(dir, "recipe.yaml"), "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return bundle.Recipe
}

func TestTheRecipeIsTakenByItsReader(t *testing.T) {
	read := theRecipe(t)
	asked := map[string]string{demo.WebClient: demo.MoveScope, demo.CLIClient: demo.SignInScope, demo.ServiceClient: "statements.read", demo.BudgetClient: demo.BudgetScope}
	for name, client := range read.Clients {
		for _, uri := range append(client.RedirectURIs, client.LogoutURIs...) {
			if err := recipe.CheckRedirect(uri, client.Type); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, scope := range strings.Fields(asked[name]) {
			if !slices.Contains(client.Scopes, scope) {
				t.Errorf("%s asks for %s, which the recipe does not let it have", name, scope)
			}
		}
		for _, secret := range client.Secrets {
			if !strings.HasPrefix(secret, "file:") {
				t.Errorf("%s has a secret in the recipe", name)
			}
		}
	}
	for name, scope := range read.Scopes {
		if scope.Say["en"] == "" || scope.Say["fr"] == "" {
			t.Errorf("%s is not said in both languages", name)
		}
	}
	for name, api := range read.APIs {
		for key, operation := range api.Operations {
			for _, rule := range operation.Raise {
				if len(rule.Deny) > 0 && (rule.Deny["en"] == "" || rule.Deny["fr"] == "") {
					t.Errorf("%s %s: a refusal is not said in both languages", name, key)
				}
			}
		}
	}
}

func TestTheKeysAreForTheirOwnerAlone(t *testing.T) {
	dir := t.TempDir()
	first, err := demo.Furnish(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := demo.Furnish(dir)
	if err != nil || !bytes.Equal(first.Web.JWKS(), again.Web.JWKS()) || !bytes.Equal(first.Bound.JWKS(), again.Bound.JWKS()) {
		t.Errorf("another key at the second start: %v", err)
	}
	if bytes.Equal(first.Budget.JWKS(), first.Bound.JWKS()) {
		t.Error("what is signed in by is what tokens are bound to")
	}
	if info, err := os.Stat(filepath.Join(dir, "budget-bound.key.pem")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key of the tokens: %v", err)
	}
	for _, name := range []string{"bank-web", "bank-nightly", "budget"} {
		if info, err := os.Stat(filepath.Join(dir, name+".key.pem")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, name+".jwks.json")); err != nil || bytes.Contains(text, []byte(`"d"`)) {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
	path := filepath.Join(dir, "bank-web.key.pem")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Furnish(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others may read: %v", err)
	}
	os.Chmod(path, 0o600)
	os.WriteFile(path, []byte("nonsense"), 0o600)
	if _, err := demo.Furnish(dir); err == nil {
		t.Error("nonsense is a key")
	}
}

func TestPeopleHavePasswordsThatNobodyKnowsBeforehand(t *testing.T) {
	first, second := demo.People(), demo.People()
	seen := map[string]bool{}
	for _, p := range append(first, second...) {
		if seen[p.Password] || len(p.Password) != 19 {
			t.Errorf("%s: a password twice, or too short", p.Username)
		}
		seen[p.Password] = true
	}
	var read struct {
		Users []struct {
			Username, Name, Email, Locale, Password string
			Verified                                bool `yaml:"email_verified"`
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(demo.Users(first)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&read); err != nil || len(read.Users) != len(first) || read.Users[1].Name != "Bruno Lefèvre" || read.Users[1].Password != first[1].Password {
		t.Errorf("%+v, %v", read, err)
	}
	dir := t.TempDir()
	if err := demo.KeepPeople(dir, first); err != nil {
		t.Fatal(err)
	}
	if again, err := demo.PeopleIn(dir); err != nil || !slices.Equal(again, first) {
		t.Errorf("the second start reads %+v, %v", again, err)
	}
	fresh := t.TempDir()
	made, err := demo.PeopleIn(fresh)
	again, err2 := demo.PeopleIn(fresh)
	if err != nil || err2 != nil || len(made) == 0 || !slices.Equal(made, again) {
		t.Errorf("made %+v, then read %+v: %v %v", made, again, err, err2)
	}
	if info, err := os.Stat(dir + "/people.yaml"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("people.yaml: %v", err)
	}
}

func TestTheGuide(t *testing.T) {
	site, err := demo.At("localhost:9000")
	if err != nil {
		t.Fatal(err)
	}
	people := demo.People()
	var plain, coloured bytes.Buffer
	if err := demo.Guide(&plain, demo.Tour{Site: site, People: people, Dir: "/data"}); err != nil {
		t.Fatal(err)
	}
	if err := demo.Guide(&coloured, demo.Tour{Site: site, People: people, Dir: "/data", Colour: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"http://localhost:9000", "http://127.0.0.1:9002", people[0].Password, "garde demo cli --at localhost:9000", "curl -i http://localhost:9001/balance", "http://127.0.0.1:9003",
		"garde demo steal --at localhost:9000 --data /data"} {
		if !strings.Contains(plain.String(), want) {
			t.Errorf("no %q in the guide", want)
		}
	}
	if strings.Contains(plain.String(), "\x1b") || !strings.Contains(coloured.String(), "\x1b") {
		t.Error("coloured where it should not be, or not where it should")
	}
	bare := regexp.MustCompile("\x1b\\[[0-9]+m").ReplaceAllString(coloured.String(), "")
	if bare != plain.String() {
		t.Error("colour changes more than colour")
	}
}

func TestEveryWordIsThereInBothLanguages(t *testing.T) {
	words := map[string]map[string]string{}
	for _, lang := range []string{"en", "fr"} {
		text, err := os.ReadFile("words/" + lang + ".json")
		if err != nil {
			t.Fatal(err)
		}
		one := map[string]string{}
		if err := json.Unmarshal(text, &one); err != nil {
			t.Fatal(err)
		}
		words[lang] = one
	}
	for key := range words["en"] {
		if words["fr"][key] == "" {
			t.Errorf("%s is not said in French", key)
		}
	}
	if len(words["en"]) != len(words["fr"]) {
		t.Errorf("%d words in English, %d in French", len(words["en"]), len(words["fr"]))
	}
	named := regexp.MustCompile(`\bt "([a-z0-9.]+)"`)
	files, err := filepath.Glob("pages/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range named.FindAllStringSubmatch(string(text), -1) {
			if words["en"][found[1]] == "" {
				t.Errorf("%s says %s, which has no words", file, found[1])
			}
		}
	}
	for _, key := range []string{"open", "none", "wrong", "expired", "own", "forged", "scope", "id", "unlisted", "night"} {
		for _, part := range []string{"", ".text", ".why"} {
			if words["en"]["try."+key+part] == "" {
				t.Errorf("try.%s%s has no words", key, part)
			}
		}
	}
	for _, key := range []string{"owner", "bearer", "naked", "key", "replay", "again"} {
		for _, part := range []string{"", ".text", ".why"} {
			if words["en"]["theft."+key+part] == "" {
				t.Errorf("theft.%s%s has no words", key, part)
			}
		}
	}
	for i := range 12 {
		if words["fr"]["month."+strconv.Itoa(i+1)] == "" {
			t.Errorf("month %d has no name", i+1)
		}
	}
}

func FuzzAmount(f *testing.F) {
	for _, seed := range []string{"12", "12.5", "12,50", "0", "-1", "1e3", "١٢", "9999999.99", ".5", "5.", "1,2,3", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cents, ok := demo.ReadAmount(text)
		if ok && (cents <= 0 || cents > 999_999_999) {
			t.Errorf("%q is %d cents", text, cents)
		}
	})
}
