// Package lab puts a whole house on loopback, for tests: real listeners, a real engine, the Gate in front of a real
// upstream, a recipe with a client of every kind, and people with sessions and consents. Alone in the house it may take a
// named step out. It decides nothing; what it plants, it plants through the contracts of iam.
package lab

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/app"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/gateway/proxy"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/issue"
	"github.com/gardeauth/garde/internal/seal"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/recipe"
)

// The engines.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// Options say which house is built. The zero value is one node on SQLite without a Gate.
type Options struct {
	Engine  string // SQLite or Postgres; SQLite has one node only
	Nodes   int
	Gate    bool
	Decrypt map[string]string    // of the Gate, by API: references to files of Files
	Silence time.Duration        // of the revocation feed; 0: the Gate's default
	Proxies []string             // networks whose forwarding headers the Gate believes
	TLS     bool                 // https everywhere, under an authority of the house's own
	MTLS    bool                 // with TLS: a listener of each node, and the Gate, ask for certificates of clients
	Reach   []string             // with TLS: loopback addresses that the Server may fetch from
	Recipe  func(*recipe.Recipe) // changes the test recipe before the house first reads it; files by Files
	Files   map[string][]byte    // what such a recipe names
	Partner bool                 // WebA and WebSpare may show assertions of another issuer, and ask people elsewhere
	Without Without

	// Front and GateFront are the public URLs of Server and Gate where the test puts a proxy before them.
	Front, GateFront string

	Settings func(*config.Node) // changes what each Server is told before it starts
}

// Without names the step that is taken out of each table; "" takes none.
type Without struct{ Issue, Request, Verify, Gate string }

// House is a running house. Node is its first; what House itself promises holds for all.
type House struct {
	*Node
	Nodes    []*Node
	Issuer   string
	GateURL  string
	Gateway  *app.Gateway
	Upstream *Upstream
	Clock    *Clock
	Log      *Log

	Authority *Authority // of a house with TLS
	Callers   *Authority // of a house with MTLS: who vouches for the names of clients
	MTLSURL   string     // of a house with MTLS: where clients with certificates ask

	GateAddress string // where the Gate listens, whatever its public URL is

	t       testing.TB
	dir     string
	options Options
	lab     app.Lab
	base    *recipe.Recipe
	files   map[string][]byte
	asked   map[string]string // address of a node to that where it asks for certificates
	keys    map[string]*key
	secrets map[string]string
	client  *http.Client
}

// Node is one Server of the house.
type Node struct {
	Server *app.Server
	House  *House

	address string
	node    *config.Node
	stop    func()
	broken  bool
}

// New builds a house and runs it until the test ends.
func New(t testing.TB, options Options) *House {
	t.Helper()
	if options.Nodes == 0 {
		options.Nodes = 1
	}
	h := &House{
		t: t, dir: t.TempDir(), options: options, Clock: &Clock{}, Log: &Log{}, keys: map[string]*key{},
		secrets: map[string]string{}, files: map[string][]byte{}, asked: map[string]string{},
		client: &http.Client{
			Transport:     &http.Transport{MaxIdleConnsPerHost: 256, MaxConnsPerHost: 256},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       20 * time.Second,
		},
	}
	t.Cleanup(h.client.CloseIdleConnections)
	h.Upstream = newUpstream(t)
	opened := h.listen(2*options.Nodes + 1)
	h.lab = options.Without.lab()
	h.lab.Now, h.lab.Listen = h.Clock.Now, opened.listen
	h.Issuer = cmp.Or(options.Front, h.scheme()+"://"+opened.addresses[0])
	h.GateAddress = opened.addresses[options.Nodes]
	h.GateURL = cmp.Or(options.GateFront, h.scheme()+"://"+h.GateAddress)
	if options.TLS {
		h.certify(opened.addresses[options.Nodes+1:])
	}
	h.write()
	storage := "sqlite:" + filepath.Join(h.dir, "garde.db")
	if options.Engine == Postgres {
		storage = pgtest.New(t)
	}
	for i := range options.Nodes {
		h.asked[opened.addresses[i]] = opened.addresses[options.Nodes+1+i]
		node := &Node{House: h, address: opened.addresses[i], node: h.settings(opened.addresses[i], storage)}
		if options.Settings != nil {
			options.Settings(node.node)
		}
		h.Nodes = append(h.Nodes, node)
		node.start()
		t.Cleanup(node.Stop)
	}
	h.Node = h.Nodes[0]
	if options.Gate {
		h.startGate(h.GateAddress)
	}
	return h
}

