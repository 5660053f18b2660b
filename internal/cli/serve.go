package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/app"
)

func (p *program) serveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "serve", Short: "Run the Server of this node", Args: words(0, 0, ""),
		Long: "Runs the Server: it signs people in and issues tokens. At its first start it makes keys and applies the recipe that\n" +
			"node.yaml names; later changes come by garde apply. Logs JSON lines to stderr; the line \"ready\" says its addresses.",
		RunE: func(command *cobra.Command, _ []string) error {
			node, err := p.node()
			if err != nil {
				return err
			}
			server, err := app.NewServer(command.Context(), node, p.log(), app.Lab{})
			if err != nil {
				return err
			}
			return errors.Join(server.Run(command.Context()), server.Close())
		},
	}
}
