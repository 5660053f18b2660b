package cli

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
)

// explanation is all that is known of a trace id.
type explanation struct {
	Trace   string         `json:"trace"`
	Refusal *admin.Refusal `json:"refusal,omitempty"`
	Events  []admin.Event  `json:"events"`
}

func (p *program) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain TRACE-ID", Short: "Say why something was refused", Args: words(1, 1, "the TRACE-ID that the answer showed"),
		Long: "Tells what the Server or the Gate of this machine remembers of a trace id, and what the journal holds of it. Every\n" +
			"refusal shows its trace id: in the header Garde-Trace, in its JSON, or at the foot of the page. Each process remembers\n" +
			"its latest 20000 refusals until it ends; its log (records of \"msg\":\"refused\") holds older ones.",
		RunE: p.explain,
	}
}

func (p *program) explain(command *cobra.Command, args []string) error {
	node, err := p.node()
	if err != nil {
		return err
	}
	if refusal := refusedByGate(command.Context(), node, args[0]); refusal != nil {
		return p.sayExplanation(explanation{Trace: args[0], Refusal: refusal, Events: []admin.Event{}})
	}
	return p.with(func(ctx context.Context, r *remote, args []string) error {
		found := explanation{Trace: args[0]}
		var refusal admin.Refusal
		err := r.call(ctx, http.MethodGet, "/refusals/"+url.PathEscape(args[0]), nil, &refusal)
		var said *problem
		switch {
		case err == nil:
			found.Refusal = &refusal
		case !errors.As(err, &said) || (said.Status != http.StatusNotFound && said.Status != http.StatusNotImplemented):
			return err
		}
		if found.Events, err = all[admin.Event](ctx, r, "/journal?trace="+url.QueryEscape(args[0]), 100); err != nil {
			return err
		}
		if found.Refusal == nil && len(found.Events) == 0 {
			return &problem{Detail: "nothing is known of the trace id " + args[0] + ": ask the node that answered, or search its log for it"}
		}
		return p.sayExplanation(found)
	})(command, args)
}

func (p *program) sayExplanation(found explanation) error {
	if p.asJSON {
		return p.printJSON(found)
	}
	if found.Refusal != nil {
		if err := p.show(nil, func(t *table) {
			t.row("at", found.Refusal.At)
			for _, name := range slices.Sorted(maps.Keys(found.Refusal.Fields)) {
				t.row(name, found.Refusal.Fields[name])
			}
		}); err != nil {
			return err
		}
	}
	for _, event := range found.Events {
		if err := p.eventLine(event); err != nil {
			return err
		}
	}
	return nil
}
