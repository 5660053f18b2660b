package admin

import (
	"context"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/manage"
)

// User is a person as the API tells of one.
type User struct {
	ID            string         `json:"id"`
	Username      string         `json:"username"`
	Name          string         `json:"name,omitempty"`
	Email         string         `json:"email,omitempty"`
	EmailVerified bool           `json:"email_verified"`
	Locale        string         `json:"locale,omitempty"`
	Groups        []string       `json:"groups"`
	Claims        map[string]any `json:"claims,omitempty"`
	Admin         bool           `json:"admin"`
	Disabled      bool           `json:"disabled"`
	Created       time.Time      `json:"created"`
	Changed       time.Time      `json:"changed"`
}

func userView(user iam.User) User {
	view := User{
		ID: user.ID, Username: user.Username, Name: user.Name, Email: user.Email, EmailVerified: user.EmailVerified,
		Locale: user.Locale, Groups: user.Groups, Claims: user.Claims, Admin: user.Admin, Disabled: user.Disabled,
		Created: user.Created, Changed: user.Changed,
	}
	if view.Groups == nil {
		view.Groups = []string{}
	}
	return view
}

// NewUser is somebody to add.
type NewUser struct {
	Username      string         `json:"username" maxLength:"1000"`
	Name          string         `json:"name,omitempty"`
	Email         string         `json:"email,omitempty"`
	EmailVerified bool           `json:"email_verified,omitempty"`
	Locale        string         `json:"locale,omitempty"`
	Groups        []string       `json:"groups,omitempty"`
	Claims        map[string]any `json:"claims,omitempty"`
	Disabled      bool           `json:"disabled,omitempty"`
	Admin         bool           `json:"admin,omitempty"`
	Sponsor       string         `json:"sponsor,omitempty" doc:"standing administrator who asks for another one"`
	Password      string         `json:"password,omitempty" writeOnly:"true" doc:"without one, the answer holds an invitation"`
	PasswordHash  string         `json:"password_hash,omitempty" writeOnly:"true"`
}

// AddedUser is the answer to adding somebody. The invitation is told this once.
type AddedUser struct {
	User       User               `json:"user"`
	Invitation *manage.Invitation `json:"invitation,omitempty"`
}

// UserChanges leaves as it is what is absent.
type UserChanges struct {
	Username      *string        `json:"username,omitempty"`
	Name          *string        `json:"name,omitempty"`
	Email         *string        `json:"email,omitempty"`
	Locale        *string        `json:"locale,omitempty"`
	EmailVerified *bool          `json:"email_verified,omitempty"`
	Disabled      *bool          `json:"disabled,omitempty"`
	Admin         *bool          `json:"admin,omitempty"`
	Groups        *[]string      `json:"groups,omitempty"`
	Claims        map[string]any `json:"claims,omitempty" doc:"null takes a claim away"`
	Sponsor       string         `json:"sponsor,omitempty"`
}

// Import is a file of people.
type Import struct {
	Name         string `json:"name" maxLength:"4096" doc:"name of the file; .csv means CSV, anything else YAML"`
	Content      []byte `json:"content" writeOnly:"true"`
	SkipExisting bool   `json:"skip_existing,omitempty"`
	Partial      bool   `json:"partial,omitempty"`
}

// UserRef names a person in a path.
type UserRef struct {
	User string `path:"user" maxLength:"1000" doc:"id, username or verified e-mail address"`
}

