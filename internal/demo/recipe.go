package demo

import (
	"bytes"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"

	"github.com/gardeauth/garde/internal/demo/client"
	"github.com/gardeauth/garde/internal/demo/doorman"
)

//go:embed files/recipe.yaml
var recipeText string

//go:embed files/*.schema.json files/recipe.cases.yaml
var beside embed.FS

// Recipe is the text of the bank's recipe for a site whose accounts API listens at upstream, a base URL. The files that
// it names (the public keys of clients, JSON Schemas), and the cases that it answers, stand beside it once Furnish has run on
// the folder.
func Recipe(site Site, upstream string) ([]byte, error) {
	parsed, err := template.New("recipe").Option("missingkey=error").Parse(recipeText)
	if err != nil {
		return nil, fmt.Errorf("write the bank's recipe: %w", err)
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, map[string]string{"Gate": site.Gate, "Bank": site.Bank, "Budget": site.Budget, "Upstream": upstream}); err != nil {
		return nil, fmt.Errorf("write the bank's recipe: %w", err)
	}
	return text.Bytes(), nil
}

// Keys are those of the demonstration's confidential clients.
type Keys struct {
	Web     *client.Key // proves WebClient
	Nightly *client.Key // proves ServiceClient
	Budget  *client.Key // proves BudgetClient
	Bound   *client.Key // what the tokens of BudgetClient are bound to
}

// Furnish opens the keys in dir, or makes them at the first start, and writes what the recipe names beside itself, and its cases. It must
// have run before the recipe is read.
func Furnish(dir string) (Keys, error) {
	var keys Keys
	for name, key := range map[string]**client.Key{WebClient: &keys.Web, ServiceClient: &keys.Nightly, BudgetClient: &keys.Budget} {
		opened, err := client.OpenKey(dir, name)
		if err != nil {
			return Keys{}, err
		}
		*key = opened
	}
	var err error
	if keys.Bound, err = client.OwnKey(dir, boundKey); err != nil {
		return Keys{}, err
	}
	names, err := beside.ReadDir("files")
	if err != nil {
		return Keys{}, err
	}
	for _, name := range names {
		text, err := beside.ReadFile("files/" + name.Name())
		if err != nil {
			return Keys{}, err
		}
		if err := client.WritePrivate(filepath.Join(dir, name.Name()), text); err != nil {
			return Keys{}, err
		}
	}
	return keys, client.WritePrivate(filepath.Join(dir, "places.mmdb"), doorman.Database)
}

// Person is somebody who can sign in to the demonstration.
type Person struct {
	Username string
	Name     string
	Email    string
	Locale   string
	Password string
}

// People are those who can sign in, with passwords made afresh at each call: a caller that starts on fresh data prints
// them once and seeds Users with them. There is no password that somebody could know beforehand.
func People() []Person {
	people := []Person{
		{Username: "alice", Name: "Alice Martin", Email: "alice@rive.example", Locale: "en"},
		{Username: "bruno", Name: "Bruno Lefèvre", Email: "bruno@rive.example", Locale: "fr"},
		{Username: "chloe", Name: "Chloé Okafor", Email: "chloe@rive.example", Locale: "en"},
	}
	for i := range people {
		people[i].Password = newPassword()
	}
	return people
}

// newPassword has 80 bits and can be typed: four groups of four letters and digits.
func newPassword() string {
	text := strings.ToLower(rand.Text()[:16])
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// Users is the people.yaml of these persons, as `garde user import` and `seed:` read it.
func Users(people []Person) []byte {
	var b bytes.Buffer
	b.WriteString("# The people of the demonstration. Their passwords were made on this machine.\nusers:\n")
	for _, p := range people {
		// %q is also how YAML writes such texts in double quotes.
		fmt.Fprintf(&b, "  - username: %s\n    name: %q\n    email: %s\n    email_verified: true\n    locale: %s\n    password: %q\n",
			p.Username, p.Name, p.Email, p.Locale, p.Password)
	}
	return b.Bytes()
}

// KeepPeople writes people.yaml in dir for its owner alone, so that a second start can show who signs in.
func KeepPeople(dir string, people []Person) error {
	return client.WritePrivate(filepath.Join(dir, "people.yaml"), Users(people))
}

// PeopleIn gives the people of dir with their passwords: those of people.yaml, or new ones, which it keeps there, at the
// first start. A file that somebody rewrote in another shape gives those that it understands.
func PeopleIn(dir string) ([]Person, error) {
	text, err := os.ReadFile(filepath.Join(dir, "people.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		people := People()
		return people, KeepPeople(dir, people)
	}
	if err != nil {
		return nil, fmt.Errorf("read the people of the demonstration: %w", err)
	}
	var people []Person
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if plain, err := strconv.Unquote(value); err == nil {
			value = plain
		}
		if name == "- username" {
			people = append(people, Person{Username: value})
		}
		if len(people) == 0 {
			continue
		}
		switch last := &people[len(people)-1]; name {
		case "name":
			last.Name = value
		case "email":
			last.Email = value
		case "locale":
			last.Locale = value
		case "password":
			last.Password = value
		}
	}
	return people, nil
}
