package cli

import (
	"context"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/seal"
)

func (p *program) keyCommand() *cobra.Command {
	return p.noun("key", "Keys that sign tokens", p.keyList(), p.keyShow(), p.keyRotate(), p.keyRemove(), p.keyRewrap(), p.keyMaster())
}

func (p *program) keyMaster() *cobra.Command {
	return &cobra.Command{
		Use: "master FILE", Short: "Write a new master key to a new file", Args: words(1, 1, "the FILE to write"),
		Long: "Writes a new master key, readable by this user alone; it overwrites nothing. To put it in force, name it as master_key in\n" +
			"node.yaml and the old one under previous_master_keys, restart every node, and run garde key rewrap.",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := writeOnce(args[0], 0o600, []byte(seal.GenerateMaster().Reveal()+"\n")); err != nil {
				return err
			}
			p.say("Wrote %s. Keep a copy where the backups are not.", printable(args[0]))
			return nil
		},
	}
}

func (p *program) keyList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List signing keys", Args: words(0, 0, ""),
		RunE: p.with(func(ctx context.Context, r *remote, _ []string) error {
			keys, err := all[admin.Key](ctx, r, "/keys", 0)
			if err != nil {
				return err
			}
			return p.list(keys, []any{"ID", "ALG", "STATE", "SIGNS FROM", "RETIRES", "REMOVED"}, func(t *table) {
				for _, key := range keys {
					t.row(key.ID, key.Alg, key.State, key.Activates, key.Retires, key.Removed)
				}
			})
		}),
	}
}

func (p *program) keyShow() *cobra.Command {
	return &cobra.Command{
		Use: "show KEY", Short: "Show a signing key's public part and times", Args: words(1, 1, "the id of a KEY"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			var key admin.Key
			if err := r.call(ctx, http.MethodGet, "/keys/"+url.PathEscape(args[0]), nil, &key); err != nil {
				return err
			}
			return p.showKey(key)
		}),
	}
}

func (p *program) showKey(key admin.Key) error {
	return p.show(key, func(t *table) {
		t.row("id", key.ID)
		t.row("alg", key.Alg)
		t.row("state", key.State)
		t.row("made", key.Created)
		t.row("signs from", key.Activates)
		t.row("retires", key.Retires)
		t.row("removed", key.Removed)
		t.row("public", string(key.Public))
	})
}

func (p *program) keyRotate() *cobra.Command {
	var alg string
	var now bool
	command := &cobra.Command{
		Use: "rotate", Short: "Make a new signing key; the old one retires", Args: words(0, 0, ""),
		Long: "Makes a new key, published at once. It signs after one cache lifetime, when the old one retires; with --now it\n" +
			"signs at once, which is for a key that must be feared.",
		RunE: p.with(func(ctx context.Context, r *remote, _ []string) error {
			var key admin.Key
			if err := r.call(ctx, http.MethodPost, "/keys", map[string]any{"alg": alg, "now": now}, &key); err != nil {
				return err
			}
			return p.showKey(key)
		}),
	}
	command.Flags().StringVar(&alg, "alg", "ES256", "algorithm")
	command.Flags().BoolVar(&now, "now", false, "sign with it at once")
	return command
}

func (p *program) keyRemove() *cobra.Command {
	command := &cobra.Command{
		Use: "remove KEY", Short: "Withdraw a signing key: what it signed is dead within a second", Args: words(1, 1, "the id of a KEY"),
		RunE: p.with(func(ctx context.Context, r *remote, args []string) error {
			if sure, err := p.sure("Withdraw the key " + args[0] + " and everything that it signed?"); err != nil || !sure {
				return err
			}
			return r.call(ctx, http.MethodDelete, "/keys/"+url.PathEscape(args[0]), nil, nil)
		}),
	}
	p.yesFlag(command)
	return command
}

func (p *program) keyRewrap() *cobra.Command {
	return &cobra.Command{
		Use: "rewrap", Short: "Put every sealed value under the current master key", Args: words(0, 0, ""),
		Long: "After a new master_key in node.yaml, with the old one under previous_master_keys on every node: puts all that is\n" +
			"sealed under the new one. Then the old one can go.",
		RunE: p.with(func(ctx context.Context, r *remote, _ []string) error {
			var done admin.Rewrapped
			if err := r.call(ctx, http.MethodPost, "/keys/rewrap", nil, &done); err != nil {
				return err
			}
			return p.show(done, func(t *table) { t.row("rewrapped", done.Count) })
		}),
	}
}
