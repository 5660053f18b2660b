package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"
)

// cookieState holds the browser's state of OpenID Connect Session Management: random, not the session's id nor made of it,
// and readable by the script of our own frame, in frames of others too. Whoever reads it learns that it changed, no more.
const cookieState = "garde-state"

// StateCookie is the full name of the cookie that holds the browser's state.
func (k *Keeper) StateCookie() string { return k.Cookie(cookieState) }

// State gives the browser's state, and a new one where it has none. Without https there is none: browsers keep no such
// cookie.
func (k *Keeper) State(w http.ResponseWriter, r *http.Request) string {
	if !k.Secure {
		return ""
	}
	if state := k.read(r, cookieState); len(state) == len(rand.Text()) {
		return state
	}
	return k.changeState(w)
}

// changeState begins another state: at every sign-in of a browser that has one, so that every application asks anew. A
// sign-out takes it away.
func (k *Keeper) changeState(w http.ResponseWriter) string {
	state := rand.Text()
	k.setState(w, state, k.Lives().Session)
	return state
}

func (k *Keeper) setState(w http.ResponseWriter, state string, life time.Duration) {
	if !k.Secure {
		return
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // a script of ours must read it: it is no secret (Session Management section 3.2)
		Name: k.StateCookie(), Value: state, Path: "/", Secure: true, SameSite: http.SameSiteNoneMode, MaxAge: int(life / time.Second),
	})
}

// ClientState is session_state: what a client compares with, by asking our frame (Session Management section 3). Empty
// where there is no state or no origin.
func ClientState(client, redirectURI, state string) string {
	to, err := url.Parse(redirectURI)
	if err != nil || state == "" || to.Scheme != "https" && to.Scheme != "http" {
		return ""
	}
	salt := rand.Text()
	sum := sha256.Sum256([]byte(client + " " + to.Scheme + "://" + to.Host + " " + state + " " + salt))
	return base64.RawURLEncoding.EncodeToString(sum[:]) + "." + salt
}
