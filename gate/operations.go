package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/fetch"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/level"
	"github.com/gardeauth/garde/internal/oauth"
)

// Operations says where the handlers that name an Operation learn what it asks for. Its zero value is nowhere: then each
// handler says it itself.
type Operations struct {
	// Rules applies what the list does not tell, at operations whose rules may ask for more at this moment or which serve
	// once: by asking the Server over AuthZEN, for example. What it returns refuses; an *Refused says how. Nil: such
	// operations are answered with 503, because this middleware evaluates no rules.
	Rules func(r *http.Request, operation string, facts Facts) error
	// Every is how often the list is read again (default 5 minutes). After three times as long without one, every operation
	// of the list is answered with 503.
	Every time.Duration

	api string
}

// FromServer takes what each operation asks for (scope, callers, level, freshness, binding) from the Server's list of the
// API of that name in the recipe: so the recipe is the one place in which it is said. Run reads the list.
func FromServer(api string) Operations { return Operations{api: api} }

// Refused is a refusal by Operations.Rules. With ACR or a positive MaxAge it asks for another sign-in (RFC 9470), else it is a 403.
type Refused struct {
	Say    string        // what the caller may read
	ACR    string        // level that would do
	MaxAge time.Duration // how long ago it may have been reached
}

// Error gives what the caller may read.
func (r *Refused) Error() string { return r.Say }

// Operation asks for what the Server's list says of an operation, as "POST /transfers"; it stands for itself, without other
// options.
func Operation(name string) Option { return func(n *need) { n.operation = name } }

// DefaultEvery is how often the Server's list is read again.
const DefaultEvery = 5 * time.Minute

// listing is the Server's list, and when it was read.
type listing struct {
	needs map[string]need
	until time.Time
}

// lists follows the list of one API.
type lists struct {
	api      string
	audience string
	place    string
	every    time.Duration
	fetcher  *fetch.Fetcher
	log      *slog.Logger
	now      func() time.Time
	known    atomic.Pointer[listing]
}

func (c *Config) lists(fetcher *fetch.Fetcher) *lists {
	if c.Operations.api == "" {
		return nil
	}
	every := c.Operations.Every
	if every <= 0 {
		every = DefaultEvery
	}
	return &lists{
		api: c.Operations.api, audience: c.Audience, place: strings.TrimSuffix(c.Issuer, "/") + "/apis/" + url.PathEscape(c.Operations.api),
		every: every, fetcher: fetcher, log: c.Log, now: c.Now,
	}
}

// run reads the list now and again, sooner while there is none.
func (l *lists) run(ctx context.Context) {
	for {
		wait := l.every
		if err := l.read(ctx); err != nil {
			wait = min(time.Second, l.every)
			if l.log != nil && ctx.Err() == nil {
				l.log.Warn("the operations can't be read", "api", l.api, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// told is the list as the Server writes it.
type told struct {
	API      string `json:"api"`
	Resource string `json:"resource"`
	Bound    bool   `json:"bound"`
	Levels   []struct {
		ACR string `json:"acr"`
	} `json:"levels"`
	Operations []struct {
		Name   string   `json:"operation"`
		Open   bool     `json:"open"`
		For    []string `json:"for"`
		Scope  string   `json:"scope"`
		ACR    string   `json:"acr"`
		Level  string   `json:"level"`
		MaxAge int64    `json:"max_age"`
		Detail string   `json:"authorization_details_type"`
		Rules  bool     `json:"rules"`
	} `json:"operations"`
}

func (l *lists) read(ctx context.Context) error {
	body, err := l.fetcher.Fetch(ctx, l.place)
	if err != nil {
		return err
	}
	var said told
	if err := jose.DecodeJSON(body, &said); err != nil {
		return err
	}
	// Else the list of another API, which may ask for less, would do for this one.
	if said.API != l.api || said.Resource != l.audience {
		return errors.New("the list is of another API")
	}
	next := listing{needs: make(map[string]need, len(said.Operations)), until: l.now().Add(3 * l.every)}
	var ladder level.Ladder
	for _, rung := range said.Levels {
		ladder = append(ladder, level.Level{Name: rung.ACR, ACR: rung.ACR})
	}
	for _, each := range said.Operations {
		n := need{
			operation: each.Name, scope: each.Scope, acr: each.ACR, fresh: time.Duration(each.MaxAge) * time.Second, open: each.Open,
			bound: said.Bound, more: each.Rules || each.Detail != "", ladder: ladder,
		}
		for _, kind := range each.For {
			n.people, n.clients = n.people || kind == "user", n.clients || kind == "client"
		}
		_, twice := next.needs[n.operation]
		switch {
		case twice || n.operation == "" || each.MaxAge < 0 || each.MaxAge > maxFresh:
			return errors.New("the list names an operation twice, or says something impossible of it")
		case n.open && (n.scope != "" || n.acr != "" || n.fresh != 0 || n.more || len(each.For) > 0):
			return fmt.Errorf("%s is open and asks for something", n.operation)
		case !n.open && (!oauth.ValidScopeName(n.scope) || !n.people && !n.clients):
			return fmt.Errorf("the list does not say for whom %s is", n.operation)
		case each.Level != "" && !ladder.Satisfied(n.acr, n.acr):
			return fmt.Errorf("the level of %s is not in the list", n.operation)
		}
		next.needs[n.operation] = n
	}
	l.known.Store(&next)
	return nil
}

const maxFresh = 10 * 365 * 86400 // seconds

// need finds what an operation asks for. Whatever is not known is refused.
func (l *lists) need(operation string) (need, *refusal) {
	known := l.known.Load()
	if known == nil || !l.now().Before(known.until) {
		return need{}, refuse(oauth.Unavailable("what this operation asks for is not known at the moment"))
	}
	found, ok := known.needs[operation]
	if !ok {
		return need{}, refuse(oauth.Unavailable("the recipe does not list this operation").Because(errors.New("no operation " + operation)))
	}
	return found, nil
}

// apply has the program apply the rules that the list does not tell.
func (g *Gate) apply(r *http.Request, n need, facts Facts) *refusal {
	if !n.more {
		return nil
	}
	if g.config.Operations.Rules == nil {
		return refuse(oauth.Unavailable("this operation has rules that can't be applied here").Because(
			errors.New("Operations.Rules is not set, and the operation has rules or a detail: put the Gate in front, or ask the Server")))
	}
	err := g.config.Operations.Rules(r, n.operation, facts)
	if err == nil {
		return nil
	}
	var refused *Refused
	if !errors.As(err, &refused) {
		return refuse(oauth.Unavailable("it can't be decided at the moment whether this is allowed").Because(err))
	}
	if refused.ACR == "" && refused.MaxAge <= 0 {
		return refuse(&oauth.Error{Code: "access_denied", Status: http.StatusForbidden, Description: refused.Say})
	}
	return need{acr: refused.ACR, fresh: refused.MaxAge}.stepUp("this operation needs more at this moment: ask for a token with the acr_values and max_age of this answer")
}
