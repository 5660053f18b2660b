package demo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/gardeauth/garde/internal/demo/client"
	"github.com/gardeauth/garde/internal/demo/doorman"
)

// What the web client asks for: only to read at first, and to move money once the person wants to.
const (
	readScope = "openid profile accounts.read"
	moveScope = readScope + " transfers.write"
	addScope  = readScope + " recipients.write"
	payScope  = readScope + " payments.write"
)

// Bank is the bank's web site, a confidential client that keeps its tokens on the server and talks to the Gate for the
// browser. Site, Dir, Web and Nightly must be set before it serves.
type Bank struct {
	Site    Site
	Dir     string           // where it keeps a token that has expired, to show what the Gate says to it
	Web     *client.Key      // proves WebClient
	Nightly *client.Key      // proves ServiceClient
	Admin   string           // socket of the Server's administration, where its decisions are read; empty: they are not shown
	Where   *doorman.Where   // where the person seems to be; nil: here
	Program string           // how this program is called from the reader's folder; empty: garde
	Log     *slog.Logger     // nil: silent
	Now     func() time.Time // nil: time.Now

	front

	once    sync.Once
	nightly *client.Client
	stale   keepsake
}

// Run serves on a loopback listener until ctx ends; it refuses any other.
func (b *Bank) Run(ctx context.Context, l net.Listener) error { return b.run(ctx, l, b) }

// ServeHTTP answers under the bank's own name, and sends those who came to localhost there.
func (b *Bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.once.Do(b.prepare)
	b.answer(w, r)
}

func (b *Bank) prepare() {
	if b.Now == nil {
		b.Now = time.Now
	}
	web := client.NewHTTP()
	b.nightly = &client.Client{ID: ServiceClient, Issuer: b.Site.Issuer, Resource: b.Site.Gate, Key: b.Nightly, HTTP: web, Now: b.Now}
	b.house, b.own, b.enter, b.inside = "bank", b.Site.Bank, "/sign-in", "/accounts"
	b.back = []string{"/accounts", "/recipients", "/decisions", "/try", "/signed-out"}
	b.web = &client.Client{ID: WebClient, Issuer: b.Site.Issuer, Resource: b.Site.Gate, Key: b.Web, HTTP: web, Now: b.Now}
	b.site, b.program, b.log, b.now = b.Site, b.Program, b.Log, b.Now
	b.open(map[string]page{
		"GET /{$}":         b.home,
		"GET /sign-in":     b.signIn,
		"GET /callback":    b.callback,
		"GET /accounts":    b.accounts,
		"POST /transfers":  b.transfer,
		"GET /recipients":  b.recipients,
		"POST /recipients": b.addRecipient,
		"POST /payments":   b.pay,
		"GET /decisions":   b.decisions,
		"POST /where":      b.move,
		"GET /try":         b.try,
		"POST /sign-out":   b.signOut,
		"GET /signed-out":  b.signedOut,
	})
}

func (b *Bank) home(w http.ResponseWriter, r *http.Request) error {
	b.show(w, r, http.StatusOK, "home.html", "home.title", map[string]any{"Ended": r.URL.Query().Has("ended")})
	return nil
}

// signIn sends the browser to the Server, for more when the person wants to move money, and to prove more when the Gate
// has said what is missing (RFC 9470 section 4).
func (b *Bank) signIn(w http.ResponseWriter, r *http.Request) error {
	scope, options := readScope, []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("ui_locales", language(r))}
	if r.URL.Query().Get("for") == "transfers" {
		scope = moveScope
		if v := b.desk.visit(r); v != nil {
			step := v.asked()
			if step.ACR != "" {
				options = append(options, oauth2.SetAuthURLParam("acr_values", step.ACR))
			}
			if step.MaxAge != "" {
				options = append(options, oauth2.SetAuthURLParam("max_age", step.MaxAge))
			}
		}
	}
	a, address, err := b.web.Begin(r.Context(), b.Site.Bank+"/callback", scope, options...)
	if err != nil {
		return err
	}
	b.send(w, r, a, address, nil)
	return nil
}

// callback takes the answer. It redirects on success, so that the code stays neither in the address nor in a page.
func (b *Bank) callback(w http.ResponseWriter, r *http.Request) error {
	g, errand, err := b.answered(w, r)
	if err != nil {
		return err
	}
	if errand != nil {
		return b.do(w, r, g, errand)
	}
	// A bank without the person's name still works; one that believes a false name does not.
	name, err := b.web.Named(r.Context(), g)
	if fake := (*client.Forged)(nil); errors.As(err, &fake) {
		return err
	}
	before := b.desk.visit(r)
	v := b.desk.open(r, g, name)
	if before != nil && before.subject() == g.Subject {
		v.order, v.expired = before.order, before.expired
	}
	http.SetCookie(w, cookie(b.desk.visitCookie(), v.id, 0))
	if v.order.Cents > 0 { // they were about to move money
		redirect(w, b.inside+"#move")
		return nil
	}
	redirect(w, b.inside)
	return nil
}

// signOut ends the visit here and sends the browser to the Server to end its session there (RP-Initiated Logout 1.0).
func (b *Bank) signOut(w http.ResponseWriter, r *http.Request) error {
	v, err := b.form(r)
	if err != nil {
		return err
	}
	b.leave(w, r, v)
	logout := b.web.Logout(r.Context())
	if logout == "" {
		redirect(w, "/signed-out")
		return nil
	}
	redirect(w, logout+"?"+url.Values{
		"id_token_hint": {v.held().ID}, "client_id": {WebClient}, "ui_locales": {language(r)},
		"post_logout_redirect_uri": {b.Site.Bank + "/signed-out"},
	}.Encode())
	return nil
}

func (b *Bank) signedOut(w http.ResponseWriter, r *http.Request) error {
	b.message(w, r, http.StatusOK, "out", "", "")
	return nil
}
