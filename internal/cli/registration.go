package cli

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/manage"
)

func (p *program) registrationCommand() *cobra.Command {
	return p.noun("registration", "Clients that come by themselves, and who may",
		p.registrationList(), p.registrationRemove(),
		p.noun("token", "Initial access tokens: who holds one may register clients", p.initialList(), p.initialAdd(), p.initialRemove()))
}

func (p *program) registrationList() *cobra.Command {
	var policy string
	command := &cobra.Command{
		Use: "list", Short: "List clients that came by themselves", Args: words(0, 0, ""),
		RunE: p.with(func(ctx context.Context, r *remote, _ []string) error {
			path := "/registration/clients?limit=500"
			if policy != "" {
				path += "&policy=" + url.QueryEscape(policy)
			}
			clients, err := all[admin.RegisteredClient](ctx, r, path, 0)
			if err != nil {
				return err
			}
			return p.list(clients, []any{"ID", "POLICY", "TYPE", "FROM", "STATE", "CREATED", "USED", "NAME"}, func(t *table) {
				for _, client := range clients {
					state := clientState(admin.Client{Disabled: client.Disabled})
					t.row(client.ID, client.Policy, client.Type, client.Source, state, client.Created, client.Used, client.Name.In("en"))
				}
			})
		}),
	}
	command.Flags().StringVar(&policy, "policy", "", "only those under this policy of the recipe")
	return command
}

func (p *program) registrationRemove() *cobra.Command {
	command := &cobra.Command{
		Use: "remove CLIENT", Short: "End a client that came by itself, with all it was given", Args: words(1, 1, "a CLIENT"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			if sure, err := p.sure("Remove the client " + args[0] + " for good?"); err != nil || !sure {
				return err
			}
			return r.call(ctx, http.MethodDelete, "/registration/clients/"+url.PathEscape(args[0]), nil, nil)
		}),
	}
	p.yesFlag(command)
	return command
}

func (p *program) initialList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List initial access tokens that live", Args: words(0, 0, ""),
		RunE: p.with(func(ctx context.Context, r *remote, _ []string) error {
			var tokens []admin.InitialToken
			if err := r.call(ctx, http.MethodGet, "/registration/tokens", nil, &tokens); err != nil {
				return err
			}
			return p.list(tokens, []any{"ID", "POLICY", "LEFT", "EXPIRES", "FOR"}, func(t *table) {
				for _, token := range tokens {
					t.row(token.ID, token.Policy, token.Left, token.Expires, token.Note)
				}
			})
		}),
	}
}

func (p *program) initialAdd() *cobra.Command {
	var order admin.NewInitial
	command := &cobra.Command{
		Use: "add POLICY", Short: "Make an initial access token for a policy of the recipe; it is told this once", Args: words(1, 1, "a POLICY"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			order.Policy = args[0]
			var token manage.MadeInitial
			if err := r.call(ctx, http.MethodPost, "/registration/tokens", order, &token); err != nil {
				return err
			}
			p.say("The token is shown this once.")
			return p.show(token, func(t *table) {
				t.row("id", token.ID)
				t.row("token", token.Value)
				t.row("expires", token.Expires)
			})
		}),
	}
	command.Flags().IntVar(&order.Uses, "uses", 1, "how many clients it may register")
	command.Flags().StringVar(&order.Life, "life", "1d", "how long it lives: 90d, 12h")
	command.Flags().StringVar(&order.Note, "note", "", "whom it is for")
	return command
}

func (p *program) initialRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove ID", Short: "End an initial access token; what was registered by it stays", Args: words(1, 1, "the ID of a token"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			return r.call(ctx, http.MethodDelete, "/registration/tokens/"+url.PathEscape(args[0]), nil, nil)
		}),
	}
}
