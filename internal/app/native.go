package app

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/gardeauth/garde/internal/assurance"
	"github.com/gardeauth/garde/internal/decide"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/grant"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// native is what the apps of a family share a sign-in with.
func (s *Server) native() *grant.Native {
	return &grant.Native{
		Issuer: s.Node.Issuer, Secrets: s.House, Sessions: s.House, Hints: s.parser(), Clients: s.known, Consents: s.House, Subject: s.subject, Decide: s.anotherApp,
	}
}

// anotherApp decides whether a sign-in is sure enough for one more app, as it would be decided in the browser: by the words
// of that door, since the one of tokens trusts in what was decided before. It teaches nothing: nobody proved anything here.
func (s *Server) anotherApp(ctx context.Context, moment grant.Moment) (assurance.Decision, error) {
	return s.decisions.Authorization(ctx, decide.Ask{
		Door: decide.DoorAuthorize, Session: moment.Session, Client: moment.Client, Scope: moment.Scope, Bound: moment.Bound,
		Wish: assurance.Wish{MaxAge: -1}, Address: moment.Address, Agent: moment.Agent,
	})
}

// caller is the address of a program; the zero address if its proxies don't say.
func (s *Server) caller(r *http.Request) netip.Addr {
	address, err := s.proxies.ClientIP(r)
	if err != nil {
		return netip.Addr{}
	}
	return address
}

// stayParam is the parameter of a person who goes on in the view of an application.
const stayParam = "embedded_view"

// outside shows those whom an application sends to /authorize in a view of its own how to get out of it, before anything is
// asked of them. A native application could have used the browser (RFC 8252 section 8.12); others may have been opened in
// somebody else's view, or stand on the home screen: their people may stay.
func (s *Server) outside(next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.Method != http.MethodGet || !session.Embedded(r.UserAgent()) {
			return next(w, r)
		}
		query, err := web.Query(r)
		if err != nil || query.Has("flow") || query.Value("prompt") == "none" {
			return next(w, r)
		}
		client, err := s.known.Client(r.Context(), query.Value("client_id"))
		if err != nil { // the door says so in its own words
			return next(w, r)
		}
		native := client.Kind == recipe.Native
		if !native && query.Has(stayParam) {
			return next(w, r)
		}
		asked := query.Map()
		asked.Del(stayParam)
		at := r.URL.Path + "?" + asked.Encode() // encoded again: no fragment can stand in it
		view := page.Embedded{
			Common: page.Common{Locales: strings.Fields(query.Value("ui_locales"))}, Client: page.Client{Name: client.Name.In()},
			Address: s.Node.Issuer + at, Open: session.Outside(r.UserAgent(), s.Node.Issuer+at),
		}
		if !native {
			view.Stay = at + "&" + url.Values{stayParam: {"1"}}.Encode()
		}
		return s.pages.get().Render(w, r, http.StatusOK, view)
	}
}