func (w Without) lab() app.Lab {
	var lab app.Lab
	if w.Issue != "" {
		lab.Issue = issue.Without(w.Issue)
	}
	if w.Request != "" {
		lab.Request = request.Without(w.Request)
	}
	if w.Verify != "" {
		lab.Verify = verify.Standard.Without(w.Verify)
	}
	if w.Gate != "" {
		lab.Gate = proxy.Standard.Without(w.Gate)
	}
	return lab
}

// listeners are opened before anything is configured, so that every address is known and taken.
type listeners struct {
	addresses []string
	mu        sync.Mutex
	open      map[string]net.Listener
}

func (h *House) listen(count int) *listeners {
	l := &listeners{open: map[string]net.Listener{}}
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		h.must(err)
		l.addresses = append(l.addresses, listener.Addr().String())
		l.open[listener.Addr().String()] = listener
	}
	h.t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, listener := range l.open {
			h.must(listener.Close())
		}
	})
	return l
}

// listen hands a listener out once; a node that starts again opens its address anew.
func (l *listeners) listen(network, address string) (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if listener, ok := l.open[address]; ok {
		delete(l.open, address)
		return listener, nil
	}
	return net.Listen(network, address)
}

func (h *House) scheme() string {
	if h.options.TLS {
		return "https"
	}
	return "http"
}

func (h *House) path(name string) string { return filepath.Join(h.dir, name) }

func (h *House) settings(address, storage string) *config.Node {
	node := &config.Node{
		Issuer: h.Issuer, Listen: address, Storage: storage, Master: "file:master.key", Dir: h.dir,
		Recipe: filepath.Join(h.dir, "recipe.yaml"),
		Mail:   config.Mail{Folder: filepath.Join(h.dir, "mail")}, TLS: h.certificates(),
	}
	if h.options.MTLS {
		node.MTLS = config.MTLS{Listen: h.asked[address], URL: h.MTLSURL, Authorities: h.path("callers.pem")}
	}
	if h.Authority != nil {
		node.Fetch = config.Fetch{Authorities: h.path("authority.pem"), AllowHosts: h.options.Reach}
	}
	return node
}

// write puts the files of the house into its folder.
func (h *House) write() {
	h.base = h.recipe()
	maps.Copy(h.files, h.options.Files)
	if h.options.Recipe != nil {
		h.options.Recipe(h.base)
	}
	for name, content := range h.files {
		h.must(os.WriteFile(filepath.Join(h.dir, name), content, 0o600))
	}
	h.must(os.WriteFile(filepath.Join(h.dir, "recipe.yaml"), text(h.t, h.base), 0o600))
	h.must(os.WriteFile(filepath.Join(h.dir, "master.key"), []byte(seal.GenerateMaster().Reveal()+"\n"), 0o600))
	for client, secret := range h.secrets {
		h.must(os.WriteFile(filepath.Join(h.dir, client+".secret"), []byte(secret), 0o600))
	}
}

func (n *Node) start() {
	h := n.House
	server, err := app.NewServer(context.Background(), n.node, h.Log.Logger(), h.lab)
	h.must(err)
	n.Server = server
	n.stop = h.run(server.Run, func() error {
		if n.broken {
			return nil
		}
		return server.Close()
	}, func(error) bool { return n.broken })
	h.Within(5*time.Second, "the node listens", func() bool { // after a restart its listener is opened anew
		knock, err := net.Dial("tcp", n.address)
		if err != nil {
			return false
		}
		return knock.Close() == nil
	})
}

// Address is where the node listens, whatever its public URL is.
func (n *Node) Address() string { return n.address }

