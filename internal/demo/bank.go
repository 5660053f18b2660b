package demo

import (
	"cmp"
	"context"
	_ "embed" // the bank's icon
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

// What the web client asks for: only to read at first, and to move money once the person wants to.
const (
	readScope = "openid profile accounts.read"
	moveScope = readScope + " transfers.write"
)

// Bank is the bank's web site, a confidential client that keeps its tokens on the server and talks to the Gate for the
// browser. Site, Dir, Web and Nightly must be set before it serves.
type Bank struct {
	Site    Site
	Dir     string           // where it keeps a token that has expired, to show what the Gate says to it
	Web     *Key             // proves WebClient
	Nightly *Key             // proves ServiceClient
	Program string           // how this program is called from the reader's folder; empty: garde
	Log     *slog.Logger     // nil: silent
	Now     func() time.Time // nil: time.Now

	once    sync.Once
	shelf   shelf
	web     *party
	nightly *party
	desk    *desk
	mux     http.Handler
	stale   keepsake
}

// Run serves on a loopback listener until ctx ends; it refuses any other.
func (b *Bank) Run(ctx context.Context, l net.Listener) error {
	if _, err := b.shelf.read(); err != nil {
		return errors.Join(err, l.Close())
	}
	return serve(ctx, l, b)
}

// ServeHTTP answers under the bank's own name, and sends those who came to localhost there.
func (b *Bank) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.once.Do(b.prepare)
	own := strings.TrimPrefix(b.Site.Bank, "http://")
	switch _, port, _ := net.SplitHostPort(own); {
	case r.Host == own:
		b.mux.ServeHTTP(w, r)
	case r.Host == net.JoinHostPort("localhost", port) && r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/"):
		// The origin is fixed and a slash ends it, so what follows can lead nowhere else.
		to := url.URL{Scheme: "http", Host: own, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		redirect(w, to.String())
	default:
		headers(w.Header(), "")
		http.Error(w, "nobody of this name lives here", http.StatusMisdirectedRequest)
	}
}

func (b *Bank) prepare() {
	if b.Now == nil {
		b.Now = time.Now
	}
	if b.Log == nil {
		b.Log = slog.New(slog.DiscardHandler)
	}
	client := bounded()
	b.web = &party{id: WebClient, issuer: b.Site.Issuer, resource: b.Site.Gate, key: b.Web, http: client, now: b.Now}
	b.nightly = &party{id: ServiceClient, issuer: b.Site.Issuer, resource: b.Site.Gate, key: b.Nightly, http: client, now: b.Now}
	b.desk = &desk{now: b.Now}
	mux := http.NewServeMux()
	for pattern, page := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /{$}":        b.home,
		"GET /sign-in":    b.signIn,
		"GET /callback":   b.callback,
		"GET /accounts":   b.accounts,
		"POST /transfers": b.transfer,
		"GET /try":        b.try,
		"POST /sign-out":  b.signOut,
		"GET /signed-out": b.signedOut,
		"GET /language":   b.language,
		"GET /style.css":  b.style,
		"GET /icon.svg":   b.icon,
		"GET /jwks.json":  b.jwks,
		"/":               b.nowhere,
	} {
		mux.HandleFunc(pattern, b.face(page))
	}
	b.mux = http.NewCrossOriginProtection().Handler(mux)
}

// unasked is a request that the bank's own pages do not make.
var errUnasked = errors.New("the form did not come from a page of this visit")

// errEnded says that the person has to sign in again.
var errEnded = errors.New("the visit has ended")

// face tells a page's error to the person, once, and logs it, once.
func (b *Bank) face(page func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
		err := page(w, r)
		if err == nil {
			return
		}
		var no *denied
		var fake *forged
		switch {
		case errors.Is(err, errEnded):
			http.SetCookie(w, noCookie(visitCookie))
			redirect(w, "/?ended=1")
			return
		case errors.Is(err, errUnasked):
			b.message(w, r, http.StatusForbidden, "unasked", "", "")
		case errors.As(err, &fake):
			b.message(w, r, http.StatusBadRequest, "forged", "", fake.why)
		case errors.As(err, &no) && no.Code == "access_denied":
			b.message(w, r, http.StatusOK, "declined", no.Code, no.Description)
		case errors.As(err, &no):
			b.message(w, r, http.StatusBadGateway, "denied", no.Code, no.Description)
		default:
			b.message(w, r, http.StatusBadGateway, "down", "", "")
		}
		b.Log.WarnContext(r.Context(), "the bank could not go on", "path", r.URL.Path, "error", err)
	}
}

