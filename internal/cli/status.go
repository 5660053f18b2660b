package cli

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
)

func (p *program) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say how this node is, and which others run", Args: words(0, 0, ""),
		RunE: p.with(func(ctx context.Context, r *remote, _ []string) error {
			var status admin.Status
			if err := r.call(ctx, http.MethodGet, "/status", nil, &status); err != nil {
				return err
			}
			nodes, err := all[admin.Node](ctx, r, "/nodes", 0)
			if err != nil {
				return err
			}
			return p.show(map[string]any{"running": r.running, "node": status, "nodes": nodes}, func(t *table) {
				t.row("issuer", status.Issuer)
				t.row("running", r.running)
				t.row("revision", status.Revision)
				t.row("problem", status.Problem)
				if status.AdminsOnly {
					t.row("admits", "administrators only, until garde restore --confirm")
				}
				for _, node := range nodes {
					t.row(node.Role, node.Name+" "+node.ID, "revision", node.Revision, "ready", node.Ready, node.Problem)
				}
			})
		}),
	}
}
