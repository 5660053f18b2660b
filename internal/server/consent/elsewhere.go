package consent

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/page"
	"github.com/gardeauth/garde/internal/server/request"
	"github.com/gardeauth/garde/internal/session"
	"github.com/gardeauth/garde/internal/web"
)

// Elsewhere lets a person decide what a client waits for that asked on another device (RFC 8628, OpenID CIBA Core), for
// every door at which they can. All fields but Details, Told and Now are required.
type Elsewhere struct {
	Asking  iam.Asking
	Clients iam.Clients
	Parser  *request.Parser
	Life    func() time.Duration // of a grant
	Say     func(scope string) map[string]string
	Details func(details string) []page.Detail // nil: no recipe has any
	// Told hears of each decision once it is kept, to tell a client that does not poll; nil: all of them poll.
	Told func(ctx context.Context, asked iam.Asked, allowed bool) error
	Now  func() time.Time // nil: time.Now
}

// Waiting is an authorization that waits for a person, read as it would be today.
type Waiting struct {
	Asked   iam.Asked
	Client  iam.Client
	Request *request.Request
}

func (e *Elsewhere) now() time.Time {
	if e.Now != nil {
		return e.Now().UTC()
	}
	return time.Now().UTC()
}

// Open reads an authorization again: client and recipe may have changed since it was asked for. ErrRevoked when it could
// no longer be.
func (e *Elsewhere) Open(ctx context.Context, asked iam.Asked) (Waiting, error) {
	door, grant := request.Device, oauth.DeviceCode
	if asked.Kind == iam.AskedCIBA {
		door, grant = request.Backchannel, oauth.CIBA
	}
	client, err := e.Clients.Client(ctx, asked.Client)
	if errors.Is(err, iam.ErrNotFound) || err == nil && (client.Disabled || !client.MayUse(grant)) {
		return Waiting{}, iam.ErrRevoked
	}
	if err != nil {
		return Waiting{}, err
	}
	form, err := web.Query(&http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: asked.Query}})
	if err != nil {
		return Waiting{}, err
	}
	again, err := e.Parser.ParseOf(ctx, door, client, form)
	if oauth.CodeOf(err) != "" {
		err = errors.Join(iam.ErrRevoked, err)
	}
	return Waiting{asked, client, again}, err
}

// ByCode finds what the device with that user code asks for: ErrNotFound, ErrExpired, ErrRevoked.
func (e *Elsewhere) ByCode(ctx context.Context, code iam.UserHash) (Waiting, error) {
	asked, err := e.Asking.AskedByCode(ctx, code, e.now())
	if err != nil {
		return Waiting{}, err
	}
	return e.Open(ctx, asked)
}

// Of lists what waits for a person, newest first, without what could no longer be asked for.
func (e *Elsewhere) Of(ctx context.Context, user string) ([]Waiting, error) {
	asked, err := e.Asking.AskedOf(ctx, user, e.now())
	var all []Waiting
	for _, one := range asked {
		waiting, err := e.Open(ctx, one)
		if errors.Is(err, iam.ErrRevoked) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, waiting)
	}
	return all, err
}

// Any tells whether something waits for a person.
func (e *Elsewhere) Any(ctx context.Context, user string) (bool, error) {
	all, err := e.Of(ctx, user)
	return len(all) > 0, err
}

// Find gives the one of that id that waits for a person: ErrNotFound also for another person's.
func (e *Elsewhere) Find(ctx context.Context, user, id string) (Waiting, error) {
	asked, err := e.Asking.AskedOf(ctx, user, e.now())
	if err != nil {
		return Waiting{}, err
	}
	for _, one := range asked {
		if one.ID == id {
			return e.Open(ctx, one)
		}
	}
	return Waiting{}, iam.ErrNotFound
}

// Decide keeps what a person said in a session. ErrSpent when it was decided before, ErrExpired, ErrNotFound when it is not
// theirs, ErrRevoked when they, the session or the client no longer stand.
func (e *Elsewhere) Decide(ctx context.Context, waiting Waiting, by iam.Session, allow bool) error {
	asked, now := waiting.Asked, e.now()
	if by.User == "" || asked.User != "" && asked.User != by.User {
		return iam.ErrNotFound
	}
	state, grant, given := iam.AskedDenied, iam.Grant{}, (*iam.Consent)(nil)
	event := journal.New(now, journal.TokenRefused{Door: string(asked.Kind), Code: "access_denied", Cause: "the person said no"})
	if allow {
		scope := waiting.Request.Scope
		state, grant = iam.AskedApproved, session.GrantIn(by, waiting.Client.ID, scope, now, e.Life())
		grant.Resource, grant.Details = waiting.Request.Resource, waiting.Request.Details
		event = journal.New(now, journal.Consented{Scope: scope.String()})
		if !session.Implied(waiting.Client) {
			given = &iam.Consent{User: by.User, Client: waiting.Client.ID, Scope: scope, Given: now}
		}
	}
	event.Actor, event.User, event.Client, event.Session = "user:"+by.User, by.User, waiting.Client.ID, by.ID
	event.Grant, event.Trace = grant.ID, web.Trace(ctx)
	if err := e.Asking.Decide(ctx, asked.ID, state, grant, given, now, event); err != nil || e.Told == nil {
		return err
	}
	return e.Told(ctx, asked, allow)
}

// View is what a person is told before they decide. Code, form and network are for the door to fill in.
func (e *Elsewhere) View(waiting Waiting, languages []string) (page.Asked, error) {
	view := page.Asked{
		Client: page.Client{Name: waiting.Client.Name.In(languages...), Unverified: waiting.Client.Unverified},
		ID:     waiting.Asked.ID, Message: waiting.Asked.Message, Agent: waiting.Asked.Agent, When: waiting.Asked.Created,
	}
	if view.Client.Name == "" {
		view.Client.Name = waiting.Client.ID
	}
	for _, name := range waiting.Request.Scope {
		view.Scopes = append(view.Scopes, page.Scope{Name: name, Say: e.Say(name)})
	}
	var err error
	view.Details, err = inWords(e.Details, waiting.Request.Details)
	return view, err
}

// Over tells a person, in one sentence, that what they were about to decide is over, whatever the reason; other errors are
// as they were.
func Over(err error) error {
	for _, known := range []error{iam.ErrNotFound, iam.ErrExpired, iam.ErrSpent, iam.ErrRevoked} {
		if errors.Is(err, known) {
			refused := &oauth.Error{
				Code: "expired_request", Status: http.StatusBadRequest,
				Description: "this request has ended or was decided before: start again where it began",
			}
			return refused.Because(err)
		}
	}
	return err
}
