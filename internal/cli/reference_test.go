package cli

import (
	"os"
	"strings"
	"testing"
)

// TestExamplesAreCommands holds every example to the verbs, arguments and flags that there are.
func TestExamplesAreCommands(t *testing.T) {
	t.Parallel()
	for path, lines := range examples() {
		for _, line := range lines {
			p := &program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
			line, _, _ = strings.Cut(line, " > ")
			_, own, found := strings.Cut(line, "garde ")
			if !found || strings.HasPrefix(line, "curl ") {
				continue
			}
			command, rest, err := p.root().Find(fields(own))
			if err != nil || strings.TrimPrefix(command.CommandPath(), "garde ") != path {
				t.Errorf("%q is no example of %s", line, path)
				continue
			}
			if command.DisableFlagParsing {
				continue
			}
			if err := command.ParseFlags(rest); err != nil {
				t.Errorf("%q: %v", line, err)
				continue
			}
			if err := command.ValidateArgs(command.Flags().Args()); err != nil {
				t.Errorf("%q: %v", line, err)
			}
		}
	}
}

// TestNothingIsLeftOfASetUpThatCouldNotBeWritten: half of one would stand in the way of the next try.
func TestNothingIsLeftOfASetUpThatCouldNotBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	err := writeNew(dir, []written{{"master.key", 0o600, []byte("k")}, {"nowhere/recipe.yaml", 0o644, nil}, {"node.yaml", 0o644, nil}})
	left, unread := os.ReadDir(dir)
	if err == nil || unread != nil || len(left) != 0 {
		t.Errorf("error %v; left: %v, %v", err, left, unread)
	}
}

// fields splits as a shell does, as far as the examples go.
func fields(line string) (words []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}
