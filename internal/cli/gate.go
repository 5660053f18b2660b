package cli

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/app"
	"github.com/gardeauth/garde/internal/config"
)

func (p *program) gateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "gate", Short: "Run the Gate of this node", Args: words(0, 0, ""),
		Long: "Runs the Gate: it stands before the APIs of the recipe, checks each request and its token, and passes on what may pass.\n" +
			"It asks the Server for the recipe in force and for what is revoked; without either it refuses.",
		RunE: func(command *cobra.Command, _ []string) error {
			node, err := p.node()
			if err != nil {
				return err
			}
			gate, err := newGate(command.Context(), node, p.log())
			if err != nil {
				return err
			}
			return gate.run(command.Context())
		},
	}
}

// gate is a Gate that remembers what it refused, for garde explain.
type gate struct {
	*app.Gateway
	refusals *app.Refusals
}

func newGate(ctx context.Context, node *config.Node, log *slog.Logger) (gate, error) {
	refusals := app.NewRefusals()
	gateway, err := app.NewGateway(ctx, node, slog.New(refusals.Tee(log.Handler())), app.Lab{})
	return gate{gateway, refusals}, err
}

func (g gate) run(ctx context.Context) error {
	socket := admin.Socket{Path: gateSocket(g.Node), Log: g.Log, Handler: refusalsDoor(g.refusals)}
	listener, err := socket.Listen()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return g.Run(ctx) })
	group.Go(func() error { return socket.Serve(ctx, listener) })
	return group.Wait()
}

// gateSocket is where a Gate tells what it refused: beside the admin socket, since both may run by one node.yaml.
func gateSocket(node *config.Node) string {
	return strings.TrimSuffix(node.Admin, ".sock") + "-gate.sock"
}

// refusalsDoor answers the operator what this Gate refused lately, and nothing else.
func refusalsDoor(refusals *app.Refusals) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /refusals/{trace}", func(w http.ResponseWriter, r *http.Request) {
		refusal, ok := refusals.Find(r.PathValue("trace"))
		switch {
		case admin.Operator(r.Context()) == "":
			http.Error(w, "this is for the user who runs the Gate", http.StatusForbidden)
		case !ok:
			http.NotFound(w, r)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(refusal) // the asker has gone
		}
	})
	return mux
}

// refusedByGate asks the Gate of this machine; nil when none runs here, or it knows nothing.
func refusedByGate(ctx context.Context, node *config.Node, trace string) *admin.Refusal {
	var dialer net.Dialer
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", gateSocket(node))
	}}
	defer transport.CloseIdleConnections()
	gate := remote{http: http.Client{Transport: transport}}
	var refusal admin.Refusal
	if err := gate.call(ctx, http.MethodGet, "/refusals/"+url.PathEscape(trace), nil, &refusal); err != nil {
		return nil // whatever keeps it silent, the Server may still know
	}
	return &refusal
}