// Break takes the storage away from under the node: nothing can be kept or read any more.
func (n *Node) Break() {
	n.broken = true
	n.House.must(n.Server.Store.Close())
}

// Stop ends the node, as a signal would.
func (n *Node) Stop() {
	if n.stop != nil {
		n.stop()
		n.stop = nil
	}
}

// Restart ends the node and starts it again on the same address and storage; between runs while it is down.
func (n *Node) Restart(between func()) {
	n.Stop()
	if between != nil {
		between()
	}
	n.start()
}

// Restore brings a backup into the storage of a node that is down.
func (n *Node) Restore(backup string) error {
	down, err := store.Open(context.Background(), n.node.Storage, store.Options{Now: n.House.Clock.Now})
	if err != nil {
		return err
	}
	_, err = down.Restore(context.Background(), backup)
	return errors.Join(err, down.Close())
}

// Store is the storage as this node's one tenant sees it.
func (n *Node) Store() Storage { return n.Server.House }

// Storage is all that is kept.
type Storage interface {
	iam.ClientKeeping
	iam.UserKeeping
	iam.Passwords
	iam.Sessions
	iam.Consents
	iam.Codes
	iam.Grants
	iam.Issuing
	iam.Changes
	iam.Journal
	iam.Refreshes
	iam.Flows
	iam.Asking
}

func (h *House) startGate(address string) {
	node := h.settings("", "")
	node.Gate = config.Gate{Listen: address, Client: "gate", Secret: "file:gate.secret", Silence: h.options.Silence, TLS: h.certificates(),
		Certificates: h.options.MTLS, Decrypt: h.options.Decrypt}
	node.MTLS = config.MTLS{}
	node.Proxies = h.options.Proxies
	gateway, err := app.NewGateway(context.Background(), node, h.Log.Logger(), h.lab)
	h.must(err)
	h.Gateway = gateway
	h.t.Cleanup(h.run(gateway.Run, func() error { return nil }, func(error) bool { return false }))
	h.Within(5*time.Second, "the Gate is ready", gateway.Gate.Ready)
}

// run runs something until the function that it gives is called; expected tells which bad end was the test's own wish.
func (h *House) run(run func(context.Context) error, after func() error, expected func(error) bool) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	return func() {
		cancel()
		h.client.CloseIdleConnections()
		if err := errors.Join(<-ended, after()); err != nil && !errors.Is(err, context.Canceled) && !expected(err) {
			h.t.Errorf("the house did not end well: %v", err)
		}
	}
}

func (h *House) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// Within waits until what is true, at most so long, and fails the test otherwise. It gives how long it took.
func (h *House) Within(most time.Duration, what string, is func() bool) time.Duration {
	h.t.Helper()
	begun := time.Now()
	for !is() {
		if time.Since(begun) > most {
			h.t.Fatalf("not within %s: %s", most, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(begun)
}

// Log keeps what every part of the house logs, to be searched for what may never stand there.
type Log struct {
	mu   sync.Mutex
	text []byte
}

// Write keeps one record.
func (l *Log) Write(record []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, record...)
	return len(record), nil
}

// String is all that was logged.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// Logger logs everything, debugging too.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

var _ io.Writer = (*Log)(nil)

// Clock runs like any other, but can be put forward. It is the clock of every part of the house.
type Clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

// Now is the time in the house.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

// Skip puts the clock forward and waits for nobody.
func (c *Clock) Skip(d time.Duration) {
	c.mu.Lock()
	c.ahead += d
	c.mu.Unlock()
}

// Pass puts the clock forward and waits until the house has noticed that it still hears what is revoked.
func (h *House) Pass(d time.Duration) {
	h.t.Helper()
	h.Clock.Skip(d)
	for _, node := range h.Nodes {
		h.must(node.Server.Follower.Catch(context.Background()))
	}
	if h.Gateway != nil {
		h.Within(5*time.Second, "the Gate has heard since the clock was put forward", h.Gateway.Gate.Ready)
	}
}

// host is the Host of every request to the Server, whichever node it goes to.
func (h *House) host() string {
	issuer, err := url.Parse(h.Issuer)
	h.must(err)
	return issuer.Host
}
