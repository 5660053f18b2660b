package demo

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/oauth2"

	"github.com/gardeauth/garde/internal/demo/accounts"
	"github.com/gardeauth/garde/internal/demo/client"
	"github.com/gardeauth/garde/internal/demo/local"
)

// ErrUsage is in the error of a command line that makes no sense; the program then ends with 2.
var ErrUsage = errors.New("usage")

const cliUsage = `usage: garde demo cli [flags] [balance | token | sign-out]

  balance   print the accounts and their balances (the default); signs in if need be
  token     print an access token that lives, for use with curl
  sign-out  end the grant at the Server and forget it here

`

// signInTime is how long the command line waits for the browser.
const signInTime = 5 * time.Minute

// signInScope is all that the command line needs. offline_access lets the grant outlive the browser's session.
const signInScope = "openid profile offline_access accounts.read"

// terminal is one run of the command line.
type terminal struct {
	party          *client.Client
	site           Site
	file           string
	asJSON, noOpen bool
	wait           time.Duration
	stdout, stderr io.Writer
	open           func(address string) error
}

// CLI is the bank on the command line: a native application as RFC 8252 wants it, which signs in through the system
// browser and listens for the answer on a free port of 127.0.0.1. Data goes to stdout, everything else to stderr. open
// shows an address in the browser; nil is OpenBrowser. Errors of usage wrap ErrUsage.
func CLI(ctx context.Context, args []string, stdout, stderr io.Writer, open func(address string) error) error {
	flags := flag.NewFlagSet("garde demo cli", flag.ContinueOnError)
	flags.SetOutput(stderr)
	at := flags.String("at", DefaultListen, "`host:port` that garde demo listens on")
	dir := flags.String("dir", "", "`folder` for the tokens (default: garde-demo in the user's configuration)")
	noOpen := flags.Bool("no-browser", false, "open nothing, only print the address")
	asJSON := flags.Bool("json", false, "print JSON")
	wait := flags.Duration("wait", signInTime, "how long to wait for the browser")
	flags.Usage = func() {
		io.WriteString(stderr, cliUsage) //nolint:errcheck // help that nobody can read
		flags.PrintDefaults()
	}
	words, err := interleaved(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	site, err := At(*at)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if open == nil {
		open = OpenBrowser
	}
	file, err := tokenFile(*dir, site)
	if err != nil {
		return err
	}
	t := &terminal{
		party: &client.Client{ID: CLIClient, Issuer: site.Issuer, Resource: site.Gate, HTTP: client.NewHTTP(), Now: time.Now},
		site:  site, file: file, asJSON: *asJSON, noOpen: *noOpen, wait: *wait, stdout: stdout, stderr: stderr, open: open,
	}
	switch strings.Join(words, " ") {
	case "", "balance":
		return t.balance(ctx)
	case "token":
		return t.token(ctx)
	case "sign-out":
		return t.signOut(ctx)
	}
	flags.Usage()
	return fmt.Errorf("%w: there is no %q", ErrUsage, strings.Join(words, " "))
}

// interleaved lets flags stand before and after the words.
func interleaved(flags *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
}

// tokenFile keeps the tokens of each issuer apart.
func tokenFile(dir string, site Site) (string, error) {
	if dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return "", fmt.Errorf("find the folder for the tokens (or give --dir): %w", err)
		}
		dir = filepath.Join(config, "garde-demo")
	}
	return filepath.Join(dir, "tokens-"+strings.NewReplacer(":", "-", "[", "", "]", "").Replace(site.IssuerListen)+".json"), nil
}

func (t *terminal) balance(ctx context.Context) error {
	g, err := t.grant(ctx)
	if err != nil {
		return err
	}
	reply := client.Call(ctx, t.party.HTTP, t.site.Gate, http.MethodGet, "/balance", client.Bearer(g.Access), nil)
	if reply.Status == http.StatusUnauthorized {
		// Revoked, or the clocks differ: a new token answers both.
		if g, err = t.renewed(ctx, g); err != nil {
			return err
		}
		reply = client.Call(ctx, t.party.HTTP, t.site.Gate, http.MethodGet, "/balance", client.Bearer(g.Access), nil)
	}
	if reply.Failed != nil {
		return fmt.Errorf("the Gate at %s does not answer: is garde demo running? %w", t.site.Gate, reply.Failed)
	}
	if reply.Status != http.StatusOK {
		return fmt.Errorf("the Gate refused: %d %s\n%s\n%s", reply.Status, http.StatusText(reply.Status), reply.Challenge, reply.Answer)
	}
	var total accounts.Balances
	if err := json.Unmarshal(reply.Raw, &total); err != nil {
		return fmt.Errorf("read the balance: %w", err)
	}
	if t.asJSON {
		_, err := fmt.Fprintln(t.stdout, strings.TrimSpace(string(reply.Raw)))
		return err
	}
	_, err = io.WriteString(t.stdout, table(total))
	return err
}

