package cli

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/iam"
)

func (p *program) groupCommand() *cobra.Command {
	return p.noun("group", "Flat groups of people",
		p.groupList(), p.groupShow(), p.groupPut("add"), p.groupPut("set"), p.groupRemove(), p.groupMember("join", http.MethodPut),
		p.groupMember("leave", http.MethodDelete))
}

func groupPath(group string) string { return "/groups/" + url.PathEscape(group) }

func (p *program) groupList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List groups", Args: words(0, 0, ""),
		RunE: p.with(func(ctx context.Context, r *remote, _ []string) error {
			groups, err := all[iam.Group](ctx, r, "/groups?limit=500", 0)
			if err != nil {
				return err
			}
			return p.list(groups, []any{"NAME", "MEMBERS", "FOR"}, func(t *table) {
				for _, group := range groups {
					t.row(group.Name, group.Members, group.Say)
				}
			})
		}),
	}
}

func (p *program) groupShow() *cobra.Command {
	return &cobra.Command{
		Use: "show GROUP", Short: "List the members of a group", Args: words(1, 1, "a GROUP"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			users, err := all[admin.User](ctx, r, groupPath(args[0])+"/members?limit=500", 0)
			if err != nil {
				return err
			}
			return p.list(users, []any{"USERNAME", "NAME", "ID"}, func(t *table) {
				for _, user := range users {
					t.row(user.Username, user.Name, user.ID)
				}
			})
		}),
	}
}

func (p *program) groupPut(verb string) *cobra.Command {
	var say string
	short, method := "Make a group", http.MethodPost
	if verb == "set" {
		short, method = "Say what a group is for", http.MethodPut
	}
	command := &cobra.Command{
		Use: verb + " GROUP", Short: short, Args: words(1, 1, "a GROUP"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			path, body := "/groups", map[string]string{"name": args[0], "say": say}
			if verb == "set" {
				path, body = groupPath(args[0]), map[string]string{"say": say}
			}
			var group iam.Group
			if err := r.call(ctx, method, path, body, &group); err != nil {
				return err
			}
			return p.show(group, func(t *table) { t.row(group.Name, group.Say) })
		}),
	}
	command.Flags().StringVar(&say, "say", "", "what the group is for")
	return command
}

func (p *program) groupRemove() *cobra.Command {
	command := &cobra.Command{
		Use: "remove GROUP", Short: "End a group; its members stay people", Args: words(1, 1, "a GROUP"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			if sure, err := p.sure("Remove the group " + args[0] + "?"); err != nil || !sure {
				return err
			}
			return r.call(ctx, http.MethodDelete, groupPath(args[0]), nil, nil)
		}),
	}
	p.yesFlag(command)
	return command
}

func (p *program) groupMember(verb, method string) *cobra.Command {
	short := "Make people members of a group"
	if verb == "leave" {
		short = "End memberships of a group"
	}
	return &cobra.Command{
		Use: verb + " GROUP USER...", Short: short, Args: words(2, -1, "a GROUP and at least one USER"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			for _, user := range args[1:] {
				if err := r.call(ctx, method, groupPath(args[0])+"/members/"+url.PathEscape(user), nil, nil); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}
