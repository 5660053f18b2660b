package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/manage"
)

func (p *program) userCommand() *cobra.Command {
	return p.noun("user", "People who can sign in",
		p.userList(), p.userShow(), p.userAdd(), p.userSet(), p.userSwitch("disable", true), p.userSwitch("enable", false),
		p.userInvite(), p.userPassword(), p.userFactors(), p.userDevices(), p.userRemove(), p.userImport())
}

func userPath(user string) string { return "/users/" + url.PathEscape(user) }

// idOf gives the id of a person by name. Whom nobody knows is given back as it is: it may be the id of one who is gone.
func idOf(ctx context.Context, r *remote, name string) (string, error) {
	var user admin.User
	err := r.call(ctx, http.MethodGet, userPath(name), nil, &user)
	if said := (*problem)(nil); errors.As(err, &said) && said.Status == http.StatusNotFound {
		return name, nil
	}
	return user.ID, err
}

func (p *program) userList() *cobra.Command {
	var admins, disabled bool
	command := &cobra.Command{Use: "list", Short: "List people", Args: words(0, 0, "")}
	command.RunE = p.with(func(ctx context.Context, r *remote, _ []string) error {
		query := url.Values{"limit": {"500"}}
		if admins {
			query.Set("admin", "true")
		}
		if disabled {
			query.Set("disabled", "true")
		}
		users, err := all[admin.User](ctx, r, "/users?"+query.Encode(), 0)
		if err != nil {
			return err
		}
		return p.list(users, []any{"USERNAME", "NAME", "EMAIL", "GROUPS", "STATE", "ID"}, func(t *table) {
			for _, user := range users {
				t.row(user.Username, user.Name, user.Email, user.Groups, userState(user), user.ID)
			}
		})
	})
	command.Flags().BoolVar(&admins, "admin", false, "administrators only")
	command.Flags().BoolVar(&disabled, "disabled", false, "disabled ones only")
	return command
}

func userState(user admin.User) string {
	var state []string
	if user.Admin {
		state = append(state, "administrator")
	}
	if user.Disabled {
		state = append(state, "disabled")
	}
	return strings.Join(state, ", ")
}

func (p *program) userShow() *cobra.Command {
	return &cobra.Command{
		Use: "show USER", Short: "Show a person, by id, username or verified address", Args: words(1, 1, "a USER"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			var user admin.User
			if err := r.call(ctx, http.MethodGet, userPath(args[0]), nil, &user); err != nil {
				return err
			}
			return p.showUser(user)
		}),
	}
}

func (p *program) showUser(user admin.User) error {
	return p.show(user, func(t *table) {
		verified := ""
		if user.Email != "" && !user.EmailVerified {
			verified = " (not verified)"
		}
		t.row("username", user.Username)
		t.row("id", user.ID)
		t.row("name", user.Name)
		t.row("email", user.Email+verified)
		t.row("groups", user.Groups)
		t.row("state", userState(user))
		t.row("changed", user.Changed)
		for name, value := range user.Claims {
			t.row(name, value)
		}
	})
}

// personFlags are what can be said of a person on the command line.
type personFlags struct {
	name, email, locale, username string
	verified, admin               bool
	groups                        []string
	claims                        map[string]string
	sponsor                       string
}

func (f *personFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.name, "name", "", "full name")
	flags.StringVar(&f.email, "email", "", "e-mail address")
	flags.BoolVar(&f.verified, "email-verified", false, "the address is known to be theirs")
	flags.StringVar(&f.locale, "locale", "", "language, such as fr")
	flags.StringSliceVar(&f.groups, "group", nil, "group; may be repeated")
	flags.StringToStringVar(&f.claims, "claim", nil, "OpenID claim, as given_name=Ada; may be repeated")
	flags.BoolVar(&f.admin, "admin", false, "make them an administrator")
	flags.StringVar(&f.sponsor, "sponsor", "", "the administrator at whose word another one is made")
}

