package manage

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/password"
)

// Users are the deeds about people. All fields but Now are required.
type Users struct {
	Users     iam.UserKeeping
	Passwords iam.Passwords
	Links     iam.Links
	Groups    iam.Groups
	Hasher    *password.Hasher
	Policy    func() password.Policy // of the recipe in force
	Offered   func() []string        // factors, by the recipe in force
	Factors   iam.Authenticators
	Issuer    string           // of the links
	Now       func() time.Time // nil: time.Now
}

// LinkLife is how long a link that an administrator hands over lives.
const LinkLife = 72 * time.Hour

// Invitation is a one-time link for a person: it sets the password, or adds a passkey where the recipe offers no passwords.
type Invitation struct {
	Link    string    `json:"link"`
	Sets    string    `json:"sets" enum:"password,passkey"`
	Expires time.Time `json:"expires"`
}

// Find finds a person by id, username or verified e-mail address.
func (u *Users) Find(ctx context.Context, ref string) (iam.User, error) {
	if uuid.Validate(ref) == nil {
		user, err := u.Users.User(ctx, ref)
		return user, missing(err, "user", ref)
	}
	name, err := iam.Canonical(ref)
	if err != nil {
		return iam.User{}, missing(iam.ErrNotFound, "user", ref)
	}
	user, err := u.Users.UserByName(ctx, name)
	return user, missing(err, "user", ref)
}

// NewUser is somebody to add.
type NewUser struct {
	Person
	Admin   bool
	Sponsor string // standing administrator at whose word another one is added
}

// Add adds a person. Without a password they get an invitation. The first administrator needs nobody's word; every later
// one needs that of an administrator, so the first set-up never opens again.
func (u *Users) Add(ctx context.Context, by string, new NewUser) (iam.User, *Invitation, error) {
	var found faults
	user := new.user(&found)
	new.secret(&found, u.Policy(), u.Offered())
	if err := found.orNil(); err != nil {
		return iam.User{}, nil, err
	}
	user.Admin = new.Admin
	what := "added"
	if new.Admin {
		what = "added as administrator"
		if err := u.mayMakeAdmin(ctx, new.Sponsor, &what); err != nil {
			return iam.User{}, nil, err
		}
	}
	if err := u.groupsExist(ctx, user.Groups); err != nil {
		return iam.User{}, nil, err
	}
	phc, err := u.phc(ctx, new.Person)
	if err != nil {
		return iam.User{}, nil, err
	}
	now := clock(u.Now)
	user.ID, user.Created, user.Changed = uuid.NewString(), now, now
	added := event(now, by, journal.UserChanged{What: what})
	added.User = user.ID
	err = u.Users.AddUser(ctx, user, iam.Password{User: user.ID, PHC: phc, Changed: now}, added)
	if errors.Is(err, iam.ErrExists) {
		return iam.User{}, nil, refuse(Conflict, "username", "garde user show tells who", "the username or the verified e-mail address is taken")
	}
	if err != nil || phc != "" || u.sets() == "" {
		return user, nil, err
	}
	invitation, err := u.invite(ctx, by, user, iam.LinkEnrol)
	return user, invitation, err
}

func (u *Users) phc(ctx context.Context, person Person) (string, error) {
	if person.Password == "" {
		return person.PasswordHash, nil
	}
	return u.Hasher.Hash(ctx, person.Password)
}

// mayMakeAdmin admits the first administrator, and later ones at the word of one who stands.
func (u *Users) mayMakeAdmin(ctx context.Context, sponsor string, what *string) error {
	first, err := u.noAdmin(ctx)
	if err != nil || first {
		return err
	}
	if sponsor == "" {
		return refuse(Conflict, "admin", "name the administrator who asks for it: --sponsor NAME", "there is an administrator already")
	}
	standing, err := u.Find(ctx, sponsor)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return err
	}
	if err != nil || !standing.Admin || standing.Disabled {
		return refuse(Conflict, "sponsor", "garde user list --admin shows those who are", "%s is no standing administrator", show(sponsor))
	}
	*what += ", at the word of " + standing.ID
	return nil
}

func (u *Users) noAdmin(ctx context.Context) (bool, error) {
	none := true
	err := u.each(ctx, func(user iam.User) bool {
		none = !user.Admin
		return none
	})
	return none, err
}