// message shows a page of one message; detail is a foreign text and is shown as such.
func (b *Bank) message(w http.ResponseWriter, r *http.Request, status int, key, code, detail string) {
	b.show(w, r, status, "message.html", key+".title", map[string]any{"Key": key, "Code": code, "Detail": shown([]byte(detail))})
}

func (b *Bank) show(w http.ResponseWriter, r *http.Request, status int, name, title string, page any) {
	shelf, err := b.shelf.read()
	if err != nil {
		b.Log.ErrorContext(r.Context(), "read the pages", "error", err)
		http.Error(w, "this page can't be shown", http.StatusInternalServerError)
		return
	}
	f := frame{
		Lang: language(r), Other: "fr", Path: place(r.URL.Path), Page: page,
		Issuer: b.Site.Issuer, Gate: b.Site.Gate, Bank: b.Site.Bank, Command: command(b.Program, b.Site),
	}
	if f.Lang == "fr" {
		f.Other = "en"
	}
	f.Title = shelf.text(f.Lang, title)
	if v := b.desk.visit(r); v != nil {
		f.SignedIn, f.Person, f.CSRF = true, v.name, v.csrf
	}
	shelf.show(w, status, name, f)
}

func (b *Bank) home(w http.ResponseWriter, r *http.Request) error {
	b.show(w, r, http.StatusOK, "home.html", "home.title", map[string]any{"Ended": r.URL.Query().Has("ended")})
	return nil
}

// signIn sends the browser to the Server, for more when the person wants to move money.
func (b *Bank) signIn(w http.ResponseWriter, r *http.Request) error {
	scope := readScope
	if r.URL.Query().Get("for") == "transfers" {
		scope = moveScope
	}
	a, address, err := b.web.begin(r.Context(), b.Site.Bank+"/callback", scope, oauth2.SetAuthURLParam("ui_locales", language(r)))
	if err != nil {
		return err
	}
	http.SetCookie(w, cookie(beginCookie, b.desk.begin(a), attemptLife))
	redirect(w, address)
	return nil
}

// callback takes the answer. It redirects on success, so that the code stays neither in the address nor in a page.
func (b *Bank) callback(w http.ResponseWriter, r *http.Request) error {
	a, ok := b.desk.take(r)
	http.SetCookie(w, noCookie(beginCookie))
	if !ok {
		return &forged{"this browser began no sign-in, or too long ago"}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &forged{"it can't be read"}
	}
	g, err := b.web.finish(r.Context(), a, query)
	if err != nil {
		return err
	}
	// A bank without the person's name still works; one that believes a false name does not.
	name, err := b.web.named(r.Context(), g)
	if fake := (*forged)(nil); errors.As(err, &fake) {
		return err
	}
	before := b.desk.visit(r)
	v := b.desk.open(r, g, name)
	if before != nil && before.subject() == g.Subject {
		v.order, v.expired = before.order, before.expired
	}
	http.SetCookie(w, cookie(visitCookie, v.id, 0))
	redirect(w, "/accounts")
	return nil
}

// token gives an access token that lives; renew asks for a new one whatever the clock says. Whoever comes while another
// is refreshing waits for it and takes the same.
func (b *Bank) token(ctx context.Context, v *visit, spent string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	alive := b.Now().Before(v.grant.Expires.Add(-5 * time.Second))
	if alive && v.grant.Access != spent {
		return v.grant.Access, nil
	}
	if v.grant.Refresh == "" {
		b.desk.end(v)
		return "", errEnded
	}
	renewed, err := b.web.renew(ctx, v.grant)
	if no := (*denied)(nil); errors.As(err, &no) && no.Code == "invalid_grant" {
		b.desk.end(v)
		return "", errEnded
	}
	if err != nil {
		return "", err
	}
	if !alive {
		v.expired = v.grant.Access
	}
	v.grant = renewed
	return renewed.Access, nil
}

