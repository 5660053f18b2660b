package cli

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/demo"
)

func (p *program) demoCommand() *cobra.Command {
	options := bank{}
	command := &cobra.Command{
		Use: "demo", Short: "Run a Server, a Gate and a small bank on this machine", Args: words(0, 0, ""),
		Long: "Runs Garde with embedded storage and a small bank, and says where to go, who can sign in and what to try.\n" +
			"The Gate, the bank and Budget, another company's site, listen on the next three ports. A second run finds its data again.",
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
	command.Flags().StringVar(&options.Data, "data", demo.DefaultData, "folder for the data")
	command.AddCommand(p.demoCLICommand(), p.demoStealCommand(), p.demoAppsCommand())
	return command
}

func (p *program) demoStealCommand() *cobra.Command {
	var at, data string
	command := &cobra.Command{
		Use: "steal", Short: "Show what the token of a site that binds it is worth to a thief", Args: words(0, 0, ""),
		Long: "Takes the access token of Budget, the other company's site of the running demonstration, and tries it as a thief would:\n" +
			"as a bearer token, without a proof, with a proof by another key, with a proof that was used before. Then Budget uses it.\n" +
			"Connect an account at Budget first. Fails if the thief gets anything, or Budget does not.",
		RunE: func(command *cobra.Command, _ []string) error {
			site, err := demo.At(at)
			if err != nil {
				return wrong(command, "%v", err)
			}
			return demo.Theft{Site: site, Dir: data, Out: p.stdout, JSON: p.asJSON, Colour: p.coloured()}.Steal(command.Context())
		},
	}
	command.Flags().StringVar(&at, "at", demo.DefaultListen, "HOST:PORT that garde demo listens on")
	command.Flags().StringVar(&data, "data", demo.DefaultData, "folder of its data")
	return command
}

func (p *program) demoAppsCommand() *cobra.Command {
	var at string
	apps := demo.Apps{}
	command := &cobra.Command{
		Use: "apps", Short: "Be two native apps on one device that share a sign-in", Args: words(0, 0, ""),
		Long: "Signs in to the first app through the system browser, and to the second without typing, by the device secret that both\n" +
			"find in the keychain they share (OpenID Native SSO). Then a thief tries a copy of it, and the first app signs out of both.\n" +
			"Fails if anything comes otherwise than it should.",
		RunE: func(command *cobra.Command, _ []string) error {
			site, err := demo.At(at)
			if err != nil {
				return wrong(command, "%v", err)
			}
			apps.Site, apps.Out, apps.Err, apps.JSON, apps.Colour = site, p.stdout, p.stderr, p.asJSON, p.coloured()
			return apps.Run(command.Context())
		},
	}
	command.Flags().StringVar(&at, "at", demo.DefaultListen, "HOST:PORT that garde demo listens on")
	command.Flags().BoolVar(&apps.NoOpen, "no-browser", false, "open nothing, only print the address")
	command.Flags().DurationVar(&apps.Wait, "wait", 5*time.Minute, "how long to wait for the browser")
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
