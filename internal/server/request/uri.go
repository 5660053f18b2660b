package request

import (
	"context"
	"errors"
	"mime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/recipe"
)

// ArrivalLife is how long a pushed request lives after it first arrived at /authorize: as long as a person may take to
// sign in. Its own 90 seconds are for the way there.
const ArrivalLife = 30 * time.Minute

// pushedOnly refuses a plain request of a client that pushes its requests (P07).
func pushedOnly(_ context.Context, _ *Parser, r *reading) error {
	if r.Client.Demands().PAR && !strings.HasPrefix(r.form.Value("request_uri"), iam.RequestURN) {
		return oauth.InvalidRequest("this client's requests must be pushed (RFC 9126)").For(oauth.ReasonPushNeeded)
	}
	return nil
}

// readRequestURI finds the request behind a request_uri: one that was pushed, or by exception an object at an address
// that the client registered.
func readRequestURI(ctx context.Context, p *Parser, r *reading) error {
	uri := r.form.Value("request_uri")
	switch {
	case uri == "":
		return nil
	case r.door != Authorize: // RFC 9126 section 2.1 (P08)
		return oauth.InvalidRequest("request_uri has no meaning here")
	case strings.HasPrefix(uri, iam.RequestURN):
		return p.arrive(ctx, r, uri)
	}
	object, err := p.fetch(ctx, r, uri)
	if err != nil {
		r.lean()
		return err
	}
	r.object = object
	return nil
}

// arrive takes what was pushed in place of everything that the browser brings (P06).
func (p *Parser) arrive(ctx context.Context, r *reading, uri string) error {
	refused := oauth.InvalidRequestURI("the request_uri is unknown, expired, spent or another application's: go back and start again").For(oauth.ReasonPushedUnknown)
	hash := iam.HashPushed(uri)
	if p.Waiting == nil || iam.Digest(hash).Zero() {
		return refused
	}
	now := p.now().UTC()
	pushed, err := p.Waiting.Arrive(ctx, hash, r.Client.ID, now, now.Add(ArrivalLife))
	switch {
	case errors.Is(err, iam.ErrExpired): // only the client's own is found at all
		return refused.For(oauth.ReasonPushedExpired).Because(err)
	case errors.Is(err, iam.ErrSpent):
		return refused.For(oauth.ReasonPushedSpent).Because(err)
	case errors.Is(err, iam.ErrNotFound):
		return refused.Because(err)
	case err != nil:
		return err
	case pushed.Client != r.Client.ID: // the contract says so already; P02 is worth a second look
		return refused
	}
	form, err := formOf(pushed.Query)
	if err != nil {
		return err
	}
	recalled(r, form)
	r.Pushed = hash
	return nil
}

func (p *Parser) fetch(ctx context.Context, r *reading, uri string) (string, error) {
	if p.Shelf == nil || !r.Client.Allows(recipe.AllowRequestURI, p.now()) || r.Client.Demands().PAR {
		return "", oauth.RequestURINotSupported()
	}
	if r.form.Has("request") {
		return "", oauth.InvalidRequest("request and request_uri exclude each other")
	}
	if !slices.Contains(r.Client.RequestURIs, uri) {
		return "", oauth.InvalidRequestURI("the request_uri is not registered for this client, byte for byte").For(oauth.ReasonRequestURI)
	}
	object, err := p.Shelf.object(ctx, uri, p.now())
	if err != nil {
		return "", oauth.InvalidRequestURI("the request_uri gives no request object").Because(err)
	}
	return object, nil
}

// Shelf fetches request objects and keeps them for a moment. Only addresses that a client registered come here.
type Shelf struct {
	// Fetch gets a document by the rules for what strangers name (P14), as fetch.Fetcher does.
	Fetch func(ctx context.Context, target string) (body []byte, contentType string, err error)

	mu   sync.Mutex
	kept map[string]fetched
}

type fetched struct {
	object string
	err    error
	until  time.Time
}

const (
	shelfMost = 1000
	shelfLife = time.Minute      // of what is named by its content (OpenID Connect Core section 6.2)
	shelfWait = 10 * time.Second // before a host that failed is asked again
)

// object gives the object at uri. An address with a fragment names its content and is kept; any other is fetched each
// time. A fault is kept for a moment, so that a dead host costs one wait and not one a request.
func (s *Shelf) object(ctx context.Context, uri string, now time.Time) (string, error) {
	s.mu.Lock()
	found, ok := s.kept[uri]
	s.mu.Unlock()
	if ok && now.Before(found.until) {
		return found.object, found.err
	}
	object, err := s.fetch(ctx, uri)
	keep := fetched{object, err, now.Add(shelfLife)}
	switch {
	case err != nil && ctx.Err() == nil:
		keep.until = now.Add(shelfWait)
	case err != nil || !strings.Contains(uri, "#"):
		return object, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil || len(s.kept) >= shelfMost {
		s.kept = map[string]fetched{}
	}
	s.kept[uri] = keep
	return object, err
}

func (s *Shelf) fetch(ctx context.Context, uri string) (string, error) {
	target, _, _ := strings.Cut(uri, "#")
	body, contentType, err := s.Fetch(ctx, target)
	if err != nil {
		return "", err
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/oauth-authz-req+jwt" && kind != "application/jwt" {
		return "", errors.New("the content type is not that of a request object")
	}
	return strings.TrimSpace(string(body)), nil
}
