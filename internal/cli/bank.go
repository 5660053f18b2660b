package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/errgroup"

	"github.com/gardeauth/garde/internal/app"
	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/demo"
	"github.com/gardeauth/garde/internal/demo/accounts"
	"github.com/gardeauth/garde/internal/demo/doorman"
	"github.com/gardeauth/garde/internal/demo/local"
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/seal"
)

// bank says where the demonstration stands.
type bank struct {
	Listen string    // host:port of the Server, on loopback; the Gate, the bank and Budget take the next three ports
	Data   string    // folder of everything it keeps
	Out    io.Writer // gets the guide
	Colour bool
	Log    *slog.Logger
}

// run runs Server, Gate and bank in one process, until ctx ends. A second run finds its data again.
func (options bank) run(ctx context.Context) error {
	site, err := demo.At(options.Listen)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(options.Data, 0o700); err != nil {
		return err
	}
	inside, err := local.Listen("127.0.0.1:0", filepath.Join(options.Data, "server.port"))
	if err != nil {
		return err
	}
	node, people, err := demoNode(site, inside.Addr().String(), options.Data)
	if err != nil {
		return err
	}
	door, err := local.Listen(site.IssuerListen, "")
	if err != nil {
		return err
	}
	where := &doorman.Where{}
	keys, err := demo.Furnish(options.Data)
	if err != nil {
		return err
	}
	ledger, err := local.Listen("127.0.0.1:0", filepath.Join(options.Data, "accounts.port"))
	if err != nil {
		return err
	}
	text, err := demo.Recipe(site, "http://"+ledger.Addr().String())
	if err != nil {
		return err
	}
	if err := os.WriteFile(node.Recipe, text, 0o600); err != nil {
		return err
	}
	server, err := app.NewServer(ctx, node, options.Log, app.Lab{Listen: standing(inside)})
	if err != nil {
		return err
	}
	defer server.Close() //nolint:errcheck // the group's error says more
	if err := server.Obey(ctx, node.Recipe); err != nil {
		return err
	}
	gateway, err := newGate(ctx, node, options.Log)
	if err != nil {
		return err
	}
	bank, err := local.Listen(site.BankListen, "")
	if err != nil {
		return err
	}
	budget, err := local.Listen(site.BudgetListen, "")
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx) })
	group.Go(func() error { return (&doorman.Doorman{Server: "http://" + node.Listen, Where: where}).Run(ctx, door) })
	group.Go(func() error { return gateway.run(ctx) })
	group.Go(func() error { return (&accounts.API{}).Run(ctx, ledger) })
	group.Go(func() error {
		return (&demo.Bank{
			Site: site, Dir: options.Data, Web: keys.Web, Nightly: keys.Nightly, Admin: node.Admin, Where: where, Program: os.Args[0], Log: options.Log,
		}).Run(ctx, bank)
	})
	group.Go(func() error {
		return (&demo.Budget{Site: site, Dir: options.Data, Keys: keys, Log: options.Log}).Run(ctx, budget)
	})
	group.Go(func() error {
		awaitGate(ctx, gateway.Gateway)
		if err := demo.Guide(options.Out, demo.Tour{Site: site, People: people, Dir: options.Data, Program: os.Args[0], Colour: options.Colour}); err != nil {
			return err
		}
		_, err := fmt.Fprintf(options.Out, "  Why was something refused?  %s explain TRACE-ID --config %s\n\n", os.Args[0], filepath.Join(options.Data, "node.yaml"))
		return err
	})
	return group.Wait()
}

// standing gives a listener that stands already for its own address, and opens any other.
func standing(inside net.Listener) func(network, address string) (net.Listener, error) {
	return func(network, address string) (net.Listener, error) {
		if address == inside.Addr().String() {
			return inside, nil
		}
		return (&net.ListenConfig{}).Listen(context.Background(), network, address)
	}
}

// awaitGate waits until the whole house answers, but no longer than a person would.
func awaitGate(ctx context.Context, gateway *app.Gateway) {
	over := time.After(5 * time.Second)
	for !gateway.Gate.Ready() {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// demoNode makes the settings of the demonstration, and its secrets and people at the first start.
func demoNode(site demo.Site, listen, dir string) (*config.Node, []demo.Person, error) {
	for name, value := range map[string]func() string{
		"master.key":  func() string { return seal.GenerateMaster().Reveal() },
		"gate.secret": func() string { return iam.NewSecret(iam.PrefixClient) },
	} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			if err := os.WriteFile(path, []byte(value()+"\n"), 0o600); err != nil {
				return nil, nil, err
			}
		}
	}
	places := filepath.Join(dir, "places.mmdb")
	node := &config.Node{
		Issuer: site.Issuer, Listen: listen, Storage: "sqlite:" + filepath.Join(dir, "garde.db"),
		Master: "file:master.key", Recipe: filepath.Join(dir, "recipe.yaml"), Seed: filepath.Join(dir, "people.yaml"),
		Admin: filepath.Join(dir, "admin.sock"), Mail: config.Mail{Folder: filepath.Join(dir, "mail")}, Dir: dir,
		Gate: config.Gate{Listen: site.GateListen, Client: "gate", Secret: "file:gate.secret"},
		// The doorman says where the person is: it stands on this machine, as all of this does.
		Proxies: []string{"127.0.0.1/32", "::1/128"}, GeoIP: config.GeoIP{City: places, ASN: places},
	}
	if err := os.WriteFile(filepath.Join(dir, "node.yaml"), settings(*node), 0o600); err != nil {
		return nil, nil, err
	}
	people, err := demo.PeopleIn(dir)
	return node, people, err
}

// settings is the demonstration's node.yaml, by which all other verbs find it. Its paths start at its folder.
func settings(node config.Node) []byte {
	node.Storage = "sqlite:" + filepath.Base(strings.TrimPrefix(node.Storage, "sqlite:"))
	for _, path := range []*string{&node.Recipe, &node.Seed, &node.Admin, &node.Mail.Folder, &node.GeoIP.City, &node.GeoIP.ASN} {
		*path = filepath.Base(*path)
	}
	text, err := yaml.Marshal(node)
	if err != nil {
		panic("cli: settings are texts and numbers: " + err.Error())
	}
	return append([]byte("# Written by garde demo at each start, so that the other verbs find it.\n"), text...)
}
