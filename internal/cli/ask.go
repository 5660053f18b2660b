package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// sure asks a question on a terminal; without one, or with --yes, the command line itself is the answer.
func (p *program) sure(question string) (bool, error) {
	if p.yes || !p.terminal() {
		return true, nil
	}
	fmt.Fprintf(p.stderr, "%s [y/N] ", printable(question))
	line, err := bufio.NewReader(p.stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes", "o", "oui":
		return true, nil
	}
	p.say("Nothing was done.")
	return false, nil
}

func (p *program) yesFlag(command *cobra.Command) {
	command.Flags().BoolVar(&p.yes, "yes", false, "do not ask on a terminal")
}

// maxPasswordFile is far above the longest password.
const maxPasswordFile = 16 << 10

// password reads one from a file, from stdin (-), or from a person. It never comes from the command line, where every
// user of the machine could read it.
func (p *program) password(command *cobra.Command, file string) (string, error) {
	switch {
	case file == "-":
		return firstLine(p.stdin)
	case file != "":
		opened, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer func() { _ = opened.Close() }() // only read
		return firstLine(opened)
	case !p.terminal():
		return "", wrong(command, "no terminal to read the password from: use --password-file FILE, or - for stdin")
	}
	var entered [2]string
	for i, prompt := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(p.stderr, prompt)
		raw, err := term.ReadPassword(int(p.stdin.Fd()))
		fmt.Fprintln(p.stderr)
		if err != nil {
			return "", err
		}
		entered[i] = string(raw)
	}
	if entered[0] != entered[1] {
		return "", errors.New("the two passwords differ")
	}
	return entered[0], nil
}

func firstLine(in io.Reader) (string, error) {
	raw, err := io.ReadAll(io.LimitReader(in, maxPasswordFile))
	if err != nil {
		return "", err
	}
	line, rest, _ := strings.Cut(string(raw), "\n")
	line = strings.TrimSuffix(line, "\r")
	switch {
	case line == "":
		return "", errors.New("the password is empty")
	case rest != "":
		return "", errors.New("there is more than one line where the password is read from")
	}
	return line, nil
}
