package app

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/gardeauth/garde/internal/authzen"
	"github.com/gardeauth/garde/internal/gateway/ask"
	"github.com/gardeauth/garde/internal/gateway/proxy"
	askedpoint "github.com/gardeauth/garde/internal/server/authzen"
	"github.com/gardeauth/garde/internal/server/operations"
	"github.com/gardeauth/garde/internal/server/signals"
	"github.com/gardeauth/garde/internal/token"
	"github.com/gardeauth/garde/internal/web"
)

// usesPath is where the Gates reserve what serves once.
const usesPath = "/signals/uses"

// others are the doors at which others have calls decided, and read what operations ask for.
func (s *Server) others(doors *http.ServeMux) {
	point := &askedpoint.Endpoint{
		Issuer: s.Node.Issuer, Tokens: s.tokens, Clients: s.prover, Policy: s.Policy, Desk: s.decisions, Grants: s.granted,
		Naming: func(ctx context.Context, client, user string) (string, error) {
			known, err := s.known.Client(ctx, client)
			return token.Subject(s.Keys.Salt(), known, user), err
		},
	}
	face := web.Face{As: askedpoint.Told{}, Log: s.Log}
	doors.Handle(authzen.EvaluationPlace, face.Handle(point.Evaluation))
	doors.Handle(authzen.EvaluationsPlace, face.Handle(point.Evaluations))
	doors.Handle(authzen.MetadataPlace+s.issuerPath(), web.CORS{Public: true}.Wrap(face.Handle(point.Metadata)))
	list := &operations.Endpoint{Policy: s.Policy, Pages: s.pages.get}
	doors.Handle(operations.Place+"{name}", s.pageFace().Handle(list.Operations))
}

// issuerPath is the path of the issuer, which goes behind a well-known name.
func (s *Server) issuerPath() string {
	issuer, err := url.Parse(s.Node.Issuer)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(issuer.EscapedPath(), "/")
}

// uses is the door at which the Gates reserve what serves once.
func (s *Server) uses(frame *http.ServeMux, face web.Face) {
	door := &signals.Uses{Tokens: s.tokens, Kept: s.House, Grants: s.House, Now: s.Lab.Now}
	frame.Handle(usesPath, face.Handle(door.Uses))
}

// askingOf lets a Gate ask the Server what a token can't tell.
func askingOf(issuer string, authorize func(context.Context) (string, error), transport http.RoundTripper, into *proxy.Config) {
	asked := &ask.Decisions{
		Evaluation: issuer + authzen.EvaluationPlace, Uses: issuer + usesPath, Authorize: authorize, Transport: transport, Trace: web.Trace,
	}
	into.Decider, into.Uses = asked, asked
}
