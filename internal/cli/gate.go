package cli

import (
	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/app"
)

func (p *program) gateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "gate", Short: "Run the Gate of this node", Args: words(0, 0, ""),
		Long: "Runs the Gate: it stands before the APIs of the recipe, checks each request and its token, and passes on what may pass.",
		RunE: func(command *cobra.Command, _ []string) error {
			node, err := p.node()
			if err != nil {
				return err
			}
			gateway, err := app.NewGateway(command.Context(), node, p.log(), app.Lab{})
			if err != nil {
				return err
			}
			return gateway.Run(command.Context())
		},
	}
}