func (f *personFlags) claimed() map[string]any {
	if len(f.claims) == 0 {
		return nil
	}
	claims := map[string]any{}
	for name, value := range f.claims {
		switch {
		case value == "":
			claims[name] = nil
		case name == "phone_number_verified":
			claims[name] = value == "true"
		default:
			claims[name] = value
		}
	}
	return claims
}

func (p *program) userAdd() *cobra.Command {
	var said personFlags
	var file string
	var ask bool
	command := &cobra.Command{
		Use: "add NAME", Short: "Add a person", Args: words(1, 1, "the username, NAME"),
		Long: "Adds a person. Without a password it prints a one-time link by which they set their own, or add a passkey where the\n" +
			"recipe offers no passwords (signin.factors).\n" +
			"The first administrator needs nobody's word; every later one needs that of an administrator (--sponsor).",
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		new := admin.NewUser{
			Username: args[0], Name: said.name, Email: said.email, EmailVerified: said.verified, Locale: said.locale,
			Groups: said.groups, Claims: said.claimed(), Admin: said.admin, Sponsor: said.sponsor,
		}
		if ask || file != "" {
			var err error
			if new.Password, err = p.password(command, file); err != nil {
				return err
			}
		}
		return p.with(func(ctx context.Context, r *remote, _ []string) error {
			var added admin.AddedUser
			if err := r.call(ctx, http.MethodPost, "/users", new, &added); err != nil {
				return err
			}
			p.say("Added %s.", printable(added.User.Username))
			return p.showInvitation(added, added.Invitation)
		})(command, args)
	}
	said.add(command)
	command.Flags().StringVar(&file, "password-file", "", "read the password from a file, or from stdin (-)")
	command.Flags().BoolVar(&ask, "password", false, "ask for the password on the terminal")
	return command
}

// showInvitation prints a link as the only data.
func (p *program) showInvitation(value any, invitation *manage.Invitation) error {
	if invitation != nil {
		does := "set their password"
		if invitation.Sets == "passkey" {
			does = "add a passkey"
		}
		p.say("They %s here, once, until %s:", does, invitation.Expires.Local().Format(time.DateTime))
	}
	return p.show(value, func(t *table) {
		if invitation != nil {
			t.row(invitation.Link)
		}
	})
}

func (p *program) userSet() *cobra.Command {
	var said personFlags
	command := &cobra.Command{Use: "set USER", Short: "Change what is known of a person", Args: words(1, 1, "a USER")}
	command.RunE = func(command *cobra.Command, args []string) error {
		changes := admin.UserChanges{Claims: said.claimed(), Sponsor: said.sponsor}
		given := 0
		for flag, set := range map[string]func(){
			"username": func() { changes.Username = &said.username }, "name": func() { changes.Name = &said.name },
			"email": func() { changes.Email = &said.email }, "locale": func() { changes.Locale = &said.locale },
			"email-verified": func() { changes.EmailVerified = &said.verified }, "admin": func() { changes.Admin = &said.admin },
			"group": func() { changes.Groups = &said.groups }, "claim": func() {},
		} {
			if command.Flags().Changed(flag) {
				set()
				given++
			}
		}
		if given == 0 {
			return wrong(command, "say what to change")
		}
		if said.groups == nil {
			said.groups = []string{}
		}
		return p.with(func(ctx context.Context, r *remote, args []string) error {
			var user admin.User
			if err := r.call(ctx, http.MethodPatch, userPath(args[0]), changes, &user); err != nil {
				return err
			}
			return p.showUser(user)
		})(command, args)
	}
	said.add(command)
	command.Flags().StringVar(&said.username, "username", "", "new username")
	return command
}

func (p *program) userSwitch(verb string, disabled bool) *cobra.Command {
	short := "Let a person sign in again"
	if disabled {
		short = "Shut a person out: sessions, grants and tokens end within a second"
	}
	return &cobra.Command{
		Use: verb + " USER", Short: short, Args: words(1, 1, "a USER"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			var user admin.User
			if err := r.call(ctx, http.MethodPatch, userPath(args[0]), admin.UserChanges{Disabled: &disabled}, &user); err != nil {
				return err
			}
			p.say("%sd %s.", strings.ToUpper(verb[:1])+verb[1:], printable(user.Username))
			return nil
		}),
	}
}

