// Command certification makes from recipe/testdata/certification what a tester starts and pastes into the OpenID
// Foundation's suite: for each plan a folder with settings, recipe and people, the keys, certificates and secrets of its
// clients, and the suite's own configuration. Nothing secret stands in the tree, so every tester has secrets of their own.
//
//	go run ./scripts/certification -issuer https://garde.example:9443 DIR
//	garde serve --config DIR/basic/node.yaml
package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// source is where the recipes stand.
const source = "recipe/testdata/certification"

// place is where the tester's house and the suite stand.
type place struct {
	Issuer, MTLS, Resource string // public URLs
	Listen, MTLSListen     string // addresses of this machine
	Suite, SuiteCA, Alias  string
	Password               string
}

func main() {
	at := place{Password: rand.Text()}
	flag.StringVar(&at.Issuer, "issuer", "https://localhost:9443", "public URL of the Server")
	flag.StringVar(&at.MTLS, "mtls", "https://localhost:9444", "public URL for clients with certificates")
	flag.StringVar(&at.Resource, "resource", "https://localhost:9445", "public URL of scripts/counterpart")
	flag.StringVar(&at.Listen, "listen", ":9443", "address that the Server listens at")
	flag.StringVar(&at.MTLSListen, "mtls-listen", ":9444", "address that it listens at for clients with certificates")
	flag.StringVar(&at.Suite, "suite", "https://localhost.emobix.co.uk:8443", "public URL of the suite")
	flag.StringVar(&at.SuiteCA, "suite-ca", "", "file with the certificate under which the suite answers, if none of the system's does")
	flag.StringVar(&at.Alias, "alias", "garde", "alias of the test in the suite")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: certification [flags] DIR")
		os.Exit(2)
	}
	if err := write(os.DirFS(source), flag.Arg(0), at); err != nil {
		fmt.Fprintln(os.Stderr, "certification:", err)
		os.Exit(1)
	}
	fmt.Printf("written. For a plan: garde serve --config %s, then run the suite with a file of %s.\n",
		filepath.Join(flag.Arg(0), "PLAN", "node.yaml"), filepath.Join(flag.Arg(0), "PLAN", "suite"))
}

// write makes everything in a folder that is not there yet: secrets of two runs are never mixed.
func write(from fs.FS, dir string, at place) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	authority, err := newAuthority("Garde certification")
	if err != nil {
		return err
	}
	callers, err := newAuthority("Garde certification, clients")
	if err != nil {
		return err
	}
	if err := authority.server(dir, hosts(at.Issuer, at.MTLS, at.Resource)); err != nil {
		return err
	}
	believed := authority.pem
	if at.SuiteCA != "" {
		suite, err := os.ReadFile(at.SuiteCA)
		if err != nil {
			return err
		}
		believed = append(append([]byte{}, believed...), suite...)
	}
	for name, text := range map[string][]byte{"ca.pem": authority.pem, "callers.pem": callers.pem, "authorities.pem": believed} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	if err := fill(from, dir, at); err != nil {
		return err
	}
	return furnish(from, dir, at, callers)
}

// fill copies the tree with what stands in double braces filled in.
func fill(from fs.FS, dir string, at place) error {
	suite, err := url.Parse(at.Suite)
	if err != nil {
		return err
	}
	suiteHost := suite.Host
	if suite.Port() == "" {
		suiteHost = net.JoinHostPort(suite.Hostname(), "443")
	}
	values := strings.NewReplacer(
		"{{issuer}}", at.Issuer, "{{listen}}", at.Listen, "{{mtls}}", at.MTLS, "{{mtlsListen}}", at.MTLSListen, "{{resource}}", at.Resource,
		"{{suite}}", at.Suite, "{{suiteHost}}", suiteHost, "{{alias}}", at.Alias, "{{password}}", at.Password, "{{host}}", mailHost(at.Issuer),
	)
	return fs.WalkDir(from, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(path))
		if entry.IsDir() {
			return os.Mkdir(to, 0o700)
		}
		text, err := fs.ReadFile(from, path)
		if err != nil {
			return err
		}
		return os.WriteFile(to, []byte(values.Replace(string(text))), 0o600)
	})
}

// furnish makes the keys, certificates and secrets that each recipe names, and the configurations of the suite.
func furnish(from fs.FS, dir string, at place, callers *authority) error {
	text, err := fs.ReadFile(from, "plans.yaml")
	if err != nil {
		return err
	}
	plans, err := readPlans(text)
	if err != nil {
		return err
	}
	folders := map[string]map[string]identity{}
	for _, plan := range plans {
		if _, made := folders[plan.Folder]; made {
			continue
		}
		folder := filepath.Join(dir, plan.Folder)
		if folders[plan.Folder], err = identities(folder, callers); err != nil {
			return fmt.Errorf("%s: %w", plan.Folder, err)
		}
		if err := os.WriteFile(filepath.Join(folder, "master.key"), masterKey(), 0o600); err != nil {
			return err
		}
		if err := os.Mkdir(filepath.Join(folder, "suite"), 0o700); err != nil {
			return err
		}
	}
	for _, plan := range plans {
		if err := plan.write(filepath.Join(dir, plan.Folder, "suite"), at, folders[plan.Folder]); err != nil {
			return fmt.Errorf("%s: %w", plan.Plan, err)
		}
	}
	return nil
}

// hosts are the names and numbers of some URLs.
func hosts(addresses ...string) []string {
	var all []string
	for _, address := range addresses {
		if parsed, err := url.Parse(address); err == nil {
			all = append(all, parsed.Hostname())
		}
	}
	return all
}

// mailHost is the host that the suite puts behind buffy@ unless it is told another: that of the issuer.
func mailHost(issuer string) string {
	host := hosts(issuer)[0]
	if net.ParseIP(host) != nil || !strings.Contains(host, ".") {
		return "people.example"
	}
	return host
}

// strictly decodes YAML without a key that nobody knows.
func strictly(text []byte, into any) error {
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	return decoder.Decode(into)
}

var errNoClient = errors.New("the recipe has no such client")
