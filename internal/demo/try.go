package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/demo/client"
)

// The request that the bank never makes twice a day: a token so old would be refused for its key, not for its age.
const keepsakeLife = 12 * time.Hour

// trial is one call of the Gate, right or wrong, and what it should come to.
type trial struct {
	Family string // of its words; empty: try
	Key    string // names its words
	Method string
	Path   string
	Header []string // as shown; never a whole token
	Good   bool     // whether it should be let through
	Needs  string   // words for what is missing before it can be tried

	send  http.Header
	body  []byte
	Reply client.Reply
}

// Words is the name of the words about it.
func (t trial) Words() string { return cmp.Or(t.Family, "try") + "." + t.Key }

// Right tells whether the Gate did what it should.
func (t trial) Right() bool {
	if t.Good {
		return t.Reply.OK()
	}
	return t.Reply.Failed == nil && t.Reply.Status >= 400 && t.Reply.Status < 500
}

// try makes all the trials just now, at once, and shows the real answers side by side.
func (b *Bank) try(w http.ResponseWriter, r *http.Request) error {
	shelf, err := b.shelf.read()
	if err != nil {
		return err
	}
	var token, id, expired, scope string
	if v := b.desk.visit(r); v != nil {
		// The refusal of a refresh ends the visit; the trials that need none still run.
		if token, err = b.token(r.Context(), v, ""); err != nil && !errors.Is(err, errEnded) {
			return err
		}
		if err == nil {
			v.mu.Lock()
			id, expired, scope = v.grant.ID, v.expired, v.grant.Scope
			v.mu.Unlock()
		}
	}
	trials := b.trials(token, id, scope)
	b.old(r.Context(), shelf, language(r), expired, &trials)
	b.night(r.Context(), &trials)
	var all sync.WaitGroup
	for i := range trials {
		t := &trials[i]
		if t.Needs != "" {
			continue
		}
		all.Go(func() {
			t.Reply = client.Call(r.Context(), b.web.HTTP, b.Site.Gate, t.Method, t.Path, t.send, t.body)
		})
	}
	all.Wait()
	b.show(w, r, http.StatusOK, "try.html", "try.title", map[string]any{"Trials": trials})
	return nil
}

// trials are those that need no more than the person's tokens.
func (b *Bank) trials(token, id, scope string) []trial {
	const forgedName = "somebody-else"
	own := []trial{
		{Key: "own", Path: "/balance", Good: true, Header: []string{"Authorization: Bearer " + short(token)}, send: client.Bearer(token)},
		{Key: "forged", Path: "/balance", Good: true,
			Header: []string{"Authorization: Bearer " + short(token), "Garde-Subject: " + forgedName},
			send:   http.Header{"Authorization": {"Bearer " + token}, "Garde-Subject": {forgedName}}},
		{Key: "scope", Method: http.MethodPost, Path: "/transfers", Header: []string{"Authorization: Bearer " + short(token)},
			send: client.Bearer(token), body: []byte(`{"from":"acc-1","to":"acc-2","cents":100}`)},
		{Key: "id", Path: "/balance", Header: []string{"Authorization: Bearer " + short(id)}, send: client.Bearer(id)},
	}
	if slices.Contains(strings.Fields(scope), "transfers.write") {
		own[2].Method, own[2].Path, own[2].body = "", "/statement", nil
	}
	if token == "" {
		for i := range own {
			own[i].Needs, own[i].Header = "try.needs", nil
		}
	}
	all := append([]trial{
		{Key: "open", Path: "/rates", Good: true},
		{Key: "none", Path: "/balance"},
		{Key: "wrong", Path: "/balance", Header: []string{"Authorization: Bearer nonsense"}, send: client.Bearer("nonsense")},
	}, own...)
	all = append(all, trial{Key: "unlisted", Path: "/admin/ledger", Header: nil, send: client.Bearer(token)})
	if token == "" {
		all[len(all)-1].send = nil
	} else {
		all[len(all)-1].Header = []string{"Authorization: Bearer " + short(token)}
	}
	for i := range all {
		if all[i].Method == "" {
			all[i].Method = http.MethodGet
		}
	}
	return all
}

// old adds the call with a token that was good once.
func (b *Bank) old(ctx context.Context, p *pages, lang, expired string, trials *[]trial) {
	t := trial{Key: "expired", Method: http.MethodGet, Path: "/balance"}
	var left time.Duration
	if expired == "" {
		var err error
		if expired, left, err = b.expired(ctx); err != nil {
			t.Needs = "try.noserver"
			b.log.WarnContext(ctx, "there is no token to let expire", "error", err)
		}
	}
	if left > 0 {
		t.Needs = p.text(lang, "try.wait", "span", p.span(lang, left))
	}
	t.Header, t.send = []string{"Authorization: Bearer " + short(expired)}, client.Bearer(expired)
	*trials = slices.Insert(*trials, 3, t)
}

// night adds the call that the bank makes for itself, for no person.
func (b *Bank) night(ctx context.Context, trials *[]trial) {
	t := trial{Key: "night", Method: http.MethodGet, Path: "/statement", Good: true}
	g, err := b.nightly.Itself(ctx, "statements.read")
	if err != nil {
		t.Needs = "try.noserver"
		b.log.WarnContext(ctx, "the nightly client got no token", "error", err)
	}
	t.Header, t.send = []string{"Authorization: Bearer " + short(g.Access)}, client.Bearer(g.Access)
	*trials = append(*trials, t)
}

// short shows as much of a token as helps to tell two apart, and too little to use.
func short(token string) string {
	if len(token) < 40 {
		return token[:min(4, len(token))] + "…"
	}
	return token[:6] + "…" + token[len(token)-4:]
}

// keepsake is a token that is kept until it has expired, and then shown to the Gate.
type keepsake struct {
	mu    sync.Mutex
	grant client.Grant
}

// expired gives a token that has run out, or how long one must still wait for it.
func (b *Bank) expired(ctx context.Context) (token string, left time.Duration, err error) {
	b.stale.mu.Lock()
	defer b.stale.mu.Unlock()
	file := filepath.Join(b.Dir, "expired-token.json")
	if b.stale.grant.Access == "" {
		if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &b.stale.grant) != nil {
			b.stale.grant = client.Grant{} // a damaged file is replaced
		}
	}
	if b.stale.grant.Access == "" || b.Now().Sub(b.stale.grant.Expires) > keepsakeLife {
		g, err := b.nightly.Itself(ctx, "statements.read")
		if err != nil {
			return "", 0, err
		}
		text, err := json.Marshal(g) //nolint:gosec // keeping the token is what the file is for; it is 0600
		if err != nil {
			return "", 0, err
		}
		b.stale.grant = g
		if err := client.WritePrivate(file, text); err != nil {
			return "", 0, err
		}
	}
	// Some grace, since clocks and their tolerance differ.
	left = b.stale.grant.Expires.Add(10 * time.Second).Sub(b.Now())
	return b.stale.grant.Access, max(0, left), nil
}
