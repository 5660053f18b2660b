// Package config is this node's own settings: where it listens, where it stores, which key seals. The company's rules
// stand in the recipe and nowhere else.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
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
	MTLS     MTLS     `yaml:"mtls,omitempty"`
	Shown    Shown    `yaml:"forwarded_certificates,omitempty"`
	Mail     Mail     `yaml:"mail,omitempty"`
	Fetch    Fetch    `yaml:"fetch,omitempty"`
	GeoIP    GeoIP    `yaml:"geoip,omitempty"`
	Gate     Gate     `yaml:"gate,omitempty"`

	Dir string `yaml:"-"` // of the file
}

// TLS is a certificate with its key, read again when the files change.
type TLS struct {
	Cert string `yaml:"cert"` // file with the certificate and what lies between it and its authority, PEM
	Key  string `yaml:"key"`  // file with the private key, PEM
}

// MTLS is where clients that have a certificate ask the Server: at another address, because a listener that asks for
// certificates makes browsers ask people for theirs (RFC 8705 section 5).
type MTLS struct {
	Listen      string `yaml:"listen,omitempty"`      // address of the listener that asks for certificates; empty: a proxy does, see forwarded_certificates
	URL         string `yaml:"url"`                   // public URL of it, as the metadata names it
	TLS         TLS    `yaml:"tls,omitempty"`         // its own certificate; empty: that of the Server
	Authorities string `yaml:"authorities,omitempty"` // file with the root certificates that are believed about clients, PEM; empty: tls_client_auth is off
}

// Shown says how a proxy of trusted_proxies forwards the certificate of a client.
type Shown struct {
	Header string `yaml:"header"` // its name; from anybody else it means nothing
	Format string `yaml:"format"` // rfc9440 (Client-Cert), pem (percent-encoded, as nginx does) or xfcc (Envoy)
}

// Mail says how mails leave. Without a server they are written to a folder.
type Mail struct {
	SMTP     string `yaml:"smtp,omitempty"`     // host:port; STARTTLS is required except on loopback
	User     string `yaml:"user,omitempty"`     // name at the mail server
	Password string `yaml:"password,omitempty"` // reference to the password there: file:PATH or env:NAME
	From     string `yaml:"from,omitempty"`     // address that mails come from; needed with smtp
	Folder   string `yaml:"folder,omitempty"`   // write mails here instead of sending, for test set-ups
}

// Fetch widens what the safe fetcher may reach.
type Fetch struct {
	AllowHosts  []string `yaml:"allow_hosts,omitempty"` // host:port that may be private or plain http
	Authorities string   `yaml:"authorities,omitempty"` // file of further root certificates
}

// GeoIP names databases of places in the MaxMind DB form, of any provider, for the risk of a moment (see risk.md). They are
// read again when the files change: put a new one in the place of the old by renaming it.
type GeoIP struct {
	City string `yaml:"city,omitempty"` // file that tells country and place of an address (City or Country); empty: places are unknown
	ASN  string `yaml:"asn,omitempty"`  // file that tells the autonomous system of an address; empty: networks are known by their address
}

// Gate is what `garde gate` needs.
type Gate struct {
	Listen  string        `yaml:"listen"`            // address of the Gate
	TLS     TLS           `yaml:"tls,omitempty"`     // own certificate of the Gate; empty: plain, behind a proxy or on loopback
	Metrics string        `yaml:"metrics,omitempty"` // address of the Gate's /metrics, /healthz and /readyz; empty: none
	Client  string        `yaml:"client"`            // client of type service, by which the Gate asks the Server
	Secret  string        `yaml:"secret"`            // reference to its secret
	Silence time.Duration `yaml:"silence,omitempty"` // how long the revocation feed may be silent (default 10s)

	Decrypt map[string]string `yaml:"decrypt,omitempty"` // for each API whose tokens are encrypted, a reference to its private keys: a JWK Set, in which each key has kid and alg

	Certificates bool `yaml:"client_certificates,omitempty"` // ask clients for a certificate, to which tokens may be bound
}