// each goes through all people while more says so.
func (u *Users) each(ctx context.Context, more func(iam.User) bool) error {
	page := iam.Page{Limit: 500}
	for {
		users, err := u.Users.ListUsers(ctx, page)
		if err != nil {
			return err
		}
		for _, user := range users {
			if !more(user) {
				return nil
			}
		}
		if len(users) < page.Limit {
			return nil
		}
		page.After = users[len(users)-1].ID
	}
}

func (u *Users) groupsExist(ctx context.Context, names []string) error {
	var found faults
	for _, name := range names {
		_, err := u.Groups.GroupMembers(ctx, name, iam.Page{Limit: 1})
		switch {
		case errors.Is(err, iam.ErrNotFound):
			found.add("groups", "garde group add makes one", "there is no group %s", show(name))
		case err != nil:
			return err
		}
	}
	return found.orNil()
}

func (u *Users) invite(ctx context.Context, by string, user iam.User, kind iam.LinkKind) (*Invitation, error) {
	now := clock(u.Now)
	token := iam.NewSecret(iam.PrefixLink)
	link := iam.Link{Hash: iam.HashLink(token), Kind: kind, User: user.ID, Created: now, Expires: now.Add(LinkLife)}
	made := event(now, by, journal.UserChanged{What: "invited by a one-time link"})
	made.User = user.ID
	if err := u.Links.AddLink(ctx, link, made); err != nil {
		return nil, err
	}
	sets := u.sets()
	return &Invitation{u.Issuer + "/link/" + string(kind) + "?token=" + url.QueryEscape(token), sets, link.Expires}, nil
}

// The factors that a link sets.
const (
	setsPassword = "password"
	setsPasskey  = "passkey"
)

// sets is what a link gives a person, by the recipe in force; empty: nothing, as where codes by mail are enough.
func (u *Users) sets() string {
	offered := u.Offered()
	for _, factor := range []string{setsPassword, setsPasskey} {
		if slices.Contains(offered, factor) {
			return factor
		}
	}
	return ""
}

// mayLetIn admits to give a person a way to sign in, and tells whether there is a password. Who takes over an administrator
// that can sign in already needs the word of one.
func (u *Users) mayLetIn(ctx context.Context, user iam.User, sponsor string) (password bool, err error) {
	_, err = u.Passwords.Password(ctx, user.ID)
	if err != nil && !errors.Is(err, iam.ErrNotFound) {
		return false, err
	}
	password = err == nil
	held, err := u.Factors.Authenticators(ctx, user.ID)
	if err != nil || !user.Admin || !password && len(held) == 0 {
		return password, err
	}
	what := ""
	return password, u.mayMakeAdmin(ctx, sponsor, &what)
}

// Invite makes a one-time link that sets the password of a person, or adds a passkey where the recipe offers no passwords,
// and ends an earlier one. For an administrator who can sign in already it needs the word of an administrator.
func (u *Users) Invite(ctx context.Context, by, ref, sponsor string) (*Invitation, error) {
	user, err := u.Find(ctx, ref)
	if err != nil {
		return nil, err
	}
	if user.Disabled {
		return nil, refuse(Conflict, "", "garde user enable first", "%s is disabled", user.Username)
	}
	sets := u.sets()
	if sets == "" {
		return nil, refuse(Conflict, "", "they sign in by what signin.factors offers", "the recipe offers nothing that a link could set")
	}
	chose, err := u.mayLetIn(ctx, user, sponsor)
	if err != nil {
		return nil, err
	}
	if chose && sets == setsPassword {
		return u.invite(ctx, by, user, iam.LinkReset)
	}
	return u.invite(ctx, by, user, iam.LinkEnrol)
}

// Changes is what to change of a person; nil leaves it as it is.
type Changes struct {
	Username, Name, Email, Locale  *string
	EmailVerified, Disabled, Admin *bool
	Groups                         *[]string
	Claims                         map[string]any // a nil value takes the claim away
	Sponsor                        string
}

