package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/demo"
)

func (p *program) demoCommand() *cobra.Command {
	options := bank{}
	command := &cobra.Command{
		Use: "demo", Short: "Run a Server, a Gate and a small bank on this machine", Args: words(0, 0, ""),
		Long: "Runs Garde with embedded storage and a small bank, and says where to go, who can sign in and what to try.\n" +
			"The Gate and the bank listen on the next two ports. A second run finds its data again.",
		RunE: func(command *cobra.Command, _ []string) error {
			if _, err := demo.At(options.Listen); err != nil {
				return wrong(command, "%v", err)
			}
			options.Out = p.stdout
			options.Log, options.Colour = p.log(), p.coloured()
			return options.run(command.Context())
		},
	}
	command.Flags().StringVar(&options.Listen, "listen", demo.DefaultListen, "where the Server listens; its issuer is http://HOST:PORT")
	command.Flags().StringVar(&options.Data, "data", "garde-demo", "folder for the data")
	command.AddCommand(p.demoCLICommand())
	return command
}

func (p *program) demoCLICommand() *cobra.Command {
	return &cobra.Command{
		Use: "cli [balance | token | sign-out]", Short: "Be the bank's command-line client", DisableFlagParsing: true,
		Long: "Signs in through the system browser, as RFC 8252 wants it, and prints the balance (the default) or an access token\n" +
			"for curl. Keeps its tokens until sign-out. --at HOST:PORT names the demonstration, --dir where the tokens are kept,\n" +
			"--no-browser only prints the address, --wait says for how long, --json prints JSON.",
		RunE: func(command *cobra.Command, args []string) error {
			err := demo.CLI(command.Context(), args, p.stdout, p.stderr, nil)
			if errors.Is(err, demo.ErrUsage) {
				return wrong(command, "%v", err)
			}
			return err
		},
	}
}
