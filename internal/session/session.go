// Package session knows which person is in which browser: the session cookie, the cookie that binds a login transaction
// to a browser, and the form tokens that go with it. Cookies hold random values only; all state stands in storage.
package session

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/recipe"
)

// Keeper keeps browser sessions. All fields but Recalled and Now are required.
type Keeper struct {
	Sessions iam.Sessions
	Recalled iam.RecalledSessions // for Guess; nil: nothing is remembered
	Lives    func() recipe.Lives
	Reached  func(proofs []iam.Proved) (acr string) // highest level that proofs reach, however old; nil: none
	Secure   bool                                   // the issuer is https: cookies are __Host- and Secure. False on loopback only
	Now      func() time.Time                       // nil: time.Now
}

// Names of the cookies, without the __Host- that they carry over https.
const (
	cookieSession = "garde-session"
	cookieBrowser = "garde-browser"
)

func (k *Keeper) now() time.Time {
	if k.Now != nil {
		return k.Now().UTC()
	}
	return time.Now().UTC()
}

// Cookie gives a cookie's full name: over https the prefix makes browsers refuse one that a sibling host set.
func (k *Keeper) Cookie(name string) string {
	if k.Secure {
		return "__Host-" + name
	}
	return name
}

// Set sends a cookie that only this host, and no script, may read. A life of zero ends with the browser, a negative one
// deletes it.
func (k *Keeper) Set(w http.ResponseWriter, name, value string, life time.Duration) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure is off only where the issuer is http on loopback
		Name: k.Cookie(name), Value: value, Path: "/", Secure: k.Secure, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, MaxAge: int(life / time.Second),
	})
}

// read gives the value of a cookie that came exactly once: of two of one name, a sibling may have set one (N rows).
func (k *Keeper) read(r *http.Request, name string) string {
	value, count := "", 0
	for _, cookie := range r.Cookies() {
		if cookie.Name == k.Cookie(name) {
			value, count = cookie.Value, count+1
		}
	}
	if count != 1 {
		return ""
	}
	return value
}

// Current gives the living session of the request's browser, or iam.ErrNotFound.
func (k *Keeper) Current(r *http.Request) (iam.Session, error) {
	hash := iam.HashSession(k.read(r, cookieSession))
	if iam.Digest(hash).Zero() {
		return iam.Session{}, iam.ErrNotFound
	}
	now := k.now()
	session, err := k.Sessions.Session(r.Context(), hash, now, k.Lives().SessionIdle)
	if err != nil {
		return iam.Session{}, err
	}
	if now.Sub(session.Seen) > time.Minute {
		if err := k.Sessions.TouchSession(r.Context(), session.ID, now); err != nil && !errors.Is(err, iam.ErrUnavailable) {
			return iam.Session{}, err
		}
	}
	return session, nil
}

// Guess gives the session of the request's browser as this node remembers it. It may have ended: only who goes on by a
// deed that asks for the session again may use it, and says Forget when the deed refuses.
func (k *Keeper) Guess(r *http.Request) (iam.Session, bool) {
	hash := iam.HashSession(k.read(r, cookieSession))
	if k.Recalled == nil || iam.Digest(hash).Zero() {
		return iam.Session{}, false
	}
	return k.Recalled.Known(hash, k.now(), k.Lives().SessionIdle)
}

// Forget forgets a session that was guessed.
func (k *Keeper) Forget(session iam.Session) {
	if k.Recalled != nil {
		k.Recalled.Forget(session.Hash)
	}
}

// Proof is what a person has proved, and where.
type Proof struct {
	User     string
	Proofs   []iam.Proved // all that the session is to know: a step-up brings along what was proved before
	From     string       // id of the session that it brings it from; empty: all was proved anew
	Answered []iam.Answer
	Device   string // id of the known device; empty: none
	Agent    string // label of the browser
	Address  string
}

// Start begins a session and replaces the browser's old one: the cookie changes at every sign-in and step-up, so that a
// planted one is worth nothing (session fixation). auth_time is that of the newest proof. iam.ErrRevoked when the person,
// the device or an authenticator no longer stands.
func (k *Keeper) Start(w http.ResponseWriter, r *http.Request, proof Proof, trace string) (iam.Session, error) {
	now, lives := k.now(), k.Lives()
	value := iam.NewSecret(iam.PrefixSession)
	session := iam.Session{
		ID: uuid.NewString(), Hash: iam.HashSession(value), User: proof.User, AuthTime: newest(proof.Proofs, now),
		AMR: Methods(proof.Proofs), Proofs: proof.Proofs, Answered: proof.Answered, Device: proof.Device,
		Agent: proof.Agent, Address: proof.Address, Created: now, Seen: now, Expires: now.Add(lives.Session),
	}
	if k.Reached != nil {
		session.ACR = k.Reached(proof.Proofs)
	}
	event := journal.New(now, journal.SignedIn{Methods: session.AMR, Level: session.ACR})
	event.Actor, event.User, event.Session, event.Trace = "user:"+proof.User, proof.User, session.ID, trace
	event.Personal = map[string]string{"address": proof.Address, "agent": proof.Agent}
	old := iam.HashSession(k.read(r, cookieSession))
	if err := k.Sessions.StartSession(r.Context(), session, old, event); err != nil {
		return iam.Session{}, err
	}
	if err := k.wentOn(r.Context(), proof.From, session.ID); err != nil {
		return iam.Session{}, err
	}
	k.Set(w, cookieSession, value, lives.Session)
	if k.read(r, cookieState) != "" {
		k.changeState(w)
	}
	return session, nil
}

