package logout

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// patience is how many seconds the frames have to load before the person goes on.
const patience = "3"

// tell goes on after a sign-out: by the page whose frames have other applications sign out as well (OpenID Connect
// Front-Channel Logout 1.0 section 3), where there are any. What that page needs waits on our side: a link can't name it.
func (e *Endpoint) tell(w http.ResponseWriter, r *http.Request, ended, target string) error {
	frames, err := e.frames(r.Context(), ended)
	if err != nil {
		return err
	}
	if len(frames) == 0 || e.Flows == nil {
		return e.leave(w, wish{target: target})
	}
	key, err := e.Sessions.Park(r.Context(), e.Flows, session.ParkedTelling, url.Values{"session": {ended}, "target": {target}}.Encode(), "")
	if err != nil {
		return err
	}
	session.SeeOther(w, doneAt+"?told="+url.QueryEscape(key))
	return nil
}

// telling fills the page with the frames. A page that is loaded again has none: it was told once.
func (e *Endpoint) telling(r *http.Request, view page.SignedOut, key string) (page.SignedOut, error) {
	kept, err := e.Sessions.Unpark(r.Context(), e.Flows, session.ParkedTelling, key)
	if err != nil {
		return view, nil //nolint:nilerr // the page still says that the person is signed out
	}
	about, err := url.ParseQuery(kept)
	if err != nil {
		return view, err
	}
	view.Next = about.Get("target")
	view.Frames, err = e.frames(r.Context(), about.Get("session"))
	return view, err
}

// mostFrames bounds what one page loads.
const mostFrames = 20

// frames are the pages of the applications that got something in a session, each with our name and the sid it knows.
func (e *Endpoint) frames(ctx context.Context, ended string) ([]string, error) {
	if e.Reads == nil {
		return nil, nil
	}
	_, hearers, err := e.Reads.Hearers(ctx, ended)
	if err != nil {
		return nil, err
	}
	var frames []string
	for _, hearer := range hearers {
		client, err := e.Clients.Client(ctx, hearer.Client)
		if errors.Is(err, iam.ErrNotFound) || err == nil && (client.Disabled || client.FrontLogoutURI == "") {
			continue
		}
		if err != nil {
			return nil, err
		}
		frame := client.FrontLogoutURI + "?"
		if strings.Contains(client.FrontLogoutURI, "?") {
			frame = client.FrontLogoutURI + "&"
		}
		frame += url.Values{"iss": {e.Issuer}, "sid": {hearer.SID}}.Encode()
		if !slices.Contains(frames, frame) && len(frames) < mostFrames {
			frames = append(frames, frame)
		}
	}
	return frames, nil
}

// CheckSession is the frame of OpenID Connect Session Management section 3.3.
func (e *Endpoint) CheckSession(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	return e.Pages().Render(w, r, http.StatusOK, page.CheckSession{Cookie: e.Sessions.StateCookie()})
}
