// Package cli is the command line: one file per noun. Data goes to stdout and everything else to stderr, nothing is asked
// without a terminal, and the exit code is 0 when it was done, 1 when it was not, 2 when the command line makes no sense.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/gardeauth/garde/internal/config"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// program is one run of the command line.
type program struct {
	stdin          *os.File
	stdout, stderr io.Writer

	configFile string
	asJSON     bool
	logLevel   string
	yes        bool
	noColor    bool
}

// Main runs the command line of args and gives the exit code.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	return p.run(ctx, args)
}

func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	var usage *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		p.say("garde: %v", err)
		if usage.command != nil {
			p.say("Try '%s --help'.", usage.command.CommandPath())
		}
		return exitUsage
	case errors.Is(err, errSaid):
		return exitFailed
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		p.say("garde: interrupted")
		return exitFailed
	}
	p.say("garde: %v", err)
	return exitFailed
}

func (p *program) root() *cobra.Command {
	root := p.noun("garde", "Secure your APIs by one recipe")
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Run it:", []*cobra.Command{p.initCommand(), p.serveCommand(), p.gateCommand(), p.demoCommand()}},
		{"The rules:", []*cobra.Command{p.recipeCommand(), p.policyCommand(), p.applyCommand()}},
		{"Who and what there is:", []*cobra.Command{p.userCommand(), p.groupCommand(), p.clientCommand(), p.registrationCommand(), p.sessionCommand(), p.keyCommand()}},
		{"Look into it:", []*cobra.Command{p.statusCommand(), p.explainCommand(), p.doctorCommand(), p.journalCommand(), p.versionCommand()}},
		{"Keep it:", []*cobra.Command{p.backupCommand(), p.restoreCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: group.title, Title: group.title})
		for _, command := range group.commands {
			command.GroupID = group.title
			root.AddCommand(command)
		}
	}
	// A noun alone does nothing, so its help does not offer it.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", `{{if and .Runnable (not (index .Annotations "noun"))}}`, 1))
	exemplify(root)
	root.Long = "Garde is an authorization server (garde serve), a gate before your APIs (garde gate), and the tools to run both.\n" +
		"Start with garde init DIR, or look at garde demo."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error { return &usageError{err.Error(), command} })
	flags := root.PersistentFlags()
	flags.StringVar(&p.configFile, "config", "", "this node's settings (default node.yaml, or $GARDE_CONFIG)")
	flags.BoolVar(&p.asJSON, "json", false, "print data as JSON")
	flags.StringVar(&p.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.BoolVar(&p.noColor, "no-color", false, "print without colour (so does $NO_COLOR)")
	root.PersistentPreRunE = func(command *cobra.Command, _ []string) error {
		if _, err := p.level(); err != nil {
			return &usageError{err.Error(), command}
		}
		return nil
	}
	return root
}

// errSaid is the answer of a command that failed and has said all there is to say.
var errSaid = errors.New("failed")

// usageError is a command line that makes no sense.
type usageError struct {
	text    string
	command *cobra.Command
}

func (e *usageError) Error() string { return e.text }

func wrong(command *cobra.Command, format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...), command}
}

// noun is a command that only gathers others.
func (p *program) noun(use, short string, commands ...*cobra.Command) *cobra.Command {
	noun := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, Annotations: map[string]string{"noun": use}}
	noun.RunE = func(command *cobra.Command, args []string) error {
		if len(args) == 0 {
			command.SetOut(p.stderr)
			_ = command.Help() // help that nobody can read
			return wrong(nil, "say what to do with %s", command.CommandPath())
		}
		near := ""
		if names := command.SuggestionsFor(args[0]); len(names) > 0 {
			near = "; did you mean " + strings.Join(names, " or ") + "?"
		}
		return wrong(command, "%s knows no command %q%s", command.CommandPath(), args[0], near)
	}
	noun.SuggestionsMinimumDistance = 2
	noun.AddCommand(commands...)
	return noun
}

// words checks the number of arguments and names what is missing.
func words(least, most int, names string) cobra.PositionalArgs {
	return func(command *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return wrong(command, "%s needs %s", command.CommandPath(), names)
		case most >= 0 && len(args) > most:
			return wrong(command, "%s takes no %q", command.CommandPath(), args[most])
		}
		return nil
	}
}

// say prints a line for the person who runs the command.
func (p *program) say(format string, args ...any) { fmt.Fprintf(p.stderr, format+"\n", args...) }

func (p *program) level() (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(p.logLevel)); err != nil || strings.ContainsAny(p.logLevel, "+-") {
		return 0, fmt.Errorf("--log-level %q: write debug, info, warn or error", p.logLevel)
	}
	return level, nil
}

// log is for the commands that stay: JSON lines, so that no value can forge a line of its own.
func (p *program) log() *slog.Logger {
	level, err := p.level()
	if err != nil {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewJSONHandler(p.stderr, &slog.HandlerOptions{Level: level}))
}

// configPath is which settings this run is about.
func (p *program) configPath() string {
	if p.configFile != "" {
		return p.configFile
	}
	if named := os.Getenv("GARDE_CONFIG"); named != "" {
		return named
	}
	return "node.yaml"
}

func (p *program) node() (*config.Node, error) { return config.Load(filepath.Clean(p.configPath())) }

// terminal tells whether a person can be asked.
func (p *program) terminal() bool {
	out, ok := p.stderr.(*os.File)
	return ok && p.stdin != nil && term.IsTerminal(int(p.stdin.Fd())) && term.IsTerminal(int(out.Fd()))
}
