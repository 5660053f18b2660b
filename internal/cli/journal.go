package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/notary"
	"github.com/gardeauth/garde/recipe"
)

func (p *program) journalCommand() *cobra.Command {
	return p.noun("journal", "What changed about who may do what", p.journalTail(), p.journalSearch(), p.journalVerify(), p.journalExport())
}

// eventLine prints one event: as JSON, one line each, so that a stream can be read as it comes.
func (p *program) eventLine(event admin.Event) error {
	if p.asJSON {
		return json.NewEncoder(p.stdout).Encode(event)
	}
	who := event.Actor
	for _, about := range []struct{ noun, id string }{{"user", event.User}, {"client", event.Client}} {
		if about.id != "" && about.noun+":"+about.id != event.Actor {
			who += " " + about.noun + ":" + about.id
		}
	}
	detail := string(event.Detail)
	if detail == "{}" {
		detail = ""
	}
	_, err := fmt.Fprintf(p.stdout, "%s  %s  %s  %s\n", event.At.Local().Format("2006-01-02 15:04:05.000"), p.paint(green, printable(event.Kind)),
		printable(who), printable(detail))
	return err
}

func (p *program) journalTail() *cobra.Command {
	var last int
	var stay bool
	command := &cobra.Command{
		Use: "tail", Aliases: []string{"list"}, Short: "Print the newest entries, and go on with --follow", Args: words(0, 0, ""),
		RunE: p.with(func(ctx context.Context, r *remote, _ []string) error {
			events, err := all[admin.Event](ctx, r, "/journal?limit="+strconv.Itoa(min(max(last, 1), 500)), last)
			if err != nil {
				return err
			}
			events = events[:min(len(events), max(last, 0))]
			slices.Reverse(events)
			seen := map[string]bool{}
			from := time.Now()
			for {
				for _, event := range events {
					if seen[event.ID] {
						continue
					}
					seen[event.ID] = true
					if err := p.eventLine(event); err != nil {
						return err
					}
				}
				if !stay {
					return nil
				}
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(500 * time.Millisecond):
				}
				// A row may become visible a little after later ones: look back and leave out what was printed.
				query := url.Values{"order": {"oldest"}, "limit": {"500"}, "since": {from.Add(-10 * time.Second).UTC().Format(time.RFC3339Nano)}}
				if events, err = all[admin.Event](ctx, r, "/journal?"+query.Encode(), 0); err != nil {
					return err
				}
				from = time.Now()
			}
		}),
	}
	command.Flags().IntVarP(&last, "lines", "n", 20, "how many to begin with")
	command.Flags().BoolVarP(&stay, "follow", "f", false, "print what comes, until interrupted")
	return command
}

func (p *program) journalSearch() *cobra.Command {
	conditions := map[string]*string{}
	var since string
	var most int
	var oldest bool
	command := &cobra.Command{Use: "search", Short: "Find entries; all conditions must hold", Args: words(0, 0, "")}
	command.RunE = func(command *cobra.Command, args []string) error {
		query := url.Values{"limit": {strconv.Itoa(min(max(most, 1), 500))}}
		for name, value := range conditions {
			if *value != "" {
				query.Set(name, *value)
			}
		}
		if since != "" {
			ago, err := recipe.ParseDuration(since)
			if err != nil {
				return wrong(command, "--since: %v", err)
			}
			query.Set("since", time.Now().Add(-ago.Std()).UTC().Format(time.RFC3339Nano))
		}
		if oldest {
			query.Set("order", "oldest")
		}
		return p.with(func(ctx context.Context, r *remote, _ []string) error {
			if name := *conditions["user"]; name != "" {
				id, err := idOf(ctx, r, name)
				if err != nil {
					return err
				}
				query.Set("user", id)
			}
			events, err := all[admin.Event](ctx, r, "/journal?"+query.Encode(), most)
			if err != nil {
				return err
			}
			for _, event := range events[:min(len(events), most)] {
				if err := p.eventLine(event); err != nil {
					return err
				}
			}
			return nil
		})(command, args)
	}
	for name, help := range map[string]string{
		"kind": "such as token.issued", "user": "name or id of a person; of one who is gone, the id", "client": "id of a client", "session": "id of a session",
		"grant": "id of a grant", "trace": "trace id of an answer",
	} {
		conditions[name] = command.Flags().String(name, "", help)
	}
	command.Flags().StringVar(&since, "since", "", "not older than 90s, 5m, 12h or 30d")
	command.Flags().IntVarP(&most, "lines", "n", 100, "at most so many")
	command.Flags().BoolVar(&oldest, "oldest", false, "oldest first")
	return command
}

