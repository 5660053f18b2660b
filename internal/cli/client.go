package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/recipe"
)

func (p *program) clientCommand() *cobra.Command {
	return p.noun("client", "Applications that may ask for tokens",
		p.clientList(), p.clientShow(), p.clientAdd(), p.clientSet(), p.clientSwitch("disable", true), p.clientSwitch("enable", false),
		p.clientRemove(), p.clientToken(), p.noun("secret", "Generated secrets of a client, at most two", p.secretAdd(), p.secretRemove()))
}

func clientPath(client string) string { return "/clients/" + url.PathEscape(client) }

func (p *program) clientList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List clients", Args: words(0, 0, ""),
		RunE: p.with(func(ctx context.Context, r *remote, _ []string) error {
			clients, err := all[admin.Client](ctx, r, "/clients?limit=500", 0)
			if err != nil {
				return err
			}
			return p.list(clients, []any{"ID", "TYPE", "AUTH", "FROM", "STATE", "NAME"}, func(t *table) {
				for _, client := range clients {
					t.row(client.ID, client.Type, client.Auth, client.Source, clientState(client), client.Name.In("en"))
				}
			})
		}),
	}
}

func clientState(client admin.Client) string {
	if client.Disabled {
		return "disabled"
	}
	return ""
}

func (p *program) clientShow() *cobra.Command {
	return &cobra.Command{
		Use: "show CLIENT", Short: "Show a client", Args: words(1, 1, "a CLIENT"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			var client admin.Client
			if err := r.call(ctx, http.MethodGet, clientPath(args[0]), nil, &client); err != nil {
				return err
			}
			return p.showClient(client)
		}),
	}
}

func (p *program) showClient(client admin.Client) error {
	return p.show(client, func(t *table) {
		t.row("id", client.ID)
		t.row("type", client.Type)
		t.row("from", client.Source)
		t.row("auth", client.Auth)
		t.row("grants", client.Grants)
		t.row("scopes", client.Scopes)
		t.row("redirect uris", client.RedirectURIs)
		t.row("profile", client.Profile)
		t.row("policy", client.Policy)
		t.row("state", clientState(client))
		for _, exception := range client.Exceptions {
			t.row("exception "+exception.Name, "ends "+cellText(exception.Until))
		}
		for _, secret := range client.Secrets {
			t.row("secret "+secret.ID, "made "+cellText(secret.Created)+", ends "+cellText(secret.Expires))
		}
	})
}

// clientFlags are what can be said of a client on the command line.
type clientFlags struct {
	admin.NewClient
	name map[string]string
	jwks string
	file string
}

func (f *clientFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.Type, "type", "", "web, native, browser or service")
	flags.StringToStringVar(&f.name, "name", nil, "what people read, as en=Budget; may be repeated")
	flags.StringVar(&f.Auth, "auth", "", "client_secret_basic, private_key_jwt, tls_client_auth or self_signed_tls_client_auth; native and browser clients have none")
	flags.StringSliceVar(&f.Scopes, "scope", nil, "what it may ask for; may be repeated")
	flags.StringSliceVar(&f.Grants, "grant", nil, "grant types; default by type")
	flags.StringArrayVar(&f.RedirectURIs, "redirect", nil, "where codes may go, compared byte for byte; may be repeated")
	flags.StringArrayVar(&f.LogoutURIs, "logout", nil, "where people may be sent after signing out; may be repeated")
	flags.StringArrayVar(&f.Origins, "origin", nil, "web origin that may call by script; may be repeated")
	flags.StringVar(&f.Consent, "consent", "", "ask (default), or implied for the company's own applications")
	flags.BoolVar(&f.Rotate, "rotate", false, "rotate refresh tokens although the client is confidential")
	flags.StringVar(&f.IDTokenAlg, "id-token-alg", "", "signature of its ID tokens (default ES256)")
	flags.StringVar(&f.jwks, "jwks", "", "file with the client's public keys")
	flags.StringVar(&f.JWKSURI, "jwks-uri", "", "address of the client's public keys")
	flags.StringVar(&f.Profile, "profile", "", "rules to meet as a whole: oauth21, fapi2-security, fapi2-message-signing or ipsie-sl1")
	flags.BoolVar(&f.PAR, "par", false, "its authorization requests must be pushed")
	flags.BoolVar(&f.DPoP, "dpop", false, "its tokens are always bound to a DPoP key")
	flags.StringVar(&f.file, "file", "", "file that says all of it, in the words of a client in the recipe; instead of the other flags")
}

