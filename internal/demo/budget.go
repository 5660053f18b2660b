package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/gardeauth/garde/internal/demo/accounts"
	"github.com/gardeauth/garde/internal/demo/client"
)

const (
	budgetScope = "openid accounts.read"
	// informed is how long a person lets Budget look.
	informed = 90 * 24 * time.Hour

	// What Budget keeps beside its own key: the key of its tokens, and what it was given last.
	boundKey  = "budget-bound"
	grantFile = "budget-grant.json"
)

// Budget is an account aggregator: a web site of another company, to which people show what they have at their banks. It
// pushes what it asks for (RFC 9126), proves itself by a key (RFC 7523) and binds its tokens to another (RFC 9449), asks
// for balances until a day and for no more (RFC 9396), and then shows what its tokens are worth to a thief. Site, Dir and
// Keys must be set before it serves.
type Budget struct {
	Site Site
	Dir  string // where it keeps what it was given last, for Steal
	Keys Keys
	Log  *slog.Logger     // nil: silent
	Now  func() time.Time // nil: time.Now

	front

	once sync.Once
}

// Run serves on a loopback listener until ctx ends; it refuses any other.
func (b *Budget) Run(ctx context.Context, l net.Listener) error { return b.run(ctx, l, b) }

// ServeHTTP answers under Budget's own name, and sends those who came to localhost there.
func (b *Budget) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.once.Do(b.prepare)
	b.answer(w, r)
}

func (b *Budget) prepare() {
	if b.Now == nil {
		b.Now = time.Now
	}
	b.house, b.own, b.enter, b.inside = "budget", b.Site.Budget, "/connect", "/overview"
	b.back = []string{"/overview", "/theft"}
	b.web = aggregator(b.Site, b.Keys, b.Now)
	b.site, b.log, b.now = b.Site, b.Log, b.Now
	b.open(map[string]page{
		"GET /{$}":         b.home,
		"GET /connect":     b.connect,
		"GET /callback":    b.callback,
		"GET /overview":    b.overview,
		"GET /theft":       b.theft,
		"POST /disconnect": b.disconnect,
	})
}

// aggregator is Budget in its dealings with Server and Gate.
func aggregator(site Site, keys Keys, now func() time.Time) *client.Client {
	return &client.Client{
		ID: BudgetClient, Issuer: site.Issuer, Resource: site.Gate, Key: keys.Budget, Proof: keys.Bound, HTTP: client.NewHTTP(), Now: now,
	}
}

func (b *Budget) home(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	b.show(w, r, http.StatusOK, "budget.html", "budget.title", map[string]any{"Ended": query.Has("ended"), "Out": query.Has("out")})
	return nil
}

// connect asks for the balances, and for nothing else, until a day that the person reads at consent.
func (b *Budget) connect(w http.ResponseWriter, r *http.Request) error {
	until := b.now().Add(informed).UTC().Format(time.DateOnly)
	details, err := json.Marshal([]accounts.Information{{Type: "account_information", Until: until}})
	if err != nil {
		return err
	}
	a, address, err := b.web.Begin(r.Context(), b.own+"/callback", budgetScope,
		oauth2.SetAuthURLParam("authorization_details", string(details)), oauth2.SetAuthURLParam("ui_locales", language(r)))
	if err != nil {
		return err
	}
	b.send(w, r, a, address, nil)
	return nil
}

// callback takes the answer. It asks nobody for the person's name: Budget needs none.
func (b *Budget) callback(w http.ResponseWriter, r *http.Request) error {
	g, _, err := b.answered(w, r)
	if err != nil {
		return err
	}
	if err := keepGrant(b.Dir, g); err != nil {
		return err
	}
	http.SetCookie(w, cookie(b.desk.visitCookie(), b.desk.open(r, g, "").id, 0))
	redirect(w, b.inside)
	return nil
}

func (b *Budget) overview(w http.ResponseWriter, r *http.Request) error {
	v := b.desk.visit(r)
	if v == nil {
		return errEnded
	}
	back, err := b.ask(r.Context(), v, http.MethodGet, "/balance", nil)
	if err != nil {
		return err
	}
	if !back.OK() {
		b.show(w, r, http.StatusOK, "refused.html", "refused.title", map[string]any{"Reply": back})
		return nil
	}
	var total accounts.Balances
	if err := json.Unmarshal(back.Raw, &total); err != nil || len(total.Accounts) == 0 {
		return errors.Join(errors.New("the accounts API's answer can't be read"), err)
	}
	// What the API shows goes through the same Gate; that the person did not allow more is the API's to say.
	entries, err := b.ask(r.Context(), v, http.MethodGet, "/accounts/"+total.Accounts[0].ID, nil)
	if err != nil {
		return err
	}
	claims := peek(v.held().Access)
	cnf, _ := claims["cnf"].(map[string]any)
	b.show(w, r, http.StatusOK, "overview.html", "overview.title", map[string]any{
		"Total": total, "Entries": entries, "Thumbprint": cnf["jkt"], "Key": b.Keys.Bound.ID,
	})
	return nil
}

// theft makes the calls of a thief, and of Budget itself, with the token of this visit.
func (b *Budget) theft(w http.ResponseWriter, r *http.Request) error {
	v := b.desk.visit(r)
	if v == nil {
		return errEnded
	}
	token, err := b.token(r.Context(), v, "")
	if err != nil {
		return err
	}
	trials, err := thefts(r.Context(), b.web, token)
	if err != nil {
		return err
	}
	b.show(w, r, http.StatusOK, "theft.html", "theft.title", map[string]any{"Trials": trials, "Right": right(trials)})
	return nil
}

// disconnect ends the grant at the Server and forgets it here. The person stays signed in at the bank.
func (b *Budget) disconnect(w http.ResponseWriter, r *http.Request) error {
	v, err := b.form(r)
	if err != nil {
		return err
	}
	b.leave(w, r, v)
	if err := os.Remove(filepath.Join(b.Dir, grantFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget what Budget was given: %w", err)
	}
	redirect(w, "/?out=1")
	return nil
}

func keepGrant(dir string, g client.Grant) error {
	text, err := json.Marshal(g) //nolint:gosec // keeping the tokens is what the file is for; it is 0600
	if err != nil {
		return fmt.Errorf("keep what Budget was given: %w", err)
	}
	return client.WritePrivate(filepath.Join(dir, grantFile), append(text, '\n'))
}