func (p *program) journalVerify() *cobra.Command {
	var against, export, key string
	command := &cobra.Command{
		Use: "verify", Short: "Prove that nothing in the journal was altered, or say exactly what was", Args: words(0, 0, ""),
		Long: "Proves every row against the Merkle tree and the tree against its signed head. --against proves that the journal is\n" +
			"a continuation of a checkpoint that was noted before. --export proves a file of garde journal export without any storage.",
	}
	command.RunE = func(command *cobra.Command, args []string) error {
		if export != "" {
			return p.verifyExport(export, key)
		}
		earlier := ""
		if against != "" {
			raw, err := os.ReadFile(against)
			if err != nil {
				return err
			}
			earlier = string(raw)
		}
		return p.with(func(ctx context.Context, r *remote, _ []string) error {
			var report notary.Report
			if err := r.call(ctx, http.MethodPost, "/journal/verification", map[string]string{"earlier": earlier}, &report); err != nil {
				return err
			}
			return p.sayReport(report)
		})(command, args)
	}
	command.Flags().StringVar(&against, "against", "", "file with an earlier checkpoint")
	command.Flags().StringVar(&export, "export", "", "verify this export, offline")
	command.Flags().StringVar(&key, "key", "", "the verifier key that was noted, for --export")
	return command
}

func (p *program) verifyExport(name, key string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read
	report, err := notary.VerifyExport(file, key)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if key == "" {
		p.say("The key comes from the export itself: compare it with one that you have noted, or pass --key.")
	}
	return p.sayReport(report)
}

func (p *program) sayReport(report notary.Report) error {
	err := p.show(report, func(t *table) {
		t.row("rows", report.Size)
		t.row("waiting", report.Unlisted)
		t.row("verifier", report.Verifier)
		t.row("proved", report.OK)
	})
	if err != nil {
		return err
	}
	for _, fault := range report.Faults {
		p.say("garde: %s", printable(fault))
	}
	if !report.OK {
		return errSaid
	}
	if !p.asJSON && report.Checkpoint != "" {
		fmt.Fprintf(p.stderr, "\nNote this checkpoint where nobody can change it:\n\n%s", report.Checkpoint)
	}
	return nil
}

func (p *program) journalExport() *cobra.Command {
	var from int64
	command := &cobra.Command{
		Use: "export [FILE]", Short: "Write the journal with its proofs, as JSON lines", Args: words(0, 1, ""),
		Long: "Writes the signed head and each row with the proof that it is in the tree. Personal fields are not in it.",
		RunE: p.with(func(ctx context.Context, r *remote, args []string) (err error) {
			response, err := r.send(ctx, http.MethodGet, "/journal/export?from="+strconv.FormatInt(from, 10), nil)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			out := p.stdout
			if len(args) == 1 {
				file, err := os.OpenFile(args[0], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if err != nil {
					return err
				}
				_, err = io.Copy(file, response.Body)
				return errors.Join(err, file.Close())
			}
			_, err = io.Copy(out, response.Body)
			return err
		}),
	}
	command.Flags().Int64Var(&from, "from", 0, "first row")
	return command
}
