package admin

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// Status is how this node is.
type Status struct {
	Issuer     string `json:"issuer"`
	Revision   int64  `json:"revision" doc:"of the recipe that this node obeys"`
	Problem    string `json:"problem,omitempty" doc:"why it should get no requests"`
	AdminsOnly bool   `json:"admins_only,omitempty" doc:"a restore waits to be confirmed"`
}

// Node is a running process that follows this storage.
type Node struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Role     string    `json:"role"`
	Revision int64     `json:"revision"`
	Ready    bool      `json:"ready"`
	Problem  string    `json:"problem,omitempty"`
	Seen     time.Time `json:"seen"`
}

// nodeLife is how long a node that says nothing counts as running. They tell every five seconds.
const nodeLife = 15 * time.Second

func (a *api) system() {
	op(a, route("GET", "/status", "status", "Tell how this node is"), func(ctx context.Context, _ *none) (*some[Status], error) {
		return answer(a.status(ctx))
	})
	type spell struct {
		Since time.Time `query:"since" doc:"nodes that were seen since then, by their own clocks (default: 15 seconds ago)"`
	}
	op(a, route("GET", "/nodes", "list-nodes", "List the nodes that run"), func(ctx context.Context, in *spell) (*some[paged[Node]], error) {
		if in.Since.IsZero() {
			in.Since = a.Now().Add(-nodeLife)
		}
		rows, err := a.Desk.House.ListNodes(ctx, in.Since.UTC())
		nodes := paged[Node]{Items: make([]Node, len(rows))}
		for i, row := range rows {
			nodes.Items[i] = Node{row.ID, row.Name, row.Role, row.Revision, row.Ready, row.Problem, row.Seen}
		}
		return answer(nodes, err)
	})
	type ref struct {
		Trace string `path:"trace" maxLength:"200"`
	}
	op(a, route("GET", "/refusals/{trace}", "explain", "Tell why something was refused"), func(_ context.Context, in *ref) (*some[Refusal], error) {
		if a.Refusal == nil {
			return nil, errUnsupported
		}
		refusal, found := a.Refusal(in.Trace)
		if !found {
			return nil, titled(http.StatusNotFound, "this node remembers no refusal of that trace id")
		}
		return answer(refusal, nil)
	})
	type backup struct {
		Body struct {
			Path string `json:"path" maxLength:"4096" doc:"absolute; the file must not exist"`
		}
	}
	op(a, made(route("POST", "/backup", "backup", "Write everything to a new file")), func(ctx context.Context, in *backup) (*none, error) {
		if a.Backup == nil {
			return nil, errUnsupported
		}
		path := filepath.Clean(in.Body.Path)
		if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
			return nil, titled(http.StatusUnprocessableEntity, "path: write an absolute path")
		}
		if err := a.Backup(ctx, path); err != nil {
			// What is wrong with a path is the caller's to mend, so it is told; the caller is who runs the node.
			return nil, titled(http.StatusConflict, err.Error())
		}
		return &none{}, nil
	})
	op(a, route("POST", "/restore/confirm", "confirm-restore", "Admit everyone again after a restore"), func(ctx context.Context, _ *none) (*none, error) {
		if a.Confirm == nil {
			return nil, errUnsupported
		}
		return nothing(a.Confirm(ctx, Operator(ctx)))
	})
}

func (a *api) status(ctx context.Context) (Status, error) {
	status := Status{Issuer: a.Issuer}
	if force := a.Desk.Recipes.Enactor.InForce(); force != nil {
		status.Revision = force.Number
	}
	if a.Problem != nil {
		status.Problem = a.Problem()
	}
	if a.AdminsOnly == nil {
		return status, nil
	}
	var err error
	status.AdminsOnly, err = a.AdminsOnly(ctx)
	return status, err
}