func (f *clientFlags) declared(flags *pflag.FlagSet) (admin.NewClient, error) {
	if f.file != "" {
		return f.fromFile(flags)
	}
	client := f.NewClient
	client.Name = f.name
	if f.jwks != "" {
		raw, err := os.ReadFile(f.jwks)
		if err != nil {
			return client, err
		}
		if !json.Valid(raw) {
			return client, &problem{Detail: f.jwks + " is no JSON; write a JWK Set"}
		}
		client.JWKS = raw
	}
	return client, nil
}

// fromFile reads a client as a recipe would say it.
func (f *clientFlags) fromFile(flags *pflag.FlagSet) (admin.NewClient, error) {
	another := ""
	flags.Visit(func(flag *pflag.Flag) {
		if flag.Name != "file" && f.own(flags, flag.Name) {
			another = flag.Name
		}
	})
	if another != "" {
		return admin.NewClient{}, &problem{Detail: "--" + another + " stands beside --file; write it into the file"}
	}
	raw, err := os.ReadFile(f.file)
	if err != nil {
		return admin.NewClient{}, err
	}
	said, err := recipe.ReadClient(filepath.Base(f.file), raw)
	if err != nil {
		return admin.NewClient{}, &problem{Detail: err.Error()}
	}
	if said.Was != "" || len(said.Secrets) > 0 {
		return admin.NewClient{}, &problem{Detail: f.file + ": was and secrets are for recipes alone; the secret of a client is made when it is added"}
	}
	var keys []byte
	if said.JWKS != "" {
		if keys, err = os.ReadFile(filepath.Join(filepath.Dir(f.file), filepath.FromSlash(said.JWKS))); err != nil {
			return admin.NewClient{}, err
		}
		if !json.Valid(keys) {
			return admin.NewClient{}, &problem{Detail: said.JWKS + " is no JSON; write a JWK Set"}
		}
	}
	return admin.Declare(said, keys), nil
}

// own tells whether a flag says something of the client, and is none that all verbs have.
func (*clientFlags) own(flags *pflag.FlagSet, name string) bool {
	var said pflag.FlagSet
	(&clientFlags{}).add(&said)
	return flags.Lookup(name) != nil && said.Lookup(name) != nil
}

func (p *program) clientAdd() *cobra.Command {
	var said clientFlags
	command := &cobra.Command{
		Use: "add", Short: "Add a client; its id is made, its secret is told once", Args: words(0, 0, ""),
		Long: "Adds a client at run time, by the rules of the recipe: said by flags, or by --file in the words of the recipe. What the\n" +
			"whole company should know belongs in the recipe, and so does whatever needs an exception.",
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		if said.Type == "" && said.file == "" {
			return wrong(command, "say of which --type: web, native, browser or service")
		}
		client, err := said.declared(command.Flags())
		if err != nil {
			return err
		}
		return p.with(func(ctx context.Context, r *remote, _ []string) error {
			var added admin.AddedClient
			if err := r.call(ctx, http.MethodPost, "/clients", client, &added); err != nil {
				return err
			}
			if added.Secret != nil {
				p.say("The secret is shown this once.")
			}
			return p.show(added, func(t *table) {
				t.row("client_id", added.Client.ID)
				if added.Secret != nil {
					t.row("client_secret", added.Secret.Value)
				}
			})
		})(command, args)
	}
	said.add(command.Flags())
	return command
}

func (p *program) clientSet() *cobra.Command {
	var said clientFlags
	command := &cobra.Command{
		Use: "set CLIENT", Short: "Change what a client is; what is not named stays", Args: words(1, 1, "a CLIENT"),
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		wanted, err := said.declared(command.Flags())
		if err != nil {
			return err
		}
		return p.with(func(ctx context.Context, r *remote, args []string) error {
			var old, client admin.Client
			if err := r.call(ctx, http.MethodGet, clientPath(args[0]), nil, &old); err != nil {
				return err
			}
			next := wanted
			if said.file == "" {
				next = overlaid(old, wanted, command.Flags().Changed)
			}
			if err := r.call(ctx, http.MethodPut, clientPath(args[0]), next, &client); err != nil {
				return err
			}
			return p.showClient(client)
		})(command, args)
	}
	said.add(command.Flags())
	return command
}

