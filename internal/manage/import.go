package manage

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
)

// maxImport bounds one import, so that a wrong file can't fill the memory.
const maxImport = 100_000

// ReadPeople reads people from YAML (users: a list) or, where the name ends in .csv, from CSV with a head of field names.
// Unknown fields are refused. All faults come at once, as a Refusal whose places are name:line.
func ReadPeople(name string, raw []byte) ([]Person, error) {
	read := readYAML
	if strings.EqualFold(filepath.Ext(name), ".csv") {
		read = readCSV
	}
	people, err := read(name, raw)
	var refusal *Refusal
	if err == nil || !errors.As(err, &refusal) {
		return people, err
	}
	// Import would find these later: told now, one look at the file mends it all.
	for _, person := range people {
		person.user((*faults)(&refusal.Faults))
	}
	return nil, refusal
}

func readYAML(name string, raw []byte) ([]Person, error) {
	var file struct {
		Users []yaml.Node `yaml:"users"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, refuse(Invalid, name, "write users: and a list of people", "%s", yamlText(err))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, refuse(Invalid, name, "write one list of people", "there is more than one document")
	}
	var found faults
	var people []Person
	if len(file.Users) > maxImport {
		return nil, refuse(Invalid, name, "split the file", "more than %d people", maxImport)
	}
	for _, node := range file.Users {
		person := Person{place: name + ":" + strconv.Itoa(node.Line)}
		// A node forgets that unknown fields are refused, so its fields are compared here.
		for i := 0; node.Kind == yaml.MappingNode && i < len(node.Content); i += 2 {
			if field := node.Content[i].Value; !slices.Contains(personFields(), field) {
				found.add(name+":"+strconv.Itoa(node.Content[i].Line), "the fields are "+strings.Join(personFields(), ", "), "there is no field %s", show(field))
			}
		}
		if err := node.Decode(&person); err != nil {
			found.add(person.place, "", "%s", yamlText(err))
		}
		people = append(people, person)
	}
	return people, found.orNil()
}

func personFields() []string {
	return []string{"username", "name", "email", "email_verified", "locale", "groups", "claims", "disabled", "password", "password_hash"}
}

// yamlText takes the library's own words off a fault. Nothing of a value is told: it may be a password.
func yamlText(err error) string {
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		return "a field has the wrong type, or is not known"
	}
	return strings.TrimPrefix(err.Error(), "yaml: ")
}

func readCSV(name string, raw []byte) ([]Person, error) {
	reader := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(raw, []byte("\ufeff"))))
	head, err := reader.Read()
	if err != nil {
		return nil, refuse(Invalid, name+":1", "begin with a line of field names: username,name,email", "the head can't be read: %v", err)
	}
	var found faults
	for i, field := range head {
		if slices.Contains(head[:i], field) {
			found.add(name+":1", "", "the field %s stands twice", show(field))
		}
		known := slices.Contains(personFields(), field) && field != "claims" || strings.HasPrefix(field, "claims.")
		if !known {
			found.add(name+":1", "the fields are "+strings.Join(personFields(), ", ")+"; claims as claims.given_name", "there is no field %s", show(field))
		}
	}
	if err := found.orNil(); err != nil {
		return nil, err
	}
	var people []Person
	for {
		row, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return people, found.orNil()
		}
		var broken *csv.ParseError
		switch {
		case errors.As(err, &broken) && errors.Is(err, csv.ErrFieldCount):
			found.add(name+":"+strconv.Itoa(broken.Line), "", "the line has %d fields, the head has %d", len(row), len(head))
			continue
		case err != nil:
			found.add(name, "", "%v", err)
			return people, found.orNil()
		case len(people) == maxImport:
			return nil, refuse(Invalid, name, "split the file", "more than %d people", maxImport)
		}
		line, _ := reader.FieldPos(0)
		people = append(people, personOf(name+":"+strconv.Itoa(line), head, row, &found))
	}
}

func personOf(place string, head, row []string, found *faults) Person {
	person := Person{place: place}
	flag := func(field, value string) bool {
		if value != "" && value != "true" && value != "false" {
			found.add(place+": "+field, "write true or false", "%s is neither", show(value))
		}
		return value == "true"
	}
	for i, field := range head {
		value := row[i]
		switch field {
		case "username":
			person.Username = value
		case "name":
			person.Name = value
		case "email":
			person.Email = value
		case "email_verified":
			person.EmailVerified = flag(field, value)
		case "locale":
			person.Locale = value
		case "groups":
			person.Groups = strings.Fields(strings.ReplaceAll(value, ";", " "))
		case "disabled":
			person.Disabled = flag(field, value)
		case "password":
			person.Password = value
		case "password_hash":
			person.PasswordHash = value
		default:
			if claim := strings.TrimPrefix(field, "claims."); value != "" {
				if person.Claims == nil {
					person.Claims = map[string]any{}
				}
				person.Claims[claim] = value
				if claim == "phone_number_verified" {
					person.Claims[claim] = flag(field, value)
				}
			}
		}
	}
	return person
}

// ImportOptions say what to do with those who can't be added.
type ImportOptions struct {
	SkipExisting bool // who is there already stays as they are
	Partial      bool // add those who can be added, and tell of the others
}

// Imported is what an import did.
type Imported struct {
	Added   int     `json:"added"`
	Skipped int     `json:"skipped"`
	Faults  []Fault `json:"faults,omitempty"` // of those who were left out, with Partial
}

// Import adds people. Unless Partial is set it adds all of them or none. Administrators are added one by one, never here.
func (u *Users) Import(ctx context.Context, by string, people []Person, options ImportOptions) (Imported, error) {
	var done Imported
	var found faults
	ready, err := u.prepare(ctx, people, options, &done, &found)
	if err != nil {
		return Imported{}, err
	}
	if len(found) > 0 && !options.Partial {
		return Imported{}, &Refusal{Invalid, found}
	}
	var added []string
	for _, each := range ready {
		err := u.addOne(ctx, by, each)
		if err == nil {
			added = append(added, each.user.ID)
			continue
		}
		if options.Partial && (errors.Is(err, iam.ErrExists) || errors.Is(err, iam.ErrNotFound)) {
			found.add(each.place, "", "%v", err)
			continue
		}
		return Imported{}, errors.Join(fmt.Errorf("%s: %w", each.place, err), u.takeBack(ctx, by, added))
	}
	done.Added, done.Faults = len(added), found
	return done, nil
}

type prepared struct {
	Person
	user iam.User
}

func (u *Users) prepare(ctx context.Context, people []Person, options ImportOptions, done *Imported, found *faults) ([]prepared, error) {
	names, addresses, groups := map[string]string{}, map[string]string{}, map[string]bool{}
	var ready []prepared
	for i, person := range people {
		if person.place == "" {
			person.place = "person " + strconv.Itoa(i+1)
		}
		var wrong faults
		user := person.user(&wrong)
		person.secret(&wrong, u.Policy(), u.Offered())
		if other := names[user.Username]; other != "" && user.Username != "" {
			wrong.add(person.at("username"), "", "%s stands at %s too", show(person.Username), other)
		}
		if other := addresses[user.EmailKey]; other != "" && user.EmailKey != "" && user.EmailVerified {
			wrong.add(person.at("email"), "", "%s stands at %s too", show(person.Email), other)
		}
		if len(wrong) == 0 {
			exists, err := u.taken(ctx, user)
			switch {
			case err != nil:
				return nil, err
			case exists && options.SkipExisting:
				done.Skipped++
				continue
			case exists:
				wrong.add(person.at("username"), "leave it out, or pass --skip-existing", "the username or the verified e-mail address is taken")
			}
		}
		if err := u.knownGroups(ctx, person, groups, &wrong); err != nil {
			return nil, err
		}
		names[user.Username] = person.place
		if user.EmailVerified {
			addresses[user.EmailKey] = person.place
		}
		*found = append(*found, wrong...)
		if len(wrong) == 0 {
			ready = append(ready, prepared{person, user})
		}
	}
	return ready, nil
}

func (u *Users) taken(ctx context.Context, user iam.User) (bool, error) {
	names := []string{user.Username}
	if user.EmailVerified {
		names = append(names, user.EmailKey)
	}
	for _, name := range names {
		_, err := u.Users.UserByName(ctx, name)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, iam.ErrNotFound) {
			return false, err
		}
	}
	return false, nil
}

func (u *Users) knownGroups(ctx context.Context, person Person, seen map[string]bool, wrong *faults) error {
	for _, name := range person.Groups {
		exists, asked := seen[name]
		if !asked {
			err := u.groupsExist(ctx, []string{name})
			var refusal *Refusal
			if err != nil && !errors.As(err, &refusal) {
				return err
			}
			exists = err == nil
			seen[name] = exists
		}
		if !exists {
			wrong.add(person.at("groups"), "garde group add makes one", "there is no group %s", show(name))
		}
	}
	return nil
}

func (u *Users) addOne(ctx context.Context, by string, each prepared) error {
	phc, err := u.phc(ctx, each.Person)
	if err != nil {
		return err
	}
	now := clock(u.Now)
	each.user.ID, each.user.Created, each.user.Changed = uuid.NewString(), now, now
	imported := event(now, by, journal.UserChanged{What: "imported"})
	imported.User = each.user.ID
	return u.Users.AddUser(ctx, each.user, iam.Password{User: each.user.ID, PHC: phc, Changed: now}, imported)
}

// takeBack removes those whom a broken import has added.
func (u *Users) takeBack(ctx context.Context, by string, added []string) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, id := range added {
		removed := event(clock(u.Now), by, journal.UserChanged{What: "removed: the import broke off"})
		removed.User = id
		errs = append(errs, u.Users.RemoveUser(ctx, id, removed))
	}
	return errors.Join(errs...)
}
