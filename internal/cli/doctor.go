package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/doctor"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/recipe"
)

func (p *program) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Examine a set-up and explain each fault", Args: words(0, 0, ""),
		Long: "Looks at settings, files, keys, recipe, storage, certificates and what the Server answers. Changes nothing.",
		RunE: func(command *cobra.Command, _ []string) error {
			findings, healthy := doctor.Examine(command.Context(), p.checks())
			if err := p.sayFindings(findings); err != nil {
				return err
			}
			if !healthy {
				return errSaid
			}
			return nil
		},
	}
}

func (p *program) sayFindings(findings []doctor.Finding) error {
	if p.asJSON {
		return p.printJSON(findings)
	}
	marks := map[doctor.Verdict]colour{doctor.Good: green, doctor.Look: yellow, doctor.Bad: red, doctor.Skipped: dim}
	for _, finding := range findings {
		fmt.Fprintf(p.stdout, "%s  %s: %s\n", p.paint(marks[finding.Verdict], fmt.Sprintf("%-7s", finding.Verdict)), finding.Check, indented(finding.Text))
		if finding.Why != "" {
			fmt.Fprintf(p.stdout, "         why: %s\n", printable(finding.Why))
		}
		if finding.Todo != "" {
			fmt.Fprintf(p.stdout, "         do:  %s\n", printable(finding.Todo))
		}
	}
	return nil
}

// indented keeps a text of several lines in its column.
func indented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n         ")
}

// checks are what can be examined; without settings nothing else can.
func (p *program) checks() []doctor.Check {
	node, err := p.node()
	settings := doctor.Check{Name: "settings", Look: func(_ context.Context, found *doctor.Findings) {
		if err != nil {
			found.Bad(err.Error(), "the node can't start", "mend node.yaml; garde init DIR writes one to compare with")
			return
		}
		found.Good("%s is good", p.configPath())
	}}
	if err != nil {
		return []doctor.Check{settings}
	}
	checks := append([]doctor.Check{settings}, p.fileChecks(node)...)
	checks = append(checks, p.recipeCheckup(node), p.storageCheckup(), p.clockCheckup(), plainListener(node))
	return append(checks, netChecks(node)...)
}

func (p *program) fileChecks(node *config.Node) []doctor.Check {
	checks := []doctor.Check{
		{Name: "master key", Look: func(_ context.Context, found *doctor.Findings) {
			if _, err := openSealer(node); err != nil {
				found.Bad(err.Error(), "it seals every secret at rest", "garde init DIR makes one; an existing storage needs the one it was made with")
				return
			}
			found.Good("it can be read, and is random")
		}},
		doctor.Private("admin socket", node.Admin, "who opens it is an administrator"),
		doctor.Space("space", node.Dir),
	}
	if file, ok := strings.CutPrefix(node.Storage, "sqlite:"); ok {
		checks = append(checks, doctor.Private("storage file", file, "it holds people's data, and hashes to try passwords against"),
			doctor.Writable("storage folder", filepath.Dir(file)))
	}
	host := ""
	if issuer, err := url.Parse(node.Issuer); err == nil {
		host = issuer.Hostname()
	}
	if node.TLS.Cert != "" {
		checks = append(checks, doctor.Certificate("certificate", node.TLS.Cert, node.TLS.Key, host, time.Now))
	}
	if node.Gate.TLS.Cert != "" {
		checks = append(checks, doctor.Certificate("certificate of the Gate", node.Gate.TLS.Cert, node.Gate.TLS.Key, "", time.Now))
	}
	if node.GeoIP.City != "" {
		checks = append(checks, doctor.Places("places", node.GeoIP.City, time.Now))
	}
	if node.GeoIP.ASN != "" {
		checks = append(checks, doctor.Places("networks", node.GeoIP.ASN, time.Now))
	}
	return checks
}

// plainListener looks whether passwords could travel in clear.
func plainListener(node *config.Node) doctor.Check {
	return doctor.Check{Name: "listener", Look: func(_ context.Context, found *doctor.Findings) {
		host, _, _ := strings.Cut(node.Listen, ":")
		switch {
		case node.TLS.Cert != "" || config.Loopback(strings.Trim(host, "[]")):
			found.Good("%s is encrypted, or on this machine alone", node.Listen)
		case len(node.Proxies) == 0:
			found.Bad(node.Listen+" is neither encrypted nor on loopback, and no proxy is trusted", "passwords and tokens would travel in clear",
				"set tls, listen on 127.0.0.1, or list the proxy under trusted_proxies")
		default:
			found.Look(node.Listen+" is not encrypted", "whoever is between the proxy and here reads passwords and tokens", "set tls, or keep that network to the two")
		}
	}}
}