// overlaid takes from wanted what was named, and the rest from what is.
func overlaid(old admin.Client, wanted admin.NewClient, named func(string) bool) admin.NewClient {
	client := admin.NewClient{
		Type: old.Type, Name: old.Name, Auth: old.Auth, Scopes: old.Scopes, Grants: old.Grants, RedirectURIs: old.RedirectURIs,
		LogoutURIs: old.LogoutURIs, Origins: old.Origins, Consent: old.Consent, Rotate: old.Rotate, IDTokenAlg: old.IDTokenAlg,
		JWKSURI: old.JWKSURI, JWKS: wanted.JWKS, Profile: old.Profile, Metadata: old.Metadata,
	}
	if wanted.JWKS != nil {
		client.JWKSURI = ""
	}
	for flag, take := range map[string]func(){
		"type": func() { client.Type = wanted.Type }, "name": func() { client.Name = wanted.Name },
		"auth": func() { client.Auth = wanted.Auth }, "scope": func() { client.Scopes = wanted.Scopes },
		"grant": func() { client.Grants = wanted.Grants }, "redirect": func() { client.RedirectURIs = wanted.RedirectURIs },
		"logout": func() { client.LogoutURIs = wanted.LogoutURIs }, "origin": func() { client.Origins = wanted.Origins },
		"consent": func() { client.Consent = wanted.Consent }, "rotate": func() { client.Rotate = wanted.Rotate },
		"id-token-alg": func() { client.IDTokenAlg = wanted.IDTokenAlg }, "jwks-uri": func() { client.JWKSURI = wanted.JWKSURI },
		"profile": func() { client.Profile = wanted.Profile }, "par": func() { client.PAR = wanted.PAR }, "dpop": func() { client.DPoP = wanted.DPoP },
	} {
		if named(flag) {
			take()
		}
	}
	return client
}

func (p *program) clientSwitch(verb string, disabled bool) *cobra.Command {
	short := "Let a client ask for tokens again"
	if disabled {
		short = "Shut a client of any source out: its tokens end within a second"
	}
	return &cobra.Command{
		Use: verb + " CLIENT", Short: short, Args: words(1, 1, "a CLIENT"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			if err := r.call(ctx, http.MethodPut, clientPath(args[0])+"/state", map[string]bool{"disabled": disabled}, nil); err != nil {
				return err
			}
			p.say("%sd %s.", strings.ToUpper(verb[:1])+verb[1:], printable(args[0]))
			return nil
		}),
	}
}

func (p *program) clientRemove() *cobra.Command {
	command := &cobra.Command{
		Use: "remove CLIENT", Short: "End a client with all it was given", Args: words(1, 1, "a CLIENT"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			if sure, err := p.sure("Remove the client " + args[0] + " for good?"); err != nil || !sure {
				return err
			}
			return r.call(ctx, http.MethodDelete, clientPath(args[0]), nil, nil)
		}),
	}
	p.yesFlag(command)
	return command
}

func (p *program) secretAdd() *cobra.Command {
	var life string
	command := &cobra.Command{
		Use: "add CLIENT", Short: "Generate a secret; it is told this once", Args: words(1, 1, "a CLIENT"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			var secret manage.NewSecret
			if err := r.call(ctx, http.MethodPost, clientPath(args[0])+"/secrets", map[string]string{"life": life}, &secret); err != nil {
				return err
			}
			p.say("The secret is shown this once.")
			return p.show(secret, func(t *table) {
				t.row("id", secret.ID)
				t.row("secret", secret.Value)
			})
		}),
	}
	command.Flags().StringVar(&life, "life", "", "90d, 12h; without it, until it is removed")
	return command
}

func (p *program) secretRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove CLIENT ID", Short: "End a generated secret", Args: words(2, 2, "a CLIENT and the ID of a secret"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			return r.call(ctx, http.MethodDelete, clientPath(args[0])+"/secrets/"+url.PathEscape(args[1]), nil, nil)
		}),
	}
}
