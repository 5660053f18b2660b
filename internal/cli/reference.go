package cli

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Reference tells of every verb with its flags, in Markdown: docs/cli.md. It is made from the verbs themselves.
func Reference() string {
	p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	root := p.root()
	var b strings.Builder
	fmt.Fprint(&b, "# The command line\n\nMade by `make docs` from the verbs themselves; `garde VERB --help` says the same.\n\n",
		"Data goes to stdout and everything else to stderr. Nothing is asked without a terminal. The exit code is 0 when it was done,\n",
		"1 when it was not, 2 when the command line makes no sense. A verb that needs the storage asks the node that runs, by its\n",
		"admin socket; when none runs, it opens the storage itself, under its lock.\n\n## Everywhere\n\n")
	flagRows(&b, root.PersistentFlags())
	for _, command := range root.Commands() {
		describe(&b, command)
	}
	return b.String()
}

func describe(b *strings.Builder, command *cobra.Command) {
	if command.Hidden || command.Name() == "help" || command.Name() == "completion" {
		return
	}
	if command.HasSubCommands() && command.Parent().Parent() == nil {
		fmt.Fprintf(b, "\n## garde %s\n\n%s.\n", command.Name(), command.Short)
	}
	if leaf(command) {
		mark := "###"
		if !command.HasSubCommands() && command.Parent().Parent() == nil {
			mark = "##"
		}
		fmt.Fprintf(b, "\n%s %s\n\n", mark, cellMarkdown(strings.TrimSuffix(command.UseLine(), " [flags]")))
		fmt.Fprintln(b, strings.TrimSuffix(cmp.Or(command.Long, command.Short), ".")+".")
		if command.Example != "" {
			fmt.Fprintf(b, "\n```\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(command.Example, "  "), "\n  ", "\n"))
		}
		if command.LocalNonPersistentFlags().HasAvailableFlags() {
			fmt.Fprintln(b)
			flagRows(b, command.LocalNonPersistentFlags())
		}
	}
	for _, next := range command.Commands() {
		describe(b, next)
	}
}

// leaf tells whether a command does something itself: only demo does, and has another below it.
func leaf(command *cobra.Command) bool {
	return !command.HasSubCommands() || command.Name() == "demo"
}

// flagKinds says in words what the flags' own names for their values are.
var flagKinds = map[string]string{
	"string": "text", "stringArray": "text", "strings": "text, or several with commas", "stringToString": "name=value", "int": "number",
}

func flagRows(b *strings.Builder, flags *pflag.FlagSet) {
	fmt.Fprint(b, "| flag | value | default | what |\n|---|---|---|---|\n")
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" {
			return
		}
		kind, usage := pflag.UnquoteUsage(flag)
		fallback := flag.DefValue
		if fallback == "[]" || fallback == "false" || fallback == "-1" {
			fallback = ""
		}
		name := "`--" + flag.Name + "`"
		if flag.Shorthand != "" {
			name = "`-" + flag.Shorthand + "`, " + name
		}
		if said, ok := flagKinds[kind]; ok {
			kind = said
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", name, kind, code(fallback), cellMarkdown(usage))
	})
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// cellMarkdown keeps a text inside its cell.
func cellMarkdown(text string) string { return strings.ReplaceAll(text, "|", "\\|") }
