package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/recipe"
)

// desk is a keeper on SQLite whose clock a test sets.
type desk struct {
	*session.Keeper
	t      *testing.T
	tenant *sqlstore.Tenant
	time   time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, time: time.Date(2026, 11, 23, 12, 0, 0, 900_000_000, time.UTC)}
	now := func() time.Time { return d.time }
	kept, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "garde.db"), store.Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	d.tenant = kept.Tenant(iam.DefaultTenant)
	d.Keeper = &session.Keeper{
		Sessions: d.tenant, Lives: func() recipe.Lives { return recipe.Lifetimes{}.Lives() }, Secure: true, Now: now,
		Reached: func([]iam.Proved) string { return "urn:basic" },
	}
	for _, name := range []string{"alice", "bob"} {
		if err := d.tenant.AddUser(t.Context(), iam.User{ID: name, Username: name}, iam.Password{User: name}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// carrying is a request that carries cookies.
func carrying(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, cookie := range cookies {
		r.AddCookie(cookie)
	}
	return r
}

func (d *desk) start(user string, r *http.Request) (iam.Session, *http.Cookie) {
	d.t.Helper()
	w := httptest.NewRecorder()
	begun, err := d.Start(w, r, session.Proof{User: user, Proofs: []iam.Proved{{Factor: "password", At: d.time, Methods: []string{"pwd"}}}, Agent: "Firefox", Address: "192.0.2.1"}, "trace")
	if err != nil {
		d.t.Fatal(err)
	}
	return begun, w.Result().Cookies()[0]
}

func (d *desk) is(r *http.Request, want string) {
	d.t.Helper()
	got, err := d.Current(r)
	if got.User != want || want == "" && !errors.Is(err, iam.ErrNotFound) {
		d.t.Errorf("%q is signed in (%v), want %q", got.User, err, want)
	}
}

func TestS35Cookies(t *testing.T) {
	d := newDesk(t)
	_, cookie := d.start("alice", carrying())
	if cookie.Name != "__Host-garde-session" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode ||
		cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge != 7*24*3600 || !iam.WellFormed(iam.PrefixSession, cookie.Value) {
		t.Errorf("the cookie is %v", cookie)
	}
	w := httptest.NewRecorder()
	if err := d.End(t.Context(), w, "none"); err != nil {
		t.Fatal(err)
	}
	for _, cookie := range w.Result().Cookies() {
		if cookie.MaxAge >= 0 || cookie.Value != "" || !cookie.Secure {
			t.Errorf("deleted by %v", cookie)
		}
	}
	d.Secure = false
	if _, cookie := d.start("alice", carrying()); cookie.Name != "garde-session" || cookie.Secure {
		t.Errorf("on loopback the cookie is %v", cookie)
	}
}

func TestWhoIsSignedIn(t *testing.T) {
	d := newDesk(t)
	begun, alice := d.start("alice", carrying())
	if begun.AuthTime.Nanosecond() != 0 || begun.AuthTime.After(d.time) {
		t.Errorf("auth_time %v", begun.AuthTime)
	}
	_, bob := d.start("bob", carrying())
	named := func(name string) *http.Cookie { return &http.Cookie{Name: name, Value: alice.Value} }
	d.is(carrying(), "")
	d.is(carrying(alice), "alice")
	d.is(carrying(bob), "bob")
	for what, r := range map[string]*http.Request{
		"of two cookies a sibling may have set one": carrying(alice, bob),
		"the same cookie twice":                     carrying(alice, alice),
		"without its prefix":                        carrying(named("garde-session")),
		"another prefix":                            carrying(named("__Secure-garde-session")),
		"in the cookie of the browser":              carrying(named("__Host-garde-browser")),
		"a flow's value":                            carrying(&http.Cookie{Name: alice.Name, Value: iam.NewSecret(iam.PrefixFlow)}),
		"altered":                                   carrying(&http.Cookie{Name: alice.Name, Value: alice.Value[:len(alice.Value)-1] + "_"}),
		"unknown":                                   carrying(&http.Cookie{Name: alice.Name, Value: iam.NewSecret(iam.PrefixSession)}),
		"very long":                                 carrying(&http.Cookie{Name: alice.Name, Value: strings.Repeat("s", 8000)}),
	} {
		t.Run(what, func(t *testing.T) {
			if got, err := d.Current(r); !errors.Is(err, iam.ErrNotFound) {
				t.Errorf("%s is signed in, error %v", got.User, err)
			}
		})
	}
}

func TestS01SignInRotatesTheCookie(t *testing.T) {
	d := newDesk(t)
	planted := &http.Cookie{Name: "__Host-garde-session", Value: iam.NewSecret(iam.PrefixSession)}
	first, cookie := d.start("alice", carrying(planted))
	d.is(carrying(planted), "")
	again, rotated := d.start("alice", carrying(cookie))
	if rotated.Value == cookie.Value || again.ID == first.ID {
		t.Error("the cookie is the same after sign-in")
	}
	d.is(carrying(cookie), "")
	d.is(carrying(rotated), "alice")
	_, other := d.start("bob", carrying(rotated))
	d.is(carrying(rotated), "") // S04
	d.is(carrying(other), "bob")
	_, elsewhere := d.start("alice", carrying())
	d.is(carrying(elsewhere), "alice")
	d.is(carrying(other), "bob")
	if err := d.EndAll("bob"); err != nil {
		t.Fatal(err)
	}
	d.is(carrying(other), "")
	d.is(carrying(elsewhere), "alice")
}

// EndAll signs a person out everywhere.
func (d *desk) EndAll(user string) error { return d.tenant.EndUserSessions(d.t.Context(), user, "") }

func TestS40SessionsEnd(t *testing.T) {
	d := newDesk(t)
	_, idle := d.start("alice", carrying())
	_, busy := d.start("bob", carrying())
	for range 15 {
		d.time = d.time.Add(11 * time.Hour)
		d.is(carrying(busy), "bob")
	}
	d.is(carrying(idle), "")
	d.time = d.time.Add(4 * time.Hour) // 169 h in all
	d.is(carrying(busy), "")
}

func TestS02FlowsAreOneBrowsers(t *testing.T) {
	d := newDesk(t)
	w := httptest.NewRecorder()
	key, err := d.Begin(w, carrying(), d.tenant, &iam.Flow{Query: "client_id=a", Client: "a"})
	if err != nil {
		t.Fatal(err)
	}
	mine := w.Result().Cookies()[0]
	theirs := &http.Cookie{Name: mine.Name, Value: iam.NewSecret(iam.PrefixFlow)}
	if flow, err := d.Resume(carrying(mine), d.tenant, key); err != nil || flow.Client != "a" {
		t.Fatal(err)
	}
	w = httptest.NewRecorder()
	if _, err := d.Begin(w, carrying(mine), d.tenant, &iam.Flow{}); err != nil || len(w.Result().Cookies()) != 0 {
		t.Errorf("a second flow gets a second cookie: %v", err)
	}
	for what, r := range map[string]*http.Request{
		"another browser": carrying(theirs), "no cookie": carrying(), "both": carrying(mine, theirs),
		"the key as cookie": carrying(&http.Cookie{Name: mine.Name, Value: key}), "empty": carrying(&http.Cookie{Name: mine.Name}),
	} {
		if _, err := d.Resume(r, d.tenant, key); !errors.Is(err, iam.ErrNotFound) || !strings.Contains(err.Error(), "expired_flow") {
			t.Errorf("%s resumes it: %v", what, err)
		}
	}
	if _, err := d.Unpark(t.Context(), d.tenant, session.ParkedRequest, key); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("a browser's flow is taken for a parked one: %v", err)
	}
	d.time = d.time.Add(session.FlowLife)
	if _, err := d.Resume(carrying(mine), d.tenant, key); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("it lives on: %v", err)
	}
}

