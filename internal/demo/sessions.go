package demo

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/demo/accounts"
	"github.com/gardeauth/garde/internal/demo/client"
)

// Bounds of what the bank remembers of browsers.
const (
	maxVisits   = 2_000
	visitIdle   = time.Hour
	attemptLife = 10 * time.Minute
)

// languageCookie is the person's choice of language, for both sites.
const languageCookie = "demo_lang"

// visit is a browser that is signed in to a site. Tokens stay here, on the server: the browser has the cookie alone.
type visit struct {
	id, csrf string
	name     string

	mu      sync.Mutex // one refresh at a time; the others wait for it
	grant   client.Grant
	expired string        // the last access token that has run out, to show what the Gate says to it
	last    *client.Reply // what the Gate said to the last transfer, shown once
	step    client.Step   // what it asked to be proved then
	told    *client.Reply // what the Gate said to the last errand, shown once
	order   accounts.Transfer
	seen    time.Time // guarded by the desk
}

// desk keeps visits and attempts in memory; both are lost at a restart, and then people sign in again, which the
// Server's own session makes a matter of one click.
type desk struct {
	now      func() time.Time
	house    string // whose cookies: all ports of a host share theirs
	mu       sync.Mutex
	visits   map[string]*visit
	attempts map[string]attempt
}

// attempt is a sign-in under way, and what the person wants done once it is over.
type attempt struct {
	client.Attempt
	errand *errand // nil: nothing but to be signed in
}

func (d *desk) visitCookie() string { return d.house + "_session" }
func (d *desk) beginCookie() string { return d.house + "_signin" }

// begin binds an attempt to a browser and gives the cookie's value.
func (d *desk) begin(a attempt) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sweep()
	id := rand.Text() + rand.Text()
	d.attempts[id] = a
	return id
}

// take gives an attempt back once and never again, whatever comes of it.
func (d *desk) take(r *http.Request) (attempt, bool) {
	cookie, err := r.Cookie(d.beginCookie())
	if err != nil {
		return attempt{}, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.attempts[cookie.Value]
	delete(d.attempts, cookie.Value)
	return a, ok && d.now().Sub(a.Begun) < attemptLife
}

// open makes a visit with a new id; the one that the browser had before ends (session fixation).
func (d *desk) open(r *http.Request, g client.Grant, name string) *visit {
	d.mu.Lock()
	defer d.mu.Unlock()
	if cookie, err := r.Cookie(d.visitCookie()); err == nil {
		delete(d.visits, cookie.Value)
	}
	d.sweep()
	v := &visit{id: rand.Text() + rand.Text(), csrf: rand.Text(), grant: g, name: name, seen: d.now()}
	d.visits[v.id] = v
	return v
}

// visit finds the browser's visit, or nil.
func (d *desk) visit(r *http.Request) *visit {
	cookie, err := r.Cookie(d.visitCookie())
	if err != nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.visits[cookie.Value]
	if v == nil || d.now().Sub(v.seen) > visitIdle {
		delete(d.visits, cookie.Value)
		return nil
	}
	v.seen = d.now()
	return v
}

func (d *desk) end(v *visit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.visits, v.id)
}

// sweep is called with the lock: it forgets what is over, and when there is still too much, whatever it meets first.
func (d *desk) sweep() {
	if d.visits == nil {
		d.visits, d.attempts = map[string]*visit{}, map[string]attempt{}
	}
	for id, a := range d.attempts {
		if len(d.attempts) >= maxVisits || d.now().Sub(a.Begun) >= attemptLife {
			delete(d.attempts, id)
		}
	}
	for id, v := range d.visits {
		if len(d.visits) >= maxVisits || d.now().Sub(v.seen) > visitIdle {
			delete(d.visits, id)
		}
	}
}

// meant tells whether a form came from a page that this visit was shown.
func (v *visit) meant(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.PostForm.Get("csrf")), []byte(v.csrf)) == 1
}

// cookie makes a cookie of a site. It has no Secure and no __Host- because the demonstration speaks http, on loopback
// alone; a real site has both.
func cookie(name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // no Secure: plain http, on loopback alone
		Name: name, Value: value, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func noCookie(name string) *http.Cookie {
	return cookie(name, "", -time.Second)
}

// asked gives what the Gate wanted proved at the last transfer, once.
func (v *visit) asked() client.Step {
	v.mu.Lock()
	defer v.mu.Unlock()
	step := v.step
	v.step = client.Step{}
	return step
}

func (v *visit) subject() string { return v.held().Subject }

func (v *visit) held() client.Grant {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.grant
}