// ask calls the Gate for the person. A token that was revoked is tried to be renewed, once.
func (b *Bank) ask(ctx context.Context, v *visit, method, path string, body []byte) (reply, error) {
	token, err := b.token(ctx, v, "")
	if err != nil {
		return reply{}, err
	}
	back := call(ctx, b.web.http, b.Site.Gate, method, path, bearer(token), body)
	if back.Status == http.StatusUnauthorized {
		if token, err = b.token(ctx, v, token); err != nil {
			return reply{}, err
		}
		back = call(ctx, b.web.http, b.Site.Gate, method, path, bearer(token), body)
	}
	if back.Failed != nil {
		return back, fmt.Errorf("call the Gate: %w", back.Failed)
	}
	return back, nil
}

// signOut ends the visit here and sends the browser to the Server to end its session there (RP-Initiated Logout 1.0).
func (b *Bank) signOut(w http.ResponseWriter, r *http.Request) error {
	v, err := b.form(r)
	if err != nil {
		return err
	}
	b.desk.end(v)
	http.SetCookie(w, noCookie(visitCookie))
	g := v.held()
	if err := b.web.revoke(r.Context(), g.Refresh); err != nil {
		b.Log.WarnContext(r.Context(), "the refresh token was not revoked", "error", err)
	}
	known, err := b.web.discover(r.Context())
	if err != nil || known.meta.Logout == "" {
		redirect(w, "/signed-out")
		return nil
	}
	redirect(w, known.meta.Logout+"?"+url.Values{
		"id_token_hint": {g.ID}, "client_id": {WebClient}, "ui_locales": {language(r)},
		"post_logout_redirect_uri": {b.Site.Bank + "/signed-out"},
	}.Encode())
	return nil
}

func (b *Bank) signedOut(w http.ResponseWriter, r *http.Request) error {
	b.message(w, r, http.StatusOK, "out", "", "")
	return nil
}

// form admits a form that one of this visit's pages sent.
func (b *Bank) form(r *http.Request) (*visit, error) {
	v := b.desk.visit(r)
	if v == nil {
		return nil, errEnded
	}
	if err := r.ParseForm(); err != nil {
		return nil, errors.Join(errUnasked, err)
	}
	for _, values := range r.PostForm {
		if len(values) != 1 {
			return nil, errUnasked
		}
	}
	if !v.meant(r) {
		return nil, errUnasked
	}
	return v, nil
}

func (b *Bank) language(w http.ResponseWriter, r *http.Request) error {
	if to := r.URL.Query().Get("to"); to == "en" || to == "fr" {
		http.SetCookie(w, cookie("bank_lang", to, 365*24*time.Hour))
	}
	redirect(w, place(r.URL.Query().Get("back")))
	return nil
}

// place admits only the bank's own pages that can be gone back to.
func place(path string) string {
	switch path {
	case "/accounts", "/try", "/signed-out":
		return path
	}
	return "/"
}

//go:embed files/icon.svg
var icon []byte

func (b *Bank) icon(w http.ResponseWriter, _ *http.Request) error {
	headers(w.Header(), "")
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "max-age=86400")
	_, err := w.Write(icon)
	return err
}

func (b *Bank) style(w http.ResponseWriter, r *http.Request) error {
	shelf, err := b.shelf.read()
	if err != nil {
		return err
	}
	headers(w.Header(), "")
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, err = w.Write(shelf.style)
	return err
}

func (b *Bank) jwks(w http.ResponseWriter, _ *http.Request) error {
	headers(w.Header(), "")
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, err := w.Write(b.Web.JWKS())
	return err
}

func (b *Bank) nowhere(w http.ResponseWriter, r *http.Request) error {
	b.message(w, r, http.StatusNotFound, "nowhere", "", "")
	return nil
}

func redirect(w http.ResponseWriter, address string) {
	headers(w.Header(), "")
	w.Header().Set("Location", cmp.Or(address, "/"))
	w.WriteHeader(http.StatusSeeOther)
}

func (v *visit) subject() string { return v.held().Subject }

func (v *visit) held() grant {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.grant
}
