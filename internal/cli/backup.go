package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/internal/store"
)

func (p *program) backupCommand() *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Write everything to a new file, while the node runs", Args: words(1, 1, "the FILE to write"),
		Long: "Writes all that the storage holds at one moment. What is secret in it is hashed, or sealed under the master key,\n" +
			"which is not in it: keep that elsewhere. Export the journal now and then too: a restore takes from it what came later.",
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if err := r.call(ctx, http.MethodPost, "/backup", map[string]string{"path": path}, nil); err != nil {
				return err
			}
			return p.show(map[string]string{"backup": path}, func(t *table) { t.row(path) })
		}),
	}
}

// restored is what garde restore says as JSON.
type restored struct {
	BackupAt time.Time        `json:"backup_at"`
	Epoch    string           `json:"epoch"`
	Replayed *manage.Replayed `json:"replayed,omitempty"`
	Unknown  []string         `json:"unknown"` // what cannot be known
}

func (p *program) restoreCommand() *cobra.Command {
	var journal string
	var confirm bool
	command := &cobra.Command{
		Use: "restore FILE", Short: "Replace everything by a backup, and end what is older than it", Args: words(0, 1, ""),
		Long: "Replaces all that the storage holds by a backup. No node may run. Every session, grant, code and signing key ends,\n" +
			"because what was revoked since the backup is not in it. --journal takes later disablements and removals from an\n" +
			"export of the journal. Until somebody runs garde restore --confirm, only administrators may sign in.",
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		if confirm == (len(args) == 1) {
			return wrong(command, "name the FILE of a backup, or --confirm")
		}
		if confirm {
			return p.with(func(ctx context.Context, r *remote, _ []string) error {
				if err := r.call(ctx, http.MethodPost, "/restore/confirm", nil, nil); err != nil {
					return err
				}
				p.say("Everyone is admitted again.")
				return nil
			})(command, nil)
		}
		if sure, err := p.sure("Replace everything by " + args[0] + "?"); err != nil || !sure {
			return err
		}
		return p.restore(command.Context(), args[0], journal)
	}
	command.Flags().StringVar(&journal, "journal", "", "a newer export of the journal, to take later disablements from")
	command.Flags().BoolVar(&confirm, "confirm", false, "what a restore could not know is seen to: admit everyone again")
	p.yesFlag(command)
	return command
}

func (p *program) restore(ctx context.Context, file, journal string) error {
	node, err := p.node()
	if err != nil {
		return err
	}
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", node.Admin); err == nil {
		return errors.Join(errors.New("a node runs: stop every node first, since each would go on with what it has in memory"), conn.Close())
	}
	var later []manage.Later
	if journal != "" {
		if later, err = readLater(journal); err != nil {
			return err
		}
	}
	opened, err := store.Open(ctx, node.Storage, store.Options{})
	if err != nil {
		return err
	}
	result, err := p.restoreInto(ctx, opened, file, later, journal != "")
	if err := errors.Join(err, opened.Close()); err != nil {
		return err
	}
	return p.sayRestored(result)
}

// nodeForgotten is how long after its last sign of life a node counts as running.
const nodeForgotten = 15 * time.Second

func (p *program) restoreInto(ctx context.Context, opened *store.Store, file string, later []manage.Later, hasJournal bool) (restored, error) {
	house := opened.Tenant(iam.DefaultTenant)
	if running, err := house.ListNodes(ctx, time.Now().UTC().Add(-nodeForgotten)); err == nil {
		// A Gate has no storage: its row is only what the Server, which has stopped, last heard of it.
		running = slices.DeleteFunc(running, func(node iam.Node) bool { return node.Role == "gate" })
		if len(running) > 0 {
			return restored{}, fmt.Errorf("%s running on this storage: stop every node first (one that was killed counts for %s)",
				counted(len(running), "node is still"), nodeForgotten)
		}
	}
	done, err := opened.Restore(ctx, file)
	if err != nil {
		return restored{}, err
	}
	result := restored{BackupAt: done.BackupAt, Epoch: done.Epoch, Unknown: []string{}}
	if !hasJournal {
		result.Unknown = append(result.Unknown,
			"which people and clients were disabled or removed since the backup",
			"which passwords were changed since the backup: those before it work again",
			"which consents were revoked, and which people, clients and groups were added",
			"whether a newer recipe was in force: garde apply it again")
		return result, nil
	}
	replayed, err := manage.ReplayLater(ctx, house, later, done.BackupAt, time.Now())
	result.Replayed = &replayed
	result.Unknown = append(result.Unknown, replayed.Unknown...)
	return result, err
}

func (p *program) sayRestored(result restored) error {
	err := p.show(result, func(t *table) {
		t.row("backup of", result.BackupAt)
		if result.Replayed != nil {
			t.row("disabled again", len(result.Replayed.Disabled))
			t.row("removed again", len(result.Replayed.Removed))
		}
	})
	p.say("\nEvery session, grant, code and signing key has ended. Only administrators may sign in until garde restore --confirm.")
	if len(result.Unknown) > 0 {
		p.say("This can't be known from the backup; see to it first:")
		for _, unknown := range result.Unknown {
			p.say("  - %s", printable(unknown))
		}
	}
	return err
}