// Set changes what is known of a person. A new address is unverified unless that is said too. Disabling ends sessions,
// grants and tokens within a second.
func (u *Users) Set(ctx context.Context, by, ref string, changes Changes) (iam.User, error) {
	old, err := u.Find(ctx, ref)
	if err != nil {
		return iam.User{}, err
	}
	var found faults
	user := changes.person(old).user(&found)
	if err := found.orNil(); err != nil {
		return iam.User{}, err
	}
	user.ID, user.Admin, user.Created, user.Changed = old.ID, old.Admin, old.Created, clock(u.Now)
	what := "set"
	switch {
	case user.Disabled && !old.Disabled:
		what = "disabled"
	case !user.Disabled && old.Disabled:
		what = "enabled"
	}
	if changes.Admin != nil && *changes.Admin != old.Admin {
		user.Admin = *changes.Admin
		what = "administrator no more"
		if user.Admin {
			what = "made administrator"
			if err := u.mayMakeAdmin(ctx, changes.Sponsor, &what); err != nil {
				return iam.User{}, err
			}
		}
	}
	if err := u.keepsAnAdmin(ctx, old, user.Admin && !user.Disabled); err != nil {
		return iam.User{}, err
	}
	if changes.Groups != nil {
		if err := u.groupsExist(ctx, user.Groups); err != nil {
			return iam.User{}, err
		}
	}
	changed := event(user.Changed, by, journal.UserChanged{What: what})
	changed.User = user.ID
	err = u.Users.SetUser(ctx, user, changed)
	if errors.Is(err, iam.ErrExists) {
		return iam.User{}, refuse(Conflict, "username", "choose another", "the username or the verified e-mail address is taken")
	}
	return user, missing(err, "user", ref)
}

// keepsAnAdmin refuses to take the last administrator away: only they can admit another, so none could ever come again.
func (u *Users) keepsAnAdmin(ctx context.Context, old iam.User, stays bool) error {
	if !old.Admin || old.Disabled || stays {
		return nil
	}
	another := false
	err := u.each(ctx, func(user iam.User) bool {
		another = user.Admin && !user.Disabled && user.ID != old.ID
		return !another
	})
	if err != nil || another {
		return err
	}
	return refuse(Conflict, "", "add another one first: garde user add --admin --sponsor "+old.Username+" NAME", "%s is the last administrator", old.Username)
}

// person lays the changes over what is known.
func (c Changes) person(old iam.User) Person {
	person := Person{
		Username: old.Username, Name: old.Name, Email: old.Email, EmailVerified: old.EmailVerified, Locale: old.Locale,
		Groups: old.Groups, Claims: map[string]any{}, Disabled: old.Disabled,
	}
	lay := func(onto *string, value *string) {
		if value != nil {
			*onto = *value
		}
	}
	lay(&person.Username, c.Username)
	lay(&person.Name, c.Name)
	lay(&person.Locale, c.Locale)
	if c.Email != nil && *c.Email != old.Email {
		person.Email, person.EmailVerified = *c.Email, false
	}
	if c.EmailVerified != nil {
		person.EmailVerified = *c.EmailVerified
	}
	if c.Disabled != nil {
		person.Disabled = *c.Disabled
	}
	if c.Groups != nil {
		person.Groups = *c.Groups
	}
	for _, claims := range []map[string]any{old.Claims, c.Claims} {
		for name, value := range claims {
			if value == nil {
				delete(person.Claims, name)
				continue
			}
			person.Claims[name] = value
		}
	}
	return person
}

// SetPassword sets a person's password and ends every session, link and grant of theirs.
func (u *Users) SetPassword(ctx context.Context, by, ref, secret, sponsor string) error {
	user, err := u.Find(ctx, ref)
	if err != nil {
		return err
	}
	if !slices.Contains(u.Offered(), setsPassword) {
		return refuse(Conflict, "password", "garde user invite makes a link that adds a passkey", "the recipe offers no passwords (signin.factors)")
	}
	if err := u.Policy().Check(secret, user.Username, user.Email, user.Name); err != nil {
		return refuse(Invalid, "password", "choose another", "%v", err)
	}
	if _, err := u.mayLetIn(ctx, user, sponsor); err != nil {
		return err
	}
	phc, err := u.Hasher.Hash(ctx, secret)
	if err != nil {
		return err
	}
	now := clock(u.Now)
	set := event(now, by, journal.UserChanged{What: "password set"})
	set.User = user.ID
	return u.Passwords.SetPassword(ctx, iam.Password{User: user.ID, PHC: phc, Changed: now}, "", set)
}

// Remove ends everything of a person. The id never comes back.
func (u *Users) Remove(ctx context.Context, by, ref string) error {
	user, err := u.Find(ctx, ref)
	if err != nil {
		return err
	}
	if err := u.keepsAnAdmin(ctx, user, false); err != nil {
		return err
	}
	removed := event(clock(u.Now), by, journal.UserChanged{What: "removed"})
	removed.User = user.ID
	return missing(u.Users.RemoveUser(ctx, user.ID, removed), "user", ref)
}