func (a *api) users() {
	type list struct {
		Paging
		Admin    bool `query:"admin" doc:"administrators only"`
		Disabled bool `query:"disabled" doc:"disabled ones only"`
	}
	op(a, route("GET", "/users", "list-users", "List people"), func(ctx context.Context, in *list) (*some[paged[User]], error) {
		return answer(a.listUsers(ctx, in.Paging, func(user iam.User) bool {
			return (user.Admin || !in.Admin) && (user.Disabled || !in.Disabled)
		}))
	})
	op(a, made(route("POST", "/users", "add-user", "Add a person")), func(ctx context.Context, in *some[NewUser]) (*some[AddedUser], error) {
		user, invitation, err := a.Desk.Users.Add(ctx, Operator(ctx), in.Body.asked())
		return answer(AddedUser{userView(user), invitation}, err)
	})
	op(a, route("GET", "/users/{user}", "show-user", "Show a person"), func(ctx context.Context, in *UserRef) (*some[User], error) {
		user, err := a.Desk.Users.Find(ctx, in.User)
		return answer(userView(user), err)
	})
	type change struct {
		UserRef
		Body UserChanges
	}
	op(a, route("PATCH", "/users/{user}", "set-user", "Change what is known of a person"), func(ctx context.Context, in *change) (*some[User], error) {
		user, err := a.Desk.Users.Set(ctx, Operator(ctx), in.User, in.Body.asked())
		return answer(userView(user), err)
	})
	op(a, route("DELETE", "/users/{user}", "remove-user", "End everything of a person"), func(ctx context.Context, in *UserRef) (*none, error) {
		return nothing(a.Desk.Users.Remove(ctx, Operator(ctx), in.User))
	})
	a.userSecrets()
	load := made(route("POST", "/users/import", "import-users", "Add people from a file, all of them or none"))
	load.MaxBodyBytes = maxLarge
	op(a, load, func(ctx context.Context, in *some[Import]) (*some[manage.Imported], error) {
		people, err := manage.ReadPeople(in.Body.Name, in.Body.Content)
		if err != nil {
			return nil, err
		}
		return answer(a.Desk.Users.Import(ctx, Operator(ctx), people, manage.ImportOptions{
			SkipExisting: in.Body.SkipExisting, Partial: in.Body.Partial,
		}))
	})
}

func (a *api) userSecrets() {
	type sponsored struct {
		UserRef
		Body struct {
			Sponsor string `json:"sponsor,omitempty"`
		}
	}
	op(a, made(route("POST", "/users/{user}/invitation", "invite-user", "Make a one-time link that sets the password, or adds a passkey")),
		func(ctx context.Context, in *sponsored) (*some[*manage.Invitation], error) {
			return answer(a.Desk.Users.Invite(ctx, Operator(ctx), in.User, in.Body.Sponsor))
		})
	type newPassword struct {
		UserRef
		Body struct {
			Password string `json:"password" writeOnly:"true"`
			Sponsor  string `json:"sponsor,omitempty"`
		}
	}
	op(a, route("PUT", "/users/{user}/password", "set-password", "Set a person's password and end their sessions"),
		func(ctx context.Context, in *newPassword) (*none, error) {
			return nothing(a.Desk.Users.SetPassword(ctx, Operator(ctx), in.User, in.Body.Password, in.Body.Sponsor))
		})
}

// listUsers reads on until the part is full: a filter may leave few of each page.
func (a *api) listUsers(ctx context.Context, asked Paging, keep func(iam.User) bool) (paged[User], error) {
	page, err := asked.page("users")
	if err != nil {
		return paged[User]{}, err
	}
	const step = 500
	page.Limit = step
	var found []iam.User
	for len(found) <= asked.Limit {
		rows, err := a.Desk.House.ListUsers(ctx, page)
		if err != nil {
			return paged[User]{}, err
		}
		for _, row := range rows {
			if keep(row) && len(found) <= asked.Limit {
				found = append(found, row)
			}
		}
		if len(rows) < step {
			break
		}
		page.After = rows[len(rows)-1].ID
	}
	return part("users", asked.Limit, found, func(user iam.User) string { return user.ID }, userView), nil
}

func (n NewUser) asked() manage.NewUser {
	return manage.NewUser{Admin: n.Admin, Sponsor: n.Sponsor, Person: manage.Person{
		Username: n.Username, Name: n.Name, Email: n.Email, EmailVerified: n.EmailVerified, Locale: n.Locale, Groups: n.Groups,
		Claims: n.Claims, Disabled: n.Disabled, Password: n.Password, PasswordHash: n.PasswordHash,
	}}
}

func (c UserChanges) asked() manage.Changes {
	return manage.Changes{
		Username: c.Username, Name: c.Name, Email: c.Email, Locale: c.Locale, EmailVerified: c.EmailVerified,
		Disabled: c.Disabled, Admin: c.Admin, Groups: c.Groups, Claims: c.Claims, Sponsor: c.Sponsor,
	}
}
