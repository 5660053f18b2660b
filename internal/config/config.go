// Package config is this node's own settings: where it listens, where it stores, which key seals. The company's rules
// stand in the recipe and nowhere else.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Node is node.yaml. Relative paths start at the file's directory.
type Node struct {
	Issuer   string   `yaml:"issuer"`                         // public URL of the Server; https, or http on loopback
	Listen   string   `yaml:"listen"`                         // address of the Server
	TLS      TLS      `yaml:"tls,omitempty"`                  // own certificate of the Server; empty: plain, behind a proxy or on loopback
	Metrics  string   `yaml:"metrics,omitempty"`              // address of /metrics, /healthz and /readyz; empty: none
	Admin    string   `yaml:"admin,omitempty"`                // unix socket of the admin API (default admin.sock beside this file)
	Storage  string   `yaml:"storage"`                        // sqlite:PATH or postgres://…
	Master   string   `yaml:"master_key"`                     // reference to the master key: file:PATH or env:NAME
	Previous []string `yaml:"previous_master_keys,omitempty"` // references to older ones, until garde key rewrap has run
	Recipe   string   `yaml:"recipe,omitempty"`               // applied at the first start, when no revision is in force
	Env      string   `yaml:"env,omitempty"`                  // overlay recipe.ENV.yaml
	Seed     string   `yaml:"seed,omitempty"`                 // people to add at start, for test set-ups
	Proxies  []string `yaml:"trusted_proxies,omitempty"`      // networks whose X-Forwarded-* count; empty: none
	Mail     Mail     `yaml:"mail,omitempty"`
	Fetch    Fetch    `yaml:"fetch,omitempty"`
	Gate     Gate     `yaml:"gate,omitempty"`

	Dir string `yaml:"-"` // of the file
}

// TLS is a certificate with its key, read again when the files change.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Mail says how mails leave. Without a server they are written to a folder.
type Mail struct {
	SMTP     string `yaml:"smtp,omitempty"` // host:port; STARTTLS is required except on loopback
	User     string `yaml:"user,omitempty"`
	Password string `yaml:"password,omitempty"` // reference
	From     string `yaml:"from,omitempty"`
	Folder   string `yaml:"folder,omitempty"` // write mails here instead of sending, for test set-ups
}

// Fetch widens what the safe fetcher may reach.
type Fetch struct {
	AllowHosts  []string `yaml:"allow_hosts,omitempty"` // host:port that may be private or plain http
	Authorities string   `yaml:"authorities,omitempty"` // file of further root certificates
}

// Gate is what `garde gate` needs.
type Gate struct {
	Listen  string        `yaml:"listen"`
	TLS     TLS           `yaml:"tls,omitempty"`
	Metrics string        `yaml:"metrics,omitempty"`
	Client  string        `yaml:"client"`            // client of type service, by which the Gate asks the Server
	Secret  string        `yaml:"secret"`            // reference to its secret
	Recipe  string        `yaml:"recipe,omitempty"`  // from: store (default) or file
	Silence time.Duration `yaml:"silence,omitempty"` // how long the revocation feed may be silent (default 10s)
}

// Load reads and checks node.yaml. All faults come at once, each with what to do.
func Load(path string) (*Node, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read the node's settings: %w (garde init DIR writes a first one)", err)
	}
	var node Node
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&node); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %s", path, readable(err))
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	node.Dir = dir
	if err := node.check(); err != nil {
		return nil, fmt.Errorf("%s:\n%w", path, err)
	}
	node.place()
	return &node, nil
}

// readable takes the library's own words off a fault.
func readable(err error) string {
	text := strings.NewReplacer("yaml: ", "", "unmarshal errors:\n  ", "", "in type config.Node", "in node.yaml",
		"in type config.", "in its part ").Replace(err.Error())
	return strings.TrimSpace(text)
}

// place makes paths absolute.
func (n *Node) place() {
	at := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(n.Dir, path)
	}
	for _, path := range []*string{
		&n.TLS.Cert, &n.TLS.Key, &n.Gate.TLS.Cert, &n.Gate.TLS.Key, &n.Admin, &n.Recipe, &n.Seed, &n.Mail.Folder,
		&n.Fetch.Authorities,
	} {
		*path = at(*path)
	}
	if n.Admin == "" {
		n.Admin = filepath.Join(n.Dir, "admin.sock")
	}
	if file, ok := strings.CutPrefix(n.Storage, "sqlite:"); ok {
		n.Storage = "sqlite:" + at(file)
	}
}

func (n *Node) check() error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf("  "+format, args...)) }
	if err := CheckIssuer(n.Issuer); err != nil {
		add("issuer: %v", err)
	}
	if n.Listen == "" {
		add("listen: missing; write the address of the Server, such as 127.0.0.1:8080")
	} else if err := address(n.Listen); err != nil {
		add("listen: %v", err)
	}
	for name, where := range map[string]string{"metrics": n.Metrics, "gate.listen": n.Gate.Listen, "gate.metrics": n.Gate.Metrics} {
		if where == "" {
			continue
		}
		if err := address(where); err != nil {
			add("%s: %v", name, err)
		}
	}
	if !strings.HasPrefix(n.Storage, "sqlite:") && !strings.HasPrefix(n.Storage, "postgres://") && !strings.HasPrefix(n.Storage, "postgresql://") {
		add("storage: write sqlite:garde.db or postgres://user@host/database")
	}
	if !strings.HasPrefix(n.Master, "file:") && !strings.HasPrefix(n.Master, "env:") {
		add("master_key: write a reference, file:master.key or env:NAME; the key itself never stands here")
	}
	for _, pair := range []TLS{n.TLS, n.Gate.TLS} {
		if (pair.Cert == "") != (pair.Key == "") {
			add("tls: cert and key go together")
		}
	}
	for _, network := range n.Proxies {
		if _, err := netip.ParsePrefix(network); err != nil {
			add("trusted_proxies: %q is no network; write 10.0.0.0/8", network)
		}
	}
	if n.Gate.Listen != "" && (n.Gate.Client == "" || n.Gate.Secret == "") {
		add("gate: client and secret are needed, so that the Gate can follow what the Server revokes")
	}
	if n.Gate.Silence < 0 || n.Gate.Silence > time.Minute {
		add("gate.silence: at most 1m; a longer one would let revoked tokens live")
	}
	return errors.Join(faults...)
}

// CheckIssuer tells what is wrong with an issuer (RFC 8414 section 2): https, or http on loopback; no query, no fragment,
// no path, no default port, lower case.
func CheckIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case issuer == "":
		return errors.New("missing; write the public URL, such as https://login.example.com")
	case err != nil || u.Host == "" || u.Scheme == "":
		return errors.New("not a URL; write https://login.example.com")
	case u.User != nil || strings.ContainsAny(issuer, "?#") || u.Path != "":
		return errors.New("write scheme, host and port only, without a slash at the end")
	case issuer != strings.ToLower(issuer):
		return errors.New("write it in lower case: clients compare it byte for byte")
	case u.Scheme == "https" && u.Port() == "443", u.Scheme == "http" && u.Port() == "80":
		return errors.New("leave the default port out: clients compare it byte for byte")
	case u.Scheme == "https", u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	}
	return errors.New("https is needed; http only on localhost, 127.0.0.1 or [::1]")
}

// Loopback tells whether a host name or address means this machine.
func Loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

func address(where string) error {
	_, port, err := net.SplitHostPort(where)
	if err != nil || port == "" {
		return fmt.Errorf("%q is no address; write HOST:PORT", where)
	}
	return nil
}
