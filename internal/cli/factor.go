package cli

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
)

func (p *program) userFactors() *cobra.Command {
	var remove string
	command := &cobra.Command{
		Use: "factors USER", Short: "List what a person signs in with, or take something away (--remove)", Args: words(1, 1, "a USER"),
	}
	command.RunE = p.with(func(ctx context.Context, r *remote, args []string) error {
		path := userPath(args[0]) + "/factors"
		if remove != "" {
			return r.call(ctx, http.MethodDelete, path+"/"+url.PathEscape(remove), nil, nil)
		}
		var held admin.HeldFactors
		if err := r.call(ctx, http.MethodGet, path, nil, &held); err != nil {
			return err
		}
		return p.list(held.Factors, []any{"ID", "KIND", "NAME", "MADE", "USED", "SYNCED"}, func(t *table) {
			for _, one := range held.Factors {
				var used time.Time
				if one.Used != nil {
					used = *one.Used
				}
				t.row(one.ID, one.Kind, one.Name, one.Created, used, one.Synced)
			}
			if held.RecoveryCodes > 0 {
				t.row("", "recovery_code", held.RecoveryCodes)
			}
		})
	})
	command.Flags().StringVar(&remove, "remove", "", "ID of the one to take away; sessions that rest on it end")
	return command
}

func (p *program) userDevices() *cobra.Command {
	var forget string
	command := &cobra.Command{
		Use: "devices USER", Short: "List the devices that a person has signed in from, or cut one off (--forget)", Args: words(1, 1, "a USER"),
	}
	command.RunE = p.with(func(ctx context.Context, r *remote, args []string) error {
		path := userPath(args[0]) + "/devices"
		if forget != "" {
			return r.call(ctx, http.MethodDelete, path+"/"+url.PathEscape(forget), nil, nil)
		}
		devices, err := all[admin.Device](ctx, r, path, 0)
		if err != nil {
			return err
		}
		return p.list(devices, []any{"ID", "NAME", "FIRST SEEN", "SEEN", "ADDRESS"}, func(t *table) {
			for _, one := range devices {
				t.row(one.ID, one.Name, one.Created, one.Seen, one.Address)
			}
		})
	})
	command.Flags().StringVar(&forget, "forget", "", "ID of the one to cut off, with all that began on it")
	return command
}
