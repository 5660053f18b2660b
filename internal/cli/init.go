package cli

import (
	"bytes"
	_ "embed" // the first files
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
)

//go:embed files/node.yaml
var firstNode string

//go:embed files/recipe.yaml
var firstRecipe string

// written is one file of a new folder.
type written struct {
	name string
	mode fs.FileMode
	body []byte
}

func (p *program) initCommand() *cobra.Command {
	issuer, listen := "http://localhost:8080", ""
	command := &cobra.Command{
		Use: "init DIR", Short: "Write first settings and a first recipe", Args: words(1, 1, "the folder, DIR"),
		Long: "Writes a commented node.yaml and recipe.yaml, a master key and the Gate's secret, both of them new and readable\n" +
			"by this user alone. Nothing that exists is overwritten.",
		RunE: func(command *cobra.Command, args []string) error {
			if err := config.CheckIssuer(issuer); err != nil {
				return wrong(command, "--issuer: %v", err)
			}
			files, err := firstFiles(issuer, listen)
			if err != nil {
				return wrong(command, "--listen: %v", err)
			}
			if err := writeNew(args[0], files); err != nil {
				return err
			}
			return p.sayWritten(args[0], files)
		},
	}
	command.Flags().StringVar(&issuer, "issuer", issuer, "public URL of the Server")
	command.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "where the Server listens; the Gate and the metrics take the next ports")
	return command
}

func firstFiles(issuer, listen string) ([]written, error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("%q is no address; write HOST:PORT", listen)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 || port > 65533 {
		return nil, fmt.Errorf("%q has no port between 1 and 65533", listen)
	}
	next := func(host string, by uint64) string { return net.JoinHostPort(host, strconv.FormatUint(port+by, 10)) }
	values := map[string]string{
		"Issuer": issuer, "Listen": listen, "Gate": next(host, 1), "GateURL": "http://" + next("localhost", 1), "Metrics": next("127.0.0.1", 2),
	}
	node, err := filled(firstNode, values)
	if err != nil {
		return nil, err
	}
	rules, err := filled(firstRecipe, values)
	if err != nil {
		return nil, err
	}
	return []written{
		{"master.key", 0o600, []byte(seal.GenerateMaster().Reveal() + "\n")},
		{"gate.secret", 0o600, []byte(iam.NewSecret(iam.PrefixClient) + "\n")},
		{"recipe.yaml", 0o644, rules},
		{"node.yaml", 0o644, node},
	}, nil
}

func filled(text string, values map[string]string) ([]byte, error) {
	parsed, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = parsed.Execute(&b, values)
	return b.Bytes(), err
}

// writeNew writes all files or, if one of them exists, none.
func writeNew(dir string, files []written) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	for _, file := range files {
		if _, err := os.Lstat(filepath.Join(dir, file.name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already, and init overwrites nothing: take another folder, or move the file away", filepath.Join(dir, file.name))
		}
	}
	for i, file := range files {
		if err := writeOnce(filepath.Join(dir, file.name), file.mode, file.body); err != nil {
			for _, begun := range files[:i+1] { // a full disk: half a set-up would stand in the way of the next try
				if left := os.Remove(filepath.Join(dir, begun.name)); !errors.Is(left, fs.ErrNotExist) {
					err = errors.Join(err, left)
				}
			}
			return err
		}
	}
	return nil
}

func writeOnce(path string, mode fs.FileMode, body []byte) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = out.Write(body)
	return errors.Join(err, out.Close())
}

func (p *program) sayWritten(dir string, files []written) error {
	paths := make([]string, len(files))
	for i, file := range files {
		paths[i] = filepath.Join(dir, file.name)
	}
	err := p.show(map[string][]string{"written": paths}, func(t *table) {
		for _, path := range paths {
			t.row(path)
		}
	})
	config := filepath.Join(dir, "node.yaml")
	p.say("\nNext, each in a terminal of its own:\n"+
		"  garde serve --config %[1]s              the Server\n"+
		"  garde gate --config %[1]s               the Gate\n"+
		"  garde user add --admin NAME --config %[1]s", config)
	return err
}