func (p *program) userInvite() *cobra.Command {
	var sponsor string
	command := &cobra.Command{
		Use: "invite USER", Short: "Make a one-time link by which a person sets a password, or adds a passkey", Args: words(1, 1, "a USER"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			var invitation manage.Invitation
			if err := r.call(ctx, http.MethodPost, userPath(args[0])+"/invitation", map[string]string{"sponsor": sponsor}, &invitation); err != nil {
				return err
			}
			return p.showInvitation(invitation, &invitation)
		}),
	}
	command.Flags().StringVar(&sponsor, "sponsor", "", "the administrator at whose word an administrator gets one")
	return command
}

func (p *program) userPassword() *cobra.Command {
	var file, sponsor string
	command := &cobra.Command{Use: "password USER", Short: "Set a person's password and end their sessions", Args: words(1, 1, "a USER")}
	command.RunE = func(command *cobra.Command, args []string) error {
		secret, err := p.password(command, file)
		if err != nil {
			return err
		}
		return p.with(func(ctx context.Context, r *remote, args []string) error {
			body := map[string]string{"password": secret, "sponsor": sponsor}
			if err := r.call(ctx, http.MethodPut, userPath(args[0])+"/password", body, nil); err != nil {
				return err
			}
			p.say("The password of %s is set, and their sessions have ended.", printable(args[0]))
			return nil
		})(command, args)
	}
	command.Flags().StringVar(&file, "password-file", "", "read the password from a file, or from stdin (-)")
	command.Flags().StringVar(&sponsor, "sponsor", "", "the administrator at whose word that of an administrator is set")
	return command
}

func (p *program) userRemove() *cobra.Command {
	command := &cobra.Command{
		Use: "remove USER", Short: "End everything of a person", Args: words(1, 1, "a USER"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			if sure, err := p.sure("Remove " + args[0] + " for good?"); err != nil || !sure {
				return err
			}
			if err := r.call(ctx, http.MethodDelete, userPath(args[0]), nil, nil); err != nil {
				return err
			}
			p.say("Removed %s.", printable(args[0]))
			return nil
		}),
	}
	p.yesFlag(command)
	return command
}

func (p *program) userImport() *cobra.Command {
	load := admin.Import{}
	command := &cobra.Command{
		Use: "import FILE", Short: "Add people from YAML or CSV, all of them or none", Args: words(1, 1, "a FILE"),
		Long: "Reads people.yaml (users: a list) or people.csv (a head of field names): username, name, email, email_verified,\n" +
			"locale, groups, claims, disabled, password, password_hash. Every fault is told with its line, and nothing is half done.\n" +
			"Who comes without a password gets in by a link: garde user invite. Where the recipe offers no passwords, so does everybody.",
		RunE: func(command *cobra.Command, args []string) error {
			raw, err := os.ReadFile(args[0])
			switch {
			case err != nil:
				return err
			case len(raw) == 0:
				return fmt.Errorf("%s is empty", args[0])
			}
			load.Name, load.Content = filepath.Base(args[0]), raw
			return p.with(func(ctx context.Context, r *remote, _ []string) error {
				var done manage.Imported
				if err := r.call(ctx, http.MethodPost, "/users/import", load, &done); err != nil {
					return err
				}
				for _, fault := range done.Faults {
					p.say("left out: %s", printable(fault.String()))
				}
				if err := p.show(done, func(t *table) {
					t.row("added", done.Added)
					t.row("skipped", done.Skipped)
				}); err != nil || len(done.Faults) == 0 {
					return err
				}
				return errSaid
			})(command, args)
		},
	}
	command.Flags().BoolVar(&load.SkipExisting, "skip-existing", false, "leave those alone who are there already")
	command.Flags().BoolVar(&load.Partial, "partial", false, "add those who can be added, and tell of the others")
	return command
}