// wentOn ends a session that was begun with what another knew, and gives iam.ErrRevoked, if that one had ended meanwhile:
// signed out everywhere means what it proved, too. One that took its place did not end it. Nobody has the new one's cookie yet.
func (k *Keeper) wentOn(ctx context.Context, from, id string) error {
	if from == "" {
		return nil
	}
	_, err := k.Sessions.LivingSession(ctx, from, k.now(), k.Lives().SessionIdle)
	if err == nil {
		return nil
	}
	if ended := k.Sessions.EndSession(context.WithoutCancel(ctx), id); ended != nil {
		return ended
	}
	if errors.Is(err, iam.ErrNotFound) {
		return iam.ErrRevoked
	}
	return err
}

// Enough tells whether a session may rest on proofs alone: they reach a level.
func (k *Keeper) Enough(proofs []iam.Proved) bool {
	return len(proofs) > 0 && (k.Reached == nil || k.Reached(proofs) != "")
}

// Restate lets a session of this browser go on with other proofs, which its person has given before: under another ID and
// cookie, and no longer than it would have lived. Nobody has signed in by it. iam.ErrRevoked as for Start.
func (k *Keeper) Restate(w http.ResponseWriter, r *http.Request, from iam.Session, proofs []iam.Proved) (iam.Session, error) {
	value, now := iam.NewSecret(iam.PrefixSession), k.now()
	next := from
	next.ID, next.Hash, next.Proofs = uuid.NewString(), iam.HashSession(value), proofs
	next.AMR, next.AuthTime, next.ACR = Methods(proofs), newest(proofs, now), ""
	if k.Reached != nil {
		next.ACR = k.Reached(proofs)
	}
	if err := k.Sessions.StartSession(r.Context(), next, from.Hash); err != nil {
		return iam.Session{}, err
	}
	if err := k.wentOn(r.Context(), from.ID, next.ID); err != nil {
		return iam.Session{}, err
	}
	k.Set(w, cookieSession, value, max(next.Expires.Sub(now), time.Second))
	if k.read(r, cookieState) != "" {
		k.changeState(w)
	}
	return next, nil
}

// End ends a session and, when it is this browser's, its cookies.
func (k *Keeper) End(ctx context.Context, w http.ResponseWriter, id string, events ...journal.Event) error {
	if err := k.Sessions.EndSession(ctx, id, events...); err != nil {
		return err
	}
	if w != nil {
		k.Set(w, cookieSession, "", -time.Second)
		k.Set(w, cookieBrowser, "", -time.Second)
		k.setState(w, "", -time.Second)
	}
	return nil
}

// Browser gives the secret that binds flows and forms to this browser, and sets its cookie when it has none.
func (k *Keeper) Browser(w http.ResponseWriter, r *http.Request) Browser {
	if browser := k.Known(r); browser.value != "" {
		return browser
	}
	value := iam.NewSecret(iam.PrefixFlow)
	k.Set(w, cookieBrowser, value, 0)
	return Browser{value}
}

// Known gives the browser's secret if it has one; the zero Browser matches nothing.
func (k *Keeper) Known(r *http.Request) Browser {
	if value := k.read(r, cookieBrowser); iam.WellFormed(iam.PrefixFlow, value) {
		return Browser{value}
	}
	return Browser{}
}

// Browser is one browser, as far as its cookie tells.
type Browser struct{ value string }

// Digest is what a flow keeps of its browser.
func (b Browser) Digest() iam.Digest {
	if b.value == "" {
		return iam.Digest{}
	}
	return iam.Hash(b.value)
}

// FormToken is the hidden value of a form: it proves that the form was made for this browser and this purpose.
func (b Browser) FormToken(purpose string) string {
	mac := hmac.New(sha256.New, []byte(b.value))
	mac.Write([]byte(purpose))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Made tells whether shown is the token of a form made for this browser and purpose. Without a cookie, none is.
func (b Browser) Made(purpose, shown string) bool {
	return b.value != "" && hmac.Equal([]byte(b.FormToken(purpose)), []byte(shown))
}
