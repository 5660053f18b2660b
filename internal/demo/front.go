package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/demo/client"
	"github.com/gardeauth/garde/internal/demo/local"
)

// front is what the two web sites of the demonstration have in common: a name of their own, pages in two languages,
// visits whose tokens stay on the server, and forms that only their own pages can send.
type front struct {
	house   string   // bank or budget: whose pages and cookies these are
	own     string   // base URL
	enter   string   // where a visit begins
	inside  string   // where a visitor is at home
	back    []string // pages that can be gone back to
	web     *client.Client
	site    Site
	program string
	log     *slog.Logger
	now     func() time.Time

	desk  *desk
	shelf shelf
	mux   http.Handler
}

// page answers one request; its error is told by the front.
type page = func(http.ResponseWriter, *http.Request) error

// open fills in what the caller left out, and takes the site's own pages beside those that every site has.
func (f *front) open(own map[string]page) {
	if f.now == nil {
		f.now = time.Now
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	f.desk = &desk{now: f.now, house: f.house}
	mux := http.NewServeMux()
	for _, pages := range []map[string]page{own, {
		"GET /language": f.language, "GET /style.css": f.style, "GET /icon.svg": f.icon, "GET /jwks.json": f.jwks, "/": f.nowhere,
	}} {
		for pattern, page := range pages {
			mux.HandleFunc(pattern, f.face(page))
		}
	}
	f.mux = http.NewCrossOriginProtection().Handler(mux)
}

// run serves h on a loopback listener until ctx ends; it refuses any other.
func (f *front) run(ctx context.Context, l net.Listener, h http.Handler) error {
	if _, err := f.shelf.read(); err != nil {
		return errors.Join(err, l.Close())
	}
	return local.Serve(ctx, l, h)
}

// answer serves those who came under the site's own name, and sends those who came to localhost there.
func (f *front) answer(w http.ResponseWriter, r *http.Request) {
	own := strings.TrimPrefix(f.own, "http://")
	switch _, port, _ := net.SplitHostPort(own); {
	case r.Host == own:
		f.mux.ServeHTTP(w, r)
	case r.Host == net.JoinHostPort("localhost", port) && r.Method == http.MethodGet && strings.HasPrefix(r.URL.Path, "/"):
		// The origin is fixed and a slash ends it, so what follows can lead nowhere else.
		to := url.URL{Scheme: "http", Host: own, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		redirect(w, to.String())
	default:
		headers(w.Header(), "")
		http.Error(w, "nobody of this name lives here", http.StatusMisdirectedRequest)
	}
}

// unasked is a request that the site's own pages do not make.
var errUnasked = errors.New("the form did not come from a page of this visit")

// errEnded says that the person has to sign in again.
var errEnded = errors.New("the visit has ended")

// face tells a page's error to the person, once, and logs it, once.
func (f *front) face(page page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r = r.WithContext(client.Speaking(r.Context(), language(r)))
		r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
		err := page(w, r)
		if err == nil {
			return
		}
		var no *client.Denied
		var fake *client.Forged
		switch {
		case errors.Is(err, errEnded):
			http.SetCookie(w, noCookie(f.desk.visitCookie()))
			redirect(w, "/?ended=1")
			return
		case errors.Is(err, errUnasked):
			f.message(w, r, http.StatusForbidden, "unasked", "", "")
		case errors.As(err, &fake):
			f.message(w, r, http.StatusBadRequest, "forged", "", fake.Why)
		case errors.As(err, &no) && no.Code == "access_denied":
			f.message(w, r, http.StatusOK, "declined", no.Code, no.Description)
		case errors.As(err, &no):
			f.message(w, r, http.StatusBadGateway, "denied", no.Code, no.Description)
		default:
			f.message(w, r, http.StatusBadGateway, "down", "", "")
		}
		f.log.WarnContext(r.Context(), "the site could not go on", "site", f.house, "path", r.URL.Path, "error", err)
	}
}

// message shows a page of one message; detail is a foreign text and is shown as such.
func (f *front) message(w http.ResponseWriter, r *http.Request, status int, key, code, detail string) {
	f.show(w, r, status, "message.html", key+".title", map[string]any{"Key": key, "Code": code, "Detail": client.Readable([]byte(detail))})
}

func (f *front) show(w http.ResponseWriter, r *http.Request, status int, name, title string, page any) {
	shelf, err := f.shelf.read()
	if err != nil {
		f.log.ErrorContext(r.Context(), "read the pages", "error", err)
		http.Error(w, "this page can't be shown", http.StatusInternalServerError)
		return
	}
	about := frame{
		House: f.house, Enter: f.enter, Inside: f.inside, Lang: language(r), Other: "fr", Path: f.place(r.URL.Path), Page: page,
		Site: f.site, Command: command(f.program, "cli", f.site),
	}
	if about.Lang == "fr" {
		about.Other = "en"
	}
	about.Title = shelf.text(about.Lang, title)
	if v := f.desk.visit(r); v != nil {
		about.SignedIn, about.Person, about.CSRF = true, v.name, v.csrf
	}
	shelf.show(w, status, name, about)
}

// send begins a sign-in and sends the browser to the Server.
func (f *front) send(w http.ResponseWriter, r *http.Request, a client.Attempt, address string, errand *errand) {
	http.SetCookie(w, cookie(f.desk.beginCookie(), f.desk.begin(attempt{a, errand}), attemptLife))
	redirect(w, address)
}

// answered takes the Server's answer to what this browser began, and fetches the tokens. The errand is what they are for; nil:
// for a visit.
func (f *front) answered(w http.ResponseWriter, r *http.Request) (client.Grant, *errand, error) {
	a, ok := f.desk.take(r)
	http.SetCookie(w, noCookie(f.desk.beginCookie()))
	if !ok {
		return client.Grant{}, nil, &client.Forged{Why: "this browser began no sign-in, or too long ago"}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return client.Grant{}, nil, &client.Forged{Why: "it can't be read"}
	}
	g, err := f.web.Finish(r.Context(), a.Attempt, query)
	return g, a.errand, err
}

// token gives an access token that lives; spent is one that is not to be given whatever the clock says. Whoever comes
// while another is refreshing waits for it and takes the same.
func (f *front) token(ctx context.Context, v *visit, spent string) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	alive := f.now().Before(v.grant.Expires.Add(-5 * time.Second))
	if alive && v.grant.Access != spent {
		return v.grant.Access, nil
	}
	if v.grant.Refresh == "" {
		f.desk.end(v)
		return "", errEnded
	}
	renewed, err := f.web.Renew(ctx, v.grant)
	if no := (*client.Denied)(nil); errors.As(err, &no) && no.Code == "invalid_grant" {
		f.desk.end(v)
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
func (f *front) ask(ctx context.Context, v *visit, method, path string, body []byte) (client.Reply, error) {
	token, err := f.token(ctx, v, "")
	if err != nil {
		return client.Reply{}, err
	}
	back := f.web.Call(ctx, method, path, token, body)
	// A new token for the same sign-in is of no use where the sign-in is not enough.
	if back.Status == http.StatusUnauthorized && !back.StepUp().Wanted {
		if token, err = f.token(ctx, v, token); err != nil {
			return client.Reply{}, err
		}
		back = f.web.Call(ctx, method, path, token, body)
	}
	if back.Failed != nil {
		return back, fmt.Errorf("call the Gate: %w", back.Failed)
	}
	return back, nil
}

// form admits a form that one of this visit's pages sent.
func (f *front) form(r *http.Request) (*visit, error) {
	v := f.desk.visit(r)
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

// leave ends a visit here, and its grant at the Server.
func (f *front) leave(w http.ResponseWriter, r *http.Request, v *visit) {
	f.desk.end(v)
	http.SetCookie(w, noCookie(f.desk.visitCookie()))
	if err := f.web.Revoke(r.Context(), v.held().Refresh); err != nil {
		f.log.WarnContext(r.Context(), "the refresh token was not revoked", "error", err)
	}
}

func (f *front) language(w http.ResponseWriter, r *http.Request) error {
	if to := r.URL.Query().Get("to"); to == "en" || to == "fr" {
		http.SetCookie(w, cookie(languageCookie, to, 365*24*time.Hour))
	}
	redirect(w, f.place(r.URL.Query().Get("back")))
	return nil
}

// place admits only the site's own pages that can be gone back to.
func (f *front) place(path string) string {
	if slices.Contains(f.back, path) {
		return path
	}
	return "/"
}

func (f *front) icon(w http.ResponseWriter, _ *http.Request) error {
	drawn, err := assets.ReadFile("files/" + f.house + ".svg")
	if err != nil {
		return err
	}
	headers(w.Header(), "")
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "max-age=86400")
	_, err = w.Write(drawn)
	return err
}

func (f *front) style(w http.ResponseWriter, _ *http.Request) error {
	shelf, err := f.shelf.read()
	if err != nil {
		return err
	}
	headers(w.Header(), "")
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	_, err = w.Write(shelf.style)
	return err
}

func (f *front) jwks(w http.ResponseWriter, _ *http.Request) error {
	headers(w.Header(), "")
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, err := w.Write(f.web.Key.JWKS())
	return err
}

func (f *front) nowhere(w http.ResponseWriter, r *http.Request) error {
	f.message(w, r, http.StatusNotFound, "nowhere", "", "")
	return nil
}

func redirect(w http.ResponseWriter, address string) {
	headers(w.Header(), "")
	w.Header().Set("Location", cmp.Or(address, "/"))
	w.WriteHeader(http.StatusSeeOther)
}