// Load reads and checks node.yaml. All faults come at once, each with what to do.
func Load(path string) (*Node, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the node's settings: %w (garde init DIR writes a first one)", err)
	}
	var node Node
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	decoder.KnownFields(true)
	if err := decoder.Decode(&node); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %s", path, readable(err))
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) { // who reads only the first would miss the rest
		return nil, fmt.Errorf("%s: a second document begins at a line ---; write one", path)
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

// readable takes the library's own words off a fault, and every value: one may be a secret that stands in the wrong place.
func readable(err error) string {
	text := strings.NewReplacer("yaml: ", "", "unmarshal errors:\n  ", "", "in type config.Node", "in node.yaml",
		"in type config.", "in its part ").Replace(err.Error())
	return strings.TrimSpace(unfit.ReplaceAllString(text, "a value of the wrong kind"))
}

// unfit is how the library repeats a value that does not fit: its tag, what it says, the type that was wanted.
var unfit = regexp.MustCompile("(?s)cannot unmarshal !![^ ]+( `.*?`)? into [^ \n]+")

// place makes paths absolute.
func (n *Node) place() {
	at := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(n.Dir, path)
	}
	for _, path := range []*string{
		&n.TLS.Cert, &n.TLS.Key, &n.Gate.TLS.Cert, &n.Gate.TLS.Key, &n.MTLS.TLS.Cert, &n.MTLS.TLS.Key, &n.MTLS.Authorities, &n.Admin, &n.Recipe, &n.Seed, &n.Mail.Folder,
		&n.Fetch.Authorities, &n.GeoIP.City, &n.GeoIP.ASN,
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

// faults gathers what is wrong, in the order of the file.
type faults []error

func (f *faults) add(format string, args ...any) {
	*f = append(*f, fmt.Errorf("  "+format, args...))
}

func (n *Node) check() error {
	var f faults
	if err := CheckIssuer(n.Issuer); err != nil {
		f.add("issuer: %v", err)
	}
	if n.Listen == "" {
		f.add("listen: missing; write the address of the Server, such as 127.0.0.1:8080")
	}
	f.address("listen", n.Listen)
	f.pair("tls", n.TLS)
	f.address("metrics", n.Metrics)
	switch scheme, rest, _ := strings.Cut(n.Storage, ":"); {
	case rest != "" && (scheme == "sqlite" || strings.HasPrefix(rest, "//") && (scheme == "postgres" || scheme == "postgresql")):
	default:
		f.add("storage: write sqlite:garde.db or postgres://user@host/database")
	}
	if !reference(n.Master) {
		f.add("master_key: write a reference, file:master.key or env:NAME; the key itself never stands here")
	}
	for i, previous := range n.Previous {
		if !reference(previous) {
			f.add("previous_master_keys[%d]: write a reference, file:old.key or env:NAME; the key itself never stands here", i)
		}
	}
	for _, network := range n.Proxies {
		if _, err := netip.ParsePrefix(network); err != nil {
			f.add("trusted_proxies: %q is no network; write 10.0.0.0/8", network)
		}
	}
	f.mtls(n)
	f.forwarded(n)
	f.mail(n.Mail)
	for _, host := range n.Fetch.AllowHosts {
		f.address("fetch.allow_hosts", host)
	}
	f.gate(n.Gate)
	return errors.Join(f...)
}

func (f *faults) address(name, where string) {
	if where == "" {
		return
	}
	if err := address(where); err != nil {
		f.add("%s: %v", name, err)
	}
}

func (f *faults) pair(name string, files TLS) {
	if (files.Cert == "") != (files.Key == "") {
		f.add("%s: cert and key go together", name)
	}
}

func (f *faults) mail(m Mail) {
	f.address("mail.smtp", m.SMTP)
	if m.SMTP != "" && m.From == "" {
		f.add("mail.from: missing; write the address that mails come from, such as login@example.com")
	}
	if m.SMTP != "" && m.Folder != "" {
		f.add("mail: smtp sends and folder keeps; write one of them")
	}
	if m.Password != "" && !reference(m.Password) {
		f.add("mail.password: write a reference, file:PATH or env:NAME; the password itself never stands here")
	}
}

// The silence of the feed that a Gate may bear. Heartbeats come each second.
const (
	minSilence = 3 * time.Second
	maxSilence = time.Minute
)

func (f *faults) gate(g Gate) {
	if reflect.ValueOf(g).IsZero() {
		return
	}
	if g.Listen == "" {
		f.add("gate.listen: missing; write the address of the Gate, such as 127.0.0.1:8081")
	}
	f.address("gate.listen", g.Listen)
	f.pair("gate.tls", g.TLS)
	if g.Certificates && g.TLS.Cert == "" {
		f.add("gate.client_certificates: gate.tls is needed; behind a proxy that ends TLS, write forwarded_certificates instead")
	}
	f.address("gate.metrics", g.Metrics)
	if g.Client == "" || g.Secret == "" {
		f.add("gate: client and secret are needed, so that the Gate can follow what the Server revokes")
	}
	if g.Secret != "" && !reference(g.Secret) {
		f.add("gate.secret: write a reference, file:PATH or env:NAME; the secret itself never stands here")
	}
	for _, api := range slices.Sorted(maps.Keys(g.Decrypt)) {
		if !reference(g.Decrypt[api]) {
			f.add("gate.decrypt.%s: write a reference, file:PATH or env:NAME; the keys themselves never stand here", api)
		}
	}
	switch {
	case g.Silence == 0:
	case g.Silence < minSilence:
		f.add("gate.silence: at least 3s; heartbeats come each second, and a shorter one would refuse honest calls")
	case g.Silence > maxSilence:
		f.add("gate.silence: at most 1m; a longer one would let revoked tokens live")
	}
}

// reference tells whether text says where a secret is, rather than being one.
func reference(text string) bool {
	kind, where, _ := strings.Cut(text, ":")
	return where != "" && (kind == "file" || kind == "env")
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
	case !host(u):
		return errors.New("write the host in ASCII, an international one as xn--..., and the port as a plain number")
	case u.Scheme == "https", u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	}
	return errors.New("https is needed; http only on localhost, 127.0.0.1 or [::1]")
}

// host tells whether host and port are in their only spelling: letters, digits, hyphens and dots, or a bracketed address.
func host(u *url.URL) bool {
	name := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		ip, err := netip.ParseAddr(name)
		if err != nil || ip.Zone() != "" || ip.String() != name {
			return false
		}
		name = "[" + name + "]"
	} else if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") {
		return false
	}
	port := u.Port()
	return u.Host == name && port == "" || u.Host == name+":"+port && plainPort(port) && port != "0"
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
	if err != nil || !plainPort(port) {
		return fmt.Errorf("%q is no address; write HOST:PORT", where)
	}
	return nil
}

// plainPort tells whether port is a number from 0 to 65535 in its only spelling. 0 lets the system choose.
func plainPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && strconv.FormatUint(number, 10) == port
}
