package cli

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/oauth2"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/demo"
)

// tokenTry is one sign-in for a token, as a native client (RFC 8252).
type tokenTry struct {
	issuer, state, verifier string
	oauth                   oauth2.Config
	answer                  chan url.Values // holds one
}

func (p *program) clientToken() *cobra.Command {
	var scopes []string
	var noBrowser bool
	var wait time.Duration
	command := &cobra.Command{
		Use: "token CLIENT", Short: "Sign in as a native client and print an access token, to try an API with", Args: words(1, 1, "a CLIENT"),
		Long: "Signs somebody in through the browser in the name of a native client that has a loopback redirect URI, and prints\n" +
			"the access token: nothing else goes to stdout, and nothing is kept. Does what any command-line application would do.",
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		node, err := p.node()
		if err != nil {
			return err
		}
		return p.with(func(ctx context.Context, r *remote, _ []string) error {
			if !r.running {
				return fmt.Errorf("no node runs here: start garde serve first")
			}
			var client admin.Client
			if err := r.call(ctx, http.MethodGet, clientPath(args[0]), nil, &client); err != nil {
				return err
			}
			redirect, err := loopbackRedirect(client)
			if err != nil {
				return err
			}
			ctx, stop := context.WithTimeoutCause(ctx, wait, fmt.Errorf("nobody signed in within %s", wait))
			defer stop()
			return p.tryToken(ctx, node.Issuer, client, redirect, scopes, !noBrowser)
		})(command, args)
	}
	command.Flags().StringSliceVar(&scopes, "scope", nil, "what to ask for; may be repeated (default: all that the client may ask of APIs)")
	command.Flags().BoolVar(&noBrowser, "no-browser", false, "open nothing, only print the address")
	command.Flags().DurationVar(&wait, "wait", 5*time.Minute, "how long to wait for the browser")
	return command
}

// loopbackRedirect finds the redirect URI whose port may vary.
func loopbackRedirect(client admin.Client) (*url.URL, error) {
	if client.Type != "native" {
		return nil, fmt.Errorf("%s is a %s client; only a native one signs in on a command line", client.ID, client.Type)
	}
	for _, registered := range client.RedirectURIs {
		u, err := url.Parse(registered)
		if err == nil && u.Scheme == "http" && config.Loopback(u.Hostname()) && u.Hostname() != "localhost" {
			return u, nil
		}
	}
	return nil, fmt.Errorf("%s has no redirect URI such as http://127.0.0.1/callback", client.ID)
}

// apiScopes is what a client may ask of APIs: no word of OpenID, since nothing here reads an ID token.
func apiScopes(client admin.Client) []string {
	return slices.DeleteFunc(slices.Clone(client.Scopes), func(scope string) bool {
		return slices.Contains([]string{"openid", "profile", "email", "address", "phone", "offline_access", "device_sso"}, scope)
	})
}

func (p *program) tryToken(ctx context.Context, issuer string, client admin.Client, redirect *url.URL, scopes []string, open bool) error {
	if len(scopes) == 0 {
		scopes = apiScopes(client)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(redirect.Hostname(), "0"))
	if err != nil {
		return err
	}
	redirect.Host = listener.Addr().String()
	try := &tokenTry{
		issuer: issuer, state: rand.Text(), verifier: oauth2.GenerateVerifier(), answer: make(chan url.Values, 1),
		oauth: oauth2.Config{
			ClientID: client.ID, RedirectURL: redirect.String(), Scopes: scopes,
			Endpoint: oauth2.Endpoint{AuthURL: issuer + "/authorize", TokenURL: issuer + "/token", AuthStyle: oauth2.AuthStyleInParams},
		},
	}
	door := http.NewServeMux()
	door.HandleFunc("GET "+redirect.Path, try.hear)
	server := &http.Server{Handler: door, ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(listener) //nolint:errcheck // it ends by Close
	defer func() { _ = server.Shutdown(context.WithoutCancel(ctx)) }()

	address := try.oauth.AuthCodeURL(try.state, oauth2.S256ChallengeOption(try.verifier))
	p.say("To sign in, open this address in your browser:\n\n  %s\n", address)
	if open {
		if err := demo.OpenBrowser(address); err != nil {
			p.say("The browser did not open by itself (%v).", err)
		}
	}
	p.say("Waiting for the browser ... (Ctrl-C to give up)")
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case answer := <-try.answer:
		return p.redeem(ctx, try, answer)
	}
}

// hear takes the first answer to this very request: any page or program of this machine can send others.
func (t *tokenTry) hear(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	answer := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(t.state)) == 0 || answer.Get("iss") != t.issuer {
		http.Error(w, "This is not the answer that was waited for.", http.StatusBadRequest)
		return
	}
	select {
	case t.answer <- answer:
		_, _ = io.WriteString(w, "Done. You can close this page and go back to the terminal.\n") // the browser has gone
	default:
		http.Error(w, "This was answered already.", http.StatusConflict)
	}
}

func (p *program) redeem(ctx context.Context, try *tokenTry, answer url.Values) error {
	if code := answer.Get("error"); code != "" {
		return fmt.Errorf("the Server refused: %s: %s", printable(code), printable(answer.Get("error_description")))
	}
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{
		Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	got, err := try.oauth.Exchange(ctx, answer.Get("code"), oauth2.VerifierOption(try.verifier))
	var no *oauth2.RetrieveError
	if errors.As(err, &no) && no.ErrorCode != "" {
		return fmt.Errorf("the Server refused: %s: %s", printable(no.ErrorCode), printable(no.ErrorDescription))
	}
	if err != nil {
		return fmt.Errorf("ask the Server for the token: %w", err)
	}
	if p.asJSON {
		return json.NewEncoder(p.stdout).Encode(map[string]any{"access_token": got.AccessToken, "expires": got.Expiry, "scope": got.Extra("scope")})
	}
	_, err = fmt.Fprintln(p.stdout, got.AccessToken)
	return err
}
