package manage

import (
	"maps"
	"slices"
	"unicode"

	"github.com/google/uuid"
	"golang.org/x/text/language"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/password"
)

// Person is what an administrator says of somebody.
type Person struct {
	Username      string         `json:"username" yaml:"username"`
	Name          string         `json:"name,omitempty" yaml:"name"`
	Email         string         `json:"email,omitempty" yaml:"email"`
	EmailVerified bool           `json:"email_verified,omitempty" yaml:"email_verified"`
	Locale        string         `json:"locale,omitempty" yaml:"locale"`
	Groups        []string       `json:"groups,omitempty" yaml:"groups"`
	Claims        map[string]any `json:"claims,omitempty" yaml:"claims"`
	Disabled      bool           `json:"disabled,omitempty" yaml:"disabled"`
	Password      string         `json:"-" yaml:"password"`      // in clear; hashed before it is kept
	PasswordHash  string         `json:"-" yaml:"password_hash"` // of another system: argon2id, bcrypt or PBKDF2

	place string // where an import says so
}

// The limits of what is kept of a person.
const (
	maxText   = 200
	maxClaims = 40
	maxGroups = 100
)

// textClaims and boolClaims are the claims that may be kept beside the columns (OpenID Connect Core section 5.1). What is
// not listed would never be told to anybody.
func textClaims() []string {
	return []string{"given_name", "family_name", "middle_name", "nickname", "profile", "picture", "website", "gender", "birthdate",
		"zoneinfo", "phone_number"}
}

// user checks what was said of a person and gives it in the form in which it is kept, without an id.
func (p Person) user(found *faults) iam.User {
	user := iam.User{
		Email: p.Email, EmailVerified: p.EmailVerified, Name: p.Name, Locale: p.Locale, Groups: p.Groups, Claims: p.Claims,
		Disabled: p.Disabled,
	}
	if p.Email != "" {
		key, err := iam.CanonicalEmail(p.Email)
		if err != nil {
			found.add(p.at("email"), "write name@example.com", "%s is no e-mail address", show(p.Email))
		}
		user.EmailKey = key
	} else if p.EmailVerified {
		found.add(p.at("email_verified"), "name the address, or leave it out", "no address can be verified where there is none")
	}
	user.Username = p.username(found, user.EmailKey)
	if !plain(p.Name) {
		found.add(p.at("name"), "at most 200 characters, without control characters", "the name can't be kept")
	}
	if p.Locale != "" {
		if _, err := language.Parse(p.Locale); err != nil || len(p.Locale) > 35 {
			found.add(p.at("locale"), "write en, fr or de-CH", "%s is no language", show(p.Locale))
		}
	}
	if len(p.Groups) > maxGroups {
		found.add(p.at("groups"), "", "more than %d groups", maxGroups)
	}
	slices.Sort(user.Groups)
	user.Groups = slices.Compact(user.Groups)
	p.claims(found)
	return user
}

func (p Person) username(found *faults, emailKey string) string {
	name, err := iam.Canonical(p.Username)
	switch {
	case p.Username == "":
		found.add(p.at("username"), "", "the username is missing")
	case err != nil || name == "":
		found.add(p.at("username"), "no spaces, one script, at most one @", "%s can be no username", show(p.Username))
	case uuid.Validate(name) == nil:
		// Else a name could be read as the id of somebody else.
		found.add(p.at("username"), "choose another", "%s looks like the id of a user", show(p.Username))
	case slices.Contains([]rune(name), '@') && name != emailKey:
		// People may sign in by their address: whoever has that of another as a name would catch their sign-ins.
		found.add(p.at("username"), "use the person's own e-mail address, or a name without @", "%s is not this person's e-mail address", show(p.Username))
	}
	return name
}

func (p Person) claims(found *faults) {
	if len(p.Claims) > maxClaims {
		found.add(p.at("claims"), "", "more than %d claims", maxClaims)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.Claims)) {
		value := p.Claims[name]
		text, isText := value.(string)
		_, isBool := value.(bool)
		switch {
		case slices.Contains(textClaims(), name):
			if !isText || !plain(text) {
				found.add(p.at("claims."+name), "write a text of at most 200 characters", "is no text that can be kept")
			}
		case name == "phone_number_verified":
			if !isBool { // only a literal true counts as verified
				found.add(p.at("claims."+name), "write true or false", "is neither true nor false")
			}
		case name == "address":
			p.address(found, value)
		default:
			found.add(p.at("claims."+name), "see OpenID Connect Core section 5.1; name, email and locale are fields of their own", "there is no such claim")
		}
	}
}

func (p Person) address(found *faults, value any) {
	parts, ok := value.(map[string]any)
	if !ok {
		found.add(p.at("claims.address"), "write {street_address: ..., locality: ...}", "is no address")
		return
	}
	known := []string{"formatted", "street_address", "locality", "region", "postal_code", "country"}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		text, isText := parts[name].(string)
		if !slices.Contains(known, name) || !isText || len(text) > 5*maxText {
			found.add(p.at("claims.address."+name), "see OpenID Connect Core section 5.1.1", "is no part of an address")
		}
	}
}

// secret checks the password. Names are what others know of this person.
func (p Person) secret(found *faults, policy password.Policy, offered []string) {
	switch {
	case (p.Password != "" || p.PasswordHash != "") && !slices.Contains(offered, setsPassword):
		found.add(p.at("password"), "leave it out: garde user invite makes a link that adds a passkey", "the recipe offers no passwords (signin.factors)")
	case p.Password != "" && p.PasswordHash != "":
		found.add(p.at("password"), "keep one of the two", "there is a password and the hash of one")
	case p.PasswordHash != "":
		if err := password.Known(p.PasswordHash); err != nil {
			found.add(p.at("password_hash"), "argon2id, bcrypt or PBKDF2", "%v", err)
		}
	case p.Password != "":
		if err := policy.Check(p.Password, p.Username, p.Email, p.Name); err != nil {
			found.add(p.at("password"), "choose another", "%v", err)
		}
	}
}

func (p Person) at(field string) string {
	if p.place == "" {
		return field
	}
	return p.place + ": " + field
}

func plain(text string) bool {
	if len([]rune(text)) > maxText {
		return false
	}
	return !slices.ContainsFunc([]rune(text), func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar })
}