func TestParkedRequestsAreTakenOnce(t *testing.T) {
	d := newDesk(t)
	key, err := d.Park(t.Context(), d.tenant, session.ParkedRequest, "client_id=a", "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Resume(carrying(&http.Cookie{Name: "__Host-garde-browser", Value: key}), d.tenant, key); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("a browser that sets the key as its cookie resumes it: %v", err)
	}
	for _, kind := range []session.Parked{session.ParkedSignOut, session.ParkedTelling, ""} {
		if _, err := d.Unpark(t.Context(), d.tenant, kind, key); !errors.Is(err, iam.ErrNotFound) {
			t.Errorf("C20 a request is taken as %q: %v", kind, err)
		}
	}
	if query, err := d.Unpark(t.Context(), d.tenant, session.ParkedRequest, key); err != nil || query != "client_id=a" {
		t.Fatal(query, err)
	}
	if _, err := d.Unpark(t.Context(), d.tenant, session.ParkedRequest, key); !errors.Is(err, iam.ErrNotFound) {
		t.Errorf("twice: %v", err)
	}
}

func TestN02FormTokensAreForOneBrowserAndPurpose(t *testing.T) {
	d := newDesk(t)
	w := httptest.NewRecorder()
	browser := d.Browser(w, carrying())
	other := d.Browser(httptest.NewRecorder(), carrying())
	token := browser.FormToken("consent 1")
	again := d.Known(carrying(w.Result().Cookies()...))
	for what, wrong := range map[string]bool{
		"another purpose": again.Made("consent 2", token), "another browser": other.Made("consent 1", token),
		"no browser": session.Browser{}.Made("consent 1", session.Browser{}.FormToken("consent 1")), "empty": again.Made("consent 1", ""),
	} {
		if wrong {
			t.Errorf("accepted: %s", what)
		}
	}
	if !again.Made("consent 1", token) {
		t.Error("its own is refused")
	}
	if !(session.Browser{}).Digest().Zero() {
		t.Error("no browser has a digest")
	}
}