func (p *program) recipeCheckup(node *config.Node) doctor.Check {
	return doctor.Check{Name: "recipe", Look: func(_ context.Context, found *doctor.Findings) {
		if node.Recipe == "" {
			found.Skip("node.yaml names none")
			return
		}
		bundle, err := recipe.Load(node.Recipe, node.Env, time.Now())
		if err != nil {
			found.Bad(err.Error(), "it can't be applied", "garde recipe check "+node.Recipe)
			return
		}
		for _, finding := range bundle.Findings {
			found.Look(finding.String(), "it is allowed, and weaker than it could be", finding.Hint)
		}
		found.Good("%s has no fault", node.Recipe)
	}}
}

// storageCheckup asks the node that runs, or opens the storage under its lock.
func (p *program) storageCheckup() doctor.Check {
	return doctor.Check{Name: "storage", Look: func(ctx context.Context, found *doctor.Findings) {
		r, err := p.connect(ctx)
		if err != nil {
			found.Bad(err.Error(), "everything is kept there", "look at storage in node.yaml, and whether another program has it open")
			return
		}
		var status admin.Status
		var force admin.ShownRevision
		err = r.call(ctx, http.MethodGet, "/status", nil, &status)
		if err == nil && status.Revision > 0 {
			err = r.call(ctx, http.MethodGet, "/recipe/revisions/"+strconv.FormatInt(status.Revision, 10), nil, &force)
		}
		err = errors.Join(err, r.close())
		switch {
		case err != nil:
			found.Bad(err.Error(), "everything is kept there", "look at the log of the node")
			return
		case status.Problem != "":
			found.Bad("the node is not ready: "+status.Problem, "it should get no requests", "look at the log of the node")
		default:
			found.Good("it can be read, and its schema is this program's")
		}
		if status.AdminsOnly {
			found.Look("a restore waits to be confirmed", "only administrators may sign in", "see to what the restore listed, then garde restore --confirm")
		}
		if status.Revision == 0 {
			found.Look("no recipe is in force", "nothing is allowed without one", "garde apply recipe.yaml")
			return
		}
		bundle, err := recipe.Parse(force.Bundle)
		if err != nil {
			found.Bad(err.Error(), "the recipe in force can't be read by this program", "garde apply recipe.yaml")
			return
		}
		found.Exceptions(bundle.Recipe, time.Now())
	}}
}

// The rhythm in which nodes tell that they live, and how long one that has ended may be listed.
const (
	nodeBeat   = 5 * time.Second
	nodeListed = 30 * 24 * time.Hour
)

// clockCheckup compares the clocks of all nodes on the same storage.
func (p *program) clockCheckup() doctor.Check {
	list := func(ctx context.Context) (beats []doctor.Beat, err error) {
		r, err := p.connect(ctx)
		if err != nil {
			return nil, err
		}
		var nodes struct{ Items []admin.Node }
		since := url.Values{"since": {time.Now().Add(-nodeListed).UTC().Format(time.RFC3339)}}
		err = errors.Join(r.call(ctx, http.MethodGet, "/nodes?"+since.Encode(), nil, &nodes), r.close())
		for _, node := range nodes.Items {
			if node.Role == "server" { // what a Gate tells is noted with the clock of the node that hears it
				beats = append(beats, doctor.Beat{Node: strings.TrimSpace(node.Name + " (" + node.ID + ")"), Seen: node.Seen})
			}
		}
		return beats, err
	}
	return doctor.Clocks{Every: nodeBeat, List: list, Now: time.Now}.Check("clocks")
}

func netChecks(node *config.Node) []doctor.Check {
	client, err := issuerClient(node)
	if err != nil {
		return []doctor.Check{{Name: "authorities", Look: func(_ context.Context, found *doctor.Findings) {
			found.Bad(err.Error(), "nothing that they vouch for can be reached", "name a PEM file under fetch: authorities")
		}}}
	}
	checks := []doctor.Check{doctor.Discovery("issuer", node.Issuer, client, time.Now)}
	if node.Gate.Client != "" {
		secret := func() (string, error) {
			value, err := seal.Resolve(node.Gate.Secret, node.Dir)
			return value.Reveal(), err
		}
		checks = append(checks, doctor.Feed("gate", node.Issuer, node.Gate.Client, secret, client))
	}
	if node.Mail.SMTP != "" {
		checks = append(checks, doctor.Reachable("mail", node.Mail.SMTP, "people could neither verify an address nor reset a password", "look at mail: smtp in node.yaml"))
	}
	return checks
}

func issuerClient(node *config.Node) (*http.Client, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if node.Fetch.Authorities != "" {
		raw, err := os.ReadFile(node.Fetch.Authorities)
		if err != nil {
			return nil, err
		}
		if settings.RootCAs, err = x509.SystemCertPool(); err != nil {
			return nil, err
		}
		if !settings.RootCAs.AppendCertsFromPEM(raw) {
			return nil, fmt.Errorf("%s holds no certificate", node.Fetch.Authorities)
		}
	}
	refuse := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &http.Client{Transport: &http.Transport{TLSClientConfig: settings}, CheckRedirect: refuse, Timeout: 8 * time.Second}, nil
}