// table aligns the names to the left and the amounts to the right.
func table(total accounts.Balances) string {
	rows := make([][3]string, 0, len(total.Accounts)+1)
	for _, a := range total.Accounts {
		rows = append(rows, [3]string{strings.ToUpper(a.Kind[:1]) + a.Kind[1:], a.Number, money("en", a.Cents)})
	}
	rows = append(rows, [3]string{"Total", "", money("en", total.Cents)})
	var wide [3]int
	for _, row := range rows {
		for i, cell := range row {
			wide[i] = max(wide[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for i, row := range rows {
		if i == len(rows)-1 {
			b.WriteString(strings.Repeat("-", wide[0]+wide[1]+wide[2]+4) + "\n")
		}
		fmt.Fprintf(&b, "%-*s  %-*s  %*s\n", wide[0], row[0], wide[1], row[1], wide[2], row[2])
	}
	return b.String()
}

func (t *terminal) token(ctx context.Context) error {
	g, err := t.grant(ctx)
	if err != nil {
		return err
	}
	if t.asJSON {
		return json.NewEncoder(t.stdout).Encode(map[string]any{"access_token": g.Access, "expires": g.Expires, "scope": g.Scope})
	}
	_, err = fmt.Fprintln(t.stdout, g.Access)
	return err
}

func (t *terminal) signOut(ctx context.Context) error {
	g, err := t.kept()
	if err == nil && g.Refresh != "" {
		if err := t.party.Revoke(ctx, g.Refresh); err != nil {
			fmt.Fprintf(t.stderr, "The Server could not be told (%v); the tokens are forgotten here all the same.\n", err)
		}
	}
	if err := os.Remove(t.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the tokens: %w", err)
	}
	fmt.Fprintln(t.stderr, "Signed out.")
	return nil
}

// grant gives tokens that live: those of the last run, or renewed, or from a sign-in.
func (t *terminal) grant(ctx context.Context) (client.Grant, error) {
	g, err := t.kept()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t.signIn(ctx)
	case err != nil:
		return client.Grant{}, err
	case t.party.Now().Before(g.Expires.Add(-10 * time.Second)):
		return g, nil
	}
	return t.renewed(ctx, g)
}

func (t *terminal) renewed(ctx context.Context, g client.Grant) (client.Grant, error) {
	if g.Refresh == "" {
		return t.signIn(ctx)
	}
	renewed, err := t.party.Renew(ctx, g)
	if no := (*client.Denied)(nil); errors.As(err, &no) && no.Code == "invalid_grant" {
		fmt.Fprintln(t.stderr, "Your last sign-in has ended.")
		return t.signIn(ctx)
	}
	if err != nil {
		return client.Grant{}, err
	}
	return renewed, t.keep(renewed)
}

func (t *terminal) kept() (client.Grant, error) {
	info, err := os.Stat(t.file)
	if err != nil {
		return client.Grant{}, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return client.Grant{}, fmt.Errorf("%s can be read by others: remove it and sign in again", t.file)
	}
	text, err := os.ReadFile(t.file)
	if err != nil {
		return client.Grant{}, err
	}
	var g client.Grant
	if err := json.Unmarshal(text, &g); err != nil {
		return client.Grant{}, fmt.Errorf("read %s: %w; remove it and sign in again", t.file, err)
	}
	return g, nil
}

func (t *terminal) keep(g client.Grant) error {
	text, err := json.Marshal(g) //nolint:gosec // keeping the tokens is what the file is for; it is 0600
	if err != nil {
		return fmt.Errorf("keep the tokens: %w", err)
	}
	return client.WritePrivate(t.file, append(text, '\n'))
}

func (t *terminal) signIn(ctx context.Context) (client.Grant, error) {
	// The person sees at consent which program asks, even where they had allowed it before (RFC 8252 section 8.6).
	g, err := t.browse(ctx, signInScope, oauth2.SetAuthURLParam("prompt", "consent"))
	if err != nil {
		return g, err
	}
	return g, t.keep(g)
}

// browse is RFC 8252: the system browser signs in, and the answer comes to a port of 127.0.0.1 that is open only now.
func (t *terminal) browse(ctx context.Context, scope string, wishes ...oauth2.AuthCodeOption) (client.Grant, error) {
	ctx, stop := context.WithTimeout(ctx, t.wait)
	defer stop()
	l, err := local.Listen("127.0.0.1:0", "")
	if err != nil {
		return client.Grant{}, err
	}
	a, address, err := t.party.Begin(ctx, "http://"+l.Addr().String()+"/callback", scope, wishes...)
	if err != nil {
		return client.Grant{}, fmt.Errorf("is garde demo running at %s? %w", t.site.Issuer, errors.Join(err, l.Close()))
	}
	door := &callback{party: t.party, attempt: a, done: make(chan outcome, 1)}
	serving, end := context.WithCancel(ctx)
	var closed sync.WaitGroup
	closed.Go(func() {
		if err := local.Serve(serving, l, door); err != nil {
			fmt.Fprintf(t.stderr, "The door for the browser did not close well (%v).\n", err)
		}
	})
	defer closed.Wait()
	defer end()

	fmt.Fprintf(t.stderr, "To sign in, open this address in your browser:\n\n  %s\n\n", address)
	if !t.noOpen {
		if err := t.open(address); err != nil {
			fmt.Fprintf(t.stderr, "The browser did not open by itself (%v).\n", err)
		}
	}
	fmt.Fprintln(t.stderr, "Waiting for the browser ... (Ctrl-C to give up)")
	select {
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return client.Grant{}, fmt.Errorf("nobody signed in within %s", t.wait)
		}
		return client.Grant{}, ctx.Err()
	case result := <-door.done:
		return result.grant, result.err
	}
}

// OpenBrowser shows an address in the system's browser.
func OpenBrowser(address string) error {
	if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("only web addresses are opened")
	}
	var command *exec.Cmd
	switch runtime.GOOS {
	case "darwin":
		command = exec.Command("open", address) //nolint:gosec // a web address, and no shell
	case "windows":
		// Not cmd /c start, which would read the & of an address as its own.
		command = exec.Command("rundll32", "url.dll,FileProtocolHandler", address) //nolint:gosec // a web address, and no shell
	default:
		command = exec.Command("xdg-open", address) //nolint:gosec // a web address, and no shell
	}
	if err := command.Start(); err != nil {
		return err
	}
	return command.Process.Release()
}
