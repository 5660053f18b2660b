package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gardeauth/garde/internal/admin"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/journal"
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
		say := p.eventLine
		if event.Kind == string(journal.Decided{}.Kind()) {
			say = p.decisionLines
		}
		if err := say(event); err != nil {
			return err
		}
	}
	return nil
}

// decisionLines tell a decision so that somebody at a help desk can read it to who was refused.
func (p *program) decisionLines(event admin.Event) error {
	var made journal.Decided
	if err := json.Unmarshal(event.Detail, &made); err != nil {
		return p.eventLine(event)
	}
	return p.show(nil, func(t *table) {
		row := func(name, value string) {
			if value != "" {
				t.row(name, value)
			}
		}
		t.row("decided", event.At)
		row("decision", map[string]string{"permit": "permitted", "step_up": "more had to be proved", "deny": "refused"}[made.Verdict])
		row("asked for", cmp.Or(strings.TrimSpace(made.Operation+" "+made.API), "an authorization at the door "+made.Door))
		row("user", event.User)
		row("client", event.Client)
		needed := cmp.Or(made.Level, "no level")
		if made.Fresh > 0 {
			needed += ", proved within " + (time.Duration(made.Fresh) * time.Second).String()
		}
		row("needed", needed)
		row("reached", cmp.Or(made.Reached, "nothing"))
		if made.Score > 0 || len(made.Signals) > 0 {
			row("risk", strconv.FormatInt(made.Score, 10)+" of 100: "+strings.Join(signals(event, made), ", "))
		}
		for _, place := range made.Rules {
			row("rule", place)
		}
		for _, why := range slices.Concat(made.Say, strings.Split(event.Personal[decide.PersonalSigns], "\n")) {
			row("because", why)
		}
		row("enough", event.Personal[decide.PersonalEnough])
	})
}

// signals are the signs of risk with their points, where these have not been erased.
func signals(event admin.Event, made journal.Decided) []string {
	before, err := decide.Unmarshal(decided(event))
	if err != nil {
		return made.Signals
	}
	var named []string
	for _, finding := range before.Question.Risk.Findings {
		named = append(named, finding.Name+" +"+strconv.Itoa(finding.Points))
	}
	return named
}

// decided is an entry as the rooms below know it.
func decided(event admin.Event) journal.Event {
	return journal.Event{
		ID: event.ID, At: event.At, Kind: journal.Kind(event.Kind), Actor: event.Actor, Client: event.Client, User: event.User,
		Session: event.Session, Grant: event.Grant, Trace: event.Trace, Detail: event.Detail, Personal: event.Personal,
	}
}
