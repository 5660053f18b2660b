package cli

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
)

func (p *program) sessionCommand() *cobra.Command {
	return p.noun("session", "Browsers in which people are signed in", p.sessionList(), p.sessionShow(), p.sessionRemove())
}

func (p *program) sessionList() *cobra.Command {
	return &cobra.Command{
		Use: "list [USER]", Short: "List living sessions, of everyone or of one person", Args: words(0, 1, ""),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			path := "/sessions?limit=500"
			if len(args) == 1 {
				path = userPath(args[0]) + "/sessions"
			}
			sessions, err := all[admin.Session](ctx, r, path, 0)
			if err != nil {
				return err
			}
			return p.list(sessions, []any{"ID", "USER", "SIGNED IN", "SEEN", "BROWSER", "ADDRESS"}, func(t *table) {
				for _, session := range sessions {
					t.row(session.ID, session.User, session.SignedIn, session.Seen, session.Agent, session.Address)
				}
			})
		}),
	}
}

func (p *program) sessionShow() *cobra.Command {
	return &cobra.Command{
		Use: "show SESSION", Short: "Show a living session", Args: words(1, 1, "the id of a SESSION"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			var session admin.Session
			if err := r.call(ctx, http.MethodGet, "/sessions/"+url.PathEscape(args[0]), nil, &session); err != nil {
				return err
			}
			return p.show(session, func(t *table) {
				t.row("id", session.ID)
				t.row("user", session.User)
				t.row("methods", session.Methods)
				t.row("level", session.Level)
				t.row("browser", session.Agent)
				t.row("address", session.Address)
				t.row("signed in", session.SignedIn)
				t.row("seen", session.Seen)
				t.row("ends", session.Expires)
			})
		}),
	}
}

func (p *program) sessionRemove() *cobra.Command {
	var user string
	command := &cobra.Command{
		Use: "remove [SESSION...]", Short: "End sessions, or sign a person out everywhere (--user)", Args: words(0, -1, ""),
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		if (len(args) == 0) == (user == "") {
			return wrong(command, "name sessions, or a person by --user")
		}
		return p.with(func(ctx context.Context, r *remote, args []string) error {
			if user != "" {
				return r.call(ctx, http.MethodDelete, userPath(user)+"/sessions", nil, nil)
			}
			var failed []error
			for _, id := range args { // one that is not there keeps no other alive
				failed = append(failed, r.call(ctx, http.MethodDelete, "/sessions/"+url.PathEscape(id), nil, nil))
			}
			return errors.Join(failed...)
		})(command, args)
	}
	command.Flags().StringVar(&user, "user", "", "sign this person out everywhere")
	return command
}
